package gateway

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := testConfig(t)
	cfg.BGP.Port = l.Addr().(*net.TCPAddr).Port
	err = checkPort(t.Context(), cfg)
	var setup *SetupError
	if !errors.As(err, &setup) || !strings.HasSuffix(err.Error(), " is in use: stop the other BGP daemon, or set bgp.port") {
		t.Errorf("got %v", err)
	}
	l.Close()
	if err := checkPort(t.Context(), cfg); err != nil {
		t.Errorf("a free port: %v", err)
	}
}

func TestSocketThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		file + "/sub/gw.sock": ": check socket and state-dir of the configuration",
		file:                  " exists and is no socket: remove it, or set another socket",
	} {
		_, err := listenSocket(t.Context(), path)
		var setup *SetupError
		if !errors.As(err, &setup) || strings.Contains(err.Error(), "\n") || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: got %v", path, err)
		}
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("a file that is no socket was removed: %v", err)
	}
}

func TestSocketIsNotForEverybody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "gw.sock")
	l, err := listenSocket(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestStateDirThatCannotBe(t *testing.T) {
	cfg := testConfig(t)
	cfg.StateDir = filepath.Join(cfg.StateDir, "file")
	if err := os.WriteFile(cfg.StateDir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var setup *SetupError
	if err := startFake(t, cfg, Deps{}).wait(); !errors.As(err, &setup) {
		t.Errorf("got %v", err)
	}
}
