package ownership

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// A dir is an open directory. What is in it is opened relative to the handle (the
// RootDirectory of NtCreateFile's object attributes), by a name that is no path. A reparse
// point is opened itself, and never what it leads to (FILE_OPEN_REPARSE_POINT).
//
// The handle does not share deletion. So nobody can rename or remove the directory while
// it is open, nor put another in its place.
type dir struct {
	path string
	fd   int  // the handle; -1 once it is closed
	goes bool // the directory is removed once the handle is closed
}

// How a file is shared with those who have it open, or open it.
const (
	shareAll      = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	shareNoDelete = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE
)

// What may be done with a file by its handle.
const (
	mayLook   = windows.FILE_READ_ATTRIBUTES | windows.SYNCHRONIZE
	mayRemove = windows.DELETE | windows.FILE_WRITE_ATTRIBUTES | mayLook
	mayList   = windows.FILE_LIST_DIRECTORY | windows.FILE_TRAVERSE | windows.READ_CONTROL | mayLook
)

// openDirectory opens the directory at path. A reparse point in its place, such as a
// symbolic link or a junction, is refused with ELOOP, and what is no directory with ENOTDIR.
func openDirectory(path string) (*dir, status, error) {
	var fd int
	err := patiently(func() (err error) { // another may be about to remove it
		fd, err = openNT(absolute, path, mayList, shareNoDelete, windows.FILE_OPEN, 0)
		return err
	})
	if err != nil {
		return nil, status{}, &fs.PathError{Op: "open", Path: path, Err: toErrno(err)}
	}
	d := &dir{path: path, fd: fd}
	s, err := statusOf(fd)
	switch {
	case err != nil:
	case s.mode&(fs.ModeSymlink|fs.ModeIrregular) != 0:
		err = syscall.ELOOP
	case !s.mode.IsDir():
		err = syscall.ENOTDIR
	default:
		s.trust = trustOf(fd)
		return d, s, nil
	}
	d.close()
	return nil, status{}, &fs.PathError{Op: "open", Path: path, Err: err}
}

// anywhere is where paths that are absolute begin.
var anywhere = &dir{fd: absolute}

// absolute stands for the directory of a path that needs none. No handle has this value, nor
// has a dir that is closed.
const absolute = -100

func (d *dir) close() {
	if d.fd < 0 {
		return
	}
	closeFD(d.fd)
	d.fd = -1
	if d.goes {
		removeDirectory(d.path)
	}
}

// removeSelf removes the directory, if nothing is in it, when it is closed: until then the
// handle keeps it where it is.
func (d *dir) removeSelf() { d.goes = true }

// lstat tells what name is. It reads attributes alone, so nobody's share mode refuses it.
func (d *dir) lstat(name string) (status, error) {
	fd, err := openNT(d.fd, name, mayLook, shareAll, windows.FILE_OPEN, 0)
	if err != nil {
		return status{}, d.failed("lstat", name, err)
	}
	defer closeFD(fd)
	s, err := statusOf(fd)
	if err == nil && !s.linked {
		err = windows.ERROR_FILE_NOT_FOUND // the last handle keeps its name
	}
	if err != nil {
		return s, d.failed("lstat", name, err)
	}
	return s, nil
}

// lstatByPath is lstat: a directory that is open cannot be moved.
func (d *dir) lstatByPath(name string) (status, error) { return d.lstat(name) }

// open opens the file called name. Others may read, write, rename and remove it meanwhile.
func (d *dir) open(name string, flags int) (*os.File, error) {
	fd, err := d.openFD(name, flags)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), filepath.Join(d.path, name)), nil
}

