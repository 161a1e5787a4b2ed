package remote_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/arbiter/remote"
	"github.com/solevip/solevip/cert"
	"github.com/solevip/solevip/raftnode/wire"
)

// call greets the leader with any certificate and greeting, and asks one thing. The error is the
// handshake's, the greeting's or the answer's.
func call(t *testing.T, q *quorum, conf *tls.Config, kind byte, g wire.Greeting, req wire.Request) (wire.Reply, error) {
	t.Helper()
	var r wire.Reply
	address := ""
	for leader := q.leader(); address == ""; {
		for _, p := range q.peers {
			if p.Name == leader {
				address = p.Address
			}
		}
	}
	raw, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if err := raw.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	c := tls.Client(raw, conf)
	if err := c.Handshake(); err != nil {
		return r, err
	}
	if _, err := c.Write([]byte{kind}); err != nil {
		return r, err
	}
	if err := wire.Write(c, g, wire.MaxGreeting); err != nil {
		return r, err
	}
	var w wire.Welcome
	if err := wire.Read(c, &w, wire.MaxGreeting); err != nil {
		return r, err
	}
	if w.Error != "" {
		return r, errors.New(w.Error)
	}
	if err := wire.Write(c, req, wire.MaxRequest); err != nil {
		return r, err
	}
	if err := wire.Read(c, &r, wire.MaxReply); err != nil {
		return r, err
	}
	if r.Code != wire.OK {
		return r, fmt.Errorf("%s: %s", r.Code, r.Text)
	}
	return r, nil
}

// The handshake of a refused client ends when the server's answer comes, or on the next read.
const anyError = ""

func TestAClusterCannotReachAnothersSpace(t *testing.T) {
	q := newQuorum(t, shortTTL)
	shop := q.guest("shop", "db1")
	propose(t, shop, arbiter.Register{Boot: boot("db1")})
	before := propose(t, shop, arbiter.Take{Group: "mysql", Boot: boot("db1"), Protection: arbiter.ProtectFence})

	bank := q.admit("bank", "db1")
	elsewhere := filepath.Join(t.TempDir(), "pki")
	if _, err := cert.Init(elsewhere, "others"); err != nil {
		t.Fatal(err)
	}
	f, err := cert.Admit(elsewhere, "shop", "db1")
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := cert.LoadGuest(f.CA, f.Cert, f.Key)
	if err != nil {
		t.Fatal(err)
	}
	trusting := foreign.Client.Clone()
	trusting.VerifyConnection = nil // it wants in, whoever answers
	plain := bank.Client.Clone()
	plain.GetClientCertificate = q.own("arb1").Client.GetClientCertificate
	none := bank.Client.Clone()
	none.GetClientCertificate = nil

	release := wire.Request{ID: 1, Ask: wire.AskPropose, Body: body(t, wire.Proposal{Command: arbiter.Encode(arbiter.Release{Group: "mysql", Boot: boot("db1"), Epoch: 1})})}
	onBehalf := wire.Request{ID: 1, Ask: "propose-for", Body: body(t, map[string]any{"space": "shop", "guest": "db1", "command": arbiter.Encode(arbiter.Beat{Boot: boot("db1")})})}
	readFor := wire.Request{ID: 1, Ask: "read-for", Body: body(t, map[string]any{"space": "shop", "guest": "db1"})}
	as := func(cluster, node string) wire.Greeting {
		return wire.Greeting{Version: wire.Version, Cluster: cluster, From: node}
	}
	node := wire.Greeting{Version: wire.Version, Cluster: "arbiters", From: "db1", To: q.leader()}
	for _, row := range []struct {
		name string
		conf *tls.Config
		kind byte
		g    wire.Greeting
		req  wire.Request
		want string
	}{
		{"it says that it is of the other cluster", bank.Client, wire.KindGuest, as("shop", "db1"), release, `is for node "db1" of cluster "bank"`},
		{"it says that it is another node", bank.Client, wire.KindGuest, as("bank", "db2"), release, "not for \"db2\""},
		{"it asks on behalf of the other cluster", bank.Client, wire.KindGuest, as("bank", "db1"), onBehalf, "denied"},
		{"it reads on behalf of the other cluster", bank.Client, wire.KindGuest, as("bank", "db1"), readFor, "denied"},
		{"it asks who the arbiters are", bank.Client, wire.KindGuest, as("bank", "db1"), wire.Request{ID: 1, Ask: wire.AskHello}, "denied"},
		{"it wants to become an arbiter", bank.Client, wire.KindGuest, as("bank", "db1"), wire.Request{ID: 1, Ask: wire.AskReadmit}, "denied"},
		{"it comes as a node of the arbiters", bank.Client, wire.KindRequest, node, onBehalf, "guest's"},
		{"it comes as a Raft stream", bank.Client, wire.KindRaft, node, release, "guest's"},
		{"its certificate names no cluster", plain, wire.KindGuest, as("shop", "db1"), release, "names no cluster"},
		{"its certificate is of another authority", trusting, wire.KindGuest, as("shop", "db1"), release, anyError},
		{"it has no certificate", none, wire.KindGuest, as("shop", "db1"), release, anyError},
		{"it acts in another node's name", bank.Client, wire.KindGuest, as("bank", "db1"),
			wire.Request{ID: 1, Ask: wire.AskPropose, Body: body(t, wire.Proposal{Command: arbiter.Encode(arbiter.Register{Boot: boot("db2")})})}, "as itself"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if r, err := call(t, q, row.conf, row.kind, row.g, row.req); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %s, %v; want %q", r.Body, err, row.want)
			}
		})
	}
	t.Run("its own release, read and watch see nothing of the other", func(t *testing.T) {
		r, err := call(t, q, bank.Client, wire.KindGuest, as("bank", "db1"), release)
		if err != nil || !strings.Contains(string(r.Body), string(arbiter.Unregistered)) || strings.Contains(string(r.Body), "mysql\":") {
			t.Errorf("release: %s, %v", r.Body, err)
		}
		for _, ask := range []string{wire.AskRead, wire.AskWatch} {
			r, err := call(t, q, bank.Client, wire.KindGuest, as("bank", "db1"), wire.Request{ID: 1, Ask: ask})
			if err != nil || strings.Contains(string(r.Body), "db1") {
				t.Errorf("%s: %s, %v", ask, r.Body, err)
			}
		}
	})
	if d := cmp.Diff(before, read(t, shop)); d != "" {
		t.Errorf("the ledger of the other cluster changed (-before +after):\n%s", d)
	}
}

