package agent

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gwlab/gateway/bfd"
	"gwlab/gateway/bgp"
	"gwlab/gateway/config"
	"gwlab/gateway/kernel"
	"gwlab/gateway/state"
)

// on runs a test on a started agent, with a clock that only the test moves.
func on(t *testing.T, test func(t *testing.T, s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		s.start(t)
		synctest.Wait()
		s.take()
		test(t, s)
		if err := s.stop(); err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

// expect compares what was done since the last look.
func (s *stage) expect(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(strings.Join(want, "\n"), strings.Join(s.take(), "\n")); diff != "" {
		t.Errorf("done (-want +got):\n%s", diff)
	}
}

func (s *stage) fate(h happening) { s.OnBFD(*h.bfd) }

func TestStartAdoptsAndConfigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		s.start(t)
		s.expect(t,
			"fib adopt",
			"bgp configure 4",
			"bfd set 198.18.1.2@up1 50ms×3, 198.18.2.2@up2 50ms×3, 2001:db8:1::2@up1 50ms×3")
		_ = s.stop()
	})
}

func TestRepairBeforeBGP(t *testing.T) {
	on(t, func(t *testing.T, s *stage) {
		s.fate(bfdUp(isp1))
		s.expect(t, "event bfd.up 198.18.1.2 [interface=up1 peer=isp1 remote_state=up]")
		s.fate(bfdDown(isp1))
		synctest.Wait()
		got := s.take()
		fail, reach := slices.Index(got, "fib fail 198.18.1.2@up1"), slices.Index(got, "bgp reach 198.18.1.2 false")
		if fail != 0 || reach < 0 {
			t.Fatalf("want the repair first and then BGP:\n%s", strings.Join(got, "\n"))
		}
		slices.Sort(got)
		want := []string{
			"bgp reach 198.18.1.2 false",
			"event bfd.down 198.18.1.2 [detect_ns=0 diag=control-detection-time-expired interface=up1 last_rx_ns=0 peer=isp1 remote_state=up]",
			"event fib.repair 198.18.1.2 [cause=bfd groups=1 nexthop=198.18.1.2@up1]",
			"fib fail 198.18.1.2@up1",
			"fib update [] delete []",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("done, sorted (-want +got):\n%s", diff)
		}
		if r := s.Snapshot().Repair; r.Cause != "bfd" || r.NextHop != hopOf(isp1, "up1") || r.Groups != 1 || r.At == 0 {
			t.Errorf("last repair %+v", r)
		}
	})
}

func TestCarrierLossTakesAllOfTheLinkFirst(t *testing.T) {
	on(t, func(t *testing.T, s *stage) {
		s.links <- kernel.LinkEvent{Interface: "up1", Up: false}
		synctest.Wait()
		got := s.take()
		want := []string{"fib fail 198.18.1.2@up1", "fib fail 2001:db8:1::2@up1"}
		if len(got) < 2 || !slices.Equal(got[:2], want) {
			t.Fatalf("want both families repaired first:\n%s", strings.Join(got, "\n"))
		}
		s.links <- kernel.LinkEvent{Interface: "up1", Up: true}
		synctest.Wait()
		got = s.take()
		for _, w := range []string{"fib restore 198.18.1.2@up1", "fib restore 2001:db8:1::2@up1", "bgp reach 198.18.1.2 true",
			"bgp reach 2001:db8:1::2 true", "event link.up up1 [interface=up1]", "fib update [] delete []"} {
			if !slices.Contains(got, w) {
				t.Errorf("missing %q in:\n%s", w, strings.Join(got, "\n"))
			}
		}
	})
}

// A table being programmed, and a speaker that is busy, delay no repair.
func TestRepairOvertakesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		s.fib.hold, s.fib.began = make(chan struct{}), make(chan struct{})
		s.speaker.busy = make(chan struct{})
		s.start(t)
		s.OnUpdate(bgp.Update{Set: prefixes("0.0.0.0/0")})
		<-s.fib.began
		synctest.Wait()
		s.take()
		s.fate(bfdDown(isp1))
		s.fate(bfdDown(isp2))
		synctest.Wait()
		got := s.take()
		for _, w := range []string{"fib fail 198.18.1.2@up1", "fib fail 198.18.2.2@up2"} {
			if !slices.Contains(got, w) {
				t.Errorf("missing %q in:\n%s", w, strings.Join(got, "\n"))
			}
		}
		if s.Programmed() {
			t.Error("Programmed while an update runs")
		}
		close(s.speaker.busy)
		s.hurry()
		synctest.Wait()
		if !s.Programmed() || s.Routes() != 1 {
			t.Errorf("snapshot %+v", s.Snapshot())
		}
		_ = s.stop()
	})
}

// hurry lets every update pass from now on.
func (s *stage) hurry() {
	go func() {
		for range s.fib.began {
		}
	}()
	close(s.fib.hold)
	synctest.Wait()
	close(s.fib.began)
	s.fib.hold = nil
}

func TestUpdatesCollectWhileBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		s.fib.hold, s.fib.began = make(chan struct{}), make(chan struct{})
		s.start(t)
		s.OnUpdate(bgp.Update{Set: prefixes("100.64.0.0/16")})
		<-s.fib.began
		s.OnUpdate(bgp.Update{Set: prefixes("100.65.0.0/16", "100.66.0.0/16")})
		s.OnUpdate(bgp.Update{Delete: []netip.Prefix{netip.MustParsePrefix("100.65.0.0/16"), netip.MustParsePrefix("100.64.0.0/16")}})
		s.OnUpdate(bgp.Update{Set: prefixes("100.64.0.0/16", "100.67.0.0/16")})
		s.OnUpdate(bgp.Update{Delete: []netip.Prefix{netip.MustParsePrefix("100.66.0.0/16")}})
		synctest.Wait()
		s.take()
		s.fib.hold <- struct{}{}
		<-s.fib.began
		s.fib.hold <- struct{}{}
		s.expect(t,
			"fib update [100.64.0.0/16] delete []",
			"event fib.program  [groups=0 nexthops=0 routes=1]",
			"fib update [100.64.0.0/16 100.67.0.0/16] delete [100.65.0.0/16 100.66.0.0/16]",
			"event fib.program  [groups=0 nexthops=0 routes=4]")
		if s.Routes() != 2 || !s.Programmed() {
			t.Errorf("snapshot %+v, want 2 routes", s.Snapshot())
		}
		_ = s.stop()
	})
}

func TestFailedUpdateIsRepeated(t *testing.T) {
	on(t, func(t *testing.T, s *stage) {
		s.fib.refuseNext("update")
		s.OnUpdate(bgp.Update{Set: prefixes("100.64.0.0/16"), Delete: []netip.Prefix{netip.MustParsePrefix("100.65.0.0/16")}})
		s.expect(t, "event bgp.best  [changed=1 withdrawn=1]",
			"fib update [100.64.0.0/16] delete [100.65.0.0/16]")
		if s.Programmed() {
			t.Error("Programmed after a failure")
		}
		s.fib.refuseNext("update")
		time.Sleep(retryAfter)
		s.expect(t, "fib update [100.64.0.0/16] delete [100.65.0.0/16]")
		s.OnUpdate(bgp.Update{Delete: []netip.Prefix{netip.MustParsePrefix("100.64.0.0/16")}})
		s.expect(t, "event bgp.best  [changed=0 withdrawn=1]",
			"fib update [] delete [100.64.0.0/16 100.65.0.0/16]",
			"event fib.program  [groups=0 nexthops=0 routes=2]",
			"fib audit")
		if !s.Programmed() || s.Routes() != 0 {
			t.Errorf("snapshot %+v", s.Snapshot())
		}
	})
}

func TestFailedRepairIsAudited(t *testing.T) {
	on(t, func(t *testing.T, s *stage) {
		s.fib.refuseNext("fail")
		s.fate(bfdDown(isp1))
		synctest.Wait()
		if got := s.take(); !slices.Contains(got, "fib audit") {
			t.Errorf("no audit in:\n%s", strings.Join(got, "\n"))
		}
		s.fib.refuseNext("restore")
		s.fate(bfdUp(isp1))
		synctest.Wait()
		if got := s.take(); !slices.Contains(got, "fib audit") {
			t.Errorf("no audit in:\n%s", strings.Join(got, "\n"))
		}
	})
}

func TestAuditWhenIdle(t *testing.T) {
	on(t, func(t *testing.T, s *stage) {
		time.Sleep(auditEvery)
		s.expect(t, "fib audit")
		if !s.Snapshot().Clean {
			t.Error("not Clean after an audit that found nothing")
		}
		s.fib.find("route 0.0.0.0/0: missing", "nexthop 7: not ours, removed")
		time.Sleep(auditEvery)
		s.expect(t, "fib audit",
			"event fib.mended  [count=2 what=route 0.0.0.0/0: missing; nexthop 7: not ours, removed]")
		if s.Snapshot().Clean {
			t.Error("Clean after an audit that mended")
		}
		s.fib.refuseNext("audit")
		time.Sleep(auditEvery)
		s.expect(t, "fib audit")
		if s.Snapshot().Clean {
			t.Error("Clean after an audit that failed")
		}
	})
}

func (s *stage) synced(peers ...netip.Addr) {
	for _, p := range peers {
		s.OnPeer(bgp.PeerEvent{Peer: p, Up: true, Synced: true})
	}
}

