package kind

import (
	"context"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"gwlab/gateway/config"
	"gwlab/topologies"
)

const (
	birdDir    = "/run/bird"
	birdConf   = birdDir + "/bird.conf"
	birdSocket = birdDir + "/bird.ctl" // where birdc looks when it is not told
)

func planBIRD(t *topologies.Topology, n *topologies.Node, b Binaries) (Spec, error) {
	cfg, err := Config(t, n)
	if err != nil {
		return Spec{}, err
	}
	install := "apt-get install bird2"
	sessions := birdSessions(b.Birdc, cfg)
	return Spec{
		Sysctls: forwarding(n),
		Files: []File{
			{Path: birdDir, Mode: fs.ModeDir | 0o755},
			text(birdConf, "", birdText(cfg)...),
		},
		Processes: []Process{{
			Name: "bird", Argv: []string{b.Bird, "-f", "-c", birdConf, "-s", birdSocket, "-P", birdDir + "/bird.pid"},
			Restart: true, Socket: birdSocket,
		}},
		Daemon:   "bird",
		Needs:    []Need{{"bird", b.Bird, install}, {"birdc", b.Birdc, install}},
		Ready:    allUp(sessions),
		Sessions: sessions,
	}, nil
}

// birdText is BIRD's configuration, with its delays at their least.
func birdText(c config.Config) []string {
	out := []string{
		"log stderr { warning, error, fatal, bug, auth };",
		fmt.Sprintf("router id %s;", c.RouterID),
		"graceful restart wait 30;",
		"protocol device { scan time 10; }",
	}
	out = append(out, birdBFD(c)...)
	for _, family := range topologies.Families() {
		out = append(out, birdFamily(c, family)...)
	}
	for i, n := range c.Neighbors {
		out = append(out, birdNeighbor(c, i, n)...)
	}
	return out
}

// birdBFD sets timers by interface: BIRD knows no others. Of neighbours on
// one interface with different timers the first counts.
func birdBFD(c config.Config) []string {
	out := []string{"protocol bfd {"}
	seen := map[string]bool{}
	for _, n := range c.Neighbors {
		if n.BFD.Off || seen[n.Interface] {
			continue
		}
		seen[n.Interface] = true
		ms := n.BFD.Interval.Milliseconds()
		out = append(out, fmt.Sprintf("  interface %q { min rx interval %d ms; min tx interval %d ms; multiplier %d; };",
			n.Interface, ms, ms, n.BFD.Multiplier))
	}
	return append(out, "}")
}

// birdFamily is the kernel's protocol and what is originated in a family.
// Originated routes stay out of the kernel: they lead nowhere.
func birdFamily(c config.Config, family string) []string {
	out := []string{
		fmt.Sprintf("protocol kernel kernel_%s { %s { import none; export where source = RTS_BGP; }; merge paths on limit %d; }",
			family, family, c.BGP.Multipath),
		fmt.Sprintf("protocol static originate_%s { %s;", family, family),
	}
	for _, n := range c.Networks {
		if familyName(n.Prefix.Addr()) != family {
			continue
		}
		for _, p := range expand(n) {
			out = append(out, fmt.Sprintf("  route %s blackhole;", p))
		}
	}
	return append(out, "}")
}

func birdNeighbor(c config.Config, i int, n config.Neighbor) []string {
	local := fmt.Sprintf("local as %d", c.ASN)
	if n.LocalAddress.IsValid() {
		local = fmt.Sprintf("local %s as %d", n.LocalAddress, c.ASN)
	}
	family := familyName(n.Address)
	out := []string{
		fmt.Sprintf("protocol bgp %s { # %s", birdProtocol(i), n.Name),
		"  " + local + ";",
		fmt.Sprintf("  neighbor %s as %d;", n.Address, n.ASN),
		"  direct;",
		fmt.Sprintf("  hold time %d;", int(c.BGP.HoldTime.Seconds())),
		fmt.Sprintf("  connect retry time %d;", seconds(c.BGP.ConnectRetry)),
		"  connect delay time 1;",
		"  error wait time 1, 1;",
	}
	if c.BGP.HoldTime > 0 {
		out = append(out, fmt.Sprintf("  keepalive time %d;", int(c.BGP.Keepalive.Seconds())))
	}
	if gr := c.BGP.GracefulRestart; gr.Off {
		out = append(out, "  graceful restart off;")
	} else {
		out = append(out, "  graceful restart on;", fmt.Sprintf("  graceful restart time %d;", seconds(gr.RestartTime)))
	}
	if !n.BFD.Off {
		out = append(out, "  bfd on;")
	}
	if n.Password != "" {
		out = append(out, fmt.Sprintf("  password %q;", n.Password))
	}
	if n.TTLSecurity {
		out = append(out, "  ttl security on;")
	}
	if n.Passive {
		out = append(out, "  passive on;")
	}
	out = append(out, "  "+family+" {")
	out = append(out, birdFilter(c, "import", "", n.Import)...)
	out = append(out, birdFilter(c, "export", "source = RTS_STATIC || source = RTS_BGP", n.Export)...)
	if n.NextHopSelf {
		out = append(out, "    next hop self;")
	}
	if n.MaxPrefixes > 0 {
		out = append(out, fmt.Sprintf("    import limit %d action disable;", n.MaxPrefixes))
	}
	return append(out, "  };", "}")
}

