package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"gwlab/lab/netns"
)

// List shows every lab of the machine, by name.
func List(ctx context.Context) ([]Info, error) {
	names, err := labs()
	if err != nil {
		return nil, err
	}
	infos := []Info{}
	for _, name := range names {
		infos = append(infos, look(ctx, dirOf(name)))
	}
	return infos, nil
}

// look asks a lab's supervisor, or says that there is none. That nobody
// answers means that it is dead only to a user who could have been answered.
func look(ctx context.Context, dir stateDir) Info {
	ctx, cancel := context.WithTimeout(ctx, hung)
	defer cancel()
	client := dialer(dir.socket())
	defer client.CloseIdleConnections()
	info, err := call[Info](ctx, client, "/v1/info", none{})
	if err == nil {
		return info
	}
	id, _ := dir.supervisor()
	state := Dead
	switch live, lockErr := dir.alive(); {
	case errors.Is(err, os.ErrPermission) || lockErr != nil:
		state = Unknown
	case live:
		state = Building // or hung: it does not say
	}
	return Info{Name: dir.lab(), State: state, Pid: id.Pid}
}

// Sweep removes labs whose supervisor is dead and namespaces that belong to
// no lab, and waits for labs that are stopping to be gone; with all it takes
// running labs down, too. It returns the names of the labs and namespaces that
// it removed.
func Sweep(ctx context.Context, all bool) ([]string, error) {
	if err := checkRoot(); err != nil {
		return nil, err
	}
	names, err := labs()
	if err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	var removed []string
	var errs []error
	for _, name := range names {
		gone := all
		if all || look(ctx, dirOf(name)).State == Stopping { // the latter goes by itself
			err = Down(ctx, name, nil)
		} else {
			gone, err = removeIfDead(name)
		}
		if err != nil {
			errs = append(errs, err)
		} else if gone {
			removed = append(removed, name)
		}
	}
	strays, err := sweepStrays()
	return append(removed, strays...), errors.Join(append(errs, err)...)
}

// removeIfDead looks under the root lock: a lab in the making looks dead
// without it.
func removeIfDead(name string) (gone bool, err error) {
	root, err := lockRoot()
	if err != nil {
		return false, fmt.Errorf("sweep lab %s: %w", name, err)
	}
	defer root.Close() //nolint:errcheck // closing is the unlock
	live, err := dirOf(name).alive()
	if err != nil || live || !dirOf(name).exists() {
		return false, err
	}
	if err := removeDead(name, func(Progress) {}); err != nil {
		return false, fmt.Errorf("sweep lab %s: %w", name, err)
	}
	return true, nil
}

// sweepStrays removes namespaces of no lab, and the processes of the labs
// that they bear the names of.
func sweepStrays() ([]string, error) {
	root, err := lockRoot()
	if err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	defer root.Close() //nolint:errcheck // closing is the unlock
	owner, err := claimed("")
	if err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	tagged, err := processes()
	if err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	found, err := netns.List(namespacePrefix)
	if err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	found = slices.DeleteFunc(found, func(n string) bool { return owner[n] != "" })
	for lab, ids := range tagged {
		mine := func(n string) bool { return strings.HasPrefix(n, namespaceName(lab, "")) }
		if dirOf(lab).exists() || !slices.ContainsFunc(found, mine) {
			continue
		}
		if err := killAll(ids); err != nil {
			return nil, fmt.Errorf("sweep: %w", err)
		}
	}
	for i, n := range found {
		if err := netns.Delete(n); err != nil {
			return found[:i], fmt.Errorf("sweep: %w", err)
		}
	}
	return found, nil
}
