package cable

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"gwlab/lab/netns"
)

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("GWLAB_REQUIRE_ROOT") == "1" {
		t.Fatal("GWLAB_REQUIRE_ROOT=1 but not root")
	}
	t.Skip("needs root: makes network namespaces and links")
}

func prefix() string { return fmt.Sprintf("gwt-cable-%d-", os.Getpid()) }

func TestMain(m *testing.M) {
	code := m.Run()
	left, err := netns.List(prefix())
	if err != nil || len(left) > 0 {
		fmt.Fprintln(os.Stderr, "namespaces left behind:", left, err)
		code = 1
	}
	os.Exit(code)
}

// namespace makes one for the life of the test and returns its path.
func namespace(t testing.TB, name string, sysctls ...netns.Sysctl) string {
	t.Helper()
	name = prefix() + name
	t.Cleanup(func() {
		if err := netns.Delete(name); err != nil {
			t.Error(err)
		}
	})
	if err := netns.Create(name, sysctls...); err != nil {
		t.Fatal(err)
	}
	return netns.Path(name)
}

// pair is the spec of n links between namespaces a and b: link i is "l<i>",
// 198.18.i.0/24 and fd00:i::/64, host .1 at A and .2 at B.
func pair(t testing.TB, kind Type, n int) Spec {
	t.Helper()
	s := Spec{Middle: namespace(t, "middle", netns.Mute()...)}
	a := namespace(t, "a", netns.NoAutoconf()...)
	b := namespace(t, "b", netns.NoAutoconf()...)
	for i := range n {
		s.Links = append(s.Links, Link{
			Name: fmt.Sprintf("l%d", i), Type: kind,
			A: End{Netns: a, Name: fmt.Sprintf("p%d", i), Index: 10 + 2*i, Addresses: addresses(i, 1), Up: true},
			B: End{Netns: b, Name: fmt.Sprintf("p%d", i), Index: 11 + 2*i, Addresses: addresses(i, 2), Up: true},
		})
	}
	return s
}

func addresses(i, host int) []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix(fmt.Sprintf("198.18.%d.%d/24", i, host)),
		netip.MustParsePrefix(fmt.Sprintf("fd00:%x::%d/64", i, host)),
	}
}

func build(t testing.TB, s Spec) *Cables {
	t.Helper()
	c, err := Build(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// inside runs a command in a namespace and returns what it printed.
func inside(t testing.TB, path string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command("nsenter", append([]string{"--net=" + path}, args...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func ping(t testing.TB, path, to string) {
	t.Helper()
	if out, err := inside(t, path, "ping", "-c", "3", "-i", "0.01", "-W", "1", to); err != nil {
		t.Errorf("ping %s: %v\n%s", to, err, strings.TrimSpace(out))
	}
}
