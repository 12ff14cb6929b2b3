package launcher

import (
	"errors"
	"testing"
	"time"
)

// Nobody pays for an Observer that is not there.
func TestStepWithoutObserverAllocatesNothing(t *testing.T) {
	began, err := time.Now(), errors.New("failed")
	for name, n := range map[string]*attempt{
		"none":         {},
		"without Step": {observation: &observation{Observer: &Observer{}}},
	} {
		if allocs := testing.AllocsPerRun(100, func() { n.tell(stepDirectory, StageDir, began, err) }); allocs != 0 {
			t.Errorf("%s: %v allocations, want none", name, allocs)
		}
	}
}
