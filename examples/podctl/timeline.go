package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newTimeline(c *cli) *cobra.Command {
	var svg string
	cmd := &cobra.Command{
		Use:   "timeline NAME",
		Short: "Draw how long each step of a launch took",
		Long: `Draw the steps of a pod's launch, and since when each --ready held: in the
terminal, or as an SVG file. It is the last launch of that name, also if the pod
is gone or did not become ready. podctl has to have launched it.`,
		Example: `  podctl timeline postgres
  podctl timeline postgres --svg postgres.svg
  podctl timeline postgres --json | jq '.steps[] | [.name, .seconds]'`,
		Args:              oneName,
		ValidArgsFunction: c.completeNames(),
	}
	addFlags(cmd, []option{{"svg", "", &svg, "write an SVG to `file`; - is standard output", files}})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := c.recordOf(cmd.Context(), args[0])
		switch {
		case err != nil:
			return err
		case svg == "-":
			return drawSVG(c.out, r)
		case svg != "":
			if err := writeFile(svg, func(w io.Writer) error { return drawSVG(w, r) }); err != nil {
				return fmt.Errorf("--svg: %w", err)
			}
			return c.say(fmt.Sprintf("the timeline of %s is in %s", shown(args[0]), shown(svg)), map[string]string{"name": args[0], "svg": svg})
		case c.json:
			return printJSON(c.out, r)
		}
		return drawTimeline(c.out, r, columns(c.out))
	}
	return cmd
}

// writeFile has write write the file at path anew.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(f)
	err = cmp.Or(write(out), out.Flush())
	return cmp.Or(err, f.Close())
}

// A span is a row of a drawing.
type span struct {
	text   string
	from   time.Duration // after the launch began
	took   time.Duration
	failed bool
	inner  bool // a condition, which is part of the step above
}

// stepTexts are the steps in words. A step that is not among them has its own name.
var stepTexts = map[string]string{
	"workdir": "look at --dir",
	"base":    "find the base",
	"command": "find the program",
	"claim":   "take the name",
	"make":    "make the directory",
	"open":    "open the log",
	"prepare": "prepare --ready",
	"process": "start the process",
	"probe":   "wait for --ready",
	"record":  "write it down",
	"clear":   "end what is left",
}

// spans are the rows of r.
func spans(r record) (rows []span) {
	for _, s := range r.Steps {
		from := s.Began.Sub(r.Began)
		rows = append(rows, span{
			text: cmp.Or(stepTexts[s.Name], s.Name), from: from, took: seconds(s.Seconds), failed: s.Error != "",
		})
		if s.Name != "probe" {
			continue
		}
		for _, c := range r.Conditions {
			took := seconds(s.Seconds)
			if !c.Held.IsZero() {
				took = c.Held.Sub(s.Began)
			}
			rows = append(rows, span{text: c.What, from: from, took: max(0, took), failed: c.Held.IsZero(), inner: true})
		}
	}
	return rows
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// title says what the drawing is of.
func (r record) title() string {
	how := "ready after " + shortly(seconds(r.Seconds))
	switch {
	case r.Unfinished:
		how = "has not come to an end"
	case r.Error != "":
		how = "failed after " + shortly(seconds(r.Seconds))
	}
	return fmt.Sprintf("%s, launched %s, %s", shown(r.Name), r.Began.Local().Format("2006-01-02 15:04:05"), how)
}

// shortly is d with three digits.
func shortly(d time.Duration) string {
	switch {
	case d < time.Microsecond:
		return fmt.Sprintf("%dns", d)
	case d < time.Millisecond:
		return fmt.Sprintf("%.3gµs", float64(d)/1e3)
	case d < time.Second:
		return fmt.Sprintf("%.3gms", float64(d)/1e6)
	}
	return d.Round(10 * time.Millisecond).String()
}

// What a drawing in the terminal has beside the bars, in columns.
const (
	textWidth = 24
	tookWidth = 8
	minBars   = 16
)

// drawTimeline draws r in width columns.
func drawTimeline(w io.Writer, r record, width int) error {
	bars := max(minBars, min(width, maxText)-textWidth-tookWidth-3)
	total := max(seconds(r.Seconds), 1)
	column := func(d time.Duration) int { return int(min(1, float64(d)/float64(total)) * float64(bars)) }
	out := bufio.NewWriter(w)
	for _, line := range wrap(printable(r.title()), width) {
		fmt.Fprintln(out, cutTo(line, width))
	}
	for _, s := range spans(r) {
		text, fill := s.text, "#"
		if s.inner {
			text, fill = "  "+text, "-"
		}
		if s.failed {
			fill = "x"
		}
		from, to := column(s.from), column(s.from+s.took)
		from = min(from, bars-1)
		bar := strings.Repeat(" ", from) + strings.Repeat(fill, max(1, to-from))
		text = cutTo(printable(text), textWidth)
		fmt.Fprintf(out, "%s%s %*s %s\n", text, strings.Repeat(" ", max(0, textWidth-columnsOf(text))), tookWidth, shortly(s.took), bar)
	}
	if r.Error != "" {
		for i, line := range wrap(printable(r.Error), min(width, maxText)-labelWidth) {
			fmt.Fprintf(out, "%-*s%s\n", labelWidth, []string{"failed:", ""}[min(i, 1)], line)
		}
	}
	return out.Flush()
}
