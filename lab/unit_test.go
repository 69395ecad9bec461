package lab

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gwlab/lab/kind"
	"gwlab/reports/convergence"
	"gwlab/topologies"
)

func TestNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"dual-isp": true, "a": true, "Lab_1.2": true, strings.Repeat("x", 40): true,
		"": false, ".": false, "..": false, ".lock": false, "a/b": false, "-a": false, "a b": false, strings.Repeat("x", 41): false,
	} {
		if err := checkName(name); (err == nil) != ok {
			t.Errorf("checkName(%q) = %v", name, err)
		}
	}
	// The longest name's socket fits into a socket address (unix(7)).
	if p := dirOf(strings.Repeat("x", 40)).socket(); len(p) > 107 {
		t.Errorf("%s has %d bytes", p, len(p))
	}
}

// TestTopologyFile wants the model to come back whole, with its references.
func TestTopologyFile(t *testing.T) {
	for _, name := range topologies.Names() {
		want := load(t, name)
		text, err := encodeTopology(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeTopology(text)
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range got.Nodes {
			for j, p := range n.Ports {
				if p.Node != n || p.Link == nil || (p.Link.A != p && p.Link.B != p) || p.Other().Node != got.Node(want.Nodes[i].Ports[j].Other().Node.Name) {
					t.Errorf("%s: %s lost a reference", name, p.Endpoint())
				}
			}
		}
		again, err := encodeTopology(got)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(text), string(again)); d != "" {
			t.Errorf("%s changed on its way:\n%s", name, d)
		}
	}
	for _, bad := range []string{"", "{", `{"Links":[{"A":"a:b","B":"c:d"}]}`} {
		if _, err := decodeTopology([]byte(bad)); err == nil {
			t.Errorf("%q is taken for a topology", bad)
		}
	}
}

func TestIdentity(t *testing.T) {
	id, err := identify(os.Getpid())
	if err != nil || id.Pid != os.Getpid() || id.Start == 0 {
		t.Errorf("identity %+v, %v", id, err)
	}
	d := stateDir(t.TempDir())
	if _, ok := d.supervisor(); ok {
		t.Error("a directory without pid file has a supervisor")
	}
	if err := d.writePid(id); err != nil {
		t.Fatal(err)
	}
	if got, ok := d.supervisor(); !ok || got != id {
		t.Errorf("supervisor %+v, %v", got, ok)
	}
	// The same pid, started at another time, is another process.
	if err := d.writePid(identity{id.Pid, id.Start + 1}); err != nil {
		t.Fatal(err)
	}
	if _, ok := d.supervisor(); ok {
		t.Error("a later process is taken for the supervisor")
	}
}

func TestLock(t *testing.T) {
	d := stateDir(t.TempDir())
	if live, err := d.alive(); live || err != nil {
		t.Errorf("alive without a lock: %v, %v", live, err)
	}
	held, err := lockFile(d.path("lock"))
	if err != nil {
		t.Fatal(err)
	}
	if live, err := d.alive(); !live || err != nil {
		t.Errorf("alive with a lock: %v, %v", live, err)
	}
	if _, err := lockFile(d.path("lock")); !errors.Is(err, errLocked) {
		t.Errorf("second lock: %v", err)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	if live, err := d.alive(); live || err != nil {
		t.Errorf("alive after the lock: %v, %v", live, err)
	}
}

func TestNamespaceRecord(t *testing.T) {
	d := stateDir(t.TempDir())
	if _, ok := d.namespaces(); ok {
		t.Error("an empty directory has a record")
	}
	want := namespacesOf("a", topologies.Line(3, "veth"))
	if err := d.writeNamespaces(want); err != nil {
		t.Fatal(err)
	}
	got, ok := d.namespaces()
	if !ok || cmp.Diff(want, got) != "" {
		t.Errorf("got %v, want %v", got, want)
	}
	tagged := map[string][]identity{"a-b": nil}
	for ns, other := range map[string]bool{"gwlab-a-b-c": true, "gwlab-a-c": false, "gwlab-a-bc": false} {
		if belongsToOther(ns, "a", tagged) != other {
			t.Errorf("%s belongs to another lab: want %v", ns, other)
		}
	}
}

func TestHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		h.add(convergence.Event{T: 1}, convergence.Event{T: 2})
		ctx, cancel := context.WithCancel(t.Context())
		var got []int64
		ended := make(chan error, 1)
		go func() {
			ended <- h.watch(ctx, func(events []convergence.Event) error {
				for _, e := range events {
					got = append(got, e.T)
				}
				return nil
			})
		}()
		synctest.Wait()
		h.add() // nothing happened
		h.add(convergence.Event{T: 3})
		synctest.Wait()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("watch ended with %v", err)
		}
		if d := cmp.Diff([]int64{1, 2, 3}, got); d != "" {
			t.Error(d)
		}
	})
}

func TestHubForgetsTheOldest(t *testing.T) {
	h := newHub()
	const total = historyLimit * 5 / 4
	for i := range total {
		h.add(convergence.Event{T: int64(i)})
	}
	events, next, _ := h.after(0)
	if next != total || len(events) >= total || len(events) < historyLimit || events[len(events)-1].T != total-1 {
		t.Errorf("%d events kept up to %d", len(events), next)
	}
	if late, _, _ := h.after(total - 2); len(late) != 2 || late[0].T != total-2 {
		t.Errorf("a watcher that keeps up sees %v", late)
	}
}

