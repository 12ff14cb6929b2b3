package osproc

// RefuseGroupFlag has the kernel refuse to signal a group through a pidfd, as it does
// before Linux 6.9, until restore is called.
func RefuseGroupFlag() (restore func()) {
	known := processGroup
	processGroup = 1 << 30
	return func() { processGroup = known }
}
