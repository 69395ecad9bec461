package main

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gwlab/gateway"
	"gwlab/gateway/bfd"
	"gwlab/gateway/bgp"
	"gwlab/gateway/config"
)

// TestMain lets the test binary be gatewayd itself, so that the tests run the
// real program as a process.
func TestMain(m *testing.M) {
	if status, worker := gateway.Worker(); worker {
		os.Exit(status)
	}
	if os.Getenv("GATEWAYD_TEST_MAIN") == "1" {
		main()
	}
	os.Exit(m.Run())
}

func execution(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	code = execute(t.Context(), args, &o, &e)
	return code, o.String(), e.String()
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	good := write(t, dir, "good.yaml", "asn: 64500\nrouter-id: 198.51.100.1\n")
	if code, out, errOut := execution(t, "check", "--config", good); code != 0 || out != good+": ok, AS 64500 with 0 neighbors\n" || errOut != "" {
		t.Errorf("good: %d %q %q", code, out, errOut)
	}
	bad := write(t, dir, "bad.yaml", "asn: 64500\nrouter-id: x\ndrain: 3\n")
	code, out, errOut := execution(t, "check", "-c", bad)
	want := bad + `:2:12: expected an IP address like 192.0.2.1 or 2001:db8::1, got the text "x"` + "\n" +
		bad + ":3:8: missing unit: write 3s or 300ms\n"
	if diff := cmp.Diff(want, errOut); diff != "" || code != 2 || out != "" {
		t.Errorf("bad: %d %q %s", code, out, diff)
	}
	if code, _, errOut := execution(t, "run", "-c", bad); code != 2 || errOut != want {
		t.Errorf("run with a bad configuration: %d %q", code, errOut)
	}
	for _, verb := range []string{"check", "run"} {
		code, _, errOut := execution(t, verb, "-c", dir+"/none.yaml")
		if code != 2 || !strings.Contains(errOut, "name one with --config") || strings.Count(errOut, "\n") != 1 {
			t.Errorf("%s without a file: %d %q", verb, code, errOut)
		}
	}
}

func TestBadCommandLines(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"rum"}, `unknown command "rum"`},
		{[]string{"check", "extra"}, `unknown command "extra"`},
		{[]string{"status", "--sock", "x"}, "unknown flag: --sock"},
		{[]string{"status", "-o", "xml"}, `unknown output "xml": use -o table or -o json`},
		{[]string{"status", "-s", "/nonexistent/s"}, "no gatewayd answers on /nonexistent/s: start it, or name its socket with --socket"},
		{[]string{"events", "-s", "/nonexistent/s"}, "no gatewayd answers on /nonexistent/s: start it, or name its socket with --socket"},
	} {
		code, out, errOut := execution(t, c.args...)
		if code != 2 || out != "" || !strings.HasPrefix(errOut, "gatewayd: ") || !strings.Contains(errOut, c.want) {
			t.Errorf("%v: %d %q %q", c.args, code, out, errOut)
		}
	}
}

func TestHelpHasOneExampleEach(t *testing.T) {
	for _, verb := range []string{"run", "check", "status", "events", "version"} {
		code, out, _ := execution(t, verb, "--help")
		if code != 0 || !strings.Contains(out, "Examples:\n  gatewayd "+verb) {
			t.Errorf("%s --help: %d\n%s", verb, code, out)
		}
	}
}

func TestVersion(t *testing.T) {
	code, out, _ := execution(t, "version")
	if code != 0 || !regexp.MustCompile(`^gatewayd \S+\n$`).MatchString(out) {
		t.Errorf("%d %q", code, out)
	}
}

