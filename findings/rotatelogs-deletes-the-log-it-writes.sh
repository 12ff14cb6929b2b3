#!/usr/bin/env bash
# Subject:  github.com/lestrrat-go/file-rotatelogs v2.4.0+incompatible.
# Expected: with WithRotationCount(7) the latest seven files are kept, and the log that is
#           being written is one of them. The README says so of the latest files.
# Seen:     with WithRotationSize, too, the eleventh file of a day is deleted at once, and
#           the daemon goes on to write to it. Files of one day are numbered, ".10" sorts
#           before ".2", and the first names are taken for the oldest. A deleted file has
#           no size, so it is never rotated either: until the day ends, every line goes to
#           a file without a name. Write returns no error.
# Output:   after line 10: the log is log.20260102.9, there: yes; 7 files
#           after line 11: the log is log.20260102.10, there: no; 7 files
#           lines 11 to 30, all written without an error: 0 of 20 are in a file
# Hurts:    who lets a daemon rotate its own log by size: on a busy day the files of the
#           morning are kept, and what led to the crash in the evening is in none.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOFLAGS='-mod=mod -modcacherw' GOMODCACHE=$work/mod
cat >go.mod <<'END'
module finding

go 1.24

require (
	github.com/lestrrat-go/file-rotatelogs v2.4.0+incompatible
	github.com/lestrrat-go/strftime v1.2.0
	github.com/pkg/errors v0.9.1
)
END
cat >main.go <<'END'
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	rotatelogs "github.com/lestrrat-go/file-rotatelogs"
)

// noon keeps midnight away from the run.
type noon struct{}

func (noon) Now() time.Time { return time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC) }

func files() []string {
	names, _ := filepath.Glob("log.*")
	return names
}

func main() {
	log, err := rotatelogs.New("log.%Y%m%d",
		rotatelogs.WithClock(noon{}),
		rotatelogs.WithMaxAge(-1),
		rotatelogs.WithRotationCount(7),
		rotatelogs.WithRotationSize(100), // each line fills a file
	)
	if err != nil {
		panic(err)
	}
	for i := 1; i <= 30; i++ {
		if _, err := fmt.Fprintf(log, "line %02d %s\n", i, strings.Repeat("x", 100)); err != nil {
			panic(err)
		}
		// Files are deleted in the background.
		for end := time.Now().Add(10 * time.Second); len(files()) > 7; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				fmt.Println("gave up waiting: there are more than 7 files")
				os.Exit(1)
			}
		}
		if i == 10 || i == 11 {
			there := "yes"
			if _, err := os.Stat(log.CurrentFileName()); err != nil {
				there = "no"
			}
			fmt.Printf("after line %d: the log is %s, there: %s; %d files\n",
				i, log.CurrentFileName(), there, len(files()))
		}
	}
	kept := 0
	for _, name := range files() {
		data, err := os.ReadFile(name)
		if err != nil {
			panic(err)
		}
		for i := 11; i <= 30; i++ {
			kept += strings.Count(string(data), fmt.Sprintf("line %02d ", i))
		}
	}
	fmt.Printf("lines 11 to 30, all written without an error: %d of 20 are in a file\n", kept)
}
END
go build -o finding . 2>build.log || { cat build.log; exit 1; }
seen=$(mkdir logs && cd logs && timeout 40 ../finding)
echo "$seen"
grep -qxF 'after line 10: the log is log.20260102.9, there: yes; 7 files' <<<"$seen" ||
    { echo "the comparison fails: the tenth file is not kept"; exit 1; }
grep -qxF 'after line 11: the log is log.20260102.10, there: no; 7 files' <<<"$seen" ||
    { echo "changed: the log that is being written is kept"; exit 1; }
grep -qxF 'lines 11 to 30, all written without an error: 0 of 20 are in a file' <<<"$seen" ||
    { echo "changed: lines that were written after that are in a file"; exit 1; }
