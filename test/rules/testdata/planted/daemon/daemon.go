// Package daemon knows the file, and makes a permit.
package daemon

import (
	rule "github.com/solevip/solevip/claim"
	"github.com/solevip/solevip/config"
	"github.com/solevip/solevip/vip"
	"github.com/vishvananda/netlink"
)

var mine = rule.Permit{group: "g"}

var empty = rule.Permit{}
