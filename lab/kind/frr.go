package kind

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"

	"gwlab/gateway/config"
	"gwlab/topologies"
)

const (
	frrDir   = "/run/frr" // where vtysh looks when it is not told
	frrOwner = "frr:frr"
)

func planFRR(t *topologies.Topology, n *topologies.Node, b Binaries) (Spec, error) {
	cfg, err := Config(t, n)
	if err != nil {
		return Spec{}, err
	}
	if err := frrCan(cfg); err != nil {
		return Spec{}, err
	}
	install := "apt-get install frr"
	sessions := frrSessions(b.Vtysh, cfg)
	return Spec{
		Sysctls: forwarding(n),
		Files: []File{
			{Path: frrDir, Mode: fs.ModeDir | 0o755, Owner: frrOwner},
			text(frrDir+"/zebra.conf", frrOwner, zebraConf(n.Name)...),
			text(frrDir+"/bfdd.conf", frrOwner, bfddConf(n.Name, cfg)...),
			text(frrDir+"/bgpd.conf", frrOwner, bgpdConf(n.Name, cfg)...),
		},
		Processes: []Process{
			// As Debian's own: a netlink buffer that a full table does not overrun.
			frrDaemon("zebra", b.Zebra, frrDir+"/zserv.api", "-s", "90000000"),
			frrDaemon("bfdd", b.Bfdd, frrDir+"/bfdd.vty", "--bfdctl", frrDir+"/bfdd.sock"),
			frrDaemon("bgpd", b.Bgpd, frrDir+"/bgpd.vty"),
		},
		Daemon: "bgpd",
		Needs: []Need{
			{"zebra", b.Zebra, install}, {"bfdd", b.Bfdd, install}, {"bgpd", b.Bgpd, install}, {"vtysh", b.Vtysh, install},
		},
		Ready:    allUp(sessions),
		Sessions: sessions,
	}, nil
}

// frrCan refuses what FRR does in a way nobody else understands.
func frrCan(c config.Config) error {
	for _, n := range c.Neighbors {
		if n.TTLSecurity && !n.BFD.Off && n.ASN != c.ASN {
			return fmt.Errorf("neighbor %s: with ttl-security FRR speaks multihop BFD (RFC 5883) to an eBGP neighbour, which answers single hop: write bfd: off, or ttl-security: false", n.Name)
		}
	}
	return nil
}

// frrDaemon is one of FRR's daemons, in the foreground and without the TCP
// port of its terminal, which all daemons of a name would share.
func frrDaemon(name, binary, socket string, more ...string) Process {
	at := frrDir + "/" + name
	argv := []string{binary, "-f", at + ".conf", "-i", at + ".pid", "-z", frrDir + "/zserv.api", "--vty_socket", frrDir,
		"-u", "frr", "-g", "frr", "-P", "0", "--log", "stdout", "--log-level", "notifications"}
	return Process{Name: name, Argv: append(argv, more...), Restart: true, Socket: socket}
}

// zebraConf keeps routes out of kernel nexthop groups: FRR 8.4 leaves such a
// group short of a member after a link has flapped.
func zebraConf(name string) []string {
	return []string{"hostname " + name, "no zebra nexthop kernel enable", "zebra work-queue 0"}
}

func bfddConf(name string, c config.Config) []string {
	out := []string{"hostname " + name, "bfd"}
	seen := map[string]bool{}
	for _, n := range c.Neighbors {
		if n.BFD.Off || seen[bfdProfile(n.BFD)] {
			continue
		}
		seen[bfdProfile(n.BFD)] = true
		ms := n.BFD.Interval.Milliseconds()
		out = append(out,
			" profile "+bfdProfile(n.BFD),
			fmt.Sprintf("  detect-multiplier %d", n.BFD.Multiplier),
			fmt.Sprintf("  receive-interval %d", ms),
			fmt.Sprintf("  transmit-interval %d", ms),
			" exit")
	}
	return append(out, "exit")
}

