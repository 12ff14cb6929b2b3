package main

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// The measures of an SVG, in pixels.
const (
	svgText   = 230 // the column of names
	svgBars   = 600
	svgTook   = 90 // room for a duration behind a bar
	svgRow    = 22
	svgTop    = 60 // above the first row: the title and the scale
	svgMargin = 12
)

// drawSVG draws r as an SVG image that needs no other file.
func drawSVG(w io.Writer, r record) error {
	rows := spans(r)
	total := max(seconds(r.Seconds), 1)
	at := func(d time.Duration) float64 { return svgText + min(1, float64(d)/float64(total))*svgBars }
	width, height := svgText+svgBars+svgTook, svgTop+svgRow*len(rows)+svgMargin
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="%[2]d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="13">`+"\n", width, height)
	fmt.Fprintf(out, `<title>%s</title><rect width="100%%" height="100%%" fill="white"/>`+"\n", escaped(r.title()))
	fmt.Fprintf(out, `<text x="%d" y="22" font-size="15" font-weight="bold">%s</text>`+"\n", svgMargin, escaped(r.title()))
	for i := range 5 {
		mark := total * time.Duration(i) / 4
		fmt.Fprintf(out, `<path d="M%.1f %d V%d" stroke="#ddd"/>`, at(mark), svgTop-8, height-svgMargin)
		fmt.Fprintf(out, `<text x="%.1f" y="%d" fill="#666" font-size="11" text-anchor="middle">%s</text>`+"\n", at(mark), svgTop-14, shortly(mark))
	}
	for i, s := range rows {
		drawSpan(out, s, svgTop+svgRow*i, at)
	}
	fmt.Fprintln(out, "</svg>")
	return out.Flush()
}

// drawSpan draws one row, whose top is y.
func drawSpan(out io.Writer, s span, y int, at func(time.Duration) float64) {
	x, colour := svgMargin, "#4477aa"
	if s.inner {
		x, colour = 2*svgMargin, "#88bbdd"
	}
	if s.failed {
		colour = "#cc3311"
	}
	from, to := at(s.from), at(s.from+s.took)
	end := max(to, from+2) // a step that took no time can be seen, too
	line := y + svgRow*2/3
	fmt.Fprintf(out, `<g><title>%s: %s</title><text x="%d" y="%d">%s</text>`, escaped(s.text), shortly(s.took), x, line, escaped(cutTo(s.text, 30)))
	fmt.Fprintf(out, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>`, from, y+3, end-from, svgRow-6, colour)
	fmt.Fprintf(out, `<text x="%.1f" y="%d" fill="#444" font-size="11">%s</text></g>`+"\n", end+4, line, shortly(s.took))
}

// escaped is text as XML has it, without what cannot be seen.
func escaped(text string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(printable(text))) // a Builder does not fail
	return b.String()
}
