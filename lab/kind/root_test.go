package kind

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gwlab/topologies"
)

// bench is a topology brought up by hand: namespaces, bare veths, and each
// node's files under a directory that its processes see as /run.
type bench struct {
	t    *testing.T
	topo *topologies.Topology
	dir  string
}

func TestMain(m *testing.M) {
	code := m.Run()
	if out, err := exec.Command("ip", "netns", "list").Output(); err == nil && strings.Contains(string(out), fmt.Sprintf("gwt-kind-%d-", os.Getpid())) {
		fmt.Fprintf(os.Stderr, "namespaces are left behind:\n%s", out)
		code = 1
	}
	os.Exit(code)
}

func requireRoot(t *testing.T, programs ...string) {
	t.Helper()
	reason := ""
	if os.Geteuid() != 0 {
		reason = "needs root"
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			reason = p + " is not installed"
		}
	}
	switch {
	case reason == "":
	case os.Getenv("GWLAB_REQUIRE_ROOT") == "1":
		t.Fatal(reason)
	default:
		t.Skip(reason)
	}
}

func (b *bench) ns(node string) string { return fmt.Sprintf("gwt-kind-%d-%s", os.Getpid(), node) }

func (b *bench) ip(args ...string) string {
	b.t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		b.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// up builds the topology and starts every node's processes.
func up(t *testing.T, topo *topologies.Topology) (*bench, map[string]Spec) {
	dir, err := os.MkdirTemp("", "gwt-kind-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	b := &bench{t, topo, dir}
	specs := map[string]Spec{}
	for _, n := range topo.Nodes {
		specs[n.Name] = plan(t, topo, n.Name)
		b.ip("netns", "add", b.ns(n.Name))
		t.Cleanup(func() { b.ip("netns", "del", b.ns(n.Name)) })
		b.ip("-n", b.ns(n.Name), "link", "set", "lo", "up")
		for _, s := range specs[n.Name].Sysctls {
			b.ip("netns", "exec", b.ns(n.Name), "sysctl", "-qw", s.Key+"="+s.Value)
		}
	}
	for _, l := range topo.Links {
		b.ip("link", "add", l.A.Name, "index", strconv.Itoa(l.A.Index), "netns", b.ns(l.A.Node.Name), "type", "veth",
			"peer", "name", l.B.Name, "index", strconv.Itoa(l.B.Index), "netns", b.ns(l.B.Node.Name))
		for _, p := range []*topologies.Port{l.A, l.B} {
			for _, a := range p.Addresses {
				b.ip("-n", b.ns(p.Node.Name), "addr", "add", a.String(), "dev", p.Name)
			}
			b.ip("-n", b.ns(p.Node.Name), "link", "set", p.Name, "up")
		}
	}
	for _, n := range topo.Nodes {
		b.start(n, specs[n.Name])
	}
	return b, specs
}

func (b *bench) path(node, inside string) string { return filepath.Join(b.dir, node, inside) }

// start writes a node's files, adds its routes and runs its processes.
func (b *bench) start(n *topologies.Node, s Spec) {
	b.t.Helper()
	if err := os.MkdirAll(b.path(n.Name, "/run"), 0o755); err != nil {
		b.t.Fatal(err)
	}
	for _, f := range s.Files {
		b.write(b.path(n.Name, f.Path), f)
	}
	for _, r := range s.StaticRoutes {
		args := []string{"-n", b.ns(n.Name), "route", "add", r.Prefix.String()}
		for _, via := range r.Via {
			args = append(args, "nexthop", "via", via.Addr.String(), "dev", via.Port)
		}
		b.ip(args...)
	}
	for _, p := range s.Processes {
		b.run(n.Name, p)
	}
}

func (b *bench) write(path string, f File) {
	b.t.Helper()
	var err error
	if f.Mode&fs.ModeDir != 0 {
		err = os.Mkdir(path, f.Mode.Perm())
	} else {
		err = os.WriteFile(path, f.Content, f.Mode.Perm())
	}
	if err == nil && f.Owner != "" {
		name, _, _ := strings.Cut(f.Owner, ":")
		var u *user.User
		if u, err = user.Lookup(name); err == nil {
			uid, _ := strconv.Atoi(u.Uid)
			gid, _ := strconv.Atoi(u.Gid)
			err = os.Chown(path, uid, gid)
		}
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// command runs in the node's network, with its /run.
func (b *bench) command(ctx context.Context, node string, argv ...string) *exec.Cmd {
	inside := append([]string{"netns", "exec", b.ns(node), "sh", "-c", `mount --bind "$0" /run && exec "$@"`, b.path(node, "/run")}, argv...)
	return exec.CommandContext(ctx, "ip", inside...)
}

func (b *bench) run(node string, p Process) {
	b.t.Helper()
	var log bytes.Buffer
	cmd := b.command(context.Background(), node, p.Argv...)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		cmd.Process.Kill() // gone already is as good
		cmd.Wait()         // killed
		if b.t.Failed() {
			b.t.Logf("%s %s: %s", node, p.Name, &log)
		}
	})
	for p.Socket != "" {
		if _, err := os.Stat(b.path(node, p.Socket)); err == nil {
			return
		}
		if err := cmd.Process.Signal(syscall.Signal(0)); err != nil || b.t.Context().Err() != nil {
			b.t.Fatalf("%s of %s did not make %s: %v", p.Name, node, p.Socket, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (b *bench) access(node string) Access {
	return Access{
		Run: func(ctx context.Context, argv ...string) ([]byte, error) {
			return b.command(ctx, node, argv...).Output()
		},
		Dial: func(ctx context.Context, socket string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", b.path(node, socket))
		},
	}
}

// await asks until nothing is pending anywhere.
func (b *bench) await(specs map[string]Spec) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 30*time.Second)
	defer cancel()
	for _, n := range b.topo.Nodes {
		if specs[n.Name].Ready == nil {
			continue
		}
		for last := []string(nil); ; {
			pending, err := specs[n.Name].Ready(ctx, b.access(n.Name))
			if err == nil && len(pending) == 0 {
				break
			}
			if ctx.Err() != nil {
				b.t.Fatalf("%s is not ready: pending %v, error %v", n.Name, last, err)
			}
			last = pending
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// eventually asks until the answer has a text.
func (b *bench) eventually(want string, ask func() string) {
	b.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	got := ask()
	for ; !strings.Contains(got, want) && time.Now().Before(deadline); got = ask() {
		time.Sleep(50 * time.Millisecond)
	}
	if !strings.Contains(got, want) {
		b.t.Errorf("want %q, got:\n%s", want, got)
	}
}

func (b *bench) route(node, family, prefix string) func() string {
	return func() string { return b.ip("-n", b.ns(node), "-"+family[len(family)-1:], "route", "show", prefix) }
}

// TestFRRAndBIRDMeet brings the real daemons up with the generated files:
// eBGP and iBGP, each pairing of the two, both families, MD5, GTSM and BFD.
func TestFRRAndBIRDMeet(t *testing.T) {
	b0 := DefaultBinaries()
	requireRoot(t, "ip", "nft", "sysctl", b0.Zebra, b0.Bgpd, b0.Bfdd, b0.Vtysh, b0.Bird, b0.Birdc)
	topo := parse(t, `
  defaults: {bgp: {hold-time: 90s}}
  nodes:
    gwf: {kind: frr, role: gateway, bgp: {password: s3cret}}
    gwb: {kind: bird, role: gateway}
    gwf2: {kind: frr, role: gateway, bgp: {ttl-security: true}}
    isp1: {kind: bird, role: isp, feed: {ipv4: 20, ipv6: 10}}
    isp2: {kind: frr, role: isp, feed: {ipv4: 20, ipv6: 10}}
    tor: {kind: bird, role: tor, originate: [203.0.113.0/24, "2001:db8:100::/48"]}
    tor2: {kind: bird, role: tor, bgp: {ttl-security: true}, originate: [198.51.100.0/24]}
    host: {kind: host}
  links:
    - endpoints: ["gwf:isp1", "isp1:gwf"]
    - endpoints: ["gwf:isp2", "isp2:gwf"]
    - endpoints: ["gwb:isp1", "isp1:gwb"]
    - endpoints: ["gwb:isp2", "isp2:gwb"]
    - endpoints: ["gwf:gwb", "gwb:gwf"]
    - endpoints: ["gwf:gwf2", "gwf2:gwf"]
    - endpoints: ["gwf:tor", "tor:gwf"]
    - endpoints: ["gwb:tor", "tor:gwb"]
    - endpoints: ["gwb:tor2", "tor2:gwb"]
    - endpoints: ["tor:host", "host:tor"]
`)
	b, specs := up(t, topo)
	start := time.Now()
	b.await(specs)
	t.Logf("every session is up %v after the last process started", time.Since(start).Round(10*time.Millisecond))

	for _, node := range []string{"gwf", "gwb"} {
		for _, prefix := range []string{"100.64.0.0/27", "default"} {
			b.eventually("dev isp1 weight 1", b.route(node, "ipv4", prefix))
			b.eventually("dev isp2 weight 1", b.route(node, "ipv4", prefix))
		}
		b.eventually("dev isp1", b.route(node, "ipv6", "fd00:feed:0:9::/64"))
		b.eventually("dev isp2", b.route(node, "ipv6", "fd00:feed:0:9::/64"))
	}
	b.eventually("dev gwf", b.route("gwf2", "ipv4", "100.64.0.0/27")) // by iBGP, next hop self
	for _, isp := range []string{"isp1", "isp2"} {
		b.eventually("dev gwb weight 1", b.route(isp, "ipv4", "203.0.113.0/24"))
		b.eventually("dev gwf weight 1", b.route(isp, "ipv4", "203.0.113.0/24"))
		// A site is no transit: what one ISP says does not reach the other.
		if got := b.ip("-n", b.ns(isp), "route", "show", "root", "100.64.0.0/10"); strings.Contains(got, "100.64.") {
			t.Errorf("%s has routes of the other:\n%s", isp, got)
		}
	}
	b.eventually("dev gwb weight 1", b.route("tor", "ipv4", "default"))
	if got := b.ip("-n", b.ns("tor"), "route", "show", "root", "100.64.0.0/10"); got != "" {
		t.Errorf("the rack has more than the default route:\n%s", got)
	}
	b.silence()
}

// silence is tried with graceful restart negotiated and the hold timer far
// away: BFD alone takes the path out, for FRR and for BIRD.
func (b *bench) silence() {
	b.t.Helper()
	for _, p := range []topologies.Endpoint{"gwf:isp1", "isp1:gwf"} {
		b.deafen(b.topo.Port(p))
	}
	b.without("dev isp1", b.route("gwf", "ipv4", "default"))
	b.without("dev isp1", b.route("gwf", "ipv6", "default"))
	b.without("dev gwf", b.route("isp1", "ipv4", "203.0.113.0/24"))
	b.without("dev gwf", b.route("isp1", "ipv6", "2001:db8:100::/48"))
}

// deafen drops all that a port receives.
func (b *bench) deafen(p *topologies.Port) {
	b.t.Helper()
	rules := fmt.Sprintf("table netdev deaf { chain in { type filter hook ingress device %q priority 0; drop; }; }", p.Name)
	cmd := exec.Command("ip", "netns", "exec", b.ns(p.Node.Name), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("deafen %s: %v: %s", p.Endpoint(), err, out)
	}
}

// without asks until the answer lacks a text.
func (b *bench) without(text string, ask func() string) {
	b.t.Helper()
	start := time.Now()
	for strings.Contains(ask(), text) {
		if time.Since(start) > 10*time.Second {
			b.t.Errorf("still there, %q in:\n%s", text, ask())
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	b.t.Logf("%s is gone %v after it was asked for", text, time.Since(start).Round(time.Millisecond))
}
