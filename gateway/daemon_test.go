package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gwlab/gateway/bfd"
	"gwlab/gateway/bgp"
	"gwlab/gateway/config"
	"gwlab/gateway/event"
)

func events(d *Daemon) []string {
	s := d.bus.Subscribe(0)
	defer s.Close()
	all, _ := s.Pending()
	var out []string
	for _, e := range all {
		line := e.Kind
		if e.Data["error"] != "" {
			line += " " + e.Data["error"]
		}
		out = append(out, line)
	}
	return out
}

func TestGracefulStop(t *testing.T) {
	r := startFake(t, testConfig(t), Deps{})
	r.stop()
	if err := r.wait(); err != nil {
		t.Fatal(err)
	}
	calls := r.recorded()
	if calls[0] != "drain" {
		t.Errorf("drain must come first: %v", calls)
	}
	tail := calls[len(calls)-2:]
	if diff := cmp.Diff([]string{"clean up", "close"}, tail); diff != "" {
		t.Errorf("the kernel is cleaned when all parts have ended: %v", calls)
	}
	if diff := cmp.Diff([]string{event.ConfigGood, event.Drain}, events(r.d)); diff != "" {
		t.Error(diff)
	}
	if _, err := os.Stat(r.d.mark.path); !os.IsNotExist(err) {
		t.Errorf("mark left: %v", err)
	}
	if _, err := os.Stat(r.d.config().Socket); !os.IsNotExist(err) {
		t.Errorf("socket left: %v", err)
	}
}

func TestFailureLeavesTheKernelForwarding(t *testing.T) {
	cfg := testConfig(t)
	r := startFake(t, cfg, Deps{})
	r.fail <- errBroken
	err := r.wait()
	if !errors.Is(err, errBroken) || err.Error() != "run agent: broken" {
		t.Fatalf("got %v", err)
	}
	if slices.Contains(r.recorded(), "clean up") {
		t.Errorf("a failed daemon must leave its routes: %v", r.recorded())
	}
	again := startFake(t, cfg, Deps{})
	if calls := again.recorded(); len(calls) == 0 || calls[0] != "restarting" {
		t.Errorf("the next start must know: %v", calls)
	}
	again.stop()
	if err := again.wait(); err != nil {
		t.Fatal(err)
	}
	clean := startFake(t, cfg, Deps{})
	if calls := clean.recorded(); len(calls) != 0 {
		t.Errorf("after a graceful stop there is nothing to take over: %v", calls)
	}
}

func TestPartThatEndsByItselfIsAnError(t *testing.T) {
	r := startFake(t, testConfig(t), Deps{})
	r.fail <- nil
	if err := r.wait(); err == nil || err.Error() != "run agent: it ended by itself" {
		t.Errorf("got %v", err)
	}
}

