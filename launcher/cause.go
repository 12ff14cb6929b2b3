package launcher

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

// A causeRule recognizes the line with which programs of one kind say why they end.
type causeRule struct {
	kind string // what writes such lines

	// line is what the line matches, without the terminal sequences in it.
	line string

	// after is what an earlier line has to match, in the lines before it. Then the
	// first match of line behind that counts. Empty means that line is enough.
	after string

	// then is what one of the few lines behind line has to match (linesBehind). Empty
	// means that line is enough.
	then string

	// last has the last such line count. False means the first.
	last bool
}

// Several rules need these.
const (
	// fatalLevel and fatalWords mark a line as fatal, errorLevel and errorWords as an error.
	fatalLevel = `\[(?:emerg|alert|crit|fatal|EMERG|ALERT|CRIT|FATAL|CRITICAL|F)\]|^<[0-2]>|^F\d{4} \d\d:\d\d:|\b(?:FATAL|PANIC|CRITICAL|EMERGENCY)\b|"(?:level|severity)":"(?i:fatal|panic|dpanic|critical|emerg|alert)"|\b(?:level|lvl|severity)=(?i:fatal|panic|critical)\b`
	fatalWords = `(?i)\bfatal(?: error)? ?: `
	errorLevel = `\[(?:error|ERROR|ERR|err|E)\]|^<3>|^ERROR:|\bERR! |^\S*\d[-\d:.,TZ ]* \[?(?:\S+ )?ERROR\b|"(?:level|severity)":"(?i:error|err)"|\b(?:level|lvl|severity)=(?i:error|err)\b|^E\d{4} \d\d:\d\d:`
	errorWords = `(?i)(?:^|[\s\]:(])(?:error|err)(?: in [^:]*| on line \d+| \d+)?: \S`

	// anArgument is about an argument that the program does not know.
	anArgument = `(?i)flag provided but not defined|\b(?:unknown|unrecogni[sz]ed|invalid|illegal|unexpected|bad|unsupported|ambiguous|undefined) (?:command[- ]?line |configuration |config )?(?:long |short )?(?:flag|option|argument|switch|shorthand|command|subcommand|parameter|directive|keyword|field|key|variable|setting|address|device)s?\b|\b(?:option|argument|flag)s? (?:--?\S+ )?(?:requires?|needs|expects?|is required|is unknown)\b|\brequires an argument\b`

	// givesUp matches a line that is marked. It may say no more than that the program ends.
	givesUp = `(?:` + fatalLevel + `)|(?:` + fatalWords + `)|(?:` + errorLevel + `)|(?:` + errorWords + `)`
)

// linesBehind is how many lines are a few.
const linesBehind = 3

// causeRules are in the order in which they count: what a runtime writes when it gives
// up, then what is marked as fatal, then what looks like a wrong argument, then what is
// marked as an error, then the system's own words for errors. A rule may be as general as
// its place is low. A line that no rule recognizes is no cause.
//
// A marked line often says only that the program gives up ("fatal error: could not open
// ports"), and the reason is just before it. So a taken address, and an argument that the
// program does not know, count before a mark that follows within a few lines. Other words
// of the system do not: many programs miss a file and go on.
//
// Each rule has a program in testdata/failures that needs it (TestCauseRules).
var causeRules = []causeRule{
	{kind: "a Go program that panics", line: `^panic: `},
	{kind: "the Go runtime", line: `^fatal error: `},
	{kind: "a Rust program that panics", after: `^thread '.*' (\(\d+\) )?panicked at `, line: `\S`},
	{kind: "Python", after: `^Traceback \(most recent call last\):`, line: `^[A-Za-z_][\w.]*(:|$)`, last: true},
	{kind: "Java, of a chain of exceptions", line: `^Caused by: `, last: true},
	{kind: "Node, of a chain of errors", line: `^\s*\[cause\]: `, last: true},
	{kind: "Java", line: `^Exception in thread "`},
	{kind: "C++", after: `^terminate called after throwing an instance of `, line: `^\s+what\(\): `},
	{kind: "the dynamic loader", line: `: error while loading shared libraries: |: symbol lookup error: |: undefined symbol: |: version .* not found \(required by `},
	{kind: "Ruby", line: `: .*\((?:[A-Z]\w*::)*[A-Z]\w*(?:Error|Exception)\)$|\(Errno::E[A-Z0-9]+\)$`},
	{kind: "Elixir", line: `^\*\* \([A-Z]\w*`},
	{kind: "Erlang", line: `^(?:Crash dump is being written|init terminating|Runtime terminating|\{"init terminating)|terminating in do_boot`},
	{kind: "PHP", line: `^(?:PHP )?(?:Fatal|Parse) error: `},
	{kind: "Perl", line: `^(?:Can't|Cannot|syntax error|Global symbol|Undefined|Bareword|Died|[^\s:].*) at \S+ line \d+(?:, .*)?\.?$`},
	{kind: "Lua", line: `^lua[\d.]*: `},
	{kind: "an assertion in C", line: `: Assertion .* failed\.$`},
	{kind: "a sanitizer", line: `^==\d+==ERROR: `},
	{kind: "an address that is taken, just before the program gives up", line: `(?i)\baddress already in use\b|\bcannot assign requested address\b`, then: givesUp},
	{kind: "an argument that is not understood, just before the program gives up", line: anArgument, then: givesUp},
	{kind: "JavaScript, and programs that say it themselves", line: `^(?:Uncaught )?(?:[\w$]+\.)*(?:[A-Z]\w*)?(?:Error|Exception)(?: \[\w+\])?: `},

	{kind: "a level, as servers mark it", line: fatalLevel},
	{kind: "fatal, in words", line: fatalWords},

	{kind: "a shell", line: `^\S*: (?:line )?\d+: .*(?:not found|No such file or directory|Permission denied|cannot execute.*|[Ss]yntax error.*|unbound variable|parameter not set|bad substitution|Bad substitution)$`},
	{kind: "an argument that is not understood", line: anArgument},

	{kind: "a level of error", line: errorLevel},
	{kind: "error, in words", line: errorWords},
	{kind: "the system's words", line: `(?:Address already in use|Cannot assign requested address|Permission denied|No such file or directory|Connection refused|No space left on device|Read-only file system|Is a directory|Not a directory|Operation not permitted|Too many open files|Cannot allocate memory|Name or service not known|Exec format error|Protocol not supported|File exists|address already in use|permission denied|no such file or directory|connection refused|already in use|i/o timeout|timed out|no such host|x509: |Segmentation fault|Bus error|Illegal instruction|No route to host|Network is unreachable)`},
	{kind: "a failure, in words", line: `^Error (?:opening|reading|loading|parsing|creating|starting|binding|connecting|writing)\b|(?i)\b(?:cannot|can't|could not|couldn't|unable to|failed to|refusing to|failed:|must not|refuses to)\s+\S|\bis not (?:permitted|allowed|supported)\b|\bsyntax error\b|^(?:missing|invalid|malformed)\s+\S|^\S+: \*\*\* `},
}

