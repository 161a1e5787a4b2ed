package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/cert"
	"github.com/solevip/solevip/claim"
	"github.com/solevip/solevip/config"
	"github.com/solevip/solevip/daemon"
	"github.com/solevip/solevip/fence"
	"github.com/solevip/solevip/fence/ipmi"
	"github.com/solevip/solevip/fence/redfish"
	"github.com/solevip/solevip/fence/script"
	"github.com/solevip/solevip/fence/webhook"
	"github.com/solevip/solevip/hook"
	"github.com/solevip/solevip/raftnode"
	"github.com/solevip/solevip/vip"
	"github.com/solevip/solevip/vrrp"
	"github.com/solevip/solevip/vrrp/conn"
)

// wiring translates the file to each package's options and starts the adapters.
type wiring struct {
	conf  config.Config
	node  string
	boot  arbiter.Boot
	flags runFlags
	log   *slog.Logger
	undo  *stack
	fail  context.CancelCauseFunc
	links map[string]link

	agents *agents
}

// options are the daemon's, with every adapter started.
func (w *wiring) options(ctx context.Context) (daemon.Options, error) {
	self, _ := w.conf.Node(w.node) // config checked that it is there
	o := daemon.Options{
		Node: w.node, Cluster: w.conf.Cluster.Name, Version: version(), Boot: w.boot, Arbiter: self.Role == config.Arbiter,
		TTL: w.conf.Timing.TTL, Margin: w.conf.Timing.Margin, RunDir: w.flags.runDir, Clock: daemon.Clock, Log: w.log,
		Reachable: w.reachable, Shared: shared(w.conf),
		RejoinManually: self.Rejoin == config.RejoinManual,
	}
	for _, p := range w.conf.Warnings {
		o.Warnings = append(o.Warnings, p.String())
	}
	for _, n := range w.conf.Cluster.Nodes {
		o.Nodes = append(o.Nodes, daemon.Node{Name: n.Name, Arbiter: n.Role == config.Arbiter, Address: n.Address, Adverts: w.adverts(n.Name)})
	}
	err := trusted(w.conf, w.node)
	if err != nil {
		return o, err
	}
	if o.Fencing, err = w.fencing(ctx); err != nil {
		return o, err
	}
	if !o.Arbiter {
		if o.Kernel, err = w.kernel(); err != nil {
			return o, err
		}
	}
	for _, g := range w.conf.Groups {
		dg, err := w.group(g, o.Arbiter)
		if err != nil {
			return o, fmt.Errorf("group %s: %w", g.Name, err)
		}
		o.Groups = append(o.Groups, dg)
	}
	if w.conf.Protected() {
		if o.Ledger, err = w.ledger(ctx); err != nil {
			return o, err
		}
	}
	return o, nil
}

// adverts are the addresses that a node's adverts are known to come from.
func (w *wiring) adverts(node string) (out []netip.Addr) {
	for _, g := range w.conf.Groups {
		for _, in := range g.Instances {
			if a, known := in.UnicastAddresses[node]; known {
				out = append(out, a)
			}
		}
	}
	return out
}

// ledger starts the backend that the file names.
func (w *wiring) ledger(ctx context.Context) (daemon.Arbiter, error) {
	switch {
	case w.conf.Ledger.Etcd != nil:
		return w.etcd(ctx)
	case len(w.conf.Ledger.Arbiters) > 0:
		return w.remote()
	}
	return w.raft(ctx)
}