func TestMarkOfAnotherBootIsNoCrash(t *testing.T) {
	cfg := testConfig(t)
	if err := os.WriteFile(cfg.StateDir+"/running", []byte("another-boot net:[1]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startFake(t, cfg, Deps{})
	if calls := r.recorded(); len(calls) != 0 {
		t.Errorf("routes do not outlive a boot: %v", calls)
	}
}

func TestSecondDaemonIsRefused(t *testing.T) {
	cfg := testConfig(t)
	startFake(t, cfg, Deps{})
	second := startFake(t, cfg, Deps{})
	err := second.wait()
	var setup *SetupError
	if !errors.As(err, &setup) || !strings.Contains(err.Error(), "gatewayd is already running (pid ") ||
		!strings.HasSuffix(err.Error(), cfg.Socket+": stop it, or set another socket") {
		t.Errorf("got %v", err)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	cfg := testConfig(t)
	l, err := net.Listen("unix", cfg.Socket)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	startFake(t, cfg, Deps{})
	if s, err := Dial(cfg.Socket).Status(t.Context()); err != nil || s.ASN != 64500 {
		t.Errorf("status %+v, %v", s, err)
	}
}

func TestReload(t *testing.T) {
	cfg := testConfig(t)
	next, loadErr := cfg, error(nil)
	r := startFake(t, cfg, Deps{Load: func() (config.Config, error) { return next, loadErr }})
	c := Dial(cfg.Socket)
	rename := func(name string) {
		next.Neighbors = slices.Clone(next.Neighbors)
		next.Neighbors[0].Name = name
	}
	rename("renamed")
	if err := c.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	loadErr = errors.New("c.yaml:1:1: unknown key")
	if err := c.Reload(t.Context()); err == nil || err.Error() != "c.yaml:1:1: unknown key" {
		t.Errorf("got %v", err)
	}
	s, err := c.Status(t.Context())
	if err != nil || s.ConfigError != "c.yaml:1:1: unknown key" || s.Pending[0] != "bgp renamed: not started" {
		t.Errorf("the last good configuration must stay: %+v, %v", s, err)
	}
	loadErr = nil
	next.Table, next.BGP.Port = 100, 1179
	const want = "reload configuration: table, bgp.port changed: restart gatewayd for that"
	if err := c.Reload(t.Context()); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	next.Table, next.BGP.Port = cfg.Table, cfg.BGP.Port
	r.refuse = errBroken
	if err := c.Reload(t.Context()); err == nil || err.Error() != "apply configuration: broken" {
		t.Errorf("got %v", err)
	}
	r.refuse = nil
	rename("third")
	if err := c.Reload(t.Context()); err != nil {
		t.Error(err)
	}
	if s, err := c.Status(t.Context()); err != nil || s.ConfigError != "" {
		t.Errorf("a good configuration clears the error: %+v, %v", s, err)
	}
	wantEvents := []string{
		event.ConfigGood, event.ConfigGood, event.ConfigBad + " c.yaml:1:1: unknown key",
		event.ConfigBad + " " + want, event.ConfigBad + " apply configuration: broken", event.ConfigGood,
	}
	if diff := cmp.Diff(wantEvents, events(r.d)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"configure renamed", "configure renamed", "configure third"}, r.recorded()); diff != "" {
		t.Error(diff)
	}
}

func TestReloadNeedsAFileAndADaemon(t *testing.T) {
	d := New(testConfig(t), Deps{})
	if err := d.Reload(); err == nil || !strings.Contains(err.Error(), "no file") {
		t.Errorf("got %v", err)
	}
	d = New(testConfig(t), Deps{Load: func() (config.Config, error) { return d.config(), nil }})
	if err := d.Reload(); err == nil || !strings.Contains(err.Error(), "only starting") {
		t.Errorf("got %v", err)
	}
}

func TestMetricsListenerServesOnlyMetrics(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(t)
	cfg.Metrics = l.Addr().String()
	taken := startFake(t, cfg, Deps{})
	if err := taken.wait(); err == nil || err.Error() != "metrics address "+cfg.Metrics+" is in use: set another one" {
		t.Errorf("got %v", err)
	}
	l.Close()
	startFake(t, cfg, Deps{})
	for path, want := range map[string]int{"/metrics": 200, "/v1/status": 404, "/v1/reload": 404} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+cfg.Metrics+path, nil)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestPending(t *testing.T) {
	addr := netip.MustParseAddr
	cfg := config.Config{Neighbors: []config.Neighbor{
		{Name: "a", Address: addr("192.0.2.1"), Interface: "up1"},
		{Name: "b", Address: addr("192.0.2.5"), Interface: "up2"},
		{Name: "c", Address: addr("192.0.2.9"), Interface: "up3", BFD: config.BFD{Off: true}},
	}}
	peers := []bgp.PeerStatus{
		{Address: addr("192.0.2.1"), State: "Established", Synced: true},
		{Address: addr("192.0.2.5"), State: "Established"},
		{Address: addr("192.0.2.9"), State: "Active"},
	}
	sessions := []bfd.Status{
		{Key: bfd.Key{Interface: "up1", Peer: addr("192.0.2.1")}, State: "up"},
		{Key: bfd.Key{Interface: "up2", Peer: addr("192.0.2.5")}, State: "down"},
	}
	synced := map[string]bool{"192.0.2.1": true, "192.0.2.5": true}
	want := []string{"bgp b: no End-of-RIB yet", "bfd b: down", "bgp c: Active", "fib: routes wait to be programmed"}
	if diff := cmp.Diff(want, pending(cfg, peers, synced, sessions, FIBStatus{})); diff != "" {
		t.Error(diff)
	}
	peers[1].Synced, peers[2].State, peers[2].Synced, sessions[1].State = true, "Established", true, "up"
	if got := pending(cfg, peers, synced, sessions, FIBStatus{Programmed: true}); len(got) != 1 || got[0] != "bgp c: no End-of-RIB yet" {
		t.Errorf("its End-of-RIB has not reached the agent: %v", got)
	}
	synced["192.0.2.9"] = true
	if got := pending(cfg, peers, synced, sessions, FIBStatus{Programmed: true}); len(got) != 0 {
		t.Errorf("all is there, yet %v", got)
	}
	if got := pending(cfg, nil, nil, nil, FIBStatus{Programmed: true}); len(got) != 5 {
		t.Errorf("nothing is there: %v", got)
	}
}

func TestRunWithoutDaemonIsTold(t *testing.T) {
	_, err := Dial(t.TempDir() + "/none.sock").Status(context.Background())
	var setup *SetupError
	if !errors.As(err, &setup) || !strings.HasPrefix(err.Error(), "no gatewayd answers on ") {
		t.Errorf("got %v", err)
	}
}
