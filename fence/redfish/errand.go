package redfish

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/solevip/solevip/fence"
	"github.com/solevip/solevip/fence/internal/web"
)

const (
	// bodyLimit is how much of an answer is read, in bytes. A longer one is an error.
	bodyLimit = 1 << 20
	// errorLimit is how much of a refusal is read for the error, in bytes.
	errorLimit = 4 << 10
	// saidLimit is how much of a BMC's words an error shows, in bytes.
	saidLimit = 200
	notFound  = http.StatusNotFound
)

// errand is one call: a connection, and the requests on it.
type errand struct {
	*Device
	ctx    context.Context // of this call alone
	client *http.Client
}

// errand does one thing on a fresh connection, within the time limit.
func (d *Device) errand(ctx context.Context, allowed func() error, do func(*errand) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, d.timeout,
		fmt.Errorf("time limit of %v: %w", d.timeout, context.DeadlineExceeded))
	defer cancel()
	e := &errand{Device: d, ctx: ctx, client: web.Client(d.trust, allowed)}
	defer e.client.CloseIdleConnections()
	return e.explain(do(e))
}

// explain tells apart what can be told apart: a BMC that is silent, and one that says no.
func (e *errand) explain(err error) error {
	lost, isLost := errors.AsType[*lost](err)
	switch {
	case err == nil, errors.Is(err, fence.ErrRevoked):
		return err
	case isLost && errors.Is(context.Cause(e.ctx), context.DeadlineExceeded):
		return fmt.Errorf("%w at %s: %s: %w", ErrUnreachable, e.address, lost.request, context.Cause(e.ctx))
	case isLost && e.ctx.Err() != nil:
		return fmt.Errorf("redfish request to %s: %w", e.address, context.Cause(e.ctx))
	case isLost && errors.Is(err, web.ErrRedirect):
		return err
	case isLost:
		if err := untrusted(lost.err); err != nil {
			return err
		}
		return fmt.Errorf("%w at %s: %w", ErrUnreachable, e.address, err)
	}
	return err
}

// lost is a request without an answer.
type lost struct {
	request string
	err     error
}

func (l *lost) Error() string { return l.request + ": " + l.err.Error() }
func (l *lost) Unwrap() error { return l.err }

// refusal is an answer that isn't success.
type refusal struct {
	request, status, said string
	code                  int
}

func (r *refusal) Error() string {
	if r.said == "" {
		return fmt.Sprintf("%s: answer %s", r.request, r.status)
	}
	return fmt.Sprintf("%s: answer %s: %s", r.request, r.status, r.said)
}

// get reads a resource.
func (e *errand) get(path string, into any) error {
	body, err := e.do(http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("GET %s: the answer isn't the JSON that is wanted: %w", path, err)
	}
	return nil
}

// post sends an action.
func (e *errand) post(path string, body []byte) error {
	_, err := e.do(http.MethodPost, path, body)
	return err
}

// do sends one request to the BMC and returns the body of an answer that says success.
func (e *errand) do(method, path string, body []byte) ([]byte, error) {
	request := method + " " + path
	at, err := e.url(path)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(e.ctx, method, at, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s: can't make a request of it", request)
	}
	req.SetBasicAuth(e.username, e.password)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("OData-Version", "4.0")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := e.client.Do(req)
	if err != nil {
		return nil, &lost{request, web.WithoutURL(err)}
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return nil, e.refused(request, resp)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, bodyLimit+1))
	switch {
	case err != nil:
		return nil, &lost{request, err}
	case len(answer) > bodyLimit:
		return nil, fmt.Errorf("%s: the answer has more than %d bytes", request, bodyLimit)
	}
	return answer, nil
}

// url is where a path of the BMC's is, which must be a path: a link to elsewhere would carry the
// password there.
func (e *errand) url(path string) (string, error) {
	u, err := url.Parse(path)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(u.Path, "/redfish/") {
		return "", fmt.Errorf("the BMC's link %q isn't a path below /redfish/", path)
	}
	u.Scheme, u.Host, u.Fragment = "https", e.address, ""
	return u.String(), nil
}

// refused is an answer's status, with what the BMC says about it.
func (e *errand) refused(request string, resp *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, errorLimit)) // what can be read; the status counts
	r := &refusal{request: request, status: resp.Status, said: e.presentable(said(body)), code: resp.StatusCode}
	if r.code == http.StatusUnauthorized || r.code == http.StatusForbidden {
		return fmt.Errorf("%w (user %s): %s", ErrAuth, e.username, r)
	}
	return r
}

// said is the message of an error response (DSP0266 §8.6).
func said(body []byte) string {
	var answer struct {
		Error struct {
			Message string `json:"message"`
			Info    []struct {
				Message string
			} `json:"@Message.ExtendedInfo"`
		} `json:"error"`
	}
	text := string(body) // of a web server in front of it, say
	if json.Unmarshal(body, &answer) == nil {
		text = answer.Error.Message
		if len(answer.Error.Info) > 0 && answer.Error.Info[0].Message != "" {
			text = answer.Error.Info[0].Message
		}
	}
	return text
}

// presentable is a text of the BMC's without secrets, short and on one line.
func (e *errand) presentable(text string) string {
	for _, s := range e.secrets {
		text = strings.ReplaceAll(text, s, "***")
	}
	text = strings.ToValidUTF8(strings.Join(strings.Fields(text), " "), "?")
	if len(text) > saidLimit {
		text = strings.ToValidUTF8(text[:saidLimit], "") + "..."
	}
	return text
}
