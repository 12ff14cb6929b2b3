package ownership

import "golang.org/x/sys/unix"

// mountOf returns which mount an open file is in. That is not told before Linux 5.8 (statx(2)).
func mountOf(fd int) (mount uint64, told bool) {
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st)
	return st.Mnt_id, err == nil && st.Mask&unix.STATX_MNT_ID != 0
}
