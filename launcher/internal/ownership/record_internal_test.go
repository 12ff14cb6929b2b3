//go:build unix || windows

package ownership

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

var update = flag.Bool("update", false, "write the golden files anew")

// whole is a record in which nothing is zero, with bytes that JSON cannot hold.
func whole() Record {
	return Record{
		Intent: Intent{
			Version:  Version,
			Name:     "alice",
			Launch:   uuid.UUID{1},
			Launcher: Owner{osproc.Identity{PID: 42, Start: 1 << 30, Boot: "boot", PIDNamespace: "pid:[1]"}, 41},
			Session:  uuid.UUID{2},
			Command:  []string{"/bin/\xff", "<&>", "base64:no", ""},
			Dir:      "/base\xfe/alice",
			Log:      "/base\xfe/alice/stderr.log",
			Started:  time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC),
			Digests:  &Digests{"c", "a", "o", "e", "d", "f", "b"},
		},
		Identity: osproc.Identity{PID: 4711, Start: 1 << 40, Boot: "boot", PIDNamespace: "pid:[1]"},
		Answer:   Answer{Ready: true, Network: "unix", Address: "/base\xfe/alice/sock"},
	}
}

func openPlace(t *testing.T) (*Place, string) {
	t.Helper()
	base := t.TempDir()
	p, err := Open(base, "alice")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p, filepath.Join(base, ".alice.json")
}

// put writes a record in place of what is there.
func put(p *Place, r Record) error {
	return errors.Join(p.base.remove(p.recordName()), p.write(r))
}

