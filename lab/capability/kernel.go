package capability

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	bpflink "github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// with opens a handle in the scratch namespace the try runs in.
func with(try func(*netlink.Handle) error) (string, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return "", fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	return "", try(h)
}

func named(name string) netlink.LinkAttrs {
	a := netlink.NewLinkAttrs()
	a.Name = name
	return a
}

// pair gives the scratch namespace an interface to try things on.
func pair(h *netlink.Handle) (netlink.Link, error) {
	if err := h.LinkAdd(&netlink.Veth{LinkAttrs: named("a"), PeerName: "b"}); err != nil {
		return nil, fmt.Errorf("add veth: %w", err)
	}
	return h.LinkByName("a")
}

func tryVeth(context.Context) (string, error) {
	return with(func(h *netlink.Handle) error { _, err := pair(h); return err })
}

func tryBridge(context.Context) (string, error) {
	return with(func(h *netlink.Handle) error { return h.LinkAdd(&netlink.Bridge{LinkAttrs: named("x")}) })
}

func tryDummy(context.Context) (string, error) {
	return with(func(h *netlink.Handle) error { return h.LinkAdd(&netlink.Dummy{LinkAttrs: named("x")}) })
}

func tryVxlan(context.Context) (string, error) {
	return with(func(h *netlink.Handle) error {
		return h.LinkAdd(&netlink.Vxlan{LinkAttrs: named("x"), VxlanId: 1, Port: 4789, SrcAddr: net.IPv4(127, 0, 0, 1)})
	})
}

func tryVRF(context.Context) (string, error) {
	return with(func(h *netlink.Handle) error { return h.LinkAdd(&netlink.Vrf{LinkAttrs: named("x"), Table: 10}) })
}

func tryBond(context.Context) (string, error) {
	return with(func(h *netlink.Handle) error {
		b := netlink.NewLinkBond(named("x"))
		b.Mode = netlink.BOND_MODE_802_3AD
		return h.LinkAdd(b)
	})
}

func tryVLAN(context.Context) (string, error) {
	return with(func(h *netlink.Handle) error {
		l, err := pair(h)
		if err != nil {
			return err
		}
		a := named("x")
		a.ParentIndex = l.Attrs().Index
		return h.LinkAdd(&netlink.Vlan{LinkAttrs: a, VlanId: 10, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q})
	})
}

func tryNetem(context.Context) (string, error) {
	return with(func(h *netlink.Handle) error {
		l, err := pair(h)
		if err != nil {
			return err
		}
		return h.QdiscAdd(netlink.NewNetem(
			netlink.QdiscAttrs{LinkIndex: l.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
			netlink.NetemQdiscAttrs{Latency: 1000},
		))
	})
}

// raw sends one request that the library does not know.
func raw(protocol, kind int, header []byte, attrs ...*nl.RtAttr) (string, error) {
	req := nl.NewNetlinkRequest(kind, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	req.AddData(fixed(header))
	for _, a := range attrs {
		req.AddData(a)
	}
	_, err := req.Execute(protocol, 0)
	return "", err
}

// fixed is the header of a request, before its attributes.
type fixed []byte

func (f fixed) Len() int          { return len(f) }
func (f fixed) Serialize() []byte { return f }

// tryNexthop adds a blackhole next hop and, as gatewayd does, a resilient
// group of it.
func tryNexthop(context.Context) (string, error) {
	// The kernel makes blackholes on lo, which has to be up.
	if detail, err := with(func(h *netlink.Handle) error {
		lo, err := h.LinkByIndex(loopback)
		if err != nil {
			return err
		}
		return h.LinkSetUp(lo)
	}); err != nil {
		return detail, fmt.Errorf("set lo up: %w", err)
	}
	// struct nhmsg: family, scope, protocol, reserved, flags
	if detail, err := raw(unix.NETLINK_ROUTE, unix.RTM_NEWNEXTHOP, []byte{unix.AF_INET, 0, 0, 0, 0, 0, 0, 0},
		nl.NewRtAttr(unix.NHA_ID, nl.Uint32Attr(1)), nl.NewRtAttr(unix.NHA_BLACKHOLE, nil)); err != nil {
		return detail, fmt.Errorf("add next hop: %w", err)
	}
	// struct nexthop_grp: id, weight-1, reserved
	const resilient, resGroup, resBuckets = 1, 12, 1 // of linux/nexthop.h
	buckets := nl.NewRtAttr(resGroup|unix.NLA_F_NESTED, nil)
	buckets.AddRtAttr(resBuckets, nl.Uint16Attr(32))
	member := append(binary.NativeEndian.AppendUint32(nil, 1), 0, 0, 0, 0)
	detail, err := raw(unix.NETLINK_ROUTE, unix.RTM_NEWNEXTHOP, []byte{unix.AF_UNSPEC, 0, 0, 0, 0, 0, 0, 0},
		nl.NewRtAttr(unix.NHA_ID, nl.Uint32Attr(2)), nl.NewRtAttr(unix.NHA_GROUP, member),
		nl.NewRtAttr(unix.NHA_GROUP_TYPE, nl.Uint16Attr(resilient)), buckets)
	if err != nil {
		return detail, fmt.Errorf("add resilient next hop group: %w", err)
	}
	return detail, nil
}

// tryNftables asks for the rule set's generation (NFT_MSG_GETGEN).
func tryNftables(context.Context) (string, error) {
	const getGen = 16
	return raw(unix.NETLINK_NETFILTER, unix.NFNL_SUBSYS_NFTABLES<<8|getGen, []byte{unix.AF_UNSPEC, 0, 0, 0})
}

// filter loads the smallest tc program there is.
func filter() (*ebpf.Program, error) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "Apache-2.0",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		return nil, fmt.Errorf("load bpf program: %w", err)
	}
	return p, nil
}

// loopback is lo's interface index in every namespace.
const loopback = 1

func tryTCX(context.Context) (string, error) {
	p, err := filter()
	if err != nil {
		return "", err
	}
	defer func() { _ = p.Close() }()
	return "", bpflink.RawAttachProgram(bpflink.RawAttachProgramOptions{Target: loopback, Program: p, Attach: ebpf.AttachTCXIngress})
}

func tryClsBPF(context.Context) (string, error) {
	p, err := filter()
	if err != nil {
		return "", err
	}
	defer func() { _ = p.Close() }()
	return with(func(h *netlink.Handle) error {
		if err := h.QdiscAdd(&netlink.Ingress{QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: loopback, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_INGRESS,
		}}); err != nil {
			return fmt.Errorf("add ingress qdisc: %w", err)
		}
		return h.FilterAdd(&netlink.BpfFilter{
			FilterAttrs: netlink.FilterAttrs{
				LinkIndex: loopback, Parent: netlink.MakeHandle(0xffff, 0), Handle: 1, Priority: 1, Protocol: unix.ETH_P_ALL,
			},
			Fd: p.FD(), Name: "try", DirectAction: true,
		})
	})
}

// tryCable wants an array that can be mapped and one way to attach.
func tryCable(ctx context.Context) (string, error) {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 64, MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE})
	if err != nil {
		return "", fmt.Errorf("create mappable array: %w", err)
	}
	_ = m.Close()
	_, cls := tryClsBPF(ctx)
	if cls == nil {
		return "by cls_bpf", nil
	}
	if _, tcx := tryTCX(ctx); tcx != nil {
		return "", errors.Join(cls, tcx)
	}
	return "by tcx", nil
}
