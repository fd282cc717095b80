// A capability that looks at URLs: status, headers, and a value inside of a JSON answer.
package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"everwit.dev/guest"
	"everwit.dev/guest/http"
)

const (
	// Bytes of an answer that are read.
	maxBody = 1 << 20
	// Bytes of a text answer that are shown.
	maxExcerpt = 2000
	// Values of headers that are longer are cut.
	maxValue = 200
	// Headers that are shown.
	maxHeaders = 40
)

type question struct {
	URL       string `json:"url" description:"Absolute URL, for example https://pypi.org/pypi/requests/json"`
	Method    string `json:"method,omitempty" enum:"GET,HEAD" description:"GET if not given"`
	Path      string `json:"path,omitempty" description:"Which value of a JSON answer to return, for example info.version or releases[0].name"`
	TimeoutMs uint32 `json:"timeout_ms,omitempty" minimum:"1" maximum:"60000" description:"10000 if not given"`
}

type finding struct {
	Status      int               `json:"status"`
	OK          bool              `json:"ok" description:"Whether the status is from 200 to 299"`
	ElapsedMs   int64             `json:"elapsed_ms" description:"Until the whole answer was there"`
	Bytes       int               `json:"bytes"`
	ContentType string            `json:"content_type"`
	Location    string            `json:"location,omitempty" description:"Where a redirect leads; it is not followed"`
	Headers     map[string]string `json:"headers" description:"At most 40, long values cut"`
	Value       json.RawMessage   `json:"value,omitempty" description:"The value at path"`
	Excerpt     string            `json:"excerpt,omitempty" description:"The beginning of a text answer, if no path was given"`
}

func probe(_ *guest.Call, asked question) (finding, error) {
	begun := time.Now()
	timeout := 10 * time.Second
	if asked.TimeoutMs > 0 {
		timeout = time.Duration(asked.TimeoutMs) * time.Millisecond
	}
	answer, err := http.Do(http.Request{Method: asked.Method, URL: asked.URL, Timeout: timeout, Header: http.Header{{"accept", "application/json, text/*;q=0.9, */*;q=0.5"}}})
	if err != nil {
		return finding{}, err
	}
	body, err := answer.ReadAll(maxBody)
	if err != nil {
		return finding{}, err
	}
	found := finding{
		Status: answer.Status, OK: answer.Status >= 200 && answer.Status < 300, ElapsedMs: time.Since(begun).Milliseconds(), Bytes: len(body),
		ContentType: answer.Header.Get("content-type"), Location: answer.Header.Get("location"), Headers: map[string]string{},
	}
	for _, field := range answer.Header {
		if len(found.Headers) == maxHeaders {
			break
		}
		found.Headers[field[0]] = cut(field[1], maxValue)
	}
	switch {
	case asked.Path != "":
		found.Value, err = valueAt(body, asked.Path)
	case utf8.Valid(body):
		found.Excerpt = cut(string(body), maxExcerpt)
	}
	return found, err
}

// The text, or as much of its beginning as the limit allows, in whole characters.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "…"
}

func init() {
	guest.Serve(guest.Capability{
		ID: "http-probe", Title: "HTTP probe",
		Summary:      "Tells status, headers and values of JSON answers of package registries and example sites.",
		Instructions: "Use http-probe to see whether a URL answers, and to read one value of a JSON answer without the rest. Redirects are told, not followed.",
		Tools:        []guest.Tool{guest.NewTool("probe", "Requests a URL and tells what answers.", probe, guest.ReadOnly, guest.OpenWorld)},
		HTTP:         permissions("pypi.org", "registry.npmjs.org", "crates.io", "proxy.golang.org", "api.github.com", "example.com", "example.com:80"),
	})
}

func permissions(hosts ...string) []guest.HTTPPermission {
	var asked []guest.HTTPPermission
	for _, host := range hosts {
		asked = append(asked, guest.HTTPPermission{Host: host, Reason: fmt.Sprintf("To look at URLs of %s", strings.TrimSuffix(host, ":80"))})
	}
	return asked
}

func main() {}
