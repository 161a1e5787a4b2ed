//go:build linux

package vip

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

// talk is an established connection from the client to a server on the node's address.
func (s *stage) talk(addr netip.Addr) (client, server net.Conn) {
	s.t.Helper()
	var err error
	var listener net.Listener
	at := netip.AddrPortFrom(addr, 5432).String()
	s.inside(s.nodeFile, func() { listener, err = net.Listen("tcp", at) })
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { listener.Close() })
	accepted := make(chan net.Conn, 1)
	go func() {
		defer close(accepted)
		if c, err := listener.Accept(); err == nil {
			accepted <- c
		}
	}()
	s.inside(s.clientFile, func() { client, err = net.DialTimeout("tcp", at, 5*time.Second) })
	if err != nil {
		s.t.Fatal(err)
	}
	server = <-accepted
	s.t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// A connection doesn't survive the loss of its address: it must not resume when the address comes back.
func TestConnectionsDieWithTheAddress(t *testing.T) {
	for name, lose := range map[string]func(*stage, *Kernel){
		"by Unbind": func(s *stage, k *Kernel) {
			if err := k.Unbind("db"); err != nil {
				s.t.Fatal(err)
			}
		},
		"by the permit's end, found by the next Bind": func(s *stage, k *Kernel) {
			until := s.group(k, "db").Until
			within(s.t, 4*time.Second, "the permit is over", func() bool { return s.now() > until })
		},
		"by the permit's end, found by Reconcile": func(s *stage, k *Kernel) {
			until := s.group(k, "db").Until
			within(s.t, 4*time.Second, "the permit is over", func() bool { return s.now() > until })
			s.reconcile(k)
		},
	} {
		for _, addr := range []netip.Addr{vip4, vip6} {
			t.Run(name+", "+addr.String(), func(t *testing.T) {
				s := newStage(t)
				k := s.kernel()
				s.bind(k, "db", 1500*time.Millisecond)
				client, server := s.talk(addr)
				if _, err := server.Write([]byte("x")); err != nil {
					t.Fatal(err)
				}
				if n, err := client.Read(make([]byte, 1)); n != 1 {
					t.Fatalf("the connection doesn't work to begin with: %v", err)
				}

				lose(s, k)
				s.bind(k, "db", 10*time.Second)
				client.SetDeadline(time.Now().Add(500 * time.Millisecond))
				server.SetDeadline(time.Now().Add(500 * time.Millisecond))
				if _, err := server.Write([]byte("y")); err == nil {
					t.Error("the server's end still takes data")
				}
				if n, _ := client.Read(make([]byte, 1)); n > 0 {
					t.Error("the connection resumed")
				}
			})
		}
	}
}

// Extending a permit, and restoring what others broke, leave connections alone.
func TestConnectionsSurviveWhileThePermitLasts(t *testing.T) {
	s := newStage(t)
	k := s.kernel(shared)
	s.bind(k, "db", 5*time.Second)
	client, server := s.talk(vip4)
	s.bind(k, "db", 6*time.Second)
	s.run("ip", "-n", s.node, "addr", "del", "10.99.0.100/32", "dev", "wire")
	s.reconcile(k)
	s.onNode("nft", "flush", "ruleset")
	s.reconcile(k)
	s.bind(k, "db", 7*time.Second)
	if err := k.Unbind("web"); err != nil {
		t.Fatal(err)
	}
	client.SetDeadline(time.Now().Add(500 * time.Millisecond))
	if _, err := server.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := client.Read(make([]byte, 1)); n != 1 {
		t.Errorf("the connection is dead: %v", err)
	}
}
