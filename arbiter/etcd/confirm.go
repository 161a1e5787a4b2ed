package etcd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/solevip/solevip/arbiter"
)

// indexLeap is more revisions than other nodes can have seen beyond those that this one has.
const indexLeap = 1_000_000

// maxReplaced is how many ledgers a ledger remembers to have replaced.
const maxReplaced = 32

// Confirm is an operator's word that a ledger which went back may be acted on: that etcd was
// restored or emptied, that it is the etcd to use from now on, and that no node which this one
// doesn't know of has anything up. It waits until every holder's time is up.
//
// It agrees on a new id for the ledger. Whoever held a group, or held it last, as the ledger or this
// node's memory has it (the higher epoch counts), becomes its suspect ([arbiter.Restored]): it releases
// the group by its own word, or is fenced. A node that remembers a higher epoch still refuses, and asks for a confirmation there.
func (l *Ledger) Confirm(ctx context.Context, operator, reason string) error {
	if operator == "" || reason == "" {
		return fmt.Errorf("confirm the ledger: an operator and a reason are needed: %w", ErrNotProposed)
	}
	l.mu.Lock()
	why, since := l.wentBack, l.since
	l.mu.Unlock()
	if why == "" {
		return fmt.Errorf("confirm the ledger: it didn't go back as far as this node knows; there is nothing to confirm: %w", ErrNotProposed)
	}
	pause(ctx, l.timing.wait-time.Since(since))
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("confirm the ledger: until every holder's time is up: %w: %w", err, ErrNotProposed)
	}
	_, now, _, err := l.fetchUnjudged(ctx)
	if err != nil {
		return fmt.Errorf("confirm the ledger: %w", notProposed(err))
	}
	past := l.known()
	if past == nil { // met for the first time, on an etcd that it was not made on
		past = empty(now.etcd, 0)
	}
	d := confirmed(past, now, meta{
		Schema: schema, Cluster: l.opt.Cluster, ID: rand.Text(), Etcd: fmt.Sprintf("%x", now.etcd), Op: l.operation(),
		Confirmed: &confirmation{Node: l.opt.Self, Operator: operator, Reason: reason, At: time.Now().UnixMilli()},
	})
	t := transaction{base: now, needs: needs{keys: []string{metaKey}, groups: true, fences: true}, difference: d}
	got, err := l.sendOnce(ctx, &t, now.rev)
	if err != nil {
		return fmt.Errorf("confirm the ledger: outcome unknown, see status: %w", err)
	}
	if !got.Succeeded {
		return fmt.Errorf("confirm the ledger: it has just changed, see status, then try again: %w", ErrNotProposed)
	}
	l.log.Warn("the ledger was confirmed", "operator", operator, "reason", reason, "was", why)
	if _, err := l.fetch(ctx); err != nil && !errors.Is(err, ErrWentBack) {
		l.log.Warn("the confirmed ledger wasn't read yet", "err", err)
	}
	return nil
}

// confirmed is what a confirmation writes: m, and every group without a holder.
func confirmed(past, now *view, m meta) difference {
	m.Replaces = slices.Clone(now.meta.Replaces)
	for _, id := range []string{now.meta.ID, past.meta.ID} {
		if id != "" && !slices.Contains(m.Replaces, id) {
			m.Replaces = append(m.Replaces, id)
		}
	}
	m.Replaces = m.Replaces[max(0, len(m.Replaces)-maxReplaced):]
	m.Base = now.meta.Base
	if ahead := max(past.index(), now.index()) + indexLeap; ahead > m.Base+uint64(now.rev) {
		m.Base = ahead - uint64(now.rev)
	}
	groups := map[string]arbiter.Group{}
	for _, r := range []arbiter.Record{now.record, past.record} { // the memory is later than the backup
		for name, g := range r.Groups {
			if have, known := groups[name]; !known || g.Epoch >= have.Epoch {
				groups[name] = g
			}
		}
	}
	nodes := maps.Clone(now.record.Nodes)
	if nodes == nil {
		nodes = map[string]arbiter.Node{}
	}
	maps.Copy(nodes, past.record.Nodes)
	restored := arbiter.Restored(arbiter.Record{Nodes: nodes, Groups: groups, Fences: now.record.Fences})
	d := difference{puts: map[string]string{metaKey: encode(m)}}
	for name, g := range restored.Groups {
		d.puts[groupKey(name)] = encode(groupValue{g, []string{m.Op}})
	}
	now.fenceDifference(restored.Fences, m.Op, &d)
	return d
}
