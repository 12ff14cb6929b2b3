package logsource_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/podlaunch/podlaunch/logsource"
)

const maxLine = logsource.MaxLine

// errTest ends readers in these tests.
var errTest = errors.New("test: the reader's own error")

// framed is what Lines made of a reader, copied.
type framed struct {
	Lines []string
	Rest  string
	Err   error // what came with Rest
}

// frame collects what Lines yields, and fails the test if the end is not told
// exactly once and last.
func frame(t testing.TB, r io.Reader) framed {
	t.Helper()
	var f framed
	for line, err := range logsource.Lines(r) {
		switch {
		case f.Err != nil:
			t.Fatalf("after the error %v came %.20q, %v", f.Err, line, err)
		case err != nil:
			f.Rest, f.Err = string(line), err
		default:
			f.Lines = append(f.Lines, string(line))
		}
	}
	if f.Err == nil {
		t.Fatal("the end was not told")
	}
	return f
}

// oracle frames data in one go, in its own way.
func oracle(data []byte, err error) framed {
	f := framed{Err: err}
	pieces := bytes.Split(data, []byte("\n"))
	for i, piece := range pieces {
		line, hasCR := bytes.CutSuffix(piece, []byte("\r"))
		parts := torn(line)
		for _, part := range parts[:len(parts)-1] {
			f.Lines = append(f.Lines, string(part))
		}
		end := parts[len(parts)-1]
		switch {
		case i == len(pieces)-1:
			if hasCR && len(end) < maxLine {
				end = append(bytes.Clone(end), '\r')
			}
			f.Rest = string(end)
		case len(parts) == 1:
			f.Lines = append(f.Lines, string(end))
		default: // blank ends of a line that was torn are none
			if end = bytes.TrimRight(end, "\r"); len(end) > 0 {
				f.Lines = append(f.Lines, string(end))
			}
		}
	}
	return f
}

// torn returns the parts of a line, which is torn at a CR where it is too long, and cut
// where there is none.
func torn(line []byte) (parts [][]byte) {
	for len(line) > maxLine {
		if i := bytes.LastIndexByte(line[:maxLine], '\r'); i >= 0 {
			parts, line = append(parts, line[:i]), line[i+1:]
			continue
		}
		head, tail, found := line[:maxLine], line[maxLine:], false
		_, tail, found = bytes.Cut(tail, []byte("\r"))
		if !found {
			return append(parts, head)
		}
		parts, line = append(parts, head), tail
	}
	return append(parts, line)
}

// diff compares errors by identity and long lines by their first difference.
func diff(want, got framed) string {
	if want.Err != got.Err {
		return fmt.Sprintf("error %v, want %v", got.Err, want.Err)
	}
	if len(want.Lines) != len(got.Lines) {
		return fmt.Sprintf("%d lines, want %d", len(got.Lines), len(want.Lines))
	}
	for i := range want.Lines {
		if d := differ(want.Lines[i], got.Lines[i]); d != "" {
			return fmt.Sprintf("line %d: %s", i, d)
		}
	}
	if d := differ(want.Rest, got.Rest); d != "" {
		return "rest: " + d
	}
	return ""
}

func differ(want, got string) string {
	if want == got {
		return ""
	}
	i := 0
	for i < min(len(want), len(got)) && want[i] == got[i] {
		i++
	}
	return fmt.Sprintf("%d bytes, want %d; from byte %d: %.40q, want %.40q", len(got), len(want), i, got[i:], want[i:])
}

