package readiness

import (
	"bytes"
	"slices"
	"testing"
)

// FuzzNotification states what holds for any datagram. READY, STOPPING and BARRIER
// count only if a line is exactly that assignment. An unknown line changes nothing,
// except beside a barrier, which has to stand alone. What is kept of a datagram is
// bounded, and fits into one line.
func FuzzNotification(f *testing.F) {
	f.Add([]byte("READY=1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := parseNotification(data)
		if err != nil {
			if n.ready || n.stopping || n.barrier || n.status != nil || n.errno != 0 || n.exitStatus != nil || n.extend != 0 {
				t.Fatalf("%q counts, with the error %v", data, err)
			}
			return
		}
		lines := bytes.Split(bytes.TrimSuffix(data, []byte{0}), []byte{'\n'})
		says := func(line string) bool {
			return slices.ContainsFunc(lines, func(l []byte) bool { return string(l) == line })
		}
		if n.ready != says("READY=1") || n.stopping != says("STOPPING=1") || n.barrier != says("BARRIER=1") {
			t.Errorf("%q is taken for %+v", data, n)
		}
		if n.status != nil && (len(*n.status) > maxSaid || bytes.IndexByte([]byte(*n.status), '\n') >= 0) {
			t.Errorf("the status is %q", *n.status)
		}
		if n.errno > 4095 || n.exitStatus != nil && uint(*n.exitStatus) > 255 || n.extend < 0 || n.mainPID < 0 || len(n.malformed) > 3 {
			t.Errorf("out of bounds: %+v", n)
		}
		if n.barrier {
			return
		}
		more, err := parseNotification(append([]byte("X_SOMETHING=else\n"), data...))
		if err != nil || more.ready != n.ready || more.errno != n.errno || more.extend != n.extend || (more.status == nil) != (n.status == nil) {
			t.Errorf("with one more line that nobody knows %+v became %+v, %v", n, more, err)
		}
	})
}
