package guest

import (
	"time"

	"everwit.dev/guest/internal/bindings/everwit_types_common"
	"everwit.dev/guest/internal/wit/types"
)

// Failure is an error that the model sees, and that the turn survives. Any other error becomes one of the kind "internal"; a panic
// too, with its place, and its stack in the log.
type Failure struct {
	// Kind is one of "invalid-arguments", "not-found", "denied", "rate-limited", "upstream", "timeout", "conflict", "internal".
	Kind string
	// Code is snake_case and your own.
	Code string
	// Message is one sentence for whoever called.
	Message string
	// Retryable says that the same call can succeed later, after RetryAfter if that is known.
	Retryable  bool
	RetryAfter time.Duration
}

// Error is the message.
func (f *Failure) Error() string { return f.Message }

// InvalidArguments is the failure of a call that must be made with other arguments.
func InvalidArguments(code, message string) *Failure {
	return &Failure{Kind: "invalid-arguments", Code: code, Message: message}
}

// NotFound is the failure of a call that asks for what is not there.
func NotFound(code, message string) *Failure {
	return &Failure{Kind: "not-found", Code: code, Message: message}
}

func (f *Failure) bound() *everwit_types_common.Failure {
	after := wit_types.None[uint64]()
	if f.RetryAfter > 0 {
		after = wit_types.Some(uint64(f.RetryAfter.Milliseconds()))
	}
	return &everwit_types_common.Failure{Kind: f.Kind, Code: f.Code, Message: f.Message, Retryable: f.Retryable, RetryAfterMs: after}
}
