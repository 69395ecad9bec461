package probe

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gwlab/internal/monotime"
	"gwlab/lab/netns"
	"gwlab/reports/convergence"
)

// await reads progress until it satisfies ok.
func await(t *testing.T, s *Session, ok func([]convergence.FlowProgress) bool) {
	t.Helper()
	for p := range s.Progress() {
		if ok(p) {
			return
		}
	}
	t.Fatal("the probe ended")
}

func sentAtLeast(n uint64) func([]convergence.FlowProgress) bool {
	return func(p []convergence.FlowProgress) bool { return p[0].Sent >= n }
}

func TestStartFails(t *testing.T) {
	requireRoot(t)
	missing := goodFlow(0)
	missing.FromNetns, missing.ToNetns = "/run/netns/gwt-probe-there-is-none", "/run/netns/gwt-probe-there-is-none"
	for _, c := range []struct {
		name string
		o    Options
		want string
	}{
		{"no command", Options{Spec: Spec{Flows: []Flow{goodFlow(0)}}}, "no command"},
		{"bad spec", options(t, nil), "no flows"},
		{"no such program", Options{Command: []string{"/nonexistent/gwlab"}, Spec: Spec{Flows: []Flow{goodFlow(0)}}}, "no such file"},
		{"a program that ends", Options{Command: []string{"/bin/true"}, Spec: Spec{Flows: []Flow{goodFlow(0)}}}, "start probe"},
		{"no such namespace", options(t, []Flow{missing}), "gwt-probe-there-is-none"},
	} {
		if _, err := Start(t.Context(), c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestMainRefusesBadInput(t *testing.T) {
	for _, in := range []string{"", "{", "{}\n", `{"flows":[{"id":70000}]}` + "\n"} {
		var out bytes.Buffer
		if err := Main(t.Context(), strings.NewReader(in), &out); err == nil || !strings.Contains(out.String(), `"error"`) {
			t.Errorf("%q: %v, told %q", in, err, out.String())
		}
	}
}

// A port that is taken is an error that names it, and nothing is sent.
func TestPortTaken(t *testing.T) {
	n := newBed(t)
	must(t, netns.Do(n.B, func() error {
		fd, err := openReceiver(endpointsOf(t, n.Flows(1, time.Millisecond)[0]).dst)
		if err == nil {
			t.Cleanup(func() { unix.Close(fd) })
		}
		return err
	}))
	_, err := Start(t.Context(), options(t, n.Flows(1, time.Millisecond)))
	if err == nil || !strings.Contains(err.Error(), "198.18.0.2:7000: address already in use") {
		t.Error(err)
	}
}

func endpointsOf(t *testing.T, f Flow) endpoints {
	t.Helper()
	e, err := f.check()
	must(t, err)
	return e
}

// The end of the context ends the probe in order: what it measured is there.
func TestContextEnds(t *testing.T) {
	n := newBed(t)
	ctx, cancel := context.WithCancel(t.Context())
	s, err := Start(ctx, options(t, n.Flows(1, time.Millisecond)))
	must(t, err)
	await(t, s, sentAtLeast(100))
	cancel()
	for range 2 { // a second Stop returns the same
		flows, _, err := s.Stop(t.Context())
		if err != nil || len(flows[0].Sent) < 100 {
			t.Errorf("%d packets, %v", len(flows[0].Sent), err)
		}
	}
}

func TestLimitEndsTheProbe(t *testing.T) {
	n := newBed(t)
	o := options(t, n.Flows(1, time.Millisecond))
	o.Spec.Limit = 200 * time.Millisecond
	s, err := Start(t.Context(), o)
	must(t, err)
	for range s.Progress() {
	}
	flows, _, err := s.Stop(t.Context())
	if err == nil || !strings.Contains(err.Error(), "time limit") {
		t.Error(err)
	}
	if n := len(flows[0].Sent); n == 0 || n > 201 {
		t.Errorf("%d packets within 200 ms", n)
	}
}

// A host that has no way to send is dark: its packets count as sent and lost.
func TestNoRouteIsAnOutage(t *testing.T) {
	n := newBed(t)
	flows := n.Flows(1, time.Millisecond)[:1]
	s, err := Start(t.Context(), options(t, flows))
	must(t, err)
	await(t, s, sentAtLeast(100))
	before := monotime.Now()
	must(t, netns.Do(n.A, func() error { return setLink(false) }))
	await(t, s, func(p []convergence.FlowProgress) bool { return p[0].CleanSince == 0 })
	must(t, netns.Do(n.A, func() error { return setLink(true) }))
	await(t, s, func(p []convergence.FlowProgress) bool { return p[0].CleanSince > before })
	got, health, err := s.Stop(t.Context())
	must(t, err)
	outages := convergence.Outages(got[0], convergence.Phase{End: monotime.Now()}, time.Second)
	if len(outages) != 1 || health.SendErrors == 0 || health.NoBuffers != 0 || int(health.SendErrors) > outages[0].Lost {
		t.Errorf("outages %+v, health %+v", outages, health)
	}
}

// Real packets, crafted: copies, an overtaken one, one too long and one of
// another session. None of it is a loss.
func TestCraftedPackets(t *testing.T) {
	n := newBed(t)
	spec := Spec{Flows: n.Flows(1, time.Millisecond)[:1], Limit: time.Second}
	ends, err := spec.prepare()
	must(t, err)
	p, err := newTester(spec, ends)
	must(t, err)
	t.Cleanup(func() { must(t, p.close()) })
	received := make(chan error, 1)
	go func() { received <- p.receiver.loop() }()
	start := monotime.Now()
	for range 4 {
		p.records[0].send(start)
	}
	var b [PacketSize + 1]byte
	write := func(run, seq uint64, size int) {
		packet{Run: run, Flow: spec.Flows[0].ID, Seq: seq, Sent: start}.put((*[PacketSize]byte)(b[:]))
		if _, err := unix.Write(p.sender.streams[0].fd, b[:size]); err != nil {
			t.Error(err)
		}
	}
	for _, seq := range []uint64{0, 2, 1, 1, 3, 0} {
		write(p.sender.run, seq, PacketSize)
	}
	write(p.sender.run, 1, PacketSize+1)
	write(p.sender.run+1, 1, PacketSize)
	p.receiver.stop.Store(true)
	must(t, <-received)
	f := p.flows()[0]
	if f.Duplicates != 2 || f.Reordered != 1 || p.receiver.foreign != 2 {
		t.Errorf("%d duplicates, %d reordered, %d foreign", f.Duplicates, f.Reordered, p.receiver.foreign)
	}
	for i, at := range f.Received {
		if at < start || at > monotime.Now() {
			t.Errorf("packet %d was received at %d, between %d and now", i, at, start)
		}
	}
}

const parentEnv = "GWLAB_PROBE_TEST_PARENT"

// parent starts a session, prints the probe's pid, and waits to be killed.
func parent(path string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	f := goodFlow(0)
	f.FromNetns, f.ToNetns, f.Src, f.Dst = path, path, "198.18.0.1:20000", "198.18.0.1:7000"
	s, err := Start(context.Background(), Options{Command: []string{self}, Env: append(os.Environ(), childEnv+"=1"), Spec: Spec{Flows: []Flow{f}}})
	if err != nil {
		return err
	}
	fmt.Println(s.cmd.Process.Pid)
	<-s.done
	return nil
}

// Killing the program that runs a probe leaves no probe behind.
func TestProbeDiesWithItsParent(t *testing.T) {
	n := newBed(t)
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), parentEnv+"="+n.A)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	line := make([]byte, 32)
	size, err := out.Read(line)
	must(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(line[:size])))
	must(t, err)
	fd, err := unix.PidfdOpen(pid, 0)
	must(t, err)
	defer unix.Close(fd)
	must(t, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
	ended, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10_000)
	if err != nil || ended != 1 {
		t.Errorf("probe %d outlived its parent: %v", pid, err)
	}
}
