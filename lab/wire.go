package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// failure is the body of an answer that is not 200.
type failure struct {
	Error string `json:"error"`
}

// none is the body of a request or answer that says nothing more.
type none struct{}

// dialer is an HTTP client on a unix socket. Each lab has its own, so that
// closing one does not touch another.
func dialer(socket string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
		DisableCompression: true,
	}}
}

// post sends a request as JSON and returns the answer's open body.
func post(ctx context.Context, c *http.Client, path string, request any) (io.ReadCloser, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://lab"+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	resp, err := c.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close() //nolint:errcheck // opened for reading only
	var f failure
	if err := json.NewDecoder(resp.Body).Decode(&f); err != nil || f.Error == "" {
		return nil, fmt.Errorf("supervisor answered %s", resp.Status)
	}
	return nil, errors.New(f.Error)
}

// call asks the supervisor for one thing.
func call[Answer any](ctx context.Context, c *http.Client, path string, request any) (Answer, error) {
	var answer Answer
	body, err := post(ctx, c, path, request)
	if err != nil {
		return answer, err
	}
	defer body.Close() //nolint:errcheck // opened for reading only
	if err := json.NewDecoder(body).Decode(&answer); err != nil {
		return answer, fmt.Errorf("decode answer: %w", err)
	}
	return answer, nil
}

// answer makes a handler of a function on decoded values.
func answer[Request, Answer any](fn func(context.Context, Request) (Answer, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var request Request
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			refuse(w, http.StatusBadRequest, fmt.Errorf("decode request: %w", err))
			return
		}
		a, err := fn(r.Context(), request)
		if err != nil {
			refuse(w, http.StatusConflict, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(a) //nolint:errcheck // the client is gone
	}
}

func refuse(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(failure{err.Error()}) //nolint:errcheck // the client is gone
}

// stream writes values as lines of JSON, each sent at once.
type stream struct {
	enc  *json.Encoder
	ctrl *http.ResponseController
}

func newStream(w http.ResponseWriter) stream {
	w.Header().Set("Content-Type", "application/jsonl")
	return stream{json.NewEncoder(w), http.NewResponseController(w)}
}

func (s stream) send(v any) error {
	if err := s.enc.Encode(v); err != nil {
		return err
	}
	return s.ctrl.Flush()
}
