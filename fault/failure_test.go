package fault_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gwlab/fault"
	"gwlab/internal/strictyaml"
	"gwlab/topologies"
)

var errBroken = errors.New("the lab is broken")

// brittle is a bench whose n-th verb fails, counted from 1.
type brittle struct {
	*bench
	failAt int
	calls  []string
}

func (b *brittle) call(verb string) error {
	b.calls = append(b.calls, verb)
	if len(b.calls) == b.failAt {
		return errBroken
	}
	return nil
}

func (b *brittle) SetCable(ctx context.Context, e topologies.Endpoint, s fault.CableState) (fault.Effect, error) {
	if err := b.call("SetCable"); err != nil {
		return fault.Effect{}, err
	}
	return b.bench.SetCable(ctx, e, s)
}

func (b *brittle) CableCounters(ctx context.Context, e topologies.Endpoint) (fault.Counters, fault.Counters, error) {
	if err := b.call("CableCounters"); err != nil {
		return fault.Counters{}, fault.Counters{}, err
	}
	return b.bench.CableCounters(ctx, e)
}

func (b *brittle) SetPort(ctx context.Context, e topologies.Endpoint, up bool) (fault.Effect, error) {
	if err := b.call("SetPort"); err != nil {
		return fault.Effect{}, err
	}
	return b.bench.SetPort(ctx, e, up)
}

func (b *brittle) Carrier(ctx context.Context, e topologies.Endpoint) (bool, error) {
	if err := b.call("Carrier"); err != nil {
		return false, err
	}
	return b.bench.Carrier(ctx, e)
}

func (b *brittle) PowerOff(ctx context.Context, node string, silent bool) (fault.Effect, error) {
	if err := b.call("PowerOff"); err != nil {
		return fault.Effect{}, err
	}
	return b.bench.PowerOff(ctx, node, silent)
}

func (b *brittle) Signal(ctx context.Context, node, process, sig string) (fault.Effect, error) {
	if err := b.call("Signal " + sig); err != nil {
		return fault.Effect{}, err
	}
	return b.bench.Signal(ctx, node, process, sig)
}

func (b *brittle) Start(ctx context.Context, node, process string) (fault.Effect, error) {
	if err := b.call("Start"); err != nil {
		return fault.Effect{}, err
	}
	return b.bench.Start(ctx, node, process)
}

func (b *brittle) Pid(ctx context.Context, node, process string) (int, error) {
	if err := b.call("Pid"); err != nil {
		return 0, err
	}
	return b.bench.Pid(ctx, node, process)
}

// Whichever verb of a lab fails, the fault says so, and says what it was at.
// What has acted by then, a kill whose restart fails, is undone.
func TestEveryVerbMayFail(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				whole := &brittle{bench: newBench()}
				if _, err := c.fault.Inject(t.Context(), whole); err != nil {
					t.Fatal(err)
				}
				for n := 1; n <= len(whole.calls); n++ {
					b := &brittle{bench: newBench(), failAt: n}
					active, err := c.fault.Inject(t.Context(), b)
					if !errors.Is(err, errBroken) || err.Error() == errBroken.Error() {
						t.Errorf("%s fails: %v", whole.calls[n-1], err)
					}
					if active.Heal != nil || active.Confirm != nil {
						t.Errorf("%s fails, and yet something is active", whole.calls[n-1])
					}
					if left := b.state(); left != "" {
						t.Errorf("%s fails and leaves behind:\n%s", whole.calls[n-1], left)
					}
				}
			})
		})
	}
}

// An interrupt between the kill and the restart does not leave the process dead.
func TestInterruptedRestartIsUndone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	b := &interrupted{brittle: &brittle{bench: newBench()}, cancel: cancel}
	if _, err := (&fault.ProcessKill{Node: "gw1", Restart: true}).Inject(ctx, b); !errors.Is(err, context.Canceled) {
		t.Errorf("inject: %v", err)
	}
	if left := b.state(); left != "" {
		t.Errorf("left behind:\n%s", left)
	}
}

// interrupted ends the context with the first signal, and heeds it.
type interrupted struct {
	*brittle
	cancel context.CancelFunc
}

func (b *interrupted) Signal(ctx context.Context, node, process, sig string) (fault.Effect, error) {
	defer b.cancel()
	return b.brittle.Signal(ctx, node, process, sig)
}