func TestStatusTable(t *testing.T) {
	addr := netip.MustParseAddr
	s := gateway.Status{
		Version: "v1", PID: 7, Start: 1e9, Now: 62e9, ASN: 64500, RouterID: addr("198.51.100.1"),
		Pending: []string{"bgp isp2: Active"}, ConfigError: "c.yaml:1:1: x",
		Peers: []bgp.PeerStatus{
			{Name: "isp1", Address: addr("192.0.2.1"), ASN: 64511, State: "Established", Since: 2e9, Received: 1000, Advertised: 2},
			{Name: "isp2-v6", Address: addr("2001:db8::1"), ASN: 64512, State: "Active", LastReason: "BFD down"},
		},
		BFD: []bfd.Status{{
			Key: bfd.Key{Interface: "up1", Peer: addr("192.0.2.1")}, State: "up", RemoteState: "up",
			TxInterval: 50 * time.Millisecond, DetectTime: 150 * time.Millisecond, Transitions: 2, Diag: "none",
		}},
		FIB: gateway.FIBStatus{Programmed: true, Routes: 1000, Repairs: 2, LastRepair: 40 * time.Microsecond},
	}
	var out bytes.Buffer
	if err := writeStatus(&out, s); err != nil {
		t.Fatal(err)
	}
	want := `gatewayd v1, pid 7, AS 64500, router-id 198.51.100.1, up 1m1s: not ready
  bgp isp2: Active
  last reload rejected: c.yaml:1:1: x
  bfd: without real time (CAP_SYS_NICE): a busy machine may miss packets

PEER     ADDRESS      AS     STATE        FOR   RECEIVED  ADVERTISED  LAST REASON
isp1     192.0.2.1    64511  Established  1m0s  1000      2           
isp2-v6  2001:db8::1  64512  Active       -     0         0           BFD down

BFD        INTERFACE  STATE  REMOTE  SEND  DETECT  CHANGES  DIAGNOSTIC
192.0.2.1  up1        up     up      50ms  150ms   2        none

FIB: 1000 routes programmed; 2 repairs, the last in 40µs; 0 mended by audits
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestCommandFilesAreShort(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(src, []byte("\n")); n >= 100 && !strings.HasSuffix(f, "_test.go") {
			t.Errorf("%s has %d lines: a command stays under 100", f, n)
		}
	}
}

// TestDocumentedYAML parses what docs/gatewayd.md shows.
func TestDocumentedYAML(t *testing.T) {
	page, err := os.ReadFile("../../docs/gatewayd.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) == 0 {
		t.Fatal("no YAML in the page")
	}
	for _, b := range blocks {
		if _, err := config.Parse("gatewayd.md", []byte(b[1])); err != nil {
			t.Error(err)
		}
	}
}

// TestUnit holds the systemd unit to what the daemon needs and to the flags it has.
func TestUnit(t *testing.T) {
	src, err := os.ReadFile("../../packaging/gatewayd.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := string(src)
	capabilities := "CAP_NET_ADMIN CAP_NET_RAW CAP_SYS_NICE CAP_NET_BIND_SERVICE"
	for _, want := range []string{
		"CapabilityBoundingSet=" + capabilities, "AmbientCapabilities=" + capabilities,
		"LimitRTPRIO=90", "Restart=always", "RuntimeDirectory=gatewayd", "StateDirectory=gatewayd",
		"ExecReload=/bin/kill -HUP $MAINPID", "WantedBy=multi-user.target",
	} {
		if !strings.Contains(unit, want+"\n") {
			t.Errorf("no line %s", want)
		}
	}
	commands := regexp.MustCompile(`(?m)^ExecStart(?:Pre)?=/usr/sbin/gatewayd (.*)$`).FindAllStringSubmatch(unit, -1)
	if len(commands) != 2 {
		t.Fatalf("commands: %v", commands)
	}
	for _, c := range commands {
		args := strings.Fields(c[1])
		if args[len(args)-1] != defaultConfig {
			t.Errorf("%v does not use %s", args, defaultConfig)
		}
		if code, _, errOut := execution(t, append(args, "--help")...); code != 0 {
			t.Errorf("%v: %s", args, errOut)
		}
	}
}
