package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gwlab/reports"
	"gwlab/reports/convergence"
)

// bad wants a command to be refused: exit code 2, nothing on the screen, each
// line of the error stream an error of its own, and nothing made.
func bad(t *testing.T, cmd *exec.Cmd, want string) {
	t.Helper()
	before := files(t, cmd.Dir)
	got := finish(t, cmd)
	if got.code != exitBadInput {
		t.Errorf("exit code %d, want %d\n%s%s", got.code, exitBadInput, got.out, got.err)
	}
	one := regexp.MustCompile(`^(gwlab: |[^ ]+:[0-9]+:[0-9]+: )[^ ].*[^.\s]$`)
	for line := range strings.Lines(got.err) {
		if !one.MatchString(strings.TrimSuffix(line, "\n")) {
			t.Errorf("line %q is not an error with its place or the program's name", line)
		}
	}
	if !strings.Contains(got.err, want) || (got.out != "" && cmd.Args[1] != "validate") {
		t.Errorf("\n got %s%s\nwant %s", got.err, got.out, want)
	}
	if after := files(t, cmd.Dir); !slices.Equal(before, after) {
		t.Errorf("files were made or removed:\nbefore %v\nafter  %v", before, after)
	}
	if left := remains(prefix); len(left) > 0 {
		t.Errorf("left behind: %v", left)
		if os.Geteuid() == 0 {
			gwlab(t, t.TempDir(), "down", prefix)
		}
	}
}

// files lists everything below a directory.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	if dir == "/" {
		return nil
	}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		all = append(all, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestBadArguments(t *testing.T) {
	long := strings.Repeat("x", 41)
	tests := []struct{ args, want string }{
		{"fly", `gwlab: unknown command "fly" for "gwlab": see 'gwlab --help'`},
		{"lst", `unknown command "lst"`},
		{"up --fly", `gwlab: unknown flag: --fly: see 'gwlab up --help'`},
		{"up extra", `unknown command "extra" for "gwlab up"`},
		{"up -t nosuch", `gwlab: unknown topology "nosuch"; known: dual-isp, dual-isp-interop, pair`},
		{"up -t dual-ips", `did you mean "dual-isp"?`},
		{"up -t ./nosuch.topo.yaml", `unknown topology "./nosuch.topo.yaml"`},
		{"up -t pair -o xml", `gwlab: unknown output "xml": use -o table or -o json`},
		{"list -o yaml", `unknown output "yaml"`},
		{"up -t pair --gateway quagga", `gwlab: unknown gateway "quagga": use gatewayd, frr, bird or the path of a gatewayd build`},
		{"up -t pair --gateway ./tiny.topo.yaml", `unknown gateway "./tiny.topo.yaml"`},
		{"up -t pair --gateway /", `unknown gateway "/"`},
		{"up -t pair --timeout 0s", `timeout 0s is out of range`},
		{"up -t pair --timeout 5", `missing unit`},
		{"up -t pair --set gw1", `gwlab: set gw1: write node.key=value, such as isp1.feed.ipv4=100000`},
		{"up -t pair --set gw9.asn=1", `gwlab: set gw9.asn=1: unknown node "gw9"`},
		{"up -t pair --set gw1.sna=1", `unknown key "sna"`},
		{"up -t pair --set gw1.bfd.interval=50", `missing unit`},
		{"up -t pair --set gw1.kind=cisco", `unknown kind "cisco"`},
		{"run", "gwlab: name the scenarios to run, or --all; `gwlab list scenarios` shows them"},
		{"run --all UPLINK-02", "name the scenarios to run, or --all"},
		{"run NOPE-01", `gwlab: unknown scenario "NOPE-01"; known: GATEWAY-0`},
		{"run UPLINK-02 NOPE-01", `unknown scenario "NOPE-01"`},
		{"run UPLINK-02 --repeat 0", `gwlab: repeat 0 is out of range: 1 … 1000`},
		{"run UPLINK-02 --repeat -3", `repeat -3 is out of range`},
		{"run UPLINK-02 --repeat 1001", `repeat 1001 is out of range`},
		{"run UPLINK-02 --repeat many", `invalid argument "many" for "--repeat" flag`},
		{"run UPLINK-02 --retry-invalid 11", `retry-invalid 11 is out of range`},
		{"run UPLINK-02 --gateway quagga", `unknown gateway "quagga"`},
		{"run UPLINK-02 --gateway gatewayd,quagga", `unknown gateway "quagga"`},
		{"run UPLINK-02 --gateway ,", `no gateway to run`},
		{"run UPLINK-02 --set gw1.asn", `write node.key=value`},
		{"run UPLINK-02 --runs tiny.topo.yaml/runs", `choose another with --runs`},
		{"run UPLINK-02 --runs /proc/runs", `choose another with --runs`},
		{"report", `requires at least 1 arg`},
		{"report nosuch", `gwlab: load run: nosuch holds no saved run: run.json is missing`},
		{"report . --format docx", `holds no saved run`},
		{"list everything", `invalid argument "everything" for "gwlab list"`},
		{"status nosuch", `gwlab: no lab nosuch is up: 'gwlab list' shows the labs, 'gwlab up' starts one`},
		{"status a/b", `lab name "a/b"`},
		{"status " + long, `use 1 to 40 letters`},
		{"exec nosuch", `requires at least 2 arg`},
		{"exec nosuch a -- true", `no lab nosuch is up`},
		{"validate", `requires at least 1 arg`},
		{"validate nosuch", "gwlab: nosuch: no such file, library topology or scenario"},
		{"validate /", "gwlab: "},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) { bad(t, command(desk(t), strings.Fields(tt.args)...), tt.want) })
	}
}