// Rows 8, 9, A22, A23, A24, A25, C3: complete lines only, one CR trimmed, any
// bytes, and the unterminated end apart from the lines. However the bytes
// arrive, the lines are the same.
func TestLines(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     framed
	}{
		{"nothing", "", framed{}},
		{"one line", "a\n", framed{Lines: []string{"a"}}},
		{"unterminated", "a", framed{Rest: "a"}},
		{"half a ready line", "x\nINSOMNIA-READY\tn\t/s", framed{Lines: []string{"x"}, Rest: "INSOMNIA-READY\tn\t/s"}},
		{"empty lines", "\n\n\n", framed{Lines: []string{"", "", ""}}},
		{"CRLF", "a\r\n\r\nb\r\n", framed{Lines: []string{"a", "", "b"}}},
		{"one CR of several", "a\r\r\n\r\r\n", framed{Lines: []string{"a\r", "\r"}}},
		{"CR inside", "a\rb\n\rc\n", framed{Lines: []string{"a\rb", "\rc"}}},
		{"CR at the end", "a\nb\r", framed{Lines: []string{"a"}, Rest: "b\r"}},
		{"invalid UTF-8", "\xff\xfe\xc3\n\xc3", framed{Lines: []string{"\xff\xfe\xc3"}, Rest: "\xc3"}},
		{"UTF-8", "zażółć\ngęślą", framed{Lines: []string{"zażółć"}, Rest: "gęślą"}},
		{"NUL", "\x00\n\x00a\x00\n\x00", framed{Lines: []string{"\x00", "\x00a\x00"}, Rest: "\x00"}},
		{"other line breaks", "a\vb\fc\u0085d\u2028e\n", framed{Lines: []string{"a\vb\fc\u0085d\u2028e"}}},
	} {
		for _, how := range []struct {
			name string
			wrap func(io.Reader) io.Reader
		}{
			{"at once", func(r io.Reader) io.Reader { return r }},
			{"bytewise", iotest.OneByteReader},
			{"by halves", iotest.HalfReader},
			{"data with the error", iotest.DataErrReader},
		} {
			t.Run(c.name+"/"+how.name, func(t *testing.T) {
				want := c.want
				want.Err = io.EOF
				if d := diff(want, frame(t, how.wrap(strings.NewReader(c.in)))); d != "" {
					t.Error(d)
				}
				want.Err = errTest
				failing := io.MultiReader(strings.NewReader(c.in), iotest.ErrReader(errTest))
				if d := diff(want, frame(t, how.wrap(failing))); d != "" {
					t.Errorf("with an error other than io.EOF: %s", d)
				}
			})
		}
	}
}

// A19, A20, A21: wherever one line is cut in two by the writer, it is one line.
func TestLinesCutAnywhere(t *testing.T) {
	const in = "before\nINSOMNIA-READY\tname\t/run/user/1000/insomnia/name/sock\r\nafter"
	want := oracle([]byte(in), io.EOF)
	for i := range len(in) {
		r := io.MultiReader(strings.NewReader(in[:i]), strings.NewReader(in[i:]))
		if d := diff(want, frame(t, r)); d != "" {
			t.Errorf("cut after %d bytes: %s", i, d)
		}
	}
}

// A26: a line is cut at MaxLine, neither before nor behind it, with and
// without CR, at every buffer boundary, and the next line is intact.
func TestLinesLong(t *testing.T) {
	for _, n := range []int{
		1023, 1024, 1025, 4095, 4096, 16383, 16384, // the buffer's steps
		maxLine - 2, maxLine - 1, maxLine, maxLine + 1, maxLine + 2, maxLine + 3,
		2*maxLine - 1, 2 * maxLine, 2*maxLine + 1, 2*maxLine + 2, 2*maxLine + 3, 2*maxLine + 4, 2*maxLine + 5,
		3 * maxLine, 5*maxLine + 7,
	} {
		long := pattern(n)
		for _, before := range []string{"", "before\n"} {
			for _, end := range []string{"\n", "\r\n", "\r\r\n", ""} {
				in := before + long + end
				if end != "" {
					in += "next\r\n\nlast"
				}
				want := oracle([]byte(in), io.EOF)
				for name, r := range map[string]io.Reader{
					"at once":   strings.NewReader(in),
					"by halves": iotest.HalfReader(strings.NewReader(in)),
					"by 1009":   &chunked{data: []byte(in), sizes: []int{1009}, err: io.EOF},
				} {
					if d := diff(want, frame(t, r)); d != "" {
						t.Errorf("%q, a line of %d bytes, %q, %s: %s", before, n, end, name, d)
					}
				}
			}
		}
	}
}

// W23: a progress bar that draws itself anew with CR writes one line for as long as it
// runs. Each of its drawings is seen once the line is too long, and what follows it is.
func TestLinesProgressBar(t *testing.T) {
	var bar strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&bar, "\rdownloading %5d of 10000", i+1)
	}
	in := bar.String() + "\rready\nnext\n"
	if len(in) < 2*maxLine {
		t.Fatalf("%d bytes are no long line", len(in))
	}
	for name, r := range map[string]io.Reader{
		"at once":  strings.NewReader(in),
		"bytewise": iotest.OneByteReader(strings.NewReader(in)),
	} {
		got := frame(t, r)
		if d := diff(oracle([]byte(in), io.EOF), got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		drawn := strings.Join(got.Lines, "\r")
		if n := strings.Count(drawn, "downloading"); n != 10_000 {
			t.Errorf("%s: %d drawings were seen", name, n)
		}
		if n := len(got.Lines); got.Lines[n-1] != "next" || !strings.HasSuffix(got.Lines[n-2], "\rready") {
			t.Errorf("%s: the last lines are %.40q", name, got.Lines[n-2:])
		}
	}
}

