package lab

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"gwlab/fault"
	"gwlab/internal/monotime"
	"gwlab/lab/kind"
	"gwlab/lab/netns"
	"gwlab/lab/proc"
	"gwlab/reports/convergence"
	"gwlab/topologies"
)

// node is a node of the lab: what it is to be, and what runs of it.
type node struct {
	lab     string
	model   *topologies.Node
	spec    kind.Spec
	dir     string // on the host
	hosts   string // text of /etc/hosts
	spawner *proc.Spawner
	emit    func(...convergence.Event)
	daemon  *daemon // nil when the node runs no gatewayd

	mu        sync.Mutex // one act on a node at a time
	sandbox   *proc.Sandbox
	processes []*proc.Process // as the spec's
	off       *power          // nil while the power is on
	closed    bool            // the lab is going down: nothing starts any more
}

var errGoingDown = errors.New("the lab is going down")

func (n *node) namespace() string { return netns.Path(namespaceName(n.lab, n.model.Name)) }

// boot configures the node's namespace and starts what runs in it.
func (n *node) boot(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.bootLocked(ctx)
}

func (n *node) bootLocked(ctx context.Context) error {
	if n.closed {
		return errGoingDown
	}
	if err := configure(n.namespace(), n.model, n.spec); err != nil {
		return fmt.Errorf("configure node %s: %w", n.model.Name, err)
	}
	if len(n.spec.Processes) == 0 {
		return nil
	}
	if err := writeFiles(n.dir, n.spec.Files); err != nil {
		return fmt.Errorf("configure node %s: %w", n.model.Name, err)
	}
	sb, err := n.spawner.Start(ctx, proc.Config{
		Lab: n.lab, Node: n.model.Name, Root: rootTag(), Namespace: n.namespace(), Dir: n.dir,
		Hosts: n.hosts, Init: []string{"/proc/self/exe", nodeInitArg},
	})
	if err != nil {
		return err
	}
	n.sandbox, n.processes = sb, nil
	if err := n.launchAll(ctx); err != nil {
		n.sandbox, n.processes = nil, nil
		return errors.Join(err, sb.Kill())
	}
	return nil
}

// launchAll starts the node's processes in order, each once the one before
// it can be used.
func (n *node) launchAll(ctx context.Context) error {
	for i, c := range n.spec.Processes {
		p, err := n.sandbox.Launch(ctx, proc.Command{Name: c.Name, Argv: c.Argv, Env: c.Env, Restart: c.Restart}, n.changed)
		if err != nil {
			return err
		}
		n.processes = append(n.processes, p)
		if c.Socket == "" || i == len(n.spec.Processes)-1 {
			continue
		}
		if err := n.awaitSocket(ctx, c.Socket); err != nil {
			return fmt.Errorf("wait for %s of %s on %s (see %s): %w",
				c.Socket, c.Name, n.model.Name, filepath.Join(n.dir, c.Name+".log"), err)
		}
	}
	return nil
}

// changed records a process's start or end among the lab's events.
func (n *node) changed(c proc.Change) {
	e := convergence.Event{
		T: c.At, Source: "supervisor", Node: c.Node, Kind: "process.start", Key: c.Process,
		Data: map[string]string{"pid": fmt.Sprint(c.Pid)},
	}
	if !c.Started {
		e.Kind = "process.exit"
		e.Data["reason"] = c.Reason
	}
	n.emit(e)
}

// shoot kills the node's init without waiting for the end, and keeps the node
// from starting again.
func (n *node) shoot() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	if n.sandbox == nil {
		return nil
	}
	return n.sandbox.Shoot()
}

// kill ends all that runs in the node.
func (n *node) kill() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.killLocked()
}

func (n *node) killLocked() error {
	if n.sandbox == nil {
		return nil
	}
	sb := n.sandbox
	n.sandbox = nil
	return sb.Kill()
}