func TestBadFiles(t *testing.T) {
	topology := []struct{ name, old, new, want string }{
		{"unknown key", "name: idle", "nam: idle", `tiny.topo.yaml:4:46: unknown key "nam", did you mean "name"?`},
		{"unknown kind", "kind: host", "kind: hots", `tiny.topo.yaml:5:15: unknown kind "hots"; known: host, gateway, router, frr, bird, bridge, exec`},
		{"unknown node", `"b:a"`, `"c:a"`, `tiny.topo.yaml:7:27: endpoint "c:a": unknown node "c"`},
		{"duplicate node", "    b: {kind: host}", "    b: {kind: host}\n    b: {kind: host}", `tiny.topo.yaml:6:5: duplicate key "b"`},
		{"dangling endpoint", `"b:a"`, `"b"`, `tiny.topo.yaml:7:27: endpoint "b": write node:port`},
		{"one endpoint", `, "b:a"`, ``, `tiny.topo.yaml:7:8: a link has two endpoints, not 1`},
		{"overlapping prefixes", "b: {kind: host}", "b: {kind: exec, asn: 65002, originate: [192.0.2.128/25, 192.0.2.0/24]}\n    c: {kind: exec, asn: 65003, originate: [192.0.2.0/26]}", `prefix 192.0.2.0/26 overlaps 192.0.2.0/24 of b: choose another`},

		{"unknown port", "asn: 65001,", "asn: 65001, neighbors: {isp: {prepend: 1}},", `unknown port "isp"; known: b`},
		{"missing unit", "asn: 65001,", "asn: 65001, bfd: {interval: 50},", `missing unit: write`},
		{"not YAML", "topology:", "topology: ]", `tiny.topo.yaml:2:`},
		{"empty", tiny, "", `tiny.topo.yaml:1:1: `},
	}
	for _, tt := range topology {
		for _, verb := range [][]string{{"validate"}, {"up", "-t"}} {
			t.Run(verb[0]+" "+tt.name, func(t *testing.T) { edited(t, "tiny.topo.yaml", tiny, tt.old, tt.new, tt.want, verb...) })
		}
	}
	scenario := []struct{ name, old, new, want string }{
		{"unknown key", "about:", "abut:", `dark.scenario.yaml:2:1: unknown key "abut"`},
		{"unknown fault", "link.blackhole", "link.blackhol", `dark.scenario.yaml:8:48: unknown fault kind "link.blackhol"`},
		{"unknown node in a flow", "from: b", "from: c", `flow out: unknown node "c"`},
		{"unknown port of a fault", `link: "a:b"`, `link: "a:c"`, `dark.scenario.yaml:8:`},
		{"missing unit", "rate: 200pps", "rate: 200", `missing unit`},
		{"missing unit of time", "at: 300ms", "at: 300", `missing unit`},
		{"unknown metric", "metric: loss", "metric: los", `unknown metric "los"`},
		{"unknown phase", "  steady:   [", "  stedy:   [", `dark.scenario.yaml:12:`},
		{"unknown topology", "tiny.topo.yaml", "tinny.topo.yaml", `unknown topology "tinny.topo.yaml"`},
	}
	for _, tt := range scenario {
		for _, verb := range []string{"validate", "run"} {
			t.Run(verb+" "+tt.name, func(t *testing.T) { edited(t, "dark.scenario.yaml", darkness, tt.old, tt.new, tt.want, verb) })
		}
	}
	t.Run("several errors, several files", func(t *testing.T) {
		dir := desk(t)
		write(t, dir, "one.topo.yaml", strings.NewReplacer("kind: host", "kind: hots", "name: idle", "nam: idle").Replace(tiny))
		write(t, dir, "two.yaml", tiny)
		cmd := command(dir, "validate", "tiny.topo.yaml", "one.topo.yaml", "two.yaml")
		bad(t, cmd, "two.yaml: neither *.topo.yaml nor *.scenario.yaml: rename it")
	})
}

