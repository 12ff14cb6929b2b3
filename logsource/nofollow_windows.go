package logsource

import (
	"os"

	"golang.org/x/sys/windows"
)

// openNoFollow opens the file at path for reading; if that is a link, the link. It is not
// os.Open, which would keep the pod from deleting or renaming its log (CreateFileW,
// FILE_SHARE_DELETE).
func openNoFollow(path string) (*os.File, error) {
	h, err := openShared(path, windows.GENERIC_READ, windows.FILE_FLAG_OPEN_REPARSE_POINT|windows.FILE_FLAG_BACKUP_SEMANTICS)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(h), path), nil
}
