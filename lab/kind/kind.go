package kind

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os/exec"
	"strings"

	"gwlab/topologies"
)

// Spec is all that a lab must do to make a node what it is. Paths are as the
// node sees them; every file lies below /run, which is the node's own.
type Spec struct {
	Sysctls []Sysctl // set in the node's namespace before it has interfaces
	// Bridge asks for one Linux bridge, br0, that holds all ports.
	Bridge       bool
	StaticRoutes []Route
	Files        []File    // in order: directories stand before what is in them
	Processes    []Process // in start order
	// Daemon is the process that routes, the one a fault means when it names
	// none; empty when the node has none.
	Daemon string
	// EventSocket is the unix socket of gatewayd's API, empty on other kinds.
	EventSocket string
	// Needs are the programs the node runs.
	Needs []Need
	// Ready asks the running node which of its sessions are not up yet; nil
	// when a node is ready as soon as its processes run.
	Ready func(ctx context.Context, in Access) (pending []string, err error)
	// Sessions asks the running node for the sessions of its configuration;
	// nil for nodes that have none and for those with an EventSocket, where
	// they are part of the daemon's status.
	Sessions func(ctx context.Context, in Access) ([]Session, error)
}

// Session is a BGP or BFD session as the node's daemon tells it.
type Session struct {
	Protocol string // "bgp" or "bfd"
	Peer     string // address
	Name     string // of the neighbour
	State    string // the daemon's own word
	Up       bool
	Prefixes int // received, of BGP
}

// Sysctl is one kernel setting, its key as sysctl(8) writes it.
type Sysctl struct {
	Key, Value string
	// Optional settings are left out on kernels that do not have them.
	Optional bool
}

// Route is a static route; several next hops share the traffic.
type Route struct {
	Prefix netip.Prefix
	Via    []NextHop
}

// NextHop is a router and the port it is behind.
type NextHop struct {
	Addr netip.Addr
	Port string
}

// File is a file of the node, or a directory when Mode says so.
type File struct {
	Path    string
	Content []byte
	Mode    fs.FileMode
	// Owner is "user:group" as the machine knows them; empty means root's.
	Owner string
}

// Process is a command that runs in the node.
type Process struct {
	Name string
	Argv []string
	Env  map[string]string
	// Restart starts it again whenever it ends by itself.
	Restart bool
	// Socket, when set, is a unix socket the process makes once others can
	// use it: the next process starts after that. One that an earlier life of
	// the node left is to be removed before the process starts.
	Socket string
}

// Access is how a node is asked things.
type Access struct {
	// Run runs a command in the node and returns what it printed.
	Run func(ctx context.Context, argv ...string) ([]byte, error)
	// Dial connects to a unix socket of the node.
	Dial func(ctx context.Context, socket string) (net.Conn, error)
}

// Need is a program a node cannot do without.
type Need struct{ Name, Path, Fix string }

// Check returns an error that says how to get the program when it is missing.
func (n Need) Check() error {
	if _, err := exec.LookPath(n.Path); err != nil {
		return fmt.Errorf("%s: not found: %s", n.Name, n.Fix)
	}
	return nil
}

// Binaries are the programs that nodes run: a path, or a name to look for in
// PATH.
type Binaries struct {
	Gatewayd string
	// UnderTest is the gatewayd of nodes of kind gateway alone, so that a
	// build is tried against neighbours that stay the same; empty means
	// Gatewayd.
	UnderTest string

	Zebra, Bgpd, Bfdd, Vtysh string // FRR
	Bird, Birdc              string // BIRD 2
}

// DefaultBinaries are the programs where Debian's packages put them.
func DefaultBinaries() Binaries {
	return Binaries{
		Gatewayd: "gatewayd",
		Zebra:    "/usr/lib/frr/zebra", Bgpd: "/usr/lib/frr/bgpd", Bfdd: "/usr/lib/frr/bfdd", Vtysh: "vtysh",
		Bird: "/usr/sbin/bird", Birdc: "/usr/sbin/birdc",
	}
}

// Kind is one kind of node.
type Kind struct {
	Name, Doc string
	plan      func(*topologies.Topology, *topologies.Node, Binaries) (Spec, error)
}

// Kinds is the list of all kinds.
func Kinds() []Kind {
	return []Kind{
		{"host", "A machine with an address and a default route, no routing of its own.", planHost},
		{"gateway", "gatewayd as a gateway of the site.", planGateway},
		{"router", "gatewayd as a plain BGP router: ISPs, top-of-rack switches, an internet core.", planRouter},
		{"frr", "FRR (zebra, bgpd, bfdd) from the machine's packages.", planFRR},
		{"bird", "BIRD 2 from the machine's packages.", planBIRD},
		{"bridge", "A switch: one Linux bridge that joins all ports.", planBridge},
		{"exec", "A host that runs the commands it is given.", planExec},
	}
}

// Plan says what a lab must do for a node of t.
func Plan(t *topologies.Topology, n *topologies.Node, b Binaries) (Spec, error) {
	for _, k := range Kinds() {
		if k.Name != n.Kind {
			continue
		}
		s, err := k.plan(t, n, b)
		if err == nil {
			err = s.addProcesses(n)
		}
		if err != nil {
			return Spec{}, fmt.Errorf("plan node %s: %w", n.Name, err)
		}
		return s, nil
	}
	return Spec{}, fmt.Errorf("plan node %s: unknown kind %q", n.Name, n.Kind)
}

// addProcesses adds what the file runs beside the kind's own.
func (s *Spec) addProcesses(n *topologies.Node) error {
	for _, own := range s.Processes {
		for _, p := range n.Processes {
			if p.Name == own.Name {
				return fmt.Errorf("process %q is the name of the kind's own: choose another", p.Name)
			}
		}
	}
	for _, p := range n.Processes {
		s.Processes = append(s.Processes, Process{Name: p.Name, Argv: p.Command, Restart: p.Restart == "always"})
	}
	for i := range s.Processes {
		s.Processes[i].Env = n.Env
	}
	return nil
}

// Check returns an error for each program that is missing.
func (s Spec) Check() error {
	var errs []error
	for _, n := range s.Needs {
		errs = append(errs, n.Check())
	}
	return errors.Join(errs...)
}

// text makes an ordinary file of lines.
func text(path, owner string, lines ...string) File {
	return File{Path: path, Content: []byte(strings.Join(lines, "\n") + "\n"), Mode: 0o640, Owner: owner}
}
