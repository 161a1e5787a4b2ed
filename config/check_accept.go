package config

import (
	"fmt"
	"slices"
	"strings"
)

// certain is the evidence that can't be left out: it is a fact, and without it a group would be
// blocked for ever. An operator's word is for each group to trust.
var (
	certain = []string{"released", "new-boot", "power-off-verified"}
	trusted = []string{"operator-attested"}
)

// checkAccept completes the evidence that suffices for a group.
func (d *document) checkAccept(g *Group, path string) {
	all := slices.Concat(certain, trusted)
	switch {
	case d.anyWrong(path):
		return
	case d.mentions(path) && g.Protection == ProtectVRRP:
		d.wrong(path, "has no meaning under protection: vrrp, which asks for no evidence", "remove it")
		return
	case g.Protection == ProtectVRRP:
		return
	case !d.mentions(path):
		g.Accept = all
		return
	}
	for _, k := range g.Accept {
		if !slices.Contains(all, k) {
			d.wrong(path, fmt.Sprintf("%q is no evidence that can be accepted", k), "choose among "+strings.Join(all, ", "))
		}
	}
	for _, k := range certain {
		if !slices.Contains(g.Accept, k) {
			d.wrong(path, fmt.Sprintf("%q is missing, and a group without it could be blocked for ever", k), "add it; only operator-attested may be left out")
		}
	}
}
