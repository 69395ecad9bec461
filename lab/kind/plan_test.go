package kind

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gwlab/topologies"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", file, diff)
	}
}

// load reads a library topology.
func load(t *testing.T, name string, opts ...topologies.Option) *topologies.Topology {
	t.Helper()
	topo, err := topologies.Load(topologies.Library(), name, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

// parse reads the nodes and links of a topology called t.
func parse(t *testing.T, body string) *topologies.Topology {
	t.Helper()
	topo, err := topologies.Parse("t", []byte("name: t\ntopology:\n"+body))
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

func plan(t *testing.T, topo *topologies.Topology, node string) Spec {
	t.Helper()
	s, err := Plan(topo, topo.Node(node), DefaultBinaries())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// dump is a Spec as text.
func dump(s Spec) string {
	var b bytes.Buffer
	for _, c := range s.Sysctls {
		fmt.Fprintf(&b, "sysctl %s=%s\n", c.Key, c.Value)
	}
	if s.Bridge {
		fmt.Fprintln(&b, "bridge")
	}
	for _, r := range s.StaticRoutes {
		fmt.Fprintf(&b, "route %s via %v\n", r.Prefix, r.Via)
	}
	for _, p := range s.Processes {
		fmt.Fprintf(&b, "process %s: %s env=%v restart=%v socket=%s\n", p.Name, strings.Join(p.Argv, " "), p.Env, p.Restart, p.Socket)
	}
	for _, n := range s.Needs {
		fmt.Fprintf(&b, "needs %s at %s\n", n.Name, n.Path)
	}
	fmt.Fprintf(&b, "daemon=%q events=%q\n", s.Daemon, s.EventSocket)
	for _, f := range s.Files {
		fmt.Fprintf(&b, "-- %s %s %s --\n%s", f.Path, f.Mode, f.Owner, f.Content)
	}
	return b.String()
}

func TestKindsAreThoseOfTopologies(t *testing.T) {
	var names []string
	for _, k := range Kinds() {
		names = append(names, k.Name)
		if k.Doc == "" || slices.Index(names, k.Name) != len(names)-1 {
			t.Errorf("kind %q: no doc, or named twice", k.Name)
		}
	}
	if diff := cmp.Diff(topologies.Kinds(), names); diff != "" {
		t.Error(diff)
	}
}

// everyKnob has each setting a configuration can carry.
const everyKnob = `
  nodes:
    a:
      kind: %s
      role: gateway
      originate: [203.0.113.0/24]
      feed: {ipv4: 3, ipv6: 2}
      bfd: {interval: 100ms, multiplier: 5}
      bgp: {hold-time: 30s, graceful-restart: false, multipath: 4, password: "s3cret", ttl-security: true}
      neighbors:
        b: {local-pref: 200, prepend: 2, import: [192.0.2.0/24, "2001:db8::/32"], export: [203.0.113.0/24], max-prefixes: 50}
      env: {LANG: C}
      processes: [{name: beside, command: [sleep, "1"], restart: always}]
    b: {kind: frr, role: isp, bfd: off}
    c: {kind: frr, role: gateway, bgp: {password: "s3cret"}}
  links:
    - endpoints: ["a:b", "b:a"]
    - endpoints: ["a:c", "c:a"]
`

func TestPlanGolden(t *testing.T) {
	pair := load(t, "pair")
	interop := load(t, "dual-isp-interop", topologies.Set("isp1.feed.ipv4=2"), topologies.Set("isp1.feed.ipv6=1"),
		topologies.Set("isp2.feed.ipv4=2"), topologies.Set("isp2.feed.ipv6=1"))
	for name, s := range map[string]Spec{
		"host":         plan(t, pair, "host"),
		"gateway":      plan(t, pair, "gw1"),
		"router":       plan(t, pair, "isp"),
		"frr":          plan(t, interop, "isp1"),
		"bird":         plan(t, interop, "isp2"),
		"gateway-frr":  plan(t, load(t, "pair", topologies.Gateway("frr")), "gw1"),
		"gateway-bird": plan(t, load(t, "pair", topologies.Gateway("bird")), "gw1"),
		"knobs-frr":    plan(t, parse(t, fmt.Sprintf(everyKnob, "frr")), "a"),
		"knobs-bird":   plan(t, parse(t, fmt.Sprintf(everyKnob, "bird")), "a"),
		"knobs":        plan(t, parse(t, fmt.Sprintf(everyKnob, "router")), "a"),
	} {
		golden(t, name, dump(s))
	}
}

func TestPlanOfNodesThatDoNotRoute(t *testing.T) {
	topo := parse(t, `
  nodes:
    r1: {kind: gateway}
    r2: {kind: gateway}
    sw: {kind: bridge}
    h: {kind: host}
    e: {kind: exec, processes: [{name: www, command: [httpd, -f], restart: always}], env: {PORT: "80"}}
    s: {kind: exec, asn: 65500, processes: [{name: speaker, command: [gobgpd]}]}
  links:
    - endpoints: ["r1:sw", "sw:r1"]
    - endpoints: ["h:eth0", "sw:h"]
    - endpoints: ["h:eth1", "r2:h"]
    - endpoints: ["e:eth0", "sw:e"]
    - endpoints: ["s:r1", "r1:s"]
`)
	for _, node := range []string{"sw", "h", "e", "s"} {
		golden(t, "node-"+node, dump(plan(t, topo, node)))
	}
}

func TestPlanRefusesAProcessOfTheKindsName(t *testing.T) {
	topo := parse(t, "  nodes: {a: {kind: frr, asn: 1, processes: [{name: bgpd, command: [x]}]}}\n")
	_, err := Plan(topo, topo.Node("a"), DefaultBinaries())
	if want := `plan node a: process "bgpd" is the name of the kind's own: choose another`; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestPlanRefusesWhatFRRCannot(t *testing.T) {
	topo := parse(t, `
  nodes:
    a: {kind: frr, asn: 65001}
    b: {kind: bird, asn: 65002, bgp: {ttl-security: true}}
  links: [{endpoints: ["a:b", "b:a"]}]
`)
	_, err := Plan(topo, topo.Node("a"), DefaultBinaries())
	if want := "plan node a: neighbor b/ipv4: with ttl-security FRR speaks multihop BFD (RFC 5883)"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v", err)
	}
	if _, err := Plan(topo, topo.Node("b"), DefaultBinaries()); err != nil {
		t.Error(err)
	}
}

func TestMissingProgram(t *testing.T) {
	b := DefaultBinaries()
	b.Bird = "/nonexistent/bird"
	topo := parse(t, "  nodes: {a: {kind: bird, asn: 1}}\n")
	s, err := Plan(topo, topo.Node("a"), b)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(); err == nil || !strings.Contains(err.Error(), "bird: not found: apt-get install bird2") {
		t.Errorf("got %v", err)
	}
}

// everyTopology is each shipped topology with each implementation as gateway
// and, for the odd corners, one with every knob.
func everyTopology(t *testing.T) map[string]*topologies.Topology {
	all := map[string]*topologies.Topology{}
	for _, name := range topologies.Names() {
		for _, as := range []string{"gateway", "frr", "bird"} {
			all[name+" with "+as] = load(t, name, topologies.Gateway(as))
		}
	}
	for _, as := range []string{"router", "frr", "bird"} {
		all["every knob as "+as] = parse(t, fmt.Sprintf(everyKnob, as))
	}
	return all
}

// TestEveryNodePlans also feeds what is rendered for FRR and BIRD to their
// own checkers.
func TestEveryNodePlans(t *testing.T) {
	for name, topo := range everyTopology(t) {
		t.Run(name, func(t *testing.T) {
			for _, n := range topo.Nodes {
				s, err := Plan(topo, n, DefaultBinaries())
				if err != nil {
					t.Error(err)
					continue
				}
				for _, f := range s.Files {
					if !strings.HasPrefix(f.Path, "/run/") {
						t.Errorf("%s writes %s outside its /run", n.Name, f.Path)
					}
					checkFile(t, n.Name, f)
				}
			}
		})
	}
}

// checkFile runs a configuration through its daemon's parser.
func checkFile(t *testing.T, node string, f File) {
	t.Helper()
	b := DefaultBinaries()
	dir, err := os.MkdirTemp("", "gwt-kind-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { // FRR reads as its own user
		t.Fatal(err)
	}
	file := filepath.Join(dir, filepath.Base(f.Path))
	var argv []string
	switch filepath.Base(f.Path) {
	case "bgpd.conf":
		argv = []string{b.Bgpd, "-C", "-f", file}
	case "bfdd.conf":
		argv = []string{b.Bfdd, "-C", "-f", file}
	case "zebra.conf":
		argv = []string{b.Zebra, "-C", "-f", file}
	case "bird.conf":
		argv = []string{b.Bird, "-p", "-c", file}
	default:
		return
	}
	if os.Geteuid() != 0 {
		return // FRR's daemons change to their own user before they read
	}
	if (Need{Name: argv[0], Path: argv[0]}).Check() != nil {
		if os.Getenv("GWLAB_REQUIRE_ROOT") == "1" {
			t.Fatalf("%s is not installed", argv[0])
		}
		t.Skipf("%s is not installed", argv[0])
	}
	if err := os.WriteFile(file, f.Content, 0o644); err != nil {
		t.Fatal(err)
	}
	// A /var/tmp of its own: FRR's daemons leave a folder each there.
	private := []string{"-m", "sh", "-c", `mount -t tmpfs tmpfs /var/tmp && exec "$0" "$@"`}
	out, err := exec.Command("unshare", append(private, argv...)...).CombinedOutput()
	complaints := slices.DeleteFunc(strings.Split(string(out), "\n"), func(line string) bool {
		return line == "" || strings.Contains(line, "no kernel support") || // zebra, of MPLS
			strings.HasPrefix(line, "Graceful restart configuration changed")
	})
	if err != nil || len(complaints) > 0 {
		t.Errorf("%s: %v: %v\n%s", node, argv, err, out)
	}
}

func TestOnlyGatewaysRunTheBuildUnderTest(t *testing.T) {
	topo := load(t, "dual-isp")
	for _, under := range []string{"", "/opt/new/gatewayd"} {
		for _, n := range topo.Nodes {
			s, err := Plan(topo, n, Binaries{Gatewayd: "/usr/bin/gatewayd", UnderTest: under})
			if err != nil {
				t.Fatal(err)
			}
			if s.Daemon != "gatewayd" {
				continue
			}
			want := "/usr/bin/gatewayd"
			if n.Kind == "gateway" && under != "" {
				want = under
			}
			if s.Processes[0].Argv[0] != want || s.Needs[0].Path != want {
				t.Errorf("%s (%s) with build %q runs %s, needs %s; want %s",
					n.Name, n.Kind, under, s.Processes[0].Argv[0], s.Needs[0].Path, want)
			}
		}
	}
}