func (b *interrupted) Start(ctx context.Context, node, process string) (fault.Effect, error) {
	if ctx.Err() != nil {
		return fault.Effect{}, context.Cause(ctx)
	}
	return b.brittle.Start(ctx, node, process)
}

// A lab that cannot be asked confirms nothing.
func TestConfirmationsFailWithTheLab(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &brittle{bench: newBench()}
				active, err := c.fault.Inject(t.Context(), b)
				if err != nil {
					t.Fatal(err)
				}
				b.failAt = len(b.calls) + 1
				if _, err := active.Confirm(t.Context()); !errors.Is(err, errBroken) {
					t.Errorf("confirm: %v", err)
				}
			})
		})
	}
}

// A confirmation that comes late is one; it ends with its context otherwise.
func TestConfirmWaits(t *testing.T) {
	for _, c := range []struct {
		fault fault.Fault
		undo  func(*bench) // as if the fault had not taken effect
		redo  func(*bench)
	}{
		{&fault.LinkBlackhole{Link: "gw1:isp1"}, func(b *bench) { b.deaf = true }, func(b *bench) { b.deaf = false }},
		{&fault.NodeKill{Node: "isp1", Silent: true}, func(b *bench) { b.deaf = true }, func(b *bench) { b.deaf = false }},
		{&fault.NodeKill{Node: "isp1"}, func(b *bench) { delete(b.off, "isp1") }, func(b *bench) { b.off["isp1"] = "carrier" }},
		{&fault.LinkDown{Port: "gw1:isp1"}, func(b *bench) { b.portDown["gw1:isp1"] = false }, func(b *bench) { b.portDown["gw1:isp1"] = true }},
		{&fault.LinkCut{Link: "gw1:isp1"}, func(b *bench) { delete(b.cables, b.top.Links[0]) },
			func(b *bench) {
				b.cables[b.top.Links[0]] = fault.CableState{AtoB: fault.PassNone, BtoA: fault.PassNone}
			}},
		{&fault.ProcessKill{Node: "gw1"}, func(b *bench) { b.pids["gw1/gatewayd"] = 100 }, func(b *bench) { b.pids["gw1/gatewayd"] = 0 }},
		{&fault.ProcessStop{Node: "gw1"}, func(b *bench) { b.pids["gw1/gatewayd"] = 100 }, func(b *bench) { b.pids["gw1/gatewayd"] = 0 }},
		{&fault.ProcessKill{Node: "gw1", Restart: true}, func(b *bench) { b.pids["gw1/gatewayd"] = 0 }, func(b *bench) { b.pids["gw1/gatewayd"] = 7 }},
	} {
		t.Run(fmt.Sprintf("%T", c.fault), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench()
				active, err := c.fault.Inject(t.Context(), b)
				if err != nil {
					t.Fatal(err)
				}
				c.undo(b)
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("time is up"))
				defer cancel()
				if evidence, err := active.Confirm(ctx); err == nil || !strings.Contains(err.Error(), "time is up") {
					t.Errorf("confirmed what did not happen: %q, %v", evidence, err)
				}
				time.AfterFunc(300*time.Millisecond, func() { c.redo(b) })
				start := time.Now()
				if evidence, err := active.Confirm(t.Context()); err != nil || evidence == "" {
					t.Errorf("confirm: %q, %v", evidence, err)
				}
				if waited := time.Since(start); waited < 300*time.Millisecond || waited > 400*time.Millisecond {
					t.Errorf("confirmed after %s, it took effect after 300ms", waited)
				}
			})
		})
	}
}

// A restart that leaves the old process in place has killed nothing.
func TestTheSameProcessIsNoRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		active, err := (&fault.ProcessKill{Node: "gw1", Restart: true}).Inject(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		b.pids["gw1/gatewayd"] = 100
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if evidence, err := active.Confirm(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("confirmed: %q, %v", evidence, err)
		}
	})
}

