package main

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"math"
	"os"
	"strings"
	"time"
)

// writeTimeline writes path.svg, to look at, and path.json, to calculate with.
func writeTimeline(path, where string, launches []*launch) error {
	data, err := timelineJSON(where, launches)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".json", data, 0o644); err != nil {
		return err
	}
	return os.WriteFile(path+".svg", timelineSVG(where, launches), 0o644)
}

// timelineJSON tells all times in milliseconds from the beginning, each when
// something was over; what it did not come to is left out.
func timelineJSON(where string, launches []*launch) ([]byte, error) {
	type entry struct {
		Name      string  `json:"name"`
		Node      string  `json:"node,omitempty"`
		Address   string  `json:"address,omitempty"`
		Error     string  `json:"error,omitempty"`
		Began     float64 `json:"began_ms"`
		Resolved  float64 `json:"resolved_ms,omitempty"`
		Started   float64 `json:"started_ms,omitempty"`
		FirstLine float64 `json:"first_line_ms,omitempty"`
		Ready     float64 `json:"ready_ms,omitempty"`
		Dialled   float64 `json:"dialled_ms,omitempty"`
		Failed    float64 `json:"failed_ms,omitempty"`
	}
	all := struct {
		On       string  `json:"on"`
		Launches []entry `json:"launches"`
	}{On: where}
	for _, l := range launches {
		t := l.times
		e := entry{
			Name: l.name, Node: l.node,
			Began: milliseconds(t.Began), Resolved: milliseconds(t.Resolved), Started: milliseconds(t.Started),
			FirstLine: milliseconds(t.FirstLine), Ready: milliseconds(t.Ready), Dialled: milliseconds(t.Dialled), Failed: milliseconds(t.Failed),
		}
		if l.pod != nil {
			e.Address = l.pod.Endpoint().Address
		}
		if l.err != nil {
			e.Error = reason(l.err)
		}
		all.Launches = append(all.Launches, e)
	}
	data, err := json.MarshalIndent(all, "", "\t")
	return append(data, '\n'), err
}

// A phase is a piece of a launch's bar.
type phase struct {
	name, colour string
	end          func(times) time.Duration
}

// phases follow each other. Those who see few colours can tell them apart.
var phases = []phase{
	{"resolve", "#56b4e9", func(t times) time.Duration { return t.Resolved }},
	{"start", "#0072b2", func(t times) time.Duration { return t.Started }},
	{"ready", "#e69f00", func(t times) time.Duration { return t.Ready }},
	{"dial", "#009e73", func(t times) time.Duration { return t.Dialled }},
}

const (
	failedColour = "#d55e00"
	lineColour   = "#000000"
)

// The measures of the picture, in pixels.
const (
	left, right  = 90, 20
	top, bottom  = 64, 34
	plotWidth    = 890
	tallest      = 18
	legible      = 9 // rows that are lower have no room for a name
	wholePicture = 900
)

// timelineSVG draws a row for each launch: its phases, one after the other, and a
// mark where the pod's first line was heard.
func timelineSVG(where string, launches []*launch) []byte {
	end := time.Millisecond
	good := 0
	for _, l := range launches {
		end = max(end, l.times.Dialled, l.times.Failed)
		if l.err == nil {
			good++
		}
	}
	row := min(tallest, max(3, float64(wholePicture)/float64(len(launches))))
	step := tick(end)
	x := func(d time.Duration) float64 { return left + plotWidth*d.Seconds()/end.Seconds() }
	height := top + row*float64(len(launches)) + bottom

	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%.0f" font-family="sans-serif" font-size="11">`+"\n", left+plotWidth+right, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/>`+"\n")
	fmt.Fprintf(&b, `<text x="%d" y="20" font-size="14">%s</text>`+"\n", left, escape(fmt.Sprintf("%d launches (%s), %d good, in %.2f s", len(launches), where, good, end.Seconds())))
	legend(&b)
	for d := time.Duration(0); d <= end; d += step {
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%.1f" stroke="#dddddd"/>`+"\n", x(d), top-4, x(d), height-bottom+4)
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="middle" fill="#555555">%s</text>`+"\n", x(d), height-bottom+18, label(d, step))
	}
	for i, l := range launches {
		y := top + row*float64(i)
		if row >= legible {
			fmt.Fprintf(&b, `<text x="%d" y="%.1f" text-anchor="end" font-size="%.0f">%s</text>`+"\n", left-6, y+row*.75, min(11, row), escape(short(l.name)))
		}
		fmt.Fprintf(&b, `<g><title>%s</title>`, escape(title(l)))
		bar := func(from, to time.Duration, colour string) {
			fmt.Fprintf(&b, `<rect x="%.2f" y="%.2f" width="%.2f" height="%.2f" fill="%s"/>`, x(from), y+row*.1, max(x(to)-x(from), .5), row*.8, colour)
		}
		at := l.times.Began
		for _, p := range phases {
			if to := p.end(l.times); to != 0 {
				bar(at, to, p.colour)
				at = to
			}
		}
		if l.times.Failed != 0 {
			bar(at, l.times.Failed, failedColour)
		}
		if first := l.times.FirstLine; first != 0 {
			fmt.Fprintf(&b, `<rect x="%.2f" y="%.2f" width="1.5" height="%.2f" fill="%s"/>`, x(first), y, row, lineColour)
		}
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return []byte(b.String())
}

// legend says what the colours are.
func legend(b *strings.Builder) {
	at := float64(left)
	entry := func(name, colour string, width float64) {
		fmt.Fprintf(b, `<rect x="%.1f" y="32" width="%.1f" height="12" fill="%s"/><text x="%.1f" y="42">%s</text>`+"\n", at, width, colour, at+width+5, name)
		at += width + 5 + 7*float64(len(name)) + 18
	}
	for _, p := range phases {
		entry(p.name, p.colour, 12)
	}
	entry("failed", failedColour, 12)
	entry("first line heard", lineColour, 1.5)
}

// title is what shows under the mouse.
func title(l *launch) string {
	text := l.name
	if l.node != "" {
		text += " on " + l.node
	}
	at := l.times.Began
	for _, p := range phases {
		if to := p.end(l.times); to != 0 {
			text += fmt.Sprintf(", %s %.1f ms", p.name, milliseconds(to-at))
			at = to
		}
	}
	if l.err != nil {
		text += ", " + reason(l.err)
	}
	return text
}

// tick is the distance of the marks on the axis: 1, 2 or 5 times a power of ten,
// so that there are about ten.
func tick(end time.Duration) time.Duration {
	power := math.Pow(10, math.Floor(math.Log10(end.Seconds()/10)))
	for _, n := range []float64{1, 2, 5} {
		if d := time.Duration(n * power * float64(time.Second)); end/d <= 10 && d > 0 {
			return d
		}
	}
	return time.Duration(10 * power * float64(time.Second))
}

// label is what stands at a mark.
func label(d, step time.Duration) string {
	if step < 100*time.Millisecond {
		return fmt.Sprintf("%g ms", milliseconds(d))
	}
	return fmt.Sprintf("%g s", d.Seconds())
}

// short is as much of a name as there is room for.
func short(name string) string {
	if r := []rune(name); len(r) > 13 {
		return string(r[:12]) + "…"
	}
	return name
}

func escape(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(s)) // to memory: it cannot fail
	return b.String()
}
