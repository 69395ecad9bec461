package probe

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	// realTimePriority is that of the sender's and receiver's threads: above
	// the protocol threads of the daemons under test, which a wake-up of
	// some tens of microseconds does not disturb.
	realTimePriority = 70
	// helperPriority is that of the process's other threads while it sends.
	// The sender needs a processor of Go's scheduler after each sleep, and a
	// thread that holds one, or a lock of the runtime, must not be waiting
	// for the CPU meanwhile.
	helperPriority = 65
)

// becomeRealTime puts the calling thread under SCHED_FIFO; where that is
// refused it takes the best nice value there is and says false.
func becomeRealTime() bool {
	if schedule(0, unix.SCHED_FIFO, realTimePriority) == nil {
		return true
	}
	for nice := -20; nice < 0; nice += 5 {
		if unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), nice) == nil {
			break
		}
	}
	return false
}

// scheduleAll gives every thread of this process a policy; threads made later
// inherit it. It is as good as it gets: a thread may end meanwhile, and where
// real time is not permitted everything stays as it is.
func scheduleAll(policy, priority uint32) {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	for _, task := range tasks {
		if tid, err := strconv.Atoi(task.Name()); err == nil {
			_ = schedule(tid, policy, priority)
		}
	}
}

func schedule(tid int, policy, priority uint32) error {
	return unix.SchedSetAttr(tid, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: policy, Priority: priority}, 0)
}
