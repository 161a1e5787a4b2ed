package keepalived

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

const (
	noVMAC   = "addresses are bound with the interface's own MAC, and neighbours are told by gratuitous ARP when they move"
	noRoutes = "routes and rules don't move with the group in this version: set them in a promote hook, and take them back in a demote hook"
	noNotify = "solevip doesn't call it; a promote hook runs before the addresses come, a demote hook before they go, and a post hook after they came, each with its stage as the first argument"
)

// instanceRules says what becomes of the keywords of a vrrp_instance.
var instanceRules = func() map[string]func(*instance, statement) {
	t := map[string]func(*instance, statement){
		"interface":         func(*instance, statement) {}, // was read first
		"virtual_router_id": (*instance).readVRID,
		"priority":          (*instance).readPriority,
		"version":           (*instance).readVersion,
		"advert_int":        (*instance).readInterval,
		"state":             (*instance).readState,
		"authentication":    (*instance).readAuth,
		"unicast_peer":      (*instance).readPeers,
		"unicast_src_ip":    (*instance).readSource,
		"mcast_src_ip":      dropped("adverts leave from the interface's first address"),
		"nopreempt": func(in *instance, s statement) {
			in.nopreempt = true
			in.mapped(s, "groups.GROUP.preempt: false, the default")
		},
		"preempt":       mapped("groups.GROUP.preempt"),
		"preempt_delay": (*instance).readDelay,
		"v3_checksum_as_v2": func(in *instance, s statement) {
			in.checksum = truth(s.word(0))
			in.mapped(s, "groups.GROUP.instances[].checksum")
		},
		"virtual_ipaddress": func(in *instance, s statement) {
			in.readAddresses(s)
			in.mapped(s, "groups.GROUP.instances[].addresses")
		},
		"accept":              mapped("solevip always answers at its addresses"),
		"check_unicast_src":   mapped(sameGuard),
		"promote_secondaries": mapped("addresses are bound so that none goes with another"),

		"unicast_fault_no_peer": mapped(sameGuard),
		"virtual_ipaddress_excluded": func(in *instance, s statement) {
			in.readAddresses(s)
			in.change(s, "these addresses go into the adverts, too: routers that keepalived still runs want the same list, so move all routers at once")
		},
		"garp_master_repeat":  func(in *instance, s statement) { in.router.garp(s, &in.announce, in.label()) },
		"garp_master_delay":   func(in *instance, s statement) { in.router.garp(s, &in.announce, in.label()) },
		"garp_master_refresh": func(in *instance, s statement) { in.router.garp(s, &in.announce, in.label()) },

		"no_accept":                  dropped("solevip answers at its addresses"),
		"no_virtual_ipaddress":       dropped("a virtual router without addresses can't be written"),
		"track_script":               track("script"),
		"track_file":                 track("file"),
		"track_process":              track("process"),
		"track_interface":            track("interface"),
		"mcast_dst_ip":               dropped("adverts go to 224.0.0.18: routers that use another group won't hear this one, and both would be active"),
		"unicast_ttl":                dropped("adverts have the TTL 255, and others are not accepted (RFC 9568 section 5.1.1.3): routers must be on one LAN"),
		"track_src_ip":               dropped("an interface without its address is noticed when the daemon starts"),
		"vrf":                        dropped("name the interface itself"),
		"down_timer_adverts":         dropped("an active router counts as down after three adverts that didn't come"),
		"strict_mode":                dropped("solevip is strict where the standard is"),
		"track_bfd":                  dropped("BFD is not in this version: a silent router is noticed by its adverts"),
		"dont_track_primary":         mapped("the interface of the adverts is tracked only where a check says so"),
		"lvs_sync_daemon_interface":  dropped(noLVS),
		"smtp_alert":                 dropped(noMail),
		"notify_priority_changes":    dropped(noFIFO),
		"auth_hmac":                  dropped("HMAC of keepalived 2.4 is not known: routers that want it won't accept these adverts, and both would be active"),
		"timer_expired_backup":       dropped("a daemon that was stopped for too long loses its addresses by itself, in the kernel"),
		"thread_timer_expired":       dropped("a daemon that was stopped for too long loses its addresses by itself, in the kernel"),
		"owner_ignore_adverts":       dropped("an address owner (255) becomes a router of priority 254 here, which listens"),
		"native_ipv6":                dropped("it has no effect in keepalived either"),
		"debug":                      dropped("it has no effect in keepalived either; write log: {level: debug}"),
		"sync_group_tracking_weight": mapped("weights of a sync group count"),
		"global_tracking":            dropped("it has no effect in keepalived either"),
		"old_unicast_checksum":       dropped("the checksum before keepalived 1.3.6 is not sent"),
	}
	for text, words := range map[string]string{
		noVMAC:                                  "use_vmac use_vmac_addr vmac_xmit_base use_ipvlan",
		noPacing:                                "garp_master_refresh_repeat garp_lower_prio_delay garp_lower_prio_repeat garp_extra_if vmac_garp_intvl",
		"adverts are answered as RFC 9568 says": "lower_prio_no_advert higher_prio_send_advert skip_check_adv_addr",
		noBuffers:                               "kernel_rx_buf_size linkbeat_use_polling",
	} {
		for _, w := range strings.Fields(words) {
			t[w] = dropped(text)
		}
	}
	for text, words := range map[string]string{
		noRoutes: "virtual_routes virtual_rules",
		noNotify: "notify_master notify_backup notify_fault notify_stop notify_deleted notify notify_master_rx_lower_pri",
	} {
		for _, w := range strings.Fields(words) {
			t[w] = remembered(text)
		}
	}
	return t
}()

