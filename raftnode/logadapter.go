package raftnode

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/hashicorp/go-hclog"
)

// raftLogger hands Raft's own lines to slog. They are one level lower there than Raft thinks,
// because Raft calls an error what is a peer's restart to us, and the same line comes once per
// repeatEvery.
func raftLogger(log *slog.Logger) hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "raft", Level: hclog.Off, Output: io.Discard})
	l.RegisterSink(&slogSink{log: log, repeats: newSeldom(repeatEvery)})
	return l
}

const repeatEvery = 10 * time.Second

// slogSink is hclog's way to listen in on a logger.
type slogSink struct {
	log     *slog.Logger
	repeats *seldom
}

// Accept implements hclog.SinkAdapter.
func (s *slogSink) Accept(name string, level hclog.Level, msg string, args ...any) {
	to := slog.LevelDebug
	switch {
	case level >= hclog.Error:
		to = slog.LevelWarn
	case level == hclog.Warn:
		to = slog.LevelInfo
	case level <= hclog.Debug:
		to = slog.LevelDebug - 4
	}
	ctx := context.Background()
	if !s.log.Enabled(ctx, to) {
		return
	}
	attrs := []slog.Attr{slog.String("from", name)}
	key := msg
	for i := 0; i+1 < len(args); i += 2 {
		k, v := fmt.Sprint(args[i]), args[i+1]
		if f, ok := v.(hclog.Format); ok && len(f) > 0 {
			v = fmt.Sprintf(fmt.Sprint(f[0]), f[1:]...)
		}
		text := fmt.Sprint(v)
		if k == "peer" || k == "id" {
			key += " " + text
		}
		attrs = append(attrs, slog.String(k, text))
	}
	if to >= slog.LevelInfo && !s.repeats.ok(key) {
		return
	}
	s.log.LogAttrs(ctx, to, msg, attrs...)
}
