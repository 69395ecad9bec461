package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gwlab/topologies"
)

// BenchmarkLine compares a line of 200 hosts, up and down, with what one
// ip-batch(8) run needs for the same namespaces and bare pairs alone: it
// cannot set addresses and flags in them in one run.
func BenchmarkLine(b *testing.B) {
	needRoot(b)
	const nodes = 200
	for i := range b.N {
		for _, linkType := range []string{"veth", "cable"} {
			batch := ipBatch(b, topologies.Line(nodes, "veth"))
			name := labName(b, fmt.Sprintf("bench-%s-%d", linkType, i))
			start := time.Now()
			l, err := Up(b.Context(), UpOptions{Topology: topologies.Line(nodes, linkType), Name: name, WaitReady: true}, nil)
			if err != nil {
				b.Fatal(err)
			}
			up := time.Since(start)
			start = time.Now()
			if err := l.Down(b.Context()); err != nil {
				b.Fatal(err)
			}
			down := time.Since(start)
			b.ReportMetric(up.Seconds()/batch.Seconds(), linkType+"-up/ip-batch")
			b.ReportMetric(float64(up.Milliseconds()), linkType+"-up-ms")
			b.ReportMetric(float64(down.Milliseconds()), linkType+"-down-ms")
			b.ReportMetric(float64(batch.Milliseconds()), "ip-batch-ms")
		}
	}
}

// ipBatch makes namespaces and pairs of the topology with ip-batch(8), takes
// the time, and removes them.
func ipBatch(b *testing.B, t *topologies.Topology) time.Duration {
	b.Helper()
	prefix := fmt.Sprintf("gwt-lab-%d-ip-", os.Getpid())
	var add, del strings.Builder
	for _, n := range t.Nodes {
		fmt.Fprintf(&add, "netns add %s%s\n", prefix, n.Name)
		fmt.Fprintf(&del, "netns del %s%s\n", prefix, n.Name)
	}
	for _, l := range t.Links {
		fmt.Fprintf(&add, "link add %s index %d netns %s%s type veth peer name %s index %d netns %s%s\n",
			l.A.Name, l.A.Index, prefix, l.A.Node.Name, l.B.Name, l.B.Index, prefix, l.B.Node.Name)
	}
	file := filepath.Join(b.TempDir(), "batch")
	run := func(text string, args ...string) time.Duration {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		if out, err := exec.Command("ip", append(args, "-batch", file)...).CombinedOutput(); err != nil {
			b.Fatalf("ip -batch: %v\n%s", err, out)
		}
		return time.Since(start)
	}
	took := run(add.String())
	run(del.String())
	return took
}
