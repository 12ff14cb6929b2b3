package launcher

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/podlaunch/podlaunch/readiness"
)

const (
	// maxMessage is how long a message is at most, in bytes: 12 lines of 160 characters.
	maxMessage = 12 * 160

	// shownLines is how many of a pod's lines a message shows at most, without the cause, and
	// maxShown how long each is there. Where they are fewer each has more, and the cause has
	// the room of two. Without a cause firstLines of them are its first ones.
	shownLines = 8
	firstLines = 2
	maxShown   = 160

	// What else has a part of a message. What one part does not need the next ones have.
	maxName     = 256
	maxReason   = 720
	maxPath     = 256
	maxLeftover = 320
	maxNote     = 320
	roomOfLines = 3 * maxShown // however much there is to say
)

// afterReadyNote is about a pod that has written its ready line and ended before it could be
// reached.
const afterReadyNote = "it ended after it had announced that it is ready"

// Error says it in one line that a person can act on, at most 12 times 160 bytes long.
// Control characters are escaped. Of what the pod has written it shows Cause and the last 8
// lines; without a Cause, the first 2 and the last 6.
func (e *Error) Error() string {
	head := fmt.Sprintf("%s %s: ", cmp.Or(e.Op, opLaunch), fit(e.Name, maxName))
	end := " (" + strings.Join(e.circumstances(), ", ") + ")"
	room := maxMessage - len(head) - len(end)

	reason := "unknown reason"
	if e.Err != nil {
		reason = fit(e.Err.Error(), min(maxReason, room))
	}
	room -= len(reason)
	var losses string
	if e.Dropped > 0 {
		losses = fmt.Sprintf("; the progress callback was too slow for %d lines", e.Dropped)
	}
	if e.Leftover != nil {
		losses += "; NOT CLEARED: " + fit(e.Leftover.Error(), maxLeftover)
	}
	room -= len(losses)
	reserved := min(room, e.wantedRoom())
	var pending, notes string
	if e.Pending != "" {
		pending = "; " + fit(e.Pending, room-reserved-len("; "))
	}
	room -= len(pending)
	for _, note := range e.Notes {
		if most := min(maxNote, room-reserved-len(notes)-len("; ")); most > maxShown/2 || len(note) <= most {
			notes += "; " + fit(note, most)
		}
	}
	room -= len(notes)
	exited := errors.Is(e.Err, ErrExitedEarly)
	before, lines := e.introduce(exited)
	if len(lines) > 0 {
		before += joinWithin(lines, room-len(before))
	}
	if exited {
		return head + reason + before + pending + notes + losses + end
	}
	return head + reason + pending + before + notes + losses + end
}

// introduce returns what stands before the pod's lines in a message, and those.
func (e *Error) introduce(exited bool) (before string, lines []string) {
	lines = e.excerpt()
	switch {
	case len(lines) == 0 && exited && !slices.Contains(e.Notes, afterReadyNote):
		return ", without a word", nil
	case len(lines) == 0:
		return "", nil
	case exited:
		return ": ", lines
	case slices.Contains(lines, elided):
		return "; it said: ", lines
	}
	return "; its last lines: ", lines
}

// elided stands for lines that a message does not show.
const elided = "…"

// excerpt returns the lines of a message, in order: all if there are few, else the cause
// and the last ones. Without a cause the first ones have its place: many programs say there
// what is wrong, and go on for long.
func (e *Error) excerpt() []string {
	all := slices.DeleteFunc(slices.Clone(e.Tail), isBlank)
	first, shown := []string{e.Cause}, shownLines
	if e.Cause == "" && len(all) > shownLines {
		first = slices.DeleteFunc(slices.Clone(e.Head), isBlank)
		first = first[:min(firstLines, len(first))]
		shown -= firstLines
	}
	last := all[max(0, len(all)-shown):]
	var lines []string
	for _, line := range first {
		if !isBlank(line) && !slices.Contains(last, line) {
			lines = append(lines, fit(line, 2*maxShown))
		}
	}
	if len(lines) > 0 && len(last) > 0 {
		lines = append(lines, elided)
	}
	for _, line := range last {
		most := shownLines * maxShown / len(last)
		if line == e.Cause {
			most = max(most, 2*maxShown)
		}
		lines = append(lines, fit(line, most))
	}
	return lines
}

func isBlank(line string) bool { return strings.TrimSpace(line) == "" }

// wantedRoom is how much of a message is kept free for the pod's lines.
func (e *Error) wantedRoom() int {
	before, lines := e.introduce(false)
	return min(roomOfLines, len(before)+len(strings.Join(lines, separator)))
}

// separator stands between two lines of a pod.
const separator = " | "

// joinWithin joins lines in at most most bytes: the first one, and of the others the
// last ones for which there is room.
func joinWithin(lines []string, most int) string {
	for len(lines) > 1 && len(strings.Join(lines, separator)) > most {
		switch {
		case len(lines) == 2 && lines[1] == elided:
			lines = lines[:1]
		case lines[1] != elided:
			lines = append([]string{lines[0], elided}, lines[2:]...)
		default:
			lines = append([]string{lines[0], elided}, lines[min(3, len(lines)):]...)
		}
	}
	return fit(strings.Join(lines, separator), most)
}

// circumstances are the facts around the reason.
func (e *Error) circumstances() []string {
	var facts []string
	if e.Exit != nil {
		facts = append(facts, e.Exit.String())
	}
	facts = append(facts, "stage "+string(e.Stage))
	if running := errors.Is(e.Err, ErrRunning); running && e.Endpoint != (readiness.Endpoint{}) {
		facts = append(facts, "endpoint "+fit(e.Endpoint.String(), maxPath))
	} else if e.PID != 0 && !running { // Err says it
		facts = append(facts, "pid "+strconv.Itoa(e.PID))
	}
	facts = append(facts, "after "+round(e.Elapsed).String())
	if e.LogPath != "" {
		facts = append(facts, "log "+fit(e.LogPath, maxPath))
	}
	return facts
}

// fit returns s as printable does, in at most most bytes, with what says that it was cut.
func fit(s string, most int) string {
	if p := printable(s, most); len(p) <= most {
		return p
	}
	const cutMark = len("… (1234567890 bytes)")
	if most < cutMark {
		return ""
	}
	return printable(s, most-cutMark)
}