// raft starts the embedded Raft.
func (w *wiring) raft(ctx context.Context) (daemon.Arbiter, error) {
	o := raftnode.Options{
		Self: w.node, Cluster: w.conf.Cluster.Name, Dir: w.flags.stateDir, Insecure: w.conf.Cluster.Insecure,
		TTL: w.conf.Timing.TTL, Log: w.log.With("component", "ledger"),
	}
	for _, n := range w.conf.Cluster.Nodes {
		o.Peers = append(o.Peers, raftnode.Peer{
			Name: n.Name, Address: netip.AddrPortFrom(n.Address, w.conf.Cluster.Port).String(), Arbiter: n.Role == config.Arbiter,
		})
	}
	if !o.Insecure {
		t := w.conf.Cluster.TLS.For(w.node)
		var err error
		if o.TLS, err = cert.Load(t.CA, t.Cert, t.Key); err != nil {
			return nil, hint{err, "make the files with solevip cert init and solevip cert issue " + w.node}
		}
	}
	n, err := raftnode.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	w.undo.onStop("ledger", n.Close)
	go func() { // ends with the process, or with the ledger's failure
		if err, ok := <-n.Failed(); ok {
			w.fail(broken{fmt.Errorf("ledger: %w", err)})
		}
	}()
	return ledger{n}, nil
}

// ledger is raftnode as the daemon sees it.
type ledger struct{ *raftnode.Node }

func (l ledger) Status() daemon.LedgerStatus {
	s := l.Node.Status()
	return daemon.LedgerStatus{Leader: s.Leader, Quorum: s.Quorum, Problem: s.Problem, Voters: s.Voters, Warnings: s.Strangers}
}

// AddNode implements daemon.Members.
func (l ledger) AddNode(ctx context.Context, node string) ([]string, bool, error) {
	m, err := l.Node.AddNode(ctx, node)
	return m.Voters, m.Changed, err
}

// RemoveNode implements daemon.Members.
func (l ledger) RemoveNode(ctx context.Context, node string) ([]string, bool, error) {
	m, err := l.Node.RemoveNode(ctx, node)
	return m.Voters, m.Changed, err
}

// kernel opens the guard for every group that this node may hold.
func (w *wiring) kernel() (daemon.Kernel, error) {
	addresses := map[string][]vip.Address{}
	for _, g := range w.conf.Groups {
		if !g.MayHold(w.node) {
			continue
		}
		for _, in := range g.Instances {
			for _, p := range in.Addresses {
				addresses[g.Name] = append(addresses[g.Name], vip.Address{Prefix: p, Interface: in.Interface[w.node]})
			}
		}
	}
	name := w.conf.Cluster.Name
	if name == "" {
		name = "default"
	}
	k, err := vip.Open(vip.Options{Name: name, Addresses: addresses, Clock: daemon.Clock, Slew: daemon.Slew, Log: w.log.With("component", "vip")})
	if err != nil {
		return nil, hint{fmt.Errorf("kernel: %w", err), "run needs root, or CAP_NET_ADMIN and CAP_NET_RAW"}
	}
	w.undo.onStop("kernel", k.Close)
	return kernel{k}, nil
}

// kernel is vip as the daemon sees it.
type kernel struct{ *vip.Kernel }

func (k kernel) Bind(p ...claim.Permit) error                { return perGroup(k.Kernel.Bind(p...)) }
func (k kernel) Unbind(groups ...string) error               { return perGroup(k.Kernel.Unbind(groups...)) }
func (k kernel) Changed(ctx context.Context) <-chan struct{} { return k.Kernel.Watch(ctx) }

// Sweep names the groups that are up without a permit afterwards: those that were adopted.
func (k kernel) Sweep(keep []string) (kept []string, err error) {
	if err := k.Kernel.Sweep(keep); err != nil || len(keep) == 0 {
		return nil, err
	}
	s, err := k.Kernel.Status()
	for _, g := range s.Groups {
		if g.Until > 0 {
			kept = append(kept, g.Group)
		}
	}
	return kept, err
}

func (k kernel) Reconcile() (mended []string, err error) {
	changes, err := k.Kernel.Reconcile()
	for _, c := range changes {
		mended = append(mended, c.String())
	}
	return mended, err
}

// groupErrors is an error that knows which groups it is about.
type groupErrors struct{ error }

func (e groupErrors) FailedGroups() []string { return vip.FailedGroups(e.error) }
func (e groupErrors) Unwrap() error          { return e.error }

