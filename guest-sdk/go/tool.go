package guest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"

	"everwit.dev/guest/internal/bindings/everwit_types_common"
	"everwit.dev/guest/internal/bindings/everwit_types_content"
	"everwit.dev/guest/internal/bindings/everwit_types_tools"
)

// Tool is one callable of a capability; NewTool makes it.
type Tool struct {
	name, description, input, output string
	effects                          Effects
	run                              func(call *Call, arguments string) (any, error)
}

// NewTool makes a tool of a function. The fields of A, a struct, become the arguments; see SchemaOf. R is the result: a string is
// what the model sees; a Parts value, its parts; anything else is JSON, which is the structured result too, and a struct also the output schema.
// It panics if A or R has no schema.
func NewTool[A, R any](name, description string, run func(call *Call, arguments A) (R, error), effects ...Effects) Tool {
	tool := Tool{name: name, description: description, input: SchemaOf[A]()}
	for _, effect := range effects {
		tool.effects |= effect
	}
	if result := reflect.TypeFor[R](); result.Kind() == reflect.Struct {
		tool.output = SchemaOf[R]()
	}
	tool.run = func(call *Call, text string) (any, error) {
		var arguments A
		// The host has held them against the schema; what JSON Schema cannot say is told here.
		if err := json.Unmarshal([]byte(text), &arguments); err != nil {
			return nil, InvalidArguments("arguments", err.Error())
		}
		return run(call, arguments)
	}
	return tool
}

// Part is a piece of a result that the model sees.
type Part struct{ part everwit_types_content.Part }

// Parts is a result of several pieces, in order.
type Parts []Part

// Text is a text.
func Text(text string) Part { return Part{everwit_types_content.MakePartText(text)} }

// Data is a JSON value, as text.
func Data(value json.RawMessage) Part { return Part{everwit_types_content.MakePartData(string(value))} }

// Blob is bytes, with their media type.
func Blob(mediaType string, data []byte) Part {
	return Part{everwit_types_content.MakePartBlob(everwit_types_content.Blob{MediaType: mediaType, Data: data})}
}

func (c Capability) call(context everwit_types_tools.Context, name, arguments string) (output everwit_types_tools.CallOutput, failure *everwit_types_common.Failure) {
	defer func() {
		if reason := recover(); reason != nil {
			Log(LevelError, string(debug.Stack()))
			failure = (&Failure{Kind: "internal", Code: "panic", Message: fmt.Sprintf("%v (%s)", reason, place())}).bound()
		}
	}()
	for _, tool := range c.Tools {
		if tool.name != name {
			continue
		}
		value, err := tool.run(&Call{context}, arguments)
		if err == nil {
			output, err = result(value)
		}
		if err != nil {
			return output, failureOf(err).bound()
		}
		return output, nil
	}
	return output, NotFound("unknown_tool", fmt.Sprintf("there is no tool %q", name)).bound()
}

// Where the running panic began: the first frame outside of the runtime and of this file.
func place() string {
	callers := make([]uintptr, 64)
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers)])
	for panicking := false; ; {
		frame, more := frames.Next()
		inside := strings.HasPrefix(frame.Function, "runtime.")
		if panicking && !inside {
			return fmt.Sprintf("%s:%d", frame.File, frame.Line)
		}
		panicking = panicking || frame.Function == "runtime.gopanic"
		if !more {
			return "an unknown place"
		}
	}
}

func result(value any) (everwit_types_tools.CallOutput, error) {
	var output everwit_types_tools.CallOutput
	switch value := value.(type) {
	case string:
		output.Parts = []everwit_types_content.Part{everwit_types_content.MakePartText(value)}
	case Parts:
		for _, part := range value {
			output.Parts = append(output.Parts, part.part)
		}
	default:
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(value); err != nil {
			return output, fmt.Errorf("the result is no JSON: %w", err)
		}
		body := strings.TrimSuffix(text.String(), "\n")
		output.Parts = []everwit_types_content.Part{everwit_types_content.MakePartData(body)}
		output.Structured = optional(body)
	}
	return output, nil
}

func failureOf(err error) *Failure {
	var failure *Failure
	if errors.As(err, &failure) {
		return failure
	}
	return &Failure{Kind: "internal", Code: "error", Message: err.Error()}
}

// "word_count" as "Word count".
func title(name string) string {
	words := strings.ReplaceAll(name, "_", " ")
	return strings.ToUpper(words[:1]) + words[1:]
}
