package cable

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// attributes parses what a batch wrote, with a parser that is not ours.
func attributes(t *testing.T, b []byte) map[uint16][]byte {
	t.Helper()
	list, err := nl.ParseRouteAttr(b)
	if err != nil {
		t.Fatalf("%v in %s", err, hex.EncodeToString(b))
	}
	m := map[uint16][]byte{}
	for _, a := range list {
		m[a.Attr.Type] = a.Value
	}
	return m
}

func TestVethMessage(t *testing.T) {
	var b batch
	b.veth("make it", half{"one", 1000, -1, true}, half{"two", 1001, 7, false}, 9000)
	if got := int(native.Uint32(b.buf)); got != len(b.buf) {
		t.Fatalf("length field %d, message %d", got, len(b.buf))
	}
	body := b.buf[unix.SizeofNlMsghdr:]
	if index, flags := native.Uint32(body[4:]), native.Uint32(body[8:]); index != 1000 || flags != unix.IFF_UP {
		t.Errorf("first half: index %d, flags %#x", index, flags)
	}
	one := attributes(t, body[unix.SizeofIfInfomsg:])
	if string(one[unix.IFLA_IFNAME]) != "one\x00" || native.Uint32(one[unix.IFLA_MTU]) != 9000 {
		t.Errorf("first half: %v", one)
	}
	if _, ok := one[unix.IFLA_NET_NS_FD]; ok {
		t.Error("first half is sent away from the socket's namespace")
	}
	info := attributes(t, one[unix.IFLA_LINKINFO])
	peer := attributes(t, info[unix.IFLA_INFO_DATA])[vethInfoPeer]
	if string(info[unix.IFLA_INFO_KIND]) != "veth\x00" || native.Uint32(peer[4:]) != 1001 || native.Uint32(peer[8:]) != 0 {
		t.Errorf("peer: %s", hex.EncodeToString(peer))
	}
	two := attributes(t, peer[unix.SizeofIfInfomsg:])
	if string(two[unix.IFLA_IFNAME]) != "two\x00" || native.Uint32(two[unix.IFLA_NET_NS_FD]) != 7 {
		t.Errorf("second half: %v", two)
	}
}

func TestAddressMessage(t *testing.T) {
	for text, family := range map[string]byte{"198.18.0.1/24": unix.AF_INET, "fd00::1/64": unix.AF_INET6} {
		p := netip.MustParsePrefix(text)
		var b batch
		b.address("add it", 5, p)
		body := b.buf[unix.SizeofNlMsghdr:]
		if body[0] != family || int(body[1]) != p.Bits() || native.Uint32(body[4:]) != 5 {
			t.Errorf("%s: header % x", text, body[:8])
		}
		a := attributes(t, body[unix.SizeofIfAddrmsg:])
		if !bytes.Equal(a[unix.IFA_LOCAL], p.Addr().AsSlice()) {
			t.Errorf("%s: local % x", text, a[unix.IFA_LOCAL])
		}
		if _, nodad := a[unix.IFA_FLAGS]; nodad != p.Addr().Is6() {
			t.Errorf("%s: nodad %t", text, nodad)
		}
	}
}

func TestRefusalNamesTheRequestAndTheRestIsDone(t *testing.T) {
	needRoot(t)
	s := pair(t, Veth, 1)
	build(t, s)
	a := s.Links[0].A
	err := withPort(a.Netns, a.Name, func(socket *rtnl, i iface) error {
		var b batch
		b.setUp("change what is not there", 99999, true)
		b.address("add second address", i.index, netip.MustParsePrefix("198.18.77.1/24"))
		b.get("read back", i.index)
		links, err := socket.do(&b)
		if len(links) != 1 || links[0].name != a.Name || links[0].peer != s.Links[0].B.Index {
			t.Errorf("described: %+v", links)
		}
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "change what is not there: no such device") {
		t.Errorf("refusal: %v", err)
	}
	if out, _ := inside(t, a.Netns, "ip", "-o", "-4", "addr"); !strings.Contains(out, "198.18.77.1") {
		t.Errorf("request after the refused one was not done:\n%s", out)
	}
}

func FuzzParseLink(f *testing.F) {
	var b batch
	b.veth("seed", half{"one", 2, 3, true}, half{"two", 3, 4, false}, 1500)
	f.Add(b.buf[unix.SizeofNlMsghdr:])
	b.reset()
	b.begin("seed", unix.RTM_NEWLINK, 0)
	b.ifinfo(7, 1, 1)
	b.str(unix.IFLA_IFNAME, "p0")
	b.u32(unix.IFLA_LINK, 8)
	b.end()
	f.Add(b.buf[unix.SizeofNlMsghdr:])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		if i := parseLink(body); len(body) < unix.SizeofIfInfomsg && i != (iface{}) {
			t.Errorf("%d bytes described %+v", len(body), i)
		}
	})
}
