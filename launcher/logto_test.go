package launcher_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hashicorp/go-hclog"

	"github.com/podlaunch/podlaunch/launcher"
)

// heard is one call of a Logger.
type heard struct {
	Level   hclog.Level
	Message string
	Fields  []any
}

// An ear is a Logger that keeps the calls it gets.
type ear struct {
	hclog.Logger
	heard []heard
}

func (e *ear) Log(level hclog.Level, message string, fields ...any) {
	e.heard = append(e.heard, heard{level, message, fields})
}

// logTo returns what a Logger hears of line; what has no level is at Trace.
func logTo(line string) []heard {
	e := &ear{Logger: hclog.NewNullLogger()}
	launcher.LogTo(e, hclog.Trace)(line)
	return e.heard
}

// plain turns a JSON literal into a string in single quotes, so that a test can tell it
// from a string.
func plain(fields []any) (all []string) {
	for _, f := range fields {
		if s, ok := f.(string); ok {
			all = append(all, s)
		} else {
			all = append(all, fmt.Sprintf("'%v'", f))
		}
	}
	return all
}

// Each form of a line is taken apart as documented. What go-plugin is known to
// get wrong is among them: values that are not strings where it expects some (it
// panics), big numbers, the order of fields, levels and times that it does not
// know (the line loses its level, or is lost).
func TestLogTo(t *testing.T) {
	for _, c := range []struct {
		name, line string
		level      hclog.Level
		message    string // "" means the line as it stands
		fields     []string
	}{
		{"hclog JSON", `{"@level":"warn","@message":"disk is full","@module":"store","@timestamp":"2026-01-02T03:04:05.000006Z","path":"/var","free":0}`,
			hclog.Warn, "disk is full", []string{"module", "store", "timestamp", "2026-01-02T03:04:05.000006Z", "path", "/var", "free", "'0'"}},
		{"slog JSON", `{"time":"2026-01-02T03:04:05.6Z","level":"WARN","msg":"disk is full","req":{"id":7,"tags":["a"]}}`,
			hclog.Warn, "disk is full", []string{"time", "2026-01-02T03:04:05.6Z", "req", `'{"id":7,"tags":["a"]}'`}},
		{"slog JSON between levels", `{"level":"INFO+2","msg":"m"}`, hclog.Info, "m", []string{"level", "INFO+2"}},
		{"slog JSON below debug", `{"level":"DEBUG-4","msg":"m"}`, hclog.Trace, "m", []string{"level", "DEBUG-4"}},
		{"slog JSON above error", `{"level":"ERROR+4","msg":"m"}`, hclog.Error, "m", []string{"level", "ERROR+4"}},
		{"slog JSON above info", `{"level":"WARN+1","msg":"m"}`, hclog.Warn, "m", []string{"level", "WARN+1"}},
		{"slog JSON above debug", `{"level":"DEBUG+1","msg":"m"}`, hclog.Debug, "m", []string{"level", "DEBUG+1"}},
		{"zap JSON", `{"level":"dpanic","ts":1.5e9,"msg":"m","stack":null,"ok":true}`,
			hclog.Error, "m", []string{"level", "dpanic", "ts", "'1.5e9'", "stack", "'null'", "ok", "'true'"}},
		{"JSON, big number and order", `{"z":12345678901234567890,"level":"info","msg":"m","a":1.10}`,
			hclog.Info, "m", []string{"z", "'12345678901234567890'", "a", "'1.10'"}},
		{"JSON, a key twice", `{"level":"info","msg":"one","msg":"two","a":1,"a":2,"lvl":"warn"}`,
			hclog.Info, "one", []string{"msg", "two", "a", "'1'", "a_2", "'2'", "lvl", "warn"}},
		{"W43 logfmt, a key three times", `level=info msg=m n=1 n=2 n_2=3 n=4`, hclog.Info, "m", []string{"n", "1", "n_3", "2", "n_2", "3", "n_4", "4"}},
		{"W43 JSON, the logger's own keys", `{"level":"info","msg":"m","@@level":"error","@@message":"x","@@@module":"y","@":1}`,
			hclog.Info, "m", []string{"level", "error", "message", "x", "module", "y", "", "'1'"}},
		{"W43 JSON, keys that become one", `{"level":"info","msg":"m","@a":1,"a":2,"@@a":3,"a_2":4}`,
			hclog.Info, "m", []string{"a_3", "'1'", "a", "'2'", "a_4", "'3'", "a_2", "'4'"}},
		{"W43 logfmt, the logger's own keys", `level=info msg=m @@level=error @@module=x`, hclog.Info, "m", []string{"level", "error", "module", "x"}},
		{"JSON, spaces", ` { } `, hclog.NoLevel, "", nil},
		{"JSON, empty message", `{"level":"info","msg":"","a":"b"}`, hclog.Info, "-", []string{"a", "b"}},
		{"JSON, message is no string", `{"@level":"warn","@message":{"a":1}}`, hclog.Warn, "", nil},
		{"JSON, level is no string", `{"@level":4,"@message":"m"}`, hclog.NoLevel, "", nil},
		{"JSON, level of another kind beside it", `{"level":30,"severity":"ERROR","msg":"m"}`, hclog.Error, "m", []string{"level", "'30'"}},
		{"JSON, time is no time", `{"@level":"warn","@message":"m","@timestamp":7}`, hclog.Warn, "m", []string{"timestamp", "'7'"}},
		{"JSON, unknown level", `{"level":"loud","msg":"m"}`, hclog.NoLevel, "", nil},
		{"JSON, no level", `{"error":"not found","msg":"m"}`, hclog.NoLevel, "", nil},
		{"JSON, cut", `{"level":"warn","msg":"m`, hclog.NoLevel, "", nil},
		{"JSON, more after it", `{"level":"warn","msg":"m"} {}`, hclog.NoLevel, "", nil},
		{"JSON, half a character", `{"level":"warn","msg":"\ud800"}`, hclog.Warn, "", nil},
		{"JSON, replaced character", `{"level":"warn","msg":"\ufffd"}`, hclog.Warn, "\ufffd", nil},
		{"JSON, not UTF-8", "{\"level\":\"warn\",\"msg\":\"\xff\"}", hclog.Warn, "", nil},
		{"JSON, an array", `["level","warn"]`, hclog.NoLevel, "", nil},

		{"hclog text", "2026-01-02T03:04:05.006Z [WARN]  store: disk is full: path=/var free=0",
			hclog.Warn, "store: disk is full: path=/var free=0", []string{"timestamp", "2026-01-02T03:04:05.006Z"}},
		{"hclog text without time", "[INFO]  store: ready", hclog.Info, "store: ready", nil},
		{"logutils", "2026/01/02 03:04:05 [ERR] m", hclog.Error, "m", []string{"timestamp", "2026/01/02 03:04:05"}},
		{"nginx", "2026/01/02 03:04:05 [crit] 7#7: m", hclog.Error, "7#7: m", []string{"timestamp", "2026/01/02 03:04:05", "level", "crit"}},
		{"brackets, no level", "[store] m", hclog.NoLevel, "", nil},
		{"brackets later", "m [WARN] n", hclog.NoLevel, "", nil},
		{"brackets alone", "[WARN]", hclog.Warn, "-", nil},

		{"sd-daemon 0", "<0>m", hclog.Error, "m", []string{"level", "emerg"}},
		{"sd-daemon 1", "<1>m", hclog.Error, "m", []string{"level", "alert"}},
		{"sd-daemon 2", "<2>m", hclog.Error, "m", []string{"level", "crit"}},
		{"sd-daemon 3", "<3>m", hclog.Error, "m", nil},
		{"sd-daemon 4", "<4>  m", hclog.Warn, "  m", nil},
		{"sd-daemon 5", "<5>m", hclog.Info, "m", []string{"level", "notice"}},
		{"sd-daemon 6", "<6>m", hclog.Info, "m", nil},
		{"sd-daemon 7", "<7>m", hclog.Debug, "m", nil},
		{"sd-daemon, none", "<8>m", hclog.NoLevel, "", nil},
		{"sd-daemon, cut", "<3", hclog.NoLevel, "", nil},
		{"markup", "<b>m</b>", hclog.NoLevel, "", nil},

		{"logfmt", `level=warn msg="disk is full" path=/var free=0`, hclog.Warn, "disk is full", []string{"path", "/var", "free", "0"}},
		{"slog text", `time=2026-01-02T03:04:05.006Z level=WARN+2 msg="a \"b\"\n" empty=""`,
			hclog.Warn, "a \"b\"\n", []string{"time", "2026-01-02T03:04:05.006Z", "level", "WARN+2", "empty", ""}},
		{"logrus", `time="2026-01-02" level=fatal msg=m`, hclog.Error, "m", []string{"time", "2026-01-02", "level", "fatal"}},
		{"logfmt, = in a value", `lvl=dbug level=debug msg=m url=http://x/?a=b`, hclog.Debug, "m", []string{"lvl", "dbug", "url", "http://x/?a=b"}},
		{"logfmt, no message", `level=debug n=1`, hclog.Debug, "", nil},
		{"logfmt, then text", `level=warn disk is full`, hclog.Warn, "", nil},
		{"logfmt, then a bad quote", `level=warn msg="disk`, hclog.Warn, "", nil},
		{"logfmt, glued", `level=warn msg="a"b`, hclog.Warn, "", nil},
		{"logfmt, not UTF-8", "level=warn msg=\"\xff\"", hclog.Warn, "", nil},
		{"text, then logfmt", `m level=warn`, hclog.NoLevel, "", nil},
		{"text", "disk is full", hclog.NoLevel, "", nil},
		{"no key", "=warn", hclog.NoLevel, "", nil},
		{"nothing", "", hclog.NoLevel, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := heard{Level: c.level, Message: c.message}
			switch c.message {
			case "":
				want.Message = c.line
			case "-":
				want.Message = ""
			}
			if want.Level == hclog.NoLevel {
				want.Level = hclog.Trace // the fallback
			}
			got := logTo(c.line)
			if len(got) != 1 {
				t.Fatalf("the Logger was told %d times", len(got))
			}
			fields := plain(got[0].Fields)
			if got[0].Level != want.Level || got[0].Message != want.Message {
				t.Errorf("got %v %q, want %v %q", got[0].Level, got[0].Message, want.Level, want.Message)
			}
			if diff := difference(c.fields, fields); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
}

// The caller chooses the level of lines without a level.
func TestLogToFallback(t *testing.T) {
	for fallback, want := range map[hclog.Level]hclog.Level{
		hclog.NoLevel: hclog.Info,
		hclog.Debug:   hclog.Debug,
		hclog.Off:     hclog.Off, // nothing
	} {
		e := &ear{Logger: hclog.NewNullLogger()}
		log := launcher.LogTo(e, fallback)
		log("<3>told")
		log("not told")
		wanted := []heard{{Level: hclog.Error, Message: "told"}, {Level: want, Message: "not told"}}
		if want == hclog.Off {
			wanted = wanted[:1]
		}
		if diff := difference(wanted, e.heard); diff != "" {
			t.Errorf("fallback %v (-want +got):\n%s", fallback, diff)
		}
	}
	launcher.LogTo(nil, hclog.Info)("<3>to nobody")
}

// What a pod's own logger has written comes out of ours as it went in: in text,
// and in JSON, where nothing of it takes the place of what is ours.
func TestLogToRoundTrip(t *testing.T) {
	for name, write := range map[string]func(w *bytes.Buffer){
		"hclog": func(w *bytes.Buffer) {
			hclog.New(&hclog.LoggerOptions{Name: "store", Output: w, JSONFormat: true}).Warn("disk is full", "path", "/var", "free", 0)
		},
		"slog JSON": func(w *bytes.Buffer) {
			slog.New(slog.NewJSONHandler(w, nil)).Warn("disk is full", "path", "/var", "free", 0)
		},
		"slog text": func(w *bytes.Buffer) {
			slog.New(slog.NewTextHandler(w, nil)).Warn("disk is full", "path", "/var", "free", 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var pod, text, object bytes.Buffer
			write(&pod)
			line := strings.TrimSuffix(pod.String(), "\n")
			launcher.LogTo(hclog.New(&hclog.LoggerOptions{Name: "alice", Output: &text, DisableTime: true}), hclog.Info)(line)
			if got := text.String(); !strings.HasPrefix(got, "[WARN]  alice: disk is full: ") || !strings.Contains(got, " path=/var") || !strings.Contains(got, " free=0") {
				t.Errorf("%s became %s", line, got)
			}
			launcher.LogTo(hclog.New(&hclog.LoggerOptions{Name: "alice", Output: &object, JSONFormat: true}), hclog.Info)(line)
			var got map[string]any
			if err := json.Unmarshal(object.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if got["@level"] != "warn" || got["@message"] != "disk is full" || got["@module"] != "alice" || got["path"] != "/var" || fmt.Sprint(got["free"]) != "0" {
				t.Errorf("%s became %s", line, &object)
			}
		})
	}
}

// A pod's line never makes LogTo panic. LogTo passes it on once and loses nothing of it:
// the line is the message as it stands; or everything that another parser finds in it is
// the level, the message or a field.
func FuzzLogTo(f *testing.F) {
	for _, seed := range []string{
		"", "text", "<3>m", "[WARN]  a: b", "2026/01/02 03:04:05 [notice] m", `level=warn msg="a b" c=d`, `msg=a level=b level=info`,
		`{"@level":"warn","@message":"m","@timestamp":"t","n":1e3,"o":{"p":[1]}}`, `{"level":"INFO-1","msg":"\u0041","msg":7}`,
		"{\"level\":\"info\",\"msg\":\"\xff\"}", `{"level":"info","msg":"\ud83d\ude00 \ud800"}`, `{"@":"info","level":"info","msg":""}`,
		`{"@level":"wArn","@message":"","":"","":0}`, "[ERR]\xaf=\"",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		all := logTo(line)
		if len(all) != 1 {
			t.Fatalf("told %d times", len(all))
		}
		got := all[0]
		if got.Level < hclog.Trace || got.Level > hclog.Error || len(got.Fields)%2 != 0 {
			t.Fatalf("told %+v", got)
		}
		if got.Message == line && got.Fields == nil {
			return
		}
		// After a priority, or a level in brackets, the message is as it was written.
		asWritten := (priority.MatchString(line) || brackets.MatchString(line)) && strings.HasSuffix(line, got.Message)
		if !utf8.ValidString(line) && (line[0] == '{' || strings.Contains(line, `="`)) && !asWritten {
			t.Errorf("taken apart, and what is not UTF-8 may be lost: %+v", got)
		}
		for _, reading := range readings(line) {
			if !slices.ContainsFunc(reading, func(p part) bool { return !got.has(p) }) {
				return
			}
		}
		t.Errorf("something is lost of %q: %+v", line, got)
	})
}

// A part is what a line says: a value that has a key.
type part struct {
	key   string
	value any
}

// has reports whether the logger got p: in a field, or as level or message.
func (h heard) has(p part) bool {
	for i := 0; i < len(h.Fields); i += 2 {
		value := h.Fields[i+1]
		if _, isText := value.(string); !isText {
			value = decode(fmt.Sprint(value))
		}
		name, key := fmt.Sprint(h.Fields[i]), strings.TrimPrefix(p.key, "@")
		if (name == key || number.ReplaceAllString(name, "") == key) && reflect.DeepEqual(value, p.value) {
			return true
		}
	}
	text, isText := p.value.(string)
	switch p.key {
	case "@message", "message", "msg":
		return isText && h.Message == text
	case "@level", "level", "lvl", "severity":
		exact := map[string]hclog.Level{"trace": hclog.Trace, "debug": hclog.Debug, "info": hclog.Info,
			"warn": hclog.Warn, "warning": hclog.Warn, "error": hclog.Error, "err": hclog.Error}
		return h.Level == exact[strings.ToLower(text)]
	}
	return false
}

// number is what a key has at its end that the line, or the logger, has before.
var number = regexp.MustCompile(`_[0-9]+$`)

// decode decodes JSON, and returns nil for what is none.
func decode(text string) (value any) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	d.Decode(&value)
	return value
}

var (
	priority = regexp.MustCompile(`(?s)^<([0-7])>(.*)$`)
	brackets = regexp.MustCompile(`(?s)^(?:([0-9][^\[]*?) ?)?\[([A-Za-z]+)\] *(.*)$`)
	keyValue = regexp.MustCompile(`(?s)([^ ="]+)=("(?:[^"\\]|\\.)*"|[^ ]*)`)
)

// readings returns the ways in which line can be taken apart.
func readings(line string) (all [][]part) {
	if object, ok := decode(line).(map[string]any); ok {
		var parts []part
		for key, value := range object {
			parts = append(parts, part{key, value})
		}
		return [][]part{parts}
	}
	if m := priority.FindStringSubmatch(line); m != nil {
		name := strings.Fields("emerg alert crit err warning notice info debug")[m[1][0]-'0']
		all = append(all, []part{{"level", name}, {"msg", m[2]}})
	}
	if m := brackets.FindStringSubmatch(line); m != nil {
		parts := []part{{"level", m[2]}, {"msg", m[3]}}
		if m[1] != "" {
			parts = append(parts, part{"timestamp", m[1]})
		}
		all = append(all, parts)
	}
	if strings.Trim(keyValue.ReplaceAllString(line, ""), " ") == "" {
		var parts []part
		for _, m := range keyValue.FindAllStringSubmatch(line, -1) {
			if unquoted, err := strconv.Unquote(m[2]); err == nil && m[2][0] == '"' {
				m[2] = unquoted
			}
			parts = append(parts, part{m[1], m[2]})
		}
		all = append(all, parts)
	}
	return all
}

// W43: no key of a pod's line replaces what the logger itself says: its level, module and
// message, and what it has by With.
func TestLogToKeepsTheLoggersOwn(t *testing.T) {
	for _, line := range []string{
		`{"level":"info","msg":"m","@@level":"error","@@message":"x","@@module":"y","@@timestamp":"z","@@@caller":"c","@pod":"bob","pod":"eve"}`,
		`level=info msg=m @@level=error @@message=x @@module=y @@timestamp=z @@@caller=c @pod=bob pod=eve`,
	} {
		var out bytes.Buffer
		logger := hclog.New(&hclog.LoggerOptions{Name: "own", Level: hclog.Trace, Output: &out, JSONFormat: true}).With("pod", "alice")
		launcher.LogTo(logger, hclog.NoLevel)(line)
		got := make(map[string]string)
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		delete(got, "@timestamp")
		want := map[string]string{"@level": "info", "@message": "m", "@module": "own", "pod": "alice",
			"level": "error", "message": "x", "module": "y", "timestamp": "z", "caller": "c", "pod_2": "bob", "pod_3": "eve"}
		if !maps.Equal(got, want) {
			t.Errorf("%s was logged as %v", line, got)
		}
	}
}