// pattern returns n bytes that tell where they are.
func pattern(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d,", i)
	}
	return b.String()[:n]
}

// A26: memory does not grow with a line, be it 32 MiB or without any end in
// sight, and what comes after it is intact.
func TestLinesMemory(t *testing.T) {
	for _, size := range []int64{32 << 20, 256 << 20} {
		t.Run(fmt.Sprintf("%d MiB", size>>20), func(t *testing.T) {
			r := io.MultiReader(
				strings.NewReader("before\n"),
				io.LimitReader(endless{}, size),
				strings.NewReader("\nnext\nrest"),
			)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got := frame(t, r)
			runtime.ReadMemStats(&after)
			want := framed{Lines: []string{"before", strings.Repeat("x", maxLine), "next"}, Rest: "rest", Err: io.EOF}
			if d := diff(want, got); d != "" {
				t.Error(d)
			}
			// The buffer's steps, their sum doubled, and the copies made here.
			if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
				t.Errorf("%d bytes were allocated", used)
			}
		})
	}
}

// endless is a reader of one line without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	const block = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	n := copy(p, block)
	for n < len(p) {
		n += copy(p[n:], p[:n])
	}
	return n, nil
}

// A27: no line allocates: ten thousand lines allocate as often as a hundred of
// the same kind.
func TestLinesAllocations(t *testing.T) {
	for name, line := range map[string]string{
		"short": "a line of log\n",
		"CRLF":  "a line of log\r\n",
		"4 KiB": pattern(4<<10) + "\n",
		"cut":   pattern(maxLine+100) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			count := func(lines int) float64 {
				// The first round grows the buffer to its limit.
				warm := pattern(4*maxLine) + "\n"
				return testing.AllocsPerRun(1, func() {
					r := io.MultiReader(strings.NewReader(warm), &repeated{unit: line, n: lines})
					if seen := countLines(r); seen != lines+1 {
						t.Fatalf("%d lines, want %d", seen, lines+1)
					}
				})
			}
			if few, many := count(10), count(1000); many > few+10 { // the runtime makes some of its own
				t.Errorf("1000 lines: %v allocations; 10 lines: %v", many, few)
			}
		})
	}
}

// repeated delivers unit n times, without allocating.
type repeated struct {
	unit string
	n    int
	off  int
}

func (r *repeated) Read(p []byte) (n int, err error) {
	for n < len(p) && r.n > 0 {
		c := copy(p[n:], r.unit[r.off:])
		n, r.off = n+c, r.off+c
		if r.off == len(r.unit) {
			r.n, r.off = r.n-1, 0
		}
	}
	if n == 0 && len(p) > 0 {
		err = io.EOF
	}
	return n, err
}

// A reader that delivers nothing for ever does not hang its caller. A reader may
// deliver nothing now and then.
func TestLinesNoProgress(t *testing.T) {
	for _, c := range []struct {
		name string
		idle []int // empty reads before each of "a\nb", "c\n", and the error
		want framed
	}{
		{"now and then", []int{99, 99, 99}, framed{Lines: []string{"a", "bc"}, Err: io.EOF}},
		{"at the start", []int{100, 0, 0}, framed{Err: io.ErrNoProgress}},
		{"in the middle", []int{0, 100, 0}, framed{Lines: []string{"a"}, Rest: "b", Err: io.ErrNoProgress}},
		{"before the error", []int{0, 0, 1000}, framed{Lines: []string{"a", "bc"}, Err: io.ErrNoProgress}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &hesitant{parts: []string{"a\nb", "c\n"}, idle: c.idle}
			if d := diff(c.want, frame(t, r)); d != "" {
				t.Error(d)
			}
		})
	}
}

// hesitant delivers parts, and then io.EOF, each after some empty reads.
type hesitant struct {
	parts []string
	idle  []int
	at    int
}

func (h *hesitant) Read(p []byte) (int, error) {
	if h.idle[h.at] > 0 {
		h.idle[h.at]--
		return 0, nil
	}
	if h.at == len(h.parts) {
		return 0, io.EOF
	}
	h.at++
	return copy(p, h.parts[h.at-1]), nil
}