// db2 of each cluster watches db1, and takes over when it stands still; the other cluster goes on.
func TestTwoClustersFailOverIndependently(t *testing.T) {
	q := newQuorum(t, shortTTL)
	clusters := []string{"shop", "bank"}
	nodes := map[string]*remote.Ledger{}
	for _, c := range clusters {
		for _, n := range []string{"db1", "db2"} {
			nodes[c+n] = q.guest(c, n)
			propose(t, nodes[c+n], arbiter.Register{Boot: boot(n)})
		}
		propose(t, nodes[c+"db1"], arbiter.Take{Group: "mysql", Boot: boot("db1"), Protection: arbiter.ProtectLease})
	}
	seen := arbiter.See(read(t, nodes["shopdb2"]), "mysql")
	still := arbiter.See(read(t, nodes["bankdb2"]), "mysql")
	propose(t, nodes["bankdb1"], arbiter.Beat{Boot: boot("db1")}) // and shop's db1 is silent
	q.kill(q.leader())

	take := func(s arbiter.Sight) arbiter.Take {
		return arbiter.Take{Group: "mysql", Boot: boot("db2"), Protection: arbiter.ProtectLease, Seen: s}
	}
	r := mustTake(t, nodes["shopdb2"], take(seen))
	if g := r.Groups["mysql"]; g.Epoch != 2 || g.Holder != boot("db2") {
		t.Errorf("shop: %+v", g)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := nodes["bankdb2"].Propose(ctx, take(still)); arbiter.RefusedAs(err) != arbiter.Stale {
		t.Errorf("bank's db1 beat, and was taken from: %v", err)
	}
	if g := read(t, nodes["bankdb1"]).Groups["mysql"]; g.Epoch != 1 || g.Holder != boot("db1") {
		t.Errorf("bank: %+v", g)
	}
}

// While the leading arbiter is replaced, no node goes without an answer for as long as a lease has
// left when a beat is due.
func TestBeatsOutliveTheLeader(t *testing.T) {
	q := newQuorum(t, shortTTL)
	l := q.guest("shop", "db1")
	propose(t, l, arbiter.Register{Boot: boot("db1")})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	var longest time.Duration
	wg.Go(func() {
		for ctx.Err() == nil {
			begun := time.Now()
			limit, stop := context.WithTimeout(ctx, patience)
			if _, err := l.Propose(limit, arbiter.Beat{Boot: boot("db1")}); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
			stop()
			longest = max(longest, time.Since(begun))
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	})
	for range 2 {
		former := q.leader()
		q.kill(former)
		until(t, "another leader", func() bool {
			s := l.Status()
			return s.Quorum && s.Leader != former
		})
		q.start(former)
		until(t, "three arbiters", func() bool { return len(l.Status().Warnings) == 0 })
	}
	cancel()
	wg.Wait()
	t.Logf("the longest beat took %v", longest.Round(time.Millisecond))
	if room := guestTTL * 3 / 4; longest > room {
		t.Errorf("a beat took %v, and a lease has %v left when it is due", longest, room)
	}
}

// A node that can't reach the leader has another arbiter ask for it, and hears of changes from it.
func TestANodeThatTheLeaderDoesNotReach(t *testing.T) {
	q := newQuorum(t, shortTTL)
	o, wires := q.wired(q.options("shop", "db1"))
	l := open(t, o)
	propose(t, l, arbiter.Register{Boot: boot("db1")})
	leader := q.leader()
	wires[leader].Stall()
	begun := time.Now()
	mustTake(t, l, arbiter.Take{Group: "mysql", Boot: boot("db1"), Protection: arbiter.ProtectLease})
	t.Logf("a take by way of another arbiter: %v", time.Since(begun).Round(time.Millisecond))
	other := q.guest("shop", "db2")
	propose(t, other, arbiter.Register{Boot: boot("db2")})
	watch := l.Watch(t.Context())
	until(t, "the change of another node", func() bool {
		select {
		case r := <-watch:
			return r.Nodes["db2"].Beat > 0
		default:
			return false
		}
	})
	if s := l.Status(); !s.Quorum || s.Leader != leader || len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "is not reached") {
		t.Errorf("status %+v", s)
	}
	if got, want := read(t, l).Nodes["db2"].Boot, boot("db2"); got != want {
		t.Errorf("read %v, want %v", got, want)
	}
}

func TestAnotherLedgerIsRefused(t *testing.T) {
	q := newQuorum(t, shortTTL)
	o := q.options("shop", "db1")
	file := filepath.Join(o.Dir, "remote-ledger.json")
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(`{"ledger":"0123"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	l := open(t, o)
	until(t, "told", func() bool {
		return strings.Contains(fmt.Sprint(l.Status().Warnings), "the arbiters were made anew, or these are others")
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := l.Propose(ctx, arbiter.Register{Boot: boot("db1")}); !errors.Is(err, remote.ErrNotProposed) || l.Status().Quorum {
		t.Errorf("proposed to another ledger: %v, %+v", err, l.Status())
	}
	if err := os.WriteFile(file, []byte(`{`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Open(o); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a damaged file: %v", err)
	}
}

func TestOpenRefusesWhatCannotWork(t *testing.T) {
	q := newQuorum(t, shortTTL)
	good := q.options("shop", "db1")
	for _, row := range []struct {
		name   string
		change func(*remote.Options)
		want   string
	}{
		{"no arbiters", func(o *remote.Options) { o.Arbiters = nil }, "no arbiter is listed"},
		{"an arbiter twice", func(o *remote.Options) { o.Arbiters = append(o.Arbiters, o.Arbiters[0]) }, "listed twice"},
		{"an address without a port", func(o *remote.Options) { o.Arbiters = []string{"10.0.0.1"} }, "not host:port"},
		{"another node's certificate", func(o *remote.Options) { o.Node = "db2" }, "db1 of cluster shop"},
		{"another cluster's certificate", func(o *remote.Options) { o.Cluster = "bank" }, "db1 of cluster bank"},
		{"no certificate", func(o *remote.Options) { o.TLS = nil }, "solevip cert issue --cluster shop db1"},
		{"no directory", func(o *remote.Options) { o.Dir = "" }, "state directory"},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := good
			row.change(&o)
			l, err := remote.Open(o)
			if err == nil {
				l.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}
