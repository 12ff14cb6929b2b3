package fakepod

import (
	"fmt"
	"slices"
	"strings"
)

// verbs are all verbs that there are on this system, in the order in which they
// are documented.
func verbs() []verb {
	return slices.Concat(outputVerbs(), readyVerbs(), socketVerbs(), processVerbs(compile), fileVerbs(), systemVerbs(compile))
}

// Help describes the verbs, a line each, as the documentation of package
// launchertest has them.
func Help() []string {
	var lines []string
	for _, v := range verbs() {
		lines = append(lines, fmt.Sprintf("%-28s%s", strings.TrimSuffix(v.name+" "+v.arg, " "), v.doc))
	}
	return lines
}

// Check returns an error if it can see, without taking them, that the pod could not take
// all steps.
func Check(steps []string) error {
	_, err := compile(steps)
	return err
}

// compile returns what takes steps, one after another.
func compile(steps []string) (action, error) {
	var all []action
	for i, s := range steps {
		do, err := parse(s)
		if err != nil {
			return nil, fmt.Errorf("step %d of %d: %w", i+1, len(steps), err)
		}
		all = append(all, do)
	}
	return func(p *pod) error {
		for i, do := range all {
			if err := do(p); err != nil {
				return fmt.Errorf("step %q: %w", steps[i], err)
			}
		}
		return nil
	}, nil
}

// parse parses one step.
func parse(step string) (action, error) {
	name, arg, _ := strings.Cut(step, " ")
	all := verbs()
	at := slices.IndexFunc(all, func(v verb) bool { return v.name == name })
	if at < 0 {
		var names []string
		for _, v := range all {
			names = append(names, v.name)
		}
		slices.Sort(names)
		return nil, fmt.Errorf("%q: there is no verb %q here; there are %s", step, name, strings.Join(names, ", "))
	}
	do, err := all[at].parse(arg)
	if err != nil {
		return nil, fmt.Errorf("%q, want %s: %w", step, strings.TrimSuffix(name+" "+all[at].arg, " "), err)
	}
	return do, nil
}
