package health

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"time"
)

// TCP connects, and that is all.
type TCP struct{ Address string }

func (p TCP) Probe(ctx context.Context) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.Address)
	if err != nil {
		return err
	}
	return c.Close()
}

// Interface is good while the interface is up and has a carrier.
type Interface struct{ Name string }

func (p Interface) Probe(context.Context) error {
	i, err := net.InterfaceByName(p.Name)
	switch {
	case err != nil:
		return fmt.Errorf("interface %s: %w", p.Name, err)
	case i.Flags&net.FlagUp == 0:
		return fmt.Errorf("interface %s is down", p.Name)
	case i.Flags&net.FlagRunning == 0:
		return fmt.Errorf("interface %s has no carrier", p.Name)
	}
	return nil
}

// HTTP asks for a page. It follows no redirects: one that is wanted is a status.
type HTTP struct {
	URL    string
	Status []int          // allowed; none: 200 to 399
	Body   *regexp.Regexp // must be found in the first [bodyLimit] bytes; nil: anything
	Roots  *x509.CertPool // trusted besides none; nil: the system's
}

const bodyLimit = 1 << 20

func (p HTTP) Probe(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL, nil)
	if err != nil {
		return errors.New("the URL is not one")
	}
	req.Header.Set("User-Agent", "solevip")
	// A connection of its own each time: one that is kept proves that the old process lives, not that a new client is served.
	t := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: p.Roots}}
	defer t.CloseIdleConnections()
	c := http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := c.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer res.Body.Close()
	if !p.allows(res.StatusCode) {
		return fmt.Errorf("status %s", res.Status)
	}
	if p.Body == nil {
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, bodyLimit))
	switch {
	case err != nil:
		return fmt.Errorf("body: %w", err)
	case !p.Body.Match(b):
		return fmt.Errorf("the body doesn't match %s", p.Body)
	}
	return nil
}

func (p HTTP) allows(status int) bool {
	if len(p.Status) == 0 {
		return status >= 200 && status < 400
	}
	return slices.Contains(p.Status, status)
}

// withoutURL drops the URL, which the check's name stands for and which may hold a token.
func withoutURL(err error) error {
	type wrapped interface{ Unwrap() error }
	if u, ok := err.(wrapped); ok && u.Unwrap() != nil {
		return u.Unwrap()
	}
	return err
}

// TLS shakes hands: the certificate must be trusted, be for the name, and stay valid for a while.
type TLS struct {
	Address  string
	Name     string        // of the certificate; empty: the host of Address
	ValidFor time.Duration // at least
	Roots    *x509.CertPool
	Now      func() time.Time // nil: the machine's clock
}

func (p TLS) Probe(ctx context.Context) error {
	d := tls.Dialer{Config: &tls.Config{ServerName: p.Name, RootCAs: p.Roots, Time: p.Now}}
	c, err := d.DialContext(ctx, "tcp", p.Address)
	if err != nil {
		return err
	}
	defer c.Close()
	now := time.Now
	if p.Now != nil {
		now = p.Now
	}
	for _, cert := range c.(*tls.Conn).ConnectionState().PeerCertificates {
		if left := cert.NotAfter.Sub(now()); left < p.ValidFor {
			return fmt.Errorf("the certificate of %s ends on %s", cert.Subject.CommonName, cert.NotAfter.UTC().Format(time.DateOnly))
		}
	}
	return nil
}
