package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"gwlab/lab"
	"gwlab/scenarios"
	"gwlab/topologies"
)

func (a *app) up() *cobra.Command {
	var ref, name, gatewayd, gateway string
	var set []string
	timeout := time.Minute
	c := &cobra.Command{
		Use:     "up",
		Short:   "Bring a lab up to live in",
		Long:    "Bring a lab up and return when every BGP and BFD session is up.",
		Example: "  gwlab up -t pair",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if timeout <= 0 {
				return badInput(fmt.Errorf("timeout %v is out of range: more than 0s", timeout))
			}
			t, err := loadTopology(ref, gateway, set)
			if err != nil {
				return badInput(err)
			}
			b, err := binaries(gatewayd, gateway)
			if err != nil {
				return badInput(err)
			}
			start := time.Now()
			p := a.newProgress()
			l, err := lab.Up(c.Context(), lab.UpOptions{Topology: t, Name: name, Binaries: b, WaitReady: true, Timeout: timeout}, p.lab)
			p.done()
			if err != nil {
				return labError(c.Context(), err)
			}
			defer l.Close() //nolint:errcheck // the connection of a client that is done
			s, err := l.Status(c.Context())
			if err != nil {
				return broken(err)
			}
			if a.output == "json" {
				return a.json(s)
			}
			a.showStatus(s)
			fmt.Fprintf(a.out, "\n%s is up after %.1f s. What next:\n", l.Name(), time.Since(start).Seconds())
			a.showNext(l.Name(), t)
			return nil
		},
	}
	topologyFlag(c, &ref)
	f := c.Flags()
	f.StringVar(&name, "name", "", "name of the lab (default: the topology's)")
	f.StringVar(&gateway, "gateway", "gatewayd", "implementation on the gateway nodes: gatewayd, frr, bird or the path of a gatewayd build")
	f.StringVar(&gatewayd, "gatewayd", "", "path of the gatewayd to run (default: beside gwlab)")
	f.StringArrayVar(&set, "set", nil, "change the topology: NODE.KEY=VALUE, such as isp1.feed.ipv4=100000")
	f.DurationVar(&timeout, "timeout", timeout, "give up after this long")
	return c
}

// build is the path of the gatewayd that --gateway names, empty for the
// implementations that have a name of their own.
func build(gateway string) string {
	switch gateway {
	case "", "gatewayd", "frr", "bird":
		return ""
	default:
		return gateway
	}
}

// loadTopology reads a file, or else a library topology, and applies what
// the command line changes.
func loadTopology(ref, gateway string, set []string) (*topologies.Topology, error) {
	var opts []topologies.Option
	switch gateway {
	case "", "gatewayd":
	case "frr", "bird":
		opts = append(opts, topologies.Gateway(gateway))
	default:
		if _, err := exec.LookPath(gateway); err != nil {
			return nil, fmt.Errorf("unknown gateway %q: use gatewayd, frr, bird or the path of a gatewayd build", gateway)
		}
	}
	for _, s := range set {
		opts = append(opts, topologies.Set(s))
	}
	src, err := os.ReadFile(ref)
	if err == nil {
		return topologies.Parse(ref, src, opts...)
	}
	return topologies.Load(topologies.Library(), ref, opts...)
}

// topologyOf is where a scenario's topology is: beside the scenario if there
// is a file of that name, else as loadTopology takes it.
func topologyOf(s *scenarios.Scenario) string {
	beside := filepath.Join(filepath.Dir(s.File), s.Topology)
	if _, err := os.Stat(beside); err == nil && s.File != "" {
		return beside
	}
	return s.Topology
}

// showNext prints commands that work in this very lab.
func (a *app) showNext(name string, t *topologies.Topology) {
	var from, to *topologies.Node
	for _, n := range t.Nodes {
		if n.Kind == "host" {
			if from == nil {
				from = n
			}
			to = n
		}
	}
	w, gwlab := a.table(), called()
	if from != nil && to != from && len(to.Ports) > 0 {
		fmt.Fprintf(w, "  %s exec %s %s -- ping -c 3 %s\ta packet from end to end\n", gwlab, name, from.Name, to.Ports[0].Addr("ipv4"))
	}
	fmt.Fprintf(w, "  %s status %s\tnodes, addresses, sessions, links\n", gwlab, name)
	fmt.Fprintf(w, "  %s exec %s %s\ta shell in a node\n", gwlab, name, t.Nodes[0].Name)
	fmt.Fprintf(w, "  %s down %s\ttake it down\n", gwlab, name)
	w.Flush()
}
