package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExec(t *testing.T) {
	name, dir := labName(t, "exec"), desk(t)
	must(t, dir, "up", "-t", "small.topo.yaml", "--name", name)
	defer func() { must(t, dir, "down", name) }()
	tests := []struct {
		node, script string
		code         int
		out          string
	}{
		{"host", "echo out; echo bad >&2; exit 7", 7, "out\n"},
		{"gw", "kill -KILL $$", 128 + 9, ""},
		{"host", "cat", 0, "typed\n"},
		{"gw", "ls /run/gatewayd/gatewayd.yaml", 0, ""},
		{"gw", "ls /run/gwlab", 2, ""}, // its /run is its own
		{"gw", "hostname", 0, "gw\n"},
		{"gw", "grep -c ' gw$' /etc/hosts", 0, ""},
		{"gw", "gatewayd status | grep -c Established", 0, "2\n"},
		{"host", "ping -q -c 1 -W 2 192.0.2.2 >/dev/null", 0, ""},
		{"host", "ping -q -c 1 -W 1 192.0.2.99 >/dev/null", 1, ""},
	}
	for _, tt := range tests {
		cmd := command(dir, "exec", name, tt.node, "--", "sh", "-c", tt.script)
		cmd.Stdin = strings.NewReader("typed\n")
		got := finish(t, cmd)
		if got.code != tt.code || (tt.out != "" && got.out != tt.out) {
			t.Errorf("%s on %s: exit code %d, want %d\n%s%s", tt.script, tt.node, got.code, tt.code, got.out, got.err)
		}
	}
}

// TestJSON reads what commands print with -o json.
func TestJSON(t *testing.T) {
	name, dir := labName(t, "json"), desk(t)
	for _, args := range []string{
		"up -t tiny.topo.yaml --name " + name, "status " + name, "list", "list topologies", "list scenarios",
		"validate tiny.topo.yaml dark.scenario.yaml", "doctor", "run dark.scenario.yaml", "report runs/DARK-01/latest", "sweep",
		"down " + name, "version",
	} {
		got := gwlab(t, dir, append(strings.Fields(args), "-o", "json")...)
		var parsed any
		if err := json.Unmarshal([]byte(got.out), &parsed); err != nil {
			t.Errorf("gwlab %s -o json: exit code %d, %v\n%s%s", args, got.code, err, got.out, got.err)
		}
		for _, key := range keys(parsed) {
			if strings.ToLower(key) != key {
				t.Errorf("gwlab %s -o json: key %q is not in lower case", args, key)
			}
		}
	}
}

// keys of an object, or of a list's first object.
func keys(v any) (all []string) {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			all = append(all, key)
		}
	case []any:
		if len(v) > 0 {
			return keys(v[0])
		}
	}
	return all
}

func TestRunTwice(t *testing.T) {
	needRoot(t)
	dir := desk(t)
	r := start(t, dir, "run", "dark.scenario.yaml", "--repeat", "2", "--seed", "5", "--runs", "deep/down")
	got := r.end(t)
	if !strings.Contains(got.out, "DARK-01 #1 on ") || !strings.Contains(got.out, "DARK-01 #2 on ") ||
		!strings.Contains(got.out, "\nSCENARIO ") || !strings.Contains(got.out, "\n2 runs: ") || !strings.HasSuffix(got.out, "(seed 5)\n") {
		t.Errorf("exit code %d\n%s%s", got.code, got.out, got.err)
	}
	if strings.Count(got.err, "making namespaces") != 1 {
		t.Errorf("runs of one topology share a lab:\n%s", got.err)
	}
	gone(t, runLab(r))
	records, err := filepath.Glob(filepath.Join(dir, "deep/down/DARK-01/2*"))
	if err != nil || len(records) != 2 {
		t.Fatal(records, err)
	}
	latest, err := os.Readlink(filepath.Join(dir, "deep/down/DARK-01/latest"))
	if err != nil || latest != filepath.Base(records[1]) {
		t.Errorf("latest is %q, %v; the runs are %v", latest, err, records)
	}
	for _, dir := range records {
		for _, file := range []string{"run.json", "result.json", "events.jsonl", "samples.bin", "summary.md", "junit.xml"} {
			if info, err := os.Stat(filepath.Join(dir, file)); err != nil || info.Size() == 0 {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	one, two := gwlab(t, dir, "report", records[0]), gwlab(t, dir, append([]string{"report"}, records...)...)
	if !hasVerdict(one) || two.code < one.code || !strings.HasPrefix(two.out, one.out) {
		t.Errorf("reports\n%+v\n%+v", one, two)
	}
}

// TestLabTakenDownDuringARun has another user take the lab away.
func TestLabTakenDownDuringARun(t *testing.T) {
	needRoot(t)
	dir := desk(t)
	r := start(t, dir, "run", "dark.scenario.yaml")
	if !r.await(" failure ") {
		t.Fatalf("it ended before\n%s", r.said)
	}
	must(t, dir, "down", runLab(r))
	if got := r.end(t); got.code != exitBroken || !strings.Contains(got.err, "\ngwlab: DARK-01: ") {
		t.Errorf("exit code %d, want %d\n%s%s", got.code, exitBroken, got.out, got.err)
	}
	if left := remains(runLab(r)); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	judged := gwlab(t, dir, "report", "runs/DARK-01/"+only(t, dir))
	if judged.code != exitInvalid {
		t.Errorf("the record is judged with exit code %d\n%s%s", judged.code, judged.out, judged.err)
	}
}

// only is the name of the one record there is.
func only(t *testing.T, dir string) string {
	t.Helper()
	records, err := filepath.Glob(filepath.Join(dir, "runs/DARK-01/2*"))
	if err != nil || len(records) != 1 {
		t.Fatal(records, err)
	}
	return filepath.Base(records[0])
}