// B4: a record is read as it was written, byte for byte, for a path may hold
// any. D31: what a writer has left that was killed is in nobody's way.
func TestRecordIsKept(t *testing.T) {
	p, path := openPlace(t)
	if _, err := p.read(); !errors.Is(err, ErrNoRecord) {
		t.Errorf("without a record: %v", err)
	}
	if err := os.WriteFile(path, []byte("half a rec"), 0o000); err != nil {
		t.Fatal(err)
	}
	for _, r := range []Record{{Identity: osproc.Identity{PID: 2, Boot: "b"}}, {Intent: whole().Intent}, whole()} {
		given := append([]string(nil), r.Command...)
		if err := put(p, r); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(given, r.Command) {
			t.Errorf("writing has changed the caller's slice %q to %q", given, r.Command)
		}
		got, err := p.read()
		if err != nil {
			t.Fatal(err)
		}
		r.Version, r.Name = Version, "alice"
		if !reflect.DeepEqual(r, got) {
			t.Errorf("written %+v, read %+v", r, got)
		}
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("there is more than the record: %v, %v", entries, err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != ownMode {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
}

// What is added to a record is read with it once it is whole: the process, and then
// where it answers. Nothing else is read.
func TestRecordIsAddedTo(t *testing.T) {
	p, path := openPlace(t)
	want := whole()
	if err := p.add(want.Identity); !errors.Is(err, errNotWritten) {
		t.Errorf("there is no record to add to: %v", err)
	}
	answer := want.Answer
	answer.Address, _ = encodeText(answer.Address)
	if err := errors.Join(put(p, Record{Intent: want.Intent}), p.add(want.Identity), p.add(answer)); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	second, third := len(lines[0]), len(lines[0])+len(lines[1])
	for end := range len(data) + 1 {
		got, err := parseRecord(data[:end], "alice")
		want := Record{Intent: want.Intent}
		switch {
		case end < second-1: // the line's end tells nothing
			if !errors.Is(err, ErrNoRecord) {
				t.Fatalf("with %q: %+v, %v", data[:end], got, err)
			}
			continue
		case end >= len(data)-1:
			want = whole()
		case end >= third-1:
			want.Identity = whole().Identity
		}
		if !reflect.DeepEqual(got, want) || err != nil {
			t.Fatalf("with %q: %+v, %v, want %+v", data[second:end], got, err, want)
		}
	}
	want.Answer = Answer{Ready: true}
	for _, more := range []string{`{"ready": true, "pid": 7, "name": "bob"}`, `{"ready": true}{"pid": 7}`} {
		got, err := parseRecord(append(data[:third:third], more...), "alice")
		if !reflect.DeepEqual(got, want) || err != nil {
			t.Errorf("what is added names another process: %+v, %v; want %+v", got, err, want)
		}
	}
	for what, change := range map[string]func() error{
		"deleted": func() error { return p.base.remove(p.recordName()) },
		"replaced": func() error {
			return errors.Join(os.WriteFile(path+".other", data, 0o600), renameOnto(path+".other", path))
		},
		"changed": func() error { return os.Truncate(path, 1) },
	} {
		if err := errors.Join(put(p, want), change()); err != nil {
			t.Fatal(err)
		}
		if err := p.add(answer); !errors.Is(err, errNotWritten) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Two records say the same if they are of one launch and one process, and of one state
// of it.
func TestRecordsSayTheSame(t *testing.T) {
	for what, change := range map[string]func(r *Record){
		"nothing": func(*Record) {},
		"launch":  func(r *Record) { r.Launch = uuid.UUID{9} },
		"pid":     func(r *Record) { r.PID++ },
		"start":   func(r *Record) { r.Start++ },
		"ready":   func(r *Record) { r.Ready = false },
	} {
		r, s := whole(), whole()
		change(&s)
		if r.same(&s) != (what == "nothing") {
			t.Errorf("%s differs, and they say the same: %v", what, r.same(&s))
		}
	}
}

// Nothing is added to a record that may not be written.
func TestAddAsksBefore(t *testing.T) {
	p, path := openPlace(t)
	if err := put(p, Record{Intent: whole().Intent}); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	givenUp := errors.New("given up on")
	p.may = func() error { return givenUp }
	if err := p.add(whole().Identity); err != givenUp {
		t.Errorf("add returned %v, want %v", err, givenUp)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the record is %q, %v", after, err)
	}
}

// Only the record that we have written is removed.
func TestAnothersRecordIsNotRemoved(t *testing.T) {
	p, path := openPlace(t)
	if err := errors.Join(put(p, whole()), p.base.remove(p.recordName()), os.WriteFile(path, []byte("another's"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := p.remove(); err != nil {
		t.Error(err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "another's" {
		t.Errorf("the other record is %q, %v", data, err)
	}
}

// A record is bounded: of a long command the first arguments are kept, and how
// much is left out, also if they hold bytes that JSON escapes.
func TestRecordIsBounded(t *testing.T) {
	p, path := openPlace(t)
	for name, arg := range map[string]string{
		"escaped": strings.Repeat("<", 780<<10),
		"binary":  strings.Repeat("\xff", 780<<10),
		"plain":   strings.Repeat("x", maxCommand),
	} {
		r := whole()
		r.Command = []string{"/bin/pod", "--first", arg, "--last"}
		if err := put(p, r); err != nil {
			t.Fatal(err)
		}
		if fi, err := os.Stat(path); err != nil || fi.Size() > maxWritten {
			t.Errorf("%s: it has %d bytes, %v", name, fi.Size(), err)
		}
		got, err := p.read()
		want := []string{"/bin/pod", "--first", fmt.Sprintf("… 2 more, %d bytes", len(arg)+len("--last"))}
		if err != nil || !slices.Equal(got.Command, want) {
			t.Errorf("%s: it has the command %.80q, %v; want %q", name, got.Command, err, want)
		}
	}
	r := whole()
	r.Log = strings.Repeat("x", maxWritten)
	if err := put(p, r); err == nil {
		t.Error("a record with a path of its own size was written")
	}
}

// A program of yesterday, which knows version 1, does not take a record of this one
// for none: it fails, for the version is another, and there is no process in the
// first object.
func TestRecordForAnEarlierProgram(t *testing.T) {
	data, err := whole().lines()
	if err != nil {
		t.Fatal(err)
	}
	var first map[string]any
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&first); err != nil {
		t.Fatal(err)
	}
	if version, _ := first["version"].(float64); version <= 1 {
		t.Errorf("its version is %v", first["version"])
	}
	if pid, ok := first["pid"]; ok {
		t.Errorf("its first object has a pid: %v", pid)
	}
}

// E16: a reader believes those fields of a record of a later version that it can read, and
// ignores fields that it does not know.
func TestRecordOfALaterVersion(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "record-v2.json"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseRecord(data, "alice")
	if err != nil {
		t.Fatal(err)
	}
	want := whole()
	want.Version, want.Launcher, want.Digests = 2, Owner{}, nil
	want.Command, want.Dir = []string{"/usr/bin/pod", "--overlay", "<overlay: 12 bytes>"}, "/run/user/1000/insomnia/alice"
	want.Log, want.Address = want.Dir+"/stderr.log", want.Dir+"/sock"
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, want %+v", got, want)
	}
}

// The golden record of this version: a program of yesterday must be able to
// read what one of tomorrow writes, so a field that is here stays.
func TestRecordGolden(t *testing.T) {
	p, path := openPlace(t)
	if err := put(p, whole()); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "record-v3.json")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("written\n%s\nwant\n%s", got, want)
	}
}

// A record of version 3 that has no digests yet is read.
func TestRecordWithoutDigests(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "record-v3-without-digests.json"))
	if err != nil {
		t.Fatal(err)
	}
	want := whole()
	want.Digests = nil
	if got, err := parseRecord(data, "alice"); !reflect.DeepEqual(got, want) || err != nil {
		t.Errorf("read %+v, %v; want %+v", got, err, want)
	}
}

// A record of version 3 that has its digests in the first object is read.
func TestRecordWithDigestsFirst(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "record-v3-digests-first.json"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := parseRecord(data, "alice"); !reflect.DeepEqual(got, whole()) || err != nil {
		t.Errorf("read %+v, %v; want %+v", got, err, whole())
	}
}

// A record of version 1 is read as it was: one object, and what was added to it.
func TestRecordOfVersion1(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "record-v1.json"))
	if err != nil {
		t.Fatal(err)
	}
	want := whole()
	want.Version, want.Launcher, want.Digests = 1, Owner{}, nil
	got, err := parseRecord(data, "alice")
	if !reflect.DeepEqual(got, want) || err != nil {
		t.Errorf("read %+v, %v; want %+v", got, err, want)
	}
	started := bytes.Replace(data, []byte(`"ready":true,`), []byte(`"ready":false,`), 1)
	got, err = parseRecord(append(started, `{"ready": true, "network": "unix", "address": "/sock", "pid": 7}`...), "alice")
	want.Answer.Address = "/sock"
	if !reflect.DeepEqual(got, want) || err != nil {
		t.Errorf("with what was added, read %+v, %v; want %+v", got, err, want)
	}
}

// D31, E7: what is no record is believed by nobody, and only a beginning of one is as
// good as none: the rest may be about a pod that runs.
func TestRecordThatIsNone(t *testing.T) {
	p, path := openPlace(t)
	good, err := whole().lines()
	if err != nil {
		t.Fatal(err)
	}
	with := func(field string, value any) []byte {
		record := map[string]any{}
		for objects := json.NewDecoder(bytes.NewReader(good)); objects.More(); {
			if err := objects.Decode(&record); err != nil {
				t.Fatal(err)
			}
		}
		record[field] = value
		data, err := json.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for what, c := range map[string]struct {
		data []byte
		want error
	}{
		"empty":       {nil, ErrNoRecord},
		"torn":        {good[:len(good)/4], ErrNoRecord},
		"zeros":       {make([]byte, 4096), ErrNoRecord},
		"text":        {[]byte("4711\n"), ErrUnclear},
		"binary":      {[]byte("\x00\xff\x7fELF"), ErrUnclear},
		"null":        {[]byte("null"), ErrUnclear},
		"list":        {[]byte("[]"), ErrUnclear},
		"half a list": {[]byte("["), ErrUnclear},
		"huge":        {[]byte(strings.Repeat(" ", maxRecord) + string(good)), ErrUnclear},
		"other name":  {with("name", "bob"), ErrUnclear},
		"no version":  {with("version", 0), ErrUnclear},
		"no boot":     {with("boot", ""), ErrUnclear},
		"pid 0":       {with("pid", 0), ErrUnclear},
		"pid 1":       {with("pid", 1), ErrUnclear},
		"pid -1":      {with("pid", -1), ErrUnclear},
		"pid text":    {with("pid", "4711"), ErrUnclear},
		"pid huge":    {with("pid", 1e30), ErrUnclear},
		"bad base64":  {with("log", "base64:!"), ErrUnclear},
		"start below": {with("start", -1), ErrUnclear},
		"no launcher": {[]byte(`{"version": 3, "name": "alice", "launch": "01000000-0000-0000-0000-000000000000"}`), ErrUnclear},
		"version 4":   {[]byte(`{"version": 4, "name": "alice", "pid": {"number": 7}}`), errors.ErrUnsupported},
	} {
		if err := os.WriteFile(path, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := p.read()
		if !errors.Is(err, c.want) || errors.Is(err, ErrNoRecord) == errors.Is(err, ErrUnclear) || !reflect.DeepEqual(r, Record{}) {
			t.Errorf("%s: %+v, %v", what, r, err)
		}
	}
	for _, make := range noFiles {
		if err := errors.Join(os.Remove(path), make(path)); err != nil {
			t.Fatal(err)
		}
		if r, err := p.read(); !errors.Is(err, ErrUnclear) {
			t.Errorf("no regular file: %+v, %v", r, err)
		}
	}
}

// FuzzRecord: no matter what is in the file, parseRecord returns an error or a record that
// can be that of the pod whose name the caller gave.
func FuzzRecord(f *testing.F) {
	for _, name := range []string{"record-v1.json", "record-v2.json", "record-v3.json", "record-v3-without-digests.json"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "alice")
		f.Add(data[:len(data)/3], "alice")
		f.Add(data, "bob")
	}
	f.Add([]byte(`{"version":1,"name":"a","pid":2,"boot":"b","command":["base64:/w=="]}`), "a")
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		r, err := parseRecord(data, name)
		if err != nil {
			if !reflect.DeepEqual(r, Record{}) {
				t.Errorf("a record with an error: %+v", r)
			}
			return
		}
		known := r.PID > 1 && r.Boot != "" || r.Elsewhere && r.Launch != uuid.Nil || r.PID == 0 && !r.Ready && r.Launcher.PID > 0
		if !sameName(r.Name, name) || r.Version < 1 || !known {
			t.Errorf("believed %+v of %q", r, name)
		}
	})
}

// FuzzRecordIsKept: no matter which bytes a record's texts hold, read returns what put
// wrote, and parseRecord does not take it for the record of another name.
func FuzzRecordIsKept(f *testing.F) {
	base := f.TempDir()
	p, err := Open(base, "alice")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { p.Close() })
	f.Fuzz(func(t *testing.T, pid int, start uint64, ready bool, dir, log, address, arg string) {
		want := whole()
		want.PID, want.Start, want.Ready = max(pid, 2), start, ready
		want.Dir, want.Log, want.Address, want.Command = dir, log, address, []string{arg, dir, arg + address}
		if !ready {
			want.Answer = Answer{} // which is not written then
		}
		if err := put(p, want); err != nil {
			t.Fatal(err)
		}
		got, err := p.read()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v; written %+v, read %+v", err, want, got)
		}
		data, err := os.ReadFile(filepath.Join(base, ".alice.json"))
		if err != nil {
			t.Fatal(err)
		}
		if r, err := parseRecord(data, "bob"); err == nil {
			t.Errorf("it is taken for bob's: %+v", r)
		}
	})
}
