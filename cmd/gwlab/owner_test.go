package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// ann's directory is where root makes things in these tests.
const ann = 12345

func annsDesk(t *testing.T) string {
	t.Helper()
	needRoot(t)
	dir := desk(t)
	if err := os.Chown(dir, ann, ann+1); err != nil {
		t.Fatal(err)
	}
	return dir
}

func ownerOf(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	s := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%d:%d", s.Uid, s.Gid)
}

func TestMadeDirectoriesBelongToTheOwnerOfTheirs(t *testing.T) {
	dir := annsDesk(t)
	if err := os.Mkdir(filepath.Join(dir, "roots"), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"a": "12345:12346", "b/c/d": "12345:12346", "roots/x": "0:0"} {
		full := filepath.Join(dir, path)
		if err := makeAll(full); err != nil {
			t.Fatal(err)
		}
		if got := ownerOf(t, full); got != want {
			t.Errorf("%s belongs to %s, want %s", path, got, want)
		}
	}
	if got := ownerOf(t, filepath.Join(dir, "roots")); got != "0:0" {
		t.Errorf("a directory that was there belongs to %s now", got)
	}
	if err := makeAll(filepath.Join(dir, "a")); err != nil {
		t.Errorf("again: %v", err)
	}
	if err := makeAll(filepath.Join(dir, "tiny.topo.yaml", "x")); err == nil {
		t.Error("made a directory in a file")
	}
}

func TestInheritLeavesWhatALinkPointsAt(t *testing.T) {
	dir := annsDesk(t)
	target := filepath.Join(t.TempDir(), "target")
	if err := os.WriteFile(target, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "latest")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	inherit(link, filepath.Join(dir, "no/such/file"))
	if got := ownerOf(t, link) + " " + ownerOf(t, target); got != "12345:12346 0:0" {
		t.Errorf("link and target belong to %s", got)
	}
}

// TestRecordsBelongToTheUser runs as root in a user's directory, as sudo does.
func TestRecordsBelongToTheUser(t *testing.T) {
	dir := annsDesk(t)
	got := gwlab(t, dir, "run", "dark.scenario.yaml")
	if !hasVerdict(got) {
		t.Fatalf("exit code %d\n%s%s", got.code, got.out, got.err)
	}
	owned := func() {
		t.Helper()
		n := 0
		err := filepath.WalkDir(filepath.Join(dir, "runs"), func(path string, _ os.DirEntry, err error) error {
			n++
			if owner := ownerOf(t, path); owner != "12345:12346" {
				t.Errorf("%s belongs to %s", path, owner)
			}
			return err
		})
		if err != nil || n < 10 { // two directories, latest, the record and its six files
			t.Errorf("%d files, %v", n, err)
		}
	}
	owned()
	if again := gwlab(t, dir, "report", "runs/DARK-01/latest/"); !hasVerdict(again) {
		t.Errorf("exit code %d\n%s%s", again.code, again.out, again.err)
	}
	owned()
}
