package gateway

import (
	"context"

	"gwlab/gateway/bfd"
	"gwlab/gateway/bgp"
	"gwlab/gateway/config"
	"gwlab/gateway/kernel"
)

// parts are the pieces a daemon runs, as it sees them.
type parts struct {
	speaker bgp.Speaker
	bfd     detector
	fib     kernel.FIB
	agent   brain
	close   func() // of sockets, after everything has ended
}

// detector is the BFD engine.
type detector interface {
	bfd.Service
	RealTime() bool
}

// brain is the agent.
type brain interface {
	Run(context.Context) error
	Configure(config.Config) error
	// Routes is how many routes are wanted in the kernel, and Programmed
	// whether all of them are written.
	Routes() int
	Programmed() bool
}

// builder makes the parts; restarting tells that an earlier run crashed.
type builder func(cfg config.Config, d *Daemon, restarting bool) (parts, error)

// runs lists what runs side by side. The end of one is the end of all.
func (p parts) runs() map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"bfd": p.bfd.Run, "bgp": p.speaker.Run, "agent": p.agent.Run,
	}
}
