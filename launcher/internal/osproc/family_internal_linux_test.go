package osproc

import (
	"maps"
	"os"
	"slices"
	"testing"
)

// Nobody belongs to a process of whom nothing is known, also where a group or a session
// is of another pid namespace, and so has no number.
func TestFamilyOfNobody(t *testing.T) {
	f := NewFamily(Identity{}, "")
	for _, pinned := range []bool{false, true} {
		if left, err := f.Left(t.Context(), pinned); err != nil || len(left) > 0 {
			t.Errorf("Left returned %v, %v", left, err)
		}
	}
	l := &look{
		snapshot: newSnapshot([]*member{
			{id: Identity{PID: 7}, Stat: Stat{Parent: 0, Group: 0, Session: 0}},
			{id: Identity{PID: 8}, Stat: Stat{Parent: 7, Group: 7, Session: 0}},
			{id: Identity{PID: 9}, Stat: Stat{Parent: 0, Group: 9, Session: 0}},
		}),
		in: make(map[int]bool), foreign: make(map[int]bool),
	}
	f.seed(l, true)
	l.close(lockPlace{})
	if len(l.in) > 0 {
		t.Errorf("%v belong", l.in)
	}
	l.in[7] = true
	l.close(lockPlace{})
	if got := slices.Sorted(maps.Keys(l.in)); !slices.Equal(got, []int{7, 8}) {
		t.Errorf("%v belong to 7, want 7 and 8", got)
	}
}

// This program, and those that it comes from, belong to nobody: not even to a process
// that claims to be their ancestor, or has their group.
func TestFamilySparesUs(t *testing.T) {
	parent, err := Identify(os.Getppid())
	if err != nil {
		t.Fatal(err)
	}
	f := NewFamily(parent, "")
	left, err := f.Left(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range left {
		if id.PID == os.Getpid() || id.PID == os.Getppid() || id.PID <= 1 {
			t.Errorf("pid %d belongs to it", id.PID)
		}
	}
	all, err := Lineage()
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{0, 1, os.Getpid(), os.Getppid()} {
		if !all[pid] {
			t.Errorf("pid %d is not of our lineage", pid)
		}
	}
}
