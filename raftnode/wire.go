package raftnode

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"

	"github.com/solevip/solevip/arbiter"
)

// Every connection begins with one byte that says what follows, then a greeting and its answer as
// frames: a 4-byte big-endian length and that many bytes of JSON. After that a Raft stream speaks
// Raft's own protocol, and a request stream goes on in frames.
const (
	kindRaft    byte = 'R'
	kindRequest byte = 'Q'

	wireVersion = 1

	// The limits of a frame. A command is below 1 KiB; a record of 1,000 groups is below 1 MiB.
	maxGreeting = 4 << 10
	maxRequest  = 64 << 10
	maxReply    = 8 << 20
)

// greeting is who calls, and whom.
type greeting struct {
	Version int    `json:"version"`
	Cluster string `json:"cluster"`
	Ledger  string `json:"ledger,omitempty"` // the formed ledger's id, when the caller knows it
	From    string `json:"from"`             // must be the certificate's name
	To      string `json:"to"`               // node name, or server id on a Raft stream
}

// welcome answers a greeting; an error ends the connection.
type welcome struct {
	Error string `json:"error,omitempty"`
}

// What may be asked on a request stream.
const (
	askHello   = "hello"
	askPropose = "propose"
	askRead    = "read"
	askWatch   = "watch" // answered by a stream of records
	askReadmit = "readmit"
	askMember  = "member"
)

// request is one question. Numbers pair replies with requests; many may be under way.
type request struct {
	ID     uint64          `json:"id"`
	Ask    string          `json:"ask"`
	Budget int64           `json:"budget_ms,omitempty"` // after this long the asker no longer waits
	Body   json.RawMessage `json:"body,omitempty"`
}

// reply is an answer, or one of several when More is set.
type reply struct {
	ID   uint64          `json:"id"`
	More bool            `json:"more,omitempty"`
	Code replyCode       `json:"code,omitempty"`
	Text string          `json:"text,omitempty"` // of an error, for people
	Body json.RawMessage `json:"body,omitempty"`
}

// replyCode says what became of a request.
type replyCode string

const (
	codeOK      replyCode = ""
	codeNothing replyCode = "nothing" // certain: nothing was proposed (not the leader, busy, ...)
	codeUnknown replyCode = "unknown" // it may or may not be agreed
	codeDenied  replyCode = "denied"  // it will never be accepted from this node
)

// agreed is the answer to a proposal or a read.
type agreed struct {
	Record  arbiter.Record   `json:"record"`
	Refusal *arbiter.Refusal `json:"refusal,omitempty"`
}

// wireError is a reply's error as the asker sees it.
type wireError struct {
	code replyCode
	text string
}

func (e *wireError) Error() string { return e.text }

func writeFrame(w io.Writer, v any, limit int) error {
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

func readFrame(r io.Reader, v any, limit int) error {
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
