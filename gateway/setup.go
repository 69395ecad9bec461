package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"gwlab/gateway/config"
)

// SetupError is something outside the program that keeps it from starting: a
// port taken, a capability missing. It is one line that says how to mend it.
type SetupError struct {
	What, Mend string
	Err        error
}

// Error returns "what: mend".
func (e *SetupError) Error() string { return e.What + ": " + e.Mend }

// Unwrap returns the cause, if there is one.
func (e *SetupError) Unwrap() error { return e.Err }

const (
	// minProcs keeps a P free for every thread that must not wait. A locked
	// real-time thread gives its P up in a blocking system call and needs one
	// to go on; with as few as the processors of a small machine, busy
	// goroutines hold all of them for a scheduler quantum of 10 ms, three
	// times the smallest BFD interval.
	minProcs = 8
	// gcPercent halves the collections of a full table's churn; the live heap
	// is small against a gateway's memory.
	gcPercent = 200
)

// tuneRuntime is for the process as a whole: only a real daemon's parts call it.
func tuneRuntime() {
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < minProcs {
		runtime.GOMAXPROCS(minProcs)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// checkCapabilities refuses to start without what every part needs. Missing
// CAP_SYS_NICE is no error: BFD runs without real time then, and says so.
func checkCapabilities(cfg config.Config) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	need := []struct {
		name string
		bit  int
	}{{"CAP_NET_ADMIN", unix.CAP_NET_ADMIN}, {"CAP_NET_RAW", unix.CAP_NET_RAW}}
	if cfg.BGP.Port < unprivilegedPorts() {
		need = append(need, struct {
			name string
			bit  int
		}{"CAP_NET_BIND_SERVICE", unix.CAP_NET_BIND_SERVICE})
	}
	var missing []string
	for _, c := range need {
		if data[c.bit/32].Effective&(1<<(c.bit%32)) == 0 {
			missing = append(missing, c.name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return &SetupError{What: "missing " + strings.Join(missing, ", "), Mend: "run as root, or through gatewayd.service"}
}

func unprivilegedPorts() int {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err != nil {
		return 1024
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 1024
	}
	return n
}

// checkPort finds another BGP daemon before anything of the kernel is touched.
func checkPort(ctx context.Context, cfg config.Config) error {
	port := cfg.BGP.Port
	for _, network := range []string{"tcp4", "tcp6"} {
		l, err := (&net.ListenConfig{}).Listen(ctx, network, ":"+strconv.Itoa(port))
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			return &SetupError{What: fmt.Sprintf("TCP port %d is in use", port),
				Mend: "stop the other BGP daemon, or set bgp.port", Err: err}
		case errors.Is(err, syscall.EAFNOSUPPORT), errors.Is(err, syscall.EADDRNOTAVAIL):
			continue // a machine without this family
		case err != nil:
			return fmt.Errorf("listen on TCP port %d: %w", port, err)
		}
		if err := l.Close(); err != nil {
			return fmt.Errorf("listen on TCP port %d: %w", port, err)
		}
	}
	return nil
}

const (
	dialTimeout   = time.Second
	headerTimeout = 5 * time.Second
)

// listenSocket opens the status API's socket for root and its group. A socket that
// somebody answers on is a running daemon; one that nobody does is left over
// from a crash and replaced.
func listenSocket(ctx context.Context, path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, setupFile("make folder of the socket", err)
	}
	c, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		who := peerOf(c)
		_ = c.Close()
		return nil, &SetupError{What: fmt.Sprintf("gatewayd is already running%s on %s", who, path),
			Mend: "stop it, or set another socket"}
	case errors.Is(err, syscall.ECONNREFUSED):
		if info, err := os.Lstat(path); err == nil && info.Mode().Type() != os.ModeSocket {
			return nil, &SetupError{What: path + " exists and is no socket", Mend: "remove it, or set another socket"}
		}
		if err := os.Remove(path); err != nil {
			return nil, setupFile("remove stale socket", err)
		}
	case errors.Is(err, os.ErrNotExist):
	default:
		return nil, setupFile("use socket", err)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, setupFile("listen on socket", err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return nil, errors.Join(setupFile("protect socket", err), l.Close())
	}
	return l, nil
}

// peerOf names the process at the other end of a unix socket: " (pid 7)".
func peerOf(c net.Conn) string {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return ""
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return ""
	}
	who := ""
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			who = fmt.Sprintf(" (pid %d)", cred.Pid)
		}
	})
	return who
}

func setupFile(verb string, err error) error {
	return &SetupError{What: fmt.Sprintf("%s: %v", verb, err), Mend: "check socket and state-dir of the configuration", Err: err}
}