// openFD is open without what package os asks about each file.
func (d *dir) openFD(name string, flags int) (int, error) {
	var access uint32 = mayLook
	switch flags & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR) {
	case os.O_WRONLY:
		access |= windows.FILE_GENERIC_WRITE
	case os.O_RDWR:
		access |= windows.FILE_GENERIC_WRITE | windows.FILE_GENERIC_READ
	default:
		access |= windows.FILE_GENERIC_READ
	}
	if flags&os.O_APPEND != 0 {
		access &^= windows.FILE_WRITE_DATA // what may only be appended goes to the end
	}
	var disposition uint32 = windows.FILE_OPEN
	switch {
	case flags&os.O_CREATE != 0 && flags&os.O_EXCL != 0:
		disposition = windows.FILE_CREATE
	case flags&os.O_CREATE != 0:
		disposition = windows.FILE_OPEN_IF
	}
	fd, err := openNT(d.fd, name, access, shareAll, disposition, windows.FILE_NON_DIRECTORY_FILE)
	if err != nil {
		return -1, d.failed("open", name, err)
	}
	return fd, nil
}

// read returns what is in the file called name, if it is a regular one of at most
// max bytes, and what it is.
func (d *dir) read(name string, max int64) ([]byte, status, error) {
	fd, err := openNT(d.fd, name, windows.FILE_GENERIC_READ, shareAll, windows.FILE_OPEN, 0)
	if err != nil {
		return nil, status{}, d.failed("open", name, err)
	}
	defer closeFD(fd)
	s, err := statusOf(fd)
	if err == nil && !s.linked {
		err = windows.ERROR_FILE_NOT_FOUND // the last handle keeps its name
	}
	if err != nil {
		return nil, s, d.failed("stat", name, err)
	}
	s.trust = trustOf(fd)
	if !s.mode.IsRegular() || s.size > max {
		return nil, s, nil
	}
	data := make([]byte, s.size)
	read := 0
	for read < len(data) {
		n, err := syscall.Read(syscall.Handle(fd), data[read:])
		if err != nil {
			return nil, s, d.failed("read", name, err)
		}
		if n == 0 {
			break // it was made shorter
		}
		read += n
	}
	return data[:read], s, nil
}

// rename is not there: a file cannot be renamed over a file that others have open, as they may
// have the record.
func (d *dir) rename(string, string) error {
	return fmt.Errorf("rename a file over another on Windows: %w", errors.ErrUnsupported)
}

// An openRecord is the record that we have written.
type openRecord struct {
	in   *dir
	name string
	fd   int
	size int64
}

// write appends data.
func (r *openRecord) write(data []byte) error {
	for len(data) > 0 {
		n, err := syscall.Write(syscall.Handle(r.fd), data)
		if err != nil {
			return err
		}
		r.size += int64(n)
		data = data[n:]
	}
	return nil
}

// isInPlace is isThere: the base cannot be moved.
func (r *openRecord) isInPlace() (bool, error) { return r.isThere() }

// isThere reports whether the file still has its name, and holds what was written. It asks
// for the name: Wine 8 does not tell by a handle that the file is to be removed. Who may
// read the file the directory's access list has decided.
func (r *openRecord) isThere() (bool, error) {
	s, err := statusOf(r.fd)
	if err != nil || !s.linked || s.size != r.size {
		return false, err
	}
	there, err := r.in.lstat(r.name)
	if isMissing(err) {
		return false, nil
	}
	return err == nil && s.same(there), err
}

func (d *dir) failed(op, name string, err error) error {
	path := name
	if d != anywhere {
		path = filepath.Join(d.path, name)
	}
	return &fs.PathError{Op: op, Path: path, Err: toErrno(err)}
}

// toErrno returns the error of Windows that means the same as an NTSTATUS, for errors.Is to
// find fs.ErrNotExist and the like. A file whose removal waits for its last handle is not
// there. Other errors it returns as they are.
func toErrno(err error) error {
	var nt windows.NTStatus
	switch {
	case !errors.As(err, &nt):
		return err
	case nt == windows.STATUS_DELETE_PENDING:
		return fmt.Errorf("its removal waits until everybody has closed it: %w", windows.ERROR_FILE_NOT_FOUND)
	}
	return nt.Errno()
}

