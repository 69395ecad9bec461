package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"

	"gwlab/gateway/event"
)

// Client asks a running daemon over its socket.
type Client struct {
	socket string
	http   http.Client
}

// Dial returns a client; it connects with the first question.
func Dial(socket string) *Client {
	c := &Client{socket: socket}
	c.http.Transport = &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}
	return c
}

// Status asks for the daemon's status.
func (c *Client) Status(ctx context.Context) (Status, error) {
	body, err := c.do(ctx, http.MethodGet, "/v1/status")
	if err != nil {
		return Status{}, err
	}
	defer body.Close() //nolint:errcheck // read to its end
	var s Status
	if err := json.NewDecoder(body).Decode(&s); err != nil {
		return Status{}, fmt.Errorf("read status: %w", err)
	}
	return s, nil
}

// Reload makes the daemon read its configuration again.
func (c *Client) Reload(ctx context.Context) error {
	body, err := c.do(ctx, http.MethodPost, "/v1/reload")
	if err != nil {
		return err
	}
	return body.Close()
}

// Events calls each with the daemon's events after since (CLOCK_MONOTONIC,
// ns), history first; with follow it goes on until ctx or the daemon ends.
func (c *Client) Events(ctx context.Context, since int64, follow bool, each func(event.Event) error) error {
	path := "/v1/events?since=" + strconv.FormatInt(since, 10)
	if follow {
		path += "&follow=1"
	}
	body, err := c.do(ctx, http.MethodGet, path)
	if err != nil {
		return err
	}
	defer body.Close() //nolint:errcheck // a stream that is only read
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("read event: %w", err)
		}
		if err := each(e); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil && ctx.Err() == nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("read events: %w", err)
	}
	return ctx.Err()
}

// Text returns the body of one of the API's pages: "/v1/fib", "/metrics".
func (c *Client) Text(ctx context.Context, path string) (string, error) {
	body, err := c.do(ctx, http.MethodGet, path)
	if err != nil {
		return "", err
	}
	defer body.Close() //nolint:errcheck // read to its end
	text, err := io.ReadAll(body)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return string(text), nil
}

func (c *Client) do(ctx context.Context, method, path string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://gatewayd"+path, nil)
	if err != nil {
		return nil, fmt.Errorf("ask gatewayd: %w", err)
	}
	resp, err := c.http.Do(req)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, &SetupError{What: "no gatewayd answers on " + c.socket, Mend: "start it, or name its socket with --socket", Err: err}
	case errors.Is(err, os.ErrPermission):
		return nil, &SetupError{What: "no permission for " + c.socket, Mend: "ask as root", Err: err}
	case err != nil:
		return nil, fmt.Errorf("ask gatewayd: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		_ = resp.Body.Close()
		return nil, errors.New(strings.TrimSpace(string(text)))
	}
	return resp.Body, nil
}
