// Package cert makes and loads the certificates by which nodes know each other: one authority per
// cluster, one certificate per node, mutual TLS 1.3.
//
// It owns the files' names, their contents and the rule that a certificate's name is the node's. A
// node of another cluster that has its ledger with this one's nodes gets a certificate as a guest
// (guest.go), which says its cluster too and makes it no node of this one.
// It doesn't decide what a node may do once it is known (raftnode), and it keeps no revocation list:
// a lost key is answered by a new authority.
package cert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// The files of an authority's directory. A node's files are named after the node.
const (
	AuthorityCert = "ca.crt"
	AuthorityKey  = "ca.key"
)

// Lifetimes. The start is set back a little, so that a node whose clock is behind accepts a new one.
const (
	authorityLife = 10 * 365 * 24 * time.Hour
	nodeLife      = 2 * 365 * 24 * time.Hour
	backdate      = time.Hour
)

// nodeName is what a node may be called: a DNS label or a dotted name.
var nodeName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)

// Files are the paths that were written, or that a node's configuration names.
type Files struct {
	CA, Cert, Key string
}

// Init makes a cluster's authority in dir: ca.crt for every node, ca.key for nobody but the
// machine that issues. It never overwrites: a second authority would cut off every node of the first.
func Init(dir, cluster string) (Files, error) {
	if cluster == "" {
		return Files{}, errors.New("make a cluster authority: the cluster has no name")
	}
	f := Files{CA: filepath.Join(dir, AuthorityCert), Key: filepath.Join(dir, AuthorityKey)}
	f.Cert = f.CA
	if err := absent(f.CA, f.Key); err != nil {
		return Files{}, fmt.Errorf("make the authority of cluster %q: %w", cluster, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Files{}, fmt.Errorf("make the authority of cluster %q: %w", cluster, err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Files{}, fmt.Errorf("authority key: %w", err)
	}
	tmpl, err := template(pkix.Name{CommonName: "solevip " + cluster, Organization: []string{cluster}}, authorityLife)
	if err != nil {
		return Files{}, err
	}
	tmpl.IsCA, tmpl.BasicConstraintsValid, tmpl.MaxPathLenZero = true, true, true
	tmpl.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return Files{}, fmt.Errorf("authority certificate: %w", err)
	}
	return f, writePair(f.CA, der, f.Key, key)
}

// Issue makes a node's certificate, signed by the authority in dir, in dir. The addresses are the
// host names and IP addresses by which people may reach the node; peers go by its name alone.
// It never overwrites: to renew, move the old files away first.
func Issue(dir, node string, addresses ...string) (Files, error) {
	if !nodeName.MatchString(node) {
		return Files{}, fmt.Errorf("issue a certificate for %q: a node's name has letters, digits, '.', '-' and '_' and at most 63 of them", node)
	}
	f := Files{CA: filepath.Join(dir, AuthorityCert), Cert: filepath.Join(dir, node+".crt"), Key: filepath.Join(dir, node+".key")}
	if f.Cert == f.CA {
		return Files{}, errors.New(`issue a certificate for "ca": that name is the authority's`)
	}
	ca, caKey, err := authority(dir)
	if err != nil {
		return Files{}, fmt.Errorf("issue a certificate for %s: %w", node, err)
	}
	if err := absent(f.Cert, f.Key); err != nil {
		return Files{}, fmt.Errorf("issue a certificate for %s: %w", node, err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Files{}, fmt.Errorf("key of %s: %w", node, err)
	}
	tmpl, err := template(pkix.Name{CommonName: node, Organization: ca.Subject.Organization}, nodeLife)
	if err != nil {
		return Files{}, err
	}
	tmpl.KeyUsage = x509.KeyUsageDigitalSignature
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	tmpl.DNSNames = []string{node}
	for _, a := range addresses {
		switch ip, err := netip.ParseAddr(a); {
		case err == nil:
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip.AsSlice())
		case nodeName.MatchString(a):
			if a != node {
				tmpl.DNSNames = append(tmpl.DNSNames, a)
			}
		default:
			return Files{}, fmt.Errorf("issue a certificate for %s: %q is neither an IP address nor a host name", node, a)
		}
	}
	if tmpl.NotAfter.After(ca.NotAfter) {
		tmpl.NotAfter = ca.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca, key.Public(), caKey)
	if err != nil {
		return Files{}, fmt.Errorf("certificate of %s: %w", node, err)
	}
	return f, writePair(f.Cert, der, f.Key, key)
}

// template holds what every certificate here has in common.
func template(subject pkix.Name, life time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("certificate serial: %w", err)
	}
	now := time.Now()
	return &x509.Certificate{SerialNumber: serial, Subject: subject, NotBefore: now.Add(-backdate), NotAfter: now.Add(life)}, nil
}

// authority reads the authority that Init made.
func authority(dir string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	certPath, keyPath := filepath.Join(dir, AuthorityCert), filepath.Join(dir, AuthorityKey)
	der, err := readPEM(certPath, "CERTIFICATE")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("no authority in %s: make one first with solevip cert init", dir)
	}
	if err != nil {
		return nil, nil, err
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", certPath, err)
	}
	der, err = readPEM(keyPath, "EC PRIVATE KEY")
	if err != nil {
		return nil, nil, fmt.Errorf("authority key (it stays on the machine that issues): %w", err)
	}
	key, err := x509.ParseECPrivateKey(der)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", keyPath, err)
	}
	if !key.PublicKey.Equal(ca.PublicKey) {
		return nil, nil, fmt.Errorf("%s and %s do not belong together", certPath, keyPath)
	}
	return ca, key, nil
}

func readPEM(path, kind string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s: no PEM block %q", path, kind)
	}
	return block.Bytes, nil
}

// absent refuses to go on when a file is already there.
func absent(paths ...string) error {
	for _, p := range paths {
		if _, err := os.Lstat(p); err == nil {
			return fmt.Errorf("%s exists and is never overwritten: move it away if you mean to replace it", p)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// writePair writes the key before the certificate, so that a certificate is never there alone.
func writePair(certPath string, der []byte, keyPath string, key *ecdsa.PrivateKey) error {
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("%s: %w", keyPath, err)
	}
	if err := writeNew(keyPath, "EC PRIVATE KEY", keyDER); err != nil {
		return err
	}
	return writeNew(certPath, "CERTIFICATE", der)
}

func writeNew(path, kind string, der []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = pem.Encode(f, &pem.Block{Type: kind, Bytes: der})
	return errors.Join(err, f.Sync(), f.Close())
}
