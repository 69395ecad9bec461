package bgp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// needRoot skips a test that builds namespaces, or fails where it must run.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("GWLAB_REQUIRE_ROOT") == "1" {
		t.Fatal("root is required here")
	}
	t.Skip("needs root: it builds network namespaces")
}

// space is a network namespace of a test.
type space struct {
	t      *testing.T
	name   string
	handle netns.NsHandle
}

// numbers makes names and interface indexes unique in the process.
var numbers atomic.Int64

// newSpace makes a named namespace with its loopback up.
func newSpace(t *testing.T, role string) *space {
	t.Helper()
	s := &space{t: t, name: fmt.Sprintf("gwt-bgp-%d-%d-%s", os.Getpid(), numbers.Add(1), role)}
	onThread(t, netns.None(), func() (err error) {
		s.handle, err = netns.NewNamed(s.name)
		return err
	})
	t.Cleanup(func() {
		if err := netns.DeleteNamed(s.name); err != nil {
			t.Errorf("delete namespace: %v", err)
		}
		s.handle.Close()
	})
	s.do(func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(lo)
	})
	return s
}

// onThread runs f on a thread of its own that is in the namespace; the
// thread ends with it.
func onThread(t *testing.T, ns netns.NsHandle, f func() error) {
	t.Helper()
	if err := tryOnThread(ns, f); err != nil {
		t.Fatal(err)
	}
}

func tryOnThread(ns netns.NsHandle, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread dies with the goroutine
		if ns.IsOpen() {
			if err := netns.Set(ns); err != nil {
				done <- fmt.Errorf("enter namespace: %w", err)
				return
			}
		}
		done <- f()
	}()
	return <-done
}

func (s *space) do(f func() error) {
	s.t.Helper()
	onThread(s.t, s.handle, f)
}

// connect makes a cable between two namespaces with an address of either
// family at both ends.
func (s *space) connect(ifName string, to *space, peerIf string, mine, theirs []string) {
	s.t.Helper()
	s.do(func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.Index = ifName, int(1000+numbers.Add(1))
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: peerIf, PeerNamespace: netlink.NsFd(to.handle)})
	})
	s.up(ifName, mine)
	to.up(peerIf, theirs)
}

func (s *space) up(ifName string, addrs []string) {
	s.t.Helper()
	s.do(func() error {
		l, err := netlink.LinkByName(ifName)
		if err != nil {
			return err
		}
		for _, a := range addrs {
			addr, err := netlink.ParseAddr(a)
			if err != nil {
				return err
			}
			if addr.IP.To4() == nil {
				addr.Flags = syscall.IFA_F_NODAD
			}
			if err := netlink.AddrAdd(l, addr); err != nil {
				return fmt.Errorf("add %s: %w", a, err)
			}
		}
		return netlink.LinkSetUp(l)
	})
}

// start runs a program in the namespace until the test ends.
func (s *space) start(cmd *exec.Cmd) *exec.Cmd {
	s.t.Helper()
	if cmd.Stderr == nil {
		cmd.Stderr = s.t.Output()
	}
	s.do(cmd.Start)
	s.t.Cleanup(func() { stopProcess(cmd) })
	return cmd
}

// stopProcess kills and reaps; once more does nothing.
func stopProcess(cmd *exec.Cmd) {
	if cmd.ProcessState == nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// output runs a program in the namespace to its end.
func (s *space) output(name string, args ...string) (string, error) {
	var out []byte
	err := tryOnThread(s.handle, func() (err error) {
		out, err = exec.Command(name, args...).CombinedOutput()
		return err
	})
	return string(out), err
}

// spaceNet opens a speaker's sockets in a namespace.
type spaceNet struct{ handle netns.NsHandle }

func (n spaceNet) Listen(ctx context.Context, network, address string, control func(int) error) (l net.Listener, err error) {
	err = tryOnThread(n.handle, func() (err error) {
		l, err = HostNet().Listen(ctx, network, address, control)
		return err
	})
	return l, err
}

func (n spaceNet) Dial(ctx context.Context, local netip.Addr, remote netip.AddrPort, control func(int) error) (c net.Conn, err error) {
	err = tryOnThread(n.handle, func() (err error) {
		c, err = HostNet().Dial(ctx, local, remote, control)
		return err
	})
	return c, err
}

func (n spaceNet) Subnet(local netip.Addr) (p netip.Prefix, err error) {
	err = tryOnThread(n.handle, func() (err error) {
		p, err = HostNet().Subnet(local)
		return err
	})
	return p, err
}
