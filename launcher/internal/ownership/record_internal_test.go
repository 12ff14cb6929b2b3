//go:build unix

package ownership

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher/internal/unixproc"
)

var update = flag.Bool("update", false, "write the golden files anew")

// whole is a record in which nothing is zero, with bytes that JSON cannot hold.
func whole() Record {
	return Record{
		Version:  Version,
		Name:     "alice",
		Identity: unixproc.Identity{PID: 4711, Start: 1 << 40, Boot: "boot", PIDNamespace: "pid:[1]"},
		Launch:   uuid.UUID{1},
		Session:  uuid.UUID{2},
		Command:  []string{"/bin/\xff", "<&>", "base64:no", ""},
		Dir:      "/base\xfe/alice",
		Log:      "/base\xfe/alice/stderr.log",
		Started:  time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC),
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
	for _, r := range []Record{{Identity: unixproc.Identity{PID: 2, Boot: "b"}}, whole()} {
		given := append([]string(nil), r.Command...)
		if err := p.write(r); err != nil {
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
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
}

// What is added to a record is read with it, as far as it is whole; and nothing
// but where the pod answers is.
func TestRecordIsAddedTo(t *testing.T) {
	p, path := openPlace(t)
	want := whole()
	answer := want.Answer
	want.Answer = Answer{}
	if err := p.add(answer, free); !errors.Is(err, errNotWritten) {
		t.Errorf("there is no record to add to: %v", err)
	}
	if err := p.write(want); err != nil {
		t.Fatal(err)
	}
	if err := p.add(answer, free); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	added := strings.LastIndexByte(strings.TrimSpace(string(data)), '\n') + 1
	for end := added; end <= len(data); end++ {
		got, err := parseRecord(data[:end], "alice")
		if err != nil {
			t.Fatal(err)
		}
		want.Answer = Answer{}
		if end >= len(data)-1 { // the line's end tells nothing
			want.Answer = answer
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("with %q: %+v, want %+v", data[added:end], got, want)
		}
	}
	got, err := parseRecord(append(data[:added:added], `{"ready": true, "pid": 7, "name": "bob"}`...), "alice")
	want.Answer = Answer{Ready: true}
	if !reflect.DeepEqual(got, want) || err != nil {
		t.Errorf("what is added names another process: %+v, %v; want %+v", got, err, want)
	}
	for what, change := range map[string]func() error{
		"deleted": func() error { return os.Remove(path) },
		"replaced": func() error {
			return errors.Join(os.WriteFile(path+".other", data, 0o600), os.Rename(path+".other", path))
		},
	} {
		if err := errors.Join(p.write(want), change()); err != nil {
			t.Fatal(err)
		}
		if err := p.add(answer, free); !errors.Is(err, errNotWritten) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// E16: a record of a later version is believed as far as it can be read, and
// what is not known is passed over.
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
	want.Version = 2
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
	if err := p.write(whole()); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "record-v1.json")
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

// D31, E7: what is no record counts as none; one of a version to come that
// cannot be read does not.
func TestRecordThatIsNone(t *testing.T) {
	p, path := openPlace(t)
	if err := p.write(whole()); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	with := func(field string, value any) []byte {
		var r map[string]any
		if err := json.Unmarshal(good, &r); err != nil {
			t.Fatal(err)
		}
		r[field] = value
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for what, data := range map[string][]byte{
		"empty":       nil,
		"torn":        good[:len(good)/2],
		"text":        []byte("4711\n"),
		"binary":      []byte("\x00\xff\x7fELF"),
		"null":        []byte("null"),
		"list":        []byte("[]"),
		"huge":        []byte(strings.Repeat(" ", maxRecord) + string(good)),
		"other name":  with("name", "bob"),
		"no version":  with("version", 0),
		"no boot":     with("boot", ""),
		"pid 0":       with("pid", 0),
		"pid 1":       with("pid", 1),
		"pid -1":      with("pid", -1),
		"pid text":    with("pid", "4711"),
		"pid huge":    with("pid", 1e30),
		"bad base64":  with("log", "base64:!"),
		"start below": with("start", -1),
	} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := p.read(); !errors.Is(err, ErrNoRecord) {
			t.Errorf("%s: %+v, %v", what, r, err)
		}
	}
	for what, data := range map[string][]byte{
		"other name": []byte(`{"version": 2, "name": "bob", "pid": 7, "boot": "b"}`),
		"other type": []byte(`{"version": 2, "name": "alice", "pid": {"number": 7}}`),
		"no pid":     []byte(`{"version": 2, "name": "alice"}`),
	} {
		if r, err := parseRecord(data, "alice"); !errors.Is(err, errors.ErrUnsupported) || errors.Is(err, ErrNoRecord) {
			t.Errorf("version 2, %s: %+v, %v", what, r, err)
		}
	}
	for _, dir := range []func() error{
		func() error { return os.Mkdir(path, 0o700) },
		func() error { return os.Symlink("/dev/zero", path) },
	} {
		if err := errors.Join(os.Remove(path), dir()); err != nil {
			t.Fatal(err)
		}
		if r, err := p.read(); !errors.Is(err, ErrNoRecord) {
			t.Errorf("no regular file: %+v, %v", r, err)
		}
	}
}

// FuzzRecord: whatever stands in the file, reading it does not fail otherwise
// than by an error, and what is believed can be the pod that was asked for.
func FuzzRecord(f *testing.F) {
	for _, name := range []string{"record-v1.json", "record-v2.json"} {
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
			if !errors.Is(err, ErrNoRecord) && !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("an error of no kind: %v", err)
			}
			if !reflect.DeepEqual(r, Record{}) {
				t.Errorf("a record with an error: %+v", r)
			}
			return
		}
		if r.Name != name || r.Version < 1 || r.PID <= 1 || r.Boot == "" {
			t.Errorf("believed %+v of %q", r, name)
		}
	})
}

// FuzzRecordIsKept: whatever bytes a record's texts hold, it is read back as it
// was written, and it is nobody else's.
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
		if err := p.write(want); err != nil {
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
		if r, err := parseRecord(data, "bob"); !errors.Is(err, ErrNoRecord) {
			t.Errorf("it is taken for bob's: %+v, %v", r, err)
		}
	})
}

// free lets a record be written.
func free() error { return nil }
