package readiness_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/readiness"
)

// W36: a line that is nearly what a probe waits for is known, and quoted.
func TestNearMiss(t *testing.T) {
	words := readiness.ReadyLine{}
	pattern := func(expression string) readiness.Pattern {
		return readiness.Pattern{Regexp: regexp.MustCompile(expression)}
	}
	listening := pattern(`^Listening on (?P<address>\S+)`)
	for _, c := range []struct {
		name  string
		probe readiness.NearMisser
		line  string
		want  string // "" for nothing
	}{
		{"the ready line", words, "INSOMNIA-READY\talice\t/s", ""},
		{"the prefix alone", words, "INSOMNIA-READY", ""}, // it is malformed
		{"a name before it", words, "[0] INSOMNIA-READY\talice\t/s", `but "INSOMNIA-READY" does not begin it: "[0] INSOMNIA-READY\talice\t/s"`},
		{"a byte order mark", words, "\ufeffINSOMNIA-READY\talice\t/s", `"\ufeffINSOMNIA-READY`},
		{"colour", words, "\x1b[32mINSOMNIA-READY\talice\t/s\x1b[0m", `"\x1b[32mINSOMNIA-READY`},
		{"spaces", words, "INSOMNIA-READY alice /s", `no tab follows "INSOMNIA-READY": "INSOMNIA-READY alice /s"`},
		{"far away", words, strings.Repeat("x", 9<<10) + "INSOMNIA-READY\talice\t/s", `xxINSOMNIA-READY\talice\t/s"`},
		{"something else", words, "INSOMNIA is bad", ""},
		{"another prefix", readiness.ReadyLine{Prefix: "UP"}, "now UP\talice\t/s", `"now UP\talice\t/s"`},
		{"what a pattern matches", listening, "Listening on :80", ""},
		{"a pattern", listening, "web | Listening on :80", `does not begin it: "web | Listening on :80"`},
		{"half of a pattern", listening, "web | Listening on ", ""},
		{"an optional character", pattern(`^Ready?$`), "- Rea", ""},
		{"an optional character, that is there", pattern(`^Ready?$`), "- Ready", `"- Ready"`},
		{"a pattern of fixed text", pattern(`^up`), "is up", `"is up"`},
		{"a choice", pattern(`^up|^on`), "is up", ""},
		{"no anchor", pattern(`Listening on :\d+`), "Listening on :x", ""},
		{"no fixed text", pattern(`^\S+ is up`), "- x is up", ""},
		{"no expression", readiness.Pattern{}, "x", ""},
	} {
		got := c.probe.NearMiss(readiness.Target{Name: "alice"}, []byte(c.line))
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) || len(got) > 400 {
			t.Errorf("%s: %s, want %s in it", c.name, got, c.want)
		}
	}
}
