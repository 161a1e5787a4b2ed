package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/solevip/solevip/arbiter"
)

// Propose has a command agreed. A nil error means that it was carried out, a *arbiter.Refusal that
// it was refused; the record is the ledger at that instant or a little later. With any other error
// but ErrNotProposed and ErrNotYou the outcome is unknown.
//
// It tries until ctx is done, so give it a deadline. In theory a beat or a registration may be carried
// out more than once, if what it wrote was overwritten many times before the next attempt; that is as
// good as once.
func (l *Ledger) Propose(ctx context.Context, cmd arbiter.Command) (arbiter.Record, error) {
	if cmd.Actor() != l.opt.Self {
		return arbiter.Record{}, fmt.Errorf("%v: proposed by %s: %w", cmd, l.opt.Self, ErrNotYou)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.life, cancel)()
	v, err := l.propose(ctx, cmd)
	if err == nil || isRefusal(err) {
		return v.record, err
	}
	l.doubted()
	return arbiter.Record{}, fmt.Errorf("%v: %w", cmd, err)
}

func (l *Ledger) propose(ctx context.Context, cmd arbiter.Command) (*view, error) {
	op := l.operation()
	// What was watched is good enough to try with: the transaction compares. A refusal must come
	// from what was read since the call.
	base, fresh := l.guess(), false
	var lost error // of a repeatable command, which may have been carried out by then
	for {
		if base == nil || !fresh && needsOf(base.record, cmd).ranges() {
			v, err := l.read(ctx)
			if err != nil {
				return nil, unknownOr(lost, err)
			}
			base, fresh = v, true
		}
		if err := l.admit(ctx, cmd); err != nil {
			return nil, err
		}
		next, err := arbiter.Apply(base.record, cmd)
		if err != nil && fresh {
			return base, err
		}
		if err != nil {
			base = nil
			continue
		}
		t := transaction{base: base, needs: needsOf(base.record, cmd), difference: base.difference(next, op), op: op, repeatable: repeatable(cmd)}
		v, done, err := l.commit(ctx, t, &lost)
		if err != nil || done {
			return v, err
		}
		base, fresh = v, true
	}
}

// guess is the newest view, if it is one of this life that may be acted on.
func (l *Ledger) guess() *view {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.exact == nil || l.wentBack != "" {
		return nil
	}
	return l.newest
}

// admit keeps a node that has met the ledger only now from taking anything too early.
func (l *Ledger) admit(ctx context.Context, cmd arbiter.Command) error {
	if _, take := cmd.(arbiter.Take); !take {
		return nil
	}
	l.mu.Lock()
	left := l.early()
	l.mu.Unlock()
	if left > 0 {
		pause(ctx, left)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("this node has met the ledger only now, and waits %v before it takes anything: %w", l.timing.wait, ErrNotProposed)
	}
	return nil
}

// notProposed marks an error before anything was sent.
func notProposed(err error) error {
	if errors.Is(err, ErrNotProposed) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNotProposed, err)
}

// transaction writes a difference if what it depends on is still as in base.
type transaction struct {
	base *view
	needs
	difference
	op         string
	repeatable bool
}

// etcd allows 128 operations on each level of a transaction by default, and as many less on the
// level below as there are above it.
const maxOps = 60

// send makes one attempt. Both branches end with what changed after revision since.
func (t *transaction) send(ctx context.Context, c *clientv3.Client, prefix string, since int64) (*clientv3.TxnResponse, error) {
	var conds []clientv3.Cmp
	for _, k := range t.keys {
		conds = append(conds, clientv3.Compare(clientv3.ModRevision(prefix+k), "=", t.base.keys[k].mod))
	}
	unchanged := func(under string) {
		conds = append(conds, clientv3.Compare(clientv3.ModRevision(prefix+under), "<", t.base.rev+1).WithPrefix())
	}
	if t.groups {
		unchanged(groupPrefix)
	}
	if t.fences {
		unchanged(fencePrefix)
	}
	changes := clientv3.OpGet(prefix, clientv3.WithPrefix(), clientv3.WithMinModRev(since+1))
	return c.Txn(ctx).If(conds...).Then(append(t.writes(prefix), changes)...).Else(changes).Commit()
}

