package gateway

import "gwlab/gateway/bfd"

// Worker does the work of a helper process, if this process is one: the
// daemon runs its own executable again for BFD, away from its garbage
// collector and its goroutines. A program that runs a Daemon calls it first
// in main and exits with the status if worker is true.
func Worker() (status int, worker bool) {
	if !bfd.IsWorker() {
		return 0, false
	}
	return bfd.WorkerMain(), true
}
