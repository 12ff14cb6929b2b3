package docs_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The measured cells of the README's table are those of the pages that they come from.
func TestNumbersOfTheReadme(t *testing.T) {
	readme := read(t, "../README.md")
	ours := append(ratios(t, "performance.md", "from the pod's ready line to the return")[:1], ratios(t, "performance.md", "the same, pod ready after")[:3]...)
	plugin := ratios(t, "benchmarks/results/report.md", "go-plugin")[:4] // the first table: pods in C
	for begins, want := range map[string]string{
		"from the ready line to the return": fmt.Sprintf("%s | 1 | %s | not tried | not tried", span(ours), span(plugin)),
		"faults survived, of two dozen":     survived(t),
	} {
		if row := rowOf(readme, begins); row != want {
			t.Errorf("the README says of %q: %s; want %s", begins, row, want)
		}
	}
	if said := fmt.Sprintf("a launch takes %s times as long", span(ours)); !strings.Contains(strings.Join(strings.Fields(readme), " "), said) {
		t.Errorf("the README does not say that %s", said)
	}
}

// What docs/performance.md says of the newest version are the medians of its three rounds.
func TestNumbersAreMedians(t *testing.T) {
	var want, wantBefore []string
	for _, begins := range []string{
		"from the ready line to the return, pod ready at once", "the same, pod ready after 5 ms", "after 50 ms", "after 130 ms",
		"on ext4, pod ready at once", "on ext4, after 5 ms", "on ext4, after 50 ms", "on ext4, after 130 ms",
		"the whole launch of a tiny pod in C", "the whole launch of one in Go",
		"the whole launch of a tiny pod in C, on ext4", "the whole launch of one in Go, on ext4",
		"launches a second, one at a time", "launches a second, 2 at a time",
		"launches a second, 16 at a time", "launches a second, 64 at a time", "launches a second, 256 at a time",
		"launches a second on ext4, one at a time", "launches a second on ext4, 2 at a time",
		"launches a second on ext4, 16 at a time", "launches a second on ext4, 64 at a time", "launches a second on ext4, 256 at a time",
		"the launcher's processor time, one at a time", "the launcher's processor time, 2 at a time",
		"the launcher's processor time, 16 at a time", "the launcher's processor time, 64 at a time", "the launcher's processor time, 256 at a time",
		"allocations of a launch", "bytes that it allocates", "system calls of the launcher's threads",
		"Go's memory for each of 3,900 pods", "a launch among 1,000", "a launch among 3,900",
	} {
		row := rowOf(read(t, "internals/performance.md"), begins)
		before, now, _ := strings.Cut(row, " | ")
		want, wantBefore = append(want, median(t, begins, now)), append(wantBefore, median(t, begins, before))
	}
	var got, gotBefore []string
	for _, row := range tableRows(read(t, "performance.md"), "figure") {
		if row[3] == "30" {
			got, gotBefore = append(got, strings.Split(row[1], ", ")...), append(gotBefore, strings.Split(row[2], ", ")...)
		}
	}
	if !slices.Equal(got, want) || !slices.Equal(gotBefore, wantBefore) {
		t.Errorf("the page has %v beside %v, and the medians are %v beside %v", got, gotBefore, want, wantBefore)
	}
}

// median returns the one in the middle of the three rounds in cell.
func median(t *testing.T, of, cell string) string {
	t.Helper()
	rounds := strings.Split(cell, ", ")
	if len(rounds) != 3 {
		t.Fatalf("%s: %q", of, cell)
	}
	slices.Sort(rounds)
	return rounds[1]
}

// rowOf returns what follows the first cell of the row that begins so, without marks; empty
// if there is no such row.
func rowOf(page, begins string) string {
	for line := range strings.Lines(page) {
		line = emphasis.ReplaceAllString(linkText.ReplaceAllString(line, "$1"), "")
		first, rest, _ := strings.Cut(strings.Trim(line, "| \n"), " | ")
		if strings.HasPrefix(line, "| ") && strings.HasPrefix(first, begins) {
			return rest
		}
	}
	return ""
}

// ratios returns the numbers in a row that are ratios to the floor, which have two decimals.
func ratios(t *testing.T, page, begins string) (found []float64) {
	t.Helper()
	row := rowOf(read(t, page), begins)
	for _, number := range regexp.MustCompile(`\b\d\.\d\d\b`).FindAllString(row, -1) {
		f, err := strconv.ParseFloat(number, 64)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, f)
	}
	if len(found) == 0 {
		t.Fatalf("%s has no row %q with ratios: %s", page, begins, row)
	}
	return found
}

func span(ratios []float64) string {
	least, most := fmt.Sprintf("%.1f", slices.Min(ratios)), fmt.Sprintf("%.1f", slices.Max(ratios))
	if least == most {
		return least
	}
	return least + " to " + most
}

// survived is the README's row of the faults, made of the last row of the matrix.
func survived(t *testing.T) string {
	t.Helper()
	page := emphasis.ReplaceAllString(read(t, "benchmarks/FAULTS.md"), "")
	_, row, _ := strings.Cut(page, "| | survived, of those that apply | ")
	cells := strings.Split(row, " | ")
	if len(cells) < 3 {
		t.Fatalf("the matrix ends with %q", row)
	}
	return fmt.Sprintf("%s | no launcher of its own | %s | not tried | not tried", cells[0], cells[1])
}
