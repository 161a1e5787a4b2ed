//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// interval is how often the observer asks, unless told otherwise.
const interval = 2 * time.Millisecond

// Observer is the judge: it asks from the client's place, all the time, three ways. A broadcast
// "who has the VIP", to which every holder answers, so that all are seen; an echo request for the VIP
// to each machine's own MAC address, which finds a holder that ARP hides; and an echo request
// through the client's own kernel and its neighbour table, which measures what a client feels. Beside that it
// follows what each machine's kernel says about its addresses.
type Observer struct {
	interval time.Duration
	cancel   context.CancelFunc
	done     sync.WaitGroup
	close    []func()

	mu        sync.Mutex
	err       error
	asked     []time.Time // by the client's kernel
	arrivals  []time.Time // of answers to the client's kernel
	answers   map[string][]Answer
	strangers []string
	links     map[string][]Span // To is zero while the VIP is on a link
	changed   chan struct{}     // closed and replaced when an answer comes
}

// Observe starts an observer, which works until ctx ends or [Observer.Stop]. An interval of zero is 2 ms.
func (l *Lab) Observe(ctx context.Context, every time.Duration) (*Observer, error) {
	if every == 0 {
		every = interval
	}
	ctx, cancel := context.WithCancel(ctx)
	o := &Observer{interval: every, cancel: cancel, answers: map[string][]Answer{}, links: map[string][]Span{}, changed: make(chan struct{})}
	if err := o.start(ctx, l); err != nil {
		o.Stop()
		return nil, fmt.Errorf("observer: %w", err)
	}
	return o, nil
}

func (o *Observer) start(ctx context.Context, l *Lab) error {
	p := &prober{o: o, every: o.interval}
	err := inside(l.Namespace(clientPort), func() error { return p.open() })
	o.close = append(o.close, p.closeAll)
	if err != nil {
		return err
	}
	for _, n := range Nodes {
		if err := o.follow(ctx, l, n.Name); err != nil {
			return err
		}
	}
	o.done.Go(func() { p.ask(ctx) })
	for _, s := range []*packetSocket{p.arp, p.ip} {
		o.done.Go(func() { p.listen(ctx, s) })
	}
	return nil
}

// Stop ends the asking. What was seen stays. It returns what kept the observer from seeing.
func (o *Observer) Stop() error {
	o.cancel()
	o.done.Wait()
	for _, f := range o.close {
		f()
	}
	o.close = nil
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// wall is the time without Go's monotonic reading: the kernel's timestamps have none, and times
// that are compared should be of one kind.
func wall() time.Time { return time.Now().Round(0) }

// Report tells what was seen in a window.
func (o *Observer) Report(from, to time.Time) Report {
	from, to = from.Round(0), to.Round(0)
	o.mu.Lock()
	defer o.mu.Unlock()
	r := Report{From: from, To: to, Outage: longestOutage(o.arrivals, o.asked, from, to), Strangers: slices.Clone(o.strangers)}
	r.Stall = longestPause(o.asked, from, to)
	var all []Span
	for _, answers := range o.answers {
		all = append(all, spans(answers, o.asked)...)
	}
	r.Holders = clip(all, from, to)
	r.Overlaps = overlaps(r.Holders)
	r.TwoHolders = lasting(r.Overlaps)
	var links []Span
	for _, spans := range o.links {
		for _, s := range spans {
			if s.To.IsZero() {
				s.To = to
			}
			links = append(links, s)
		}
	}
	r.Links = clip(links, from, to)
	return r
}

// Holders are the machines that answer: not all of the last few questions stayed without an answer.
func (o *Observer) Holders() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.holders()
}

func (o *Observer) holders() []string {
	var names []string
	if len(o.asked) <= unanswered {
		return nil
	}
	since := o.asked[len(o.asked)-1-unanswered]
	for node, answers := range o.answers {
		if answers[len(answers)-1].Sent.After(since) {
			names = append(names, node)
		}
	}
	slices.Sort(names)
	return names
}

// AwaitHolder waits until a machine answers and the client hears it; "" stands for any.
func (o *Observer) AwaitHolder(ctx context.Context, node string) (string, error) {
	var found string
	err := o.Await(ctx, func(holders []string) bool {
		if node != "" {
			found = node
			return slices.Contains(holders, node)
		}
		if len(holders) > 0 {
			found = holders[0]
		}
		return len(holders) > 0
	})
	return found, err
}

// Await waits until the machines that answer satisfy a condition.
func (o *Observer) Await(ctx context.Context, satisfied func(holders []string) bool) error {
	quiet := time.NewTicker(5 * time.Millisecond) // a silence is seen only by looking
	defer quiet.Stop()
	for {
		o.mu.Lock()
		changed, holders, err := o.changed, o.holders(), o.err
		o.mu.Unlock()
		if err != nil {
			return err
		}
		if satisfied(holders) {
			return nil
		}
		select {
		case <-changed:
		case <-quiet.C:
		case <-ctx.Done():
			return fmt.Errorf("await holder (now: %v): %w", holders, context.Cause(ctx))
		}
	}
}

