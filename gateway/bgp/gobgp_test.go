package bgp

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// gobgp is GoBGP's own server as a process: it dials from threads of its own
// choice, so it cannot share one with other namespaces.
type gobgp struct {
	space   *space
	config  farConfig
	program string
	cmd     *exec.Cmd
}

func newGoBGP(s *space, c farConfig) daemon {
	return &gobgp{space: s, config: c, program: buildGoBGP(s.t)}
}

// buildGoBGP compiles the reference peer, a module of its own.
func buildGoBGP(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "gobgp")
	cmd := exec.Command("go", "build", "-o", program, ".")
	cmd.Dir = filepath.Join("testdata", "gobgp")
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
	case os.Getenv("GWLAB_REQUIRE_ROOT") == "1":
		t.Fatalf("build the GoBGP reference peer: %v: %s", err, out)
	default:
		t.Skipf("the GoBGP reference peer does not build here: %v: %s", err, out)
	}
	return program
}

func (d *gobgp) start() {
	spec, err := json.Marshal(d.config)
	if err != nil {
		d.space.t.Fatal(err)
	}
	cmd := exec.Command(d.program, string(spec))
	d.cmd = d.space.start(cmd)
}

func (d *gobgp) kill() { stopProcess(d.cmd) }

func (d *gobgp) learned() []string {
	b, err := os.ReadFile(filepath.Join(d.config.Dir, "learned"))
	if err != nil {
		return nil // nothing written yet
	}
	return foreign(string(b))
}