// notACause is what a line says that has the word for an error in it and tells of none.
const notACause = `(?i)\b(?:no|0|zero|without) errors?\b|\berrors?"?[:=] ?(?:0|null|nil|none|false|"")(?:\W|$)`

// matchedBytes is how much of a line is looked at.
const matchedBytes = 1 << 10

// A causeMatcher is a causeRule that can be applied.
type causeMatcher struct {
	line, after, then *regexp.Regexp // after and then may be nil
	last              bool
}

// compileCauses makes the rules ready for use. Few programs ever need them: it is done
// when a launch fails.
var compileCauses = sync.OnceValues(func() (matchers []causeMatcher, not *regexp.Regexp) {
	for _, r := range causeRules {
		m := causeMatcher{line: regexp.MustCompile(r.line), last: r.last}
		if r.after != "" {
			m.after = regexp.MustCompile(r.after)
		}
		if r.then != "" {
			m.then = regexp.MustCompile(r.then)
		}
		matchers = append(matchers, m)
	}
	return matchers, regexp.MustCompile(notACause)
})

// causeIn returns the line among head, and then tail, that looks like the reason why
// the program which has written them ends; "" if none does.
func causeIn(head, tail []string) string {
	line, _ := findCause(head, tail)
	return line
}

// findCause is causeIn, and says which of causeRules has recognized the line.
func findCause(head, tail []string) (line string, rule int) {
	matchers, not := compileCauses()
	parts := [][]string{head, tail}
	plain := [][]string{plainLines(head, not), plainLines(tail, not)}
	for i, m := range matchers {
		order := []int{0, 1}
		if m.last {
			order = []int{1, 0}
		}
		for _, part := range order {
			if at := m.find(plain[part]); at >= 0 {
				return parts[part][at], i
			}
		}
	}
	return "", -1
}

// find returns which of lines m recognizes, or -1.
func (m causeMatcher) find(lines []string) int {
	found, armed := -1, m.after == nil
	for i, line := range lines {
		switch {
		case m.after != nil && m.after.MatchString(line):
			armed = true
		case !armed || line == "" || !m.line.MatchString(line) || !m.goesOn(lines[i+1:]):
		case !m.last:
			return i
		default:
			found, armed = i, m.after == nil
		}
	}
	return found
}

// goesOn reports whether rest, the lines behind one, is as m wants it.
func (m causeMatcher) goesOn(rest []string) bool {
	return m.then == nil || slices.ContainsFunc(rest[:min(len(rest), linesBehind)], m.then.MatchString)
}

// plainLines returns lines as they are matched: a line that is not a cause is empty.
func plainLines(lines []string, not *regexp.Regexp) []string {
	plain := make([]string, len(lines))
	for i, line := range lines {
		line = withoutSequences(line[:min(len(line), matchedBytes)])
		if !not.MatchString(line) {
			plain[i] = strings.TrimRight(line, " \t\r")
		}
	}
	return plain
}

// withoutSequences returns s without the escape sequences by which a terminal colours
// text (ECMA-48, CSI).
func withoutSequences(s string) string {
	if !strings.Contains(s, "\x1b[") {
		return s
	}
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "\x1b[")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		end := strings.IndexFunc(rest, func(r rune) bool { return r >= '@' && r <= '~' })
		s = rest[end+1:] // of one without an end only the beginning goes
	}
}
