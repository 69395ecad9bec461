package cable

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"gwlab/fault"
	"gwlab/internal/monotime"
	"gwlab/lab/netns"
)

// SetPort sets an interface administratively up or down. The Effect brackets
// the kernel's doing it.
func SetPort(path, name string, up bool) (fault.Effect, error) {
	var e fault.Effect
	err := withPort(path, name, func(s *rtnl, i iface) error {
		var b batch
		b.setUp("change flags", i.index, up)
		e.Call = monotime.Now()
		_, err := s.do(&b)
		e.Return = monotime.Now()
		return err
	})
	if err != nil {
		return fault.Effect{}, fmt.Errorf("set port %s in %s: %w", name, path, err)
	}
	return e, nil
}

// Carrier reports whether an interface is up and sees carrier (IFF_RUNNING).
func Carrier(path, name string) (bool, error) {
	running := false
	err := withPort(path, name, func(_ *rtnl, i iface) error {
		running = i.flags&unix.IFF_RUNNING != 0
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("read carrier of %s in %s: %w", name, path, err)
	}
	return running, nil
}

func withPort(path, name string, fn func(*rtnl, iface) error) error {
	return netns.Do(path, func() error {
		s, err := openRTNL()
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }()
		var b batch
		b.find("find interface", name)
		found, err := s.do(&b)
		if err != nil {
			return err
		}
		if len(found) != 1 {
			return errors.New("find interface: no answer")
		}
		return fn(s, found[0])
	})
}
