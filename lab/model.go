package lab

import (
	"encoding/json"
	"fmt"

	"gwlab/topologies"
)

// The supervisor is handed the derived topology itself, not the text it came
// from: options of the command line have changed it since. Ports and links
// refer to each other, so their file form names them instead.

type topologyFile struct {
	Name, About string
	Source      []byte
	Nodes       []nodeFile
	Links       []linkFile
}

type nodeFile struct {
	topologies.Node
	Ports []topologies.Port // shadows Node.Ports
}

type linkFile struct {
	topologies.Link
	A, B topologies.Endpoint // shadow Link.A and Link.B
}

// encodeTopology is the inverse of decodeTopology.
func encodeTopology(t *topologies.Topology) ([]byte, error) {
	f := topologyFile{Name: t.Name, About: t.About, Source: t.Source}
	for _, n := range t.Nodes {
		nf := nodeFile{Node: *n}
		nf.Node.Ports = nil
		for _, p := range n.Ports {
			port := *p
			port.Node, port.Link = nil, nil
			nf.Ports = append(nf.Ports, port)
		}
		f.Nodes = append(f.Nodes, nf)
	}
	for _, l := range t.Links {
		lf := linkFile{Link: *l, A: l.A.Endpoint(), B: l.B.Endpoint()}
		lf.Link.A, lf.Link.B = nil, nil
		f.Links = append(f.Links, lf)
	}
	text, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("encode topology: %w", err)
	}
	return text, nil
}

func decodeTopology(text []byte) (*topologies.Topology, error) {
	var f topologyFile
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, fmt.Errorf("decode topology: %w", err)
	}
	t := &topologies.Topology{Name: f.Name, About: f.About, Source: f.Source}
	ports := make(map[topologies.Endpoint]*topologies.Port)
	for i := range f.Nodes {
		n := &f.Nodes[i].Node
		for j := range f.Nodes[i].Ports {
			p := &f.Nodes[i].Ports[j]
			p.Node = n
			n.Ports = append(n.Ports, p)
			ports[p.Endpoint()] = p
		}
		t.Nodes = append(t.Nodes, n)
	}
	for i := range f.Links {
		l := &f.Links[i].Link
		l.A, l.B = ports[f.Links[i].A], ports[f.Links[i].B]
		if l.A == nil || l.B == nil {
			return nil, fmt.Errorf("decode topology: link %s -- %s lacks an end", f.Links[i].A, f.Links[i].B)
		}
		l.A.Link, l.B.Link = l, l
		t.Links = append(t.Links, l)
	}
	return t, nil
}