// openNT opens the file called name in the directory root, or at the path name if root is
// absolute, as NtCreateFile does. The handle is not inheritable: a process inherits a copy
// of it that is made for it alone. The error is a windows.NTStatus.
func openNT(root int, name string, access, share, disposition, options uint32) (int, error) {
	var under windows.Handle
	if root == absolute {
		path, err := ntPath(name)
		if err != nil {
			return -1, err
		}
		name = path
	} else {
		under = windows.Handle(root)
		if strings.ContainsAny(name, `\/:`) { // a path, or a stream of a file
			return -1, windows.STATUS_OBJECT_NAME_INVALID
		}
	}
	text, err := windows.NewNTUnicodeString(name)
	if err != nil {
		return -1, err
	}
	attributes := windows.OBJECT_ATTRIBUTES{RootDirectory: under, ObjectName: text, Attributes: windows.OBJ_CASE_INSENSITIVE}
	attributes.Length = uint32(unsafe.Sizeof(attributes))
	var handle windows.Handle
	var done windows.IO_STATUS_BLOCK
	options |= windows.FILE_OPEN_REPARSE_POINT | windows.FILE_SYNCHRONOUS_IO_NONALERT
	err = windows.NtCreateFile(&handle, access|windows.SYNCHRONIZE, &attributes, &done, nil,
		windows.FILE_ATTRIBUTE_NORMAL, share, disposition, options, 0, 0)
	if err != nil {
		return -1, err
	}
	return int(handle), nil
}

