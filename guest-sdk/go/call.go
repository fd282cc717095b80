package guest

import (
	"encoding/json"
	"time"

	"everwit.dev/guest/internal/bindings/everwit_host_call"
	"everwit.dev/guest/internal/bindings/everwit_types_content"
	"everwit.dev/guest/internal/bindings/everwit_types_tools"
	"everwit.dev/guest/internal/wit/types"
)

// Call is the call now running.
type Call struct{ context everwit_types_tools.Context }

// Org is the opaque id of the org, another one in every component. So are Session and Turn.
func (c *Call) Org() string { return c.context.Org }

// Session is the opaque id of the session.
func (c *Call) Session() string { return c.context.Session }

// Turn is the opaque id of the turn.
func (c *Call) Turn() string { return c.context.Turn }

// IdempotencyKey is the same for every execution of the same tool call.
func (c *Call) IdempotencyKey() string { return c.context.IdempotencyKey }

// Locale is the BCP 47 tag of the user's language; empty if unknown.
func (c *Call) Locale() string { return c.context.Locale.SomeOr("") }

// Config reads the agent's configuration of this capability.
func (c *Call) Config(into any) error { return json.Unmarshal([]byte(c.context.Config), into) }

// Stop is why to stop; the empty one says to go on.
type Stop string

const (
	// GoOn says that there is no reason to stop.
	GoOn Stop = ""
	// Cancelled says that somebody cancelled the turn.
	Cancelled Stop = "cancelled"
	// Deadline says that the call's time is nearly up.
	Deadline Stop = "deadline"
)

func stop(reason everwit_host_call.Stop) Stop {
	if reason == everwit_host_call.Stop_Cancelled {
		return Cancelled
	}
	return Deadline
}

// Remaining is the time left for this call.
func (c *Call) Remaining() time.Duration {
	return time.Duration(min(everwit_host_call.RemainingMs(), 1<<40)) * time.Millisecond
}

// Stopped says whether to stop, for long loops.
func (c *Call) Stopped() Stop {
	if reason := everwit_host_call.Stopped(); reason.IsSome() {
		return stop(reason.Some())
	}
	return GoOn
}

// Progress reports done of total, 0 if that is not known, with a note.
func (c *Call) Progress(done, total uint64, note string) Stop {
	of := wit_types.None[uint64]()
	if total > 0 {
		of = wit_types.Some(total)
	}
	if told := everwit_host_call.Progress(done, of, optional(note)); told.IsErr() {
		return stop(told.Err())
	}
	return GoOn
}

// Emit shows parts at once, in addition to what the call returns.
func (c *Call) Emit(parts ...Part) Stop {
	bound := make([]everwit_types_content.Part, 0, len(parts))
	for _, part := range parts {
		bound = append(bound, part.part)
	}
	if told := everwit_host_call.Emit(bound); told.IsErr() {
		return stop(told.Err())
	}
	return GoOn
}
