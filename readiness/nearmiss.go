package readiness

import (
	"bytes"
	"fmt"
	"strings"
)

// A NearMisser is a [Probe] that can tell of a line which it does not take why it is
// nearly what the probe waits for. It is optional. The launcher quotes such a line when
// the pod has not become ready.
type NearMisser interface {
	// NearMiss returns what is wrong with line, quoting it, in a few words that can be
	// printed; "" if line is what the probe waits for, or looks like nothing of the kind.
	// It may be called at any time, from any goroutine, and does not keep line.
	NearMiss(t Target, line []byte) string
}

var (
	_ NearMisser = ReadyLine{}
	_ NearMisser = Pattern{}
)

// maxNear is how much of a near miss is quoted.
const maxNear = 160

// NearMiss implements [NearMisser]: the prefix is in line, and something stands before it,
// as a name that a wrapper puts before each line, a byte order mark or colour; or no tab
// comes after it.
func (l ReadyLine) NearMiss(_ Target, line []byte) string {
	prefix := l.prefix()
	at := bytes.Index(line, []byte(prefix))
	switch {
	case at < 0:
		return ""
	case at > 0:
		return near(line, at, fmt.Sprintf("%q does not begin it", prefix))
	case len(line) > len(prefix) && line[len(prefix)] != '\t':
		return near(line, 0, fmt.Sprintf("no tab follows %q", prefix))
	}
	return ""
}

// NearMiss implements [NearMisser]: an expression that begins with ^ and fixed text does
// not match line, and would if the text that stands before were not there.
func (p Pattern) NearMiss(_ Target, line []byte) string {
	if p.Regexp == nil {
		return ""
	}
	fixed := p.fixed()
	if fixed == "" {
		return ""
	}
	at := bytes.Index(line, []byte(fixed))
	if at <= 0 || p.Regexp.Match(line) || !p.Regexp.Match(line[at:]) {
		return ""
	}
	return near(line, at, fmt.Sprintf("what matches %q does not begin it", p.Regexp))
}

// fixed returns the text with which every line has to begin that p matches, of an expression
// that begins with ^; "" if it does not, or there is no such text.
func (p Pattern) fixed() string {
	expression, anchored := strings.CutPrefix(p.Regexp.String(), "^")
	if !anchored || strings.Contains(expression, "|") {
		return ""
	}
	end := strings.IndexAny(expression, `\.+*?()[]{}^$`)
	switch {
	case end < 0:
		return expression
	case end > 0 && strings.IndexByte("*?{", expression[end]) >= 0:
		end-- // the last character may be missing
	}
	return expression[:end]
}

// near quotes line, in which what was looked for is at at, and says why it does not count.
func near(line []byte, at int, why string) string {
	from := max(0, at-maxNear/2)
	return fmt.Sprintf("a line is nearly the sign that it is ready, but %s: %q", why, line[from:min(len(line), from+maxNear)])
}