func bfdProfile(b config.BFD) string {
	return fmt.Sprintf("every-%dms-%d-times", b.Interval.Milliseconds(), b.Multiplier)
}

// bgpdConf is the BGP daemon's configuration, with its delays taken out.
func bgpdConf(name string, c config.Config) []string {
	out := []string{
		"hostname " + name,
		"bgp route-map delay-timer 0",
		fmt.Sprintf("router bgp %d", c.ASN),
		" bgp router-id " + c.RouterID.String(),
		" no bgp ebgp-requires-policy",
		" no bgp default ipv4-unicast",
		" no bgp network import-check",
		" no bgp suppress-duplicates",
		" bgp bestpath as-path multipath-relax",
		" bgp fast-convergence",
		" coalesce-time 0",
		fmt.Sprintf(" timers bgp %d %d", int(c.BGP.Keepalive.Seconds()), int(c.BGP.HoldTime.Seconds())),
	}
	if gr := c.BGP.GracefulRestart; gr.Off {
		out = append(out, " bgp graceful-restart-disable")
	} else {
		out = append(out,
			" bgp graceful-restart",
			" bgp graceful-restart preserve-fw-state",
			fmt.Sprintf(" bgp graceful-restart restart-time %d", seconds(gr.RestartTime)),
			fmt.Sprintf(" bgp graceful-restart select-defer-time %d", seconds(gr.SelectionDeferral)))
	}
	for _, n := range c.Neighbors {
		out = append(out, frrNeighbor(c, n)...)
	}
	for _, family := range topologies.Families() {
		out = append(out, frrFamily(c, family)...)
	}
	out = append(out, "exit")
	for i, n := range c.Neighbors {
		out = append(out, frrFilter(c, n, "in", i, n.Import)...)
		out = append(out, frrFilter(c, n, "out", i, n.Export)...)
	}
	return out
}

func frrNeighbor(c config.Config, n config.Neighbor) []string {
	at := " neighbor " + n.Address.String()
	out := []string{
		fmt.Sprintf("%s remote-as %d", at, n.ASN),
		at + " description " + n.Name,
		fmt.Sprintf("%s timers connect %d", at, seconds(c.BGP.ConnectRetry)),
		at + " advertisement-interval 0",
	}
	if n.LocalAddress.IsValid() {
		out = append(out, at+" update-source "+n.LocalAddress.String())
	}
	if n.Password != "" {
		out = append(out, at+" password "+n.Password)
	}
	if n.TTLSecurity {
		out = append(out, at+" ttl-security hops 1")
	}
	if n.Passive {
		out = append(out, at+" passive")
	}
	if !n.BFD.Off {
		out = append(out, at+" bfd", at+" bfd profile "+bfdProfile(n.BFD))
	}
	return out
}

// frrFamily is the address family's block.
func frrFamily(c config.Config, family string) []string {
	out := []string{" address-family " + family + " unicast"}
	for _, n := range c.Networks {
		if familyName(n.Prefix.Addr()) != family {
			continue
		}
		for _, p := range expand(n) {
			out = append(out, "  network "+p.String())
		}
	}
	out = append(out,
		fmt.Sprintf("  maximum-paths %d", c.BGP.Multipath),
		fmt.Sprintf("  maximum-paths ibgp %d", c.BGP.Multipath))
	for i, n := range c.Neighbors {
		if familyName(n.Address) != family {
			continue
		}
		at := "  neighbor " + n.Address.String()
		out = append(out, at+" activate")
		if n.NextHopSelf {
			out = append(out, at+" next-hop-self")
		}
		if !accepting(n.Import) {
			out = append(out, fmt.Sprintf("%s route-map in-%d in", at, i))
		}
		if !accepting(n.Export) {
			out = append(out, fmt.Sprintf("%s route-map out-%d out", at, i))
		}
		if n.MaxPrefixes > 0 {
			out = append(out, fmt.Sprintf("%s maximum-prefix %d", at, n.MaxPrefixes))
		}
	}
	return append(out, " exit-address-family")
}

