package etcd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/solevip/solevip/arbiter"
)

// DefaultPrefix is where ledgers are kept unless Options say otherwise.
const DefaultPrefix = "/solevip/"

// Options are what a node needs to keep its cluster's ledger on etcd.
type Options struct {
	Self    string // this node's name: it proposes in no other
	Cluster string
	// Endpoints are the client URLs of etcd's members, such as https://10.0.0.5:2379. They are
	// asked one at a time; name every member, so that one that hangs can be left.
	Endpoints []string
	Prefix    string // of every key, [DefaultPrefix] when empty
	TLS       *TLS   // nil for http endpoints
	User      string
	Password  string
	Dir       string // the state directory: what this node remembers of the ledger is in Dir/etcd.json
	TTL       time.Duration
	Log       *slog.Logger
}

// TLS names PEM files. Cert and Key may be empty where etcd asks for no client certificate; they
// are read again at each handshake.
type TLS struct{ CA, Cert, Key string }

// timing is what follows from the ttl.
type timing struct {
	attempt time.Duration // the first try of a request at one endpoint; later tries get longer
	probe   time.Duration // a ledger that wasn't read for so long is read
	quorum  time.Duration // without an answer for so long, there is no quorum as far as is known
	wait    time.Duration // until whoever held something by a ledger unknown to us has stopped
}

// The bounds of the timing. A beat every ttl/4 must survive a member that hangs, so one attempt is
// half of that at most.
const (
	minAttempt = 100 * time.Millisecond
	maxAttempt = time.Second
	minTTL     = 400 * time.Millisecond
	maxProbe   = time.Second
)

func timingFor(ttl time.Duration) timing {
	t := timing{
		attempt: min(max(ttl/8, minAttempt), maxAttempt),
		probe:   min(ttl/4, maxProbe),
		// Clocks that differ by 1 %, and the lateness of the kernel's dead-man, fit in a quarter.
		wait: ttl + ttl/4,
	}
	t.quorum = t.probe + 2*t.attempt
	return t
}

// check reports every mistake at once, and fills in what may be left out.
func (o *Options) check() error {
	var bad []error
	add := func(format string, args ...any) { bad = append(bad, fmt.Errorf(format, args...)) }
	if o.Self == "" {
		add("this node has no name")
	}
	if o.Cluster == "" || strings.Contains(o.Cluster, "/") {
		add("cluster name %q: it is part of every key, so it is not empty and has no slash", o.Cluster)
	}
	if o.Dir == "" {
		add("no state directory is given")
	}
	if o.TTL < minTTL {
		add("ttl %v is too short: a beat every ttl/4 must survive an endpoint that doesn't answer for %v; %v is the least", o.TTL, minAttempt, minTTL)
	}
	if len(o.Endpoints) == 0 {
		add("no endpoint is given: name the client URL of every member of etcd")
	}
	for _, e := range o.Endpoints {
		if err := o.checkEndpoint(e); err != nil {
			bad = append(bad, err)
		}
	}
	if (o.User == "") != (o.Password == "") {
		add("a user and a password belong together: one of them is missing")
	}
	if len(bad) > 0 {
		return fmt.Errorf("ledger on etcd: %w", errors.Join(bad...))
	}
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	o.Prefix = strings.TrimRight(o.Prefix, "/") + "/"
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

func (o *Options) checkEndpoint(e string) error {
	u, err := url.Parse(e)
	switch {
	case err != nil || u.Host == "" || u.Port() == "" || u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("endpoint %q: want a URL such as https://10.0.0.5:2379", e)
	case u.User != nil:
		return fmt.Errorf("endpoint %s://%s: a user and password don't go into the URL", u.Scheme, u.Host)
	case u.Scheme == "https" && o.TLS == nil:
		return fmt.Errorf("endpoint %q: https needs a CA, and a certificate where etcd asks for one", e)
	case u.Scheme == "http" && o.TLS != nil:
		return fmt.Errorf("endpoint %q: certificates are given, so it must be https", e)
	}
	return nil
}

// keyPrefix is the beginning of every key of the ledger.
func (o *Options) keyPrefix() string {
	return fmt.Sprintf("%s/%s/v%d/", strings.TrimRight(o.Prefix, "/"), o.Cluster, schema)
}

// config reads the files once, so that mistakes show at the start.
func (t *TLS) config() (*tls.Config, error) {
	pem, err := os.ReadFile(t.CA)
	if err != nil {
		return nil, fmt.Errorf("etcd's CA: %w", err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("etcd's CA: no certificate in %s", t.CA)
	}
	if t.Cert == "" && t.Key == "" {
		return c, nil
	}
	load := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("certificate for etcd: %w", err)
		}
		return &pair, nil
	}
	if _, err := load(); err != nil {
		return nil, err
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	return c, nil
}

// Errors of a proposal that certainly had no effect.
var (
	// ErrNotProposed says that the command was not sent, or that etcd refused to consider it.
	ErrNotProposed = errors.New("not proposed")
	// ErrNotYou says that a node proposed in another node's name.
	ErrNotYou = errors.New("a node may only beat, take and release as itself")
	// ErrWentBack says that etcd's ledger is not the one that was acted on: nothing is proposed or
	// shown until an operator confirms it.
	ErrWentBack = errors.New("the ledger is not the one it was")
)

// errClosed ends whatever is under way.
var errClosed = fmt.Errorf("the ledger is closed: %w", ErrNotProposed)

// isRefusal says that an error is an agreed one.
func isRefusal(err error) bool { return arbiter.RefusedAs(err) != "" }
