package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// endpoints are the connections to etcd's members, one client each, so that it is known who
// answers and who hangs. One is preferred until it fails; the client's own balancer would go on
// giving a third of the requests to a member that takes them and doesn't answer.
type endpoints struct {
	links   []*link
	timing  timing
	mu      sync.Mutex
	current int // index of the preferred link
	wg      sync.WaitGroup
}

// link is the connection to one member.
type link struct {
	url  string
	conf clientv3.Config

	making sync.Mutex // one client at a time

	mu      sync.Mutex
	client  *clientv3.Client // nil until needed
	doubted bool             // a request wasn't answered, nor any since
	closed  bool
}

// Settings of the connections. gRPC allows no ping more often than every 10 s; what makes a dead
// connection noticed sooner is the time-out, which is TCP's for what isn't acknowledged too.
const (
	keepAliveTime    = 10 * time.Second
	keepAliveTimeout = time.Second
	maxReconnect     = time.Second
)

func newEndpoints(o *Options, t timing) (*endpoints, error) {
	var conf *tls.Config
	if o.TLS != nil {
		var err error
		if conf, err = o.TLS.config(); err != nil {
			return nil, err
		}
	}
	e := &endpoints{timing: t}
	again := backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: maxReconnect}
	for _, u := range o.Endpoints {
		e.links = append(e.links, &link{url: u, conf: clientv3.Config{
			Endpoints: []string{u}, TLS: conf, Username: o.User, Password: o.Password,
			DialTimeout: 2 * t.attempt, DialKeepAliveTime: keepAliveTime, DialKeepAliveTimeout: keepAliveTimeout,
			MaxUnaryRetries: 2, // for a token that has expired; the attempts are ours
			Logger:          zap.New(&zapCore{log: o.Log.With("endpoint", u)}),
			DialOptions:     []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{Backoff: again, MinConnectTimeout: maxReconnect})},
		}})
	}
	return e, nil
}

// open is the link's client. With a user and a password, making one asks etcd for a token, so this
// may take as long as an attempt or two.
func (l *link) open() (*clientv3.Client, error) {
	l.making.Lock()
	defer l.making.Unlock()
	if c, err := l.opened(); c != nil || err != nil {
		return c, err
	}
	c, err := clientv3.New(l.conf)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		c.Close()
		return nil, errClosed
	}
	l.client = c
	return c, nil
}

func (l *link) opened() (*clientv3.Client, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errClosed
	}
	return l.client, nil
}

// drop closes a client whose connection may be half open. Requests under way on it fail.
func (l *link) drop(c *clientv3.Client) {
	l.mu.Lock()
	if l.client == c {
		l.client = nil
	}
	l.mu.Unlock()
	c.Close()
}

func (l *link) inDoubt() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.doubted
}

// pick is the link to ask: the preferred one, or the next that isn't in doubt.
func (e *endpoints) pick() *link {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.links {
		if l := e.links[(e.current+i)%len(e.links)]; !l.inDoubt() {
			return l
		}
	}
	return e.links[e.current]
}

// leave prefers the link after this one.
func (e *endpoints) leave(l *link) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.links {
		if e.links[i] == l && i == e.current {
			e.current = (i + 1) % len(e.links)
			return
		}
	}
}

func (e *endpoints) prefer(l *link) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.links {
		if e.links[i] == l {
			e.current = i
		}
	}
}

// ask makes one attempt of a request at one endpoint. life is the ledger's: what is found out about
// an endpoint is not the caller's to cancel.
func (e *endpoints) ask(ctx, life context.Context, limit time.Duration, do func(context.Context, *clientv3.Client) error) error {
	l := e.pick()
	c, err := l.open()
	if err != nil {
		e.leave(l)
		e.verify(life, l)
		return fmt.Errorf("endpoint %s: %w: %w", l.url, errUnsent, err)
	}
	inner, cancel := context.WithTimeout(clientv3.WithRequireLeader(ctx), limit)
	defer cancel()
	if err = do(inner, c); err == nil {
		e.prefer(l)
		return nil
	}
	if ctx.Err() == nil && !permanent(err) {
		e.leave(l)
		if inner.Err() != nil {
			e.verify(life, l)
		}
	}
	return fmt.Errorf("endpoint %s: %w", l.url, err)
}

// verify leaves a member that didn't answer a request out until it answers at all; its own status
// needs no quorum. Each time that it doesn't, the connection may be half open, and is made anew.
func (e *endpoints) verify(life context.Context, l *link) {
	l.mu.Lock()
	if l.doubted || l.closed || life.Err() != nil {
		l.mu.Unlock()
		return
	}
	l.doubted = true
	e.wg.Add(1)
	l.mu.Unlock()
	go func() {
		defer e.wg.Done()
		for life.Err() == nil && !e.answers(life, l) {
			pause(life, e.timing.probe)
		}
		l.mu.Lock()
		l.doubted = false
		l.mu.Unlock()
	}()
}

func (e *endpoints) answers(life context.Context, l *link) bool {
	c, err := l.open()
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(life, e.timing.attempt)
	defer cancel()
	if _, err := c.Status(ctx, l.url); err != nil {
		l.drop(c)
		return false
	}
	return true
}

func (e *endpoints) close() {
	for _, l := range e.links {
		l.mu.Lock()
		c := l.client
		l.client, l.closed = nil, true
		l.mu.Unlock()
		if c != nil {
			c.Close()
		}
	}
	e.wg.Wait()
}

// errUnsent says that a request certainly had no effect: there was nothing to send it on.
var errUnsent = errors.New("not sent")

// permanent says that another attempt would get the same answer, and that this one had no effect.
func permanent(err error) bool {
	if errors.Is(err, errClosed) {
		return true
	}
	switch codeOf(err) {
	case codes.PermissionDenied, codes.Unimplemented:
		return true
	case codes.InvalidArgument:
		return !errors.Is(err, rpctypes.ErrAuthOldRevision)
	}
	return false
}

// codeOf finds gRPC's code; etcd's own errors have one too.
func codeOf(err error) codes.Code {
	if e, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		return e.Code()
	}
	return status.Code(err)
}

// hint says what an operator can do about a permanent error.
func hint(err error) string {
	if errors.Is(err, rpctypes.ErrNoSpace) {
		return "etcd is out of space: compact, defragment, then etcdctl alarm disarm"
	}
	switch codeOf(err) {
	case codes.PermissionDenied:
		return "grant the user a role with readwrite permission on the ledger's prefix"
	case codes.Unauthenticated:
		return "check the user and the password, or the certificate's name"
	case codes.InvalidArgument:
		return "if etcd has authentication enabled, give a user and a password; if it says too many operations, raise its --max-txn-ops"
	}
	return ""
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