// edited writes a file with one thing wrong and wants it refused.
func edited(t *testing.T, file, text, old, now, want string, verb ...string) {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("nothing to change: %q", old)
	}
	dir := desk(t)
	write(t, dir, file, strings.Replace(text, old, now, 1))
	bad(t, command(dir, append(verb, file)...), want)
}

func TestNotRoot(t *testing.T) {
	nobody := func(args ...string) *exec.Cmd {
		cmd := command("/", args...)
		if os.Geteuid() == 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
		return cmd
	}
	const want = "gwlab: labs need root for namespaces and links: run it again with sudo\n"
	runs, err := os.MkdirTemp("", "gwlab-test-runs-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(runs) // the system's own directory for such things
	if err := os.Chmod(runs, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"up", "up -t pair", "down nosuch", "sweep", "run UPLINK-02 --runs " + runs + "/new"} {
		t.Run(args, func(t *testing.T) { bad(t, nobody(strings.Fields(args)...), want) })
	}
	if left := files(t, runs); len(left) != 1 {
		t.Errorf("a refused run leaves %v", left)
	}
	for _, args := range []string{"list", "list scenarios", "list topologies -o json", "validate dual-isp UPLINK-02", "doctor", "version", "up --help"} {
		if got := finish(t, nobody(strings.Fields(args)...)); got.code != 0 || got.err != "" || got.out == "" {
			t.Errorf("gwlab %s needs no root: exit code %d\n%s", args, got.code, got.err)
		}
	}
}

func TestMissingPrograms(t *testing.T) {
	needRoot(t)
	alone := filepath.Join(t.TempDir(), "gwlab")
	if out, err := exec.Command("cp", filepath.Join(built, "gwlab"), alone).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Run("gatewayd beside gwlab", func(t *testing.T) {
		for _, args := range []string{"up -t small.topo.yaml", "run UPLINK-02"} {
			cmd := command(desk(t), strings.Fields(args)...)
			cmd.Path, cmd.Args[0] = alone, alone
			bad(t, cmd, "needs gatewayd: not found: run 'make build', or name it with --gatewayd")
		}
	})
	t.Run("gatewayd as named", func(t *testing.T) {
		for _, args := range []string{"up -t small.topo.yaml --gatewayd ./nosuch", "run UPLINK-02 --gatewayd /nosuch"} {
			bad(t, command(desk(t), strings.Fields(args)...), "needs gatewayd: not found")
		}
	})
	for kind, file := range map[string]string{"bird": "/usr/sbin/bird", "frr": "/usr/lib/frr/bgpd"} {
		t.Run(kind, func(t *testing.T) {
			for _, args := range []string{"up -t small.topo.yaml --gateway " + kind, "run UPLINK-02 --gateway " + kind} {
				cmd := command(desk(t), strings.Fields(args)...)
				hide(cmd, file)
				bad(t, cmd, ": not found: apt-get install "+kind)
			}
		})
	}
}

// hide lets a command see nothing that can be run at a path: a mount
// namespace of its own has the null device there.
func hide(cmd *exec.Cmd, path string) {
	const script = `mount --make-rprivate / && { [ ! -e "$0" ] || mount --bind /dev/null "$0"; } && exec "$@"`
	cmd.Args = append([]string{"sh", "-c", script, path, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
}

func TestBadInputWithALabUp(t *testing.T) {
	name, dir := labName(t, "taken"), desk(t)
	must(t, dir, "up", "-t", "tiny.topo.yaml", "--name", name)
	defer func() { must(t, dir, "down", name) }()
	was := must(t, dir, "status", name, "-o", "json")
	tests := []struct{ args, want string }{
		{"up -t tiny.topo.yaml --name " + name, "gwlab: lab " + name + " is up already: take it down with 'gwlab down " + name + "' or choose another --name\n"},
		{"up -t small.topo.yaml --name " + name, "is up already"},
		{"up -t tiny.topo.yaml --name a/b", `lab name "a/b"`},
		{"exec " + name + " c -- true", `no node "c" in lab ` + name + ": it has a, b"},
		{"exec " + name + " a -- nosuchprogram", `"nosuchprogram"`},
		{"exec " + name + " b -- nosuchprogram", `"nosuchprogram"`},
	}
	for _, tt := range tests {
		got := gwlab(t, dir, strings.Fields(tt.args)...)
		if got.code != exitBadInput || got.out != "" || !strings.Contains(got.err, tt.want) || strings.Count(got.err, "\n") != 1 {
			t.Errorf("gwlab %s: exit code %d\n%s%s", tt.args, got.code, got.out, got.err)
		}
	}
	if now := must(t, dir, "status", name, "-o", "json"); identity(t, now) != identity(t, was) {
		t.Errorf("the lab that was up changed:\n%s\n%s", was, now)
	}
}

// identity is what of a lab's status stays while it is left alone.
func identity(t *testing.T, status string) string {
	t.Helper()
	var s struct {
		Pid   int       `json:"pid"`
		Since time.Time `json:"since"`
		Nodes []struct {
			Name      string `json:"name"`
			InitPid   int    `json:"init_pid"`
			Processes []struct {
				Name string
				Pid  int
			} `json:"processes"`
		} `json:"node_status"`
	}
	if err := json.Unmarshal([]byte(status), &s); err != nil || len(s.Nodes) == 0 {
		t.Fatalf("read status: %v\n%s", err, status)
	}
	return fmt.Sprintf("%+v", s)
}

func TestReportOfForeignOrDamagedDirectories(t *testing.T) {
	tests := []struct {
		name, file string
		change     func([]byte) []byte
	}{
		{"run.json is cut", "run.json", func(b []byte) []byte { return b[:len(b)/2] }},
		{"run.json is of another program", "run.json", func([]byte) []byte { return []byte(`{"name": "npm"}`) }},
		{"run.json is of another version", "run.json", func(b []byte) []byte {
			return regexp.MustCompile(`"schema": \d+`).ReplaceAll(b, []byte(`"schema": 999`))
		}},
		{"run.json has a damaged scenario", "run.json", func(b []byte) []byte { return []byte(strings.Replace(string(b), "DARK-01", "  - DARK", 2)) }},
		{"events.jsonl is cut", "events.jsonl", func(b []byte) []byte { return b[:len(b)-5] }},
		{"events.jsonl is gone", "events.jsonl", nil},
		{"samples.bin is cut", "samples.bin", func(b []byte) []byte { return b[:len(b)-1] }},
		{"samples.bin is gone", "samples.bin", nil},
		{"run.json is gone", "run.json", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := record(t)
			path := filepath.Join(dir, tt.file)
			text, err := os.ReadFile(path)
			if err == nil {
				if err = os.Remove(path); tt.change != nil {
					err = os.WriteFile(path, tt.change(text), 0o644)
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			bad(t, command(dir, "report", "."), "gwlab: ")
		})
	}
}

// record is the directory of a saved run of nothing.
func record(t *testing.T) string {
	t.Helper()
	dir, err := reports.SaveRun(t.TempDir(), convergence.Run{
		Schema: convergence.SchemaVersion, Scenario: "DARK-01", ScenarioText: darkness, TopologyText: tiny, Gateway: "gatewayd",
		Events: []convergence.Event{{T: 1, Source: "engine", Kind: "phase", Key: "steady"}},
		Flows:  []convergence.Flow{{Group: "out", From: "b", To: "a", Sent: []int64{1, 2, 3}, Received: []int64{4, 5, 6}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestReportOfASoundDirectory(t *testing.T) {
	dir := record(t)
	got := gwlab(t, dir, "report", ".")
	if got.err != "" || !hasVerdict(got) {
		t.Errorf("exit code %d\n%s%s", got.code, got.out, got.err)
	}
	for _, format := range formats() {
		if one := gwlab(t, dir, "report", ".", "-f", format); one.code != got.code || one.out == "" || one.err != "" {
			t.Errorf("%s: exit code %d\n%s%s", format, one.code, one.out, one.err)
		}
	}
	if one := gwlab(t, dir, "report", ".", "-f", "docx"); one.code != exitBadInput || !strings.Contains(one.err, `unknown format "docx": use one of `) {
		t.Errorf("exit code %d\n%s", one.code, one.err)
	}
}
