package ownership

import (
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/unixproc"
)

// D34: a holder is a leftover once it was seen for long enough: between looks,
// not since the first, for this process may have stood still in the meantime, as
// the other has; and by far longer if it has yet to come to its exec.
func TestSettled(t *testing.T) {
	const before, after = true, false // the exec
	type look struct {
		began, took time.Duration
		forked      bool
	}
	ms := time.Millisecond
	for name, c := range map[string]struct {
		looks []look
		want  bool
	}{
		"seen once":                       {[]look{{0, 0, after}}, false},
		"seen once, slowly":               {[]look{{0, time.Hour, after}}, false},
		"seen twice":                      {[]look{{0, 0, after}, {100 * ms, 0, after}}, true},
		"too soon":                        {[]look{{0, 0, after}, {99 * ms, 0, after}}, false},
		"the first look was slow":         {[]look{{0, 50 * ms, after}, {100 * ms, 0, after}}, false},
		"the second one was":              {[]look{{0, 0, after}, {50 * ms, time.Hour, after}}, false},
		"before its exec":                 {[]look{{0, 0, before}, {999 * ms, 0, before}}, false},
		"before its exec, a second later": {[]look{{0, 0, before}, {time.Second, 0, before}}, true},
		"it has come to its exec":         {[]look{{0, 0, before}, {999 * ms, 0, before}, {1001 * ms, 0, after}}, false},
		"and goes on":                     {[]look{{0, 0, before}, {999 * ms, 0, after}, {1099 * ms, 0, after}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			var l leftovers
			start, id := time.Now(), unixproc.Identity{PID: 4711}
			for _, look := range c.looks {
				began := start.Add(look.began)
				l.note(began, []unixproc.LockHolder{{Identity: id, Forked: look.forked}}, began.Add(look.took))
			}
			if got := len(l.settled()) == 1; got != c.want {
				t.Errorf("settled: %v, want %v", got, c.want)
			}
			l.note(start.Add(time.Hour), nil, start.Add(time.Hour))
			if got := l.settled(); got != nil {
				t.Errorf("settled, after it has let go: %v", got)
			}
		})
	}
}
