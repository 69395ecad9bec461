package cable

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"gwlab/lab/netns"
)

// Build makes all links of a lab in place, every interface in its final
// namespace under its final name and index, and returns once they are
// addressed, up and checked. The namespaces must exist. What a failed Build
// made goes with its namespaces.
func Build(s Spec) (*Cables, error) {
	base, err := s.validate()
	if err != nil {
		return nil, fmt.Errorf("build links: %w", err)
	}
	b := &builder{spec: s, base: base, thread: netns.NewThread(), files: map[string]int{}}
	defer b.close()
	c, err := b.build()
	if err != nil {
		return nil, fmt.Errorf("build links: %w", err)
	}
	return c, nil
}

type builder struct {
	spec   Spec
	base   int
	thread *netns.Thread
	files  map[string]int // open namespaces by path
	batch  batch
}

func (b *builder) close() {
	for _, fd := range b.files {
		_ = unix.Close(fd)
	}
	b.thread.Close()
}

func (b *builder) build() (*Cables, error) {
	c := newCables(b.spec, b.base)
	err := b.thread.Do(b.spec.Middle, func() (err error) {
		if c.socket, err = openRTNL(); err != nil {
			return err
		}
		if err := b.makePairs(c.socket); err != nil {
			return err
		}
		return b.joinPairs(c)
	})
	if err == nil {
		err = b.finishEnds()
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// open returns a namespace's descriptor, the same one for the whole build.
func (b *builder) open(path string) (int, error) {
	if fd, ok := b.files[path]; ok {
		return fd, nil
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open namespace %s: %w", path, err)
	}
	b.files[path] = fd
	return fd, nil
}

// makePairs creates every veth pair from a socket in the middle namespace.
// None of the ends' indexes exists there, so the kernel cannot take a
// creation for a change of an interface that is there already.
func (b *builder) makePairs(socket *rtnl) error {
	for k, l := range b.spec.Links {
		fdA, err := b.open(l.A.Netns)
		if err != nil {
			return err
		}
		fdB, err := b.open(l.B.Netns)
		if err != nil {
			return err
		}
		endA := half{name: l.A.Name, index: l.A.Index, netns: fdA}
		endB := half{name: l.B.Name, index: l.B.Index, netns: fdB}
		about := "create link " + l.Name
		switch l.Type {
		case Veth:
			b.batch.veth(about, endA, endB, l.MTU)
		case Cable:
			midA, midB := middles(b.base, k)
			b.batch.veth(about, half{middleName(k, 'a'), midA, -1, true}, endA, l.MTU)
			b.batch.veth(about, half{middleName(k, 'b'), midB, -1, true}, endB, l.MTU)
		}
		if b.batch.full() {
			if err := b.flush(socket, nil); err != nil {
				return err
			}
		}
	}
	return b.flush(socket, nil)
}

// joinPairs patches the middles of the cables, on the thread in their
// namespace.
func (b *builder) joinPairs(c *Cables) error {
	if len(c.cables) == 0 {
		return nil
	}
	var err error
	if c.patch, err = newPatch(b.base, 2*len(b.spec.Links)); err != nil {
		return err
	}
	var indexes []int
	for k, l := range b.spec.Links {
		if l.Type != Cable {
			continue
		}
		midA, midB := middles(b.base, k)
		c.patch.gates[midA-b.base].out = uint32(midB)
		c.patch.gates[midB-b.base].out = uint32(midA)
		indexes = append(indexes, midA, midB)
	}
	return c.patch.attach(c.socket, indexes)
}

// placed is an end with the index its veth peer must have.
type placed struct {
	End
	link string
	peer int
}

// finishEnds visits each namespace once: addresses, up, read back.
func (b *builder) finishEnds() error {
	ends := map[string][]placed{}
	var order []string
	visit := func(path string, p ...placed) {
		if _, seen := ends[path]; !seen {
			order = append(order, path)
		}
		ends[path] = append(ends[path], p...)
	}
	for k, l := range b.spec.Links {
		peerA, peerB := l.B.Index, l.A.Index
		if l.Type == Cable {
			peerA, peerB = middles(b.base, k)
		}
		visit(l.A.Netns, placed{l.A, l.Name, peerA})
		visit(l.B.Netns, placed{l.B, l.Name, peerB})
	}
	for _, path := range b.spec.Netns {
		visit(path)
	}
	for _, path := range order {
		err := b.thread.Do(path, func() error { return b.finishNamespace(ends[path]) })
		if err != nil {
			return fmt.Errorf("in %s: %w", path, err)
		}
	}
	return nil
}

func (b *builder) finishNamespace(ends []placed) error {
	socket, err := openRTNL()
	if err != nil {
		return err
	}
	defer func() { _ = socket.Close() }()
	wanted := make(map[int]placed, len(ends))
	b.batch.setUp("set lo up", 1, true)
	for _, e := range ends {
		wanted[e.Index] = e
		for _, p := range e.Addresses {
			b.batch.address(fmt.Sprintf("add %s to %s", p, e.Name), e.Index, p)
		}
		if e.Up {
			b.batch.setUp("set "+e.Name+" up", e.Index, true)
		}
		b.batch.get("read back "+e.Name, e.Index)
		if b.batch.full() {
			if err := b.flush(socket, wanted); err != nil {
				return err
			}
		}
	}
	if err := b.flush(socket, wanted); err != nil {
		return err
	}
	for _, missing := range wanted {
		return fmt.Errorf("link %s: kernel does not show %s", missing.link, missing.Name)
	}
	return nil
}

// flush does the batch and crosses off the ends that the kernel described as
// they are wanted.
func (b *builder) flush(socket *rtnl, wanted map[int]placed) error {
	got, err := socket.do(&b.batch)
	b.batch.reset()
	if err != nil {
		return err
	}
	for _, i := range got {
		e, ok := wanted[i.index]
		if !ok {
			continue
		}
		if i.name != e.Name || i.peer != e.peer {
			return fmt.Errorf("link %s: made %s with peer index %d, kernel shows %s with %d", e.link, e.Name, e.peer, i.name, i.peer)
		}
		delete(wanted, i.index)
	}
	return nil
}
