package observe

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"testing"

	"gwlab/lab/netns"
)

// byBuckets is a resilient group whose second member stands by.
const byBuckets = `
nexthop add id 1 via 198.18.1.2 dev isp1
nexthop add id 2 via 198.18.2.2 dev isp2
nexthop add id 10 group 1,256/2,1 type resilient buckets 64 idle_timer 0
route add 203.0.113.0/24 nhid 10`

// holders are the members of group 10 that the kernel gave a bucket, sorted.
func (b *bench) holders() []string {
	b.t.Helper()
	out, err := exec.Command("ip", "-n", prefix()+"gw", "nexthop", "bucket", "show", "id", "10").CombinedOutput()
	if err != nil {
		b.t.Fatalf("ip nexthop bucket show: %v: %s", err, out)
	}
	var ids []string
	for _, found := range regexp.MustCompile(`nhid (\d+)`).FindAllStringSubmatch(string(out), -1) {
		ids = append(ids, found[1])
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func TestAStandbyIsNoWayOn(t *testing.T) {
	b := start(t, byBuckets)
	e := b.wait("fib.change 203.0.113.0/24 via=isp1")
	if e.Data["standby"] != "198.18.2.2 dev isp2" || e.Data["nexthops"] != "198.18.1.2 dev isp1" {
		t.Errorf("%+v", e)
	}
	if got := b.holders(); !slices.Equal(got, []string{"1"}) {
		t.Errorf("the kernel gave buckets to %v", got)
	}
	b.ip("gw", "nexthop replace id 10 group 1,1/2,256 type resilient buckets 64 idle_timer 0")
	if e := b.wait("nexthop.change 10 via=198.18.2.2 dev isp2"); e.Data["standby"] != "198.18.1.2 dev isp1" {
		t.Errorf("%+v", e)
	}
	b.wait("fib.change 203.0.113.0/24 via=isp2")
	b.ip("isp", "link set gw2 down") // the kernel takes the primary out by itself
	if e := b.wait("nexthop.change 10 via=198.18.1.2 dev isp1"); e.Data["standby"] != "" {
		t.Errorf("the last member stands by: %+v", e)
	}
	b.wait("fib.change 203.0.113.0/24 via=isp1")
	if got := b.holders(); !slices.Equal(got, []string{"1"}) {
		t.Errorf("after the primary went the kernel gave buckets to %v", got)
	}
}

// TestIdleMembersAreTheKernels compares with the kernel's own dealing.
func TestIdleMembersAreTheKernels(t *testing.T) {
	b := start(t, byBuckets+`
nexthop add id 3 via 198.18.1.3 dev isp1`)
	for _, weights := range [][3]int{{256, 256, 1}, {1, 256, 256}, {1, 1, 1}, {256, 4, 4}, {256, 3, 3}, {256, 2, 2}} {
		// A new group each time: buckets of a replaced one may move later.
		b.ip("gw", fmt.Sprintf(`route del 203.0.113.0/24
nexthop del id 10
nexthop add id 10 group 1,%d/2,%d/3,%d type resilient buckets 64 idle_timer 0
route add 203.0.113.0/24 nhid 10`, weights[0], weights[1], weights[2]))
		var want []string
		none := idle(64, []member{{1, weights[0]}, {2, weights[1]}, {3, weights[2]}})
		for i, n := range none {
			if !n {
				want = append(want, fmt.Sprint(i+1))
			}
		}
		if got := b.holders(); !slices.Equal(got, want) {
			t.Errorf("weights %v: the kernel gave buckets to %v, computed were %v", weights, got, want)
		}
		// And what the kernel reports is read as what it was told.
		if err := netns.Do(netns.Path(prefix()+"gw"), func() error {
			q, err := openQuery()
			if err != nil {
				return err
			}
			defer q.Close() // a test's
			list, err := q.nexthops()
			for _, n := range list {
				if n.id == 10 && (n.buckets != 64 || len(n.group) != 3 || n.group[0].weight != weights[0] || n.group[2].weight != weights[2]) {
					t.Errorf("weights %v read as %+v", weights, n)
				}
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
}
