package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// The picture is what the program draws, and its arrows are the rows of the table of states
// in docs/lifecycle.md.
func TestStates(t *testing.T) {
	got, err := os.ReadFile("states.svg")
	if err != nil || !bytes.Equal(got, states()) {
		t.Errorf("states.svg is not what go run . draws (%v)", err)
	}
	told := movesOfThePage(t)
	boxes := map[string]bool{"nothing": true}
	for _, s := range allStates {
		boxes[s.name] = true
	}
	for _, m := range moves {
		arrow := m.from + " to " + m.to
		if !boxes[m.from] || !boxes[m.to] {
			t.Errorf("the arrow from %s has no box at both ends", arrow)
		}
		if !told[arrow] {
			t.Errorf("docs/lifecycle.md has no row for the arrow from %s", arrow)
		}
		delete(told, arrow)
	}
	for arrow := range told {
		t.Errorf("the picture has no arrow from %s", arrow)
	}
}

// movesOfThePage returns the moves in the table of states, each as "from to to".
func movesOfThePage(t *testing.T) map[string]bool {
	t.Helper()
	page, err := os.ReadFile("../lifecycle.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "\n| from | to | who | what happens |\n| --- | --- | --- | --- |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	told := make(map[string]bool)
	for row := range strings.Lines(table) {
		cells := strings.Split(row, " | ")
		from := strings.Split(strings.TrimPrefix(cells[0], "| "), ", ")
		if to := cells[1]; to == "each other" && len(from) == 2 {
			told[from[0]+" to "+from[1]], told[from[1]+" to "+from[0]] = true, true
		} else {
			for _, state := range from {
				told[state+" to "+to] = true
			}
		}
	}
	return told
}
