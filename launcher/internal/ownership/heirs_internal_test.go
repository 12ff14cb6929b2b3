package ownership

import (
	"cmp"
	"os"
	"testing"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// D34: who is of a launch is proven without any time: it holds the lock on a descriptor
// that stays open on exec, has not taken it, and is not in the launcher's session.
func TestIsHeir(t *testing.T) {
	machine := osproc.Identity{Boot: "boot", PIDNamespace: "pid:[1]"}
	launcher := Owner{machine, 400}
	launcher.PID = 410
	for name, c := range map[string]struct {
		change func(h *osproc.LockHolder, by *Owner)
		want   bool
	}{
		"the pod":                      {func(h *osproc.LockHolder, by *Owner) {}, true},
		"its launcher cannot be told":  {func(h *osproc.LockHolder, by *Owner) { h.Taker = 0 }, true},
		"a record of version 1":        {func(h *osproc.LockHolder, by *Owner) { *by = Owner{} }, true},
		"a copy":                       {func(h *osproc.LockHolder, by *Owner) { h.Given = false }, false},
		"of version 1, a copy":         {func(h *osproc.LockHolder, by *Owner) { *by, h.Given = Owner{}, false }, false},
		"of version 1, the taker":      {func(h *osproc.LockHolder, by *Owner) { *by, h.Taker = Owner{}, h.PID }, false},
		"in the launcher's session":    {func(h *osproc.LockHolder, by *Owner) { h.Session = by.Session }, false},
		"it has taken the lock":        {func(h *osproc.LockHolder, by *Owner) { h.Taker = h.PID }, false},
		"another has taken the lock":   {func(h *osproc.LockHolder, by *Owner) { h.Taker++ }, false},
		"the launcher is of before":    {func(h *osproc.LockHolder, by *Owner) { by.Boot = "before" }, false},
		"the launcher is of elsewhere": {func(h *osproc.LockHolder, by *Owner) { by.PIDNamespace = "pid:[2]" }, false},
		"we ourselves":                 {func(h *osproc.LockHolder, by *Owner) { h.PID = os.Getpid() }, false},
		"our parent":                   {func(h *osproc.LockHolder, by *Owner) { h.PID = cmp.Or(os.Getppid(), os.Getpid()) }, false}, // 0: it has no number here
	} {
		h, by := osproc.LockHolder{Identity: machine, Session: 500, Taker: 410, Given: true}, launcher
		h.PID = 1 << 30 // nobody's
		c.change(&h, &by)
		if got := by.isHeir(h); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
