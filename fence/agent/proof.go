package agent

import (
	"fmt"
	"path/filepath"
	"strings"
)

// notPower are agents that cut no power, or read none: what they call off proves nothing. Those
// that cut a node off its storage or network are told by their metadata, too.
var notPower = map[string]string{
	"fence_ack_manual":      "it asks a person; solevip fence confirm does that, and puts it on record",
	"fence_compute":         "it tells OpenStack that a host is down, and doesn't switch it off",
	"fence_crosslink":       "it takes a link without an answer for off",
	"fence_evacuate":        "it tells OpenStack that a host is down, and doesn't switch it off",
	"fence_heuristics_ping": "it switches nothing off: it pings",
	"fence_kdump":           "it waits for a crashing kernel's word, and can't tell the power",
	"fence_mpath":           "it cuts a node off its storage: its addresses stay up",
	"fence_sbd":             "it leaves a message for the node, which the node must read; what it reads back is the message",
	"fence_scsi":            "it cuts a node off its storage: its addresses stay up",
	"fence_watchdog":        "it waits for the node's own watchdog",
}

// refused refuses an agent by its name, or by that of the program that it is a link to.
func refused(path string) error {
	names := []string{filepath.Base(path)}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		names = append(names, filepath.Base(real))
	}
	for _, name := range names {
		if why, ok := notPower[name]; ok {
			return fmt.Errorf("%s proves no power off: %s", name, why)
		}
	}
	return nil
}

// cutsPower refuses an agent whose metadata says that it cuts something else than power, or that it
// can't read the power back.
func (m *Metadata) cutsPower() error {
	switch {
	case m.unfences:
		return fmt.Errorf("%s cuts a node off its storage or network, not its power: its addresses may stay up", m.Name)
	case !m.actions["off"]:
		return fmt.Errorf("%s has no action off: a reboot is no proof", m.Name)
	case !m.actions["status"]:
		return fmt.Errorf("%s has no action status: nothing would prove that the power is off", m.Name)
	}
	for option := range fakes {
		if p := m.parameters[option]; p.kind == boolean && truth(p.preset) {
			return fmt.Errorf("%s proves no power off: %s is its default, and %s", m.Name, option, fakes[option])
		}
	}
	return nil
}

// fakes are options with which an agent would say off without knowing it. Some agents ask only
// whether an option was given: no value makes these good.
var fakes = map[string]string{
	"missing_as_off":  "a machine that the device can't see would count as off",
	"network_fencing": "a machine whose network is cut would count as off while it runs",
	"network-fencing": "a machine whose network is cut would count as off while it runs",
}

// ours are options that say what to do, or that nothing be done.
var ours = map[string]string{
	"action":  "off and status are asked for as they are needed",
	"option":  "it is obsolete for action, and off and status are asked for as they are needed",
	"help":    "with it the agent does nothing, and says that all went well",
	"version": "with it the agent does nothing, and says that all went well",
}

// leaks are options that write secrets to a file.
var leaks = map[string]bool{"debug": true, "debug_file": true, "boto3_debug": true}

// lax are options with which whoever is on the way can forge an answer.
var lax = map[string]bool{"ssl_insecure": true, "insecure": true, "notls": true, "disable_ssl": true}

// needed are options that an agent can do without, only to guess whom to shoot.
var needed = map[string]map[string]string{
	"fence_redfish": {"systems_uri": "without it the last system of the BMC is shot, whichever that is"},
}

// suspicious says why an option is refused, whatever the agent's metadata says of it, or in doubt.
func suspicious(option, value string) (what, hint string, doubt bool) {
	switch {
	case fakes[option] != "":
		return "would fake proof: " + fakes[option], "remove it", false
	case option == "method" && strings.EqualFold(value, "cycle"):
		return "would fake proof: a power cycle succeeds while the machine runs", "write onoff, or remove it", false
	case ours[option] != "":
		return "isn't for the file to say: " + ours[option], "remove it", false
	case leaks[option]:
		return "writes the passwords into a file", "remove it; try the agent by hand instead", false
	case lax[option] && truth(value):
		return "lets whoever is on the way forge that a node is off", "remove it where the device has a certificate that can be checked", true
	}
	return "", "", false
}
