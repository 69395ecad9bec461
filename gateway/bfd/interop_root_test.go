package bfd

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gwlab/internal/monotime"
)

// daemon starts a foreign program in a namespace and returns how to kill it,
// the hard way and for good.
func daemon(t *testing.T, ns, path string, args ...string) (kill func()) {
	t.Helper()
	if _, err := exec.LookPath(path); err != nil {
		if os.Getenv("GWLAB_REQUIRE_ROOT") == "1" {
			t.Fatalf("%s is not installed", path)
		}
		t.Skipf("%s is not installed", path)
	}
	// ip exec()s the program: the process started here is the daemon itself.
	cmd := exec.Command("ip", append([]string{"netns", "exec", ns, path}, args...)...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	dead := false
	kill = func() {
		if dead {
			return
		}
		dead = true
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed: its status says nothing
	}
	t.Cleanup(func() {
		kill()
		if t.Failed() {
			t.Logf("%s said:\n%s", path, out.String())
		}
	})
	return kill
}

func startFRR(t *testing.T, ns string, interval time.Duration) (kill func()) {
	t.Helper()
	needRoot(t)
	dir, err := os.MkdirTemp("", "gwt-bfd-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	conf := "bfd\n"
	for _, p := range [][2]netip.Addr{{addrA4, addrB4}, {addrA6, addrB6}} {
		conf += fmt.Sprintf(" peer %v local-address %v interface up0\n  detect-multiplier 3\n  receive-interval %d\n  transmit-interval %d\n  no shutdown\n",
			p[0], p[1], interval.Milliseconds(), interval.Milliseconds())
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, text := range map[string]string{"bfdd.conf": conf, "zebra.conf": "hostname b\n"} {
		if err := os.WriteFile(at(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "", "chown", "-R", "frr:frr", dir)
	daemon(t, ns, "/usr/lib/frr/zebra", "-f", at("zebra.conf"), "-i", at("zebra.pid"), "-z", at("zserv.api"),
		"--vty_socket", dir, "-u", "frr", "-g", "frr", "-P", "0")
	until(t, "zebra's socket", func() bool { _, err := os.Stat(at("zserv.api")); return err == nil })
	return daemon(t, ns, "/usr/lib/frr/bfdd", "-f", at("bfdd.conf"), "-i", at("bfdd.pid"), "-z", at("zserv.api"),
		"--vty_socket", dir, "--bfdctl", at("bfdd.sock"), "-u", "frr", "-g", "frr", "-P", "0")
}

func startBIRD(t *testing.T, ns string, interval time.Duration) (kill func()) {
	t.Helper()
	needRoot(t)
	dir := t.TempDir()
	conf := fmt.Sprintf(`router id 198.18.7.2;
protocol device { scan time 1; }
protocol bfd {
  interface "up0" { min rx interval %[1]d ms; min tx interval %[1]d ms; multiplier 3; };
  neighbor %[2]v dev "up0" local %[3]v;
  neighbor %[4]v dev "up0" local %[5]v;
}
`, interval.Milliseconds(), addrA4, addrB4, addrA6, addrB6)
	path := filepath.Join(dir, "bird.conf")
	if err := os.WriteFile(path, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	return daemon(t, ns, "/usr/sbin/bird", "-f", "-c", path, "-s", filepath.Join(dir, "bird.ctl"), "-P", filepath.Join(dir, "bird.pid"))
}

func TestInteropFRR(t *testing.T)  { interop(t, startFRR) }
func TestInteropBIRD(t *testing.T) { interop(t, startBIRD) }

// interop: up in both families at the negotiated speed, a timer change by
// Poll Sequence, silent loss found and healed, the peer's death found.
func interop(t *testing.T, startPeer func(*testing.T, string, time.Duration) func()) {
	const interval = 50 * time.Millisecond
	g := newGround(t)
	a := start(t, g.a)
	began := monotime.Now()
	sessions := map[Key]Params{key4(addrA4, addrB4): params(interval), key4(addrA6, addrB6): params(interval)}
	a.Set(sessions)
	kill := startPeer(t, g.b, interval)
	fast := func(peer netip.Addr, want time.Duration) func() bool {
		return func() bool {
			st := a.status(t, peer)
			return st.State == "up" && st.RemoteState == "up" && st.TxInterval == max(want, interval) &&
				st.DetectTime == 3*max(want, interval)
		}
	}
	until(t, "IPv4 up and fast", fast(addrB4, interval))
	until(t, "IPv6 up and fast", fast(addrB6, interval))
	t.Logf("both families fast %v after the daemon's start", time.Duration(monotime.Now()-began))

	before := a.status(t, addrB4).Transitions
	sessions[key4(addrA4, addrB4)] = params(200 * time.Millisecond)
	a.Set(sessions)
	until(t, "the slower interval, polled", fast(addrB4, 200*time.Millisecond))
	sessions[key4(addrA4, addrB4)] = params(interval)
	a.Set(sessions)
	until(t, "the faster interval, polled", fast(addrB4, interval))
	if st := a.status(t, addrB4); st.Transitions != before {
		t.Errorf("a timer change cost the session: %+v", st)
	}

	cut := deafen(t, g.a)
	down := a.await(t, addrB4, Down)
	t.Logf("silent loss: down %v after the cut, %v after the last packet", time.Duration(down.At-cut), time.Duration(down.At-down.LastRx))
	healed := monotime.Now()
	undeafen(t, g.a)
	t.Logf("up %v after the heal", time.Duration(a.await(t, addrB4, Up).At-healed))
	until(t, "fast again", fast(addrB4, interval))

	killed := monotime.Now()
	kill()
	down = a.await(t, addrB4, Down)
	t.Logf("peer killed: down after %v, %v", time.Duration(down.At-killed), down.Diag)
	if !down.PathFailed() {
		t.Errorf("the death of the peer is no path failure: %+v", down)
	}
}
