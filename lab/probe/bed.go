package probe

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"gwlab/fault"
	"gwlab/lab/cable"
	"gwlab/lab/netns"
	"gwlab/reports/convergence"
)

const bedLink = "cable"

// Bed is two hosts joined by one cable: the smallest place to measure a
// known outage. Its namespaces are named after it.
type Bed struct {
	A, B   string // namespace paths
	names  []string
	cables *cable.Cables
}

// NewBed makes the namespaces NAME-a, NAME-b and NAME-middle and the cable.
// Close removes them.
func NewBed(name string) (*Bed, error) {
	b := &Bed{A: netns.Path(name + "-a"), B: netns.Path(name + "-b")}
	sysctls := map[string][]netns.Sysctl{"-a": netns.NoAutoconf(), "-b": netns.NoAutoconf(), "-middle": netns.Mute()}
	var err error
	for _, side := range []string{"-a", "-b", "-middle"} {
		if err = netns.Create(name+side, sysctls[side]...); err != nil {
			break
		}
		b.names = append(b.names, name+side)
	}
	if err == nil {
		b.cables, err = cable.Build(cable.Spec{Middle: netns.Path(name + "-middle"), Links: []cable.Link{{
			Name: bedLink, Type: cable.Cable,
			A: cable.End{Netns: b.A, Name: "eth0", Index: 101, Addresses: bedAddresses(1), Up: true},
			B: cable.End{Netns: b.B, Name: "eth0", Index: 102, Addresses: bedAddresses(2), Up: true},
		}}})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make test bed: %w", err), b.Close())
	}
	return b, nil
}

func bedAddresses(host byte) []netip.Prefix {
	v6 := netip.MustParseAddr("fd00::").As16()
	v6[15] = host
	return []netip.Prefix{
		netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, 0, host}), 24),
		netip.PrefixFrom(netip.AddrFrom16(v6), 64),
	}
}

// Close removes the bed and all in it.
func (b *Bed) Close() error {
	var errs []error
	if b.cables != nil {
		errs = append(errs, b.cables.Close())
	}
	for _, name := range b.names {
		errs = append(errs, netns.Delete(name))
	}
	return errors.Join(errs...)
}

// Gate closes or opens the cable in both directions; carrier stays.
func (b *Bed) Gate(closed bool) (call, done int64, err error) {
	state := fault.CableState{AtoB: fault.PassAll, BtoA: fault.PassAll, Carrier: true}
	if closed {
		state.AtoB, state.BtoA = fault.PassNone, fault.PassNone
	}
	effect, err := b.cables.Set(bedLink, state)
	return effect.Call, effect.Return, err
}

// Flows are n flows from A to B by IPv4, "out", and n from B to A by IPv6, "in".
func (b *Bed) Flows(n int, interval time.Duration) []Flow {
	var list []Flow
	for i := range n {
		for _, d := range []struct{ group, from, to, src, dst string }{
			{"out", b.A, b.B, "198.18.0.1", "198.18.0.2"},
			{"in", b.B, b.A, "fd00::2", "fd00::1"},
		} {
			list = append(list, Flow{FromNetns: d.from, ToNetns: d.to, Flow: convergence.Flow{
				ID: uint16(len(list) + 1), Group: d.group, Index: i, Interval: interval,
				Src: netip.AddrPortFrom(netip.MustParseAddr(d.src), uint16(20000+i)).String(),
				Dst: netip.AddrPortFrom(netip.MustParseAddr(d.dst), 7000).String(),
			}})
		}
	}
	return list
}
