package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/solevip/solevip/claim"
	"github.com/solevip/solevip/fence"
	"github.com/solevip/solevip/vrrp"
)

// tape is what happened, by all parts of all nodes, in order.
type tape struct {
	mu    sync.Mutex
	began time.Time
	lines []line
}

type line struct {
	at   time.Duration
	text string
}

func (t *tape) add(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, line{time.Since(t.began), fmt.Sprintf(format, args...)})
}

// find is when a line that begins like this came first at or after an instant.
func (t *tape) find(begin string, after time.Duration) (time.Duration, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.lines {
		if l.at >= after && strings.HasPrefix(l.text, begin) {
			return l.at, true
		}
	}
	return 0, false
}

func (t *tape) count(begin string) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.lines {
		if strings.HasPrefix(l.text, begin) {
			n++
		}
	}
	return n
}

// ordered are the lines that begin with any of these, without their times.
func (t *tape) ordered(begins ...string) (out []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.lines {
		if slices.ContainsFunc(begins, func(b string) bool { return strings.HasPrefix(l.text, b) }) {
			out = append(out, l.text)
		}
	}
	return out
}

func (t *tape) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	for _, l := range t.lines {
		fmt.Fprintf(&b, "%12v %s\n", l.at, l.text)
	}
	return b.String()
}

// kernel is a machine's kernel: addresses stay up until their permit's end, whoever lives.
type kernel struct {
	tape  *tape
	node  string
	clock func() time.Duration
	mu    sync.Mutex
	until map[string]time.Duration
	spans []span // of the group "db", from up to down
	fail  func(call, group string) error
	dozes time.Duration // how long a Bind takes
}

// span is a time in which a node had the addresses up.
type span struct{ from, to time.Duration }

func newKernel(t *tape, node string, clock func() time.Duration) *kernel {
	return &kernel{tape: t, node: node, clock: clock, until: map[string]time.Duration{}}
}

func (k *kernel) up(group string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.clock() < k.until[group]
}

// history is when the group "db" was up.
func (k *kernel) history() []span {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.spans)
}

// end is when the permit of the group "db" ends.
func (k *kernel) end() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.until["db"]
}

// process is the kernel as one process reaches it: not at all, once it was killed.
type process struct {
	*kernel
	mu   sync.Mutex
	dead bool
}

var errKilled = errors.New("killed")

func (p *process) call(what, group string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		return errKilled
	}
	if p.fail != nil {
		return p.fail(what, group)
	}
	return nil
}

func (p *process) Sweep(keep []string) (kept []string, err error) {
	if err := p.call("sweep", ""); err != nil {
		return nil, err
	}
	p.kernel.mu.Lock()
	defer p.kernel.mu.Unlock()
	for group, until := range p.until {
		if slices.Contains(keep, group) && p.clock() < until {
			kept = append(kept, group)
			continue
		}
		p.down(group)
	}
	p.tape.add("%s sweeps, keeps %v", p.node, kept)
	return kept, nil
}

func (p *process) Bind(permits ...claim.Permit) error {
	if p.dozes > 0 {
		time.Sleep(p.dozes)
	}
	var failed groupErrors
	for _, permit := range permits {
		if err := p.call("bind", permit.Group()); err != nil {
			failed = append(failed, permit.Group()+": "+err.Error())
			continue
		}
		if !p.bind(permit) {
			failed = append(failed, permit.Group()+": permit is over")
		}
	}
	if failed != nil {
		return failed
	}
	return nil
}

// bind refuses a permit that is over, as the real kernel's owner does.
func (p *process) bind(permit claim.Permit) bool {
	p.kernel.mu.Lock()
	defer p.kernel.mu.Unlock()
	now, group := p.clock(), permit.Group()
	if !permit.Valid(now) {
		return false
	}
	if now >= p.until[group] {
		p.tape.add("%s binds %s epoch %d", p.node, group, permit.Epoch())
		if group == "db" {
			p.spans = append(p.spans, span{now, now})
		}
	}
	p.until[group] = permit.Until()
	if group == "db" {
		p.spans[len(p.spans)-1].to = permit.Until()
	}
	return true
}

