package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/podlaunch/podlaunch/launcher"
)

// tell says on standard error what failed: a headline and what is known of it, a
// row each. With --json it is one object for each error.
func (c *cli) tell(err error) {
	var several severalErrors
	if errors.As(err, &several) {
		for _, err := range several {
			c.tell(err)
		}
		return
	}
	if errorMessage(err) == "" {
		return
	}
	c.printing.Lock()
	defer c.printing.Unlock()
	if c.json {
		printJSON(c.err, map[string]failure{"error": describeFailure(err)})
		return
	}
	printFailure(c.err, err, textWidthOf(c.err))
}

// maxText is how wide text is at most, on a terminal that is wider.
const maxText = 100

// textWidthOf is how wide text is on w. It is not broken where w is no terminal: a file is
// searched with grep.
func textWidthOf(w io.Writer) int {
	if _, ok := terminal(w); ok {
		return min(columns(w), maxText)
	}
	return math.MaxInt
}

// printText prints text after head. Its further lines are indented by so many columns.
func printText(w io.Writer, head, text string, indent int) error {
	lines := wrap(text, textWidthOf(w)-indent)
	_, err := fmt.Fprintln(w, head+strings.Join(lines, "\n"+strings.Repeat(" ", indent)))
	return err
}

// ourWords has what the library's errors say to programmers, in the words of podctl.
var ourWords = []struct {
	theirs *regexp.Regexp
	ours   string
}{
	{regexp.MustCompile(`\n`), "; "},
	{regexp.MustCompile(` \(launcher\.\w+\)`), ""},
	{regexp.MustCompile(`\(Spec\.LogStdout\)`), "(--stdout log)"},
	{regexp.MustCompile(`\(Spec\.Stdin, Spec\.StdinOpen\)`), "(--stdin-open)"},
	{regexp.MustCompile(`Launcher\.Stop ends them, and so does a launch with Launcher\.Reclaim`), "podctl stop ends them"},
	{regexp.MustCompile(`\breadiness\.[A-Z]\w*(\.[A-Z]\w*)*: `), ""},
	{regexp.MustCompile(`[;,] if [^;]*\bset readiness\.[\w.]+( to [\w.]+)?`), ""},
}

// inOurWords is what the library says, for a person.
func inOurWords(text string) string {
	for _, w := range ourWords {
		text = w.theirs.ReplaceAllString(text, w.ours)
	}
	return text
}

// errorMessage is err in one line; empty if there is nothing to say.
func errorMessage(err error) string {
	if err == nil {
		return ""
	}
	return inOurWords(err.Error())
}

// printFailure prints err for a person. It breaks what is longer than width at
// spaces; a word that is longer stays whole.
func printFailure(w io.Writer, err error, width int) {
	var e *launcher.Error
	headline := errorMessage(err)
	var rows []row
	var about *podError
	if errors.As(err, &e) && !errors.As(err, &about) {
		headline = fmt.Sprintf("%s %s: %s", cmp.Or(e.Op, "launch"), e.Name, cmp.Or(errorMessage(e.Err), "unknown reason"))
		rows = rowsOf(e)
	}
	if do := advice(err, e); do != "" {
		rows = append(rows, row{"do", do})
	}
	for i, line := range wrap(printable(headline), width-len("podctl: ")) {
		fmt.Fprintln(w, []string{"podctl: ", "        "}[min(i, 1)]+line)
	}
	for _, r := range rows {
		r.print(w, width)
	}
}

// A row is a line of what is known of a failure, or several with one label.
type row struct{ label, text string }

// labelWidth is how wide the column of labels is, with what is on both sides.
const labelWidth = 11

func (r row) print(w io.Writer, width int) {
	for i, line := range wrap(r.text, width-labelWidth) {
		label := r.label
		if i > 0 {
			label = ""
		}
		fmt.Fprintf(w, "  %-*s%s\n", labelWidth-2, label, line)
	}
}

