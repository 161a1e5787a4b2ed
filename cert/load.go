package cert

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// TLS is a node's end of every connection between nodes. Both configurations demand TLS 1.3 and a
// certificate of the cluster's authority from the other side. A renewed certificate is picked up
// from its files with the next connection; a new authority needs a restart.
type TLS struct {
	Server *tls.Config
	Client *tls.Config // ServerName is set by whoever dials: the peer's node name
	files  Files
	roots  *x509.CertPool
	guest  bool // the certificate is a guest's

	mu     sync.Mutex
	loaded tls.Certificate
	stamp  time.Time // of the newer of the two files
}

// Load reads a node's files and checks that they belong together and were issued by that authority.
func Load(ca, certificate, key string) (*TLS, error) {
	return load(Files{CA: ca, Cert: certificate, Key: key}, false)
}

func load(files Files, guest bool) (*TLS, error) {
	ca := files.CA
	t := &TLS{files: files, roots: x509.NewCertPool(), guest: guest}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, fmt.Errorf("cluster authority: %w", err)
	}
	if !t.roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("cluster authority: %s holds no certificate", ca)
	}
	if _, err := t.current(); err != nil {
		return nil, err
	}
	base := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: t.roots, ClientCAs: t.roots}
	t.Server, t.Client = base.Clone(), base.Clone()
	t.Server.ClientAuth = tls.RequireAndVerifyClientCert
	t.Server.SessionTicketsDisabled = true // every connection proves its certificate anew
	t.Server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return t.current() }
	t.Client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return t.current() }
	return t, nil
}

// Node is the name that the certificate gives this node.
func (t *TLS) Node() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.guest {
		g, _ := guestOf(t.loaded.Leaf)
		return g.Node
	}
	name, _ := nameOf(t.loaded.Leaf)
	return name
}

// Files are the paths that this was loaded from.
func (t *TLS) Files() Files { return t.files }

// NotAfter is when the certificate in use ends.
func (t *TLS) NotAfter() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.loaded.Leaf.NotAfter
}

// PeerName is the node name that the other side of a finished handshake proved.
func PeerName(state tls.ConnectionState) (string, error) {
	if !state.HandshakeComplete || len(state.VerifiedChains) == 0 {
		return "", errors.New("the peer proved no certificate")
	}
	return nameOf(state.PeerCertificates[0])
}

// nameOf is the common name, which the certificate must also carry as a DNS name: dialling checks
// the one, accepting the other.
func nameOf(c *x509.Certificate) (string, error) {
	name := c.Subject.CommonName
	if len(c.URIs) > 0 {
		return "", fmt.Errorf("certificate %q is a guest's (%v), which is no node of this cluster", c.Subject, c.URIs[0])
	}
	if !nodeName.MatchString(name) {
		return "", fmt.Errorf("certificate %q carries no node name", c.Subject)
	}
	if err := c.VerifyHostname(name); err != nil {
		return "", fmt.Errorf("certificate %q: its name is not among its DNS names: issue it with solevip cert issue", c.Subject)
	}
	return name, nil
}

// current is the certificate as its files hold it. When a renewal is half written or wrong, the
// one before stays in use.
func (t *TLS) current() (*tls.Certificate, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	stamp := newest(t.files.Cert, t.files.Key)
	if t.loaded.Leaf != nil && (stamp.IsZero() || stamp.Equal(t.stamp)) {
		return &t.loaded, nil
	}
	c, err := t.read()
	switch {
	case err == nil:
		t.loaded, t.stamp = c, stamp
	case t.loaded.Leaf == nil:
		return nil, err
	}
	return &t.loaded, nil
}

func (t *TLS) read() (tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(t.files.Cert, t.files.Key)
	if err != nil {
		return c, fmt.Errorf("node certificate %s: %w", t.files.Cert, err)
	}
	uses := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	if t.guest {
		uses = uses[1:]
		_, err = guestOf(c.Leaf)
	} else {
		_, err = nameOf(c.Leaf)
	}
	if err != nil {
		return c, fmt.Errorf("node certificate %s: %w", t.files.Cert, err)
	}
	for _, use := range uses {
		if _, err := c.Leaf.Verify(x509.VerifyOptions{Roots: t.roots, KeyUsages: []x509.ExtKeyUsage{use}}); err != nil {
			return c, fmt.Errorf("node certificate %s is not good under %s: %w", t.files.Cert, t.files.CA, err)
		}
	}
	return c, nil
}

func newest(paths ...string) time.Time {
	var newest time.Time
	for _, p := range paths {
		st, err := os.Stat(p)
		if err != nil {
			return time.Time{}
		}
		if st.ModTime().After(newest) {
			newest = st.ModTime()
		}
	}
	return newest
}
