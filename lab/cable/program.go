package cable

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"gwlab/fault"
)

// gate is what the program knows of the traffic that enters at one middle
// end. It is an element of a memory-mapped array that the kernel and this
// process share: turning a gate is one store, and no system call.
type gate struct {
	out       uint32 // interface index the traffic leaves by
	mode      uint32 // 0: pass, else drop
	passed    uint64 // packets; the segments of a GSO packet are counted
	dropped   uint64
	firstDrop uint64 // CLOCK_MONOTONIC ns
	lastDrop  uint64
	lastPass  uint64
	_         [2]uint64 // one cache line a gate
}

const gateSize = int(unsafe.Sizeof(gate{}))

const (
	modePass = 0
	modeDrop = 1
)

// shut drops from now on; FirstDrop is that of this closing.
func (g *gate) shut() {
	atomic.StoreUint64(&g.firstDrop, 0)
	atomic.StoreUint32(&g.mode, modeDrop)
}

// open passes from now on.
func (g *gate) open() {
	atomic.StoreUint32(&g.mode, modePass)
	atomic.StoreUint64(&g.firstDrop, 0)
}

func (g *gate) passes() bool { return atomic.LoadUint32(&g.mode) == modePass }

func (g *gate) last() int64 { return int64(atomic.LoadUint64(&g.lastPass)) }

func (g *gate) counters() fault.Counters {
	return fault.Counters{
		Passed:    atomic.LoadUint64(&g.passed),
		Dropped:   atomic.LoadUint64(&g.dropped),
		FirstDrop: int64(atomic.LoadUint64(&g.firstDrop)),
		LastDrop:  int64(atomic.LoadUint64(&g.lastDrop)),
	}
}

// patch is the program of a lab and its gates; gate i belongs to interface
// index base+i.
type patch struct {
	prog   *ebpf.Program
	memory []byte
	gates  []gate
}

func newPatch(base, n int) (_ *patch, err error) {
	array, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "gwlab_gates", Type: ebpf.Array, KeySize: 4, ValueSize: uint32(gateSize),
		MaxEntries: uint32(n), Flags: unix.BPF_F_MMAPABLE,
	})
	if err != nil {
		return nil, fmt.Errorf("create gates: %w", err)
	}
	// The program and the mapping keep the array alive.
	defer func() { _ = array.Close() }()
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "gwlab_cable", Type: ebpf.SchedCLS, License: "Apache-2.0",
		Instructions: program(array.FD(), base),
	})
	if err != nil {
		return nil, fmt.Errorf("load cable program: %w", err)
	}
	page := unix.Getpagesize()
	size := (n*gateSize + page - 1) / page * page
	memory, err := unix.Mmap(array.FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		_ = prog.Close()
		return nil, fmt.Errorf("map gates: %w", err)
	}
	return &patch{prog, memory, unsafe.Slice((*gate)(unsafe.Pointer(&memory[0])), n)}, nil
}

func (p *patch) Close() error {
	p.gates = nil
	return errors.Join(p.prog.Close(), unix.Munmap(p.memory))
}

// Offsets in struct __sk_buff of linux/bpf.h, and what tc programs return.
const (
	skbIfindex = 40
	skbGSOSegs = 164
	actShot    = 2 // TC_ACT_SHOT
)

// program looks up the gate of the interface a packet came in by, counts, and
// sends it out by the interface across or drops it.
func program(gates, base int) asm.Instructions {
	var g gate
	field := func(offset uintptr) int16 { return int16(offset) }
	return asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R2, asm.R6, skbIfindex, asm.Word),
		asm.Sub.Imm(asm.R2, int32(base)),
		asm.StoreMem(asm.RFP, -4, asm.R2, asm.Word),
		asm.LoadMapPtr(asm.R1, gates),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "shot"),
		asm.Mov.Reg(asm.R7, asm.R0),
		// R8: now. R9: packets, at least one.
		asm.FnKtimeGetNs.Call(),
		asm.Mov.Reg(asm.R8, asm.R0),
		asm.LoadMem(asm.R9, asm.R6, skbGSOSegs, asm.Word),
		asm.JNE.Imm(asm.R9, 0, "counted"),
		asm.Mov.Imm(asm.R9, 1),
		asm.LoadMem(asm.R1, asm.R7, field(unsafe.Offsetof(g.mode)), asm.Word).WithSymbol("counted"),
		asm.JNE.Imm(asm.R1, modePass, "drop"),
		asm.AddAtomic.Mem(asm.R7, asm.R9, asm.DWord, field(unsafe.Offsetof(g.passed))),
		asm.StoreMem(asm.R7, field(unsafe.Offsetof(g.lastPass)), asm.R8, asm.DWord),
		asm.LoadMem(asm.R1, asm.R7, field(unsafe.Offsetof(g.out)), asm.Word),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirect.Call(),
		asm.Return(),
		asm.AddAtomic.Mem(asm.R7, asm.R9, asm.DWord, field(unsafe.Offsetof(g.dropped))).WithSymbol("drop"),
		asm.StoreMem(asm.R7, field(unsafe.Offsetof(g.lastDrop)), asm.R8, asm.DWord),
		asm.LoadMem(asm.R1, asm.R7, field(unsafe.Offsetof(g.firstDrop)), asm.DWord),
		asm.JNE.Imm(asm.R1, 0, "shot"),
		asm.StoreMem(asm.R7, field(unsafe.Offsetof(g.firstDrop)), asm.R8, asm.DWord),
		asm.Mov.Imm(asm.R0, actShot).WithSymbol("shot"),
		asm.Return(),
	}
}

// attach puts the program on interfaces of the namespace that the calling
// thread and the socket are in, for the interfaces' life. An ingress qdisc
// with cls_bpf is tried first and tcx serves where the kernel lacks that:
// attaching by tcx waits for an RCU grace period each time, some 10 ms an
// interface.
func (p *patch) attach(socket *rtnl, indexes []int) error {
	err := p.attachFilters(socket, indexes)
	if err == nil {
		return nil
	}
	if tcx := p.attachTCX(indexes); tcx != nil {
		return fmt.Errorf("attach cable program: cls_bpf: %w; tcx: %w", err, tcx)
	}
	return nil
}

func (p *patch) attachTCX(indexes []int) error {
	for _, index := range indexes {
		err := link.RawAttachProgram(link.RawAttachProgramOptions{
			Target: index, Program: p.prog, Attach: ebpf.AttachTCXIngress,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// attachFilters makes all qdiscs before the first filter: a filter's
// installation waits for readers of its qdisc's past, and by then there are none.
func (p *patch) attachFilters(socket *rtnl, indexes []int) error {
	var b batch
	for _, add := range []func(int){
		b.ingressQdisc,
		func(index int) { b.bpfFilter(index, p.prog.FD()) },
	} {
		for i, index := range indexes {
			add(index)
			if b.full() || i == len(indexes)-1 {
				_, err := socket.do(&b)
				b.reset()
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}
