package conformance

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
)

// surroundingsName and surroundingsSays are the rule that is tried while the others are.
const (
	surroundingsName = "surroundings"
	surroundingsSays = "What is tested leaves alone what all of a program has in common: its environment and its working directory, and on Linux its umask, its limits, its oom_score_adj and which signals it ignores."
)

// CallerVariable is the variable that a rule of a kit may set for as long as it runs. It is no part
// of the surroundings: another kit may run beside that one.
const CallerVariable = "CONFORMANCE_CALLER"

// surroundings are what all of a program has in common, by its name.
type surroundings map[string]string

// look returns them as they are now.
func look() surroundings {
	all := make(surroundings)
	for _, entry := range os.Environ() {
		end := strings.Index(entry[1:], "=") + 1 // Windows has names that begin with =
		all["the variable "+entry[:end]] = entry[end+1:]
	}
	delete(all, "the variable "+CallerVariable)
	dir, err := os.Getwd()
	if err != nil {
		dir = err.Error()
	}
	all["the working directory"] = dir
	maps.Copy(all, ofTheSystem())
	return all
}

// changes returns what is not as it was in s, a line each.
func (s surroundings) changes() (lines []string) {
	now := look()
	both := maps.Clone(s)
	maps.Copy(both, now)
	for _, name := range slices.Sorted(maps.Keys(both)) {
		was, had := s[name]
		is, has := now[name]
		switch {
		case !had:
			lines = append(lines, fmt.Sprintf("%s is %q, and was not set", name, is))
		case !has:
			lines = append(lines, fmt.Sprintf("%s is not set, and was %q", name, was))
		case was != is:
			lines = append(lines, fmt.Sprintf("%s is %q, and was %q", name, is, was))
		}
	}
	return lines
}

// A watch finds the first change of the surroundings.
type watch struct {
	mu      sync.Mutex
	changed error
}

// during looks at the surroundings; the function does so again, after a rule. Other
// tests have a moment to change back what they have changed.
func (w *watch) during(rule string) (over func()) {
	before := look()
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.changed != nil {
			return
		}
		var lines []string
		if !Eventually(Moment, func() bool {
			lines = before.changes()
			return lines == nil
		}) {
			w.changed = fmt.Errorf("since the rule %q this program is another (if that is not by what is tested, the test has to change it back, as T.Setenv and T.Chdir do): %s",
				rule, strings.Join(lines, "; "))
		}
	}
}

func (w *watch) err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed
}
