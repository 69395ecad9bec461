// Package topologies turns *.topo.yaml into a Topology: parsed strictly,
// validated, with addresses, AS numbers, interface indexes and BGP sessions
// derived from links and roles. It owns that model and the shipped library,
// and refuses anything that runs: no kernel, no files beyond an fs.FS, no clock.
package topologies
