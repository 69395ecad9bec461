package kernel

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"gwlab/gateway/state"
)

const (
	// DefaultProtocol marks every route and nexthop object of this daemon
	// (rtm_protocol, nh_protocol). rtnetlink.h names nothing from 193 to 255,
	// and FRR takes up to 198 for itself (zebra/rt_netlink.h).
	DefaultProtocol = 201
	// DefaultMetric of all routes, both families: below IPv6's default of
	// 1024, above hand-made IPv4 routes, which have none.
	DefaultMetric = 20
	// firstID starts the range of our nexthop ids: "gw" and 16 bits. Other
	// daemons count from small numbers.
	firstID, lastID = 0x67770001, 0x6777ffff
	// chunkRoutes is how many routes one system call carries. Between two
	// chunks a repair gets its turn: the kernel's own lock is taken anew for
	// every message, and who works through many is seldom the one who waits.
	chunkRoutes = 128
)

// Options of a Netlink. The zero value of each means its default.
type Options struct {
	Table    int // routing table; default 254 (main)
	Metric   int // of every route; default 20
	Protocol int // 1 … 255, of every route and nexthop object; default 201
	// MultipathHash is what Prepare sets: "l3" addresses, "l4" (default)
	// addresses and ports, "inner" the innermost header of a tunnel.
	MultipathHash string
	// HashSeed is what Prepare sets, if not 0: routers in a row that hash
	// alike would all make the same choice for a flow (polarisation), and
	// the network namespaces of one machine share their seed.
	HashSeed uint32
}

func (o Options) withDefaults() Options {
	if o.Table == 0 {
		o.Table = unix.RT_TABLE_MAIN
	}
	if o.Metric == 0 {
		o.Metric = DefaultMetric
	}
	if o.Protocol == 0 {
		o.Protocol = DefaultProtocol
	}
	if o.MultipathHash == "" {
		o.MultipathHash = "l4"
	}
	return o
}

// Netlink is the FIB of the kernel. It works in the network namespace of the
// thread that called New.
//
// Two locks split it, taken in this order when both are needed: routeMu for
// the routes, held for one chunk of a bulk change; mu for the groups, held
// for one small batch. Fail takes mu alone, on a socket of its own, so no
// bulk change delays it. That is sound because routes only ever point at
// groups: whatever a chunk in flight does, the repaired group decides.
type Netlink struct {
	opt Options

	routeMu sync.Mutex
	bulk    *conn
	routes  map[netip.Prefix]*route
	stale   map[netip.Prefix]uint32 // group ids of adopted routes nobody claimed yet
	missing map[netip.Prefix]bool   // routes the kernel refused or lost; retried
	audits  uint32

	// repairs counts the callers of Fail and Restore: bulk changes let them pass.
	repairs atomic.Int32

	mu sync.Mutex
	groupTable
}

var _ FIB = (*Netlink)(nil)

// route is one desired route.
type route struct {
	group *group
	told  uint32 // id of the group the kernel's route points at, 0 for no route
	seen  uint32 // number of the last audit that found it right
}

// New opens the sockets; it changes nothing in the kernel.
func New(o Options) (*Netlink, error) {
	o = o.withDefaults()
	bulk, err := dial()
	if err != nil {
		return nil, err
	}
	fast, err := dial()
	if err != nil {
		return nil, errors.Join(err, bulk.close())
	}
	n := &Netlink{
		opt:        o,
		bulk:       bulk,
		groupTable: newGroupTable(fast, byte(o.Protocol)),
	}
	n.forgetRoutes()
	return n, nil
}

func (n *Netlink) forgetRoutes() {
	n.routes = map[netip.Prefix]*route{}
	n.stale = map[netip.Prefix]uint32{}
	n.missing = map[netip.Prefix]bool{}
}

// Close closes the sockets and leaves the kernel as it is: packets keep flowing.
func (n *Netlink) Close() error {
	n.routeMu.Lock()
	defer n.routeMu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	return errors.Join(n.bulk.close(), n.fast.close())
}

// Set makes the kernel's state this one. Its Down replaces what Fail and
// Restore said, so no repair may run at the same time.
func (n *Netlink) Set(s state.State) (Applied, error) {
	start := time.Now()
	moved, err := n.setDown(s.Down)
	if err != nil {
		return moved, fmt.Errorf("set dead next hops: %w", err)
	}
	n.routeMu.Lock()
	var del []netip.Prefix
	for p := range n.routes {
		if _, ok := s.Routes[p]; !ok {
			del = append(del, p)
		}
	}
	n.routeMu.Unlock()
	applied, err := n.Update(s.Routes, del)
	applied.Groups += moved.Groups
	applied.NextHops += moved.NextHops
	applied.Took = time.Since(start)
	return applied, err
}

// setDown replaces the set of dead next hops and moves the groups it concerns.
func (n *Netlink) setDown(down map[state.NextHop]bool) (Applied, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	changes := state.Diff(state.State{Down: n.down}, state.State{Down: down})
	var groups []*group
	var moved Applied
	for _, h := range changes.Failed {
		applied, err := n.fail(h)
		if err != nil {
			return moved, err
		}
		moved.Groups += applied.Groups
	}
	for _, h := range changes.Restored {
		n.markDown(h, false)
		groups = append(groups, n.using(h)...)
	}
	applied, err := n.tell(groups, false)
	applied.Groups += moved.Groups
	return applied, err
}

// Fail takes the next hop out of every group. Routes of a group that the
// kernel had already deleted (its last member lost carrier) come back with
// the next Update, an empty one included, the shortest prefixes first.
func (n *Netlink) Fail(h state.NextHop) (Applied, error) {
	start := time.Now()
	defer n.repair()()
	applied, err := n.fail(h)
	applied.Took = time.Since(start)
	if err != nil {
		return applied, fmt.Errorf("fail next hop %s: %w", h, err)
	}
	return applied, nil
}

// Restore puts the next hop back into every group, after making its nexthop
// object anew: Fail and carrier loss delete it. Routes deleted with it come
// back with the next Update, an empty one included. Unlike Fail it replaces
// groups, which for IPv6 costs 0.5 µs a route behind them.
func (n *Netlink) Restore(h state.NextHop) (Applied, error) {
	start := time.Now()
	defer n.repair()()
	was := n.dead[h]
	n.markDown(h, false)
	if was {
		n.retry(h)
	}
	applied, err := n.tell(n.using(h), was)
	applied.Took = time.Since(start)
	if err != nil {
		return applied, fmt.Errorf("restore next hop %s: %w", h, err)
	}
	return applied, nil
}

// repair takes mu ahead of bulk changes; it returns the way to give it back.
func (n *Netlink) repair() func() {
	n.repairs.Add(1)
	n.mu.Lock()
	return func() {
		n.mu.Unlock()
		n.repairs.Add(-1)
	}
}

// giveWay lets repairs that wait pass.
func (n *Netlink) giveWay() {
	if n.repairs.Load() > 0 {
		n.mu.Lock()
		n.mu.Unlock() //nolint:staticcheck // an empty section is the point: it waits its turn
	}
}

// Down returns the next hops held dead by Set, Fail and Restore.
func (n *Netlink) Down() map[state.NextHop]bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return state.State{Down: n.down}.Clone().Down
}
