package launchertest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// A scene is a place where a call leaves a trace if it starts or creates something.
// Others may leave traces there too.
type scene struct {
	what string
	look func() []string
}

// scenes are where traces are looked for: this process's children, and the
// directories in which people create things without much thought, with these others.
func scenes(others ...string) []scene {
	all := []scene{{"this process's children", children}}
	seen := make(map[string]bool)
	home, _ := os.UserHomeDir() // none: there is nothing to look at
	here, _ := os.Getwd()
	for _, dir := range append(others, os.TempDir(), here, home) {
		if dir != "" && !seen[dir] {
			seen[dir] = true
			all = append(all, scene{"the directory " + dir, func() []string { return entries(dir) }})
		}
	}
	return all
}

// many is from how many entries on only their names are looked at.
const many = 2000

// entries returns what is in dir, so that what was written since is another.
func entries(dir string) (all []string) {
	list, _ := os.ReadDir(dir) // none that can be read: there is nothing to look at
	for _, e := range list {
		trace := e.Name()
		if fi, err := e.Info(); len(list) < many && err == nil && !fi.IsDir() {
			trace = traceOf(trace, fi)
		}
		all = append(all, trace)
	}
	return all
}

// tree returns what is below dir, as entries does.
func tree(dir string) (all []string) {
	filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		trace := path
		if fi, err := e.Info(); err == nil && !fi.IsDir() {
			trace = traceOf(path, fi)
		}
		all = append(all, trace)
		return nil
	})
	return all
}

func traceOf(name string, fi fs.FileInfo) string {
	return fmt.Sprintf("%s (%d bytes, of %s)", name, fi.Size(), fi.ModTime().Format(time.RFC3339Nano))
}

// fresh returns the first trace in after that is not in before; empty: there is none.
func fresh(before, after []string) string {
	known := make(map[string]bool, len(before))
	for _, trace := range before {
		known[trace] = true
	}
	for _, trace := range after {
		if !known[trace] {
			return trace
		}
	}
	return ""
}

// traces calls do, and makes sure that it leaves no trace in these scenes. Other processes
// may leave some meanwhile, so traces only blames do if there is a trace after each of
// several calls, and none after any of the pauses between them.
func traces(suspects []scene, do func() error) error {
	const rounds = 8
	var found string
	for range rounds {
		before := looks(suspects)
		if err := do(); err != nil {
			return err
		}
		time.Sleep(pause)
		called := looks(suspects)
		time.Sleep(pause)
		idle := looks(suspects)
		var left []scene
		for i, s := range suspects {
			trace := fresh(before[i], called[i])
			if trace != "" && fresh(called[i], idle[i]) == "" {
				left = append(left, s)
				found = fmt.Sprintf("in %s there is now: %s", s.what, trace)
			}
		}
		if suspects = left; len(suspects) == 0 {
			return nil
		}
	}
	return fmt.Errorf("after each of %d calls something was new, and after none of the pauses between them: %s", rounds, found)
}

// pause is longer than the clock of a filesystem needs to go on.
const pause = conformance.Moment / 4

func looks(all []scene) (seen [][]string) {
	for _, s := range all {
		seen = append(seen, s.look())
	}
	return seen
}
