package ownership

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf16"
	"unsafe"

	"golang.org/x/sys/windows"
)

// remove deletes the file, or empty directory, called name, if it is there. Also if others
// have the file open, its name is free at once. The name of a lock may stay until the last
// handle is closed: who comes then finds that somebody has it.
func (d *dir) remove(name string) error {
	err := patiently(func() error { return d.removeOnce(name) })
	if err == nil || isGone(err) {
		return nil
	}
	return d.failed("remove", name, err)
}

// isGone reports whether err says that there is no such name, or that it goes with the last
// handle.
func isGone(err error) bool {
	return errors.Is(err, windows.STATUS_OBJECT_NAME_NOT_FOUND) || errors.Is(err, windows.STATUS_OBJECT_PATH_NOT_FOUND) ||
		errors.Is(err, windows.STATUS_NO_SUCH_FILE) || errors.Is(err, windows.STATUS_DELETE_PENDING)
}

func (d *dir) removeOnce(name string) error {
	fd, err := openNT(d.fd, name, mayRemove, shareAll, windows.FILE_OPEN, 0)
	if err != nil {
		return err
	}
	defer closeFD(fd)
	if isLock(name) {
		return discard(fd, nil)
	}
	return discard(fd, d)
}

func isLock(name string) bool {
	return strings.HasSuffix(name, launchSuffix) || strings.HasSuffix(name, podSuffix) || strings.HasSuffix(name, privateSuffix)
}

// discard removes the file or empty directory that is open.
//
// Windows 10 has known since version 1709 how to free the name at once (POSIX semantics).
// Network shares, FAT and Wine 8 do not: there the name stays until everybody has closed the
// file, and nobody can make another of this name. So a file gets a random name before, in the
// directory in, where it is; nil: it keeps its name. A crash in between leaves the file with the
// other name. Wine renames by the path that the file was opened with, where another may be by
// now, so only who has the launch lock may do that.
func discard(fd int, in *dir) error {
	var done windows.IO_STATUS_BLOCK
	flags := uint32(windows.FILE_DISPOSITION_DELETE | windows.FILE_DISPOSITION_POSIX_SEMANTICS | windows.FILE_DISPOSITION_IGNORE_READONLY_ATTRIBUTE)
	err := windows.NtSetInformationFile(windows.Handle(fd), &done, (*byte)(unsafe.Pointer(&flags)), uint32(unsafe.Sizeof(flags)), windows.FileDispositionInformationEx)
	if !isUnknown(err) {
		return err
	}
	if s, err := statusOf(fd); in != nil && err == nil && s.mode.IsRegular() {
		if err := rename(fd, in.fd, ".removed-"+rand.Text()); err != nil {
			return err
		}
	}
	err = discardLater(fd)
	if errors.Is(err, windows.STATUS_CANNOT_DELETE) { // it is read-only
		if err = makeWritable(fd); err == nil {
			err = discardLater(fd)
		}
	}
	return err
}

// isUnknown reports whether err says that the file system, or the system, does not know a
// call.
func isUnknown(err error) bool {
	for _, unknown := range []windows.NTStatus{windows.STATUS_INVALID_INFO_CLASS, windows.STATUS_INVALID_PARAMETER,
		windows.STATUS_NOT_SUPPORTED, windows.STATUS_NOT_IMPLEMENTED, windows.STATUS_INVALID_DEVICE_REQUEST} {
		if errors.Is(err, unknown) {
			return true
		}
	}
	return false
}

// discardLater has the file removed once it is closed.
func discardLater(fd int) error {
	var done windows.IO_STATUS_BLOCK
	yes := byte(1)
	return windows.NtSetInformationFile(windows.Handle(fd), &done, &yes, 1, windows.FileDispositionInformation)
}

// makeWritable takes the attribute away that keeps a file from being removed.
func makeWritable(fd int) error {
	basic := struct {
		times      [4]int64 // zero: as they are
		attributes uint32
	}{attributes: windows.FILE_ATTRIBUTE_NORMAL}
	return windows.SetFileInformationByHandle(windows.Handle(fd), windows.FileBasicInfo, (*byte)(unsafe.Pointer(&basic)), uint32(unsafe.Sizeof(basic)))
}

// rename gives the open file another name, in the directory in.
func rename(fd, in int, name string) error {
	type renameInfo struct { // FILE_RENAME_INFORMATION
		replace bool
		root    windows.Handle
		length  uint32
		name    [64]uint16
	}
	text := utf16.Encode([]rune(name))
	info := renameInfo{root: windows.Handle(in), length: uint32(2 * len(text))}
	copy(info.name[:], text)
	var done windows.IO_STATUS_BLOCK
	return windows.NtSetInformationFile(windows.Handle(fd), &done, (*byte)(unsafe.Pointer(&info)),
		uint32(unsafe.Offsetof(info.name))+info.length, windows.FileRenameInformation)
}

// removeAll removes name and all that is in it. Everything is opened relative to the
// directory that it is in, and a reparse point is removed itself: nothing outside is touched.
//
// os.Root has RemoveAll, which frees no name that another has open where the system does not
// know how (see discard), and does not work under Wine 8.
func (d *dir) removeAll(name string, _ status) error {
	if err := removeTree(d.fd, name, filepath.Join(d.path, name)); err != nil && !isGone(err) {
		return d.failed("remove", name, err)
	}
	return nil
}

// removeTree removes what is called name in the directory parent, and is at path.
func removeTree(parent int, name, path string) error {
	fd, err := openNT(parent, name, mayRemove|mayList, shareAll, windows.FILE_OPEN, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	s, err := statusOf(fd)
	if err != nil {
		return err
	}
	if s.mode.IsDir() {
		if err := removeEntries(f); err != nil {
			return err
		}
	}
	return patiently(func() error { return discard(fd, nil) })
}

// removeEntries removes what is in the directory.
func removeEntries(f *os.File) error {
	names, err := f.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		path := filepath.Join(f.Name(), name)
		err := patiently(func() error { return removeTree(int(f.Fd()), name, path) })
		if err != nil && !isGone(err) {
			return &fs.PathError{Op: "remove", Path: path, Err: toErrno(err)}
		}
	}
	return nil
}
