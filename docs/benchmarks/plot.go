//go:build linux

package main

import (
	"fmt"
	"html"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// pictures returns the SVG files there is something for, by name.
func (r *report) pictures() map[string]string {
	all := map[string]string{}
	add := func(name string, c chart) {
		if len(c.lines) > 0 {
			all[name] = c.svg()
		}
	}
	latency := chart{title: "From the pod's ready line to the launcher's return", x: "µs, pod ready at once", y: "share of launches", logX: true}
	for i, name := range r.Peers {
		v := slices.Sorted(slices.Values(r.launches("detect", "C, 0 ms", name, detectOf)))
		var l line
		for k, x := range v {
			l.points = append(l.points, [2]float64{max(x, 1), float64(k+1) / float64(len(v))})
		}
		latency.add(l, name, i)
	}
	add("latency.svg", latency)
	add("throughput.svg", r.overCases(tableRate, "Launches per second", "launches at once", "per second", false))
	add("threads.svg", r.overCases("many: threads, ready", "Threads of the launcher", "pods that are ready", "threads", true))
	add("memory.svg", r.overCases("many: Go memory each, pending, KiB", "Memory of the launcher for each pod", "pods that are pending", "KiB", true))
	add("log-size.svg", r.overCases("flood: time, ms", "Time to readiness behind a log", "bytes of log before the ready line", "ms", true))
	return all
}

func pictureNames(pictures map[string]string) []string {
	return slices.Sorted(maps.Keys(pictures))
}

// overCases is a chart of one table: medians over the cases, which are numbers
// or sizes.
func (r *report) overCases(table, title, x, y string, logY bool) chart {
	c := chart{title: title, x: x, y: y, logX: true, logY: logY}
	for i, name := range r.Peers {
		var l line
		for _, g := range r.grids() {
			if g.title != table {
				continue
			}
			for _, key := range g.cases {
				at, ok := number(key)
				if v, has := g.cell(key, name); ok && has && (v > 0 || !logY) {
					l.points = append(l.points, [2]float64{at, v})
				}
			}
		}
		c.add(l, name, i)
	}
	return c
}

// number reads "256" or "32 MiB".
func number(s string) (float64, bool) {
	n, unit, _ := strings.Cut(s, " ")
	v, err := strconv.ParseFloat(n, 64)
	switch unit {
	case "KiB":
		v *= 1 << 10
	case "MiB":
		v *= 1 << 20
	case "GiB":
		v *= 1 << 30
	}
	return v, err == nil
}

// A chart is lines over two axes.
type chart struct {
	title, x, y string
	logX, logY  bool
	lines       []line
}

type line struct {
	name   string
	hue    int
	points [][2]float64
}

func (c *chart) add(l line, name string, hue int) {
	if len(l.points) > 0 {
		l.name, l.hue = name, hue
		c.lines = append(c.lines, l)
	}
}

const (
	width, height            = 760, 400
	left, right, top, bottom = 70, 600, 46, 340
)

// Colours that can be told apart, also by those who do not see red and green,
// and that stand out from white and from black. The first is ours.
var hues = []string{"#d62728", "#7f7f7f", "#1f9ed8", "#e69f00", "#009e73", "#b65fc8", "#8c6d31", "#5a78e0", "#d4699e"}

// style makes text and axes follow the reader's scheme.
const style = `<style>
text { font: 12px -apple-system, "Segoe UI", Helvetica, Arial, "DejaVu Sans", sans-serif; fill: #57606a }
.title { font-size: 15px; font-weight: 600; fill: #24292f }
.axis { stroke: #8c959f; stroke-width: 1 }
.grid { stroke: #8c959f; stroke-width: 1; stroke-opacity: 0.22 }
@media (prefers-color-scheme: dark) {
text { fill: #9da7b3 }
.title { fill: #e6edf3 }
}
</style>
`

func (c chart) svg() string {
	xs, ys := c.axis(0, c.logX), c.axis(1, c.logY)
	atX := func(v float64) float64 { return left + xs.share(v)*(right-left) }
	atY := func(v float64) float64 { return bottom - ys.share(v)*(bottom-top) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`+"\n", width, height, width, height, html.EscapeString(c.title))
	b.WriteString(style)
	fmt.Fprintf(&b, `<text class="title" x="%d" y="24">%s</text>`+"\n", left, html.EscapeString(c.title))
	for _, t := range xs.ticks {
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", atX(t), atX(t), top, bottom, atX(t), bottom+18, short(t))
	}
	for _, t := range ys.ticks {
		fmt.Fprintf(&b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", left, right, atY(t), atY(t), left-8, atY(t)+4, short(t))
	}
	fmt.Fprintf(&b, `<path class="axis" fill="none" d="M%d %dV%dH%d"/>`+"\n", left, top, bottom, right)
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", (left+right)/2, bottom+44, html.EscapeString(c.x))
	fmt.Fprintf(&b, `<text transform="translate(16 %d) rotate(-90)" text-anchor="middle">%s</text>`+"\n", (top+bottom)/2, html.EscapeString(c.y))
	for i, l := range slices.Backward(c.lines) { // ours on top
		stroke := 1.6
		if l.hue == 0 {
			stroke = 3
		}
		var d strings.Builder
		for k, p := range l.points {
			fmt.Fprintf(&d, "%c%.1f %.1f", "ML"[min(k, 1)], atX(p[0]), atY(p[1]))
		}
		colour := hues[l.hue%len(hues)]
		fmt.Fprintf(&b, `<path fill="none" stroke="%s" stroke-width="%.1f" stroke-linejoin="round" d="%s"/>`+"\n", colour, stroke, d.String())
		if len(l.points) <= 12 {
			for _, p := range l.points {
				fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", atX(p[0]), atY(p[1]), colour)
			}
		}
		y := top + 8 + 20*i
		fmt.Fprintf(&b, `<path stroke="%s" stroke-width="%.1f" d="M%d %dh22"/><text x="%d" y="%d">%s</text>`+"\n", colour, stroke, right+16, y, right+46, y+4, html.EscapeString(l.name))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// A scale maps values to 0 … 1.
type scale struct {
	low, high float64
	log       bool
	ticks     []float64
}

func (s scale) share(v float64) float64 {
	if s.log {
		return (math.Log(v) - math.Log(s.low)) / (math.Log(s.high) - math.Log(s.low))
	}
	return (v - s.low) / (s.high - s.low)
}

// axis finds the scale for one coordinate of all points.
func (c chart) axis(of int, log bool) scale {
	low, high := math.Inf(1), math.Inf(-1)
	for _, l := range c.lines {
		for _, p := range l.points {
			low, high = min(low, p[of]), max(high, p[of])
		}
	}
	s := scale{log: log}
	if log {
		s.low, s.high = low, max(high, low*2)
		for t := math.Pow(10, math.Floor(math.Log10(low))); t <= s.high*1.001; t *= 10 {
			if t >= s.low*0.999 {
				s.ticks = append(s.ticks, t)
			}
		}
		if len(s.ticks) < 3 { // less than two decades: powers of two
			s.ticks = nil
			for t := math.Pow(2, math.Ceil(math.Log2(s.low))); t <= s.high*1.001; t *= 2 {
				s.ticks = append(s.ticks, t)
			}
		}
		return s
	}
	step := math.Pow(10, math.Floor(math.Log10(high)))
	for high/step < 4 {
		step /= 2
	}
	s.high = math.Ceil(high/step) * step
	for t := 0.0; t <= s.high*1.001; t += step {
		s.ticks = append(s.ticks, t)
	}
	return s
}

// short writes a tick.
func short(v float64) string {
	switch {
	case v >= 1e9:
		return strconv.FormatFloat(v/1e9, 'g', 3, 64) + " G"
	case v >= 1e6:
		return strconv.FormatFloat(v/1e6, 'g', 3, 64) + " M"
	case v >= 1e4:
		return strconv.FormatFloat(v/1e3, 'g', 3, 64) + " k"
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}
