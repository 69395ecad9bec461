package lab

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gwlab/lab/proc"
)

func TestUpAndDown(t *testing.T) {
	needRoot(t)
	before := host(t)
	l := up(t, pair(), "updown")
	var out bytes.Buffer
	code, err := l.Exec(t.Context(), "n1", []string{"ping", "-c", "1", "-W", "2", "n2"}, proc.Stdio{Out: &out, Err: &out})
	if err != nil || code != 0 {
		t.Errorf("ping: code %d, %v\n%s", code, err, out.String())
	}
	if now := host(t); now != before {
		t.Errorf("the root namespace changed:\n%s\nwas\n%s", now, before)
	}
	start := time.Now()
	if err := l.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("down took %v", time.Since(start))
	assertGone(t, l.Name())
	if now := host(t); now != before {
		t.Errorf("the root namespace changed:\n%s\nwas\n%s", now, before)
	}
	if err := Down(t.Context(), l.Name(), nil); err != nil {
		t.Errorf("second down: %v", err)
	}
	if _, err := Attach(t.Context(), l.Name()); err == nil || !strings.Contains(err.Error(), "no lab") {
		t.Errorf("attach to what is gone: %v", err)
	}
}

func TestUpTwice(t *testing.T) {
	l := up(t, pair(), "twice")
	_, err := Up(t.Context(), UpOptions{Topology: l.Topology(), Name: l.Name()}, nil)
	if err == nil || !strings.Contains(err.Error(), "is up already") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error is %v", err)
	}
	if _, err := l.Status(context.Background()); err != nil {
		t.Errorf("the first lab suffered: %v", err)
	}
}

// TestUmaskOfTheCaller opens the lab to nobody else and hides nothing from daemons that are not root.
func TestUmaskOfTheCaller(t *testing.T) {
	needRoot(t)
	defer unix.Umask(unix.Umask(0o077))
	l := up(t, pair(), "umask")
	var out bytes.Buffer
	code, err := l.Exec(t.Context(), "n1", []string{"stat", "-c", "%a", "/run", "/run/lock", "/etc/hosts"}, proc.Stdio{Out: &out, Err: &out})
	if err != nil || code != 0 || out.String() != "755\n755\n644\n" {
		t.Errorf("modes %q, code %d, %v", out.String(), code, err)
	}
	unix.Umask(0)
	open := up(t, pair(), "open")
	if info, err := os.Stat(dirOf(open.Name()).socket()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket %v, %v", info, err)
	}
}
