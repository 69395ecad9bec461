package capability

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// asRoot mends what only lacks permission.
const asRoot = "run as root, or through sudo"

// checks is the one list of what can be asked for.
func checks() []check {
	const modules = "use a stock distribution kernel; on cloud images: apt install linux-modules-extra-$(uname -r)"
	link := func(name, module string, try func(context.Context) (string, error)) check {
		return check{name: name, try: try, fix: "modprobe " + module + ", or " + modules}
	}
	return []check{
		{name: "root", bare: true, try: tryRoot, fix: asRoot},
		{name: "netns", try: func(context.Context) (string, error) { return "", nil }, fix: asRoot},
		{name: "node", bare: true, try: tryNode, fix: asRoot + "; in a container: --privileged"},
		{name: "ipv6", bare: true, try: tryIPv6, fix: "boot without ipv6.disable=1"},
		link("veth", "veth", tryVeth),
		link("bridge", "bridge", tryBridge),
		link("dummy", "dummy", tryDummy),
		link("vxlan", "vxlan", tryVxlan),
		link("vrf", "vrf", tryVRF),
		link("bonding", "bonding", tryBond),
		link("8021q", "8021q", tryVLAN),
		link("netem", "sch_netem", tryNetem),
		{name: "nexthop", try: tryNexthop, fix: "use Linux 5.13 or later"},
		{name: "hash_seed", bare: true, try: tryHashSeed, fix: "use Linux 6.11 or later; without it routers in a row choose alike, and some equal-cost paths stay empty"},
		{name: "nftables", try: tryNftables, fix: "modprobe nf_tables, or " + modules},
		{name: "cls_bpf", try: tryClsBPF, fix: "modprobe cls_bpf sch_ingress, or " + modules},
		{name: "tcx", try: tryTCX, fix: "use Linux 6.6 or later; cables work without it where cls_bpf is there"},
		{name: "cable", try: tryCable, fix: "give the links type: veth, or modprobe cls_bpf sch_ingress"},
		{name: "sched_fifo", bare: true, try: tryFIFO, fix: asRoot + "; in a container: --cap-add SYS_NICE --ulimit rtprio=99"},
		{name: "psi", bare: true, try: tryPSI, fix: "boot with psi=1"},
		{name: "ip", bare: true, try: run("-V", "ip", "/sbin/ip", "/usr/sbin/ip"), fix: "apt install iproute2"},
		{name: "nft", bare: true, try: run("-v", "nft", "/usr/sbin/nft"), fix: "apt install nftables"},
		{name: "frr", bare: true, try: tryFRR, fix: "apt install frr"},
		{name: "bird", bare: true, try: run("--version", "bird", "/usr/sbin/bird"), fix: "apt install bird2"},
	}
}

func run(arg string, names ...string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) { return version(ctx, arg, names...) }
}

// tryFRR wants every daemon that a node may run.
func tryFRR(ctx context.Context) (string, error) {
	var detail string
	for _, daemon := range []string{"zebra", "bfdd", "bgpd"} {
		var err error
		if detail, err = version(ctx, "--version", "/usr/lib/frr/"+daemon, "/usr/libexec/frr/"+daemon, daemon); err != nil {
			return "", err
		}
	}
	return detail, nil
}

func tryRoot(context.Context) (string, error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return "", fmt.Errorf("read capabilities: %w", err)
	}
	var missing []string
	for _, c := range []struct {
		bit  uint
		name string
	}{
		{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"}, {unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},
		{unix.CAP_NET_RAW, "CAP_NET_RAW"}, {unix.CAP_KILL, "CAP_KILL"},
	} {
		if data[c.bit/32].Effective&(1<<(c.bit%32)) == 0 {
			missing = append(missing, c.name)
		}
	}
	if len(missing) > 0 {
		return "", errors.New("without " + strings.Join(missing, ", "))
	}
	return fmt.Sprintf("uid %d", os.Geteuid()), nil
}

// tryNode starts a process as a node's first one is started.
func tryNode(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS}
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("start a process in its own mount, PID and UTS namespaces: %w", err)
	}
	return "mount, PID and UTS namespaces", nil
}

// tryHashSeed looks for the setting that gives each router a seed of its own.
func tryHashSeed(context.Context) (string, error) {
	_, err := os.Stat("/proc/sys/net/ipv4/fib_multipath_hash_seed")
	return "", err
}

func tryIPv6(context.Context) (string, error) {
	text, err := os.ReadFile("/proc/sys/net/ipv6/conf/default/disable_ipv6")
	if err != nil {
		return "", err
	}
	return "disable_ipv6=" + strings.TrimSpace(string(text)), nil
}

// tryFIFO leaves its thread to die with the goroutine: no later work runs on
// it at that priority.
func tryFIFO(context.Context) (string, error) {
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		result <- unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0)
	}()
	if err := <-result; err != nil {
		return "", fmt.Errorf("set SCHED_FIFO: %w", err)
	}
	return "", nil
}

func tryPSI(context.Context) (string, error) {
	text, err := os.ReadFile("/proc/pressure/cpu")
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line, nil
}
