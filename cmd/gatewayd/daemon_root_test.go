package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"gwlab/gateway"
	"gwlab/gateway/event"
)

// TestLife is one gateway's life against one ISP, both the real program.
func TestLife(t *testing.T) {
	w := newWorld(t)
	gwFile := w.config("gw", gwBody)
	gw := w.start(w.gw, "run", "-c", gwFile)
	w.start(w.isp, "run", "-c", w.config("isp", ispBody))
	s := w.ready("gw")
	w.ready("isp")
	if len(s.Peers) != 2 || len(s.BFD) != 2 || s.FIB.Routes != 102 {
		t.Errorf("status: %+v", s)
	}
	owned := w.owned(w.gw)
	for _, want := range []string{"default", "10.0.99.0/24", "nhid"} {
		if !strings.Contains(owned, want) {
			t.Errorf("no %s in the kernel:\n%s", want, owned)
		}
	}
	kinds := w.events("gw")
	for _, k := range []string{event.ConfigGood, event.BFDUp, event.BGPUp, event.BGPSynced, event.Program} {
		if kinds[k] == 0 {
			t.Errorf("no event %s: %v", k, kinds)
		}
	}
	w.reload(gw, gwFile)
	w.refusals(gwFile)
	w.documented()

	gw.signal(syscall.SIGTERM)
	if code, log := gw.exit(t); code != 0 {
		t.Errorf("SIGTERM: exit code %d\n%s", code, log)
	}
	if left := w.owned(w.gw); left != "" {
		t.Errorf("left in the kernel:\n%s", left)
	}
	w.until("isp", "saw the gateway go", func(s gateway.Status) bool { return !s.Ready })
}

// reload applies a good change and rejects a bad one, by SIGHUP.
func (w *world) reload(gw *process, file string) {
	w.t.Helper()
	before := w.events("gw")
	good, err := os.ReadFile(file)
	if err != nil {
		w.t.Fatal(err)
	}
	write(w.t, w.dir, "gw.yaml", string(good)+"nonsense: 1\n")
	gw.signal(syscall.SIGHUP)
	s := w.until("gw", "rejects", func(s gateway.Status) bool { return s.ConfigError != "" })
	if !strings.Contains(s.ConfigError, `unknown key "nonsense"`) || !s.Ready {
		w.t.Errorf("after a bad reload: %+v", s)
	}
	write(w.t, w.dir, "gw.yaml", strings.Replace(string(good), "name: isp,", "name: renamed,", 1))
	gw.signal(syscall.SIGHUP)
	w.until("gw", "applies", func(s gateway.Status) bool {
		return s.ConfigError == "" && s.Ready && s.Peers[0].Name == "renamed"
	})
	after := w.events("gw")
	if after[event.ConfigBad] != before[event.ConfigBad]+1 || after[event.ConfigGood] != before[event.ConfigGood]+1 {
		w.t.Errorf("reload events: %v, then %v", before, after)
	}
	if after[event.BGPDown] != before[event.BGPDown] {
		w.t.Errorf("a new name reset a session: %v", after)
	}
}

// refusals starts what cannot run beside a running daemon.
func (w *world) refusals(file string) {
	w.t.Helper()
	other := w.config("other", gwBody)
	setpriv := []string{"netns", "exec", w.gw, "setpriv", "--bounding-set=-all"}
	for _, c := range []struct {
		name string
		p    *process
		want string
	}{
		{"socket taken", w.start(w.gw, "run", "-c", file), `^gatewayd: gatewayd is already running \(pid \d+\) on \S+: stop it, or set another socket\n$`},
		{"port taken", w.start(w.gw, "run", "-c", other), `^gatewayd: TCP port 179 is in use: stop the other BGP daemon, or set bgp.port\n$`},
		{"no capability", w.startVia(setpriv, "run", "-c", other), `^gatewayd: missing CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BIND_SERVICE: run as root, or through gatewayd.service\n$`},
	} {
		code, log := c.p.exit(w.t)
		if code != 2 || !regexp.MustCompile(c.want).MatchString(log) {
			w.t.Errorf("%s: exit code %d\n%s", c.name, code, log)
		}
	}
	if _, err := os.Stat(filepath.Join(w.dir, "other.state")); !os.IsNotExist(err) {
		w.t.Errorf("a refused start left its state: %v", err)
	}
	w.ready("gw")
}

