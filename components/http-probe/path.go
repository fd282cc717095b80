package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"everwit.dev/guest"
)

// The value at a path of names and indexes: "items[0].name", with "\." for a dot inside of a name.
func valueAt(body []byte, path string) (json.RawMessage, error) {
	value := json.RawMessage(bytes.TrimSpace(body))
	if !json.Valid(value) {
		return nil, &guest.Failure{Kind: "upstream", Code: "no_json", Message: "the answer is no JSON, so it has no value at a path"}
	}
	steps, err := stepsOf(path)
	if err != nil {
		return nil, err
	}
	for _, step := range steps {
		var next json.RawMessage
		if index, err := strconv.Atoi(step.text); step.index && err == nil {
			var list []json.RawMessage
			if json.Unmarshal(value, &list) == nil && index < len(list) {
				next = list[index]
			}
		} else {
			var members map[string]json.RawMessage
			if json.Unmarshal(value, &members) == nil {
				next = members[step.text]
			}
		}
		if next == nil {
			return nil, guest.NotFound("no_value", fmt.Sprintf("the answer has no value at %q of the path %q", step.text, path))
		}
		value = next
	}
	return value, nil
}

type step struct {
	text  string
	index bool
}

func stepsOf(path string) ([]step, error) {
	wrong := func(what string) error {
		return guest.InvalidArguments("path", fmt.Sprintf("the path %q %s; write it like items[0].name", path, what))
	}
	var steps []step
	for rest := path; rest != ""; {
		if rest[0] == '[' {
			digits, behind, closed := strings.Cut(rest[1:], "]")
			if number, err := strconv.ParseUint(digits, 10, 31); !closed || err != nil || strconv.FormatUint(number, 10) != digits {
				return nil, wrong("has no whole number in brackets")
			}
			steps, rest = append(steps, step{digits, true}), behind
			if rest != "" && rest[0] == '.' {
				rest = rest[1:]
			} else if rest != "" && rest[0] != '[' {
				return nil, wrong("goes on right behind a bracket")
			}
			continue
		}
		name, behind := nameOf(rest)
		if name == "" {
			return nil, wrong("has an empty name")
		}
		steps, rest = append(steps, step{name, false}), behind
	}
	return steps, nil
}

// The name that a path begins with, and what is behind it and its dot.
func nameOf(path string) (string, string) {
	var name strings.Builder
	for i := 0; i < len(path); i++ {
		switch {
		case path[i] == '\\' && i+1 < len(path):
			i++
			name.WriteByte(path[i])
		case path[i] == '.' && i+1 < len(path):
			return name.String(), path[i+1:]
		case path[i] == '.':
			return "", ""
		case path[i] == '[':
			return name.String(), path[i:]
		default:
			name.WriteByte(path[i])
		}
	}
	return name.String(), ""
}
