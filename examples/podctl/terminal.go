package main

import (
	"io"
	"os"
	"unicode"

	"golang.org/x/term"
)

// usualColumns is how wide a text is that goes to no terminal.
const usualColumns = 80

// terminal returns the terminal that w is, if that can redraw a line.
func terminal(w io.Writer) (*os.File, bool) {
	f, ok := w.(*os.File)
	return f, ok && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

// columns is how wide w is.
func columns(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return usualColumns
}

// columnsOf is how many columns s takes at most. From U+1100 on there are
// characters that take two; all of those are counted so.
func columnsOf(s string) (n int) {
	for _, r := range s {
		n += columnsOfRune(r)
	}
	return n
}

func columnsOfRune(r rune) int {
	switch {
	case r == '…' || unicode.In(r, unicode.Mn, unicode.Me):
		return 1
	case r >= 0x1100:
		return 2
	}
	return 1
}

// cutTo is s, or its beginning and an ellipsis, in at most width columns.
func cutTo(s string, width int) string {
	if columnsOf(s) <= width {
		return s
	}
	taken := 0
	for i, r := range s {
		if taken += columnsOfRune(r); taken >= width {
			return s[:i] + "…"
		}
	}
	return s
}