// accepting reports whether a filter lets everything pass unchanged.
func accepting(f config.Filter) bool {
	return f.Prefixes == nil && f.LocalPref == 0 && f.Prepend == 0 && !f.MEDSet && len(f.Communities) == 0
}

// frrFilter is the prefix list and the route map of one filter.
func frrFilter(c config.Config, n config.Neighbor, direction string, i int, f config.Filter) []string {
	if accepting(f) {
		return nil
	}
	name := fmt.Sprintf("%s-%d", direction, i)
	ip := "ip"
	if n.Address.Is6() {
		ip = "ipv6"
	}
	var out []string
	for j, r := range f.Prefixes {
		line := fmt.Sprintf("%s prefix-list %s seq %d permit %s", ip, name, 5*(j+1), r.Prefix)
		ge, le := bounds(r)
		if ge > r.Prefix.Bits() {
			line += fmt.Sprintf(" ge %d", ge)
		}
		if le > r.Prefix.Bits() && le < r.Prefix.Addr().BitLen() || le > ge {
			line += fmt.Sprintf(" le %d", le)
		}
		out = append(out, line)
	}
	if f.Prefixes != nil && len(f.Prefixes) == 0 {
		return append(out, "route-map "+name+" deny 10", "exit")
	}
	out = append(out, "route-map "+name+" permit 10")
	if f.Prefixes != nil {
		out = append(out, fmt.Sprintf(" match %s address prefix-list %s", ip, name))
	}
	if f.LocalPref != 0 {
		out = append(out, fmt.Sprintf(" set local-preference %d", f.LocalPref))
	}
	if f.Prepend > 0 {
		out = append(out, " set as-path prepend"+strings.Repeat(fmt.Sprintf(" %d", c.ASN), f.Prepend))
	}
	if f.MEDSet {
		out = append(out, fmt.Sprintf(" set metric %d", f.MED))
	}
	for _, community := range f.Communities {
		out = append(out, fmt.Sprintf(" set community %d:%d additive", community>>16, community&0xffff))
	}
	return append(out, "exit")
}

// frrSessions asks bgpd and bfdd for the sessions of the configuration, at
// once: vtysh takes its time to start.
func frrSessions(vtysh string, c config.Config) func(context.Context, Access) ([]Session, error) {
	return func(ctx context.Context, in Access) ([]Session, error) {
		out, err := in.Run(ctx, vtysh, "--vty_socket", frrDir, "-c", "show bgp summary json", "-c", "show bfd peers json")
		if err != nil {
			return nil, fmt.Errorf("ask FRR: %w", err)
		}
		bgp, bfd, err := frrStates(out)
		if err != nil {
			return nil, fmt.Errorf("read FRR's answer: %w", err)
		}
		return sessionsOf(c, bgp, "Established", bfd, "up"), nil
	}
}

// frrStates reads "show bgp summary json" and, behind it, "show bfd peers
// json": the states by address.
func frrStates(out []byte) (bgp map[string]bgpState, bfd map[string]string, err error) {
	var families map[string]struct {
		Peers map[string]struct {
			State  string
			PfxRcd int `json:"pfxRcd"`
		} `json:"peers"`
	}
	var peers []struct{ Peer, Status string }
	answers := json.NewDecoder(bytes.NewReader(out))
	if err := answers.Decode(&families); err != nil {
		return nil, nil, err
	}
	if err := answers.Decode(&peers); err != nil {
		return nil, nil, err
	}
	bgp, bfd = map[string]bgpState{}, map[string]string{}
	for _, family := range families {
		for address, peer := range family.Peers {
			bgp[address] = bgpState{peer.State, peer.PfxRcd}
		}
	}
	for _, p := range peers {
		bfd[p.Peer] = p.Status
	}
	return bgp, bfd, nil
}