func perGroup(err error) error {
	if err == nil {
		return nil
	}
	return groupErrors{err}
}

// group translates a group and opens the sockets of its instances.
func (w *wiring) group(g config.Group, arbiterNode bool) (daemon.Group, error) {
	out := daemon.Group{
		Name: g.Name, Protection: arbiter.Protection(g.Protection), Accept: acceptOf(g), Member: !arbiterNode && g.MayHold(w.node), Priority: map[string]uint8{},
		Promote: hookOf(g.Hooks.Promote), Demote: hookOf(g.Hooks.Demote), Post: hookOf(g.Hooks.Post),
		Announce: daemon.Announce{Repeat: g.Announce.Repeat, Delay: g.Announce.Delay, Refresh: g.Announce.Refresh},
	}
	for _, m := range g.Members {
		out.Priority[m] = g.Priority[m]
	}
	if out.Member {
		var err error
		if out.Checks, err = w.checks(g); err != nil {
			return out, err
		}
	}
	for _, in := range g.Instances {
		for _, p := range in.Addresses {
			out.Addresses = append(out.Addresses, p.String())
		}
		if !out.Member {
			continue
		}
		i, err := w.instance(g, in)
		if err != nil {
			return out, err
		}
		out.Instances = append(out.Instances, i)
	}
	return out, nil
}

// acceptOf is a group's policy; the default has no words of its own in the ledger.
func acceptOf(g config.Group) arbiter.Accept {
	var kinds []arbiter.Evidence
	for _, k := range g.Accept {
		kinds = append(kinds, arbiter.Evidence(k))
	}
	return arbiter.AcceptOf(kinds...)
}

func hookOf(h config.Hook) hook.Hook {
	return hook.Hook{Path: h.Path, Args: h.Args, Timeout: h.Timeout}
}

// instance opens the socket of one virtual router, or shares one that is open.
func (w *wiring) instance(g config.Group, in config.Instance) (daemon.Instance, error) {
	o := conn.Options{Interface: in.Interface[w.node], Log: w.log.With("component", "vrrp")}
	if in.Unicast {
		o.Source = in.UnicastAddresses[w.node]
		for _, m := range g.Members {
			if m != w.node {
				o.Peers = append(o.Peers, in.UnicastAddresses[m])
			}
		}
	}
	l, err := w.link(o)
	if err != nil {
		return daemon.Instance{}, err
	}
	r := vrrp.Config{
		VRID: in.VRID, Priority: g.Priority[w.node], Interval: in.AdvertInterval, Version: vrrp.Version(in.Version),
		Address: l.Source(), Protected: g.Protection != config.ProtectVRRP, Preempt: g.Preempt, PreemptDelay: g.PreemptDelay,
	}
	if in.Checksum == config.NoPseudoHeader {
		r.Checksum = vrrp.WithoutPseudoHeader
	}
	if in.Auth != nil {
		r.Auth = vrrp.Pass(in.Auth.Password.Reveal())
	}
	for _, p := range in.Addresses {
		r.Addresses = append(r.Addresses, p.Addr())
	}
	if err := r.Check(); err != nil {
		return daemon.Instance{}, fmt.Errorf("instance %d on %s: %w", in.VRID, o.Interface, err)
	}
	return daemon.Instance{Link: l, Router: r}, nil
}

// link is a VRRP socket as the daemon sees it.
type link struct{ *conn.Conn }

func (l link) Send(a vrrp.Advert) error { return l.Conn.Send(a) }

func (l link) Run(ctx context.Context, deliver func(vrrp.Advert, netip.Addr)) error {
	return l.Conn.Run(ctx, func(r conn.Received) { deliver(r.Advert, r.From) })
}

func (w *wiring) link(o conn.Options) (link, error) {
	key := fmt.Sprint(o.Interface, o.Source, o.Peers)
	if l, open := w.links[key]; open {
		return l, nil
	}
	c, err := conn.Listen(o)
	if err != nil {
		return link{}, fmt.Errorf("VRRP on %s: %w", o.Interface, err)
	}
	w.undo.onStop("VRRP on "+o.Interface, c.Close)
	if w.links == nil {
		w.links = map[string]link{}
	}
	w.links[key] = link{c}
	return w.links[key], nil
}

