package bgp

import (
	"fmt"

	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

// notification ends a session and says why (RFC 4271 §4.5). As an error it
// is what to send to the peer.
type notification struct {
	code, subcode uint8
	data          []byte
	detail        string
}

func cease(subcode uint8, detail string) *notification {
	return &notification{bgp.BGP_ERROR_CEASE, subcode, nil, detail}
}

func updateError(subcode uint8, detail string) *notification {
	return &notification{bgp.BGP_ERROR_UPDATE_MESSAGE_ERROR, subcode, nil, detail}
}

func openError(subcode uint8, data []byte, detail string) *notification {
	return &notification{bgp.BGP_ERROR_OPEN_MESSAGE_ERROR, subcode, data, detail}
}

// Error reads like "Cease/Maximum Number of Prefixes Reached: 1001 of 1000".
func (n *notification) Error() string {
	s := n.name()
	if n.detail != "" {
		s += ": " + n.detail
	}
	return s
}

func (n *notification) name() string {
	codes := map[uint8]string{
		bgp.BGP_ERROR_MESSAGE_HEADER_ERROR:        "Message Header Error",
		bgp.BGP_ERROR_OPEN_MESSAGE_ERROR:          "OPEN Message Error",
		bgp.BGP_ERROR_UPDATE_MESSAGE_ERROR:        "UPDATE Message Error",
		bgp.BGP_ERROR_HOLD_TIMER_EXPIRED:          "Hold Timer Expired",
		bgp.BGP_ERROR_FSM_ERROR:                   "Finite State Machine Error",
		bgp.BGP_ERROR_CEASE:                       "Cease",
		bgp.BGP_ERROR_ROUTE_REFRESH_MESSAGE_ERROR: "ROUTE-REFRESH Message Error",
	}
	name, ok := codes[n.code]
	if !ok {
		return fmt.Sprintf("Error %d/%d", n.code, n.subcode)
	}
	if n.subcode == 0 {
		return name
	}
	if sub := subcodeName(n.code, n.subcode); sub != "" {
		return name + "/" + sub
	}
	return fmt.Sprintf("%s/%d", name, n.subcode)
}

// subcodeName spells the subcodes of OPEN errors (RFC 4271 §4.5, RFC 5492)
// and Cease (RFC 4486, RFC 8538); "" for others.
func subcodeName(code, subcode uint8) string {
	switch code {
	case bgp.BGP_ERROR_CEASE:
		return map[uint8]string{
			bgp.BGP_ERROR_SUB_MAXIMUM_NUMBER_OF_PREFIXES_REACHED: "Maximum Number of Prefixes Reached",
			bgp.BGP_ERROR_SUB_ADMINISTRATIVE_SHUTDOWN:            "Administrative Shutdown",
			bgp.BGP_ERROR_SUB_PEER_DECONFIGURED:                  "Peer De-configured",
			bgp.BGP_ERROR_SUB_ADMINISTRATIVE_RESET:               "Administrative Reset",
			bgp.BGP_ERROR_SUB_CONNECTION_REJECTED:                "Connection Rejected",
			bgp.BGP_ERROR_SUB_OTHER_CONFIGURATION_CHANGE:         "Other Configuration Change",
			bgp.BGP_ERROR_SUB_CONNECTION_COLLISION_RESOLUTION:    "Connection Collision Resolution",
			bgp.BGP_ERROR_SUB_OUT_OF_RESOURCES:                   "Out of Resources",
			bgp.BGP_ERROR_SUB_HARD_RESET:                         "Hard Reset",
			ceaseBFDDown:                                         "BFD Down",
		}[subcode]
	case bgp.BGP_ERROR_OPEN_MESSAGE_ERROR:
		return map[uint8]string{
			bgp.BGP_ERROR_SUB_UNSUPPORTED_VERSION_NUMBER:     "Unsupported Version Number",
			bgp.BGP_ERROR_SUB_BAD_PEER_AS:                    "Bad Peer AS",
			bgp.BGP_ERROR_SUB_BAD_BGP_IDENTIFIER:             "Bad BGP Identifier",
			bgp.BGP_ERROR_SUB_UNSUPPORTED_OPTIONAL_PARAMETER: "Unsupported Optional Parameter",
			bgp.BGP_ERROR_SUB_UNACCEPTABLE_HOLD_TIME:         "Unacceptable Hold Time",
			bgp.BGP_ERROR_SUB_UNSUPPORTED_CAPABILITY:         "Unsupported Capability",
		}[subcode]
	}
	return ""
}

// ceaseBFDDown is Cease subcode 10 (RFC 9384).
const ceaseBFDDown = 10
