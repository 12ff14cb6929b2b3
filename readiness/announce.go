package readiness

import (
	"fmt"
	"io"
	"strings"
)

// Announce is the pod's side of the zero [ReadyLine]: it writes the ready line
// of the pod called name, which listens on socket, to w (the pod's stderr) in
// one write. Call it once the socket accepts connections.
func Announce(w io.Writer, name, socket string) error {
	return ReadyLine{}.Announce(w, name, socket)
}

// Announce writes the ready line of the pod called name, which listens on
// socket, to w (the pod's stderr) in one write, so that no other output can
// come between. It returns an error, and writes nothing, if name or socket
// could not be read back.
func (l ReadyLine) Announce(w io.Writer, name, socket string) error {
	if err := l.check(); err != nil {
		return err
	}
	line := l.prefix() + "\t" + name + "\t" + socket
	got, err := l.parse([]byte(line), name)
	switch {
	case strings.ContainsAny(name, "\t\r\n"):
		return fmt.Errorf("announce: the name %q holds a tab or a line break", name)
	case strings.ContainsAny(socket, "\n") || strings.HasSuffix(socket, "\r"):
		return fmt.Errorf("announce: the socket %q holds a line break", socket)
	case err != nil:
		return fmt.Errorf("announce: %w", err)
	case got != socket:
		return fmt.Errorf("announce: the line %s would not be understood", quoted([]byte(line)))
	}
	return writeLine(w, line)
}

// AnnounceFail is the pod's side of the zero [ReadyLine]: it writes to w (the
// pod's stderr), in one write, that the pod called name has failed, and why. It
// accepts any reason: line breaks become spaces, and it cuts the reason at 4 KiB.
// The error is that of the write.
func AnnounceFail(w io.Writer, name, reason string) error {
	return ReadyLine{}.AnnounceFail(w, name, reason)
}

// AnnounceStatus writes how far the pod called name has come, for people to
// read, as [AnnounceFail] writes why it has failed.
func AnnounceStatus(w io.Writer, name, text string) error {
	return ReadyLine{}.AnnounceStatus(w, name, text)
}

// AnnounceFail is as the function [AnnounceFail]. With a Prefix that does not
// end in -READY, or that cannot be, there is no such line, and the reason alone is written.
func (l ReadyLine) AnnounceFail(w io.Writer, name, reason string) error {
	return l.say(w, wordFail, name, reason)
}

// AnnounceStatus is as the function [AnnounceStatus]. With a Prefix that does
// not end in -READY, or that cannot be, there is no such line, and the text alone is written.
func (l ReadyLine) AnnounceStatus(w io.Writer, name, text string) error {
	return l.say(w, wordStatus, name, text)
}

func (l ReadyLine) say(w io.Writer, word, name, text string) error {
	line := oneLine.Replace(cut(text))
	if stem, ok := l.stem(); ok && l.check() == nil {
		line = stem + word + "\t" + oneField.Replace(name) + "\t" + line
	}
	return writeLine(w, line)
}

// writeLine writes line and its end in one write.
func writeLine(w io.Writer, line string) error {
	n, err := io.WriteString(w, line+"\n")
	if err == nil && n < len(line)+1 {
		err = io.ErrShortWrite
	}
	return err
}

// A line has no line breaks, and a field of it no tabs either.
var (
	oneLine  = strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ")
	oneField = strings.NewReplacer("\n", " ", "\r", " ", "\t", " ")
)
