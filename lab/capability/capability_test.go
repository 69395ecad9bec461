package capability

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gwlab/lab/netns"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("GWLAB_REQUIRE_ROOT") == "1" {
		t.Fatal("GWLAB_REQUIRE_ROOT=1 but not root")
	}
	t.Skip("needs root: tries links in a scratch namespace")
}

func TestProbeAnswersEveryQuestionInOneLine(t *testing.T) {
	for _, c := range Probe(t.Context()) {
		t.Logf("%-12s %-5t %s", c.Name, c.OK, c.Detail)
		if c.OK == (c.Fix != "") {
			t.Errorf("%s: ok %t with fix %q", c.Name, c.OK, c.Fix)
		}
		if !c.OK && c.Detail == "" {
			t.Errorf("%s: missing without a reason", c.Name)
		}
		if strings.ContainsAny(c.Name+c.Detail+c.Fix, "\n\t") {
			t.Errorf("%s: more than one line: %q %q", c.Name, c.Detail, c.Fix)
		}
	}
}

func TestProbeFindsWhatALabStandsOn(t *testing.T) {
	needRoot(t)
	have := map[string]Capability{}
	for _, c := range Probe(t.Context()) {
		have[c.Name] = c
	}
	for _, name := range []string{"root", "netns", "node", "veth", "bridge", "nexthop", "cable"} {
		if !have[name].OK {
			t.Errorf("%s: %s", name, have[name].Detail)
		}
	}
}

func TestProbeLeavesNothingBehind(t *testing.T) {
	needRoot(t)
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	Probe(t.Context())
	after, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	if len(after) != len(links) {
		t.Errorf("links before %v, after %v", links, after)
	}
	names, err := netns.List("gwt-capability-")
	if err != nil || len(names) != 0 {
		t.Errorf("namespaces %v, %v", names, err)
	}
}

func TestProbeEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range Probe(ctx) {
		if c.OK {
			t.Errorf("%s was tried after the end", c.Name)
		}
	}
}

func TestRequireNamesWhatIsMissingAndHowToGetIt(t *testing.T) {
	if err := Require(); err != nil {
		t.Errorf("nothing required: %v", err)
	}
	err := Require("warp-drive")
	if err == nil || !strings.Contains(err.Error(), `"warp-drive" is not known`) || !strings.Contains(err.Error(), "netem") {
		t.Errorf("unknown: %v", err)
	}
	for _, c := range Probe(t.Context()) {
		err := Require(c.Name)
		if (err == nil) != c.OK {
			t.Errorf("Require(%s) = %v, Probe said %+v", c.Name, err, c)
		}
		if err != nil && (!strings.Contains(err.Error(), c.Name) || !strings.Contains(err.Error(), c.Fix) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("Require(%s): %v", c.Name, err)
		}
	}
}

func TestNamesAreUniqueAndEachHasAFix(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range checks() {
		if seen[c.name] || c.fix == "" {
			t.Errorf("%q: twice, or without a fix", c.name)
		}
		seen[c.name] = true
	}
}

func TestAFailedTryIsReportedWithItsReason(t *testing.T) {
	c := check{name: "x", bare: true, fix: "buy one", try: func(context.Context) (string, error) {
		return "", errors.New("no\n such thing")
	}}
	if got, want := c.run(t.Context()), (Capability{Name: "x", Detail: "no such thing", Fix: "buy one"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestWhatIsOnlyForbiddenNeedsRoot(t *testing.T) {
	forbidden := func(context.Context) (string, error) { return "", fmt.Errorf("unshare: %w", unix.EPERM) }
	for fix, want := range map[string]string{
		"modprobe veth": asRoot, asRoot + "; in a container: --privileged": asRoot + "; in a container: --privileged",
	} {
		if got := (check{name: "x", bare: true, fix: fix, try: forbidden}).run(t.Context()); got.Fix != want {
			t.Errorf("%q became %q, want %q", fix, got.Fix, want)
		}
	}
}

func TestVersionOfAProgramThatIsNotThere(t *testing.T) {
	if _, err := version(t.Context(), "-V", "/no/such/program", "no-such-program"); err == nil {
		t.Error("found")
	}
	if line, err := version(t.Context(), "one", "/no/such/program", "echo"); err != nil || line != "one" {
		t.Errorf("%q, %v", line, err)
	}
}
