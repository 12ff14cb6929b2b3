package conformance

// A thing is a goroutine or a descriptor. An id is not used again while it is
// there.
type thing struct{ id, says string }
