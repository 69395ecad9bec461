package bfd

import "golang.org/x/sys/unix"

const (
	realTimePriority = 60  // above ordinary interrupts' threads, below watchdogs
	nicest           = -20 // where SCHED_FIFO is refused
)

// raisePriority gives the calling thread SCHED_FIFO, not inherited by what it
// starts, and reports whether the kernel allowed it; else it takes the best
// share and the finest timers an ordinary thread can get.
func raisePriority() bool {
	err := unix.SchedSetAttr(0, &unix.SchedAttr{
		Size:     unix.SizeofSchedAttr,
		Policy:   unix.SCHED_FIFO,
		Flags:    unix.SCHED_FLAG_RESET_ON_FORK,
		Priority: realTimePriority,
	}, 0)
	if err == nil {
		return true
	}
	// Without the right to either, the sessions work all the same, less calmly.
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), nicest)
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	return false
}
