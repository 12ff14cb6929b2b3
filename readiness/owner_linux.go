package readiness

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// tellsListeners says whether this system shows who listens.
const tellsListeners = true

// tcpListeners returns the inodes of the sockets that take a connection to at: those
// bound to its address, else those bound to all.
func tcpListeners(at netip.AddrPort) []uint64 {
	if !at.IsValid() {
		return nil
	}
	var exact, all []uint64
	for _, table := range []string{"tcp", "tcp6"} {
		for row := range tableRows(table) {
			const local, state, inode = 1, 3, 9 // proc_pid_net(5)
			if len(row) <= inode || string(row[state]) != "0A" {
				continue
			}
			bound, ok := tableAddress(row[local])
			n, err := strconv.ParseUint(string(row[inode]), 10, 64)
			switch {
			case !ok || err != nil || bound.Port() != at.Port():
			case bound.Addr() == at.Addr().WithZone(""):
				exact = append(exact, n)
			case bound.Addr().IsUnspecified() && (bound.Addr().Is6() || at.Addr().Is4()):
				all = append(all, n)
			}
		}
	}
	if exact != nil {
		return exact
	}
	return all
}

// tableRows yields the rows of a table of the network, without its head, in fields.
func tableRows(table string) func(yield func([][]byte) bool) {
	return func(yield func([][]byte) bool) {
		data, err := os.ReadFile("/proc/self/net/" + table)
		if err != nil {
			return
		}
		_, data, _ = bytes.Cut(data, []byte{'\n'})
		for line := range bytes.Lines(data) {
			if !yield(bytes.Fields(line)) {
				return
			}
		}
	}
}

// tableAddress reads ADDRESS:PORT in hexadecimal, the address in words of the
// machine's order.
func tableAddress(field []byte) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(string(field), ":")
	raw, err := hex.DecodeString(host)
	number, errPort := strconv.ParseUint(port, 16, 16)
	if err != nil || errPort != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	addr, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr.Unmap(), uint16(number)), ok
}

// holdersOf returns the processes that have one of the sockets open, except those whose
// descriptors we may not see. If a process of the pod has one, holdersOf returns that
// process alone. pid is the pod's first process.
func holdersOf(inodes []uint64, pid int) (pids []int) {
	if len(inodes) == 0 || pid <= 0 {
		return nil
	}
	if holds(pid, inodes) {
		return []int{pid}
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var others []int
	for _, e := range entries {
		other, err := strconv.Atoi(e.Name())
		switch {
		case err != nil:
		case !belongs(other, pid):
			others = append(others, other)
		case holds(other, inodes):
			return []int{other}
		}
	}
	return slices.DeleteFunc(others, func(other int) bool { return !holds(other, inodes) })
}

// holds reports whether the process pid has one of the sockets open.
func holds(pid int, inodes []uint64) bool {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	fds, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer fds.Close()
	names, _ := fds.Readdirnames(-1)
	return slices.ContainsFunc(names, func(name string) bool {
		link, err := os.Readlink(dir + "/" + name)
		if err != nil {
			return false
		}
		rest, ok := strings.CutPrefix(link, "socket:[")
		n, err := strconv.ParseUint(strings.TrimSuffix(rest, "]"), 10, 64)
		return ok && err == nil && slices.Contains(inodes, n)
	})
}

// isYounger reports whether a process started after another one. What cannot be told is no.
func isYounger(pid, than int) bool {
	s, ok := readStat(pid)
	other, okOther := readStat(than)
	return ok && okOther && s.start > other.start
}

// strangeness says why a process that is not of the pod, whose first process is
// pod, cannot be serving for it; empty if it may.
func strangeness(pid, pod int) string {
	s, ok := readStat(pid)
	own, okOwn := readStat(pod)
	if ok && okOwn && s.start < own.start {
		return fmt.Sprintf("that ran before the pod, pid %d, and is not of it", pod)
	}
	if id, own := launchID(pid), launchID(pod); id != "" && own != "" && id != own {
		return fmt.Sprintf("that is of another pod than pid %d", pod)
	}
	return ""
}

// launchID returns the POD_LAUNCH_ID that a process was executed with.
func launchID(pid int) string {
	environ, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return ""
	}
	for v := range bytes.SplitSeq(environ, []byte{0}) {
		if id, ok := bytes.CutPrefix(v, []byte("POD_LAUNCH_ID=")); ok {
			return string(id)
		}
	}
	return ""
}

// unixListeners returns the inodes of the sockets that listen at path. A socket
// that was bound to a relative path counts if its holder, of the pod pid, stands in
// the directory that it is relative to.
func unixListeners(path string, pid int) (inodes []uint64) {
	for row := range tableRows("unix") {
		const flags, inode, name = 3, 6, 7 // proc_pid_net(5)
		if len(row) <= name {
			continue
		}
		f, err := strconv.ParseUint(string(row[flags]), 16, 64)
		n, errInode := strconv.ParseUint(string(row[inode]), 10, 64)
		const accepts = 1 << 16 // __SO_ACCEPTCON of the kernel
		if err != nil || errInode != nil || f&accepts == 0 {
			continue
		}
		bound := string(bytes.Join(row[name:], []byte{' '}))
		if bound == path || !filepath.IsAbs(bound) && standsBefore(bound, path, n, pid) {
			inodes = append(inodes, n)
		}
	}
	return inodes
}

// standsBefore reports whether a holder of a socket has a working directory from
// which bound leads to path.
func standsBefore(bound, path string, inode uint64, pid int) bool {
	if filepath.Base(bound) != filepath.Base(path) {
		return false
	}
	for _, holder := range holdersOf([]uint64{inode}, pid) {
		is, err := os.Stat(fmt.Sprintf("/proc/%d/cwd/%s", holder, bound))
		want, errWant := os.Stat(path)
		if err == nil && errWant == nil && os.SameFile(is, want) {
			return true
		}
	}
	return false
}

// peerOfPID returns the process pid as a [Peer]; ok is false if there is none.
func peerOfPID(pid int) (p Peer, ok bool) {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return p, false
	}
	p.PID = pid
	for line := range bytes.Lines(status) {
		var errScan error
		switch { // real, effective, … (proc_pid_status(5))
		case bytes.HasPrefix(line, []byte("Uid:")):
			_, errScan = fmt.Sscanf(string(line), "Uid: %d %d", new(int), &p.UID)
		case bytes.HasPrefix(line, []byte("Gid:")):
			_, errScan = fmt.Sscanf(string(line), "Gid: %d %d", new(int), &p.GID)
			ok = errScan == nil
		}
		if errScan != nil {
			return p, false
		}
	}
	return p, ok
}
