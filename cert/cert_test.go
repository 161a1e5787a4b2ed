package cert

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authorityIn makes an authority and returns its directory.
func authorityIn(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pki")
	if _, err := Init(dir, "orders"); err != nil {
		t.Fatal(err)
	}
	return dir
}

func issued(t *testing.T, dir, node string, addresses ...string) *TLS {
	t.Helper()
	f, err := Issue(dir, node, addresses...)
	if err != nil {
		t.Fatal(err)
	}
	x, err := Load(f.CA, f.Cert, f.Key)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// handshake connects two nodes and returns what each learned.
func handshake(t *testing.T, client, server *tls.Config, name string) (atServer string, clientErr, serverErr error) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	type result struct {
		name string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		s := tls.Server(b, server)
		err := s.Handshake()
		var r result
		if r.err = err; err == nil {
			r.name, r.err = PeerName(s.ConnectionState())
			_, _ = s.Write([]byte("x"))
		} else {
			b.Close()
		}
		done <- r
	}()
	conf := client.Clone()
	conf.ServerName = name
	c := tls.Client(a, conf)
	if clientErr = c.Handshake(); clientErr == nil {
		_, clientErr = c.Read(make([]byte, 1)) // TLS 1.3: the server's verdict comes after the client's part
	}
	a.Close()
	r := <-done
	return r.name, clientErr, r.err
}

func TestNodesKnowEachOtherByName(t *testing.T) {
	dir := authorityIn(t)
	a, b := issued(t, dir, "db1", "10.0.0.5", "db1.example.net"), issued(t, dir, "db2")
	name, cErr, sErr := handshake(t, a.Client, b.Server, "db2")
	if cErr != nil || sErr != nil || name != "db1" {
		t.Errorf("db2 sees %q; %v; %v", name, cErr, sErr)
	}
	if a.Node() != "db1" {
		t.Errorf("db1's certificate says %q", a.Node())
	}
}

func TestWhoIsNotTrusted(t *testing.T) {
	dir := authorityIn(t)
	a, b, foreign := issued(t, dir, "db1"), issued(t, dir, "db2"), issued(t, authorityIn(t), "db1")
	gullible := foreign.Client.Clone()
	gullible.InsecureSkipVerify = true
	anonymous := a.Client.Clone()
	anonymous.GetClientCertificate = nil
	old := a.Client.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	for _, row := range []struct {
		name   string
		client *tls.Config
		dials  string
		side   string // whose error is looked at
		want   string
	}{
		{"a server with another name", a.Client, "db3", "client", "not db3"},
		{"a server of another authority", foreign.Client, "db2", "client", "unknown authority"},
		{"a client of another authority", gullible, "db2", "server", "unknown authority"},
		{"a client without a certificate", anonymous, "db2", "server", "certificate"},
		{"TLS 1.2", old, "db2", "server", "version"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, cErr, sErr := handshake(t, row.client, b.Server, row.dials)
			err := cErr
			if row.side == "server" {
				err = sErr
			}
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("client: %v; server: %v; want %q at the %s", cErr, sErr, row.want, row.side)
			}
		})
	}
}

func TestFilesAreForTheOwnerAloneAndNeverOverwritten(t *testing.T) {
	dir := authorityIn(t)
	f, err := Issue(dir, "db1")
	if err != nil {
		t.Fatal(err)
	}
	before := map[string][]byte{}
	for _, path := range []string{f.CA, f.Cert, f.Key, filepath.Join(dir, AuthorityKey)} {
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, st.Mode())
		}
		if before[path], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Init(dir, "orders"); err == nil || !strings.Contains(err.Error(), "never overwritten") {
		t.Errorf("a second authority: %v", err)
	}
	if _, err := Issue(dir, "db1"); err == nil || !strings.Contains(err.Error(), "never overwritten") {
		t.Errorf("a second certificate for db1: %v", err)
	}
	for path, was := range before {
		if is, err := os.ReadFile(path); err != nil || !bytes.Equal(was, is) {
			t.Errorf("%s changed, %v", path, err)
		}
	}
}

