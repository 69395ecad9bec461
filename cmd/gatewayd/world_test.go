package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gwlab/gateway"
	"gwlab/gateway/event"
)

// patience bounds every wait: generous, for it only ends a test that fails.
const patience = 30 * time.Second

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("GWLAB_REQUIRE_ROOT") == "1" {
		t.Fatal("GWLAB_REQUIRE_ROOT=1 but not root")
	}
	t.Skip("not root: runs gatewayd in network namespaces")
}

// world is two namespaces, a gateway's and an ISP's, and one link between them.
type world struct {
	t       *testing.T
	dir     string
	gw, isp string // namespaces
}

// newWorld joins gw (192.0.2.1, port up1) with isp (192.0.2.2, port down1),
// and again over up2 and down2 (100.64.0.1 and 100.64.0.2).
func newWorld(t *testing.T) *world {
	needRoot(t)
	prefix := fmt.Sprintf("gwt-gatewayd-%d-", os.Getpid())
	w := &world{t: t, dir: t.TempDir(), gw: prefix + "gw", isp: prefix + "isp"}
	for _, ns := range []string{w.gw, w.isp} {
		w.ip("netns", "add", ns)
		t.Cleanup(func() { w.ip("netns", "del", ns) })
		for _, s := range []string{"net/ipv6/conf/all/accept_dad", "net/ipv6/conf/default/accept_dad"} {
			w.ip("netns", "exec", ns, "sh", "-c", "echo 0 > /proc/sys/"+s)
		}
		w.ip("-n", ns, "link", "set", "lo", "up")
	}
	w.link("1", "192.0.2.", "2001:db8::")
	w.link("2", "100.64.0.", "2001:db8:2::")
	return w
}

// link joins upN with downN; the ends get host numbers 1 and 2.
func (w *world) link(n, net4, net6 string) {
	w.ip("-n", w.gw, "link", "add", "up"+n, "index", "10"+n, "type", "veth",
		"peer", "name", "down"+n, "index", "20"+n, "netns", w.isp)
	for _, end := range [][3]string{{w.gw, "up" + n, "1"}, {w.isp, "down" + n, "2"}} {
		w.ip("-n", end[0], "addr", "add", net4+end[2]+"/24", "dev", end[1])
		w.ip("-n", end[0], "addr", "add", net6+end[2]+"/64", "dev", end[1], "nodad")
		w.ip("-n", end[0], "link", "set", end[1], "up")
	}
}

func (w *world) ip(args ...string) string {
	w.t.Helper()
	// A test's own context is done when its cleanup runs.
	out, err := exec.CommandContext(context.WithoutCancel(w.t.Context()), "ip", args...).CombinedOutput()
	if err != nil {
		w.t.Errorf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// owned is what the daemon has in the kernel of a namespace: its protocol's
// routes and nexthop objects.
func (w *world) owned(ns string) string {
	var b strings.Builder
	for _, args := range [][]string{
		{"-4", "route", "show", "table", "all", "proto", "201"},
		{"-6", "route", "show", "table", "all", "proto", "201"},
		{"nexthop", "show", "proto", "201"},
	} {
		b.WriteString(w.ip(append([]string{"-n", ns}, args...)...))
	}
	return b.String()
}

// config writes a configuration of a namespace's daemon and returns its file.
func (w *world) config(name, body string) string {
	text := fmt.Sprintf("socket: %s\nstate-dir: %s\nbfd: {interval: 50ms}\ndrain: 100ms\n%s",
		w.socket(name), filepath.Join(w.dir, name+".state"), body)
	return write(w.t, w.dir, name+".yaml", text)
}

func (w *world) socket(name string) string { return filepath.Join(w.dir, name+".sock") }

func (w *world) client(name string) *gateway.Client { return gateway.Dial(w.socket(name)) }

const (
	gwBody = `asn: 64500
router-id: 198.51.100.1
networks: [{prefix: 203.0.113.0/24}, {prefix: "2001:db8:113::/48"}]
neighbors:
  - {name: isp, address: 192.0.2.2, interface: up1, asn: 64511}
  - {name: isp-v6, address: "2001:db8::2", interface: up1, asn: 64511}
`
	ispBody = `asn: 64511
router-id: 198.51.100.2
networks: [{prefix: 0.0.0.0/0}, {prefix: "::/0"}, {prefix: 10.0.0.0/8, length: 24, count: 100}]
neighbors:
  - {name: gw, address: 192.0.2.1, interface: down1, asn: 64500}
  - {name: gw-v6, address: "2001:db8::1", interface: down1, asn: 64500}
`
)

// gwSecond and ispSecond are neighbors over the second link.
const (
	gwSecond  = "  - {name: isp-2, address: 100.64.0.2, interface: up2, asn: 64511}\n"
	ispSecond = "  - {name: gw-2, address: 100.64.0.1, interface: down2, asn: 64500}\n"
)

// process is a running gatewayd.
type process struct {
	cmd  *exec.Cmd
	log  *lockedBuffer
	done chan struct{}
	code int
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs this test binary as gatewayd in a namespace.
func (w *world) start(ns string, args ...string) *process {
	w.t.Helper()
	return w.startVia([]string{"netns", "exec", ns}, args...)
}

// startVia runs it by an ip command, which becomes the program.
func (w *world) startVia(ip []string, args ...string) *process {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	p := &process{log: &lockedBuffer{}, done: make(chan struct{})}
	p.cmd = exec.CommandContext(context.WithoutCancel(w.t.Context()), "ip", append(append(ip, self), args...)...)
	p.cmd.Env = append(os.Environ(), "GATEWAYD_TEST_MAIN=1")
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		p.code = p.cmd.ProcessState.ExitCode()
		close(p.done)
	}()
	w.t.Cleanup(func() {
		p.signal(syscall.SIGKILL)
		<-p.done
		if w.t.Failed() {
			w.t.Logf("gatewayd %s:\n%s", strings.Join(args, " "), p.log)
		}
	})
	return p
}

// signal reaches gatewayd itself: "ip netns exec" becomes the program it runs.
func (p *process) signal(s os.Signal) { _ = p.cmd.Process.Signal(s) }

// exit waits for the end.
func (p *process) exit(t *testing.T) (code int, log string) {
	t.Helper()
	select {
	case <-p.done:
		return p.code, p.log.String()
	case <-time.After(patience):
		t.Fatalf("gatewayd does not end:\n%s", p.log)
		return 0, ""
	}
}

// until polls the status of a daemon.
func (w *world) until(name, what string, ok func(gateway.Status) bool) gateway.Status {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	last, answers := "", 0
	for {
		s, err := w.client(name).Status(ctx)
		if err == nil && ok(s) {
			return s
		}
		if err == nil {
			text, _ := json.Marshal(s)
			last, answers = string(text), answers+1
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.t.Fatalf("%s never %s: %v; the last of %d answers was\n%s", name, what, err, answers, last)
		}
	}
}

func (w *world) ready(name string) gateway.Status {
	w.t.Helper()
	return w.until(name, "ready", func(s gateway.Status) bool { return s.Ready })
}

// events counts what a daemon remembers, by kind.
func (w *world) events(name string) map[string]int {
	w.t.Helper()
	out := map[string]int{}
	err := w.client(name).Events(w.t.Context(), 0, false, func(e event.Event) error {
		out[e.Kind]++
		return nil
	})
	if err != nil {
		w.t.Error(err)
	}
	return out
}
