package launcher

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// If several functions of an undo panic, the first panic goes on. The error says all that
// is left, even if another function hangs.
func TestUndoTellsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed, hang := errors.New("failed"), make(chan struct{})
		var m undoStack
		m.add("the first", func() error { panic("second") })
		m.add("the second", func() error { panic("first") })
		m.add("the third", func() error { <-hang; return nil })
		m.add("the fourth", func() error { return failed })
		began := time.Now()
		c, left := m.undo()
		if took := time.Since(began); took != patience {
			t.Errorf("it has taken %v, want %v", took, patience)
		}
		if c == nil || c.value != "first" {
			t.Errorf("what goes on is %+v", c)
		}
		if !errors.Is(left, failed) || !strings.Contains(left.Error(), "the third: it has not returned") {
			t.Errorf("there is left: %v", left)
		}
		close(hang)
		synctest.Wait()
	})
}
