//go:build linux

package main

import (
	"fmt"
	"strconv"
	"strings"
)

// A goal is what a figure of ours is to be at most, or at least.
type goal struct {
	figure  string
	limit   float64
	atLeast bool
	of      func(r *report) (v float64, ok bool)
}

// goals are in the order in which the report tells them.
func goals() []goal {
	var all []goal
	most := func(figure string, limit float64, of func(*report) (float64, bool)) {
		all = append(all, goal{figure: figure, limit: limit, of: of})
	}
	least := func(figure string, limit float64, of func(*report) (float64, bool)) {
		all = append(all, goal{figure: figure, limit: limit, atLeast: true, of: of})
	}
	for _, d := range []struct {
		ms          string
		median, p99 float64
	}{{"0", 1.4, 2}, {"5", 1.4, 2}, {"50", 1, 1.5}, {"130", 1, 1.5}} {
		key := "C, " + d.ms + " ms"
		most("detection after "+d.ms+" ms, median", d.median, launchesOfFloor(key, detectOf, 0.5))
		most("detection after "+d.ms+" ms, 99th percentile", d.p99, launchesOfFloor(key, detectOf, 0.99))
	}
	most("whole launch, median", 1.3, launchesOfFloor("C, 0 ms", wholeOf, 0.5))
	for _, n := range concurrencies {
		limit := 1.3
		if n <= 2 {
			limit = 0.9
		}
		least(fmt.Sprintf("launches per second, %d at a time", n), limit, valuesOfFloor(tableRate, strconv.Itoa(n)))
	}
	for _, n := range concurrencies[2:] {
		most(fmt.Sprintf("processor time per launch, %d at a time", n), 0.8, valuesOfFloor(tableCPU, strconv.Itoa(n)))
	}
	most("100,000 lines of noise, processor time", 0.4, valuesOfFloor("noise: processor time of the launcher, ms", "100000 lines, one write each"))
	for _, of := range []struct{ figure, table string }{
		{"GB/s", "flood: time, ms"},
		{"GB in a second of processor time", "flood: processor time of the launcher, ms"},
	} {
		least("1 GiB before the ready line, "+of.figure, 1.2, func(r *report) (float64, bool) {
			ms, ok := r.median(of.table, "1 GiB", ourName)
			return float64(1<<30) / 1e6 / ms, ok
		})
	}
	// The worker is one program for all launchers, and has more than that to begin with.
	most("1 GiB before the ready line, resident memory beyond that of 1 KiB, MB", 10, func(r *report) (float64, bool) {
		all, ok := r.median("flood: resident memory at most, MB", "1 GiB", ourName)
		little, has := r.median("flood: resident memory at most, MB", "1 KiB", ourName)
		return all - little, ok && has
	})
	for _, when := range []struct {
		name                    string
		goroutines, descriptors float64
	}{{"pending", 3, 5}, {"ready", 1, 3}} {
		most("most pods "+when.name+": threads", 16, oursOfMost("many: threads, "+when.name))
		most("most pods "+when.name+": goroutines each", when.goroutines, oursOfMost("many: goroutines each, "+when.name))
		most("most pods "+when.name+": descriptors each", when.descriptors, oursOfMost("many: descriptors each, "+when.name))
		most("most pods "+when.name+": memory each, KiB", 12, oursOfMost("many: Go memory each, "+when.name+", KiB"))
	}
	most("a launch among most pods, of one alone", 2, oursOfMost("many: a launch among them, of one alone"))
	most("most pods idle: processor time, ms per second", 0, oursOfMost("many: processor time while idle, ms per second"))
	most("whole launch while much memory is held, of one while none is", 1, func(r *report) (float64, bool) {
		var full float64
		for _, s := range r.Samples {
			if s.Part == "hold" && s.Case != holdingNothing {
				full = quantile(r.launches("hold", s.Case, ourName, wholeOf), 0.5)
				break
			}
		}
		empty := r.launches("hold", holdingNothing, ourName, wholeOf)
		if full == 0 || len(empty) == 0 {
			return 0, false
		}
		return full / quantile(empty, 0.5), true
	})
	return all
}

// launchesOfFloor is a quantile of our launches in the part detect, of the floor's.
func launchesOfFloor(key string, f func(sample) int64, q float64) func(*report) (float64, bool) {
	return func(r *report) (float64, bool) {
		ours, floors := r.launches("detect", key, ourName, f), r.launches("detect", key, floor, f)
		if len(ours) == 0 || len(floors) == 0 {
			return 0, false
		}
		return quantile(ours, q) / quantile(floors, q), true
	}
}

// valuesOfFloor is our median in a cell, of the floor's.
func valuesOfFloor(table, key string) func(*report) (float64, bool) {
	return func(r *report) (float64, bool) {
		ours, ok := r.median(table, key, ourName)
		against, has := r.median(table, key, floor)
		return ours / against, ok && has
	}
}

// oursOfMost is our median in the last column of a table: that with most pods.
func oursOfMost(table string) func(*report) (float64, bool) {
	return func(r *report) (float64, bool) {
		key := ""
		for _, v := range r.Values {
			if v.Table == table && v.Peer == ourName {
				key = v.Case
			}
		}
		return r.median(table, key, ourName)
	}
}

// goals writes what was to be reached, and what was.
func (r *report) goals(b *strings.Builder) {
	b.WriteString("\n## Goals\n\nRatios are to the floor, where the figure says nothing else.\n\n| figure | goal | measured | |\n| --- | --- | --- | --- |\n")
	for _, g := range goals() {
		v, ok := g.of(r)
		if !ok {
			continue
		}
		sign, met := "≤", v <= g.limit
		if g.atLeast {
			sign, met = "≥", v >= g.limit
		}
		verdict := "missed"
		if met {
			verdict = "met"
		}
		fmt.Fprintf(b, "| %s | %s %s | **%s** | %s |\n", g.figure, sign, strconv.FormatFloat(g.limit, 'f', -1, 64), digits(v), verdict)
	}
}
