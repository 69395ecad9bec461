package bfd

import "strconv"

// State is bfd.SessionState as it stands on the wire (RFC 5880 §4.1).
type State uint8

// The states of a session (RFC 5880 §6.2).
const (
	AdminDown State = 0
	Down      State = 1
	Init      State = 2
	Up        State = 3
)

// String returns the operator's word for s: admin-down, down, init or up.
func (s State) String() string {
	switch s {
	case AdminDown:
		return "admin-down"
	case Down:
		return "down"
	case Init:
		return "init"
	case Up:
		return "up"
	}
	return "state-" + strconv.Itoa(int(s))
}

// MarshalText lets a State stand in JSON as its word.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Diag is bfd.LocalDiag: why the session last left the Up state (RFC 5880
// §4.1). It is 0 to 31; 9 to 31 are reserved.
type Diag uint8

// The diagnostic codes of RFC 5880 §4.1.
const (
	DiagNone                    Diag = 0
	DiagTimeout                 Diag = 1 // Control Detection Time Expired
	DiagEchoFailed              Diag = 2
	DiagNeighborDown            Diag = 3 // Neighbor Signaled Session Down
	DiagForwardingReset         Diag = 4
	DiagPathDown                Diag = 5
	DiagConcatenatedDown        Diag = 6
	DiagAdminDown               Diag = 7
	DiagReverseConcatenatedDown Diag = 8
)

// String returns the code's name in the words of RFC 5880 §4.1.
func (d Diag) String() string {
	switch d {
	case DiagNone:
		return "none"
	case DiagTimeout:
		return "control-detection-time-expired"
	case DiagEchoFailed:
		return "echo-failed"
	case DiagNeighborDown:
		return "neighbor-signaled-down"
	case DiagForwardingReset:
		return "forwarding-plane-reset"
	case DiagPathDown:
		return "path-down"
	case DiagConcatenatedDown:
		return "concatenated-path-down"
	case DiagAdminDown:
		return "administratively-down"
	case DiagReverseConcatenatedDown:
		return "reverse-concatenated-path-down"
	}
	return "diag-" + strconv.Itoa(int(d))
}

// MarshalText lets a Diag stand in JSON as its name.
func (d Diag) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// PathFailed reports whether a client must stop using the path: the session
// was Up and has gone Down for a reason other than the operator's will at
// either end. A remote or local AdminDown says nothing about forwarding, so
// the client keeps its adjacency (RFC 5882 §3.2).
func (c Change) PathFailed() bool {
	return c.Old == Up && c.State == Down && c.RemoteState != AdminDown
}
