package cable

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"gwlab/lab/netns"
)

// lineNodes is the size of the line the build bars are stated for.
const lineNodes = 200

// BenchmarkLine builds a line of 200 nodes as one ip -batch run does it and
// as Build does it, in turn, and reports milliseconds.
func BenchmarkLine(b *testing.B) {
	needRoot(b)
	methods := []struct {
		name string
		make func(testing.TB, string)
	}{{"ip-batch", lineByIP}, {"veth", lineOf(Veth)}, {"cable", lineOf(Cable)}}
	total := map[string]time.Duration{}
	rounds := 0
	for b.Loop() {
		for _, m := range methods {
			tag := fmt.Sprintf("%d-", rounds)
			start := time.Now()
			m.make(b, tag+m.name+"-")
			total[m.name] += time.Since(start)
			b.StopTimer()
			deleteAll(b)
			settle(b)
			b.StartTimer()
		}
		rounds++
	}
	b.ReportMetric(0, "ns/op")
	for _, m := range methods {
		b.ReportMetric(float64(total[m.name].Microseconds())/float64(rounds)/1000, m.name+"-ms")
	}
	b.ReportMetric(float64(total["veth"])/float64(total["ip-batch"]), "veth/ip")
	b.ReportMetric(float64(total["cable"])/float64(total["ip-batch"]), "cable/ip")
}

func deleteAll(t testing.TB) {
	t.Helper()
	names, err := netns.List(prefix())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if err := netns.Delete(n); err != nil {
			t.Error(err)
		}
	}
}

// settle waits until the kernel has done with the namespaces deleted before:
// it takes them down in order, in the background, and holds the lock that all
// of netlink needs. The far end of a pair shows when its turn has come.
func settle(t testing.TB) {
	t.Helper()
	for _, n := range []string{"middle", "go", "stay"} {
		if err := netns.Create(prefix() + n); err != nil {
			t.Fatal(err)
		}
	}
	s := Spec{Middle: netns.Path(prefix() + "middle"), Links: []Link{{
		Name: "witness", Type: Veth,
		A: End{Netns: netns.Path(prefix() + "go"), Name: "w", Index: 5},
		B: End{Netns: netns.Path(prefix() + "stay"), Name: "w", Index: 6},
	}}}
	c, err := Build(s)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	far, err := netns.Handle(s.Links[0].B.Netns)
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	if err := netns.Delete(prefix() + "go"); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = far.LinkByIndex(6)
		time.Sleep(5 * time.Millisecond)
	}
	deleteAll(t)
}

// lineByIP has ip make the namespaces, then the pairs in place, named.
func lineByIP(t testing.TB, tag string) {
	t.Helper()
	var script strings.Builder
	for i := range lineNodes {
		fmt.Fprintf(&script, "netns add %s%s%d\n", prefix(), tag, i)
	}
	for i := range lineNodes - 1 {
		fmt.Fprintf(&script, "link add right netns %[1]s%[2]s%[3]d type veth peer name left netns %[1]s%[2]s%[4]d\n", prefix(), tag, i, i+1)
	}
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(script.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ip -batch: %v: %s", err, out)
	}
}

func lineOf(kind Type) func(testing.TB, string) {
	return func(t testing.TB, tag string) {
		t.Helper()
		thread := netns.NewThread()
		defer thread.Close()
		create := func(name string, sysctls []netns.Sysctl) string {
			if err := thread.Create(prefix()+tag+name, sysctls...); err != nil {
				t.Fatal(err)
			}
			return netns.Path(prefix() + tag + name)
		}
		s := Spec{Middle: create("middle", netns.Mute())}
		var nodes []string
		for i := range lineNodes {
			nodes = append(nodes, create(fmt.Sprint(i), netns.NoAutoconf()))
		}
		for i := range lineNodes - 1 {
			four := netip.AddrFrom4([4]byte{198, 18, byte(i), 0})
			six := netip.MustParseAddr(fmt.Sprintf("fd00:%x::", i))
			end := func(node string, name string, side int) End {
				e := End{Netns: node, Name: name, Index: 10 + 2*i + side, Up: true}
				for _, a := range []netip.Addr{four, six} {
					for range side + 1 {
						a = a.Next()
					}
					e.Addresses = append(e.Addresses, netip.PrefixFrom(a, a.BitLen()-8))
				}
				return e
			}
			s.Links = append(s.Links, Link{
				Name: fmt.Sprint("l", i), Type: kind, A: end(nodes[i], "right", 0), B: end(nodes[i+1], "left", 1),
			})
		}
		made := time.Now()
		c, err := Build(s)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: links in %v", kind, time.Since(made))
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
