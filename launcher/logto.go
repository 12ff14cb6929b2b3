package launcher

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/go-hclog"
)

// LogTo returns a function that hands a pod's lines to logger, each with the
// level that the pod gave it. It is made for [Spec.Progress], and for the lines
// of [Pod.Follow]; examples/hclog has both, for the pod's whole life.
//
// The form of a line tells its level:
//
//   - JSON, an object in a line, as hclog, slog and others write it: "@level",
//     "level", "lvl" or "severity" is the level, "@message", "msg" or "message"
//     the message. What else is in the object goes to logger as keys and values,
//     in the same order and with numbers as they are written. Each @ at the beginning
//     of a key is taken off: hclog puts it before its own keys, and so a pod's cannot
//     take the place of those. If the line has that key without @ as well, or twice, or
//     the logger has it (logger.With), the pod's gets a number: "port" becomes "port_2".
//   - logfmt, key=value, as slog and others write it: the same keys count. A
//     line that only begins so has the level it names, and is the message.
//   - [WARN] at the beginning, or after nothing but a time, as hclog and others
//     write it: what follows is the message, and the time is a value.
//   - <3> to begin with: the message follows (sd-daemon(3)).
//
// Names of levels are those of hclog, slog, syslog and their like, in upper or lower
// case. hclog has five levels. A name that says more than its level, such as fatal, stays
// as a value with the key "level".
//
// A line in no such form, or with an unknown level, is a message as it stands. It gets
// level fallback: NoLevel means Info, and Off drops such lines. LogTo loses nothing of
// any other line. Some cannot be taken apart without a loss: they have no message, say,
// or are not valid UTF-8. Such a line keeps its level, and is also a message as it
// stands.
//
// The pod decides what is in a line. Whether control characters in it are
// escaped is up to logger.
//
// A nil logger means silence. The function may be called from any number of
// goroutines.
func LogTo(logger hclog.Logger, fallback hclog.Level) func(line string) {
	if logger == nil {
		logger = hclog.NewNullLogger()
	}
	if fallback == hclog.NoLevel {
		fallback = hclog.Info
	}
	return func(line string) {
		e := parseEntry(line)
		if e.level == hclog.NoLevel {
			e.level = fallback
		}
		if e.level != hclog.Off {
			logger.Log(e.level, e.message, renamed(e.fields, logger.ImpliedArgs())...)
		}
	}
}

// renamed returns fields, keys and values, with another name for each key that is in taken,
// which are keys and values, too: a logger that writes an object keeps one value of each.
func renamed(fields, taken []any) []any {
	if len(taken) == 0 {
		return fields
	}
	used := keysOf(fields)
	others := keysOf(taken)
	for i := 0; i < len(fields); i += 2 {
		if key := fields[i].(string); others[key] {
			fields[i] = unused(key, used, others)
		}
	}
	return fields
}

// withoutAt returns fields without the @ at the beginning of their keys, and each key once. A
// key that had an @ gets a number if there is the same one without, and so does a key that
// comes a second time.
func withoutAt(fields []any) []any {
	used := keysOf(fields)
	seen := make(map[string]bool)
	for i := 0; i < len(fields); i += 2 {
		key := fields[i].(string)
		if bare := strings.TrimLeft(key, "@"); bare != key || seen[key] {
			fields[i] = unused(bare, used)
		}
		seen[key] = true
	}
	return fields
}

// keysOf returns the keys of fields, which are keys and values.
func keysOf(fields []any) map[string]bool {
	keys := make(map[string]bool)
	for i := 0; i+1 < len(fields); i += 2 {
		if key, ok := fields[i].(string); ok {
			keys[key] = true
		}
	}
	return keys
}

// unused returns key, with a number if it is in one of used, and puts it into the first.
func unused(key string, used ...map[string]bool) string {
	name := key
	for n := 2; slices.ContainsFunc(used, func(keys map[string]bool) bool { return keys[name] }); n++ {
		name = fmt.Sprintf("%s_%d", key, n)
	}
	used[0][name] = true
	return name
}

// An entry is a line that was taken apart.
type entry struct {
	level   hclog.Level // NoLevel if the line does not tell one
	message string
	fields  []any // keys and values
}

func parseEntry(line string) entry {
	switch {
	case strings.HasPrefix(line, "{"):
		return pairsEntry(line, jsonPairs)
	case strings.HasPrefix(line, "<"):
		return priorityEntry(line)
	}
	if e := bracketEntry(line); e.level != hclog.NoLevel {
		return e
	}
	return pairsEntry(line, logfmtPairs)
}

// A pair is a key and its value: a string, or what JSON has else.
type pair struct {
	key   string
	value any
}

// pairsEntry makes an entry of the pairs that split finds in line; whole says
// that they are all there is in it. The message is the line itself unless they
// are, and there are a level and a message among them.
func pairsEntry(line string, split func(string) (pairs []pair, whole bool)) entry {
	e := entry{message: line}
	pairs, whole := split(line)
	message, hasMessage := "", false
	var fields []any
	for _, p := range pairs {
		text, isText := p.value.(string)
		switch p.key {
		case "@level", "level", "lvl", "severity":
			level, exact := levelOf(text)
			if e.level != hclog.NoLevel || level == hclog.NoLevel {
				break
			}
			if e.level = level; !exact {
				fields = append(fields, "level", text)
			}
			continue
		case "@message", "message", "msg":
			if hasMessage || !isText {
				break
			}
			message, hasMessage = text, true
			continue
		}
		fields = append(fields, p.key, p.value)
	}
	if whole && hasMessage && e.level != hclog.NoLevel {
		e.message, e.fields = message, withoutAt(fields)
	}
	return e
}

