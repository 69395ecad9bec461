package main

import (
	"fmt"
	"strings"

	"gwlab/fault"
	"gwlab/lab"
)

// showStatus prints a lab as tables: nodes, sessions, links.
func (a *app) showStatus(s lab.Status) {
	state := "every session is up"
	if !s.Ready {
		state = "waiting for " + strings.Join(s.Pending, ", ")
	}
	fmt.Fprintf(a.out, "lab %s (%s), %s: %s\n\n", s.Name, s.Topology, s.State, state)
	w := a.table()
	fmt.Fprintln(w, "NODE\tKIND\tASN\tPORT\tTO\tADDRESSES\tPROCESSES")
	for _, n := range s.NodeStatus {
		name, kind, asn, procs := n.Name, n.Kind, "-", processes(n)
		if n.ASN != 0 {
			asn = fmt.Sprint(n.ASN)
		}
		if len(n.Ports) == 0 {
			fmt.Fprintf(w, "%s\t%s\t%s\t-\t-\t-\t%s\n", name, kind, asn, procs)
		}
		for _, p := range n.Ports {
			var addrs []string
			for _, addr := range p.Addresses {
				addrs = append(addrs, addr.String())
			}
			port := p.Name
			if !p.Carrier {
				port += " (no carrier)"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", name, kind, asn, port, p.Peer, strings.Join(addrs, " "), procs)
			name, kind, asn, procs = "", "", "", ""
		}
	}
	w.Flush()
	a.showSessions(s)
	a.showFaultyLinks(s)
}

func processes(n lab.NodeStatus) string {
	if !n.Powered {
		return "powered off"
	}
	var out []string
	for _, p := range n.Processes {
		text := p.Name
		if p.Pid != 0 {
			text += fmt.Sprintf(" (pid %d)", p.Pid)
		} else {
			text += fmt.Sprintf(" (%s)", p.State)
		}
		out = append(out, text)
	}
	if len(out) == 0 {
		return "-"
	}
	return strings.Join(out, ", ")
}

// showSessions prints one line for each adjacency of a node: its BGP session
// and the BFD session beside it.
func (a *app) showSessions(s lab.Status) {
	w := a.table()
	fmt.Fprintln(w, "\nNODE\tPEER\tADDRESS\tBGP\tPREFIXES\tBFD")
	told := false
	for _, n := range s.NodeStatus {
		bfd := map[string]string{}
		for _, ses := range n.Sessions {
			if ses.Protocol == "bfd" {
				bfd[ses.Peer] = ses.State
			}
		}
		for _, ses := range n.Sessions {
			if ses.Protocol != "bgp" {
				continue
			}
			state := bfd[ses.Peer]
			if state == "" {
				state = "-"
			}
			told = true
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", n.Name, ses.Name, ses.Peer, ses.State, ses.Prefixes, state)
		}
	}
	if told {
		w.Flush()
	}
}

// showFaultyLinks prints only links that do something else than pass.
func (a *app) showFaultyLinks(s lab.Status) {
	healthy := fault.CableState{AtoB: fault.PassAll, BtoA: fault.PassAll, Carrier: true}
	head := false
	w := a.table()
	for _, l := range s.Links {
		if l.Type != "cable" || l.State == healthy {
			continue
		}
		if !head {
			fmt.Fprintln(w, "\nLINK\tCARRIER\tA TO B\tB TO A\tDROPPED")
			head = true
		}
		fmt.Fprintf(w, "%s -- %s\t%t\t%s\t%s\t%d, %d\n", l.A, l.B, l.State.Carrier, l.State.AtoB, l.State.BtoA, l.AtoB.Dropped, l.BtoA.Dropped)
	}
	w.Flush()
}