// ntPath returns the name that the kernel has for a path of a program.
func ntPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if device, ok := strings.CutPrefix(path, `\\?\`); ok {
		return `\??\` + device, nil
	}
	if share, ok := strings.CutPrefix(path, `\\`); ok {
		return `\??\UNC\` + share, nil
	}
	return `\??\` + path, nil
}

// entriesOf returns what is in the directory at path, which another may be about to remove.
func entriesOf(path string) (entries []os.DirEntry, err error) {
	err = patiently(func() error {
		entries, err = os.ReadDir(path)
		return err
	})
	return entries, err
}

// A status is what a file is.
type status struct {
	mode   fs.FileMode
	size   int64
	dev    uint64 // the volume's serial number
	ino    uint64 // the lower half of the file's id on the volume
	high   uint64 // the upper half
	linked bool   // it has a name that does not go with the last handle
	trust  *trust // who may write to it; nil: nobody has asked
}

// same reports whether both are of one file.
func (s status) same(t status) bool { return s.dev == t.dev && s.ino == t.ino && s.high == t.high }

// checkOwner makes sure that nobody but us, or who may do anything anyway, has
// written the file: what it says would be believed.
//
// The file is ours if its owner is our user, Administrators or SYSTEM: what an elevated
// program of our user makes is owned by Administrators. No entry of its access list may let
// anybody else write to it, remove it, or change the list. Entries that deny something are
// passed over, and an entry that cannot be read counts as if it let everybody in. Wine 8
// shows the mode of the file in this form: there the check finds a mode of 0777, and not
// more.
func (s status) checkOwner(int) error {
	if s.trust == nil {
		return fmt.Errorf("%w: who may write to it was not asked", errors.ErrUnsupported)
	}
	return s.trust.err
}

// isRoot reports whether s is of the directory that root is.
func (s status) isRoot(root *os.Root) (bool, error) {
	f, err := root.Open(".")
	if err != nil {
		return false, err
	}
	defer f.Close()
	here, err := fileStatus(f)
	return err == nil && s.same(here), err
}

func fileStatus(f *os.File) (status, error) {
	s, err := statusOf(int(f.Fd()))
	if err != nil {
		err = &fs.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return s, err
}

// fileIDInfo is FILE_ID_INFO.
type fileIDInfo struct {
	volume uint64
	id     [2]uint64
}

// fileStandardInfo is FILE_STANDARD_INFO.
type fileStandardInfo struct {
	allocated, size int64
	links           uint32
	deletePending   bool
	directory       bool
}

// attributeTagInfo is FILE_ATTRIBUTE_TAG_INFO.
type attributeTagInfo struct{ attributes, tag uint32 }

func statusOf(fd int) (status, error) {
	var id fileIDInfo
	var standard fileStandardInfo
	var tag attributeTagInfo
	err := information(fd, windows.FileIdInfo, unsafe.Pointer(&id), unsafe.Sizeof(id))
	if err == nil {
		err = information(fd, windows.FileStandardInfo, unsafe.Pointer(&standard), unsafe.Sizeof(standard))
	}
	if err == nil {
		err = information(fd, windows.FileAttributeTagInfo, unsafe.Pointer(&tag), unsafe.Sizeof(tag))
	}
	if err != nil {
		return status{}, err
	}
	return status{
		mode:   modeOf(tag),
		size:   standard.size,
		dev:    id.volume,
		ino:    id.id[0],
		high:   id.id[1],
		linked: standard.links > 0 && !standard.deletePending,
	}, nil
}

func information(fd int, class uint32, into unsafe.Pointer, size uintptr) error {
	return windows.GetFileInformationByHandleEx(windows.Handle(fd), class, (*byte)(into), uint32(size))
}

// modeOf returns the type of a file. The bits of the mode that say who may do what mean
// nothing on Windows: see trust. A reparse point is never a directory or a regular file.
func modeOf(t attributeTagInfo) fs.FileMode {
	const unixSocket = 0x80000023 // IO_REPARSE_TAG_AF_UNIX
	switch {
	case t.attributes&windows.FILE_ATTRIBUTE_REPARSE_POINT == 0:
	case t.tag == windows.IO_REPARSE_TAG_SYMLINK, t.tag == windows.IO_REPARSE_TAG_MOUNT_POINT:
		return fs.ModeSymlink
	case t.tag == unixSocket:
		return fs.ModeSocket
	default:
		return fs.ModeIrregular
	}
	if t.attributes&windows.FILE_ATTRIBUTE_DIRECTORY != 0 {
		return fs.ModeDir
	}
	return 0
}

// isMissing reports whether err says that there is no such file.
func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// isNotEmpty reports whether err says that there is something in a directory.
func isNotEmpty(err error) bool { return errors.Is(err, windows.ERROR_DIR_NOT_EMPTY) }

// There are no groups and no sessions as Unix has them.
func groupOf() int   { return 0 }
func sessionOf() int { return 0 }

func closeFD(fd int) { windows.CloseHandle(windows.Handle(fd)) }

// lockByte locks the byte of the launch lock, exclusively or for those who share it. It does
// not wait.
func lockByte(fd int, how uint32) error {
	at := farOffset()
	return windows.LockFileEx(windows.Handle(fd), how|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
}

// farOff is the offset of the byte that is the launch lock. Windows refuses to read bytes that
// another has locked, so it is past the end of any file.
const farOff = 1 << 62

func farOffset() windows.Overlapped {
	return windows.Overlapped{Offset: uint32(farOff & 0xffffffff), OffsetHigh: uint32(farOff >> 32)}
}

// unlockFD releases a launch lock, and keeps the handle. A pod lock has nothing to release:
// nobody can take the copy of a child away from it (see Claim.confirmAlone).
func unlockFD(fd int) {
	at := farOffset()
	_ = windows.UnlockFileEx(windows.Handle(fd), 0, 1, 0, &at) // it fails if nothing is locked
}

var compareStringOrdinal = windows.NewLazySystemDLL("kernel32.dll").NewProc("CompareStringOrdinal")

// sameName reports whether a and b are one name: the files of both are the same, for
// Windows folds case. It folds them as NTFS does, by the table of the system
// (CompareStringOrdinal).
func sameName(a, b string) bool {
	const equal = 2 // CSTR_EQUAL
	first, err := windows.UTF16FromString(a)
	if err != nil {
		return a == b
	}
	second, err := windows.UTF16FromString(b)
	if err != nil {
		return a == b
	}
	r, _, _ := compareStringOrdinal.Call(uintptr(unsafe.Pointer(&first[0])), uintptr(len(first)),
		uintptr(unsafe.Pointer(&second[0])), uintptr(len(second)), 1)
	return r == equal
}

// ownerOf cannot tell.
func ownerOf(fs.FileInfo) string { return "" }
