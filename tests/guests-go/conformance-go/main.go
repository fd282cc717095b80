// What `everwit conformance` asks for, as an author writes it in Go.
package main

import (
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"everwit.dev/guest"
	"everwit.dev/guest/http"
	"everwit.dev/guest/kv"
)

type nothing struct{}

type anything struct {
	Value json.RawMessage `json:"value"`
}

func echo(_ *guest.Call, args anything) (anything, error) { return args, nil }

func measure(_ *guest.Call, args struct {
	Text string `json:"text"`
}) (map[string]int, error) {
	return map[string]int{"bytes": len(args.Text)}, nil
}

func repeat(_ *guest.Call, args struct {
	Bytes int `json:"bytes" minimum:"0"`
}) (string, error) {
	return strings.Repeat("x", args.Bytes), nil
}

func fail(*guest.Call, nothing) (string, error) {
	return "", &guest.Failure{
		Kind: "not-found", Code: "no_such_thing", Message: "there is no such thing", Retryable: true, RetryAfter: 1500 * time.Millisecond,
	}
}

func crash(*guest.Call, nothing) (string, error) { panic("on purpose") }

func spin(*guest.Call, nothing) (string, error) {
	for {
	}
}

func wait(call *guest.Call, _ nothing) (string, error) {
	for {
		if stop := call.Progress(1, 3, "waiting"); stop != guest.GoOn {
			return string(stop), nil
		}
		if stop := call.Stopped(); stop != guest.GoOn {
			return string(stop), nil
		}
	}
}

func stream(call *guest.Call, _ nothing) (string, error) {
	call.Emit(guest.Text("one"))
	return "two", nil
}

func remember(_ *guest.Call, args anything) (map[string]json.RawMessage, error) {
	before := json.RawMessage("null")
	notes := kv.Bucket("notes")
	if _, err := notes.GetJSON("last", &before); err != nil {
		return nil, err
	}
	return map[string]json.RawMessage{"before": before}, notes.PutJSON("last", args.Value)
}

func fetch(_ *guest.Call, args struct {
	Path string `json:"path"`
}) (map[string]any, error) {
	answer, err := http.Get("http://conformance.test" + args.Path)
	if err != nil {
		return nil, err
	}
	body, err := answer.ReadAll(1 << 20)
	return map[string]any{"status": answer.Status, "body": string(body)}, err
}

func environment(_ *guest.Call, args struct {
	Names []string `json:"names"`
}) (map[string]any, error) {
	found := os.Environ()
	for _, name := range args.Names {
		if _, ok := os.LookupEnv(name); ok {
			found = append(found, name)
		}
	}
	return map[string]any{"found": append([]string{}, found...), "arguments": len(os.Args)}, nil
}

func chance(*guest.Call, nothing) (map[string]float64, error) {
	return map[string]float64{"number": rand.Float64(), "now_ms": float64(time.Now().UnixMilli())}, nil
}

func log(*guest.Call, nothing) (string, error) {
	slog.Warn("a warning")
	return "logged", nil
}

func init() {
	guest.Serve(guest.Capability{
		ID: "conformance-go", Title: "Conformance", Summary: "Does what a conformance check asks for.",
		Tools: []guest.Tool{
			guest.NewTool("echo", "Returns its argument.", echo, guest.ReadOnly),
			guest.NewTool("measure", "Measures a text.", measure),
			guest.NewTool("repeat", "Returns a long text.", repeat),
			guest.NewTool("fail", "Fails as expected.", fail),
			guest.NewTool("crash", "Fails as nobody expects.", crash),
			guest.NewTool("spin", "Never ends.", spin),
			guest.NewTool("wait", "Waits until it should stop.", wait),
			guest.NewTool("stream", "Says two things, one at once.", stream),
			guest.NewTool("remember", "Remembers a value, and returns the one before.", remember),
			guest.NewTool("fetch", "Fetches a page.", fetch),
			guest.NewTool("environment", "Looks for variables and arguments.", environment),
			guest.NewTool("chance", "Draws a number and tells the time.", chance),
			guest.NewTool("log", "Logs a warning.", log),
		},
		HTTP: []guest.HTTPPermission{{Host: "conformance.test:80", Reason: "The check's own server"}},
		KV:   []string{"notes"},
	})
}

func main() {}