// wrap breaks text at spaces into lines of at most width columns.
func wrap(text string, width int) (lines []string) {
	words := strings.Split(text, " ")
	line := words[0]
	for _, word := range words[1:] {
		if columnsOf(line)+1+columnsOf(word) > width {
			lines = append(lines, line)
			line = word
			continue
		}
		line += " " + word
	}
	return append(lines, line)
}

// shownLines is how many of a pod's last lines are shown at most.
const shownLines = 8

// rowsOf is what e knows besides its reason.
func rowsOf(e *launcher.Error) (rows []row) {
	add := func(label, text string) {
		if text != "" {
			rows = append(rows, row{label, printable(inOurWords(text))})
		}
	}
	add("waited", strings.TrimPrefix(e.Pending, "still waiting "))
	if e.Exit != nil {
		add("exit", e.Exit.String())
	}
	label := "it said"
	for _, line := range saidLines(e) {
		add(label, line)
		label = ""
	}
	for _, note := range e.Notes {
		add("note", note)
	}
	if e.Leftover != nil {
		add("LEFT", errorMessage(e.Leftover))
	}
	if e.Command.Path != "" && e.Stage != launcher.StageOwn {
		add("ran", commandLine(append([]string{e.Command.Path}, e.Command.Args...)))
	}
	add("log", e.LogPath)
	return rows
}

// saidLines are the pod's last lines, and before them the line that looks
// like the reason, unless it is among them.
func saidLines(e *launcher.Error) []string {
	isBlank := func(line string) bool { return strings.TrimSpace(line) == "" }
	last := slices.DeleteFunc(slices.Clone(e.Tail), isBlank)
	last = last[max(0, len(last)-shownLines):]
	if e.Cause != "" && !slices.Contains(last, e.Cause) {
		return append([]string{e.Cause, "…"}, last...)
	}
	return last
}

// commandLine is words as one line to read.
func commandLine(words []string) string {
	text := make([]string, len(words))
	for i, word := range words {
		text[i] = shown(word)
	}
	return strings.Join(text, " ")
}

// A failure is an error as programs read it. What is not known is left out.
type failure struct {
	Message  string   `json:"message"` // in one line
	ExitCode int      `json:"exitCode"`
	Name     string   `json:"name,omitempty"`
	Op       string   `json:"op,omitempty"`
	Stage    string   `json:"stage,omitempty"`
	Reason   string   `json:"reason,omitempty"`
	PID      int      `json:"pid,omitempty"`
	Network  string   `json:"network,omitempty"` // of the pod that runs already
	Address  string   `json:"address,omitempty"`
	Seconds  float64  `json:"seconds,omitempty"` // how long it took to fail
	Exit     string   `json:"exit,omitempty"`
	Pending  string   `json:"pending,omitempty"`
	Cause    string   `json:"cause,omitempty"`
	Tail     []string `json:"tail,omitempty"`
	Notes    []string `json:"notes,omitempty"`
	Left     string   `json:"left,omitempty"`
	Command  []string `json:"command,omitempty"`
	Log      string   `json:"log,omitempty"`
	Do       string   `json:"do,omitempty"`
}

func describeFailure(err error) failure {
	f := failure{Message: errorMessage(err), ExitCode: exitCode(err)}
	var about *podError
	if errors.As(err, &about) {
		f.Name = about.name
	}
	var e *launcher.Error
	if errors.As(err, &e) {
		f.Name, f.Op, f.Stage = e.Name, cmp.Or(e.Op, "launch"), string(e.Stage)
		f.Reason, f.PID, f.Seconds = errorMessage(e.Err), e.PID, e.Elapsed.Seconds()
		f.Network, f.Address = e.Endpoint.Network, e.Endpoint.Address
		if e.Exit != nil {
			f.Exit = e.Exit.String()
		}
		f.Pending, f.Cause, f.Tail, f.Notes = e.Pending, e.Cause, e.Tail, e.Notes
		f.Left, f.Log = errorMessage(e.Leftover), e.LogPath
		if e.Command.Path != "" {
			f.Command = append([]string{e.Command.Path}, e.Command.Args...)
		}
	}
	f.Do = advice(err, e)
	return f
}
