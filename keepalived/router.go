package keepalived

import (
	"fmt"
	"net/netip"
	"time"
)

// router is what one router's configuration says, as far as solevip has words for it.
type router struct {
	source Source
	name   string // router_id at first, then the node's name
	named  Place  // of router_id; zero: there is none

	defaults  defaults
	instances []*instance
	groups    []*syncGroup
	tracked   map[string]statement // scripts, files and processes by kind and name
	used      map[string]bool      // those that are tracked
	log       *journal
}

// defaults are the values of global_defs that instances begin with.
type defaults struct {
	version  int
	iface    string
	checksum bool // v3_checksum_as_v2
	announce announce
}

// announce is keepalived's garp_master_*; nil: not said.
type announce struct {
	repeat         *int
	delay, refresh *time.Duration
}

// instance is a vrrp_instance.
type instance struct {
	router *router
	name   string
	at     Place

	iface     string
	vrid      int
	version   int
	priority  int // 0: not said
	master    bool
	interval  time.Duration
	addresses []address

	unicast bool
	source  netip.Addr
	peers   []netip.Addr

	nopreempt bool
	delay     time.Duration
	checksum  bool // without the pseudo-header
	pass      bool
	announce  announce
	tracks    []tracked
	checks    []check  // made of tracks
	left      []string // what was dropped, for a comment beside the group
}

// address is a line of virtual_ipaddress.
type address struct {
	prefix netip.Prefix
	at     Place
}

// syncGroup is a vrrp_sync_group.
type syncGroup struct {
	name    string
	at      Place
	members []string
	own     *instance // what it tracks and notifies itself
}

func readRouter(s Source, o Options, log *journal) (*router, error) {
	in := &reader{o: o, id: s.ID, macros: map[string]string{}, log: log}
	if err := in.file(s.Path, 0); err != nil {
		return nil, err
	}
	r := &router{source: s, log: log, tracked: map[string]statement{}, used: map[string]bool{}, defaults: defaults{version: 2}}
	all := parse(in.lines, log)
	for _, st := range all { // they hold for instances above them, too
		if st.keyword() == "global_defs" {
			r.globals(st)
		}
	}
	for _, st := range all {
		r.top(st)
	}
	for _, in := range r.instances {
		in.resolve()
	}
	for _, g := range r.groups {
		g.own.resolve()
	}
	r.unused()
	return r, nil
}

func (r *router) note(s statement, f Fate, text string) { r.log.add(s.at, f, s.keyword(), text) }

// top reads a statement outside all blocks.
func (r *router) top(s statement) {
	switch k := s.keyword(); k {
	case "global_defs":
	case "vrrp_instance":
		r.instance(s)
	case "vrrp_sync_group":
		r.syncGroup(s)
	case "vrrp_script", "track_file", "vrrp_track_file", "vrrp_track_process":
		r.tracked[trackers[k]+" "+s.word(0)] = s
	default:
		if text, known := topDropped[k]; known {
			r.note(s, Dropped, text)
			return
		}
		if rule, known := globalRules[k]; known { // keepalived takes some of them outside of global_defs, too
			rule.apply(r, s)
			return
		}
		r.note(s, Unknown, unknownText)
	}
}

// trackers are the blocks that define something to track, and the word for it in messages.
var trackers = map[string]string{
	"vrrp_script": "script", "track_file": "file", "vrrp_track_file": "file", "vrrp_track_process": "process",
}

const unknownText = "is not a keyword of keepalived that is known here; nothing stands for it"

// unused tells of what is defined and tracked by nobody.
func (r *router) unused() {
	for key, s := range r.tracked {
		if r.used[key] {
			r.note(s, Mapped, checksKey)
		} else {
			r.note(s, Dropped, "nothing that was carried over tracks it")
		}
	}
}

func (r *router) globals(s statement) {
	for _, g := range s.body {
		k := g.keyword()
		rule, known := globalRules[k]
		switch {
		case known:
			rule.apply(r, g)
		case k == "linkbeat_use_polling":
			r.note(g, Dropped, topDropped["linkbeat_interfaces"])
		default:
			r.note(g, Unknown, unknownText)
		}
	}
}

