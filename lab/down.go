package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gwlab/lab/netns"
	"gwlab/lab/proc"
)

// hung is how long a supervisor may be silent before it is killed.
const hung = 2 * time.Second

// Down takes a lab down by its name alone. The supervisor does it; when that
// is dead or hung, or its directory is gone, Down removes what is left
// itself. Taking down what is not there is no error. progress may be nil.
func Down(ctx context.Context, name string, progress func(Progress)) error {
	if err := checkRoot(); err != nil {
		return err
	}
	if err := checkName(name); err != nil {
		return err
	}
	if progress == nil {
		progress = func(Progress) {}
	}
	for {
		again, err := downOnce(ctx, dirOf(name), progress)
		if err != nil {
			return fmt.Errorf("take lab %s down: %w", name, err)
		}
		if !again {
			return nil
		}
	}
}

// downOnce asks the supervisor, if there is one, and removes what is left.
// again is true when a lab of that name was made between the two.
func downOnce(ctx context.Context, dir stateDir, progress func(Progress)) (again bool, err error) {
	live, err := dir.alive()
	if err != nil {
		return false, err
	}
	id, _ := dir.supervisor()
	asked := false
	if live {
		err := askDown(ctx, dir, progress)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		// When it is told gone, only the supervisor's own last steps remain.
		asked = err == nil && waitExit(id, hung)
	}
	root, err := lockRoot()
	if err != nil {
		return false, err
	}
	defer root.Close() //nolint:errcheck // closing is the unlock
	if now, ok := dir.supervisor(); ok && now != id {
		return !live, nil // a new lab; what was asked for is down
	}
	if live, err = dir.alive(); err != nil || (live && asked) {
		return false, err
	}
	return false, removeDead(dir.lab(), progress)
}

func checkRoot() error {
	if os.Geteuid() != 0 {
		return mendable(errors.New("labs need root for namespaces and links: run it again with sudo"))
	}
	return nil
}

// askDown has the supervisor take its lab down. It errs when the supervisor
// says nothing for too long.
func askDown(ctx context.Context, dir stateDir, progress func(Progress)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(hung, cancel)
	defer silence.Stop()
	client := dialer(dir.socket())
	defer client.CloseIdleConnections()
	body, err := post(ctx, client, "/v1/down", none{})
	if err != nil {
		return err
	}
	defer body.Close() //nolint:errcheck // opened for reading only
	for dec := json.NewDecoder(body); ; {
		var line downLine
		if err := dec.Decode(&line); err != nil {
			return err
		}
		silence.Reset(hung)
		switch {
		case line.Progress != nil:
			progress(*line.Progress)
		case line.Error != "":
			return errors.New(line.Error)
		case line.Gone:
			return nil
		}
	}
}

// waitExit waits until a process has ended, for at most a while.
func waitExit(id identity, limit time.Duration) bool {
	if id.Pid == 0 {
		return true
	}
	fd, err := unix.PidfdOpen(id.Pid, 0)
	if err != nil {
		return errors.Is(err, unix.ESRCH)
	}
	defer unix.Close(fd) // opened for polling only
	if now, err := identify(id.Pid); err != nil || now != id {
		return true // the descriptor is of a later process
	}
	deadline := time.Now().Add(limit)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return false
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if n > 0 || (err != nil && !errors.Is(err, unix.EINTR)) {
			return err == nil
		}
	}
}

// removeDead removes all that a lab without a working supervisor left: its
// processes, namespaces with their links, and its directory. The root lock
// is held.
func removeDead(name string, progress func(Progress)) error {
	dir := dirOf(name)
	if id, ok := dir.supervisor(); ok && carries(id.Pid, name) {
		if err := unix.Kill(id.Pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("kill supervisor %d: %w", id.Pid, err)
		}
		waitExit(id, hung)
	}
	tagged, err := processes()
	if err != nil {
		return err
	}
	if err := killAll(tagged[name]); err != nil {
		return err
	}
	names, err := dir.owned()
	if err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(n string) bool { return belongsToOther(n, name, tagged) })
	for i, n := range names {
		if err := netns.Delete(n); err != nil {
			return err
		}
		progress(Progress{Stage: "remove", Done: i + 1, Total: len(names), Text: n})
	}
	if err := os.RemoveAll(string(dir)); err != nil {
		return fmt.Errorf("remove %s: %w", dir, err)
	}
	return nil
}

// belongsToOther tells a namespace of a running lab "a-b" from one of lab
// "a", should the records of both be lost.
func belongsToOther(namespace, name string, tagged map[string][]identity) bool {
	for other := range tagged {
		if strings.HasPrefix(other, name+"-") && strings.HasPrefix(namespace, namespaceName(other, "")) {
			return true
		}
	}
	return false
}

// processes finds the processes of every lab by the variable they carry, save
// this process and those it descends from, and save those of labs elsewhere:
// from a host the labs in its containers are seen, too.
func processes() (map[string][]identity, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	spare := ancestors()
	found := make(map[string][]identity)
	for _, d := range dirs {
		pid, err := strconv.Atoi(filepath.Base(d))
		if err != nil || spare[pid] {
			continue
		}
		id, err := identify(pid)
		if err != nil {
			continue // ended meanwhile
		}
		if lab := labOf(pid); lab != "" {
			found[lab] = append(found[lab], id)
		}
	}
	return found, nil
}

// labOf is the lab a process belongs to, empty for none and for a lab that is
// not among those of Root.
func labOf(pid int) string {
	env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return ""
	}
	lab, root := "", ""
	for v := range strings.SplitSeq(string(env), "\x00") {
		if name, ok := strings.CutPrefix(v, proc.LabEnv+"="); ok {
			lab = name // the last one counts, as for the program itself
		}
		if tag, ok := strings.CutPrefix(v, proc.RootEnv+"="); ok {
			root = tag
		}
	}
	if lab == "" || (root == "" || root != rootTag()) && !besides(pid) {
		return ""
	}
	return lab
}

// rootTag tells Root from the directory of that name of another machine or
// container; empty when there is none.
func rootTag() string {
	var st unix.Stat_t
	if err := unix.Stat(Root, &st); err != nil {
		return ""
	}
	return fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

// besides reports whether a process sees the processes and files that this
// one sees: one of a supervisor whose Root was removed under it does.
func besides(pid int) bool {
	for _, ns := range [...]string{"pid", "mnt"} {
		mine, err := os.Readlink("/proc/self/ns/" + ns)
		if err != nil {
			return false
		}
		if its, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/ns/" + ns); err != nil || its != mine {
			return false
		}
	}
	return true
}

func carries(pid int, lab string) bool { return labOf(pid) == lab }

// ancestors are this process and its parents.
func ancestors() map[int]bool {
	all := make(map[int]bool)
	for pid := os.Getpid(); pid > 0 && !all[pid]; {
		all[pid] = true
		text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil {
			break
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		pid, err = strconv.Atoi(fields[1])
		if err != nil {
			break
		}
	}
	return all
}

// killAll kills processes and waits for their end.
func killAll(ids []identity) error {
	for _, id := range ids {
		if now, err := identify(id.Pid); err != nil || now != id {
			continue
		}
		if err := unix.Kill(id.Pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("kill process %d: %w", id.Pid, err)
		}
	}
	for _, id := range ids {
		waitExit(id, hung)
	}
	return nil
}
