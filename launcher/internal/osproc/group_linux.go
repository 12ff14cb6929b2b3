package osproc

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// A census is the processes of one moment, by the number of their group.
type census map[int]map[int]Stat

// censuses are taken for everybody in this program: see sharing.
var censuses = newSharing(takeCensus, func(*struct{}, struct{}) {})

func takeCensus(context.Context, struct{}) (census, error) {
	pids, err := All()
	if err != nil {
		return nil, err
	}
	all := make(census)
	for _, pid := range pids {
		st, err := ReadStat(pid)
		if err := shortage(err); err != nil {
			return nil, err
		}
		if err != nil {
			continue // it has just gone, or is not ours to see
		}
		if all[st.Group] == nil {
			all[st.Group] = make(map[int]Stat)
		}
		all[st.Group][pid] = st
	}
	return all, nil
}

// GroupMembers returns the living processes of a process group.
func GroupMembers(pgid int) (members []int, err error) {
	all, err := censuses.take(context.Background(), struct{}{})
	for pid, st := range all[pgid] {
		if !st.Dead() {
			members = append(members, pid)
		}
	}
	slices.Sort(members)
	return members, err
}

// awaitGroup waits until the process group is gone, whose members have all been
// sent SIGKILL and whose leader is reaped. There is no event for it. Most
// groups are gone at the first look. Zombies, which only their parent can
// clear, do not count.
//
// The number of a group that is gone may become another's between two looks.
// Then we wait for that one, at the most until ctx is done; nobody is
// signalled.
func awaitGroup(ctx context.Context, pgid int) error {
	var members []int
	var err error
	looks := 0
	gone := func() bool {
		if errors.Is(unix.Kill(-pgid, 0), unix.ESRCH) {
			return true
		}
		if looks++; looks < 5 && ctx.Err() == nil {
			return false // to read all of /proc takes longer than most groups do
		}
		members, err = GroupMembers(pgid)
		return err == nil && len(members) == 0
	}
	if until(ctx, gone) || gone() {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find out who is left of group %d, which was sent SIGKILL: %w", pgid, err)
	}
	return fmt.Errorf("processes %v of group %d are still there although they were sent SIGKILL", members, pgid)
}
