package topologies

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// dump is all that was derived, as text.
func dump(t *Topology) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s: %s\n", t.Name, strings.TrimSpace(t.About))
	for _, n := range t.Nodes {
		fmt.Fprintf(&b, "\nnode %s kind=%s", n.Name, n.Kind)
		if n.Speaks() {
			fmt.Fprintf(&b, " role=%s asn=%d id=%s originate=%v feed=%d/%d bfd=%sx%d", n.Role, n.ASN, n.RouterID,
				n.Originate, n.Feed.IPv4, n.Feed.IPv6, n.BFD.Interval, n.BFD.Multiplier)
		}
		b.WriteByte('\n')
		for _, p := range n.Ports {
			fmt.Fprintf(&b, "  %-6s %d %v to %s", p.Name, p.Index, p.Addresses, p.Other().Endpoint())
			if len(p.DefaultVia) > 0 {
				fmt.Fprintf(&b, " default via %v", p.DefaultVia)
			}
			b.WriteByte('\n')
		}
		for _, s := range t.SessionsOf(n) {
			prefixes, all := t.Export(s)
			to := fmt.Sprint(prefixes)
			if all {
				to = "everything"
			}
			fmt.Fprintf(&b, "  bgp %s -> %s AS %d exports %s\n", s.LocalAddr, s.RemoteAddr, s.Remote.Node.ASN, to)
		}
	}
	fmt.Fprintf(&b, "\n%d links, %d sessions\n", len(t.Links), len(t.Sessions()))
	return b.String()
}

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

func TestLibrary(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			topo, err := Load(Library(), name)
			if err != nil {
				t.Fatal(err)
			}
			if topo.Name != name || topo.About == "" {
				t.Errorf("name %q, about %q: the name is the file's, and about is written", topo.Name, topo.About)
			}
			golden(t, name, dump(topo))
		})
	}
}
