package osproc

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// A process is dead only if a pidfd says so as well. While a thread other than the
// first is in execve(2), /proc/PID/stat may show the first one as dead: that reading
// is repeated.
func TestConfirmedStat(t *testing.T) {
	var (
		alive   = Stat{State: 'S', Threads: 2, Group: 7}
		zombie  = Stat{State: 'Z', Threads: 1, Group: 7}
		exec    = Stat{State: 'X', Group: -1}
		exec2   = Stat{State: 'R', Group: -1} // unhashed after its state was read
		refused = errors.New("no pidfd")
	)
	for name, c := range map[string]struct {
		reads []Stat // the last one is repeated
		ended bool
		err   error
		state byte
		dead  bool
		want  error
	}{
		"alive":                           {reads: []Stat{alive}, err: refused, state: 'S'},
		"zombie":                          {reads: []Stat{zombie}, ended: true, state: 'Z', dead: true},
		"main thread has ended":           {reads: []Stat{{State: 'Z', Threads: 2}}, ended: true, state: 'Z'},
		"exec":                            {reads: []Stat{exec, alive}, state: 'S'},
		"exec as zombie":                  {reads: []Stat{zombie, alive}, state: 'S'},
		"exec without threads":            {reads: []Stat{exec2, alive}, state: 'S'},
		"exec after exec":                 {reads: []Stat{exec, zombie, exec, exec2, alive}, state: 'S'},
		"gone while it was read":          {reads: []Stat{exec2}, err: unix.ESRCH, want: unix.ESRCH},
		"unhashed and ended":              {reads: []Stat{exec2}, ended: true, state: 'R', dead: true},
		"exec, without pidfds":            {reads: []Stat{exec, exec2, alive}, err: refused, state: 'S'},
		"zombie, without pidfds":          {reads: []Stat{zombie}, err: refused, state: 'Z', dead: true},
		"the pidfd says for ever it runs": {reads: []Stat{zombie}, state: 'Z'},
	} {
		looks := 0
		read := func(int) (Stat, error) {
			looks++
			return c.reads[min(looks, len(c.reads))-1], nil
		}
		st, err := confirmedStat(1, read, func(int) (bool, error) { return c.ended, c.err })
		if !errors.Is(err, c.want) || c.want == nil && (err != nil || st.State != c.state) || st.Dead() != c.dead {
			t.Errorf("%s: after %d readings it is %+v, dead: %v, %v", name, looks, st, st.Dead(), err)
		}
	}
}
