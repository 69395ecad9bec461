package main

import (
	"os"
	"path/filepath"
	"testing"

	"gwlab/scenarios"
)

func TestTopologyOfAScenario(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine.topo.yaml"), []byte("name: mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ file, topology, want string }{
		{filepath.Join(dir, "a.scenario.yaml"), "mine.topo.yaml", filepath.Join(dir, "mine.topo.yaml")},
		{filepath.Join(dir, "a.scenario.yaml"), "dual-isp", "dual-isp"},
		{"uplink-cut.scenario.yaml", "dual-isp", "dual-isp"},
		{"", "pair", "pair"},
	} {
		if got := topologyOf(&scenarios.Scenario{File: c.file, Topology: c.topology}); got != c.want {
			t.Errorf("%s names %s: got %s, want %s", c.file, c.topology, got, c.want)
		}
	}
}
