package fakepod

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A verb is what a step begins with.
type verb struct {
	name  string
	arg   string // what follows it, in brackets if it can be left out
	doc   string
	parse parser
}

// A parser makes of a verb's argument what the pod does then.
type parser func(arg string) (action, error)

type action func(p *pod) error

// verbs are all verbs that there are on this system, in the order in which they
// are documented.
func verbs() []verb {
	return slices.Concat(outputVerbs(), readyVerbs(), socketVerbs(), processVerbs(), fileVerbs(), systemVerbs())
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

// Check makes sure that all steps can be taken, as far as can be said before.
func Check(steps []string) error {
	for i, s := range steps {
		if _, err := parse(s); err != nil {
			return fmt.Errorf("step %d of %d: %w", i+1, len(steps), err)
		}
	}
	return nil
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

// separator is between the steps in the argument of another.
const separator = " ; "

// none is no argument.
func none(do action) parser {
	return func(arg string) (action, error) {
		if arg != "" {
			return nil, fmt.Errorf("%q is too much", arg)
		}
		return do, nil
	}
}

// text is anything.
func text(do func(p *pod, text string) error) parser {
	return func(arg string) (action, error) {
		return func(p *pod) error { return do(p, p.expand(arg)) }, nil
	}
}

// required is anything but nothing.
func required(do func(p *pod, text string) error) parser {
	return func(arg string) (action, error) {
		if arg == "" {
			return nil, errors.New("it is missing")
		}
		return text(do)(arg)
	}
}

// socket is the path of a socket; by default, the pod's own.
func socket(do func(p *pod, path string) error) parser {
	return func(arg string) (action, error) {
		if arg == "" {
			arg = "{sock}"
		}
		return text(do)(arg)
	}
}

// quoted is a Go string literal.
func quoted(do func(p *pod, text string) error) parser {
	return func(arg string) (action, error) {
		value, err := strconv.Unquote(arg)
		if err != nil {
			return nil, errors.New("it is no Go string literal")
		}
		return text(do)(value)
	}
}

// literal is a Go string literal, or any text that does not begin like one.
func literal(do func(p *pod, text string) error) parser {
	return func(arg string) (action, error) {
		if strings.HasPrefix(arg, `"`) {
			return quoted(do)(arg)
		}
		return text(do)(arg)
	}
}

// number is a number that is not negative.
func number(do func(p *pod, n int) error) parser {
	return func(arg string) (action, error) {
		n, err := natural(arg)
		return func(p *pod) error { return do(p, n) }, err
	}
}

func natural(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is no number from 0", s)
	}
	return n, nil
}

// duration is one as time.ParseDuration takes it.
func duration(do func(p *pod, d time.Duration) error) parser {
	return func(arg string) (action, error) {
		d, err := time.ParseDuration(arg)
		return func(p *pod) error { return do(p, d) }, err
	}
}

// nested is steps for somebody else, or for later.
func nested(do func(p *pod, steps []string) error) parser {
	return func(arg string) (action, error) {
		steps := strings.Split(arg, separator)
		return func(p *pod) error { return do(p, steps) }, Check(steps)
	}
}
