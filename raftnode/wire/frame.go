// Package wire is how the nodes of a ledger, and the guests of one, talk to each other: frames,
// requests and their answers on one connection, and the newest record handed to whoever watches.
//
// It owns the format and the bookkeeping of a connection. It doesn't decide who may ask what
// (raftnode), whom to ask and whether to ask again (raftnode and arbiter/remote), or who the other
// side is (cert): connections are handed to it open and proved.
package wire

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/solevip/solevip/arbiter"
)

// Every connection begins with one byte that says what follows, then a greeting and its answer as
// frames: a 4-byte big-endian length and that many bytes of JSON. After that a Raft stream speaks
// Raft's own protocol, and the other streams go on in frames.
const (
	KindRaft    byte = 'R'
	KindRequest byte = 'Q' // from a node of the same cluster
	KindGuest   byte = 'G' // from a node of another cluster, that has its ledger here

	Version = 1

	// The limits of a frame. A command is below 1 KiB; a record of 1,000 groups is below 1 MiB.
	MaxGreeting = 4 << 10
	MaxRequest  = 64 << 10
	MaxReply    = 8 << 20

	// GreetLimit is for TLS and greeting together, and for the writing of a frame.
	GreetLimit = 2 * time.Second
)

// Greeting is who calls, and whom.
type Greeting struct {
	Version int    `json:"version"`
	Cluster string `json:"cluster"`
	Ledger  string `json:"ledger,omitempty"` // the formed ledger's id, when the caller knows it
	From    string `json:"from"`             // must be the certificate's name
	To      string `json:"to,omitempty"`     // node name, or server id on a Raft stream; no guest's
}

// Welcome answers a greeting; an error ends the connection.
type Welcome struct {
	Error string `json:"error,omitempty"`
	// Heartbeat is the ledger's, for guests: it follows from a ttl that is not theirs.
	Heartbeat time.Duration `json:"heartbeat_ns,omitempty"`
}

// What may be asked on a request stream. Guests may propose, read and watch.
const (
	AskHello   = "hello"
	AskPropose = "propose"
	AskRead    = "read"
	AskWatch   = "watch" // answered by a stream of records; to guests, of beacons
	AskReadmit = "readmit"
	AskMember  = "member"
)

// Request is one question. Numbers pair replies with requests; many may be under way.
type Request struct {
	ID     uint64          `json:"id"`
	Ask    string          `json:"ask"`
	Budget int64           `json:"budget_ms,omitempty"` // after this long the asker no longer waits
	Body   json.RawMessage `json:"body,omitempty"`
}

// Reply is an answer, or one of several when More is set.
type Reply struct {
	ID   uint64          `json:"id"`
	More bool            `json:"more,omitempty"`
	Code Code            `json:"code,omitempty"`
	Text string          `json:"text,omitempty"` // of an error, for people
	Body json.RawMessage `json:"body,omitempty"`
}

// Code says what became of a request.
type Code string

// The codes of replies.
const (
	OK      Code = ""
	Nothing Code = "nothing" // certain: nothing was proposed (not the leader, busy, ...)
	Unknown Code = "unknown" // it may or may not be agreed
	Denied  Code = "denied"  // it will never be accepted from this node
)

// Proposal is the body of a propose request.
type Proposal struct {
	Command []byte `json:"command"`
}

// Agreed is the answer to a proposal or a read.
type Agreed struct {
	Record  arbiter.Record   `json:"record"`
	Refusal *arbiter.Refusal `json:"refusal,omitempty"`
}

// Beacon is what a node tells its guests regularly, and when something changes.
type Beacon struct {
	Ledger string `json:"ledger,omitempty"` // the id of the formed ledger
	Leader string `json:"leader,omitempty"` // whom it takes for the leader; it asks that one for guests
	Leads  bool   `json:"leads,omitempty"`  // it leads itself
	Term   uint64 `json:"term,omitempty"`   // where several say that they lead, the one of the highest does
	// Record is the newest of the guest's own space, when there is a newer one.
	Record json.RawMessage `json:"record,omitempty"`
}

// Error is a reply's error as the asker sees it.
type Error struct {
	Code Code
	Text string
}

func (e *Error) Error() string { return e.Text }

// Write sends one frame.
func Write(w io.Writer, v any, limit int) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode frame: %w", err)
	}
	if len(body) > limit {
		return fmt.Errorf("a frame of %d bytes is beyond the limit of %d", len(body), limit)
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body)))
	_, err = w.Write(append(frame, body...))
	return err
}

// Read receives one frame.
func Read(r io.Reader, v any, limit int) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if int64(n) > int64(limit) {
		return fmt.Errorf("a frame of %d bytes is beyond the limit of %d", n, limit)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return fmt.Errorf("frame cut short: %w", err)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("frame: %w", err)
	}
	return nil
}
