package raftnode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// link is this node's way to ask one peer. It keeps one connection, dialled when there's something
// to ask, and any number of requests may be under way on it.
type link struct {
	peer  string
	port  *port
	quiet time.Duration // a connection that owes an answer and is silent this long is given up
	turn  turn          // to dial

	mu  sync.Mutex
	now *session
}

func newLink(p *port, peer string, quiet time.Duration) *link {
	return &link{peer: peer, port: p, quiet: quiet, turn: newTurn()}
}

// errUnsent marks a request that certainly didn't reach the peer.
var errUnsent = errors.New("not sent")

// turn is a lock that can be waited for beside other things: it holds one token.
type turn chan struct{}

func newTurn() turn {
	t := make(turn, 1)
	t <- struct{}{}
	return t
}

func (t turn) take() { <-t }
func (t turn) give() { t <- struct{}{} }

// session is one connection of a link.
type session struct {
	conn net.Conn
	done chan struct{}

	turn turn // to send a frame

	mu      sync.Mutex
	last    uint64 // request number
	waiting map[uint64]chan reply
	heard   time.Time
	owed    int // requests given up since the last that was answered
	err     error
}

// session returns the link's connection, dialling when there's none.
func (l *link) session(ctx context.Context) (*session, error) {
	select {
	case <-l.turn:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer l.turn.give()
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
	c, err := l.port.dial(ctx, kindRequest, l.peer)
	if err != nil {
		return nil, err
	}
	if !l.port.begin() {
		c.Close()
		return nil, net.ErrClosed
	}
	s = &session{conn: c, done: make(chan struct{}), turn: newTurn(), waiting: map[uint64]chan reply{}, heard: time.Now()}
	l.mu.Lock()
	l.now = s
	l.mu.Unlock()
	go func() {
		defer l.port.wg.Done()
		s.receive()
	}()
	return s, nil
}

// receive pairs replies with requests until the connection ends; closing the port ends it.
func (s *session) receive() {
	defer close(s.done)
	defer s.conn.Close()
	for {
		var r reply
		if err := readFrame(s.conn, &r, maxReply); err != nil {
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
func (s *session) ask(ctx context.Context, what string, body any) (uint64, <-chan reply, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return 0, nil, fmt.Errorf("encode %s: %w", what, err)
	}
	answers := make(chan reply, 1)
	s.mu.Lock()
	s.last++
	id := s.last
	s.waiting[id] = answers
	s.mu.Unlock()
	req := request{ID: id, Ask: what, Body: raw}
	if until, ok := ctx.Deadline(); ok {
		req.Budget = max(1, time.Until(until).Milliseconds())
	}
	select {
	case <-s.turn:
	case <-ctx.Done():
		s.forget(id, greetLimit)
		return id, nil, fmt.Errorf("%w: %w", errUnsent, context.Cause(ctx))
	}
	defer s.turn.give()
	if err := s.conn.SetWriteDeadline(time.Now().Add(greetLimit)); err != nil {
		return id, nil, err
	}
	if err := writeFrame(s.conn, req, maxRequest); err != nil {
		s.conn.Close()
		return id, nil, err
	}
	return id, answers, nil
}

// maxOwed is how many requests in a row may go unanswered on a connection that is otherwise
// alive: one direction of it may be dead.
const maxOwed = 3

// forget stops waiting for an answer, and gives the connection up when it is long silent.
func (s *session) forget(id uint64, quiet time.Duration) {
	s.mu.Lock()
	delete(s.waiting, id)
	s.owed++
	dead := time.Since(s.heard) >= quiet || s.owed >= maxOwed
	s.mu.Unlock()
	if dead {
		s.conn.Close()
	}
}

// call asks and waits for the one answer. An error is either errUnsent, or a *wireError (the
// peer's word), or means that it isn't known what the peer did.
func (l *link) call(ctx context.Context, what string, body, answer any) error {
	s, err := l.session(ctx)
	if err != nil {
		return fmt.Errorf("%s to %s: %w: %w", what, l.peer, errUnsent, err)
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
		s.forget(id, l.quiet)
		return fmt.Errorf("%s to %s: no answer: %w", what, l.peer, context.Cause(ctx))
	}
}

func (l *link) open(what string, r reply, answer any) error {
	if r.Code != codeOK {
		return fmt.Errorf("%s to %s: %w", what, l.peer, &wireError{code: r.Code, text: r.Text})
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(r.Body, answer); err != nil {
		return fmt.Errorf("%s to %s: answer: %w", what, l.peer, err)
	}
	return nil
}

// stream asks and hands each answer to each, until the peer ends it, the peer falls silent for
// quiet (it repeats itself more often than that), or ctx is done.
func (l *link) stream(ctx context.Context, what string, each func(json.RawMessage) error) error {
	s, err := l.session(ctx)
	if err != nil {
		return fmt.Errorf("%s to %s: %w", what, l.peer, err)
	}
	id, answers, err := s.ask(ctx, what, nil)
	if err != nil {
		return fmt.Errorf("%s to %s: %w", what, l.peer, err)
	}
	defer s.forget(id, l.quiet)
	silence := time.NewTimer(l.quiet)
	defer silence.Stop()
	for {
		select {
		case r := <-answers:
			if !r.More {
				return l.open(what, r, nil)
			}
			silence.Reset(l.quiet)
			if len(r.Body) == 0 {
				continue
			}
			if err := each(r.Body); err != nil {
				return fmt.Errorf("%s to %s: %w", what, l.peer, err)
			}
		case <-s.done:
			return fmt.Errorf("%s to %s: connection lost: %w", what, l.peer, s.err)
		case <-silence.C:
			return fmt.Errorf("%s to %s: silent for %v", what, l.peer, l.quiet)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
