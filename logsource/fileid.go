package logsource

import "os"

// A FileID tells a file from every other file, also from a later file with its path or
// its inode. The zero FileID is that of no file. Equal FileIDs are of one file.
//
// On Linux it holds the time at which the file was made, for some filesystems (ext4)
// give the inode of a removed file to the next new file. Where the system does not
// report that time, the new file has the same FileID.
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
