package gateway

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// mark is the file that exists while a daemon runs. One found at start means
// that the last run ended without stopping, and its routes still forward.
type mark struct {
	path string
	host string // identity of the kernel state the routes are in
}

// newMark names this boot and this network namespace: routes outlive neither.
func newMark(stateDir string) (mark, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return mark{}, fmt.Errorf("read boot id: %w", err)
	}
	ns, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return mark{}, fmt.Errorf("read network namespace: %w", err)
	}
	return mark{filepath.Join(stateDir, "running"), strings.TrimSpace(string(boot)) + " " + ns + "\n"}, nil
}

// set leaves the mark and reports whether a crashed run had left it here.
func (m mark) set() (crashed bool, err error) {
	if err := os.MkdirAll(filepath.Dir(m.path), 0o750); err != nil {
		return false, setupFile("make state directory", err)
	}
	old, err := os.ReadFile(m.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, setupFile("read state", err)
	}
	if err := os.WriteFile(m.path, []byte(m.host), 0o640); err != nil {
		return false, setupFile("write state", err)
	}
	return string(old) == m.host, nil
}

// clear is for a run that leaves nothing in the kernel.
func (m mark) clear() error {
	if err := os.Remove(m.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("clear state: %w", err)
	}
	return nil
}