// Each process fault sends its own signal to the daemon of the node's kind.
func TestSignalsAndDaemons(t *testing.T) {
	for kind, daemon := range map[string]string{"gateway": "gatewayd", "router": "gatewayd", "frr": "bgpd", "bird": "bird"} {
		for f, want := range map[fault.Fault]string{
			&fault.ProcessKill{Node: "isp1"}: "Pid, Signal SIGKILL", &fault.ProcessStop{Node: "isp1"}: "Pid, Signal SIGTERM",
			&fault.ProcessKill{Node: "isp1", Restart: true}: "Pid, Signal SIGKILL, Start",
		} {
			b := &brittle{bench: newBench()}
			b.top.Node("isp1").Kind = kind
			b.pids["isp1/"+daemon] = 500
			active, err := f.Inject(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(b.calls, ", "); got != want || active.Target != "isp1/"+daemon {
				t.Errorf("%T of %s: %s on %s", f, kind, got, active.Target)
			}
		}
	}
	for _, kind := range []string{"host", "exec", "bridge"} {
		top := newBench().top
		top.Node("isp1").Kind = kind
		for _, f := range []fault.Fault{&fault.ProcessKill{Node: "isp1"}, &fault.ProcessStop{Node: "isp1"}} {
			if err := f.Validate(top); err == nil || !strings.Contains(err.Error(), "name a process") {
				t.Errorf("%T of %s: %v", f, kind, err)
			}
		}
		if err := (&fault.ProcessStop{Node: "isp1", Process: "www"}).Validate(top); err != nil {
			t.Errorf("a named process of %s: %v", kind, err)
		}
	}
}

// Every kind decodes from YAML by its options, refuses others by listing its
// own, and wants each option's type.
func TestOptionsInYAML(t *testing.T) {
	options := map[string]struct {
		good string
		want fault.Fault
		list string
	}{
		"link.cut":       {`{link: "a:b"}`, &fault.LinkCut{Link: "a:b"}, "link"},
		"link.down":      {`{port: "a:b"}`, &fault.LinkDown{Port: "a:b"}, "port"},
		"link.blackhole": {`{link: "a:b", dir: b-to-a}`, &fault.LinkBlackhole{Link: "a:b", Dir: "b-to-a"}, "link, dir"},
		"node.kill":      {`{node: a, silent: true}`, &fault.NodeKill{Node: "a", Silent: true}, "node, silent"},
		"process.kill":   {`{node: a, process: p, restart: true}`, &fault.ProcessKill{Node: "a", Process: "p", Restart: true}, "node, process, restart"},
		"process.stop":   {`{node: a, process: p}`, &fault.ProcessStop{Node: "a", Process: "p"}, "node, process"},
	}
	for _, k := range fault.Kinds() {
		o, listed := options[k.Name]
		if !listed {
			t.Errorf("kind %s has no case", k.Name)
			continue
		}
		got := k.New()
		if err := strictyaml.Decode("f", []byte(o.good), got); err != nil || fmt.Sprintf("%#v", got)[1:] != fmt.Sprintf("%#v", o.want)[1:] {
			t.Errorf("%s: %#v, %v", k.Name, got, err)
		}
		if err := strictyaml.Decode("f", []byte("{speed: 1}"), k.New()); err == nil || !strings.HasSuffix(err.Error(), `unknown key "speed"; known: `+o.list) {
			t.Errorf("%s: %v", k.Name, err)
		}
		for _, key := range strings.Split(o.list, ", ") {
			if err := strictyaml.Decode("f", []byte(key+": [1]"), k.New()); err == nil || !strings.HasPrefix(err.Error(), "f:1:1: expected ") {
				t.Errorf("%s with a list for %s: %v", k.Name, key, err)
			}
		}
		if a, b := k.New(), k.New(); fmt.Sprintf("%p", a) == fmt.Sprintf("%p", b) {
			t.Errorf("%s: two faults are one", k.Name)
		}
	}
}

// A fault without options names no target, and says that rather than act.
func TestEmptyFaultsAreRefused(t *testing.T) {
	for _, k := range fault.Kinds() {
		b := newBench()
		if err := k.New().Validate(b.top); err == nil {
			t.Errorf("%s without options is valid", k.Name)
		}
		if b.state() != "" {
			t.Errorf("%s: validation acts: %s", k.Name, b.state())
		}
	}
}

// Faults on two things do not undo each other.
func TestHealsAreTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		var heals []func(context.Context) (fault.Effect, error)
		for _, f := range []fault.Fault{&fault.LinkCut{Link: "gw1:isp1"}, &fault.LinkDown{Port: "host1:eth0"}, &fault.ProcessKill{Node: "gw1"}} {
			active, err := f.Inject(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			heals = append(heals, active.Heal)
		}
		for i := len(heals); i > 0; i-- {
			if lines := strings.Count(b.state(), "\n") + 1; lines != i {
				t.Errorf("%d faults, state:\n%s", i, b.state())
			}
			if _, err := heals[i-1](t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if b.state() != "" {
			t.Error(b.state())
		}
	})
}
