package config

import _ "embed"

// Example is a file for two members and an arbiter. It is right but for the files that it names,
// which are the reader's.
//
//go:embed example.yaml
var Example []byte
