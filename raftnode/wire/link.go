package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// LinkOptions are what a link needs of its owner.
type LinkOptions struct {
	Peer string // for people
	// Dial opens a connection on which both sides are proved and greeted.
	Dial func(ctx context.Context) (net.Conn, error)
	// Go runs a goroutine that the owner waits for; false says that the owner is closing. Whoever
	// closes the connections ends it.
	Go func(func()) bool
	// Quiet says how long a connection that owes an answer may be silent.
	Quiet func() time.Duration
}

// Link is the way to ask one peer. It keeps one connection, dialled when there's something to ask,
// and any number of requests may be under way on it.
type Link struct {
	o    LinkOptions
	peer string
	turn Turn // to dial

	mu  sync.Mutex
	now *session
}

// NewLink is a link that has not dialled yet.
func NewLink(o LinkOptions) *Link {
	return &Link{o: o, peer: o.Peer, turn: NewTurn()}
}

// ErrUnsent marks a request that certainly didn't reach the peer.
var ErrUnsent = errors.New("not sent")

// Turn is a lock that can be waited for beside other things: it holds one token.
type Turn chan struct{}

// NewTurn is a turn that nobody has.
func NewTurn() Turn {
	t := make(Turn, 1)
	t <- struct{}{}
	return t
}

// Take waits for the turn.
func (t Turn) Take() { <-t }

// Give gives it to the next.
func (t Turn) Give() { t <- struct{}{} }

// session is one connection of a link.
type session struct {
	conn net.Conn
	done chan struct{}

	turn Turn // to send a frame

	mu      sync.Mutex
	last    uint64 // request number
	waiting map[uint64]chan Reply
	heard   time.Time
	owed    int       // requests given up since the last that was answered
	since   time.Time // the first of them
	err     error
}

// session returns the link's connection, dialling when there's none.
func (l *Link) session(ctx context.Context) (*session, error) {
	select {
	case <-l.turn:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer l.turn.Give()
	l.mu.Lock()
	s := l.now
	l.mu.Unlock()
	if s != nil {
		select {
		case <-s.done:
		default:
			return s, nil
		}
	}
	c, err := l.o.Dial(ctx)
	if err != nil {
		return nil, err
	}
	s = &session{conn: c, done: make(chan struct{}), turn: NewTurn(), waiting: map[uint64]chan Reply{}, heard: time.Now()}
	if !l.o.Go(s.receive) {
		c.Close()
		return nil, net.ErrClosed
	}
	l.mu.Lock()
	l.now = s
	l.mu.Unlock()
	return s, nil
}

// receive pairs replies with requests until the connection ends; closing it ends that.
func (s *session) receive() {
	defer close(s.done)
	defer s.conn.Close()
	for {
		var r Reply
		if err := Read(s.conn, &r, MaxReply); err != nil {
			s.mu.Lock()
			s.err = err
			s.mu.Unlock()
			return
		}
		s.mu.Lock()
		s.heard = time.Now()
		to := s.waiting[r.ID]
		if !r.More {
			delete(s.waiting, r.ID)
			s.owed = 0
		}
		s.mu.Unlock()
		if to == nil {
			continue // nobody waits any more
		}
		select {
		case to <- r:
		default: // a stream's reader is behind: the newest matters
			select {
			case <-to:
			default:
			}
			to <- r
		}
	}
}

// ask sends a request and returns where its answers come.
func (s *session) ask(ctx context.Context, what string, body any) (uint64, <-chan Reply, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return 0, nil, fmt.Errorf("encode %s: %w", what, err)
	}
	answers := make(chan Reply, 1)
	s.mu.Lock()
	s.last++
	id := s.last
	s.waiting[id] = answers
	s.mu.Unlock()
	req := Request{ID: id, Ask: what, Body: raw}
	if until, ok := ctx.Deadline(); ok {
		req.Budget = max(1, time.Until(until).Milliseconds())
	}
	select {
	case <-s.turn:
	case <-ctx.Done():
		s.forget(id, GreetLimit)
		return id, nil, fmt.Errorf("%w: %w", ErrUnsent, context.Cause(ctx))
	}
	defer s.turn.Give()
	if err := s.conn.SetWriteDeadline(time.Now().Add(GreetLimit)); err != nil {
		return id, nil, err
	}
	if err := Write(s.conn, req, MaxRequest); err != nil {
		s.conn.Close()
		return id, nil, err
	}
	return id, answers, nil
}

// maxOwed is how many requests in a row may go unanswered for a while on a connection that is
// otherwise alive: one direction of it may be dead.
const maxOwed = 3

// forget stops waiting for an answer, and gives the connection up when it is long silent.
func (s *session) forget(id uint64, quiet time.Duration) {
	s.mu.Lock()
	delete(s.waiting, id)
	if s.owed++; s.owed == 1 {
		s.since = time.Now()
	}
	dead := time.Since(s.heard) >= quiet || s.owed >= maxOwed && time.Since(s.since) >= quiet
	s.mu.Unlock()
	if dead {
		s.conn.Close()
	}
}

// Call asks and waits for the one answer. An error is either ErrUnsent, or a *Error (the
// peer's word), or means that it isn't known what the peer did.
func (l *Link) Call(ctx context.Context, what string, body, answer any) error {
	s, err := l.session(ctx)
	if err != nil {
		return fmt.Errorf("%s to %s: %w: %w", what, l.peer, ErrUnsent, err)
	}
	id, answers, err := s.ask(ctx, what, body)
	if err != nil {
		return fmt.Errorf("%s to %s: %w", what, l.peer, err)
	}
	select {
	case r := <-answers:
		return l.open(what, r, answer)
	case <-s.done:
		select {
		case r := <-answers: // it came last
			return l.open(what, r, answer)
		default:
			return fmt.Errorf("%s to %s: connection lost: %w", what, l.peer, s.err)
		}
	case <-ctx.Done():
		s.forget(id, l.o.Quiet())
		return fmt.Errorf("%s to %s: no answer: %w", what, l.peer, context.Cause(ctx))
	}
}

func (l *Link) open(what string, r Reply, answer any) error {
	if r.Code != OK {
		return fmt.Errorf("%s to %s: %w", what, l.peer, &Error{Code: r.Code, Text: r.Text})
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(r.Body, answer); err != nil {
		return fmt.Errorf("%s to %s: answer: %w", what, l.peer, err)
	}
	return nil
}

// Stream asks and hands each answer to each, until the peer ends it, the peer falls silent for
// quiet (it repeats itself more often than that), or ctx is done.
func (l *Link) Stream(ctx context.Context, what string, each func(json.RawMessage) error) error {
	s, err := l.session(ctx)
	if err != nil {
		return fmt.Errorf("%s to %s: %w", what, l.peer, err)
	}
	id, answers, err := s.ask(ctx, what, nil)
	if err != nil {
		return fmt.Errorf("%s to %s: %w", what, l.peer, err)
	}
	defer s.forget(id, l.o.Quiet())
	silence := time.NewTimer(l.o.Quiet())
	defer silence.Stop()
	for {
		select {
		case r := <-answers:
			if !r.More {
				return l.open(what, r, nil)
			}
			silence.Reset(l.o.Quiet())
			if len(r.Body) == 0 {
				continue
			}
			if err := each(r.Body); err != nil {
				return fmt.Errorf("%s to %s: %w", what, l.peer, err)
			}
		case <-s.done:
			return fmt.Errorf("%s to %s: connection lost: %w", what, l.peer, s.err)
		case <-silence.C:
			return fmt.Errorf("%s to %s: silent for %v", what, l.peer, l.o.Quiet())
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
