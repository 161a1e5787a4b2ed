package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"time"
)

// Socket is the control socket's path in a run directory.
func Socket(runDir string) string { return filepath.Join(runDir, "control.sock") }

// Client talks to the daemon of a run directory.
type Client struct {
	runDir   string
	patience time.Duration // for a status
	http     *http.Client
}

// NewClient is a client of the daemon that runs with a run directory.
func NewClient(runDir string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", Socket(runDir))
	}
	return &Client{runDir: runDir, patience: statusTimeout, http: &http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// ErrNoDaemon is wrapped when nothing answers at the control socket.
var ErrNoDaemon = errors.New("no solevip daemon answers")

// statusTimeout bounds the wait for a status: a daemon that was frozen accepts connections and
// answers none.
const statusTimeout = 5 * time.Second

// Status asks for the node's view.
func (c *Client) Status(ctx context.Context) (Status, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.patience, fmt.Errorf("%w within %v at %s", ErrNoDaemon, c.patience, Socket(c.runDir)))
	defer cancel()
	return call[Status](ctx, c, http.MethodGet, "/v1/status", nil)
}

// Switchover moves a group.
func (c *Client) Switchover(ctx context.Context, r SwitchoverRequest) (SwitchoverAnswer, error) {
	return call[SwitchoverAnswer](ctx, c, http.MethodPost, "/v1/switchover", r)
}

// FenceTest asks a node's fence devices for its power and identity.
func (c *Client) FenceTest(ctx context.Context, r FenceTestRequest) ([]DeviceCheck, error) {
	return call[[]DeviceCheck](ctx, c, http.MethodPost, "/v1/fence/test", r)
}

// FenceOff orders that a node's power be cut.
func (c *Client) FenceOff(ctx context.Context, r FenceOffRequest) (FenceOffAnswer, error) {
	return call[FenceOffAnswer](ctx, c, http.MethodPost, "/v1/fence/off", r)
}

// Maintenance begins or ends a time in which nobody is fenced automatically.
func (c *Client) Maintenance(ctx context.Context, r MaintenanceRequest) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, "/v1/maintenance", r)
	return err
}

// FenceUnfence lets a node that came back after a fence hold groups again.
func (c *Client) FenceUnfence(ctx context.Context, r UnfenceRequest) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, "/v1/fence/unfence", r)
	return err
}

// FenceConfirm records an operator's word that a node is dead.
func (c *Client) FenceConfirm(ctx context.Context, r ConfirmRequest) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, "/v1/fence/confirm", r)
	return err
}

// ChangeCluster gives a node a vote in the ledger, or takes it away.
func (c *Client) ChangeCluster(ctx context.Context, r ClusterRequest) (ClusterAnswer, error) {
	return call[ClusterAnswer](ctx, c, http.MethodPost, "/v1/cluster", r)
}

// Watch calls each with every changed Status until ctx ends, which is no error, or the daemon does.
func (c *Client) Watch(ctx context.Context, each func(Status) error) error {
	resp, err := c.do(ctx, http.MethodGet, "/v1/watch", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := refusal(resp); err != nil {
		return err
	}
	d := json.NewDecoder(resp.Body)
	for {
		var s Status
		switch err := d.Decode(&s); {
		case ctx.Err() != nil:
			return nil
		case err != nil: // the stream has no end of its own
			return fmt.Errorf("%w any more at %s (%v)", ErrNoDaemon, Socket(c.runDir), err)
		}
		if err := each(s); err != nil {
			return err
		}
	}
}

func (c *Client) do(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var payload io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		payload = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://solevip"+path, payload)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return nil, fmt.Errorf("%w at %s (%w)", ErrNoDaemon, Socket(c.runDir), op.Err)
	}
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return resp, err
}

// refusal is the error that the daemon answered, or nil.
func refusal(resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	e := &Error{}
	if json.NewDecoder(resp.Body).Decode(e) != nil || e.What == "" {
		e = &Error{What: "the daemon answered " + resp.Status}
	}
	return e
}

func call[T any](ctx context.Context, c *Client, method, path string, in any) (T, error) {
	var out T
	resp, err := c.do(ctx, method, path, in)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	if err := refusal(resp); err != nil {
		return out, err
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return out, fmt.Errorf("answer of the daemon: %w", err)
	}
	return out, nil
}
