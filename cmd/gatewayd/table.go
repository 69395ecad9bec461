package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"gwlab/gateway"
)

// writeStatus prints a status as aligned tables.
func writeStatus(out io.Writer, s gateway.Status) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	state := "ready"
	switch {
	case s.Draining:
		state = "draining"
	case !s.Ready:
		state = "not ready"
	}
	fmt.Fprintf(w, "gatewayd %s, pid %d, AS %d, router-id %s, up %s: %s\n", s.Version, s.PID, s.ASN, s.RouterID,
		since(s.Start, s.Now), state)
	for _, p := range s.Pending {
		fmt.Fprintf(w, "  %s\n", p)
	}
	if s.ConfigError != "" {
		fmt.Fprintf(w, "  last reload rejected: %s\n", s.ConfigError)
	}
	if !s.RealTime {
		fmt.Fprintln(w, "  bfd: without real time (CAP_SYS_NICE): a busy machine may miss packets")
	}
	fmt.Fprintln(w, "\nPEER\tADDRESS\tAS\tSTATE\tFOR\tRECEIVED\tADVERTISED\tLAST REASON")
	for _, p := range s.Peers {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%d\t%d\t%s\n", p.Name, p.Address, p.ASN, p.State, since(p.Since, s.Now),
			p.Received, p.Advertised, p.LastReason)
	}
	fmt.Fprintln(w, "\nBFD\tINTERFACE\tSTATE\tREMOTE\tSEND\tDETECT\tCHANGES\tDIAGNOSTIC")
	for _, b := range s.BFD {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", b.Key.Peer, b.Key.Interface, b.State, b.RemoteState,
			b.TxInterval, b.DetectTime, b.Transitions, b.Diag)
	}
	programmed := "programmed"
	if !s.FIB.Programmed {
		programmed = "being programmed"
	}
	fmt.Fprintf(w, "\nFIB: %d routes %s; %d repairs", s.FIB.Routes, programmed, s.FIB.Repairs)
	if s.FIB.Repairs > 0 {
		fmt.Fprintf(w, ", the last in %s", s.FIB.LastRepair)
	}
	fmt.Fprintf(w, "; %d mended by audits\n", s.FIB.Mended)
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	return nil
}

// since prints how long ago an instant of CLOCK_MONOTONIC was.
func since(then, now int64) string {
	if then == 0 || then > now {
		return "-"
	}
	return time.Duration(now - then).Truncate(time.Second).String()
}