// jsonPairs returns what is in the object that line is, if it is one. That is
// not all if there are bytes in line that a decoded string cannot have: no
// UTF-8, or half of a character.
func jsonPairs(line string) (pairs []pair, whole bool) {
	if !json.Valid([]byte(line)) {
		return nil, false
	}
	halves := strings.Contains(strings.ToLower(line), `\ud`)
	whole = utf8.ValidString(line)
	d := json.NewDecoder(strings.NewReader(line))
	d.Token() // the brace
	for d.More() {
		key, _ := d.Token()
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return nil, false
		}
		p := pair{key.(string), jsonValue(value)}
		text, _ := p.value.(string)
		whole = whole && !(halves && strings.ContainsRune(p.key+text, utf8.RuneError))
		pairs = append(pairs, p)
	}
	return pairs, whole
}

// jsonValue returns a string as such, and anything else as it is written.
func jsonValue(raw json.RawMessage) any {
	var text string
	if raw[0] == '"' && json.Unmarshal(raw, &text) == nil {
		return text
	}
	return literal(raw)
}

// A literal is JSON as a pod has written it. A Logger that writes text shows it as it is.
// A Logger that writes JSON makes it a part of its own.
type literal string

// MarshalJSON implements json.Marshaler.
func (l literal) MarshalJSON() ([]byte, error) { return []byte(l), nil }

// priorityEntry takes the prefix off that sd-daemon(3) has for a level.
func priorityEntry(line string) entry {
	if len(line) < 3 || line[1] < '0' || line[1] > '7' || line[2] != '>' {
		return entry{message: line}
	}
	name := [...]string{"emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"}[line[1]-'0']
	return newEntry(name, line[3:])
}

// bracketed is [LEVEL] before a message, and before it perhaps a time.
var bracketed = regexp.MustCompile(`^([0-9][-0-9:./,TZ+ ]*)?\[([A-Za-z]+)\] *`)

// bracketEntry takes the level in brackets off a line; it has none if there is
// no such thing.
func bracketEntry(line string) entry {
	m := bracketed.FindStringSubmatch(line)
	if m == nil {
		return entry{message: line}
	}
	e := newEntry(m[2], line[len(m[0]):])
	if at := strings.TrimSuffix(m[1], " "); e.level != hclog.NoLevel && at != "" {
		e.fields = append([]any{"timestamp", at}, e.fields...)
	}
	return e
}

// newEntry returns message with the level called name.
func newEntry(name, message string) entry {
	level, exact := levelOf(name)
	e := entry{level: level, message: message}
	if !exact {
		e.fields = []any{"level", name}
	}
	return e
}

// logfmtPairs returns the pairs with which line begins, and whether they are
// all of it.
func logfmtPairs(line string) (pairs []pair, whole bool) {
	for rest := line; ; {
		rest = strings.TrimLeft(rest, " ")
		if rest == "" {
			return pairs, utf8.ValidString(line)
		}
		end := strings.IndexAny(rest, "= \"")
		if end <= 0 || rest[end] != '=' {
			return pairs, false
		}
		key, value := rest[:end], rest[end+1:]
		if strings.HasPrefix(value, `"`) {
			quoted, err := strconv.QuotedPrefix(value)
			if err != nil {
				return pairs, false
			}
			rest = value[len(quoted):]
			value, _ = strconv.Unquote(quoted)
		} else {
			value, _, _ = strings.Cut(value, " ")
			rest = rest[end+1+len(value):]
		}
		if rest != "" && rest[0] != ' ' {
			return pairs, false
		}
		pairs = append(pairs, pair{key, value})
	}
}

// levels are the names of levels. Those with which hclog says the same are not
// worth keeping.
var levels = map[string]struct {
	level hclog.Level
	exact bool
}{
	"trace": {hclog.Trace, true}, "debug": {hclog.Debug, true}, "info": {hclog.Info, true},
	"warn": {hclog.Warn, true}, "warning": {hclog.Warn, true}, "error": {hclog.Error, true}, "err": {hclog.Error, true},

	"notice": {hclog.Info, false}, "critical": {hclog.Error, false}, "crit": {hclog.Error, false},
	"alert": {hclog.Error, false}, "emerg": {hclog.Error, false}, "emergency": {hclog.Error, false},
	"fatal": {hclog.Error, false}, "panic": {hclog.Error, false}, "dpanic": {hclog.Error, false},
}

// levelOf returns the level called name, NoLevel if there is none, and whether
// it says all that the name does.
func levelOf(name string) (level hclog.Level, exact bool) {
	l, ok := levels[strings.ToLower(name)]
	if ok || !strings.ContainsAny(name, "+-") {
		return l.level, l.exact
	}
	var between slog.Level // such as WARN+2
	if between.UnmarshalText([]byte(name)) != nil {
		return hclog.NoLevel, false
	}
	switch {
	case between < slog.LevelDebug:
		return hclog.Trace, false
	case between < slog.LevelInfo:
		return hclog.Debug, false
	case between < slog.LevelWarn:
		return hclog.Info, false
	case between < slog.LevelError:
		return hclog.Warn, false
	}
	return hclog.Error, false
}
