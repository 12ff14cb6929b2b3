//go:build linux

package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A report gathers what was measured. Everything is kept in the order in which
// it came.
type report struct {
	Began   time.Time
	Machine string
	Base    string // of the runtime directories
	Short   bool
	Peers   []string
	Notes   []string
	Values  []value
	Samples []launchSample `json:"-"` // in a file of their own
}

// A launchSample is one launch, in nanoseconds.
type launchSample struct {
	Part, Case, Peer string
	sample
}

// A value is one measurement of something else.
type value struct {
	Table, Case, Peer string
	Value             float64
}

func newReport(b *bench) *report {
	r := &report{Began: time.Now(), Machine: machine(), Base: b.base, Short: b.short}
	for _, p := range b.peers {
		r.Peers = append(r.Peers, p.name)
	}
	return r
}

func (r *report) add(part, key, peer string, samples []sample) {
	for _, s := range samples {
		r.Samples = append(r.Samples, launchSample{part, key, peer, s})
	}
}

func (r *report) value(table, key, peer string, v float64) {
	r.Values = append(r.Values, value{table, key, peer, v})
}

func (r *report) note(part, text string) {
	r.Notes = append(r.Notes, part+": "+text)
	fmt.Fprintln(os.Stderr, "  "+text)
}

// of returns all values of one cell.
func (r *report) of(table, key, peer string) (v []float64) {
	for _, x := range r.Values {
		if x.Table == table && x.Case == key && x.Peer == peer {
			v = append(v, x.Value)
		}
	}
	return v
}

// median is that of one cell.
func (r *report) median(table, key, peer string) (float64, bool) {
	v := r.of(table, key, peer)
	if len(v) == 0 {
		return 0, false
	}
	return median(v), true
}

// launches returns one figure of all launches of one cell, in µs.
func (r *report) launches(part, key, peer string, f func(sample) int64) (v []float64) {
	for _, s := range r.Samples {
		if s.Part == part && s.Case == key && s.Peer == peer {
			v = append(v, float64(f(s.sample))/1e3)
		}
	}
	return v
}

func detectOf(s sample) int64 { return s.Detect }
func wholeOf(s sample) int64  { return s.Whole }

// write writes everything into dir.
func (r *report) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	files := map[string]string{"report.md": r.markdown()}
	for name, picture := range r.pictures() {
		files[name] = picture
	}
	data, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	files[runFile] = string(data) + "\n"
	var samples strings.Builder
	w := csv.NewWriter(&samples)
	w.Write([]string{"part", "case", "launcher", "detection_ns", "whole_ns"})
	for _, s := range r.Samples {
		w.Write([]string{s.Part, s.Case, s.Peer, strconv.FormatInt(s.Detect, 10), strconv.FormatInt(s.Whole, 10)})
	}
	w.Flush()
	files[samplesFile] = samples.String()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

const (
	runFile     = "run.json"
	samplesFile = "samples.csv"
)

// readReport reads what write has written, to write it anew.
func readReport(dir string) (*report, error) {
	data, err := os.ReadFile(filepath.Join(dir, runFile))
	if err != nil {
		return nil, err
	}
	r := &report{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(dir, samplesFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, err
	}
	for _, row := range rows[1:] {
		detect, detectErr := strconv.ParseInt(row[3], 10, 64)
		whole, wholeErr := strconv.ParseInt(row[4], 10, 64)
		if err := errors.Join(detectErr, wholeErr); err != nil {
			return nil, err
		}
		r.add(row[0], row[1], row[2], []sample{{Detect: detect, Whole: whole}})
	}
	return r, nil
}

// A grid is a table with a row for each launcher and a column for each case.
type grid struct {
	title, unit string
	cases       []string
	cell        func(key, peer string) (v float64, ok bool)
}

// grids are all tables there is something for.
func (r *report) grids() []grid {
	var all []grid
	for _, part := range []string{"detect", "hold", "dirs"} {
		var cases []string
		for _, s := range r.Samples {
			if s.Part == part && !slices.Contains(cases, s.Case) {
				cases = append(cases, s.Case)
			}
		}
		if cases == nil {
			continue
		}
		for _, f := range []struct {
			title string
			of    func(sample) int64
			q     float64
		}{
			{"detection, median", detectOf, 0.5}, {"detection, 99th percentile", detectOf, 0.99},
			{"whole launch, median", wholeOf, 0.5}, {"whole launch, 99th percentile", wholeOf, 0.99},
		} {
			all = append(all, grid{part + ": " + f.title, "µs", cases, func(key, peer string) (float64, bool) {
				v := r.launches(part, key, peer, f.of)
				if len(v) == 0 {
					return 0, false
				}
				return quantile(v, f.q), true
			}})
		}
	}
	var titles []string
	for _, v := range r.Values {
		if !slices.Contains(titles, v.Table) {
			titles = append(titles, v.Table)
		}
	}
	for _, title := range titles {
		var cases []string
		for _, v := range r.Values {
			if v.Table == title && !slices.Contains(cases, v.Case) {
				cases = append(cases, v.Case)
			}
		}
		all = append(all, grid{title, "", cases, func(key, peer string) (float64, bool) {
			return r.median(title, key, peer)
		}})
	}
	return all
}

func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Measured on %s\n\n%s.\n", r.Began.Format("2 January 2006, 15:04"), r.Machine)
	if r.Short {
		b.WriteString("\nThis is the short form: few samples, small sizes.\n")
	}
	fmt.Fprintf(&b, "\nEvery cell says first how it compares with the floor, `%s`, in the same run, and\nthen the figure itself. Cells are medians over rounds in which the launchers took\nturns, unless the title says otherwise. Runtime directories: `%s`.\n\n", floor, r.Base)
	for _, p := range append(peers(), other("")) {
		if slices.Contains(r.Peers, p.name) {
			fmt.Fprintf(&b, "- `%s`: %s\n", p.name, p.listed)
		}
	}
	for _, picture := range pictureNames(r.pictures()) {
		fmt.Fprintf(&b, "\n![%s](%s)\n", strings.TrimSuffix(picture, ".svg"), picture)
	}
	for _, g := range r.grids() {
		r.table(&b, g)
	}
	if len(r.Notes) > 0 {
		b.WriteString("\n## Notes\n\n")
		for _, n := range r.Notes {
			b.WriteString("- " + n + "\n")
		}
	}
	return b.String()
}

func (r *report) table(b *strings.Builder, g grid) {
	title := g.title
	if g.unit != "" {
		title += ", " + g.unit
	}
	fmt.Fprintf(b, "\n## %s\n\n| launcher | %s |\n| --- |%s\n", title, strings.Join(g.cases, " | "), strings.Repeat(" --- |", len(g.cases)))
	for _, name := range append(slices.Clone(r.Peers), "(nobody reads)") {
		row, any := "| "+name+" |", false
		for _, key := range g.cases {
			v, ok := g.cell(key, name)
			against, has := g.cell(key, floor)
			switch {
			case !ok:
				row += " – |"
				continue
			case has && against > 0:
				row += fmt.Sprintf(" **%s** (%s) |", digits(v/against), digits(v))
			default:
				row += " " + digits(v) + " |"
			}
			any = true
		}
		if any {
			b.WriteString(row + "\n")
		}
	}
}

// digits writes three significant digits.
func digits(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v >= 100 || v <= -100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10 || v <= -10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}
