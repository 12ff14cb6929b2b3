package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

// No line of the help is wider than a terminal.
func TestHelpFits(t *testing.T) {
	c := &cli{}
	names := [][]string{{"help"}}
	for _, cmd := range newRoot(c).Commands() {
		names = append(names, []string{"help", cmd.Name()})
	}
	for _, args := range names {
		var out bytes.Buffer
		if code := run(context.Background(), args, streams{strings.NewReader(""), &out, &out}); code != exitDone || out.Len() == 0 {
			t.Errorf("%v: exit code %d", args, code)
		}
		for line := range strings.Lines(out.String()) {
			if line = strings.TrimSuffix(line, "\n"); columnsOf(line) > helpWidth {
				t.Errorf("%v: %d columns: %s", args, columnsOf(line), line)
			}
		}
	}
}

// Each command says what it is for, and has an example.
func TestHelpHasExamples(t *testing.T) {
	for _, cmd := range newRoot(&cli{}).Commands() {
		if cmd.Runnable() && cmd.Name() != "help" && cmd.Name() != "completion" && cmd.Example == "" {
			t.Errorf("podctl %s has no example", cmd.Name())
		}
	}
}
