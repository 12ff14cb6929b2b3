package readiness

import (
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// On Windows package syscall has numbers of its own for errors like ECONNREFUSED, and
// connections fail with those of the system ("Windows Sockets Error Codes").
var (
	notYet         = []error{windows.WSAECONNREFUSED, windows.WSAEINTR, windows.WSAETIMEDOUT}
	notReachable   = []error{windows.WSAEHOSTUNREACH, windows.WSAENETUNREACH, windows.WSAEADDRNOTAVAIL, windows.WSAECONNRESET, windows.WSAECONNABORTED}
	isBeingWritten = []error{windows.ERROR_SHARING_VIOLATION, windows.ERROR_LOCK_VIOLATION}
)

// openShared opens a file that another process may be writing. It is not os.Open, which
// keeps that process from renaming or deleting it (CreateFileW, FILE_SHARE_DELETE).
func openShared(path string) (*os.File, error) {
	const share = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	name, err := windows.UTF16PtrFromString(path)
	var h windows.Handle
	if err == nil {
		h, err = windows.CreateFile(name, windows.GENERIC_READ, share, nil, windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}
