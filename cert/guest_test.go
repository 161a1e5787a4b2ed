package cert

import (
	"crypto/tls"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func admitted(t *testing.T, dir, cluster, node string) *TLS {
	t.Helper()
	f, err := Admit(dir, cluster, node)
	if err != nil {
		t.Fatal(err)
	}
	x, err := LoadGuest(f.CA, f.Cert, f.Key)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// meet connects a guest to a host and returns whom each met.
func meet(t *testing.T, guest *TLS, host *tls.Config) (g Guest, name string, guestErr, hostErr error) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	for _, c := range []net.Conn{a, b} {
		if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s := tls.Server(b, host)
		if hostErr = s.Handshake(); hostErr == nil {
			g, hostErr = GuestOf(s.ConnectionState())
		}
		b.Close()
	}()
	c := tls.Client(a, guest.Client)
	if guestErr = c.Handshake(); guestErr == nil {
		name, guestErr = guest.Host(c.ConnectionState())
	}
	_, _ = c.Read(make([]byte, 1)) // the host's last word of the handshake
	<-done
	return g, name, guestErr, hostErr
}

func TestAGuestProvesItsClusterAndMeetsANode(t *testing.T) {
	dir := authorityIn(t)
	host := issued(t, dir, "arb1")
	guest := admitted(t, dir, "Shop_1", "db_1")
	if guest.Node() != "db_1" || guest.Guest() != (Guest{"Shop_1", "db_1"}) {
		t.Errorf("the certificate says %q, %v", guest.Node(), guest.Guest())
	}
	g, name, guestErr, hostErr := meet(t, guest, host.Server)
	if err := errors.Join(guestErr, hostErr); err != nil || g != (Guest{"Shop_1", "db_1"}) || name != "arb1" {
		t.Errorf("the host met %v, the guest %q, %v", g, name, err)
	}
}

func TestWhoIsNoGuestAndNoHost(t *testing.T) {
	dir, elsewhere := authorityIn(t), authorityIn(t)
	host, other := issued(t, dir, "arb1"), issued(t, elsewhere, "arb1")
	guest := admitted(t, dir, "shop", "arb1")

	if _, _, guestErr, _ := meet(t, guest, other.Server); guestErr == nil {
		t.Error("a guest met the node of another authority")
	}
	if _, _, _, hostErr := meet(t, admitted(t, elsewhere, "shop", "db1"), host.Server); hostErr == nil {
		t.Error("a host met the guest of another authority")
	}
	// A node's own certificate names no cluster.
	plain := *guest.Client.Clone()
	plain.GetClientCertificate = host.Client.GetClientCertificate
	as := &TLS{Client: &plain, roots: guest.roots, loaded: guest.loaded, guest: true}
	if _, _, _, hostErr := meet(t, as, host.Server); hostErr == nil || !strings.Contains(hostErr.Error(), "names no cluster") {
		t.Errorf("a certificate without a cluster: %v", hostErr)
	}
	// A guest with the name of a node is neither a node nor a server.
	serving := host.Server.Clone()
	serving.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return guest.current() }
	if _, _, guestErr, _ := meet(t, admitted(t, dir, "shop", "db2"), serving); guestErr == nil {
		t.Error("a guest passed for an arbiter with another guest")
	}
	asPeer := host.Client.Clone()
	asPeer.GetClientCertificate = guest.Client.GetClientCertificate
	if name, _, serverErr := handshake(t, asPeer, host.Server, "arb1"); serverErr == nil {
		t.Errorf("a guest passed for node %q", name)
	}
	if _, err := Load(guest.files.CA, guest.files.Cert, guest.files.Key); err == nil || !strings.Contains(err.Error(), "guest's") {
		t.Errorf("a guest's certificate loaded as a node's: %v", err)
	}
	if f := host.files; f.Cert != "" {
		if _, err := LoadGuest(f.CA, f.Cert, f.Key); err == nil || !strings.Contains(err.Error(), "--cluster") {
			t.Errorf("a node's certificate loaded as a guest's: %v", err)
		}
	}
}

func TestWhoCannotBeAdmitted(t *testing.T) {
	dir := authorityIn(t)
	if _, err := Admit(dir, "shop", "db1"); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ name, dir, cluster, node, want string }{
		{"a node twice", dir, "shop", "db1", "never overwritten"},
		{"the authority's own cluster", dir, "orders", "db1", "leave --cluster out"},
		{"a cluster that is no name", dir, "../x", "db1", "letters, digits"},
		{"a node that is no name", dir, "shop", "a/b", "letters, digits"},
		{"without an authority", filepath.Join(dir, "none"), "shop", "db1", "cert init"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if _, err := Admit(row.dir, row.cluster, row.node); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}