func (o *Observer) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = errors.Join(o.err, err)
}

func (o *Observer) answered(a Answer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answers[a.Node] = append(o.answers[a.Node], a)
	close(o.changed)
	o.changed = make(chan struct{})
}

func (o *Observer) answeredByStranger(mac net.HardwareAddr) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if name := mac.String(); !slices.Contains(o.strangers, name) {
		o.strangers = append(o.strangers, name)
	}
}

// prober asks and listens.
type prober struct {
	o       *Observer
	every   time.Duration
	out     *packetSocket
	arp, ip *packetSocket
	echo    int // the client's own way

	mu      sync.Mutex
	sentARP [256]time.Time     // by number
	sent    [1 << 16]time.Time // by sequence number
}

func (p *prober) open() (err error) {
	p.echo = -1
	if p.out, err = openPacketSocket(nodeLink, 0); err != nil {
		return err
	}
	if p.arp, err = openPacketSocket(nodeLink, etherARP); err != nil {
		return err
	}
	if p.ip, err = openPacketSocket(nodeLink, etherIPv4); err != nil {
		return err
	}
	p.echo, err = openEchoSocket()
	return err
}

func (p *prober) closeAll() {
	for _, s := range []*packetSocket{p.out, p.arp, p.ip} {
		if s != nil {
			s.close()
		}
	}
	if p.echo >= 0 {
		unix.Close(p.echo)
	}
}

// ask has a thread that goes before all others, and sleeps by the kernel's clock: what happens
// while the judge waits for a processor isn't seen.
func (p *prober) ask(ctx context.Context) {
	runtime.LockOSThread() // never unlocked: the priority ends with the thread
	realtime := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}
	if unix.SchedSetAttr(0, &realtime, 0) != nil { // some containers may not
		unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -20)
	}
	next := time.Now()
	for seq := uint16(0); ctx.Err() == nil; seq++ {
		if err := p.askOnce(seq); err != nil {
			p.o.fail(fmt.Errorf("send a question: %w", err))
			return
		}
		next = next.Add(p.every)
		if wait := time.Until(next); wait > 0 {
			ts := unix.NsecToTimespec(wait.Nanoseconds())
			unix.Nanosleep(&ts, nil)
		} else {
			next = time.Now() // it was late; don't make up for it
		}
	}
}

func (p *prober) askOnce(seq uint16) error {
	// A frame that waits for a processor between its stamp and its sending would look like an outage, so
	// the client's is sent right behind its own.
	now := wall()
	// Errors here are the client's to feel: no route to host, no neighbour.
	unix.Sendto(p.echo, echoMessage(asClient, seq), 0, &unix.SockaddrInet4{Addr: VIP.As4()})
	p.o.mu.Lock()
	p.o.asked = append(p.o.asked, now)
	p.o.mu.Unlock()

	now = wall()
	p.mu.Lock()
	p.sent[seq], p.sentARP[uint8(seq)] = now, now
	p.mu.Unlock()
	client := port{mac: macOf(clientAddr), addr: clientAddr}
	err := p.out.send(whoHas(VIP, uint8(seq)))
	for i, n := range Nodes {
		err = errors.Join(err, p.out.send(echo(client, macOf(n.Addr), VIP, toNode+uint16(i), seq)))
	}
	return err
}

func (p *prober) listen(ctx context.Context, s *packetSocket) {
	buf, control := make([]byte, 2048), make([]byte, 128)
	for ctx.Err() == nil {
		n, at, err := s.receive(buf, control)
		switch {
		case errors.Is(err, errQuiet):
		case err != nil:
			p.o.fail(fmt.Errorf("receive an answer: %w", err))
			return
		default:
			p.heard(buf[:n], at)
		}
	}
}

func (p *prober) heard(frame []byte, at time.Time) {
	if from, number, ok := arpAnswer(frame, VIP); ok {
		p.mu.Lock()
		sent := p.sentARP[number]
		p.mu.Unlock()
		if i := slices.IndexFunc(Nodes, func(n Node) bool { return slices.Equal(macOf(n.Addr), from) }); i >= 0 {
			p.o.answered(Answer{Node: Nodes[i].Name, Sent: sent, Got: at})
		} else {
			p.o.answeredByStranger(from)
		}
		return
	}
	id, seq, ok := echoAnswer(frame, VIP)
	if !ok {
		return
	}
	p.mu.Lock()
	sent := p.sent[seq]
	p.mu.Unlock()
	switch i := int(id) - toNode; {
	case id == asClient:
		p.o.mu.Lock()
		p.o.arrivals = append(p.o.arrivals, at)
		p.o.mu.Unlock()
	case i >= 0 && i < len(Nodes):
		p.o.answered(Answer{Node: Nodes[i].Name, Sent: sent, Got: at})
	}
}