// writes nests the operations when there are many.
func (t *transaction) writes(prefix string) []clientv3.Op {
	var ops []clientv3.Op
	for _, k := range t.written() {
		ops = append(ops, clientv3.OpPut(prefix+k, t.puts[k]))
	}
	for _, k := range t.deletes {
		ops = append(ops, clientv3.OpDelete(prefix+k))
	}
	if len(ops) <= maxOps {
		return ops
	}
	var nested []clientv3.Op
	for len(ops) > 0 {
		n := min(maxOps, len(ops))
		nested, ops = append(nested, clientv3.OpTxn(nil, ops[:n], nil)), ops[n:]
	}
	return nested
}

// broken says that a view shows why the conditions didn't hold.
func (t *transaction) broken(v *view) bool {
	for _, k := range t.keys {
		if v.keys[k].mod != t.base.keys[k].mod {
			return true
		}
	}
	return t.ranges() // which were read, not watched
}

// overwritten says that every key which the transaction would have written has changed since, so
// that what was written before is not to be seen.
func (t *transaction) overwritten(v *view) bool {
	for _, k := range t.written() {
		if v.keys[k].mod == t.base.keys[k].mod {
			return false
		}
	}
	return true
}

// commit tries a transaction until it is answered. When its conditions don't hold any more, and none
// of the attempts was carried out, it is not done and the view shows what has changed.
//
// An attempt that was not answered may be carried out later, but not once another was answered:
// carried out, either breaks the other's conditions; and conditions that are broken stay broken.
//
// Lost is the error of an attempt whose outcome isn't known. It is handed back when a command that may
// be repeated could have been carried out.
func (l *Ledger) commit(ctx context.Context, t transaction, lost *error) (*view, bool, error) {
	for n := 0; ; n++ {
		since, before, sent := l.lastExact(), l.known(), time.Now()
		if since == nil {
			return nil, false, unknownOr(*lost, ErrWentBack)
		}
		var got *clientv3.TxnResponse
		err := l.ends.ask(ctx, l.life, l.limit(n), func(ctx context.Context, c *clientv3.Client) (err error) {
			got, err = t.send(ctx, c, l.prefix, since.rev)
			return err
		})
		switch {
		case err == nil:
			v, err := l.absorbTxn(ctx, t, since, before, got, sent)
			return l.judge(t, v, got.Succeeded, lost, err)
		case permanent(err):
			return nil, false, unknownOr(*lost, withHint(err))
		case !errors.Is(err, errUnsent):
			*lost = err
		}
		if ctx.Err() != nil {
			return nil, false, unknownOr(*lost, withHint(err))
		}
		pause(ctx, between(n))
	}
}

// unknownOr is the error of a transaction that was not answered: of unknown outcome if an attempt was
// lost, otherwise without effect for the reason given.
func unknownOr(lost, reason error) error {
	if lost != nil {
		return fmt.Errorf("outcome unknown: %w", withHint(lost))
	}
	return notProposed(reason)
}

func (l *Ledger) absorbTxn(ctx context.Context, t transaction, since, before *view, got *clientv3.TxnResponse, sent time.Time) (*view, error) {
	changes := got.Responses[len(got.Responses)-1].GetResponseRange()
	v, err := l.absorb(since, before, changes, (*pb.TxnResponse)(got).Header, sent)
	if errors.Is(err, errGap) || err == nil && !got.Succeeded && !t.broken(v) {
		return l.fetch(ctx)
	}
	return v, err
}

// judge says what an answered transaction came to.
func (l *Ledger) judge(t transaction, v *view, succeeded bool, lost *error, err error) (*view, bool, error) {
	switch {
	case succeeded && err != nil:
		return nil, false, fmt.Errorf("agreed, but the ledger as of then could not be read: %w", err)
	case succeeded:
		return v, true, nil
	case err != nil:
		return nil, false, unknownOr(*lost, err)
	case v.bears(t.op, t.written()):
		return v, true, nil // an attempt of ours was carried out: a lost one, or one that the client repeated itself
	case *lost == nil:
		return v, false, nil
	case t.repeatable: // perhaps once more
		return v, false, nil
	case !t.overwritten(v):
		*lost = nil // it was not, and never will be
		return v, false, nil
	}
	return nil, false, fmt.Errorf("outcome unknown: %w", *lost)
}

// sendOnce makes one attempt of a transaction that is no command.
func (l *Ledger) sendOnce(ctx context.Context, t *transaction, since int64) (*clientv3.TxnResponse, error) {
	var got *clientv3.TxnResponse
	err := l.ends.ask(ctx, l.life, 4*l.timing.attempt, func(ctx context.Context, c *clientv3.Client) (err error) {
		got, err = t.send(ctx, c, l.prefix, since)
		return err
	})
	return got, withHint(err)
}
