package config

import "log/slog"

const hidden = "***"

// Secret is a text that never prints: not by fmt, not as JSON or YAML, not in a log. Only Reveal
// gives it away. The text sits behind a pointer, so that fmt shows an address where it calls no
// method: in a private field, and for verbs such as %d. The zero Secret is the empty text.
type Secret struct{ text *string }

// NewSecret hides a text.
func NewSecret(text string) Secret { return Secret{&text} }

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether there is no text.
func (s Secret) IsZero() bool { return s.Reveal() == "" }

func (s Secret) String() string               { return hidden }
func (s Secret) GoString() string             { return hidden }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(hidden) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }
func (s Secret) MarshalYAML() (any, error)    { return hidden, nil }
