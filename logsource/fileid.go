package logsource

import "os"

// A FileID tells a file from every other one, also from a later one with its path, or
// with its inode. The zero FileID is that of no file. Two that are equal are of one file.
//
// On Linux it holds the time at which the file was made, for some filesystems (ext4)
// give the inode of a file that was removed to the next one that is made. Where the
// system does not tell that time, such a file has the same FileID.
type FileID struct {
	dev, ino uint64
	born     int64 // in ns since 1970; 0: not known
}

// IdentifyFile returns the FileID of what path leads to. It follows symbolic links.
func IdentifyFile(path string) (FileID, error) {
	dev, ino, born, err := statPath(path)
	return FileID{dev, ino, born}, err
}

// identifyOpen returns the FileID of file.
func identifyOpen(file *os.File) (FileID, error) {
	dev, ino, born, err := statOpen(file)
	return FileID{dev, ino, born}, err
}
