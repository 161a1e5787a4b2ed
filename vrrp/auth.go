package vrrp

import (
	"bytes"
	"errors"
	"fmt"
)

// AuthType is the authentication field of version 2.
type AuthType uint8

// The types that are left: RFC 3768 took RFC 2338's out of the standard but not out of the packet, and
// keepalived's auth_pass still fills it in. It keeps strays out, not attackers.
const (
	AuthNone AuthType = 0
	AuthPass AuthType = 1
)

// Auth is version 2's simple password. It is kept out of everything that is printed.
type Auth struct {
	Type AuthType
	Text string // up to 8 bytes, in clear on the wire; keepalived cuts longer ones
}

// Pass is the simple password of RFC 2338, cut to the 8 bytes that count, as keepalived does.
func Pass(text string) Auth {
	if len(text) > authLen {
		text = text[:authLen]
	}
	return Auth{Type: AuthPass, Text: text}
}

func (a Auth) check() error {
	switch {
	case a.Type != AuthNone && a.Type != AuthPass:
		return fmt.Errorf("authentication type %d: 0 (none) and 1 (password) are known", a.Type)
	case a.Type == AuthNone && a.Text != "":
		return errors.New("a password without authentication type 1")
	case len(a.Text) > authLen:
		return fmt.Errorf("a password of %d bytes: at most %d go into an advert", len(a.Text), authLen)
	case len(a.Text) > 0 && a.Text[len(a.Text)-1] == 0:
		return errors.New("a password that ends in a zero byte can't be told from a shorter one")
	}
	return nil
}

func (a Auth) bytes() (out [authLen]byte) {
	copy(out[:], a.Text)
	return out
}

// parseAuth reads the 8 bytes behind the addresses; without authentication nobody looks at them.
func parseAuth(kind uint8, b []byte) (Auth, error) {
	switch AuthType(kind) {
	case AuthNone:
		return Auth{}, nil
	case AuthPass:
		return Auth{Type: AuthPass, Text: string(bytes.TrimRight(b, "\x00"))}, nil
	}
	return Auth{}, malformed("authentication type %d", kind)
}

func (a Auth) String() string {
	if a.Type == AuthNone {
		return "no auth"
	}
	return "auth pass"
}

// GoString keeps the password out of %#v too.
func (a Auth) GoString() string { return "vrrp.Auth{" + a.String() + "}" }

// MarshalText keeps the password out of JSON and slog.
func (a Auth) MarshalText() ([]byte, error) { return []byte(a.String()), nil }
