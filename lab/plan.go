package lab

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"gwlab/lab/netns"
	"gwlab/lab/proc"
	"gwlab/topologies"
)

// plan is what a node needs to run, beside its links.
type plan struct {
	hosts     string // text of /etc/hosts
	private   []string
	init      []string
	processes []proc.Command
	sysctls   []netns.Sysctl
	routes    []netip.Addr
}

func planAll(t *topologies.Topology, _ any) ([]plan, error) {
	hosts := hostsFile(t)
	var all []plan
	for _, n := range t.Nodes {
		p := plan{hosts: hosts, init: []string{"/proc/self/exe", nodeInitArg}, sysctls: netns.NoAutoconf()}
		for _, c := range n.Processes {
			p.processes = append(p.processes, proc.Command{Name: c.Name, Argv: c.Command, Env: n.Env, Restart: c.Restart == "always"})
		}
		for _, port := range n.Ports {
			p.routes = append(p.routes, port.DefaultVia...)
		}
		all = append(all, p)
	}
	return all, nil
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

// configure sets up the node's namespace.
func (p plan) configure(path string) error {
	if len(p.routes) == 0 {
		return nil
	}
	return netns.Do(path, func() error {
		for _, via := range p.routes {
			r := netlink.Route{Gw: via.AsSlice(), Protocol: unix.RTPROT_STATIC, Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}}
			if via.Is6() {
				r.Dst = &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}
			}
			if err := netlink.RouteReplace(&r); err != nil {
				return fmt.Errorf("add default route via %s: %w", via, err)
			}
		}
		return nil
	})
}
