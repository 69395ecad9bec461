package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"gwlab/lab/kind"
	"gwlab/lab/netns"
	"gwlab/topologies"
)

// planAll asks every node's kind what to do for it, and refuses what this
// machine cannot do. Nothing is built.
func planAll(t *topologies.Topology, b kind.Binaries) ([]kind.Spec, error) {
	var all []kind.Spec
	lacking := make(map[string]bool) // one program may be needed by many nodes
	var errs []error
	for _, n := range t.Nodes {
		spec, err := kind.Plan(t, n, b)
		if err != nil {
			return nil, err
		}
		if err := spec.Check(); err != nil && !lacking[err.Error()] {
			lacking[err.Error()] = true
			errs = append(errs, fmt.Errorf("node %s (%s) needs %w", n.Name, n.Kind, err))
		}
		for _, f := range spec.Files {
			if !filepath.IsLocal(strings.TrimPrefix(f.Path, "/run/")) || !strings.HasPrefix(f.Path, "/run/") {
				errs = append(errs, fmt.Errorf("node %s: file %s is not below /run", n.Name, f.Path))
			}
		}
		all = append(all, spec)
	}
	return all, errors.Join(errs...)
}

// needs names the capabilities of the machine that a lab stands on.
func needs(t *topologies.Topology, specs []kind.Spec) []string {
	all := []string{"netns", "ipv6"}
	add := func(name string, wanted bool) {
		if wanted && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	for _, s := range specs {
		add("node", len(s.Processes) > 0)
		add("nexthop", s.EventSocket != "")
	}
	for _, l := range t.Links {
		add("cable", l.Type == "cable")
	}
	return all
}

// hostsFile names every node by its first address of each family.
func hostsFile(t *topologies.Topology) string {
	var text strings.Builder
	text.WriteString("127.0.0.1 localhost\n::1 localhost\n")
	for _, n := range t.Nodes {
		for _, family := range topologies.Families() {
			for _, p := range n.Ports {
				if a := p.Addr(family); a.IsValid() {
					fmt.Fprintf(&text, "%s %s\n", a, n.Name)
					break
				}
			}
		}
	}
	return text.String()
}

// sysctls in the form in which a namespace is created with them.
func sysctls(s kind.Spec) []netns.Sysctl {
	var all []netns.Sysctl
	for _, one := range s.Sysctls {
		if one.Optional && !known(one.Key) {
			continue
		}
		all = append(all, netns.Sysctl{Key: one.Key, Value: one.Value})
	}
	return all
}

// known tells whether this kernel has a setting.
func known(key string) bool {
	_, err := os.Stat("/proc/sys/" + strings.ReplaceAll(key, ".", "/"))
	return err == nil
}

// onHost is where a path below a node's /run is found from outside.
func onHost(nodeDir, path string) string { return filepath.Join(nodeDir, path) }

// writeFiles empties the node's /run and writes its files there.
func writeFiles(nodeDir string, files []kind.File) error {
	run := onHost(nodeDir, "/run")
	if err := os.RemoveAll(run); err != nil {
		return fmt.Errorf("empty /run: %w", err)
	}
	if err := os.MkdirAll(run, 0o755); err != nil {
		return fmt.Errorf("make /run: %w", err)
	}
	for _, f := range files {
		if err := writeFile(onHost(nodeDir, f.Path), f); err != nil {
			return fmt.Errorf("write %s: %w", f.Path, err)
		}
	}
	return nil
}

func writeFile(path string, f kind.File) error {
	var err error
	if f.Mode&fs.ModeDir != 0 {
		err = os.Mkdir(path, f.Mode.Perm())
	} else {
		err = os.WriteFile(path, f.Content, f.Mode.Perm())
	}
	if err == nil {
		err = os.Chmod(path, f.Mode.Perm()) // whatever the umask says
	}
	if err != nil || f.Owner == "" {
		return err
	}
	uid, gid, err := owner(f.Owner)
	if err != nil {
		return err
	}
	return os.Chown(path, uid, gid)
}

// owner looks "user:group" up.
func owner(text string) (uid, gid int, err error) {
	name, group, _ := strings.Cut(text, ":")
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, fmt.Errorf("find owner: %w", err)
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, 0, fmt.Errorf("find owner: %w", err)
	}
	if uid, err = strconv.Atoi(u.Uid); err == nil {
		gid, err = strconv.Atoi(g.Gid)
	}
	return uid, gid, err
}

// configure gives the node's kernel what it has beside ports and addresses.
// Doing it again changes nothing.
func configure(namespace string, n *topologies.Node, s kind.Spec) error {
	if !s.Bridge && len(s.StaticRoutes) == 0 {
		return nil
	}
	return netns.Do(namespace, func() error {
		if s.Bridge {
			if err := makeBridge(n); err != nil {
				return err
			}
		}
		for _, r := range s.StaticRoutes {
			if err := addRoute(n, r); err != nil {
				return fmt.Errorf("add route %s: %w", r.Prefix, err)
			}
		}
		return nil
	})
}

// makeBridge joins all ports of the node in a bridge.
func makeBridge(n *topologies.Node) error {
	br := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}
	if err := netlink.LinkAdd(br); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("make br0: %w", err)
	}
	made, err := netlink.LinkByName("br0")
	if err != nil {
		return fmt.Errorf("find br0: %w", err)
	}
	for _, p := range n.Ports {
		port := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: p.Index}}
		if err := netlink.LinkSetMasterByIndex(port, made.Attrs().Index); err != nil {
			return fmt.Errorf("put %s into br0: %w", p.Name, err)
		}
	}
	if err := netlink.LinkSetUp(made); err != nil {
		return fmt.Errorf("set br0 up: %w", err)
	}
	return nil
}

func addRoute(n *topologies.Node, r kind.Route) error {
	route := netlink.Route{Dst: ipNet(r.Prefix), Protocol: unix.RTPROT_STATIC}
	for _, via := range r.Via {
		p := n.Port(via.Port)
		if p == nil {
			return fmt.Errorf("no port %q on node %s", via.Port, n.Name)
		}
		route.MultiPath = append(route.MultiPath, &netlink.NexthopInfo{LinkIndex: p.Index, Gw: via.Addr.AsSlice()})
	}
	if len(route.MultiPath) == 1 {
		route.LinkIndex, route.Gw = route.MultiPath[0].LinkIndex, route.MultiPath[0].Gw
		route.MultiPath = nil
	}
	return netlink.RouteReplace(&route)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Masked().Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
