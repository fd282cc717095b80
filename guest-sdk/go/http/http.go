// Package http makes requests through the host's gateway, to the hosts that the capability asks for and was granted.
package http

import (
	"fmt"
	"io"
	"strings"
	"time"

	"everwit.dev/guest"
	"everwit.dev/guest/internal/bindings/everwit_http_client"
	"everwit.dev/guest/internal/bindings/everwit_http_types"
	"everwit.dev/guest/internal/wit/types"
)

// Bytes of a body that are read at once.
const pieceBytes = 64 << 10

// Header is a list of fields in order. Names of a response are in lower case.
type Header [][2]string

// Get is the first value of a field, whatever the case of its name; empty if there is none.
func (h Header) Get(name string) string {
	for _, field := range h {
		if strings.EqualFold(field[0], name) {
			return field[1]
		}
	}
	return ""
}

// Request is what is sent; the zero value of each field but URL is its default.
type Request struct {
	// Method in upper case; GET if empty.
	Method string
	URL    string
	Header Header
	Body   []byte
	// Timeout of this request, within the call's own.
	Timeout time.Duration
}

// Response is an answer whose body is still to be read.
type Response struct {
	Status int
	Header Header
	// RetryAfter is how long the server asks to wait, if it does.
	RetryAfter time.Duration
	// Body ends with io.EOF, or with a failure.
	Body io.Reader
}

// Get requests a URL.
func Get(url string) (*Response, error) { return Do(Request{URL: url}) }

// Do sends a request and waits for the head of its answer. No redirect is followed: one is an answer like any other.
func Do(request Request) (*Response, error) {
	asked := everwit_http_types.Request{Method: request.Method, Url: request.URL, Body: request.Body}
	if asked.Method == "" {
		asked.Method = "GET"
	}
	for _, field := range request.Header {
		asked.Headers = append(asked.Headers, wit_types.Tuple2[string, string]{F0: field[0], F1: field[1]})
	}
	if request.Timeout > 0 {
		asked.TimeoutMs = wit_types.Some(uint32(min(request.Timeout.Milliseconds(), 1<<31)))
	}
	sent := everwit_http_client.Send(asked)
	if sent.IsErr() {
		return nil, failure(sent.Err())
	}
	answer := sent.Ok()
	head := answer.Head()
	response := &Response{Status: int(head.Status), Body: &body{answer: answer}}
	response.RetryAfter = time.Duration(min(head.RetryAfterMs.SomeOr(0), 1<<40)) * time.Millisecond
	for _, field := range head.Headers {
		response.Header = append(response.Header, [2]string{field.F0, field.F1})
	}
	return response, nil
}

// ReadAll reads the rest of the body, of at most that many bytes.
func (r *Response) ReadAll(most int64) ([]byte, error) {
	bytes, err := io.ReadAll(io.LimitReader(r.Body, most+1))
	if err == nil && int64(len(bytes)) > most {
		return nil, &guest.Failure{Kind: "upstream", Code: "body_too_large", Message: fmt.Sprintf("the answer has more than %d bytes", most)}
	}
	return bytes, err
}

type body struct {
	answer *everwit_http_client.Response
	piece  []byte
}

func (b *body) Read(into []byte) (int, error) {
	if len(b.piece) == 0 {
		read := b.answer.Read(pieceBytes)
		if read.IsErr() {
			return 0, failure(read.Err())
		}
		if read.Ok().IsNone() {
			return 0, io.EOF
		}
		b.piece = read.Ok().Some()
	}
	count := copy(into, b.piece)
	b.piece = b.piece[count:]
	return count, nil
}

func failure(fault everwit_http_types.Fault) *guest.Failure {
	kind := "upstream"
	if fault.Kind == "denied" || fault.Kind == "timeout" {
		kind = fault.Kind
	}
	return &guest.Failure{
		Kind: kind, Code: fault.Kind, Message: fault.Message,
		Retryable:  fault.Kind != "denied" && fault.Kind != "invalid" && !fault.RequestSent,
		RetryAfter: time.Duration(min(fault.RetryAfterMs.SomeOr(0), 1<<40)) * time.Millisecond,
	}
}
