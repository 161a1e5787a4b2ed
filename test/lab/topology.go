//go:build linux

package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// wire makes the namespaces, the switch and a cable for everything that is plugged into it.
// Machines start without power: their ports are down.
func wire(lab string) error {
	sw := namespace(lab, "sw")
	if err := makeNamespace(sw); err != nil {
		return err
	}
	if err := inside(sw, makeSwitch); err != nil {
		return fmt.Errorf("switch: %w", err)
	}
	for _, p := range ports() {
		ns := namespace(lab, p.name)
		if err := makeNamespace(ns); err != nil {
			return err
		}
		if err := inside(sw, func() error { return plug(p, ns) }); err != nil {
			return fmt.Errorf("cable of %s: %w", p.name, err)
		}
		if err := inside(ns, func() error { return boot(p) }); err != nil {
			return fmt.Errorf("network of %s: %w", p.name, err)
		}
	}
	return nil
}

func makeSwitch() error {
	snooping := false // multicast goes everywhere, as on the plainest switch
	br := &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs(), MulticastSnooping: &snooping}
	br.Name = switchLink
	if err := netlink.LinkAdd(br); err != nil {
		return err
	}
	return linkUp(switchLink)
}

// plug runs in the switch: a veth pair with the far end in the namespace.
func plug(p port, ns string) error {
	br, err := netlink.LinkByName(switchLink)
	if err != nil {
		return err
	}
	far, err := netns.GetFromName(ns)
	if err != nil {
		return err
	}
	defer far.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex = p.name, br.Attrs().Index
	v := netlink.NewVeth(attrs)
	v.PeerName, v.PeerHardwareAddr, v.PeerNamespace = nodeLink, p.mac, netlink.NsFd(far)
	if err := netlink.LinkAdd(v); err != nil {
		return err
	}
	if isMachine(p.name) {
		return nil
	}
	return linkUp(p.name)
}

func isMachine(name string) bool { _, ok := NodeNamed(name); return ok }

// kernelSettings are what a plain server has, whatever the machine that the lab runs on was
// given: new namespaces inherit some.
var kernelSettings = map[string]string{
	"ip_forward":                   "0",
	"conf/all/rp_filter":           "0",
	"conf/default/rp_filter":       "0",
	"conf/all/arp_ignore":          "0",
	"conf/default/arp_ignore":      "0",
	"conf/all/arp_announce":        "0",
	"conf/default/arp_announce":    "0",
	"conf/default/arp_accept":      "0",
	"icmp_echo_ignore_all":         "0",
	"conf/all/promote_secondaries": "0",
}

// boot runs in a machine's namespace: what its kernel and its distribution set up.
func boot(p port) error {
	for key, value := range kernelSettings {
		if err := os.WriteFile("/proc/sys/net/ipv4/"+key, []byte(value), 0); err != nil {
			return fmt.Errorf("kernel setting: %w", err)
		}
	}
	if err := linkUp("lo"); err != nil {
		return err
	}
	return configure(p)
}

// configure gives the interface its address and its route.
func configure(p port) error {
	link, err := netlink.LinkByName(nodeLink)
	if err != nil {
		return err
	}
	addr, err := netlink.ParseAddr(p.addr.String() + nodeBits)
	if err != nil {
		return err
	}
	if err := netlink.AddrReplace(link, addr); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	_, far, err := net.ParseCIDR(p.far)
	if err != nil {
		return err
	}
	return netlink.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: far, Scope: netlink.SCOPE_LINK})
}

// wipe runs in a machine's namespace and takes away what dies with a kernel: addresses, routes,
// interfaces that software made, neighbours, netfilter's rules and sets.
func wipe() error {
	links, err := netlink.LinkList()
	if err != nil {
		return err
	}
	for _, link := range links {
		switch link.Attrs().Name {
		case "lo":
		case nodeLink:
			if err := wipeLink(link); err != nil {
				return err
			}
		default:
			if err := netlink.LinkDel(link); err != nil && !errors.As(err, new(netlink.LinkNotFoundError)) {
				return fmt.Errorf("delete link %s: %w", link.Attrs().Name, err)
			}
		}
	}
	return run("", "nft", "flush", "ruleset")
}

func wipeLink(link netlink.Link) error {
	if err := netlink.LinkSetDown(link); err != nil {
		return err
	}
	addrs, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		// An address with a lifetime may run out, and a primary takes its secondaries along.
		if err := netlink.AddrDel(link, &a); err != nil && !errors.Is(err, fs.ErrNotExist) && !strings.Contains(err.Error(), "cannot assign") {
			return fmt.Errorf("delete %s: %w", a.IPNet, err)
		}
	}
	return nil
}

// linkUp and linkDown run where the link is.
func linkUp(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	return netlink.LinkSetUp(link)
}

func linkDown(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	return netlink.LinkSetDown(link)
}

// run runs a program of the system in the namespace of the calling thread, with a text as its
// input. A BMC's power switch has a bare environment, so a missing PATH is filled in.
func run(input, name string, args ...string) error {
	if os.Getenv("PATH") == "" {
		os.Setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
	}
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}