func (p *process) Unbind(groups ...string) error {
	for _, group := range groups {
		if err := p.call("unbind", group); err != nil {
			return err
		}
		p.kernel.mu.Lock()
		p.down(group)
		p.tape.add("%s unbinds %s", p.node, group)
		p.kernel.mu.Unlock()
	}
	return nil
}

// forget is what no power does to a kernel.
func (k *kernel) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for group := range k.until {
		k.down(group)
	}
}

// down takes a group down; the lock is held.
func (k *kernel) down(group string) {
	if now := k.clock(); now < k.until[group] && group == "db" {
		k.spans[len(k.spans)-1].to = now
	}
	k.until[group] = 0
}

func (p *process) Reconcile() ([]string, error)                { return nil, nil }
func (p *process) Changed(ctx context.Context) <-chan struct{} { return make(chan struct{}) }
func (p *process) Announce(ctx context.Context, groups ...string) error {
	p.tape.add("%s announces %s", p.node, strings.Join(groups, " "))
	return p.call("announce", groups[0])
}

// groupErrors names the groups that failed, as the kernel's adapter does.
type groupErrors []string

func (e groupErrors) Error() string { return strings.Join(e, "; ") }
func (e groupErrors) FailedGroups() (out []string) {
	for _, text := range e {
		group, _, _ := strings.Cut(text, ":")
		out = append(out, group)
	}
	return out
}

// segment carries adverts between links.
type segment struct {
	tape  *tape
	mu    sync.Mutex
	links []*link
	cut   bool
}

// link is a node's socket on a segment.
type link struct {
	segment *segment
	node    string
	from    netip.Addr
	inbox   chan heard
	broken  chan error
}

type heard struct {
	advert vrrp.Advert
	from   netip.Addr
}

func (s *segment) link(node string, from netip.Addr) *link {
	l := &link{segment: s, node: node, from: from, inbox: make(chan heard, 64), broken: make(chan error, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links = append(s.links, l)
	return l
}

func (s *segment) set(cut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = cut
}

func (l *link) Send(a vrrp.Advert) error {
	l.segment.mu.Lock()
	defer l.segment.mu.Unlock()
	if !slices.Contains(l.segment.links, l) {
		return nil
	}
	if a.Priority == vrrp.PriorityReleased {
		l.segment.tape.add("%s sends priority 0 for %d", l.node, a.VRID)
	}
	if l.segment.cut {
		return nil
	}
	for _, other := range l.segment.links {
		if other == l {
			continue
		}
		select {
		case other.inbox <- heard{a, l.from}:
		default: // nobody listens there any more
		}
	}
	return nil
}

func (l *link) Run(ctx context.Context, deliver func(vrrp.Advert, netip.Addr)) error {
	for {
		select {
		case h := <-l.inbox:
			deliver(h.advert, h.from)
		case err := <-l.broken:
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

// bmc is a fence device: it takes some time, and says what it is told to say.
type bmc struct {
	tape   *tape
	target string
	takes  time.Duration
	mu     sync.Mutex
	power  fence.PowerState
	stuck  bool   // says yes and does nothing
	says   string // whose power it cuts
	cutOff func()
}

func (b *bmc) Name() string { return "bmc " + b.target }

func (b *bmc) Status(ctx context.Context, s fence.Shot) (fence.PowerState, error) {
	if err := b.wait(ctx); err != nil {
		return fence.PowerUnknown, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.power == fence.PowerUnknown {
		return b.power, errors.New("no route to host")
	}
	return b.power, nil
}

func (b *bmc) Off(ctx context.Context, s fence.Shot) error {
	if err := b.wait(ctx); err != nil {
		return err
	}
	b.tape.add("%s shoots %s for %s epoch %d", s.Node, b.target, s.Group, s.Epoch)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.power == fence.PowerUnknown {
		return errors.New("no route to host")
	}
	if !b.stuck {
		b.power = fence.PowerOff
		b.cutOff()
	}
	return nil
}

func (b *bmc) Identity(context.Context) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.says == "" {
		return "", fence.ErrNoIdentity
	}
	return b.says, nil
}

func (b *bmc) set(alter func(b *bmc)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	alter(b)
}

func (b *bmc) wait(ctx context.Context) error {
	b.mu.Lock()
	takes := b.takes
	b.mu.Unlock()
	select {
	case <-time.After(takes):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