// TestCrash kills gatewayd: packets keep flowing by the routes it leaves, and
// the next start takes them over.
func TestCrash(t *testing.T) {
	w := newWorld(t)
	gwFile := w.config("gw", gwBody)
	gw := w.start(w.gw, "run", "-c", gwFile)
	w.start(w.isp, "run", "-c", w.config("isp", ispBody))
	w.ready("gw")
	before := w.owned(w.gw)
	gw.signal(syscall.SIGKILL)
	gw.exit(t)
	if after := w.owned(w.gw); after != before {
		t.Errorf("a crash changed the kernel:\n%s\nnow\n%s", before, after)
	}
	again := w.start(w.gw, "run", "-c", gwFile)
	w.ready("gw")
	if !strings.Contains(again.log.String(), "restarting=true") {
		t.Errorf("the restart does not know of the crash:\n%s", again.log)
	}
	if after := w.owned(w.gw); after != before {
		t.Errorf("a restart changed the kernel:\n%s\nnow\n%s", before, after)
	}
	again.signal(syscall.SIGINT)
	if code, log := again.exit(t); code != 0 || w.owned(w.gw) != "" {
		t.Errorf("SIGINT: exit code %d, left %q\n%s", code, w.owned(w.gw), log)
	}
}

// TestRepair cuts one of two uplinks and gives it back: the daemon tells of
// the repair, is not ready, and recovers by itself.
func TestRepair(t *testing.T) {
	w := newWorld(t)
	w.start(w.gw, "run", "-c", w.config("gw", gwBody+gwSecond))
	w.start(w.isp, "run", "-c", w.config("isp", ispBody+ispSecond))
	w.ready("gw")
	w.ip("-n", w.isp, "link", "set", "down1", "down")
	s := w.until("gw", "repaired", func(s gateway.Status) bool { return !s.Ready && s.FIB.Repairs >= 1 })
	if len(s.Pending) == 0 || s.FIB.LastRepair <= 0 {
		t.Errorf("after a cut: %+v", s)
	}
	if kinds := w.events("gw"); kinds[event.LinkDown] == 0 || kinds[event.Repair] == 0 {
		t.Errorf("events: %v", kinds)
	}
	metrics, err := w.client("gw").Text(t.Context(), "/metrics")
	if err != nil || !strings.Contains(metrics, `gatewayd_fib_repairs_total{cause="carrier"} `) {
		t.Errorf("metrics: %v\n%s", err, metrics)
	}
	if owned := w.owned(w.gw); !strings.Contains(owned, "10.0.99.0/24") {
		t.Errorf("routes went with one of two uplinks:\n%s", owned)
	}
	w.ip("-n", w.isp, "link", "set", "down1", "up")
	// A link set down loses its IPv6 addresses where they are not kept.
	w.ip("-n", w.isp, "addr", "replace", "2001:db8::2/64", "dev", "down1", "nodad")
	w.ready("gw")
	if fib, err := w.client("gw").Text(t.Context(), "/v1/fib"); err != nil || !strings.Contains(fib, "10.0.99.0/24") {
		t.Errorf("fib: %v\n%s", err, fib)
	}
	routes, err := w.client("gw").Text(t.Context(), "/v1/routes")
	const both = `{"prefix":"10.0.99.0/24","primary":["100.64.0.2%up2","192.0.2.2%up1"]}` + "\n"
	if err != nil || !strings.Contains(routes, both) || strings.Count(routes, "\n") != 104 {
		t.Errorf("routes: %v\n%s", err, routes)
	}
}
