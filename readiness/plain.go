package readiness

import (
	"bytes"
	"regexp"
)

// appendShown appends to parts what a terminal shows of line, one after the other:
// what is between the CRs with which a program redraws a line, without terminal
// sequences. It copies nothing of a line that has none.
func appendShown(parts [][]byte, line []byte) [][]byte {
	if bytes.IndexByte(line, esc) >= 0 {
		line = plain(line)
	}
	for {
		i := bytes.IndexByte(line, '\r')
		if i < 0 {
			return append(parts, line)
		}
		parts, line = append(parts, line[:i]), line[i+1:]
	}
}

// asWritten finds in an expression that it is about what a terminal does not
// show: an escape or a CR, in each way to write one.
var asWritten = regexp.MustCompile(`(?i)\x1b|\r|\\r|\\x1b|\\x0d|\\x\{0*(?:1b|d)\}|\\0?33|\\0?15`)

const esc = 0x1b

// plain returns a copy of line without the control sequences of ECMA-48: colours,
// movements of the cursor, titles and links.
func plain(line []byte) []byte {
	kept := make([]byte, 0, len(line))
	for len(line) > 0 {
		i := bytes.IndexByte(line, esc)
		if i < 0 {
			return append(kept, line...)
		}
		kept = append(kept, line[:i]...)
		line = line[i+sequence(line[i:]):]
	}
	return kept
}

// sequence returns the length of the sequence that s begins with, whose first
// byte is an escape. A sequence that is not terminated ends where it can no
// longer be one.
func sequence(s []byte) int {
	span := func(at int, from, to byte) int {
		for at < len(s) && from <= s[at] && s[at] <= to {
			at++
		}
		return at
	}
	if len(s) < 2 {
		return 1
	}
	end := 1
	switch s[1] {
	case '[': // CSI: parameters, intermediates, one final byte
		end = span(span(2, '0', '?'), ' ', '/')
		if end == span(end, '@', '~') {
			return end
		}
		return end + 1
	case ']', 'P', 'X', '^', '_': // OSC and other strings, up to BEL or ST
		for i := 2; i < len(s); i++ {
			switch {
			case s[i] == '\a':
				return i + 1
			case s[i] == esc && i+1 < len(s) && s[i+1] == '\\':
				return i + 2
			}
		}
		return 2
	}
	end = span(end, ' ', '/')
	if end == span(end, '0', '~') {
		return end
	}
	return end + 1
}
