package probe

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gwlab/internal/monotime"
	"gwlab/lab/netns"
	"gwlab/reports/convergence"
)

const (
	progressEvery = 20 * time.Millisecond
	// leadIn lets the kernel switch packet stamps on before the first packet.
	leadIn = 50 * time.Millisecond
	// memoryLimit bounds the process while the collector is off.
	memoryLimit = 2 << 30
)

// Main is the probe process. It reads one line with a Spec from stdin, opens
// the sockets, sends until the line "stop", the end of stdin, the end of ctx
// or the spec's limit, waits for late packets, and tells everything on stdout.
func Main(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	err := run(ctx, stdin, stdout)
	if err != nil {
		// The reader of stdout may be gone; the error is returned all the same.
		_ = json.NewEncoder(stdout).Encode(message{T: monotime.Now(), Error: err.Error()})
	}
	return err
}

func run(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	in := bufio.NewReader(stdin)
	spec, err := readSpec(in)
	if err != nil {
		return err
	}
	ends, err := spec.prepare()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, spec.Limit, errLimit)
	defer cancel()
	go func() {
		awaitStop(in)
		cancel()
	}()
	// The sender's and receiver's threads must never wait for a processor
	// that a busy goroutine of this process holds.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(max(8, runtime.NumCPU())))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(memoryLimit))
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	t, err := newTester(spec, ends)
	if err != nil {
		return err
	}
	defer t.close() //nolint:errcheck // the process ends with it
	scheduleAll(unix.SCHED_FIFO, helperPriority)
	defer scheduleAll(unix.SCHED_NORMAL, 0)
	return t.run(ctx, stdout)
}

var errLimit = errors.New("time limit")

func readSpec(in *bufio.Reader) (Spec, error) {
	line, err := in.ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return Spec{}, fmt.Errorf("read probe spec: %w", err)
	}
	var spec Spec
	if err := json.Unmarshal(line, &spec); err != nil {
		return Spec{}, fmt.Errorf("read probe spec: %w", err)
	}
	return spec, nil
}

// awaitStop returns at the line "stop" or the end of input.
func awaitStop(in *bufio.Reader) {
	for {
		line, err := in.ReadString('\n')
		if err != nil || strings.TrimSpace(line) == "stop" {
			return
		}
	}
}

// tester is one session inside the probe process.
type tester struct {
	spec     Spec
	records  []*record
	sender   *sender
	receiver *receiver
	sockets  []int
	offset   int64
}

func newTester(spec Spec, ends []endpoints) (*tester, error) {
	t := &tester{spec: spec, offset: monotime.RealOffset()}
	run := rand.Uint64()
	byID := make(map[uint16]*record)
	for _, f := range spec.Flows {
		r := newRecord(uint64(spec.Limit/f.Interval) + 1)
		t.records, byID[f.ID] = append(t.records, r), r
	}
	receivers, err := t.openReceivers(ends)
	if err != nil {
		return nil, errors.Join(err, t.close())
	}
	var senders []int
	for i, f := range spec.Flows {
		fd, err := t.open(f.FromNetns, func() (int, error) { return openSender(ends[i]) })
		if err != nil {
			return nil, errors.Join(err, t.close())
		}
		senders = append(senders, fd)
	}
	t.receiver = newReceiver(run, byID, receivers)
	t.sender = newSender(run, spec.grid(), spec.Flows, senders, t.records)
	return t, nil
}

// openReceivers opens one socket for each destination; flows may share one.
func (t *tester) openReceivers(ends []endpoints) ([]int, error) {
	type place struct {
		netns string
		dst   netip.AddrPort
	}
	seen := make(map[place]bool)
	var fds []int
	for i, f := range t.spec.Flows {
		at := place{f.ToNetns, ends[i].dst}
		if seen[at] {
			continue
		}
		seen[at] = true
		fd, err := t.open(at.netns, func() (int, error) { return openReceiver(at.dst) })
		if err != nil {
			return nil, err
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

func (t *tester) open(path string, fn func() (int, error)) (fd int, err error) {
	err = netns.Do(path, func() error {
		fd, err = fn()
		return err
	})
	if err != nil {
		return -1, fmt.Errorf("open socket in %s: %w", path, err)
	}
	t.sockets = append(t.sockets, fd)
	return fd, nil
}

func (t *tester) close() error {
	var errs []error
	for _, fd := range t.sockets {
		errs = append(errs, unix.Close(fd))
	}
	t.sockets = nil
	return errors.Join(errs...)
}

// run sends until ctx ends, receives Drain longer, and writes the outcome.
func (t *tester) run(ctx context.Context, stdout io.Writer) error {
	var (
		out       = bufio.NewWriter(stdout)
		enc       = json.NewEncoder(out)
		sent      = make(chan error, 1)
		received  = make(chan error, 1)
		load      = readHostLoad()
		start     = monotime.Now() + int64(leadIn)
		errAtSend error
	)
	go func() { received <- t.receiver.loop() }()
	go func() { sent <- t.sender.loop(start, start+int64(t.spec.Limit)) }()
	err := enc.Encode(message{T: start, Started: true})
	if err == nil {
		err = t.follow(ctx, out, enc, received)
	}
	t.sender.stop.Store(true)
	errAtSend = <-sent
	end := readHostLoad()
	scheduleAll(unix.SCHED_NORMAL, 0) // what follows is work, and not urgent
	if err == nil {
		err = sleepUntil(monotime.Now() + int64(t.spec.Drain))
	}
	t.receiver.stop.Store(true)
	if err := errors.Join(err, errAtSend, <-received); err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	flows := t.flows()
	f := t.final(load, end, flows)
	f.Limited = errors.Is(context.Cause(ctx), errLimit)
	if err := enc.Encode(message{T: monotime.Now(), Final: &f}); err != nil {
		return fmt.Errorf("write probe result: %w", err)
	}
	return errors.Join(convergence.WriteSamples(out, flows), out.Flush())
}

// follow tells progress until ctx ends. A failed receiver ends it too.
func (t *tester) follow(ctx context.Context, out *bufio.Writer, enc *json.Encoder, received chan error) error {
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	flows := make([]convergence.FlowProgress, len(t.records))
	for {
		if err := out.Flush(); err != nil {
			return fmt.Errorf("write progress: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-received:
			received <- nil
			return err
		case <-ticker.C:
		}
		now := monotime.Now()
		for i, r := range t.records {
			r.prepare()
			flows[i] = r.progress(t.spec.Flows[i].ID, now)
		}
		if err := enc.Encode(message{T: now, Progress: flows}); err != nil {
			return fmt.Errorf("write progress: %w", err)
		}
	}
}

func (t *tester) final(start, end hostLoad, flows []convergence.Flow) final {
	var f final
	t.sender.fitness.fill(&f.Health)
	start.fill(&f.Health, end)
	f.Health.Overruns = t.receiver.overruns()
	f.Health.Foreign = t.receiver.foreign
	f.Health.ClockStep = time.Duration(monotime.RealOffset() - t.offset)
	for _, c := range flows {
		f.Flows = append(f.Flows, counts{c.Duplicates, c.Reordered})
	}
	return f
}

// flows are the spec's flows with their packets. Sender and receiver have ended.
func (t *tester) flows() []convergence.Flow {
	flows := make([]convergence.Flow, len(t.records))
	for i, r := range t.records {
		flows[i] = t.spec.Flows[i].Flow
		r.fill(&flows[i])
	}
	return flows
}
