package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"gwlab/fault"
	"gwlab/lab/netns"
	"gwlab/lab/proc"
	"gwlab/reports/convergence"
	"gwlab/topologies"
)

// Lab is a hand on a running lab. Its methods may be called from any goroutine.
type Lab struct {
	name     string
	topology *topologies.Topology
	client   *http.Client
	lease    io.ReadWriteCloser // nil when the lab is not tied to this process
}

var _ fault.Lab = (*Lab)(nil)

// Attach finds a running lab by its name.
func Attach(ctx context.Context, name string) (*Lab, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	client := dialer(dirOf(name).socket())
	d, err := call[description](ctx, client, "/v1/describe", none{})
	if err != nil {
		client.CloseIdleConnections()
		return nil, attachError(name, err)
	}
	t, err := decodeTopology(d.Topology)
	if err != nil {
		return nil, fmt.Errorf("attach to lab %s: %w", name, err)
	}
	return &Lab{name: name, topology: t, client: client}, nil
}

// attachError says in one line why a lab cannot be reached, and what helps.
func attachError(name string, err error) error {
	switch {
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("lab %s: not allowed to reach its supervisor: run as root, such as with sudo", name)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("no lab %s is up: 'gwlab list' shows the labs, 'gwlab up' starts one", name)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("lab %s is dead: 'gwlab down %s' removes what is left", name, name)
	}
	return fmt.Errorf("attach to lab %s: %w", name, err)
}

// Name of the lab.
func (l *Lab) Name() string { return l.name }

// Topology the lab was built from.
func (l *Lab) Topology() *topologies.Topology { return l.topology }

// NamespacePath is the file of a node's network namespace.
func (l *Lab) NamespacePath(node string) string { return netns.Path(namespaceName(l.name, node)) }

// Close lets go of the lab. One that is Owned and was not released goes down.
func (l *Lab) Close() error {
	defer l.client.CloseIdleConnections()
	if l.lease == nil {
		return nil
	}
	lease := l.lease
	l.lease = nil
	if err := lease.Close(); err != nil {
		return fmt.Errorf("close lease of lab %s: %w", l.name, err)
	}
	return nil
}

// Release lets an Owned lab live on without this process.
func (l *Lab) Release(ctx context.Context) error {
	if l.lease == nil {
		return nil
	}
	err := ctx.Err()
	if err == nil {
		err = release(l.lease)
	}
	if err != nil {
		return fmt.Errorf("release lab %s: %w", l.name, err)
	}
	return l.Close()
}

// Down takes the lab down and closes the hand.
func (l *Lab) Down(ctx context.Context) error {
	err := Down(ctx, l.name, nil)
	return errors.Join(err, l.Close())
}

// Status of nodes, processes, sessions and links.
func (l *Lab) Status(ctx context.Context) (Status, error) {
	s, err := call[Status](ctx, l.client, "/v1/status", none{})
	if err != nil {
		return s, fmt.Errorf("read status of lab %s: %w", l.name, err)
	}
	return s, nil
}

// Ready waits until every session of every node is up. When ctx ends first
// the error says what is missing.
func (l *Lab) Ready(ctx context.Context) error {
	_, err := call[readiness](ctx, l.client, "/v1/ready", none{})
	if err == nil {
		return nil
	}
	if ctx.Err() == nil {
		return fmt.Errorf("wait for lab %s: %w", l.name, err)
	}
	ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if s, serr := l.Status(ask); serr == nil && len(s.Pending) > 0 {
		return fmt.Errorf("wait for lab %s: %w; not ready: %s", l.name, err, strings.Join(s.Pending, ", "))
	}
	return fmt.Errorf("wait for lab %s: %w", l.name, err)
}

// Watch delivers the lab's events, from its start on, until ctx ends or the
// lab does; the channel is closed then.
func (l *Lab) Watch(ctx context.Context) (<-chan convergence.Event, error) {
	body, err := post(ctx, l.client, "/v1/events", none{})
	if err != nil {
		return nil, fmt.Errorf("watch lab %s: %w", l.name, err)
	}
	events := make(chan convergence.Event, 256)
	go func() {
		defer close(events)
		defer body.Close() //nolint:errcheck // opened for reading only
		dec := json.NewDecoder(bufio.NewReaderSize(body, 1<<16))
		for {
			var e convergence.Event
			if dec.Decode(&e) != nil {
				return
			}
			select {
			case events <- e:
			case <-ctx.Done():
				return
			}
		}
	}()
	return events, nil
}

// Exec runs a command inside a node and returns its exit code. With a
// terminal as standard input the command gets it. What is not in PATH is
// looked for beside this program.
func (l *Lab) Exec(ctx context.Context, node string, argv []string, stdio proc.Stdio) (int, error) {
	if l.topology.Node(node) == nil {
		return 0, fmt.Errorf("exec: no node %q in lab %s: it has %s", node, l.name, nodeNames(l.topology))
	}
	target, err := call[proc.Target](ctx, l.client, "/v1/target", powerRequest{Node: node})
	if err != nil {
		return 0, fmt.Errorf("exec on %s: %w", node, err)
	}
	if self, err := os.Executable(); err == nil {
		target.Tools = filepath.Dir(self)
	}
	return proc.Exec(ctx, target, argv, stdio)
}

func nodeNames(t *topologies.Topology) string {
	var names []string
	for _, n := range t.Nodes {
		names = append(names, n.Name)
	}
	return strings.Join(names, ", ")
}
