package bgp

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

// packed collects the messages of one packing, and reads them back both with
// this package's decoder and with the codec.
func packed(t *testing.T, f family, do func(*packer) error) (sizes []int, reach, gone []netip.Prefix) {
	t.Helper()
	d := newDecoder(f, true, true, 65001)
	k := &packer{family: f, emit: func(b []byte) error {
		sizes = append(sizes, len(b))
		if _, err := bgp.ParseBGPMessage(b); err != nil {
			t.Errorf("the codec refuses a message: %v", err)
		}
		u, n := d.decode(b[headerLen:])
		if n != nil || u.discarded != "" {
			t.Fatalf("message is refused: %v %s", n, u.discarded)
		}
		reach, gone = append(reach, u.reach...), append(gone, u.withdrawn...)
		return nil
	}}
	if err := do(k); err != nil {
		t.Fatal(err)
	}
	return sizes, reach, gone
}

func sequence(from string, n int) (out []netip.Prefix) {
	for p := prefix(from); n > 0; n-- {
		out = append(out, p)
		p = nextPrefix(p)
	}
	return out
}

func TestUpdatesArePackedFull(t *testing.T) {
	for _, c := range []struct {
		name   string
		family family
		from   string
		hop    string
	}{{"IPv4", bgp.RF_IPv4_UC, "20.0.0.0/24", "10.0.0.1"}, {"IPv6", bgp.RF_IPv6_UC, "2001:db8::/48", "fd00::1"}} {
		t.Run(c.name, func(t *testing.T) {
			attrs := attributes{nextHop: addr(c.hop), communities: []uint32{1, 2, 3}}
			attrs.setPath([]asSegment{{2, []uint32{65001}}})
			a := &advert{attrs.nextHop, attrs.encode(true)}
			want := sequence(c.from, 3000)
			sizes, reach, gone := packed(t, c.family, func(k *packer) error { return k.announce(a, want) })
			if !slices.Equal(reach, want) || len(gone) > 0 {
				t.Errorf("announced %d, read back %d and %d withdrawn", len(want), len(reach), len(gone))
			}
			checkSizes(t, sizes)
			sizes, reach, gone = packed(t, c.family, func(k *packer) error { return k.withdraw(want) })
			if !slices.Equal(gone, want) || len(reach) > 0 {
				t.Errorf("withdrew %d, read back %d", len(want), len(gone))
			}
			checkSizes(t, sizes)
		})
	}
}

// checkSizes wants every message but the last to have no room for another
// prefix, and none beyond the limit of RFC 4271 §4.1.
func checkSizes(t *testing.T, sizes []int) {
	t.Helper()
	for i, n := range sizes {
		if n > maxMessage || (i < len(sizes)-1 && n < maxMessage-8) {
			t.Errorf("message %d of %d has %d octets", i, len(sizes), n)
		}
	}
}

func TestPackingOddLengths(t *testing.T) {
	want := []netip.Prefix{prefix("0.0.0.0/0"), prefix("10.0.0.0/9"), prefix("203.0.113.7/32")}
	_, _, gone := packed(t, bgp.RF_IPv4_UC, func(k *packer) error { return k.withdraw(want) })
	if !slices.Equal(gone, want) {
		t.Errorf("got %v", gone)
	}
}

func TestNextPrefix(t *testing.T) {
	for in, want := range map[string]string{
		"10.0.0.0/24": "10.0.1.0/24", "10.0.255.0/24": "10.1.0.0/24", "10.0.0.0/9": "10.128.0.0/9",
		"255.255.255.0/24": "", "0.0.0.0/0": "", "2001:db8::/48": "2001:db8:1::/48", "192.0.2.254/31": "192.0.3.0/31",
	} {
		got := nextPrefix(prefix(in))
		if (want == "" && got.IsValid()) || (want != "" && got != prefix(want)) {
			t.Errorf("after %s: %s, want %s", in, got, want)
		}
	}
}
