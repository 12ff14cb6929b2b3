package conformance

import (
	"os"

	"golang.org/x/sys/unix"
)

// InMemory has the tests of a program make their directories on the tmpfs of the machine, where
// there is one: Linux has it. That is what a runtime directory is on (XDG Base Directory
// Specification), and a disk's filesystem takes a sixth of the time of all tests for directories
// that are soon removed. $TMPDIR says otherwise, as does a tmpfs that has little room, or where
// no program may be executed. To be called before the tests run; [Main] does.
func InMemory() {
	const memory, room = "/dev/shm", 4 << 30
	var st unix.Statfs_t
	if os.Getenv("TMPDIR") != "" || unix.Statfs(memory, &st) != nil ||
		st.Type != unix.TMPFS_MAGIC || st.Flags&unix.ST_NOEXEC != 0 || uint64(st.Bsize)*st.Bavail < room {
		return
	}
	os.Setenv("TMPDIR", memory)
}
