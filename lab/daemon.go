package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gwlab/gateway/event"
	"gwlab/reports/convergence"
)

// dialNode connects to a unix socket of a node by its path on the host. That
// may be longer than a socket address can hold, so the socket is found
// through its open directory.
func dialNode(ctx context.Context, path string) (net.Conn, error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("find socket: %w", err)
	}
	defer dir.Close() //nolint:errcheck // opened for its place only
	var d net.Dialer
	return d.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)))
}

// daemon is a gatewayd of a node.
type daemon struct {
	node   string
	client *http.Client
}

// daemonStatus is what the lab reads of gatewayd's status.
type daemonStatus struct {
	Ready   bool     `json:"ready"`
	Pending []string `json:"pending"`
	Peers   []struct {
		Name     string `json:"name"`
		Address  string `json:"address"`
		State    string `json:"state"`
		Received int    `json:"received"`
	} `json:"peers"`
	BFD []struct {
		Key struct {
			Interface string `json:"interface"`
			Peer      string `json:"peer"`
		} `json:"key"`
		State string `json:"state"`
	} `json:"bfd"`
}

// newDaemon takes the socket's path on the host.
func newDaemon(node, socket string) *daemon {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return dialNode(ctx, socket) }
	return &daemon{node, &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

func (d *daemon) get(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://gatewayd"+path, nil)
	if err != nil {
		return nil, fmt.Errorf("ask gatewayd of %s: %w", d.node, err)
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask gatewayd of %s: %w", d.node, err)
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close() //nolint:errcheck // the status is the error
		return nil, fmt.Errorf("ask gatewayd of %s: %s", d.node, resp.Status)
	}
	return resp, nil
}

// statusLimit bounds how long a daemon may take to tell how it is.
const statusLimit = time.Second

func (d *daemon) status(ctx context.Context) (daemonStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, statusLimit)
	defer cancel()
	var s daemonStatus
	resp, err := d.get(ctx, "/v1/status")
	if err != nil {
		return s, err
	}
	defer resp.Body.Close() //nolint:errcheck // opened for reading only
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		return s, fmt.Errorf("read status of gatewayd of %s: %w", d.node, err)
	}
	return s, nil
}

func (s daemonStatus) sessions() []SessionStatus {
	var all []SessionStatus
	for _, p := range s.Peers {
		all = append(all, SessionStatus{
			Protocol: "bgp", Peer: p.Address, Name: p.Name, State: p.State, Up: p.State == "Established", Prefixes: p.Received,
		})
	}
	for _, b := range s.BFD {
		all = append(all, SessionStatus{
			Protocol: "bfd", Peer: b.Key.Peer, Name: b.Key.Interface, State: b.State, Up: strings.EqualFold(b.State, "up"),
		})
	}
	return all
}

// reconnect is how often a daemon that does not answer is tried.
const reconnect = 20 * time.Millisecond

// follow passes the daemon's events on, over its restarts, until ctx ends.
func (d *daemon) follow(ctx context.Context, emit func(...convergence.Event)) {
	defer d.client.CloseIdleConnections()
	since := int64(0)
	tick := time.NewTicker(reconnect)
	defer tick.Stop()
	for {
		since = d.stream(ctx, since, emit)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// stream reads one connection to its end and returns the last event's instant.
func (d *daemon) stream(ctx context.Context, since int64, emit func(...convergence.Event)) int64 {
	resp, err := d.get(ctx, fmt.Sprintf("/v1/events?follow=1&since=%d", since))
	if err != nil {
		return since // not there yet, or dead: the processes' events tell
	}
	defer resp.Body.Close() //nolint:errcheck // opened for reading only
	for dec := json.NewDecoder(bufio.NewReaderSize(resp.Body, 1<<16)); ; {
		var e event.Event
		if dec.Decode(&e) != nil {
			return since
		}
		since = max(since, e.T)
		emit(convergence.Event{T: e.T, Source: "gatewayd", Node: d.node, Kind: e.Kind, Key: e.Key, Data: e.Data})
	}
}
