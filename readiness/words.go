package readiness

import (
	"bytes"
	"fmt"
	"io"
	"strings"
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

// AnnounceFail is the pod's side of the zero [ReadyLine]: it writes to w (the
// pod's stderr), in one write, that the pod called name has failed, and why.
// Nothing is refused that a pod in trouble has to say: line breaks become
// spaces, and what is over 4 KiB is cut. The error is that of the write.
func AnnounceFail(w io.Writer, name, reason string) error {
	return ReadyLine{}.AnnounceFail(w, name, reason)
}

// AnnounceStatus writes how far the pod called name has come, for people to
// read, as [AnnounceFail] writes why it has failed.
func AnnounceStatus(w io.Writer, name, text string) error {
	return ReadyLine{}.AnnounceStatus(w, name, text)
}

// AnnounceFail is as the function [AnnounceFail]. With a Prefix that does not
// end in -READY there is no such line, and the reason alone is written.
func (l ReadyLine) AnnounceFail(w io.Writer, name, reason string) error {
	return l.say(w, wordFail, name, reason)
}

// AnnounceStatus is as the function [AnnounceStatus]. With a Prefix that does
// not end in -READY there is no such line, and the text alone is written.
func (l ReadyLine) AnnounceStatus(w io.Writer, name, text string) error {
	return l.say(w, wordStatus, name, text)
}

func (l ReadyLine) say(w io.Writer, word, name, text string) error {
	line := oneLine.Replace(cut(text))
	if stem, ok := l.stem(); ok {
		line = stem + word + "\t" + oneField.Replace(name) + "\t" + line
	}
	return writeLine(w, line)
}

// Status implements [StatusReader]: the text of a line with which the pod says
// how far it has come.
func (l ReadyLine) Status(t Target, line []byte) (text []byte, ok bool) {
	text, ok, _ = l.said(line, wordStatus, t.Name)
	return text, ok
}

// failure returns what the pod called name says of its failure with line, or
// why a line that looks like that does not say it.
func (l ReadyLine) failure(line []byte, name string) (*FailedError, error) {
	reason, ok, err := l.said(line, wordFail, name)
	if !ok {
		return nil, err
	}
	return &FailedError{Reason: cut(string(reason))}, nil
}

// said returns what the pod called name says with line, if that begins with
// word; the error is why a line that looks like that does not count.
func (l ReadyLine) said(line []byte, word, name string) (text []byte, ok bool, err error) {
	stem, ok := l.stem()
	if !ok || len(line) < len(stem)+len(word) || string(line[:len(stem)]) != stem || string(line[len(stem):len(stem)+len(word)]) != word {
		return nil, false, nil
	}
	rest := line[len(stem)+len(word):]
	if len(rest) > 0 && rest[0] != '\t' {
		return nil, false, nil
	}
	fields := bytes.SplitN(rest, []byte{'\t'}, 3) // the first is empty
	switch {
	case len(fields) < 3:
		return nil, false, fmt.Errorf("the line %s was not taken: it has %d of 3 fields (%s, name, text, separated by tabs)",
			quoted(line), len(fields), stem+word)
	case string(fields[1]) != name:
		return nil, false, fmt.Errorf("the line %s was not taken: it names %s, this is %q", quoted(line), quoted(fields[1]), name)
	}
	return fields[2], true, nil
}

// begins is what every line begins with that is for l.
func (l ReadyLine) begins() string {
	if stem, ok := l.stem(); ok {
		return stem
	}
	return l.prefix()
}

// hasPrefix is bytes.HasPrefix for a string.
func hasPrefix(line []byte, prefix string) bool {
	return len(line) >= len(prefix) && string(line[:len(prefix)]) == prefix
}

// stem is the prefix without its -READY.
func (l ReadyLine) stem() (string, bool) {
	stem, ok := strings.CutSuffix(l.prefix(), wordReady)
	return stem, ok && l.check() == nil
}

// A line has no line breaks, and a field of it no tabs either.
var (
	oneLine  = strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ")
	oneField = strings.NewReplacer("\n", " ", "\r", " ", "\t", " ")
)

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
