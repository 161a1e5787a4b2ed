package etcd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/solevip/solevip/arbiter"
)

// unreadableError says that the keys are not a ledger that this version can read.
type unreadableError struct {
	prefix string
	cause  error
}

func (e *unreadableError) Error() string {
	return fmt.Sprintf("ledger at %s: %v; see what wrote it with etcdctl get --prefix, upgrade this node, or remove the key", e.prefix, e.cause)
}

func (e *unreadableError) Unwrap() error { return e.cause }

// errGap says that an answer of changes alone doesn't make a complete view.
var errGap = errors.New("changes are missing")

// Read returns the ledger as it is at some instant between call and return.
func (l *Ledger) Read(ctx context.Context) (arbiter.Record, error) {
	v, err := l.read(ctx)
	if err != nil {
		l.doubted()
		return arbiter.Record{}, fmt.Errorf("read the ledger: %w", err)
	}
	return v.record, nil
}

// repeat makes attempts of a request that changes nothing, at one endpoint after another.
func (l *Ledger) repeat(ctx context.Context, do func(context.Context, *clientv3.Client) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.life, cancel)()
	for n := 0; ; n++ {
		err := l.ends.ask(ctx, l.life, l.limit(n), do)
		if err == nil {
			return nil
		}
		if permanent(err) || ctx.Err() != nil {
			return withHint(err)
		}
		pause(ctx, between(n))
	}
}

// limit is how long the nth attempt may take: longer when every endpoint was too slow.
func (l *Ledger) limit(n int) time.Duration {
	return l.timing.attempt << min(n/len(l.ends.links), 3)
}

// between is the pause after the nth attempt.
func between(n int) time.Duration { return min(5*time.Millisecond<<min(n, 5), 100*time.Millisecond) }

func withHint(err error) error {
	if h := hint(err); h != "" {
		return fmt.Errorf("%w (%s)", err, h)
	}
	return err
}

// read is a linearizable read, of the changes since the last where that is enough.
func (l *Ledger) read(ctx context.Context) (*view, error) {
	base := l.lastExact()
	if base == nil {
		return l.fetch(ctx)
	}
	before, sent := l.known(), time.Now()
	var got *clientv3.GetResponse
	err := l.repeat(ctx, func(ctx context.Context, c *clientv3.Client) (err error) {
		before, sent = l.known(), time.Now()
		got, err = c.Get(ctx, l.prefix, clientv3.WithPrefix(), clientv3.WithMinModRev(base.rev+1))
		return err
	})
	if err != nil {
		return nil, err
	}
	v, err := l.absorb(base, before, (*pb.RangeResponse)(got), got.Header, sent)
	if errors.Is(err, errGap) {
		return l.fetch(ctx)
	}
	return v, err
}

// lastExact is the newest complete view, nil when there is none to build on.
func (l *Ledger) lastExact() *view {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wentBack != "" {
		return nil
	}
	return l.exact
}

// absorb makes the next complete view of an answer of what changed since base. An answer counts all
// keys, which tells whether one was removed.
func (l *Ledger) absorb(base, before *view, got *pb.RangeResponse, head *pb.ResponseHeader, sent time.Time) (*view, error) {
	if base == nil {
		base = empty(head.ClusterId, 0)
	}
	if head.ClusterId != base.etcd {
		return nil, errGap
	}
	v, err := base.merge(changesOf(l.prefix, got.Kvs), head.Revision)
	if err != nil {
		return nil, &unreadableError{l.prefix, err}
	}
	if int64(len(v.keys)) != got.Count || before.contradicts(v) != "" {
		return nil, errGap // a full read decides
	}
	return v, l.settle(before, v, sent)
}

// fetch is a linearizable read of the whole ledger. It makes the ledger where there is none.
func (l *Ledger) fetch(ctx context.Context) (*view, error) {
	for {
		v, err := l.fetchOnce(ctx)
		l.mu.Lock()
		l.trouble = err
		l.mu.Unlock()
		if err != nil || v.formed() {
			return v, err
		}
		if err := l.form(ctx, v); err != nil {
			return nil, err
		}
	}
}

func (l *Ledger) fetchOnce(ctx context.Context) (*view, error) {
	before, v, sent, err := l.fetchUnjudged(ctx)
	if err != nil {
		return nil, err
	}
	return v, l.settle(before, v, sent)
}

// fetchUnjudged reads the whole ledger, and tells what was known when it was asked for.
func (l *Ledger) fetchUnjudged(ctx context.Context) (before, now *view, sent time.Time, err error) {
	var got *clientv3.GetResponse
	err = l.repeat(ctx, func(ctx context.Context, c *clientv3.Client) (err error) {
		before, sent = l.known(), time.Now()
		got, err = c.Get(ctx, l.prefix, clientv3.WithPrefix())
		return err
	})
	if err != nil {
		return nil, nil, sent, err
	}
	now, err = empty(got.Header.ClusterId, 0).merge(changesOf(l.prefix, got.Kvs), got.Header.Revision)
	if err != nil {
		return nil, nil, sent, &unreadableError{l.prefix, err}
	}
	return before, now, sent, nil
}

// form makes the ledger, unless another node has.
func (l *Ledger) form(ctx context.Context, v *view) error {
	if len(v.keys) > 0 {
		return &unreadableError{l.prefix, errors.New("there are keys, and no " + metaKey)}
	}
	m := meta{Schema: schema, Cluster: l.opt.Cluster, ID: rand.Text(), Etcd: fmt.Sprintf("%x", v.etcd), Op: l.operation()}
	key := l.prefix + metaKey
	err := l.repeat(ctx, func(ctx context.Context, c *clientv3.Client) error {
		_, err := c.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).Then(clientv3.OpPut(key, encode(m))).Commit()
		return err
	})
	if err != nil {
		return fmt.Errorf("make the ledger: %w", err)
	}
	return nil
}

// operation names one operation, for the keys that it writes.
func (l *Ledger) operation() string {
	return fmt.Sprintf("%s-%s-%d", l.opt.Self, l.session, l.ops.Add(1))
}

func (l *Ledger) doubted() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doubt = true
}
