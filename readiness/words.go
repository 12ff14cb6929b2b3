package readiness

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// What a pod can say besides that it is ready: in place of the READY of the
// prefix.
const (
	wordReady  = "-READY"
	wordFail   = "-FAIL"
	wordStatus = "-STATUS"
)

// maxSaid is how much is kept of a reason or a status, in bytes.
const maxSaid = 4 << 10

// said returns what the pod called name says with line, if that begins with stem
// and word. The error is why a line that looks like that does not count.
func said(line []byte, stem, word, name string) (text []byte, ok bool, err error) {
	if len(line) < len(stem)+len(word) || string(line[:len(stem)]) != stem || string(line[len(stem):len(stem)+len(word)]) != word {
		return nil, false, nil
	}
	rest := line[len(stem)+len(word):]
	if len(rest) > 0 && rest[0] != '\t' {
		return nil, false, nil
	}
	named, text, fields := split(rest)
	switch {
	case fields < 3:
		return nil, false, fmt.Errorf("the line %s was not taken: it has %d of 3 fields (%s, name, text, separated by tabs)",
			quoted(line), fields, stem+word)
	case string(named) != name:
		return nil, false, fmt.Errorf("the line %s was not taken: it names %s, this is %q", quoted(line), quoted(named), name)
	}
	return text, true, nil
}

// split takes apart what follows the first word of a line: nothing, or a tab, the name, a
// tab and the text, which may hold tabs. fields is how many of the line's three there are,
// the word included.
func split(rest []byte) (name, text []byte, fields int) {
	if len(rest) == 0 {
		return nil, nil, 1
	}
	name, text, ok := bytes.Cut(rest[1:], []byte{'\t'})
	if !ok {
		return name, nil, 2
	}
	return name, text, 3
}

// hasPrefix is bytes.HasPrefix for a string.
func hasPrefix(line []byte, prefix string) bool {
	return len(line) >= len(prefix) && string(line[:len(prefix)]) == prefix
}

// cut returns s, or as much of it as is kept of what a pod says.
func cut(s string) string {
	if len(s) <= maxSaid {
		return s
	}
	const mark = "…"
	end := maxSaid - len(mark)
	for end > 0 && !utf8.RuneStart(s[end]) && end > maxSaid-2*utf8.UTFMax {
		end--
	}
	return s[:end] + mark
}
