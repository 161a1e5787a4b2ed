package raftnode

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/cert"
	"github.com/solevip/solevip/raftnode/wire"
)

// issue makes an authority and certificates for nodes.
func issue(t testing.TB, nodes ...string) map[string]*cert.TLS {
	t.Helper()
	dir := t.TempDir()
	if _, err := cert.Init(dir, "orders"); err != nil {
		t.Fatal(err)
	}
	out := map[string]*cert.TLS{}
	for _, n := range nodes {
		f, err := cert.Issue(dir, n)
		if err != nil {
			t.Fatal(err)
		}
		if out[n], err = cert.Load(f.CA, f.Cert, f.Key); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// onLoopback is a cluster over TCP on 127.0.0.1, with certificates unless insecure.
func onLoopback(t testing.TB, secure bool, names ...string) *cluster {
	t.Helper()
	c := newCluster(t, names...)
	listeners := map[string]net.Listener{}
	for i, n := range names {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners[n] = l
		c.peers[i].Address = l.Addr().String()
	}
	if secure {
		c.tls = issue(t, names...)
	}
	c.tuneup = func(o *Options) {
		o.Dial, o.Listener = nil, listeners[o.Self]
		delete(listeners, o.Self) // a restart listens anew, at the same address
	}
	t.Cleanup(c.stopAll)
	return c
}

func TestAClusterOverMutualTLS(t *testing.T) {
	c := onLoopback(t, true, "a", "b", "c")
	c.startAll()
	c.propose(arbiter.Register{Boot: boot("a")})
	leader, other := c.leader(), c.follower()
	c.propose(arbiter.Register{Boot: boot(other)})
	c.stop(leader)
	r := c.propose(arbiter.Beat{Boot: boot(other)})
	c.start(leader)
	got, err := c.nodes[leader].Read(t.Context())
	if err != nil || got.Nodes[other].Beat < r.Nodes[other].Beat {
		t.Errorf("after its restart %s reads %+v, %v", leader, got, err)
	}
}

// greet opens a connection to a node the way a peer does, but with any certificate and greeting.
func greet(t *testing.T, address string, conf *tls.Config, kind byte, g wire.Greeting) error {
	t.Helper()
	raw, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if err := raw.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	conn := raw
	if conf != nil {
		tc := tls.Client(raw, conf)
		if err := tc.Handshake(); err != nil {
			return err
		}
		conn = tc
	}
	if _, err := conn.Write([]byte{kind}); err != nil {
		return err
	}
	if err := wire.Write(conn, g, wire.MaxGreeting); err != nil {
		return err
	}
	var w wire.Welcome
	if err := wire.Read(conn, &w, wire.MaxGreeting); err != nil {
		return err
	}
	if w.Error != "" {
		return errors.New(w.Error)
	}
	return nil
}

// anyError: the server hangs up in the middle of the handshake, and what the client sees of that
// depends on how far it had got.
const anyError = "any error"

func TestWhoIsLetIn(t *testing.T) {
	c := onLoopback(t, true, "a", "b", "c")
	c.startAll()
	c.leader()
	stranger, foreign := issueInto(t, c.tls["b"], "stranger"), issue(t, "b")["b"]
	client := func(x *cert.TLS) *tls.Config {
		conf := x.Client.Clone()
		conf.ServerName = "a"
		return conf
	}
	trusting := client(foreign)
	trusting.InsecureSkipVerify = true // it wants in, whoever answers
	nobody := client(c.tls["b"])
	nobody.GetClientCertificate = nil
	old := client(c.tls["b"])
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12

	good := wire.Greeting{Version: wire.Version, Cluster: "orders", From: "b", To: "a"}
	with := func(change func(*wire.Greeting)) wire.Greeting { g := good; change(&g); return g }
	for _, row := range []struct {
		name string
		conf *tls.Config
		kind byte
		g    wire.Greeting
		want string // in the error; "" for let in
	}{
		{"a peer with its certificate", client(c.tls["b"]), wire.KindRequest, good, ""},
		{"a certificate of another authority", trusting, wire.KindRequest, good, anyError},
		{"no certificate", nobody, wire.KindRequest, good, anyError},
		{"TLS 1.2", old, wire.KindRequest, good, "version"},
		{"no TLS at all", nil, wire.KindRequest, good, anyError},
		{"another node's name", client(c.tls["c"]), wire.KindRequest, good, `the certificate is for node "c", not for "b"`},
		{"a node of this authority that the file doesn't list", client(stranger), wire.KindRequest, with(func(g *wire.Greeting) { g.From = "stranger" }), "use the same file"},
		{"this node itself", client(c.tls["a"]), wire.KindRequest, with(func(g *wire.Greeting) { g.From = "a" }), "lists no other node"},
		{"another cluster", client(c.tls["b"]), wire.KindRequest, with(func(g *wire.Greeting) { g.Cluster = "billing" }), `not of "billing"`},
		{"another ledger", client(c.tls["b"]), wire.KindRequest, with(func(g *wire.Greeting) { g.Ledger = "0000" }), "state of another cluster"},
		{"another release", client(c.tls["b"]), wire.KindRequest, with(func(g *wire.Greeting) { g.Version = 99 }), "same release"},
		{"a call for somebody else", client(c.tls["b"]), wire.KindRequest, with(func(g *wire.Greeting) { g.To = "c" }), "this is node a, not c"},
		{"a Raft stream for a former disk", client(c.tls["b"]), wire.KindRaft, with(func(g *wire.Greeting) { g.To = "a/former" }), "not a/former"},
		{"an unknown kind of stream", client(c.tls["b"]), 'X', good, "unknown kind"},
	} {
		t.Run(row.name, func(t *testing.T) {
			err := greet(t, c.peers[0].Address, row.conf, row.kind, row.g)
			switch {
			case row.want == anyError:
				if err == nil {
					t.Error("let in")
				}
			case row.want == "" && err != nil:
				t.Error(err)
			case row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}

// issueInto makes a certificate under the authority that made x's.
func issueInto(t *testing.T, x *cert.TLS, name string) *cert.TLS {
	t.Helper()
	f, err := cert.Issue(filepath.Dir(x.Files().CA), name)
	if err != nil {
		t.Fatal(err)
	}
	out, err := cert.Load(f.CA, f.Cert, f.Key)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The server must not wait for ever for a client that says nothing.
func TestASilentConnectionIsDropped(t *testing.T) {
	c := onLoopback(t, true, "a", "b", "c")
	c.start("a")
	conn, err := net.Dial("tcp", c.peers[0].Address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte{22, 3, 1}); err != nil { // the beginning of a ClientHello
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(3 * wire.GreetLimit)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(conn); err != nil {
		t.Errorf("after %v: %v", 3*wire.GreetLimit, err)
	}
}

// The address of b leads to c: nothing of b's must reach it.
func TestAnAddressThatLeadsToAnotherNodeIsNoticed(t *testing.T) {
	c := onLoopback(t, true, "a", "b", "c")
	listen := c.tuneup
	c.tuneup = func(o *Options) {
		listen(o)
		o.Peers = []Peer{c.peers[0], {Name: "b", Address: c.peers[2].Address}, {Name: "c", Address: c.peers[1].Address}}
	}
	c.start("a")
	c.tuneup = listen
	c.start("c")
	n := c.nodes["a"]
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	conn, err := n.port.dial(ctx, wire.KindRequest, "b")
	if err == nil {
		conn.Close()
		t.Fatal("c was taken for b")
	}
	if !strings.Contains(err.Error(), "certificate is valid for c, not b") {
		t.Error(err)
	}
}

func TestStartRefusesWhatCannotWork(t *testing.T) {
	certs := issue(t, "a", "b", "c")
	for _, row := range []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"a node that isn't listed", func(o *Options) { o.Self = "z" }, "is not among the nodes [a b c]"},
		{"no cluster name", func(o *Options) { o.Cluster = "" }, "no name"},
		{"no certificate and no word about it", func(o *Options) { o.TLS = nil }, "spell out insecure"},
		{"both a certificate and insecure", func(o *Options) { o.Insecure = true }, "exclude each other"},
		{"another node's certificate", func(o *Options) { o.TLS = certs["b"] }, `is for node "b"`},
		{"a ttl too short for an election", func(o *Options) { o.TTL = 300 * time.Millisecond }, "600ms is the least"},
		{"an address without a port", func(o *Options) { o.Peers[1].Address = "b" }, "not host:port"},
		{"two nodes at one address", func(o *Options) { o.Peers[1].Address = o.Peers[0].Address }, "same address"},
		{"a name twice", func(o *Options) { o.Peers[1].Name = "a" }, "listed twice"},
		{"a name with a slash", func(o *Options) { o.Peers[1].Name = "b/1" }, "no slash"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := newCluster(t, "a", "b", "c")
			c.tls = certs
			o := c.options("a")
			o.TLS = certs["a"]
			row.change(&o)
			n, err := Start(t.Context(), o)
			if err == nil {
				n.Close()
				t.Fatal("started")
			}
			if !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}

func TestTimingLeavesRoomForAnElection(t *testing.T) {
	for ttl := 600 * time.Millisecond; ttl <= 20*time.Second; ttl += 50 * time.Millisecond {
		x, err := TimingFor(ttl)
		if err != nil {
			t.Fatalf("%v: %v", ttl, err)
		}
		if room := ttl - ttl/4 - timingMargin; room < 4*x.Heartbeat {
			t.Errorf("ttl %v leaves %v for an election of up to 4 x %v", ttl, room, x.Heartbeat)
		}
	}
	for ttl, want := range map[time.Duration]time.Duration{3 * time.Second: 500 * time.Millisecond, 1500 * time.Millisecond: 200 * time.Millisecond} {
		if x, _ := TimingFor(ttl); x.Heartbeat != want {
			t.Errorf("ttl %v: heartbeat %v, want %v", ttl, x.Heartbeat, want)
		}
	}
}
