package redfish

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/solevip/solevip/fence/internal/web"
)

// trust is how a BMC's certificate is checked: by authority and name, or by being exactly the one
// that was pinned, whatever it says of itself and however old it is.
func trust(o Options) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: o.ServerName}
	if o.Fingerprint == "" {
		var err error
		conf.RootCAs, err = web.Authorities(o.CA)
		return conf, err
	}
	if len(o.CA) > 0 || o.ServerName != "" {
		return nil, errors.New("fingerprint excludes ca and server name: it pins one certificate, whoever signed it")
	}
	pinned, err := hex.DecodeString(strings.ReplaceAll(o.Fingerprint, ":", ""))
	if err != nil || len(pinned) != sha256.Size {
		return nil, fmt.Errorf("fingerprint %q isn't a SHA-256 in hexadecimal, 64 digits; openssl x509 -noout -fingerprint -sha256 prints it", o.Fingerprint)
	}
	conf.InsecureSkipVerify = true // VerifyConnection does it
	conf.VerifyConnection = func(s tls.ConnectionState) error {
		if sum := sha256.Sum256(s.PeerCertificates[0].Raw); string(sum[:]) != string(pinned) {
			return fmt.Errorf("%w: it has the fingerprint %s, not the pinned one", ErrUntrusted, fingerprint(s.PeerCertificates[0]))
		}
		return nil
	}
	return conf, nil
}

// fingerprint is written as BMCs and openssl show it.
func fingerprint(c *x509.Certificate) string {
	return strings.ToUpper(strings.ReplaceAll(fmt.Sprintf("% x", sha256.Sum256(c.Raw)), " ", ":"))
}

// untrusted is what a certificate wasn't accepted for, and how to go on; nil for other errors.
func untrusted(err error) error {
	if errors.Is(err, ErrUntrusted) {
		return err
	}
	bad, ok := errors.AsType[*tls.CertificateVerificationError](err)
	if !ok || len(bad.UnverifiedCertificates) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w; if the BMC itself shows the fingerprint %s, pin it", ErrUntrusted, bad.Err, fingerprint(bad.UnverifiedCertificates[0]))
}
