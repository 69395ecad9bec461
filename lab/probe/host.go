package probe

import (
	"bufio"
	"os"
	"strconv"
	"strings"

	"gwlab/internal/monotime"
	"gwlab/reports/convergence"
)

// hostLoad is a reading of the machine's own counters.
type hostLoad struct {
	at                 int64   // CLOCK_MONOTONIC ns
	total, idle, steal float64 // clock ticks since boot, all CPUs
	waiting            float64 // PSI "some" of the CPU, microseconds; -1 unknown
}

func readHostLoad() hostLoad {
	l := hostLoad{at: monotime.Now(), waiting: -1}
	if b, err := os.ReadFile("/proc/stat"); err == nil {
		l.total, l.idle, l.steal = parseStat(string(b))
	}
	if b, err := os.ReadFile("/proc/pressure/cpu"); err == nil {
		l.waiting = parsePressure(string(b))
	}
	return l
}

// parseStat reads the first line of /proc/stat. Guest time is part of user
// time already; waiting for a disk is idle.
func parseStat(text string) (total, idle, steal float64) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, 0, 0
	}
	for i, f := range fields[1:9] {
		v, err := strconv.ParseFloat(f, 64)
		if err != nil {
			return 0, 0, 0
		}
		total += v
		switch i {
		case 3, 4:
			idle += v
		case 7:
			steal = v
		}
	}
	return total, idle, steal
}

// parsePressure returns total= of the "some" line of /proc/pressure/cpu, -1
// if there is none.
func parsePressure(text string) float64 {
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		rest, ok := strings.CutPrefix(s.Text(), "some ")
		if !ok {
			continue
		}
		for _, f := range strings.Fields(rest) {
			if v, ok := strings.CutPrefix(f, "total="); ok {
				if n, err := strconv.ParseFloat(v, 64); err == nil {
					return n
				}
			}
		}
	}
	return -1
}

// fill puts what happened between two readings into h, in percent.
func (l hostLoad) fill(h *convergence.Health, end hostLoad) {
	if total := end.total - l.total; total > 0 {
		h.StealPercent = 100 * (end.steal - l.steal) / total
		h.BusyPercent = 100 * (1 - (end.idle-l.idle)/total)
	}
	h.CPUPressure = -1
	if l.waiting >= 0 && end.waiting >= 0 && end.at > l.at {
		h.CPUPressure = 100 * (end.waiting - l.waiting) * 1e3 / float64(end.at-l.at)
	}
}
