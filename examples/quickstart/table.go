package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// A table prints the steps of a launch, one a line, each with the time since
// the one before. A launch takes its steps one after the other, and the lines
// of a pod come after it was started and before Launch returns: so a table
// needs no lock.
type table struct {
	w    io.Writer
	last time.Time
}

func newTable(w io.Writer) *table { return &table{w, time.Now()} }

// step prints a step that is done.
func (t *table) step(name, detail string) {
	t.sum(name, time.Since(t.last), detail)
	t.last = time.Now()
}

// sum prints a line with a time of its own.
func (t *table) sum(name string, took time.Duration, detail string) {
	fmt.Fprintf(t.w, "  %-8s  %6.2f ms  %s\n", name, float64(took)/float64(time.Millisecond), detail)
}

// note prints a line without a time.
func (t *table) note(name, detail string) {
	fmt.Fprintf(t.w, "  %-8s             %s\n", name, detail)
}

// The four types below wrap one strategy each. They embed it, and so keep what
// else it can do: a runtimedir.Dir, for instance, can tell its base.

type command struct {
	launcher.Self
	t *table
}

func (c command) ResolveCommand(ctx context.Context, req launcher.Request) (launcher.Command, error) {
	cmd, err := c.Self.ResolveCommand(ctx, req)
	if err == nil {
		c.t.step("resolve", strings.TrimSuffix(filepath.Base(cmd.Path), ".exe")+" "+shell(cmd.Args))
	}
	return cmd, err
}

type dir struct {
	runtimedir.Dir
	t *table
}

func (d dir) RuntimeDir(ctx context.Context, name string) (string, error) {
	path, err := d.Dir.RuntimeDir(ctx, name)
	if err == nil {
		d.t.step("dir", path)
	}
	return path, err
}

type source struct {
	logsource.File
	t *table
}

func (s source) Open(ctx context.Context, launch logsource.Launch) (*logsource.Log, error) {
	log, err := s.File.Open(ctx, launch)
	if err == nil {
		s.t.step("log", log.Path)
	}
	return log, err
}

type starter struct {
	launcher.Local
	t *table
}

func (s starter) Start(ctx context.Context, req launcher.StartRequest) (launcher.Process, error) {
	proc, err := s.Local.Start(ctx, req)
	if err == nil {
		s.t.step("start", fmt.Sprintf("pid %d", proc.PID()))
	}
	return proc, err
}

// shell prints args as they would be typed.
func shell(args []string) string {
	typed := make([]string, len(args))
	for i, arg := range args {
		typed[i] = arg
		if strings.ContainsAny(arg, ` "`) {
			typed[i] = "'" + arg + "'"
		}
	}
	return strings.Join(typed, " ")
}
