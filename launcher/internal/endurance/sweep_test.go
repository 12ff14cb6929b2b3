//go:build linux

package endurance_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"

	"github.com/podlaunch/podlaunch/launcher/internal/crashpoint"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
)

// firstCalls is how many of the calls of one kind are tried. Only where /proc is
// read through are there more, as many as there are processes on the machine.
const firstCalls = 30

// inject makes injections, several at one time, and shows what came of them.
func (j *injector) inject(chosen []injection, atOnce int) {
	injections := make(chan injection)
	var workers sync.WaitGroup
	for range atOnce { // each waits for most of the time
		workers.Go(func() {
			for i := range injections {
				j.try(i)
			}
		})
	}
	for _, i := range chosen {
		injections <- i
	}
	close(injections)
	workers.Wait()
	j.t.Logf("%d injections; %d calls were not made this time\n%s", len(chosen), j.missed, j.table())
	if j.missed > len(chosen)/4 {
		j.t.Error("too many calls were not made: this proves little")
	}
}

// list returns all injections into acts, in order: into the calls that an act makes
// every time or, if rare, also into those that it makes now and then. fates are
// what may become of a call.
func (j *injector) list(which []string, rare bool, fates func(crashpoint.Call) []syscall.Errno) []injection {
	var all []injection
	for _, act := range which {
		made := j.callsOf(act)
		calls := slices.SortedFunc(maps.Keys(made), func(a, b crashpoint.Call) int { return cmp.Compare(a.String(), b.String()) })
		for _, call := range calls {
			times := made[call].least
			if rare {
				times = made[call].most
			}
			for _, errno := range fates(call) {
				for n := range min(times, firstCalls) {
					all = append(all, injection{act: act, call: call, n: n + 1, errno: errno, rare: n >= made[call].least})
				}
			}
		}
	}
	return all
}

// A count is how often a call is made: at least and at most.
type count struct{ least, most int }

// made is what callsOf has found out, for all tests of this process: none of them
// runs in parallel with another.
var made = make(map[string]map[crashpoint.Call]count)

// callsOf returns how many calls of each kind an act makes. For that it has the act
// done three times with nothing failing, for no two launches make quite the same
// calls.
func (j *injector) callsOf(act string) map[crashpoint.Call]count {
	if counts := made[act]; counts != nil {
		return counts
	}
	counts := make(map[crashpoint.Call]count)
	var runs [3]map[crashpoint.Call]int
	var all sync.WaitGroup
	for i := range runs {
		all.Go(func() {
			var r report
			if runs[i], _, r = j.run(injection{act: act}); r.Err != "" && acts[act].want == nil {
				j.t.Errorf("%s fails with no injection: %s", act, r.Err)
			}
		})
	}
	all.Wait()
	if j.t.Failed() {
		j.t.FailNow()
	}
	for _, calls := range runs {
		for call := range calls {
			counts[call] = count{}
		}
	}
	for call := range counts {
		c := count{runs[0][call], runs[0][call]}
		for _, calls := range runs[1:] {
			c = count{min(c.least, calls[call]), max(c.most, calls[call])}
		}
		counts[call] = c
	}
	made[act] = counts
	return counts
}

// everything, as a number of injections to make, stands for all that there are.
const everything = "all"

// choose returns those to make: as many as asked says, or else few, or with -soak
// many, spread evenly.
func (j *injector) choose(all []injection, asked string, few, many int) []injection {
	count := few
	if *podrig.Soak {
		count = many
	}
	switch {
	case asked == everything:
		return all
	case asked != "":
		var err error
		if count, err = strconv.Atoi(asked); err != nil || count < 1 {
			j.t.Fatalf("%q injections: want a number or %q", asked, everything)
		}
	}
	j.t.Logf("%d injections out of %d", min(count, len(all)), len(all))
	count = min(count, len(all))
	var chosen []injection
	for i := range count {
		chosen = append(chosen, all[i*len(all)/count])
	}
	return chosen
}

// table shows what came of the injections.
func (j *injector) table() string {
	rows := slices.SortedFunc(maps.Keys(j.outcomes), func(a, b outcome) int {
		return cmp.Or(cmp.Compare(a.act, b.act), cmp.Compare(a.call, b.call), cmp.Compare(a.errno, b.errno), cmp.Compare(a.what, b.what), cmp.Compare(a.stage, b.stage))
	})
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "act\tcall\terrno\tN\toutcome\tstage")
	for _, o := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", o.act, o.call, o.errno, ranges(j.outcomes[o]), o.what, o.stage)
	}
	w.Flush()
	return text.String()
}

// ranges writes numbers as 1-3,5.
func ranges(numbers []int) string {
	slices.Sort(numbers)
	var parts []string
	for i := 0; i < len(numbers); {
		k := i
		for k+1 < len(numbers) && numbers[k+1] == numbers[k]+1 {
			k++
		}
		part := strconv.Itoa(numbers[i])
		if k > i {
			part += "-" + strconv.Itoa(numbers[k])
		}
		parts = append(parts, part)
		i = k + 1
	}
	return strings.Join(parts, ",")
}
