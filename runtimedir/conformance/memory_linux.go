package conformance

import (
	"os"
	"syscall"
)

// InMemory has the tests of a program make their directories on the tmpfs of the machine, where
// there is one: Linux has it. That is what a runtime directory is on (XDG Base Directory
// Specification), and a disk's filesystem takes a sixth of the time of all tests for directories
// that are soon removed. $TMPDIR says otherwise, as does a tmpfs that has little room, or where
// no program may be executed. To be called before the tests run; [Main] does.
func InMemory() {
	const (
		memory = "/dev/shm"
		room   = 4 << 30
		tmpfs  = 0x01021994 // TMPFS_MAGIC, statfs(2)
		noExec = 0x8        // ST_NOEXEC
	)
	var st syscall.Statfs_t
	if os.Getenv("TMPDIR") != "" || syscall.Statfs(memory, &st) != nil ||
		st.Type != tmpfs || st.Flags&noExec != 0 || uint64(st.Bsize)*st.Bavail < room {
		return
	}
	os.Setenv("TMPDIR", memory)
}
