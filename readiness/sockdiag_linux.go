package readiness

import (
	"encoding/binary"
	"os"
	"slices"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// boundTo returns the inode of the socket that listens and was bound to the file at path, also
// if the file got another name since: supervisord links it into place. It asks the kernel
// (sock_diag(7)). It returns 0 if the kernel does not tell: it is built without
// CONFIG_UNIX_DIAG, or the filesystem shows other numbers than the kernel has (overlayfs).
func boundTo(path string) (inode uint64) {
	fi, err := os.Stat(path)
	if err != nil {
		return 0
	}
	file, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	number := uint32(file.Ino)
	// The kernel's own dev_t: include/linux/kdev_t.h.
	device := unix.Major(uint64(file.Dev))<<20 | unix.Minor(uint64(file.Dev))
	replies, err := askUnixDiag()
	if err != nil {
		return 0
	}
	for _, m := range replies {
		const head = 16 // struct unix_diag_msg
		if m.Header.Type != sockDiagByFamily || len(m.Data) < head {
			continue
		}
		for attributes := m.Data[head:]; len(attributes) >= unix.SizeofRtAttr; {
			size := int(binary.NativeEndian.Uint16(attributes))
			kind := binary.NativeEndian.Uint16(attributes[2:])
			if size < unix.SizeofRtAttr || size > len(attributes) {
				break
			}
			const vfs = 1 // UNIX_DIAG_VFS
			if value := attributes[unix.SizeofRtAttr:size]; kind == vfs && len(value) >= 8 &&
				binary.NativeEndian.Uint32(value) == number && binary.NativeEndian.Uint32(value[4:]) == device {
				return uint64(binary.NativeEndian.Uint32(m.Data[4:]))
			}
			attributes = attributes[min(len(attributes), (size+3)&^3):]
		}
	}
	return 0
}

// sockDiagByFamily is SOCK_DIAG_BY_FAMILY of the kernel.
const sockDiagByFamily = 20

// askUnixDiag asks for all unix sockets that listen, and the files that they were bound to.
func askUnixDiag() ([]syscall.NetlinkMessage, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	limit := unix.NsecToTimeval(int64(kinPatience / time.Nanosecond))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		return nil, err
	}
	const listen, showVFS = 10, 2 // TCP_LISTEN, UDIAG_SHOW_VFS
	request := struct {
		unix.NlMsghdr
		family, protocol uint8
		_                uint16
		states, inode    uint32
		show             uint32
		cookie           [2]uint32
	}{family: unix.AF_UNIX, states: 1 << listen, show: showVFS}
	request.Len, request.Type, request.Flags = uint32(unsafe.Sizeof(request)), sockDiagByFamily, unix.NLM_F_REQUEST|unix.NLM_F_DUMP
	raw := slices.Clone(unsafe.Slice((*byte)(unsafe.Pointer(&request)), unsafe.Sizeof(request)))
	if err := unix.Sendto(fd, raw, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	var all []syscall.NetlinkMessage
	for {
		buf := make([]byte, 64<<10)
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			switch m.Header.Type {
			case unix.NLMSG_DONE:
				return all, nil
			case unix.NLMSG_ERROR:
				return nil, unix.EOPNOTSUPP
			}
			all = append(all, m)
		}
	}
}
