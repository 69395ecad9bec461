package main

import (
	"os"
	"path/filepath"
	"syscall"
)

// inherit gives what this program made as root to the owner of the directory
// that it stands in: a user who ran it through sudo reads, judges again and
// removes the records without. It is as good as it gets, some file systems
// know no owners.
func inherit(paths ...string) {
	if os.Geteuid() != 0 {
		return
	}
	for _, path := range paths {
		info, err := os.Stat(filepath.Dir(filepath.Clean(path)))
		if err != nil {
			continue
		}
		if parent, ok := info.Sys().(*syscall.Stat_t); ok {
			_ = os.Lchown(path, int(parent.Uid), int(parent.Gid))
		}
	}
}

// inheritRecord does so for the record of a run in <runs>/<scenario>/<start>.
func inheritRecord(dir string) {
	scenario := filepath.Dir(dir)
	inherit(scenario, dir, filepath.Join(scenario, "latest"))
	inheritFiles(dir)
}

// inheritFiles does so for all that a directory holds.
func inheritFiles(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		inherit(filepath.Join(dir, e.Name()))
	}
}

// makeAll is os.MkdirAll with directories that inherit.
func makeAll(dir string) error {
	var missing []string
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		if _, err := os.Lstat(at); err == nil || at == filepath.Dir(at) {
			break
		}
		missing = append([]string{at}, missing...)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	inherit(missing...)
	return nil
}
