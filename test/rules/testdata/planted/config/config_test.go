package config_test

import "github.com/solevip/solevip/daemon"
