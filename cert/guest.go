package cert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Guest is a node of another cluster that has its ledger with this authority's nodes. Its
// certificate says both, as the URI solevip://CLUSTER/NODE, and it is all that they go by: a guest
// has no DNS name and may not serve, so it can't pass for one of them.
type Guest struct {
	Cluster, Node string
}

func (g Guest) String() string { return g.Node + " of cluster " + g.Cluster }

const guestScheme = "solevip"

// Admit makes the certificate of a node of another cluster, signed by the authority in dir, in
// dir/CLUSTER. Like Issue it never overwrites.
func Admit(dir, cluster, node string) (Files, error) {
	what := fmt.Sprintf("admit node %q of cluster %q", node, cluster)
	for _, name := range []string{cluster, node} {
		if !nodeName.MatchString(name) {
			return Files{}, fmt.Errorf("%s: a name has letters, digits, '.', '-' and '_' and at most 63 of them", what)
		}
	}
	ca, caKey, err := authority(dir)
	if err != nil {
		return Files{}, fmt.Errorf("%s: %w", what, err)
	}
	if slices.Contains(ca.Subject.Organization, cluster) {
		return Files{}, fmt.Errorf("%s: that is the cluster of the authority in %s itself: leave --cluster out", what, dir)
	}
	own := filepath.Join(dir, cluster)
	f := Files{CA: filepath.Join(dir, AuthorityCert), Cert: filepath.Join(own, node+".crt"), Key: filepath.Join(own, node+".key")}
	if err := absent(f.Cert, f.Key); err != nil {
		return Files{}, fmt.Errorf("%s: %w", what, err)
	}
	if err := os.MkdirAll(own, 0o700); err != nil {
		return Files{}, fmt.Errorf("%s: %w", what, err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Files{}, fmt.Errorf("key of %s: %w", node, err)
	}
	tmpl, err := template(pkix.Name{CommonName: node, Organization: []string{cluster}}, nodeLife)
	if err != nil {
		return Files{}, err
	}
	tmpl.KeyUsage = x509.KeyUsageDigitalSignature
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	tmpl.URIs = []*url.URL{{Scheme: guestScheme, Host: cluster, Path: "/" + node}}
	if tmpl.NotAfter.After(ca.NotAfter) {
		tmpl.NotAfter = ca.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca, key.Public(), caKey)
	if err != nil {
		return Files{}, fmt.Errorf("certificate of %s: %w", node, err)
	}
	return f, writePair(f.Cert, der, f.Key, key)
}

// LoadGuest reads a guest's files, as Load does a node's. The result dials and doesn't serve.
func LoadGuest(ca, certificate, key string) (*TLS, error) {
	t, err := load(Files{CA: ca, Cert: certificate, Key: key}, true)
	if err != nil {
		return nil, err
	}
	t.Server = nil
	// Whom it reached is not known by name before: any node of the authority will do. So the chain is
	// verified here, and not by the name that was dialled.
	t.Client.InsecureSkipVerify = true
	t.Client.VerifyConnection = func(state tls.ConnectionState) error {
		_, err := t.host(state)
		return err
	}
	return t, nil
}

// Guest is who the certificate says that this node is; zero when it isn't a guest's.
func (t *TLS) Guest() Guest {
	t.mu.Lock()
	defer t.mu.Unlock()
	g, _ := guestOf(t.loaded.Leaf)
	return g
}

// Host is the node that a guest reached, of a finished handshake.
func (t *TLS) Host(state tls.ConnectionState) (string, error) {
	if !state.HandshakeComplete {
		return "", errors.New("the handshake isn't finished")
	}
	return t.host(state)
}

func (t *TLS) host(state tls.ConnectionState) (string, error) {
	if len(state.PeerCertificates) == 0 {
		return "", errors.New("the peer proved no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	leaf := state.PeerCertificates[0]
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: t.roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err != nil {
		return "", err
	}
	return nameOf(leaf)
}

// GuestOf is the guest that the other side of a finished handshake proved to be.
func GuestOf(state tls.ConnectionState) (Guest, error) {
	if !state.HandshakeComplete || len(state.VerifiedChains) == 0 {
		return Guest{}, errors.New("the peer proved no certificate")
	}
	return guestOf(state.PeerCertificates[0])
}

func guestOf(c *x509.Certificate) (Guest, error) {
	if len(c.URIs) != 1 || c.URIs[0].Scheme != guestScheme {
		return Guest{}, fmt.Errorf("certificate %q names no cluster: make one with solevip cert issue --cluster CLUSTER NODE", c.Subject)
	}
	g := Guest{Cluster: c.URIs[0].Host, Node: strings.TrimPrefix(c.URIs[0].Path, "/")}
	if !nodeName.MatchString(g.Cluster) || !nodeName.MatchString(g.Node) || g.Node != c.Subject.CommonName {
		return Guest{}, fmt.Errorf("certificate %q: %v is no cluster and node", c.Subject, c.URIs[0])
	}
	return g, nil
}