func TestSweepAfterEndOfRIB(t *testing.T) {
	on(t, func(t *testing.T, s *stage) {
		s.OnPeer(bgp.PeerEvent{Peer: isp1, Up: true})
		s.OnPeer(bgp.PeerEvent{Peer: isp1, Reason: "hold timer expired", Stale: true})
		s.synced(isp1, isp16, isp2, netip.MustParseAddr("198.18.9.9"))
		s.expect(t,
			"event bgp.up 198.18.1.2 [asn=0 peer=isp1]",
			"event bgp.down 198.18.1.2 [peer=isp1 reason=hold timer expired stale=true]",
			"event bgp.synced 198.18.1.2 [family=all peer=isp1]",
			"event bgp.synced 2001:db8:1::2 [family=all peer=isp1-v6]",
			"event bgp.synced 198.18.2.2 [family=all peer=isp2]",
			"event bgp.synced 198.18.9.9 [family=all peer=198.18.9.9]")
		s.OnUpdate(bgp.Update{Set: prefixes("0.0.0.0/0")})
		s.synced(gw2)
		synctest.Wait()
		got := s.take()
		if u, w := slices.Index(got, "fib update [0.0.0.0/0] delete []"), slices.Index(got, "fib sweep"); u < 0 || w < u {
			t.Errorf("want the last routes programmed and then the sweep:\n%s", strings.Join(got, "\n"))
		}
		if !slices.Contains(got, "event fib.swept  [after=End-of-RIB of every peer routes=3]") {
			t.Errorf("no fib.swept in:\n%s", strings.Join(got, "\n"))
		}
		s.synced(gw2)
		s.expect(t, "event bgp.synced 198.18.3.2 [family=all peer=gw2]") // once only
	})
}

func TestSweepAfterDeferral(t *testing.T) {
	on(t, func(t *testing.T, s *stage) {
		s.synced(isp1)
		synctest.Wait()
		s.take()
		s.fib.refuseNext("sweep")
		time.Sleep(30*time.Second - time.Nanosecond)
		synctest.Wait()
		if got := s.take(); slices.Contains(got, "fib sweep") {
			t.Errorf("swept before the deferral time:\n%s", strings.Join(got, "\n"))
		}
		time.Sleep(time.Nanosecond)
		const told = "event fib.swept  [after=selection deferral time routes=3]"
		synctest.Wait()
		if got := s.take(); !slices.Contains(got, "fib sweep") || !slices.Contains(got, told) || s.Snapshot().Swept {
			t.Errorf("want a sweep that failed, swept %v:\n%s", s.Snapshot().Swept, strings.Join(got, "\n"))
		}
		time.Sleep(retryAfter)
		s.expect(t, "fib update [] delete []", "fib audit", "fib sweep", told)
		if !s.Snapshot().Swept {
			t.Error("not Swept after a sweep that went well")
		}
		s.bulk.poke()
		s.expect(t, "fib update [] delete []") // once only
	})
}

func TestConfigureRejected(t *testing.T) {
	on(t, func(t *testing.T, s *stage) {
		s.speaker.refuse = errors.New("two peers of one address")
		if err := s.Configure(config.Config{}); err == nil || !strings.Contains(err.Error(), "two peers") {
			t.Errorf("Configure = %v", err)
		}
		s.expect(t, "bgp configure 0") // and BFD goes on as before
		s.speaker.refuse = nil
		next := testConfig()
		next.Neighbors = next.Neighbors[2:3]
		if err := s.Configure(next); err != nil {
			t.Error(err)
		}
		s.expect(t, "bgp configure 1", "bfd set 198.18.2.2@up2 50ms×3")
	})
}

func TestRunFailsWithItsSiblings(t *testing.T) {
	for _, call := range []string{"adopt", "configure"} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage()
			if call == "adopt" {
				s.fib.refuseNext("adopt")
			} else {
				s.speaker.refuse = errors.New("two peers of one address")
			}
			if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), call) {
				t.Errorf("%s: Run = %v", call, err)
			}
		})
	}
}

// The kernel stays as it is at the end, though every BGP session ends then.
func TestTheEndOfTheSessionsAtTheEndFailsNothing(t *testing.T) {
	s := newStage()
	cfg := testConfig()
	s.happened.push(happening{config: &cfg})
	s.OnPeer(bgp.PeerEvent{Peer: isp1, Reason: "sent Cease/Administrative Shutdown"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.fast(ctx); err != nil {
		t.Error(err)
	}
	if got := s.take(); slices.Contains(got, "fib fail 198.18.1.2@up1") {
		t.Errorf("a repair after the end:\n%s", strings.Join(got, "\n"))
	}
}

func TestBFDStepsBetweenAreNotTold(t *testing.T) {
	on(t, func(t *testing.T, s *stage) {
		s.fate(bfdChange(isp1, bfd.Down, bfd.Init))
		s.expect(t)
	})
}

func TestNextHopsOfRoutesAreLearnt(t *testing.T) {
	on(t, func(t *testing.T, s *stage) {
		third := hopOf(netip.MustParseAddr("198.18.2.77"), "up2")
		s.links <- kernel.LinkEvent{Interface: "up2", Up: true}
		s.OnUpdate(bgp.Update{Set: map[netip.Prefix]state.Group{
			netip.MustParsePrefix("0.0.0.0/0"): {Primary: []state.NextHop{third}},
			netip.MustParsePrefix("::/0"):      {},
		}})
		synctest.Wait()
		s.take()
		s.links <- kernel.LinkEvent{Interface: "up2", Up: false}
		synctest.Wait()
		if got := s.take(); !slices.Contains(got, "fib fail 198.18.2.77@up2") {
			t.Errorf("a route's next hop was not failed with its link:\n%s", strings.Join(got, "\n"))
		}
	})
}
