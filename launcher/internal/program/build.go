package program

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"strings"
)

const (
	// maxRead is how many bytes of a program are read at most.
	maxRead = 1 << 20

	// maxNotes is how long a section of notes is at most that is looked into. A
	// longer one holds something else: what a program carries along, for instance.
	maxNotes = 64 << 10

	// maxBuild is how long a build id is at most.
	maxBuild = 1 << 10
)

// The notes that hold a build id: the linker's, and the one of the go command
// (cmd/link, ELF_NOTE_GOBUILDID_TAG).
const (
	gnuOwner, gnuBuildID = "GNU\x00", 3
	goOwner, goBuildID   = "Go\x00\x00", 4
)

// buildID returns the build id of an ELF file: the GNU one, else Go's; "" if it has
// none, or is no ELF file.
//
// A Go build id that the go command has not made, but somebody has set to be the same
// in all builds (-buildid=redacted), says nothing. Nor does the GNU one then, for
// cmd/link makes it of the other.
func buildID(r io.ReaderAt) (id string) {
	defer func() {
		if recover() != nil { // package elf does not promise to get along with a file that is damaged
			id = ""
		}
	}()
	f, err := elf.NewFile(r)
	if err != nil {
		return ""
	}
	var gnu, golang string
	for _, n := range notesOf(f) {
		data := make([]byte, n.size)
		if n, _ := r.ReadAt(data, n.offset); n < len(data) {
			return ""
		}
		eachNote(data, f.ByteOrder, n.align, func(owner string, kind uint32, text []byte) {
			switch {
			case len(text) == 0 || len(text) > maxBuild:
			case owner == gnuOwner && kind == gnuBuildID:
				gnu = "gnu:" + hex.EncodeToString(text)
			case owner == goOwner && kind == goBuildID:
				golang = "go:" + string(text)
			}
		})
	}
	switch {
	case golang != "" && !strings.Contains(golang, "/"): // the go command's has four parts
		return ""
	case gnu != "":
		return gnu
	}
	return golang
}

// A place is where notes are in a file.
type place struct {
	offset      int64
	size, align uint64
}

// notesOf returns where f has its notes. They are in sections; if f has none any more,
// in segments. cmd/link has the GNU build id in a section alone.
func notesOf(f *elf.File) (places []place) {
	add := func(offset, size, align uint64) {
		if size <= maxNotes {
			places = append(places, place{int64(offset), size, align})
		}
	}
	for _, s := range f.Sections {
		if s.Type == elf.SHT_NOTE {
			add(s.Offset, s.FileSize, s.Addralign)
		}
	}
	if len(f.Sections) > 0 {
		return places
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_NOTE {
			add(p.Off, p.Filesz, p.Align)
		}
	}
	return places
}

// eachNote calls f with each note in data, which is aligned to 4 bytes, or to 8.
func eachNote(data []byte, order binary.ByteOrder, align uint64, f func(owner string, kind uint32, text []byte)) {
	const head = 12
	if align != 8 {
		align = 4
	}
	for len(data) >= head {
		nameSize, textSize, kind := uint64(order.Uint32(data)), uint64(order.Uint32(data[4:])), order.Uint32(data[8:])
		text := padded(head+nameSize, align)
		if text+textSize > uint64(len(data)) {
			return
		}
		f(string(data[head:head+nameSize]), kind, bytes.Clone(data[text:text+textSize]))
		data = data[min(padded(text+textSize, align), uint64(len(data))):]
	}
}

// padded returns n, rounded up to a multiple of align.
func padded(n, align uint64) uint64 { return (n + align - 1) / align * align }

// A boundedReader reads so many bytes at most, and keeps the first error that is about
// the file and not about what is in it. It reads the beginning of the file once: the notes
// are mostly there, and package elf reads one after the other what describes them.
type boundedReader struct {
	from io.ReaderAt
	left int
	err  error

	head   [4 << 10]byte
	filled int // so much of head is read; 0: nothing yet
}

var errTooMuch = errors.New("too much would have to be read")

// ReadAt implements [io.ReaderAt].
func (r *boundedReader) ReadAt(p []byte, off int64) (int, error) {
	if r.left -= len(p); r.left < 0 {
		r.left = 0
		return 0, errTooMuch
	}
	if off < 0 || off+int64(len(p)) > int64(len(r.head)) {
		return r.read(p, off)
	}
	if r.filled == 0 {
		var err error
		if r.filled, err = r.read(r.head[:], 0); err != nil && err != io.EOF {
			r.filled = 0
			return 0, err
		}
	}
	n := copy(p, r.head[min(int(off), r.filled):r.filled])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// read reads from the file.
func (r *boundedReader) read(p []byte, off int64) (int, error) {
	n, err := r.from.ReadAt(p, off)
	if err != nil && err != io.EOF && off >= 0 && r.err == nil {
		r.err = err
	}
	return n, err
}
