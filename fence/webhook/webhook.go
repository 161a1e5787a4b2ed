// Package webhook fences over HTTP: a power strip, a hypervisor or a cloud that cuts power on
// one request and tells the power on another.
//
// It owns the requests: filled in from a template, on a fresh connection each, never through a
// proxy, with no redirect to another place. A 2xx answer means accepted; only the status request
// proves off, by an expression that is defined in [ParseExpression]. An answer that the expression
// can't be applied to is unknown, not on. What the URL hides (user, query values) and the headers
// are in no name and no error.
package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/solevip/solevip/fence"
	"github.com/solevip/solevip/fence/internal/web"
)

const (
	// bodyLimit is how much of an answer is read, in bytes. A status that is cut off there isn't
	// JSON any more, hence unknown.
	bodyLimit = 1 << 20
	// errorLimit is how much of a refusal is read for the error, in bytes.
	errorLimit     = 512
	defaultTimeout = 5 * time.Second
)

// Options name the requests. In a URL's path and query {action} (off or status), {target} and
// {epoch} are filled in, escaped.
type Options struct {
	URL     string
	Method  string      // of the off request; POST unless given
	Headers http.Header // of both requests; see [ParseHeaders]
	CA      []byte      // PEM of the authorities to trust; the system's unless given
	Status  *Status     // how to read the power
	// TrustAck lets a device without Status pass: its 2xx then counts as off.
	TrustAck bool
	Timeout  time.Duration // of one request; 5 s unless given
}

// Status is the request that reads the power.
type Status struct {
	URL    string
	Method string // GET unless given
	Off    string // what the answer says when power is off; see [ParseExpression]
}

// Device is one outlet or machine.
type Device struct {
	name    string
	off     request
	status  *request
	isOff   Expression
	headers http.Header
	roots   *x509.CertPool
	timeout time.Duration
	// secrets are the parts of URLs and headers that no error may show, in case the server
	// repeats them.
	secrets []string
}

// request is a request that needs its target.
type request struct {
	method string
	url    template
}

// New checks the options. It sends nothing.
func New(o Options) (*Device, error) {
	d := &Device{headers: o.Headers.Clone(), timeout: o.Timeout}
	var err error
	if d.off, err = newRequest(o.URL, o.Method, http.MethodPost); err != nil {
		return nil, fmt.Errorf("webhook fence device: url: %w", err)
	}
	d.name = "webhook " + d.off.url.String()
	if err := d.configure(o); err != nil {
		return nil, fmt.Errorf("%s: %w", d.name, err)
	}
	return d, nil
}

func (d *Device) configure(o Options) error {
	switch {
	case o.Status == nil && !o.TrustAck:
		return errors.New("no way to read the power: give status, or spell out trust_ack: true if its answer is to count as proof")
	case o.Status != nil && o.TrustAck:
		return errors.New("status and trust_ack exclude each other: with a status, only that proves off")
	case o.Timeout < 0:
		return fmt.Errorf("timeout %v; give a positive duration", o.Timeout)
	}
	if d.timeout == 0 {
		d.timeout = defaultTimeout
	}
	if o.Status != nil {
		status, err := newRequest(o.Status.URL, o.Status.Method, http.MethodGet)
		if err != nil {
			return fmt.Errorf("status url: %w", err)
		}
		d.status = &status
		if d.isOff, err = ParseExpression(o.Status.Off); err != nil {
			return fmt.Errorf("status off: %w", err)
		}
	}
	d.collectSecrets()
	var err error
	d.roots, err = web.Authorities(o.CA)
	return err
}

// shortestSecret keeps "1" and "on" from being blotted out of every error.
const shortestSecret = 4

func (d *Device) collectSecrets() {
	hidden := d.off.url.hidden()
	if d.status != nil {
		hidden = append(hidden, d.status.url.hidden()...)
	}
	for _, values := range d.headers {
		hidden = append(hidden, values...)
	}
	d.secrets = slices.DeleteFunc(hidden, func(s string) bool { return len(s) < shortestSecret })
}

// scrub removes secrets from a text of the server's.
func (d *Device) scrub(text string) string {
	for _, s := range d.secrets {
		text = strings.ReplaceAll(text, s, "***")
	}
	return text
}

func newRequest(url, method, deflt string) (request, error) {
	if method == "" {
		method = deflt
	}
	if strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return request{}, fmt.Errorf("method %q isn't in capital letters, like POST", method)
	}
	t, err := parseTemplate(url)
	return request{method, t}, err
}

// client is for one request: a reading is worth more when nothing is left of the one before.
func (d *Device) client(allowed func() error) *http.Client {
	return web.Client(&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: d.roots}, allowed)
}

// Name is "webhook" and the URL without what it hides.
func (d *Device) Name() string { return d.name }

// TrustsAck reports whether the acknowledgement counts as off.
func (d *Device) TrustsAck() bool { return d.status == nil }

// Off sends the off request.
func (d *Device) Off(ctx context.Context, s fence.Shot) error {
	_, err := d.send(ctx, d.off, "off", s, s.Allowed)
	return err
}

// Status sends the status request and applies the expression to the answer.
func (d *Device) Status(ctx context.Context, s fence.Shot) (fence.PowerState, error) {
	if d.status == nil {
		return fence.PowerUnknown, fence.ErrNoStatus
	}
	body, err := d.send(ctx, *d.status, "status", s, web.Always)
	if err != nil {
		return fence.PowerUnknown, err
	}
	off, err := d.isOff.Match(body)
	switch {
	case err != nil:
		return fence.PowerUnknown, fmt.Errorf("status answer: %w", err)
	case off:
		return fence.PowerOff, nil
	}
	return fence.PowerOn, nil
}

// send sends one request and returns the body of a 2xx answer.
func (d *Device) send(ctx context.Context, r request, action string, s fence.Shot, allowed func() error) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, d.timeout,
		fmt.Errorf("time limit of %v: %w", d.timeout, context.DeadlineExceeded))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.method, r.url.fill(action, s), nil)
	if err != nil {
		return nil, fmt.Errorf("%s %s: can't make a request of it", r.method, r.url)
	}
	for name, values := range d.headers {
		req.Header[name] = slices.Clone(values)
	}
	req.Host = d.headers.Get("Host")
	body, err := d.exchange(d.client(allowed), req)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, r.url, err)
	}
	return body, nil
}

func (d *Device) exchange(c *http.Client, req *http.Request) ([]byte, error) {
	resp, err := c.Do(req)
	if err != nil {
		return nil, web.WithoutURL(err)
	}
	defer c.CloseIdleConnections()
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, errorLimit))
		return nil, fmt.Errorf("answer %s: %q", resp.Status, d.scrub(strings.Join(strings.Fields(string(said)), " ")))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, bodyLimit))
	if err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	return body, nil
}
