package lab

import (
	"os"
	"testing"
	"time"

	"gwlab/lab/kind"
	"gwlab/topologies"
)

// TestSessionsOfEveryDaemon has two daemons that are not gatewayd tell of the
// sessions between them.
func TestSessionsOfEveryDaemon(t *testing.T) {
	name := labName(t, "sessions")
	topo, err := topologies.Parse("t", []byte(`name: t
topology:
  nodes:
    a: {kind: bird, asn: 65001, originate: [203.0.113.0/24, "2001:db8:a::/48"]}
    b: {kind: frr, asn: 65002, originate: [198.51.100.0/24, "2001:db8:b::/48"]}
  links: [{endpoints: ["a:b", "b:a"]}]
`))
	if err != nil {
		t.Fatal(err)
	}
	b := kind.DefaultBinaries()
	if _, err := planAll(topo, b); err != nil && os.Getenv("GWLAB_REQUIRE_ROOT") != "1" {
		t.Skip(err)
	}
	l, err := Up(t.Context(), UpOptions{Topology: topo, Name: name, Binaries: b, WaitReady: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var s Status
	within(t, 5*time.Second, "both have received what the other originates", func() bool {
		s, err = l.Status(t.Context())
		return err == nil && received(s.NodeStatus[0]) > 0 && received(s.NodeStatus[1]) > 0
	})
	for _, n := range s.NodeStatus {
		if len(n.Sessions) != 4 { // BGP and BFD, of two families
			t.Errorf("%s has sessions %+v", n.Name, n.Sessions)
		}
		for _, session := range n.Sessions {
			if !session.Up || session.Peer == "" || session.Name == "" {
				t.Errorf("%s: session %+v", n.Name, session)
			}
		}
	}
}

func received(n NodeStatus) (prefixes int) {
	for _, session := range n.Sessions {
		prefixes += session.Prefixes
	}
	return prefixes
}
