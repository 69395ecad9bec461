package bfd

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// TestMain is a worker where Isolated asks for one; else it runs the tests
// and fails if they leave a namespace or a goroutine behind.
func TestMain(m *testing.M) {
	if IsWorker() {
		os.Exit(WorkerMain())
	}
	code := m.Run()
	left, err := filepath.Glob(fmt.Sprintf("/run/netns/gwt-bfd-%d-*", os.Getpid()))
	if err != nil || len(left) > 0 {
		fmt.Fprintln(os.Stderr, "namespaces left behind:", left, err)
		code = 1
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, "goroutines left behind:", err)
		code = 1
	}
	os.Exit(code)
}