func TestLifetimesAndNames(t *testing.T) {
	dir := authorityIn(t)
	f, err := Issue(dir, "db1", "10.0.0.5", "2001:db8::5", "db1.example.net")
	if err != nil {
		t.Fatal(err)
	}
	der, err := readPEM(f.Cert, "CERTIFICATE")
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"db1", "10.0.0.5", "2001:db8::5", "db1.example.net"} {
		if err := c.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	if left := time.Until(c.NotAfter); left < 365*24*time.Hour || left > 2*366*24*time.Hour {
		t.Errorf("a node's certificate lasts %v", left)
	}
	if c.IsCA || !c.NotBefore.Before(time.Now()) {
		t.Errorf("is an authority: %v; begins %v", c.IsCA, c.NotBefore)
	}
	ca, _, err := authority(dir)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(ca.NotAfter); left < 9*365*24*time.Hour {
		t.Errorf("the authority lasts %v", left)
	}
}

func TestWhatCannotBeIssued(t *testing.T) {
	dir := authorityIn(t)
	for _, row := range []struct {
		name, dir, node string
		addresses       []string
		want            string
	}{
		{"without an authority", t.TempDir(), "db1", nil, "solevip cert init"},
		{"a name with a slash", dir, "../db1", nil, "a node's name"},
		{"no name", dir, "", nil, "a node's name"},
		{"the authority's own file name", dir, "ca", nil, "the authority's"},
		{"an address that is none", dir, "db1", []string{"10.0.0.5/24"}, "neither an IP address nor a host name"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if _, err := Issue(row.dir, row.node, row.addresses...); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
	if _, err := Init(t.TempDir(), ""); err == nil {
		t.Error("an authority for a cluster without a name")
	}
}

func TestLoadChecksThatTheFilesBelongTogether(t *testing.T) {
	dir, elsewhere := authorityIn(t), authorityIn(t)
	a, err := Issue(dir, "db1")
	if err != nil {
		t.Fatal(err)
	}
	b, err := Issue(dir, "db2")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ name, ca, cert, key, want string }{
		{"another node's key", a.CA, a.Cert, b.Key, "private key does not match"},
		{"another authority", filepath.Join(elsewhere, AuthorityCert), a.Cert, a.Key, "is not good under"},
		{"the authority as a node", a.CA, a.CA, filepath.Join(dir, AuthorityKey), "carries no node name"},
		{"no certificate", a.CA, filepath.Join(dir, "none.crt"), a.Key, "no such file"},
		{"a key as authority", a.Key, a.Cert, a.Key, "holds no certificate"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if _, err := Load(row.ca, row.cert, row.key); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}

func TestARenewedCertificateIsUsedWithoutARestart(t *testing.T) {
	dir := authorityIn(t)
	a, b := issued(t, dir, "db1"), issued(t, dir, "db2")
	before := a.NotAfter()
	f := a.Files()
	for _, p := range []string{f.Cert, f.Key} {
		if err := os.Rename(p, p+".old"); err != nil {
			t.Fatal(err)
		}
	}
	if _, cErr, sErr := handshake(t, a.Client, b.Server, "db2"); cErr != nil || sErr != nil {
		t.Errorf("between two certificates: %v, %v", cErr, sErr)
	}
	if _, err := Issue(dir, "db1"); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(f.Cert, later, later); err != nil {
		t.Fatal(err)
	}
	first := a.loaded.Leaf.SerialNumber
	if _, cErr, sErr := handshake(t, a.Client, b.Server, "db2"); cErr != nil || sErr != nil {
		t.Errorf("with the new certificate: %v, %v", cErr, sErr)
	}
	if a.loaded.Leaf.SerialNumber.Cmp(first) == 0 || a.NotAfter().Before(before) {
		t.Error("the old certificate is still in use")
	}
	if err := os.WriteFile(f.Cert, []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, cErr, sErr := handshake(t, a.Client, b.Server, "db2"); cErr != nil || sErr != nil {
		t.Errorf("with a broken renewal: %v, %v", cErr, sErr)
	}
}
