package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// survey observes the rows that are called as wanted, or all that are
// installed, and writes what it has seen to the file at path. What is there of
// others stays.
func survey(ctx context.Context, stdout, stderr io.Writer, path string, wanted []string) int {
	chosen, err := chooseRows(wanted)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return misused
	}
	status := 0
	for _, r := range chosen {
		o, err := r.observe(ctx)
		if err == nil {
			err = store(path, o)
		}
		if err != nil {
			fmt.Fprintf(stderr, "%s: %v\n", r.name, err)
			status = failed
			continue
		}
		text, _ := json.MarshalIndent(o, "", "  ") // strings alone
		fmt.Fprintf(stdout, "%s\n", text)
	}
	return status
}

// chooseRows returns the rows that are called as wanted; without a name those
// that are installed.
func chooseRows(wanted []string) (chosen []row, err error) {
	for _, name := range wanted {
		i := slices.Index(rowNames(), name)
		if i < 0 {
			return nil, fmt.Errorf("no row is called %q; there are: %s", name, strings.Join(rowNames(), ", "))
		}
		chosen = append(chosen, rows[i])
	}
	if len(wanted) > 0 {
		return chosen, nil
	}
	return slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return !r.installed() }), nil
}

// installed reports whether the row's program is there.
func (r row) installed() bool {
	_, err := exec.LookPath(find(r.programs...))
	return err == nil
}

// store replaces what the file at path has of o's daemon.
func store(path string, o *observation) error {
	all, err := stored(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	all = slices.DeleteFunc(all, func(old observation) bool { return old.Name == o.Name })
	all = append(all, *o)
	slices.SortFunc(all, func(a, b observation) int { return strings.Compare(a.Name, b.Name) })
	return writeJSON(path, all)
}

func writeJSON(path string, v any) error {
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text.String()), 0o644)
}

// stored returns what the file at path has.
func stored(path string) (all []observation, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return all, json.Unmarshal(text, &all)
}
