// Package client is the HTTP side of Mesos's v1 APIs for those who call them:
// schedulers, executors and operators. Start reading at Call and Subscribe.
//
// Every function is safe for concurrent use. Redirects to the leading master
// (307) are followed by the HTTP client that is passed in.
package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/gogo/protobuf/proto"

	"github.com/tombolo-project/tombolo/mesos/codec"
	"github.com/tombolo-project/tombolo/mesos/recordio"
)

// StreamIDHeader names the subscription that a scheduler's call belongs to.
const StreamIDHeader = "Mesos-Stream-Id"

// maxError bounds how much of a refusal's text is kept; maxAnswer a whole answer.
const (
	maxError  = 4 << 10
	maxAnswer = 1 << 30
)

// Error is an answer of the server that is no success.
type Error struct {
	Status int    // of HTTP
	Text   string // what the server says, shortened
}

func (e *Error) Error() string {
	if e.Text == "" {
		return fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))
	}
	return fmt.Sprintf("%d %s: %s", e.Status, http.StatusText(e.Status), e.Text)
}

// Option changes a request before it is sent.
type Option func(*http.Request)

// WithHeader sets a header.
func WithHeader(key, value string) Option {
	return func(r *http.Request) { r.Header.Set(key, value) }
}

// WithStreamID names the scheduler subscription that the call belongs to.
func WithStreamID(id string) Option { return WithHeader(StreamIDHeader, id) }

// Call sends a call that is answered without a body: 200 or 202. Any other status
// is an *Error.
func Call(ctx context.Context, hc *http.Client, url string, c codec.Codec, call proto.Message, opts ...Option) error {
	response, err := post(ctx, hc, url, c, call, opts)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	// What is left unread would cost the connection.
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, maxError))
	return err
}

// Request sends a call and reads its answer into response.
func Request(ctx context.Context, hc *http.Client, url string, c codec.Codec, call, response proto.Message, opts ...Option) error {
	answer, err := post(ctx, hc, url, c, call, opts)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", url, err)
	}
	if err := c.Unmarshal(body, response); err != nil {
		return fmt.Errorf("the answer of %s: %w", url, err)
	}
	return nil
}

// Subscribe sends a call that is answered by a stream of events. The stream ends
// with ctx or with Close.
func Subscribe(ctx context.Context, hc *http.Client, url string, c codec.Codec, call proto.Message, opts ...Option) (*Stream, error) {
	response, err := post(ctx, hc, url, c, call, opts)
	if err != nil {
		return nil, err
	}
	return &Stream{
		codec:  c,
		id:     response.Header.Get(StreamIDHeader),
		body:   response.Body,
		events: recordio.NewReader(response.Body),
	}, nil
}

// Stream is a subscription's events. Next belongs to one goroutine.
type Stream struct {
	codec  codec.Codec
	id     string
	body   io.Closer
	events *recordio.Reader
}

// StreamID is what further calls of a scheduler must carry; empty for others.
func (s *Stream) StreamID() string { return s.id }

// Next waits for the next event and reads it into event, which must be empty. It
// returns io.EOF when the server ended the stream.
func (s *Stream) Next(event proto.Message) error {
	record, err := s.events.Next()
	if err != nil {
		return err
	}
	return s.codec.Unmarshal(record, event)
}

// Close ends the stream; a Next that waits returns an error.
func (s *Stream) Close() error { return s.body.Close() }

func post(ctx context.Context, hc *http.Client, url string, c codec.Codec, call proto.Message, opts []Option) (*http.Response, error) {
	body, err := c.Marshal(call)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", c.MediaType())
	request.Header.Set("Accept", c.MediaType())
	for _, opt := range opts {
		opt(request)
	}
	response, err := hc.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode/100 == 2 {
		return response, nil
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(response.Body, maxError))
	return nil, &Error{Status: response.StatusCode, Text: strings.TrimSpace(string(text))}
}
