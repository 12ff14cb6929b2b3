package runtimedir

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// mkdir makes one directory, with its rights from the beginning.
func mkdir(path string) error {
	me, err := user()
	if err != nil {
		return err
	}
	name, err := windows.UTF16PtrFromString(path)
	if err == nil {
		rights := &windows.SecurityAttributes{SecurityDescriptor: me.only}
		rights.Length = uint32(unsafe.Sizeof(*rights))
		err = windows.CreateDirectory(name, rights)
	}
	if err != nil {
		return &fs.PathError{Op: "mkdir", Path: path, Err: err}
	}
	return nil
}

// openUp has nothing to do: a directory has its rights from the beginning.
func openUp(string) error { return nil }

// makeBelow makes the directory name below base, or accepts the directory that has the
// name. It goes by paths, while it holds the base open without FILE_SHARE_DELETE: until it
// returns, the base can be neither renamed nor removed (CreateFileW, dwShareMode), and on
// NTFS the directories above it cannot be renamed. Wine 8 renames it all the same.
func makeBelow(base string, _ fs.FileInfo, name string) error {
	dir, err := holdDir(base)
	// The last pod of Temp tries to remove the base now, which takes it a moment.
	for tries := 1; errors.Is(err, windows.ERROR_SHARING_VIOLATION) && tries < mkdirTries; tries++ {
		time.Sleep(time.Millisecond)
		dir, err = holdDir(base)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer windows.CloseHandle(dir)
	if err := checkBase(base, dir); err != nil {
		return err
	}
	path := filepath.Join(base, name)
	err = makePodDir(path)
	// The pod that had the name before may remove it now.
	for tries := 1; errors.Is(err, fs.ErrNotExist) && tries < mkdirTries; tries++ {
		err = makePodDir(path)
	}
	return err
}

// holdDir opens the directory at path, so that nobody can rename or remove it.
func holdDir(path string) (windows.Handle, error) {
	return openDir(path, windows.FILE_LIST_DIRECTORY|windows.READ_CONTROL, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE)
}

// checkBase makes sure that only we can add or replace an entry of the base directory. It
// takes no rights from others, as the mode is narrowed elsewhere: a list of rights cannot
// be narrowed without a guess at what it is for.
func checkBase(base string, dir windows.Handle) error {
	if err := checkKind(base, dir); err != nil {
		return err
	}
	r, err := rightsOf(dir)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, &fs.PathError{Op: "read the rights of", Path: base, Err: err})
	}
	if err := r.checkOwner(base); err != nil {
		return err
	}
	if r.others&mayWrite != 0 {
		return fmt.Errorf("%w: others may write to %s (%s); use a directory below it, or take these rights away with icacls",
			ErrInsecure, quote(base), r.who)
	}
	return nil
}

// makePodDir makes the pod's own directory, or accepts the directory that is there.
func makePodDir(path string) error {
	if err := mkdir(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	const access = windows.READ_CONTROL | windows.FILE_READ_ATTRIBUTES
	const share = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	dir, err := openDir(path, access|windows.WRITE_DAC, share)
	if errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		dir, err = openDir(path, access, share) // enough to see whose it is
	}
	if err != nil {
		return err
	}
	defer windows.CloseHandle(dir)
	if err := checkKind(path, dir); err != nil {
		return err
	}
	if err := checkName(path); err != nil {
		return err
	}
	r, err := rightsOf(dir)
	if err != nil {
		return &fs.PathError{Op: "read the rights of", Path: path, Err: err}
	}
	if err := r.checkOwner(path); err != nil {
		return err
	}
	if r.others == 0 {
		return nil
	}
	return narrow(path, dir, r.who)
}

// openDir opens what is at path; if that is a link, the link.
func openDir(path string, access, share uint32) (windows.Handle, error) {
	name, err := windows.UTF16PtrFromString(path)
	var h windows.Handle
	if err == nil {
		h, err = windows.CreateFile(name, access, share, nil, windows.OPEN_EXISTING,
			windows.FILE_FLAG_BACKUP_SEMANTICS|windows.FILE_FLAG_OPEN_REPARSE_POINT, 0)
	}
	if err != nil {
		return 0, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return h, nil
}

// nameSurrogate is the bit of the tags of those reparse points that stand for something
// elsewhere: symbolic links and junctions (IsReparseTagNameSurrogate).
const nameSurrogate = 0x20000000

// checkKind makes sure that h, which path leads to, is a directory and no link.
func checkKind(path string, h windows.Handle) error {
	var info struct{ attributes, tag uint32 } // FILE_ATTRIBUTE_TAG_INFO
	if err := windows.GetFileInformationByHandleEx(h, windows.FileAttributeTagInfo, (*byte)(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info))); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	switch {
	case info.attributes&windows.FILE_ATTRIBUTE_REPARSE_POINT != 0 && info.tag&nameSurrogate != 0:
		return fmt.Errorf("%w: %s is a symbolic link or a junction; name what it leads to, or remove it", ErrInsecure, quote(path))
	case info.attributes&windows.FILE_ATTRIBUTE_DIRECTORY == 0:
		return fmt.Errorf("%w: %s is not a directory but a file; remove it", ErrInsecure, quote(path))
	}
	return nil
}

// checkName makes sure that the directory at path has exactly the name that path ends with.
// The file system takes names for the same that differ by case, and a short name for the long
// one. Then the pod that came first has the directory. (GetFinalPathNameByHandle would tell
// it too; that of Wine 8 knows no path of more than 260 characters.)
func checkName(path string) error {
	var data windows.Win32finddata
	name, err := windows.UTF16PtrFromString(path)
	if err == nil {
		var found windows.Handle
		if found, err = windows.FindFirstFile(name, &data); err == nil {
			windows.FindClose(found)
		}
	}
	if err != nil {
		return &fs.PathError{Op: "read the name of", Path: path, Err: err}
	}
	if there := windows.UTF16ToString(data.FileName[:]); there != filepath.Base(path) {
		return fmt.Errorf("%w %q: the file system takes it for %q, which has the directory %s",
			ErrInvalidName, filepath.Base(path), there, quote(filepath.Join(filepath.Dir(path), there)))
	}
	return nil
}
