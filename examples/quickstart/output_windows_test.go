package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// mainVariable has this test be the program.
const mainVariable = "QUICKSTART_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(mainVariable) != "" { // its pod inherits the variable
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Both modes print the words that they print on other systems, with another address, and
// leave nothing behind.
func TestOutput(t *testing.T) {
	for golden, args := range map[string][]string{
		"working.txt": nil,
		"failing.txt": {"-fail"},
	} {
		t.Run(golden, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], args...)
			cmd.Env = append(os.Environ(), mainVariable+"=1")
			var stderr strings.Builder
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil || stderr.Len() > 0 {
				t.Errorf("%v, stderr %q", err, stderr.String())
			}
			want, err := os.ReadFile(filepath.Join("testdata", golden))
			if err != nil {
				t.Fatal(err)
			}
			if got := masked(string(out)); got != masked(string(want)) {
				t.Errorf("the output is not that of %s:\n%s", golden, out)
			}
			dir := regexp.MustCompile(`(?m)^  dir .* ms +(\S+)\\alice$`).FindSubmatch(out)
			if dir == nil {
				t.Fatalf("it names no directory:\n%s", out)
			}
			if _, err := os.Stat(string(dir[1])); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s was left behind: %v", dir[1], err)
			}
		})
	}
}

// masked returns output without what differs between two runs, or two systems.
func masked(output string) string {
	output = strings.ReplaceAll(output, `\`, "/")
	for _, m := range [][2]string{
		{`//`, `/`}, // a backslash in quotes
		{`[A-Z]:/\S*/quickstart\d+`, "DIR"},
		{`quickstart\.test pod`, "quickstart pod"},
		{`(unix:DIR/alice/sock|tcp:127\.0\.0\.1:\d+)`, "ADDRESS"},
		{` +[\d.]+ ms`, " # ms"},
		{` +# ms`, " # ms"},
		{`after \S+,`, "after TIME,"},
		{`pid \d+`, "pid PID"},
		{`PID +\d+\n`, "PID PID\n"},
		{` +`, " "},
		{`\r`, ""},
	} {
		output = regexp.MustCompile(m[0]).ReplaceAllString(output, m[1])
	}
	return output
}