func mapped(key string) func(*instance, statement) {
	return func(in *instance, s statement) { in.mapped(s, key) }
}

func dropped(text string) func(*instance, statement) {
	return func(in *instance, s statement) { in.drop(s, text) }
}

// remembered drops a statement that somebody will want to replace: it stays as a comment.
func remembered(text string) func(*instance, statement) {
	return func(in *instance, s statement) {
		in.drop(s, text)
		if s.block && len(s.body) == 0 {
			return
		}
		if len(s.words) > 1 {
			in.left = append(in.left, strings.Join(s.words, " "))
		}
		for _, b := range s.body {
			in.left = append(in.left, s.keyword()+" "+strings.Join(b.words, " "))
		}
	}
}

func (in *instance) readInterface(s statement) {
	if in.iface = interfaceName(s.word(0)); in.iface == "" {
		in.drop(s, fmt.Sprintf("%q is not the name of an interface", s.word(0)))
		return
	}
	in.mapped(s, "groups.GROUP.instances[].interface")
}

// interfaceName is a name that the kernel allows (dev_valid_name), or "".
func interfaceName(s string) string {
	bad := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`/:"\*`, r) }
	if len(s) > 15 || s == "." || s == ".." || strings.ContainsFunc(s, bad) {
		return ""
	}
	return s
}

func (in *instance) readVRID(s statement) {
	n, err := strconv.Atoi(s.word(0))
	if err != nil || n < 1 || n > 255 {
		in.drop(s, fmt.Sprintf("%q is not a number from 1 to 255", s.word(0)))
		return
	}
	in.vrid = n
	in.mapped(s, "groups.GROUP.instances[].vrid")
}

func (in *instance) readPriority(s statement) {
	n, err := strconv.Atoi(s.word(0))
	switch {
	case err != nil || n < 1 || n > 255:
		in.drop(s, fmt.Sprintf("%q is not a number from 1 to 255; 100 is taken", s.word(0)))
	case n == 255:
		in.priority = 254
		in.change(s, "255 is for the owner of the addresses, whose own they are; it becomes 254")
	default:
		in.priority = n
		in.mapped(s, "groups.GROUP.priority")
	}
}

func (in *instance) readState(s statement) {
	in.master = strings.EqualFold(s.word(0), "MASTER")
	in.drop(s, "the priorities decide alone; keepalived's MASTER begins as a backup, too, and is active a moment later")
}

