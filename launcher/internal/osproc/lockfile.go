package osproc

// A LockFile is the file of a lock: where it is, or was before it was deleted, and which file
// that is. Dev and Inode are those of stat(2): Inode alone is another file's, too, on another
// filesystem. The zero LockFile is none.
type LockFile struct {
	Path  string `json:"path"`
	Dev   uint64 `json:"dev"`
	Inode uint64 `json:"inode"`
}
