package osproc

// RefuseGroupFlag has the kernel refuse to signal a group through a pidfd, as it does
// before Linux 6.9, until restore is called.
func RefuseGroupFlag() (restore func()) {
	known := processGroup
	processGroup = 1 << 30
	return func() { processGroup = known }
}

// EnvironOf is environOf.
func EnvironOf(pid int) ([]byte, error) {
	buf := make([]byte, 1<<10)
	return environOf(pid, &buf)
}
