// Package vip is as it should be.
package vip

import (
	"github.com/solevip/solevip/claim"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
)
