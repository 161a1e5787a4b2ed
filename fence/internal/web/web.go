// Package web is how fence devices speak HTTP: a client for one errand, on a fresh connection,
// never through a proxy, with no redirect to another place.
//
// It owns the connection: whom to trust, and asking once more, when connected, whether the
// request may still be sent. What is requested, and what an answer means, is the device's.
package web

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
)

const maxRedirects = 3

// ErrRedirect is a redirect that wasn't followed.
var ErrRedirect = errors.New("not followed")

// Client is for one errand; its connections end with CloseIdleConnections at the latest. Connecting
// may take long: once connected, allowed is asked before anything is sent.
func Client(trust *tls.Config, allowed func() error) *http.Client {
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if err := allowed(); err != nil {
			conn.Close()
			return nil, err
		}
		return conn, nil
	}
	return &http.Client{
		CheckRedirect: checkRedirect,
		Transport:     &http.Transport{DialContext: dial, TLSClientConfig: trust},
	}
}

// Always allows a request: reading does no harm.
func Always() error { return nil }

// checkRedirect follows a redirect within the same scheme and host that keeps the method: an off
// that turns into reading a page would look accepted.
func checkRedirect(req *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case req.URL.Scheme != first.URL.Scheme || req.URL.Host != first.URL.Host:
		return fmt.Errorf("redirect to another place, %s://%s: %w", req.URL.Scheme, req.URL.Host, ErrRedirect)
	case req.Method != first.Method:
		return fmt.Errorf("redirect that turns %s into %s: %w", first.Method, req.Method, ErrRedirect)
	case len(via) > maxRedirects:
		return fmt.Errorf("more than %d redirects: %w", maxRedirects, ErrRedirect)
	}
	return nil
}

// Authorities are those to trust; nil, the system's, when none are given.
func Authorities(pem []byte) (*x509.CertPool, error) {
	if len(pem) == 0 {
		return nil, nil
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("ca: no certificate in PEM form")
	}
	return roots, nil
}

// WithoutURL is what a client's request failed of, without the URL and what it hides.
func WithoutURL(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}
