package fakepod

import (
	"errors"
	"fmt"
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

// A compiler makes of steps what takes them, one after another.
type compiler func(steps []string) (action, error)

// nested is steps for somebody else, or for later; take takes them here.
func nested(compile compiler, do func(p *pod, steps []string, take action) error) parser {
	return func(arg string) (action, error) {
		steps := strings.Split(arg, separator)
		take, err := compile(steps)
		return func(p *pod) error { return do(p, steps, take) }, err
	}
}