// fencing makes the plan of every node that has devices.
func (w *wiring) fencing(ctx context.Context) (map[string]*fence.Plan, error) {
	out := map[string]*fence.Plan{}
	for _, f := range w.conf.Fencing {
		if self, _ := w.conf.Node(w.node); f.Node == w.node || self.Role == config.Arbiter {
			continue // nobody fences itself and arbiters nobody; their machines don't read the secrets
		}
		var levels []fence.Level
		b := fence.Budgets{Total: f.Timeout, Confirm: f.VerifyPause}
		for _, devices := range f.Levels {
			var level fence.Level
			for _, d := range devices {
				made, err := w.device(ctx, d)
				if err != nil {
					return nil, fmt.Errorf("fencing of %s: %w", f.Node, err)
				}
				level = append(level, made)
				b.Call = max(b.Call, d.Timeout())
			}
			levels = append(levels, level)
		}
		b.Device = min(b.Total, 2*b.Call+b.Confirm)
		plan, err := fence.NewPlan(levels, b)
		if err != nil {
			return nil, fmt.Errorf("fencing of %s: %w", f.Node, err)
		}
		out[f.Node] = plan
	}
	return out, nil
}

func (w *wiring) device(ctx context.Context, d config.Device) (fence.Device, error) {
	switch {
	case d.IPMI != nil:
		return ipmi.New(ipmi.Options{
			Address: d.IPMI.Address, Username: d.IPMI.Username, Password: d.IPMI.Password.Reveal(), Ciphers: d.IPMI.Ciphers,
			Privilege: d.IPMI.Privilege,
		})
	case d.Redfish != nil:
		return redfishDevice(d.Redfish)
	case d.Agent != nil:
		return w.agents.device(ctx, *d.Agent)
	case d.Script != nil:
		return script.New(script.Options{Path: d.Script.Path, Args: d.Script.Args, Timeout: d.Script.Timeout})
	}
	return webhookDevice(d.Webhook)
}

func redfishDevice(r *config.Redfish) (fence.Device, error) {
	o := redfish.Options{
		Address: r.Address, Username: r.Username, Password: r.Password.Reveal(), Fingerprint: r.Fingerprint,
		ServerName: r.ServerName, System: r.System, UUID: r.UUID, Timeout: r.Timeout,
	}
	var err error
	if o.CA, err = authority(r.CAFile); err != nil {
		return nil, err
	}
	return redfish.New(o)
}

// authority is a file of certificates; none when no file is named.
func authority(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	return pem, nil
}

func webhookDevice(h *config.Webhook) (fence.Device, error) {
	o := webhook.Options{URL: h.URL, Method: h.Method, Headers: http.Header{}, TrustAck: h.TrustAck, Timeout: h.Timeout}
	for _, line := range h.Headers {
		o.Headers.Add(line.Name, line.Value.Reveal())
	}
	var err error
	if o.CA, err = authority(h.CAFile); err != nil {
		return nil, err
	}
	if h.Status != nil {
		o.Status = &webhook.Status{URL: h.Status.URL, Method: h.Status.Method, Off: h.Status.Off}
	}
	return webhook.New(o)
}

// reachable reports whether a node's machine answers at its cluster port. To refuse a connection
// is to answer: then the daemon is gone, and the kernel, and whatever it serves, is not.
func (w *wiring) reachable(ctx context.Context, node string) bool {
	n, ok := w.conf.Node(node)
	if !ok || !n.Address.IsValid() {
		return false
	}
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(n.Address.String(), strconv.Itoa(int(w.conf.Cluster.Port))))
	if err != nil {
		return errors.Is(err, syscall.ECONNREFUSED)
	}
	c.Close() // it was the answer that counted
	return true
}