// syncGroup reads the instances that move together.
func (r *router) syncGroup(s statement) {
	g := &syncGroup{name: s.word(0), at: s.at, own: &instance{router: r}}
	for _, m := range s.body {
		switch k := m.keyword(); k {
		case "group":
			for _, name := range m.body {
				g.members = append(g.members, name.words...)
			}
			r.note(m, Mapped, "groups.GROUP.instances: they move together")
		default:
			rule, known := instanceRules[k]
			if !known || !groupKeywords[k] {
				r.note(m, Unknown, unknownText)
				continue
			}
			rule(g.own, m)
		}
	}
	r.note(s, Mapped, "groups."+entryName(g.name, groupLength, "group"))
	r.groups = append(r.groups, g)
}

// groupKeywords are those of an instance that a vrrp_sync_group has, too.
var groupKeywords = map[string]bool{
	"track_interface": true, "track_script": true, "track_file": true, "track_process": true, "track_bfd": true,
	"notify_master": true, "notify_backup": true, "notify_fault": true, "notify_stop": true, "notify": true,
	"notify_deleted": true, "notify_priority_changes": true, "smtp_alert": true, "global_tracking": true,
	"sync_group_tracking_weight": true,
}

// maxInstances is more than one machine can run.
const maxInstances = 4096

func (r *router) instance(s statement) {
	in := &instance{
		router: r, name: s.word(0), at: s.at, version: r.defaults.version, interval: time.Second, checksum: r.defaults.checksum,
		announce: r.defaults.announce,
	}
	for _, m := range s.body { // addresses say whether they are on another one
		if m.keyword() == "interface" {
			in.readInterface(m)
		}
	}
	for _, m := range s.body {
		k := m.keyword()
		rule, known := instanceRules[k]
		if !known {
			r.note(m, Unknown, unknownText)
			continue
		}
		rule(in, m)
	}
	if len(r.instances) >= maxInstances {
		in.drop(s, fmt.Sprintf("the virtual router is left out: there are more than %d", maxInstances))
		return
	}
	if in.usable(s) {
		in.settle(s)
		r.instances = append(r.instances, in)
	}
}

// usable reports whether there is enough to make an instance of, and says what is missing.
func (in *instance) usable(s statement) bool {
	switch {
	case in.vrid == 0:
		in.drop(s, "the virtual router is left out: it has no virtual_router_id from 1 to 255")
	case len(in.addresses) == 0:
		in.drop(s, "the virtual router is left out: no IPv4 address of it can be carried over")
	default:
		return true
	}
	return false
}

// settle makes the values agree with each other, as keepalived does once it has read everything.
func (in *instance) settle(s statement) {
	if in.iface == "" {
		in.iface = in.router.defaults.iface
		if in.iface == "" {
			in.iface = "eth0"
		}
		in.change(s, fmt.Sprintf("it has no interface; %s is written, see that this is right", in.iface))
	}
	switch {
	case in.priority == 0 && in.master:
		in.priority = 254
		in.change(s, "state MASTER without a priority made it an address owner (255); it gets the highest priority, 254")
	case in.priority == 0:
		in.priority = 100
	}
	in.settleInterval(s)
	if in.pass && in.version == 3 {
		in.pass = false
		in.drop(s, "version 3 has no authentication; keepalived ignores it there, too")
	}
	if in.checksum && in.version == 2 {
		in.checksum = false
	}
	if in.delay > 0 && in.nopreempt {
		in.delay = 0
		in.change(s, "preempt_delay has nothing to delay beside nopreempt")
	}
}

// settleInterval holds the interval to what the version can say: whole seconds up to 255, or hundredths up to 40.95 s.
func (in *instance) settleInterval(s statement) {
	was := in.interval
	if in.version == 2 {
		in.interval = min(max(was.Round(time.Second), time.Second), 255*time.Second)
	} else {
		in.interval = min(max(was.Round(10*time.Millisecond), 10*time.Millisecond), 4095*10*time.Millisecond)
	}
	if in.interval != was {
		in.change(s, fmt.Sprintf("advert_int %v is nothing that version %d can say; it becomes %v", was, in.version, in.interval))
	}
}

func (in *instance) mapped(s statement, key string) { in.router.note(s, Mapped, key) }
func (in *instance) change(s statement, text string) {
	in.router.note(s, Changed, in.label()+text)
}
func (in *instance) drop(s statement, text string) { in.router.note(s, Dropped, in.label()+text) }

// label names the instance in a message; keywords of sync groups have none.
func (in *instance) label() string {
	if in.name == "" {
		return ""
	}
	return in.name + ": "
}
