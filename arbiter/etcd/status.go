package etcd

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Status is a node's view of the ledger, for people and for metrics. It decides nothing.
type Status struct {
	Leader string // the name of etcd's leading member, "" when unknown
	// Quorum says that a proposal would be agreed now, as far as this node can tell: a request was
	// answered a moment ago, and no proposal went unanswered since.
	Quorum bool
	// Problem says what keeps this node from the ledger, or endangers it, and what to do; "" when
	// nothing does.
	Problem string
	// Warnings are what an operator should know about this etcd.
	Warnings []string
	// WentBack says that the ledger must be confirmed before this node acts on it.
	WentBack bool
	Ledger   string   // the ledger's id
	Index    uint64   // of the newest record
	Versions []string // of the members that answered
}

// survey is what the members say of themselves.
type survey struct {
	leader   string
	versions []string
	problems []string
	warnings []string
}

// Status tells how this node's access to the ledger stands.
func (l *Ledger) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Status{Warnings: slices.Clone(l.survey.warnings), Versions: slices.Clone(l.survey.versions), WentBack: l.wentBack != ""}
	if l.newest != nil {
		s.Ledger, s.Index = l.newest.meta.ID, l.newest.index()
	}
	answered := !l.answered.IsZero() && time.Since(l.answered) < l.timing.quorum
	s.Quorum = answered && !l.doubt && !s.WentBack && l.life.Err() == nil
	if answered {
		s.Leader = l.survey.leader
	}
	switch {
	case l.life.Err() != nil:
		s.Problem = "closed"
	case s.WentBack:
		s.Problem = fmt.Sprintf("the ledger is not the one it was: %s. Was etcd restored or emptied? When no node has anything up any more, confirm it: solevip ledger confirm", l.wentBack)
	case l.trouble != nil:
		s.Problem = l.trouble.Error()
	case !answered:
		s.Problem = "etcd doesn't answer: see whether a majority of its members runs and can be reached from here"
	case len(l.survey.problems) > 0:
		s.Problem = strings.Join(l.survey.problems, "; ")
	}
	return s
}

// surveyEvery is how often the members are asked for their version and their alarms.
const surveyEvery = 5 * time.Second

// wholeEvery is how many probes it takes until one reads the whole ledger, not what changed alone.
const wholeEvery = 10

// probe reads the ledger when nothing else did for a while, so that the status is true, a lagging
// watch is noticed, and a ledger that went back or was confirmed is too.
func (l *Ledger) probe(ctx context.Context) {
	tick := time.NewTicker(l.timing.probe / 2)
	defer tick.Stop()
	var asked time.Time
	for n := 0; ctx.Err() == nil; n++ {
		if time.Since(asked) > surveyEvery {
			l.inspect(ctx)
			asked = time.Now()
		}
		l.probeOnce(ctx, n%wholeEvery == 0)
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func (l *Ledger) probeOnce(ctx context.Context, whole bool) {
	l.mu.Lock()
	due := l.exact == nil || l.wentBack != "" || l.doubt || time.Since(l.answered) > l.timing.probe/2
	l.mu.Unlock()
	if !due && !whole {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, l.timing.quorum)
	defer cancel()
	read := l.read
	if whole {
		read = l.fetch
	}
	if _, err := read(ctx); err != nil {
		l.log.Debug("ledger not read", "err", err)
		l.mu.Lock()
		l.trouble = err
		l.mu.Unlock()
	}
}

// inspect asks every member for its version, its alarms and the leader.
func (l *Ledger) inspect(ctx context.Context) {
	var s survey
	var leader uint64
	for _, link := range l.ends.links {
		if link.inDoubt() {
			continue
		}
		c, err := link.open()
		if err != nil {
			continue
		}
		got, err := l.statusOf(ctx, c, link.url)
		if err != nil {
			continue
		}
		if got.Leader != 0 {
			leader = got.Leader
		}
		problems, warnings := flawsOf(got.Version)
		s.problems, s.warnings = append(s.problems, problems...), append(s.warnings, warnings...)
		s.versions = append(s.versions, got.Version)
		for _, e := range got.Errors {
			if strings.Contains(e, "NOSPACE") {
				e += ": etcd takes no writes: compact, defragment, then etcdctl alarm disarm"
			}
			s.problems = append(s.problems, "etcd says "+e)
		}
	}
	s.leader = l.memberName(ctx, leader)
	for _, list := range []*[]string{&s.versions, &s.problems, &s.warnings} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	l.mu.Lock()
	was := l.survey
	l.survey = s
	l.mu.Unlock()
	for _, text := range append(s.problems, s.warnings...) {
		if !slices.Contains(was.problems, text) && !slices.Contains(was.warnings, text) {
			l.log.Warn("about this etcd", "what", text)
		}
	}
}

func (l *Ledger) statusOf(ctx context.Context, c *clientv3.Client, url string) (*clientv3.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timing.attempt)
	defer cancel()
	return c.Status(ctx, url)
}

// memberName is a member's name, or its id where the user may not list the members.
func (l *Ledger) memberName(ctx context.Context, id uint64) string {
	if id == 0 {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, l.timing.attempt)
	defer cancel()
	if c, err := l.ends.pick().open(); err == nil {
		if got, err := c.MemberList(ctx); err == nil {
			for _, m := range got.Members {
				if m.ID == id && m.Name != "" {
					return m.Name
				}
			}
		}
	}
	return fmt.Sprintf("%x", id)
}
