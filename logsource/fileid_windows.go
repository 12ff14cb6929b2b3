package logsource

import (
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// statPath returns what is in the FileID of the file to which path leads.
func statPath(path string) (dev, ino uint64, born int64, err error) {
	h, err := openShared(path, windows.FILE_READ_ATTRIBUTES, windows.FILE_FLAG_BACKUP_SEMANTICS)
	if err != nil {
		return 0, 0, 0, err
	}
	defer windows.CloseHandle(h)
	return statHandle(h, path)
}

// statOpen returns what is in the FileID of file.
func statOpen(file *os.File) (dev, ino uint64, born int64, err error) {
	conn, err := file.SyscallConn()
	if err != nil {
		return 0, 0, 0, err
	}
	controlErr := conn.Control(func(fd uintptr) { dev, ino, born, err = statHandle(windows.Handle(fd), file.Name()) })
	if controlErr != nil {
		err = controlErr
	}
	return dev, ino, born, err
}

// statHandle asks for the volume and the number of a file. NTFS counts in a part of the
// number how often it was used (BY_HANDLE_FILE_INFORMATION). The time alone would not do:
// a new file may get that of an old one with its name (file system tunneling).
func statHandle(h windows.Handle, path string) (dev, ino uint64, born int64, err error) {
	var info windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(h, &info); err != nil {
		return 0, 0, 0, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	ino = uint64(info.FileIndexHigh)<<32 | uint64(info.FileIndexLow)
	return uint64(info.VolumeSerialNumber), ino, info.CreationTime.Nanoseconds(), nil
}

// openShared opens what is at path, and lets others write, rename and delete it.
func openShared(path string, access, flags uint32) (windows.Handle, error) {
	name, err := windows.UTF16PtrFromString(path)
	var h windows.Handle
	if err == nil {
		const share = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
		h, err = windows.CreateFile(name, access, share, nil, windows.OPEN_EXISTING, flags, 0)
	}
	if err != nil {
		return 0, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return h, nil
}
