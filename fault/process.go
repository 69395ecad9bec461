package fault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gwlab/topologies"
)

// ProcessKill kills a process; nothing is said to the peers by the process
// itself, but the node's kernel lives on and forwards.
type ProcessKill struct {
	Node string `yaml:"node"`
	// Process is its name in the node, default the daemon of the node's kind.
	Process string `yaml:"process"`
	// Restart starts it again at once instead of at the heal.
	Restart bool `yaml:"restart"`
}

// Validate wants a node that runs processes.
func (f *ProcessKill) Validate(t *topologies.Topology) error { return process(t, f.Node, f.Process) }

// Inject kills; confirmed when the process table of the node lacks it, or,
// with Restart, when another one has taken its place.
func (f *ProcessKill) Inject(ctx context.Context, lab Lab) (Active, error) {
	name := daemon(lab.Topology(), f.Node, f.Process)
	before, err := lab.Pid(ctx, f.Node, name)
	if err != nil {
		return Active{}, fmt.Errorf("find %s on %s: %w", name, f.Node, err)
	}
	effect, err := lab.Signal(ctx, f.Node, name, "SIGKILL")
	if err != nil {
		return Active{}, fmt.Errorf("kill %s on %s: %w", name, f.Node, err)
	}
	if f.Restart {
		// Its own death is the effect; the start is part of the fault.
		if _, err := lab.Start(ctx, f.Node, name); err != nil {
			return Active{}, errors.Join(fmt.Errorf("restart %s on %s: %w", name, f.Node, err), restore(ctx, lab, f.Node, name))
		}
	}
	return ended(lab, effect, f.Node, name, before, f.Restart), nil
}

// restore starts a process although ctx may have ended: nothing else will.
func restore(ctx context.Context, lab Lab, node, name string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restoreTime)
	defer cancel()
	if _, err := lab.Start(ctx, node, name); err != nil {
		return fmt.Errorf("restore %s on %s: %w", name, node, err)
	}
	return nil
}

// restoreTime bounds how long a failed restart is tried again.
const restoreTime = 5 * time.Second

// ProcessStop asks a process to end.
type ProcessStop struct {
	Node    string `yaml:"node"`
	Process string `yaml:"process"` // as ProcessKill.Process
}

// Validate wants a node that runs processes.
func (f *ProcessStop) Validate(t *topologies.Topology) error { return process(t, f.Node, f.Process) }

// Inject sends SIGTERM; confirmed when the process table lacks it.
func (f *ProcessStop) Inject(ctx context.Context, lab Lab) (Active, error) {
	name := daemon(lab.Topology(), f.Node, f.Process)
	before, err := lab.Pid(ctx, f.Node, name)
	if err != nil {
		return Active{}, fmt.Errorf("find %s on %s: %w", name, f.Node, err)
	}
	effect, err := lab.Signal(ctx, f.Node, name, "SIGTERM")
	if err != nil {
		return Active{}, fmt.Errorf("stop %s on %s: %w", name, f.Node, err)
	}
	return ended(lab, effect, f.Node, name, before, false), nil
}

// ended is an injected end of the process that had pid before.
func ended(lab Lab, effect Effect, node, name string, before int, restarted bool) Active {
	return Active{
		Effect: effect, Target: node + "/" + name,
		Confirm: func(ctx context.Context) (evidence string, err error) {
			err = until(ctx, func() (bool, error) {
				pid, err := lab.Pid(ctx, node, name)
				evidence = fmt.Sprintf("%s on %s had pid %d, now %d (0: none)", name, node, before, pid)
				return pid != before && (pid != 0) == restarted, err
			})
			return evidence, err
		},
		Heal: func(ctx context.Context) (Effect, error) { return lab.Start(ctx, node, name) },
	}
}

// daemon names the main process of a node whose kind has one.
func daemon(t *topologies.Topology, node, process string) string {
	if process != "" {
		return process
	}
	n := t.Node(node)
	switch n.Kind {
	case "gateway", "router":
		return "gatewayd"
	case "frr":
		return "bgpd"
	case "bird":
		return "bird"
	default:
		return ""
	}
}

func process(t *topologies.Topology, name, proc string) error {
	n, err := node(t, name)
	if err != nil {
		return err
	}
	if daemon(t, name, proc) == "" {
		return fmt.Errorf("node %s (kind %s) runs no daemon: name a process", name, n.Kind)
	}
	return nil
}