// birdProtocol names the protocol of the i-th neighbour.
func birdProtocol(i int) string { return fmt.Sprintf("peer%d", i) }

// birdFilter is one direction of a channel: routes that meet the condition
// and a rule, changed as the filter says.
func birdFilter(c config.Config, direction, condition string, f config.Filter) []string {
	if f.Prefixes != nil && len(f.Prefixes) == 0 {
		return []string{"    " + direction + " none;"}
	}
	out := []string{"    " + direction + " filter {"}
	if condition != "" {
		out = append(out, fmt.Sprintf("      if !(%s) then reject;", condition))
	}
	if f.Prefixes != nil {
		var rules []string
		for _, r := range f.Prefixes {
			ge, le := bounds(r)
			rules = append(rules, fmt.Sprintf("%s{%d,%d}", r.Prefix, ge, le))
		}
		out = append(out, fmt.Sprintf("      if net !~ [ %s ] then reject;", strings.Join(rules, ", ")))
	}
	if f.LocalPref != 0 {
		out = append(out, fmt.Sprintf("      bgp_local_pref = %d;", f.LocalPref))
	}
	for range f.Prepend {
		out = append(out, fmt.Sprintf("      bgp_path.prepend(%d);", c.ASN))
	}
	if f.MEDSet {
		out = append(out, fmt.Sprintf("      bgp_med = %d;", f.MED))
	}
	for _, community := range f.Communities {
		out = append(out, fmt.Sprintf("      bgp_community.add((%d,%d));", community>>16, community&0xffff))
	}
	return append(out, "      accept;", "    };")
}

// birdSessions asks BIRD for the sessions of the configuration.
func birdSessions(birdc string, c config.Config) func(context.Context, Access) ([]Session, error) {
	return func(ctx context.Context, in Access) ([]Session, error) {
		protocols, err := in.Run(ctx, birdc, "-s", birdSocket, "show", "protocols", "all")
		if err != nil {
			return nil, fmt.Errorf("ask bird: %w", err)
		}
		bfd, err := in.Run(ctx, birdc, "-s", birdSocket, "show", "bfd", "sessions")
		if err != nil {
			return nil, fmt.Errorf("ask bird: %w", err)
		}
		return sessionsOf(c, birdProtocols(c, string(protocols)), "Established", birdStates(string(bfd)), "Up"), nil
	}
}

// birdProtocols reads the BGP states of "show protocols all", by address. A
// line of name, protocol, table, state, since, info stands before indented
// details, such as "Routes: 2 imported, 1 exported, 2 preferred".
func birdProtocols(c config.Config, out string) map[string]bgpState {
	told := map[string]bgpState{}
	name := ""
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		switch {
		case len(f) > 0 && !strings.HasPrefix(line, " "):
			name = ""
			if len(f) >= 6 && f[1] == "BGP" {
				name = f[0]
				told[name] = bgpState{state: f[5]}
			}
		case name != "" && len(f) >= 3 && f[0] == "Routes:" && strings.HasPrefix(f[2], "imported"):
			if n, err := strconv.Atoi(f[1]); err == nil {
				told[name] = bgpState{told[name].state, n}
			}
		}
	}
	states := map[string]bgpState{}
	for i, n := range c.Neighbors {
		states[n.Address.String()] = told[birdProtocol(i)]
	}
	return states
}

// birdStates reads the states of "show bfd sessions", by address: address,
// interface, state, since, interval, timeout.
func birdStates(out string) map[string]string {
	states := map[string]string{}
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) >= 6 {
			states[f[0]] = f[2]
		}
	}
	return states
}
