package etcd

import (
	"context"
	"log/slog"

	"go.uber.org/zap/zapcore"
)

// zapCore hands what the etcd client logs to slog. The client warns of every attempt that fails,
// which is for this package to judge, so all of it is debug.
type zapCore struct {
	log    *slog.Logger
	fields []zapcore.Field
}

// Enabled implements zapcore.Core.
func (z *zapCore) Enabled(level zapcore.Level) bool {
	return level >= zapcore.WarnLevel && z.log.Enabled(context.Background(), slog.LevelDebug)
}

// With implements zapcore.Core.
func (z *zapCore) With(fields []zapcore.Field) zapcore.Core {
	return &zapCore{log: z.log, fields: append(z.fields[:len(z.fields):len(z.fields)], fields...)}
}

// Check implements zapcore.Core.
func (z *zapCore) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if z.Enabled(e.Level) {
		return to.AddCore(e, z)
	}
	return to
}

// Write implements zapcore.Core.
func (z *zapCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	m := zapcore.NewMapObjectEncoder()
	for _, f := range append(z.fields[:len(z.fields):len(z.fields)], fields...) {
		f.AddTo(m)
	}
	args := make([]any, 0, len(m.Fields))
	for k, v := range m.Fields {
		args = append(args, slog.Any(k, v))
	}
	z.log.Debug("etcd client: "+e.Message, args...)
	return nil
}

// Sync implements zapcore.Core.
func (*zapCore) Sync() error { return nil }
