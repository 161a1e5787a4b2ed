package arbiter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// envelope is a command on disk and on the wire: its kind, then its fields.
type envelope struct {
	Kind string          `json:"kind"`
	Body json.RawMessage `json:"body"`
}

// kinds lists every command once; Encode and Decode both read it.
var kinds = map[string]func() any{
	"register": func() any { return new(Register) },
	"beat":     func() any { return new(Beat) },
	"take":     func() any { return new(Take) },
	"release":  func() any { return new(Release) },
	"clear":    func() any { return new(Clear) },
	"intent":   func() any { return new(Intent) },
	"report":   func() any { return new(Report) },
	"attest":   func() any { return new(Attest) },
	"move":     func() any { return new(Move) },
	"identify": func() any { return new(Identify) },
	"order":    func() any { return new(Order) },
	"unfence":  func() any { return new(Unfence) },
	"maintain": func() any { return new(Maintain) },
}

func kindOf(c Command) string {
	switch c.(type) {
	case Register:
		return "register"
	case Beat:
		return "beat"
	case Take:
		return "take"
	case Release:
		return "release"
	case Clear:
		return "clear"
	case Intent:
		return "intent"
	case Report:
		return "report"
	case Attest:
		return "attest"
	case Move:
		return "move"
	case Identify:
		return "identify"
	case Order:
		return "order"
	case Unfence:
		return "unfence"
	case Maintain:
		return "maintain"
	}
	panic(fmt.Sprintf("arbiter: command %T has no kind", c))
}

// Encode is a command as JSON.
func Encode(c Command) []byte {
	body, err := json.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("arbiter: encode %T: %v", c, err)) // commands are plain values
	}
	out, err := json.Marshal(envelope{Kind: kindOf(c), Body: body})
	if err != nil {
		panic(fmt.Sprintf("arbiter: encode %T: %v", c, err))
	}
	return out
}

// Decode is the command that Encode wrote. Unknown kinds and fields are errors: an older
// program must not apply half of a newer one's command.
func Decode(b []byte) (Command, error) {
	var e envelope
	if err := strict(b, &e); err != nil {
		return nil, fmt.Errorf("decode command: %w", err)
	}
	empty, ok := kinds[e.Kind]
	if !ok {
		return nil, fmt.Errorf("decode command: unknown kind %q", e.Kind)
	}
	v := empty()
	if err := strict(e.Body, v); err != nil {
		return nil, fmt.Errorf("decode command %s: %w", e.Kind, err)
	}
	return deref(v), nil
}

func strict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("trailing bytes after the command")
	}
	return nil
}

func deref(v any) Command {
	switch c := v.(type) {
	case *Register:
		return *c
	case *Beat:
		return *c
	case *Take:
		return *c
	case *Release:
		return *c
	case *Clear:
		return *c
	case *Intent:
		return *c
	case *Report:
		return *c
	case *Attest:
		return *c
	case *Move:
		return *c
	case *Identify:
		return *c
	case *Order:
		return *c
	case *Unfence:
		return *c
	case *Maintain:
		return *c
	}
	panic(fmt.Sprintf("arbiter: decoded %T is no command", v))
}