func (in *instance) readVersion(s statement) {
	if v := s.word(0); v != "2" && v != "3" {
		in.drop(s, fmt.Sprintf("%q is not a version of VRRP", v))
		return
	}
	in.version = int(s.word(0)[0] - '0')
	in.mapped(s, "groups.GROUP.instances[].version")
}

func (r *router) version(s statement) {
	if s.word(0) == "3" {
		r.defaults.version = 3
	}
}

func (in *instance) readInterval(s statement) {
	d, ok := seconds(s.word(0))
	if !ok || d <= 0 {
		in.drop(s, fmt.Sprintf("%q is not a number of seconds; 1 is taken", s.word(0)))
		return
	}
	in.interval = d
	in.mapped(s, "groups.GROUP.instances[].advert_interval")
}

func (in *instance) readDelay(s statement) {
	d, ok := seconds(s.word(0))
	if !ok || d > 1000*time.Second {
		in.drop(s, fmt.Sprintf("%q is not a number of seconds up to 1000", s.word(0)))
		return
	}
	in.delay = d
	in.mapped(s, "groups.GROUP.preempt_delay")
}

// seconds reads a <TIMER>: seconds with a fraction.
func seconds(s string) (time.Duration, bool) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || f < 0 || f > 1e6 {
		return 0, false
	}
	return time.Duration(math.Round(f*1e6)) * time.Microsecond, true
}

// truth reads a <BOOL>; a keyword alone is true.
func truth(s string) bool { return s != "off" && s != "false" && s != "no" }

// readAuth never tells the password, and writes the place of a file instead.
func (in *instance) readAuth(s statement) {
	kind, password := "", false
	for _, m := range s.body {
		switch m.keyword() {
		case "auth_type":
			kind = strings.ToUpper(m.word(0))
		case "auth_pass":
			password = m.word(0) != ""
		default:
			in.router.note(m, Unknown, unknownText)
		}
	}
	switch {
	case kind == "AH":
		in.drop(s, "IPSEC-AH is not spoken: routers that want it won't accept these adverts, and both would be active; use PASS, or none, on all of them first")
	case kind == "PASS" && password:
		in.pass = true
		in.change(s, "no password stands in solevip's file: write it into the password_file, mode 0600, on every node. It protects nothing from attackers")
	default:
		in.drop(s, "there is no auth_type with a password")
	}
}

func (in *instance) readPeers(s statement) {
	in.unicast = true
	for _, p := range s.body {
		a, err := netip.ParseAddr(p.keyword())
		if err != nil || !a.Is4() {
			in.router.note(p, Dropped, in.label()+"is not an IPv4 address of a peer")
			continue
		}
		in.peers = append(in.peers, a)
		if len(p.words) > 1 {
			in.router.note(p, Dropped, in.label()+"TTLs other than 255 are not accepted, so peers need no limits")
		}
	}
	in.mapped(s, "groups.GROUP.instances[].unicast, and unicast_addresses")
}

func (in *instance) readSource(s statement) {
	a, err := netip.ParseAddr(s.word(0))
	if err != nil || !a.Is4() {
		in.drop(s, fmt.Sprintf("%q is not an IPv4 address", s.word(0)))
		return
	}
	in.source = a
	in.mapped(s, "groups.GROUP.instances[].unicast_addresses")
}

// garp reads one of garp_master_repeat, _delay and _refresh.
func (r *router) garp(s statement, to *announce, label string) {
	d, ok := seconds(s.word(0))
	if !ok {
		r.note(s, Dropped, label+fmt.Sprintf("%q is not a number", s.word(0)))
		return
	}
	switch key := s.keyword(); {
	case strings.HasSuffix(key, "repeat"):
		n := min(max(int(d/time.Second), 1), 100)
		to.repeat = &n
		r.note(s, Mapped, "groups.GROUP.announce.repeat")
	case strings.HasSuffix(key, "delay"):
		d = min(d, time.Hour)
		to.delay = &d
		r.note(s, Mapped, "groups.GROUP.announce.delay")
	default:
		d = min(d, 24*time.Hour)
		to.refresh = &d
		r.note(s, Mapped, "groups.GROUP.announce.refresh")
	}
}