// powerOff takes the node's links and processes away in one act, then what
// its kernel knew.
func (n *node) powerOff(l *links, silent bool) (fault.Effect, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.off != nil {
		now := monotime.Now()
		return fault.Effect{Call: now, Return: now}, nil
	}
	if silent {
		for _, p := range n.model.Ports {
			if p.Link.Type == "veth" {
				return fault.Effect{}, fmt.Errorf("link %s is a bare veth: its neighbour would lose carrier, which is not silent; give it type: cable", p.Link)
			}
		}
	}
	// All links go dark at once, which is the instant of the fault. Carriers
	// take longer, and the dying must not use the time to react to them.
	effect, err := l.setPower(n.model, &power{silent: true})
	if err != nil {
		return fault.Effect{}, err
	}
	if n.sandbox != nil {
		err = n.sandbox.Shoot()
	}
	n.off = &power{silent}
	if !silent {
		_, lost := l.setPower(n.model, n.off)
		err = errors.Join(err, lost)
	}
	// Without its ports the kernel drops most of what it knew by itself; the
	// neighbours at the far ends of cables do not see them go.
	return effect, errors.Join(err, l.setPorts(n.model, false), n.killLocked(), forget(n.namespace()))
}

// powerOn starts the node again: its links come up before its processes, as
// those of a machine that boots. What a process sends first would be lost
// otherwise, and tried again a second later.
func (n *node) powerOn(ctx context.Context, l *links) (fault.Effect, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	call := monotime.Now()
	if n.off == nil {
		return fault.Effect{Call: call, Return: call}, nil
	}
	if err := l.setPorts(n.model, true); err != nil {
		return fault.Effect{}, err
	}
	if _, err := l.setPower(n.model, nil); err != nil {
		return fault.Effect{}, err
	}
	// A request that is abandoned must not leave the node half-started.
	if err := n.bootLocked(context.WithoutCancel(ctx)); err != nil {
		_, off := l.setPower(n.model, n.off)
		return fault.Effect{}, errors.Join(err, off, l.setPorts(n.model, false))
	}
	n.off = nil
	return fault.Effect{Call: call, Return: monotime.Now()}, nil
}

// process finds a process by its name; mu is held.
func (n *node) process(name string) (*proc.Process, error) {
	if n.sandbox == nil && len(n.spec.Processes) > 0 {
		return nil, fmt.Errorf("node %s is powered off", n.model.Name)
	}
	var names []string
	for i, p := range n.processes {
		if n.spec.Processes[i].Name == name {
			return p, nil
		}
		names = append(names, n.spec.Processes[i].Name)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no process %q on node %s: it runs none", name, n.model.Name)
	}
	return nil, fmt.Errorf("no process %q on node %s: it runs %s", name, n.model.Name, strings.Join(names, ", "))
}

func (n *node) signal(ctx context.Context, process, sig string) (fault.Effect, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p, err := n.process(process)
	if err != nil {
		return fault.Effect{}, err
	}
	call, done, err := p.Signal(ctx, sig)
	return fault.Effect{Call: call, Return: done}, err
}

func (n *node) start(ctx context.Context, process string) (fault.Effect, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return fault.Effect{}, errGoingDown
	}
	p, err := n.process(process)
	if err != nil {
		return fault.Effect{}, err
	}
	call, done, err := p.Start(ctx)
	return fault.Effect{Call: call, Return: done}, err
}

// pid of a process on the host, 0 when it does not run.
func (n *node) pid(process string) (pidAnswer, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.off != nil {
		return pidAnswer{}, nil
	}
	p, err := n.process(process)
	if err != nil {
		return pidAnswer{}, err
	}
	return pidAnswer{p.Status().Pid}, nil
}

// target is where a command for the node runs.
func (n *node) target() (proc.Target, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := proc.Target{Lab: n.lab, Node: n.model.Name, Root: rootTag(), Namespace: n.namespace()}
	switch {
	case n.sandbox != nil:
		t.InitPid = n.sandbox.Pid()
	case n.off != nil:
		return t, fmt.Errorf("node %s is powered off", n.model.Name)
	}
	return t, nil
}