func TestHubWatcherError(t *testing.T) {
	h, enough := newHub(), errors.New("enough")
	h.add(convergence.Event{})
	if err := h.watch(t.Context(), func([]convergence.Event) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("watch ended with %v", err)
	}
}

// wire is a server with one verb that doubles, and a client for it.
func wire(t *testing.T) *http.Client {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /double", answer(func(_ context.Context, n int) (int, error) {
		if n < 0 {
			return 0, errors.New("too small")
		}
		return 2 * n, nil
	}))
	socket := t.TempDir() + "/s"
	server := httptest.NewUnstartedServer(mux)
	f, err := listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	server.Listener = fileListener(t, f)
	server.Start()
	client := dialer(socket)
	t.Cleanup(func() { client.CloseIdleConnections(); server.Close() })
	return client
}

func fileListener(t *testing.T, f *os.File) net.Listener {
	t.Helper()
	l, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestWire(t *testing.T) {
	c := wire(t)
	if got, err := call[int](t.Context(), c, "/double", 21); got != 42 || err != nil {
		t.Errorf("got %d, %v", got, err)
	}
	for request, want := range map[any]string{-1: "too small", "x": "decode request"} {
		if _, err := call[int](t.Context(), c, "/double", request); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("request %v: error %v, want %s", request, err, want)
		}
	}
	if _, err := call[int](t.Context(), c, "/nothing", 1); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("unknown verb: %v", err)
	}
	if _, err := call[string](t.Context(), c, "/double", 1); err == nil || !strings.Contains(err.Error(), "decode answer") {
		t.Errorf("wrong answer: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("no more"))
	if _, err := call[int](ctx, c, "/double", 1); err == nil || err.Error() != "no more" {
		t.Errorf("cancelled call: %v", err)
	}
}

func TestAttachErrors(t *testing.T) {
	for name, want := range map[string]string{"gwt-nobody": "no lab gwt-nobody is up", "no/name": "lab name"} {
		if _, err := Attach(t.Context(), name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("attach to %q: %v", name, err)
		}
	}
}

func TestUpRefuses(t *testing.T) {
	reserved := topologies.Line(2, "veth")
	reserved.Nodes[1].Name = "cable"
	for what, c := range map[string]struct {
		o    UpOptions
		want string
	}{
		"no topology":   {UpOptions{}, "no topology"},
		"bad name":      {UpOptions{Topology: pair(), Name: "a b"}, "lab name"},
		"reserved node": {UpOptions{Topology: reserved, Name: "a"}, `"cable" is taken`},
	} {
		_, err := Up(t.Context(), c.o, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", what, err)
		}
		if refused := (Refusal{}); !errors.As(err, &refused) {
			t.Errorf("%s is no Refusal: %v", what, err)
		}
	}
	if os.Geteuid() != 0 {
		_, err := Up(t.Context(), UpOptions{Topology: pair(), Name: "gwt-noroot"}, nil)
		if err == nil || !strings.Contains(err.Error(), "sudo") {
			t.Errorf("not root: %v", err)
		}
	}
}

func TestSuperviseByHand(t *testing.T) {
	if mine, _ := hidden(t.Context(), []string{"up"}); mine {
		t.Error("a command of the user's is taken for a hidden one")
	}
	if mine, err := hidden(t.Context(), []string{nodeInitArg}); !mine || err == nil {
		t.Errorf("node-init by hand: %v, %v", mine, err)
	}
}

func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took := func(event <-chan struct{}) time.Duration {
			start := time.Now()
			if err := pause(t.Context(), event); err != nil {
				t.Error(err)
			}
			return time.Since(start)
		}
		happened := make(chan struct{})
		close(happened)
		if d := took(happened); d != askAgain {
			t.Errorf("after an event: %v", d)
		}
		if d := took(nil); d != askAtLast {
			t.Errorf("without an event: %v", d)
		}
	})
}

func TestNeeds(t *testing.T) {
	topo := load(t, "pair")
	specs, err := planAll(topo, kind.Binaries{Gatewayd: "/bin/true"})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"netns", "ipv6", "node", "nexthop", "cable"}, needs(topo, specs)); d != "" {
		t.Error(d)
	}
	line := topologies.Line(2, "veth")
	if d := cmp.Diff([]string{"netns", "ipv6"}, needs(line, make([]kind.Spec, 2))); d != "" {
		t.Error(d)
	}
}

func TestDestinations(t *testing.T) {
	nodesOf := func(topo *topologies.Topology) (all []*node) {
		for _, n := range topo.Nodes {
			all = append(all, &node{model: n})
		}
		return all
	}
	if got := destinations(nodesOf(topologies.Line(3, "veth"))); len(got) != 0 {
		t.Errorf("hosts in a row forward nothing, yet %v are followed", got)
	}
	topo := load(t, "pair")
	got := destinations(nodesOf(topo))
	for _, name := range []string{"host", "srv"} {
		for _, a := range topo.Node(name).Ports[0].Addresses {
			if !slices.Contains(got, a.Masked()) {
				t.Errorf("%s of %s is not followed: %v", a.Masked(), name, got)
			}
		}
	}
	if len(got) != 4 {
		t.Errorf("%v are followed, want the networks of host and srv", got)
	}
}

func TestHostsFile(t *testing.T) {
	got := hostsFile(topologies.Line(2, "veth"))
	want := "127.0.0.1 localhost\n::1 localhost\n198.18.0.0 n1\nfd00:18:: n1\n198.18.0.1 n2\nfd00:18::1 n2\n"
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
