package main

import (
	"fmt"
	"strings"
)

// A state is a box of the picture, with its centre.
type state struct {
	name, says string
	x, y       int
	colour     string
}

// A move is an arrow from one state to another, by corners if it is not straight. Its words
// stand at x, y. No state is "nothing".
type move struct {
	from, to string
	path     string
	words    string
	x, y     int
}

const width, height = 150, 54 // of a box

var allStates = []state{
	{"starting", "launched, not ready yet", 215, 90, "#fff3d6"},
	{"ready", "it can be talked to", 500, 90, "#dff2e1"},
	{"unreachable", "it runs, nobody answers", 785, 90, "#fde2e0"},
	{"gone", "proven to have ended", 500, 235, "#e8e8e8"},
}

var moves = []move{
	{"nothing", "starting", "M40 90 H136", "Launch", 88, 80},
	{"starting", "ready", "M290 90 H421", "the probe is content", 356, 80},
	{"ready", "unreachable", "M575 80 H706", "no answer", 641, 70},
	{"unreachable", "ready", "M710 102 H579", "it answers again", 645, 120},
	{"ready", "gone", "M500 117 V204", "it ends, or Stop", 560, 165},
	{"unreachable", "gone", "M785 117 V235 H579", "it ends, or Stop", 695, 226},
	{"starting", "gone", "M190 117 V235 H421", "the launcher dies", 305, 226},
	{"gone", "starting", "M425 250 H240 V121", "Launch, Ensure", 320, 266},
	{"starting", "nothing", "M140 100 H88 V170", "the launch fails:", 88, 188},
}

// states returns the picture of the states of a pod, as SVG.
func states() []byte {
	var b strings.Builder
	fmt.Fprint(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="900" height="290" viewBox="0 0 900 290" font-family="sans-serif" font-size="13">
<title>The states of a pod</title>
<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0 L10 5 L0 10 z" fill="#555"/></marker></defs>
<rect width="100%" height="100%" fill="white"/>
`)
	for _, s := range allStates {
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" rx="8" fill="%s" stroke="#777"/><text x="%d" y="%d" font-weight="bold" text-anchor="middle">%s</text><text x="%d" y="%d" font-size="11" fill="#555" text-anchor="middle">%s</text>`+"\n",
			s.x-width/2, s.y-height/2, width, height, s.colour, s.x, s.y-3, s.name, s.x, s.y+15, s.says)
	}
	for _, m := range moves {
		fmt.Fprintf(&b, `<path d="%s" fill="none" stroke="#555" marker-end="url(#tip)"/><text x="%d" y="%d" font-size="12" text-anchor="middle">%s</text>`+"\n", m.path, m.x, m.y, m.words)
	}
	fmt.Fprint(&b, `<text x="88" y="204" font-size="12" text-anchor="middle">nothing is left but the log</text>
</svg>
`)
	return []byte(b.String())
}
