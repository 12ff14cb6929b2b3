package readiness

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"syscall"
	"time"
)

// A notification is what one datagram says, as sd_notify(3) has it. Of a
// variable that is assigned twice the first value counts.
type notification struct {
	ready, stopping, barrier bool

	status     *string
	errno      syscall.Errno // 0: none
	exitStatus *int          // nil: none
	extend     time.Duration // 0: none
	mainPID    int           // 0: none

	malformed []string // what was not understood, quoted: the first few
}

// parseNotification takes a datagram apart. It returns an error if nothing in the
// datagram counts.
func parseNotification(data []byte) (n notification, err error) {
	data = bytes.TrimSuffix(data, []byte{0}) // some send the string's own end
	if bytes.IndexByte(data, 0) >= 0 {
		return n, fmt.Errorf("it holds a NUL")
	}
	assigned := make(map[string]bool)
	count := 0
	for line := range bytes.SplitSeq(data, []byte{'\n'}) {
		if len(line) == 0 {
			continue
		}
		count++
		key, value, ok := bytes.Cut(line, []byte{'='})
		switch {
		case !ok || len(key) == 0:
			n.misunderstood(line)
		case assigned[string(key)]:
		case !n.assign(string(key), string(value)):
			n.misunderstood(line)
		default:
			assigned[string(key)] = true
		}
	}
	switch {
	case count == 0:
		return notification{}, fmt.Errorf("it says nothing")
	case n.barrier && count > 1:
		return notification{}, fmt.Errorf("it holds BARRIER=1 and something else")
	}
	return n, nil
}

// misunderstood notes an assignment that has no meaning.
func (n *notification) misunderstood(line []byte) {
	const most, width = 3, 100
	if len(n.malformed) < most {
		n.malformed = append(n.malformed, fmt.Sprintf("%q", line[:min(len(line), width)]))
	}
}

// assign takes one assignment. It reports whether the assignment has a meaning, or has
// a key that we do not know.
func (n *notification) assign(key, value string) bool {
	switch key {
	case "READY":
		n.ready = value == "1"
		return n.ready
	case "STOPPING":
		n.stopping = value == "1"
		return n.stopping
	case "BARRIER":
		n.barrier = value == "1"
		return n.barrier
	case "STATUS":
		status := cut(value)
		n.status = &status
	case "ERRNO":
		v, ok := decimal(value, 4095) // MAX_ERRNO of the kernel
		n.errno = syscall.Errno(v)
		return ok
	case "EXIT_STATUS":
		v, ok := decimal(value, 255)
		if status := int(v); ok {
			n.exitStatus = &status
		}
		return ok
	case "EXTEND_TIMEOUT_USEC":
		v, ok := decimal(value, math.MaxUint64)
		n.extend = time.Duration(min(v, math.MaxInt64/uint64(time.Microsecond))) * time.Microsecond
		return ok
	case "MAINPID":
		v, ok := decimal(value, math.MaxInt32)
		n.mainPID = int(v)
		return ok && v > 0
	}
	return true
}

// decimal reads a number that is not greater than most; for any other it returns
// 0.
func decimal(s string, most uint64) (uint64, bool) {
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil || v > most {
		return 0, false
	}
	return v, true
}