// A caller that has what it wanted gets nothing more, and nothing more is
// read for it, be it at the first line, at a later one of the same read, or at
// the end.
func TestLinesStopEarly(t *testing.T) {
	for stop := 1; stop <= 4; stop++ {
		r := &chunked{data: []byte("a\nb\nc\nd"), sizes: []int{4}, err: io.EOF}
		seen := 0
		for range logsource.Lines(r) {
			if seen++; seen == stop {
				break
			}
		}
		if want := []int{1, 1, 2, 3}[stop-1]; r.reads != want {
			t.Errorf("stopped at %d: %d reads, want %d", stop, r.reads, want)
		}
	}
}

// chunked delivers data in reads of the given sizes, round and round, and then
// err: with the last bytes if together, else on its own.
type chunked struct {
	data     []byte
	sizes    []int
	err      error
	together bool

	reads, off int
}

func (c *chunked) Read(p []byte) (int, error) {
	n := min(c.sizes[c.reads%len(c.sizes)], len(c.data)-c.off, len(p))
	c.reads++
	if c.off == len(c.data) {
		return 0, c.err
	}
	copy(p, c.data[c.off:c.off+n])
	c.off += n
	if c.together && c.off == len(c.data) {
		return n, c.err
	}
	return n, nil
}

// Any bytes in any chunks give the same lines as all at once. Each \x01 in
// data stands for stretch bytes, so that the fuzzer finds its way to long
// lines; each byte of chunks is the square root of the size of a read.
func FuzzLines(f *testing.F) {
	for _, data := range []string{"", "a", "a\n", "a\r\nb\n\nc", "\xff\x00\n\r", "\x01\n\x01\r\n\x01", "a\rb\r\x01c\rd\r\r\n\x01\r"} {
		f.Add([]byte(data), []byte{1, 0, 7}, uint(maxLine), false)
	}
	for d := range uint(4) {
		f.Add([]byte("a\x01\r\nb\n"), []byte{30, 200}, uint(maxLine)-2+d, true)
		f.Add([]byte("\x01\r"), []byte{255}, 2*uint(maxLine)+d, true)
	}
	f.Fuzz(func(t *testing.T, data, chunks []byte, stretch uint, together bool) {
		stretch %= 3 * maxLine
		data = bytes.Replace(data, []byte{1}, bytes.Repeat([]byte{'x'}, int(stretch)), 4)
		sizes := []int{max(len(data), 1)}
		if len(bytes.Trim(chunks, "\x00")) > 0 {
			sizes = nil
			for _, c := range chunks[:min(len(chunks), 99)] { // 100 zeros are no progress
				sizes = append(sizes, int(c)*int(c))
			}
			sizes = append(sizes, 1)
		}
		r := &chunked{data: data, sizes: sizes, err: errTest, together: together}
		if d := diff(oracle(data, errTest), frame(t, r)); d != "" {
			t.Error(d)
		}
	})
}

// The peer is bufio.Scanner, which does less: it fails at a long line, and
// takes an unterminated end for a line. From memory it is ahead, for its small
// buffer stays in the fastest cache; from a file, which is what Lines is for,
// reads cost more than that.
func BenchmarkLines(b *testing.B) {
	const total = 16 << 20
	for _, c := range []struct {
		name, line string
	}{
		{"80B", pattern(79) + "\n"},
		{"4KiB", pattern(4<<10-1) + "\n"},
	} {
		n := total / len(c.line)
		data := strings.Repeat(c.line, n)
		file, err := os.Create(filepath.Join(b.TempDir(), "log"))
		if err != nil {
			b.Fatal(err)
		}
		defer file.Close()
		if _, err := file.WriteString(data); err != nil {
			b.Fatal(err)
		}
		for _, from := range []struct {
			name string
			r    io.ReadSeeker
		}{{"memory", strings.NewReader(data)}, {"file", file}} {
			for _, by := range []struct {
				name  string
				count func(io.Reader) int
			}{{"Lines", countLines}, {"Scanner", countScanned}} {
				b.Run(c.name+"/"+from.name+"/"+by.name, func(b *testing.B) {
					b.SetBytes(int64(len(data)))
					b.ReportAllocs()
					for b.Loop() {
						from.r.Seek(0, io.SeekStart)
						if got := by.count(onlyReader{from.r}); got != n {
							b.Fatalf("%d lines, want %d", got, n)
						}
					}
				})
			}
		}
	}
}

// onlyReader hides what else a reader can do.
type onlyReader struct{ io.Reader }

func countLines(r io.Reader) (lines int) {
	for _, err := range logsource.Lines(r) {
		if err == nil {
			lines++
		}
	}
	return lines
}

func countScanned(r io.Reader) (lines int) {
	s := bufio.NewScanner(r)
	for s.Scan() {
		lines++
	}
	return lines
}
