package guest

import (
	"context"
	"fmt"
	"log/slog"

	"everwit.dev/guest/internal/bindings/everwit_host_log"
	"everwit.dev/guest/internal/wit/types"
)

// LevelError is the level of what makes a call fail. The others are those of log/slog, which is the way to log: its default logger,
// and the one of the package log, write to the component's log.
const LevelError = slog.LevelError

func init() { slog.SetDefault(slog.New(handler{})) }

// Log writes one line.
func Log(level slog.Level, message string) { write(level, message, nil) }

func write(level slog.Level, message string, fields []wit_types.Tuple2[string, string]) {
	at := everwit_host_log.Level_Trace
	switch {
	case level >= slog.LevelError:
		at = everwit_host_log.Level_Error
	case level >= slog.LevelWarn:
		at = everwit_host_log.Level_Warn
	case level >= slog.LevelInfo:
		at = everwit_host_log.Level_Info
	case level >= slog.LevelDebug:
		at = everwit_host_log.Level_Debug
	}
	everwit_host_log.Write(at, message, fields)
}

// handler is slog's way to the component's log.
type handler struct {
	prefix string
	fields []wit_types.Tuple2[string, string]
}

func (h handler) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

func (h handler) Handle(_ context.Context, record slog.Record) error {
	fields := h.fields[:len(h.fields):len(h.fields)]
	record.Attrs(func(attr slog.Attr) bool {
		fields = append(fields, h.field(attr))
		return true
	})
	write(record.Level, record.Message, fields)
	return nil
}

func (h handler) field(attr slog.Attr) wit_types.Tuple2[string, string] {
	return wit_types.Tuple2[string, string]{F0: h.prefix + attr.Key, F1: fmt.Sprint(attr.Value.Resolve().Any())}
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	fields := h.fields[:len(h.fields):len(h.fields)]
	for _, attr := range attrs {
		fields = append(fields, h.field(attr))
	}
	return handler{h.prefix, fields}
}

func (h handler) WithGroup(name string) slog.Handler { return handler{h.prefix + name + ".", h.fields} }
