package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher"
)

// A record is what podctl keeps of a launch of its own, in the pod's directory: how
// to do it again, and how long each step took. The library's record has neither.
type record struct {
	Launch     uuid.UUID   `json:"launch"`
	Name       string      `json:"name"`
	Began      time.Time   `json:"began"`
	Seconds    float64     `json:"seconds"`              // until it was ready, or had failed
	Error      string      `json:"error,omitempty"`      // why it has failed
	Unfinished bool        `json:"unfinished,omitempty"` // it goes on, or podctl was killed
	Steps      []step      `json:"steps"`
	Conditions []condition `json:"conditions"`
	Plan       plan        `json:"plan"`
}

// A step of a launch.
type step struct {
	Stage   launcher.Stage `json:"stage"`
	Name    string         `json:"name"`
	Began   time.Time      `json:"began"`
	Seconds float64        `json:"seconds"`
	Error   string         `json:"error,omitempty"`
}

// recordName is the file of a record. Its mode is 0600: the variables of --env are in
// it.
const recordName = ".podctl.json"

// A recorder makes the record of a launch.
type recorder struct {
	c       *cli
	plan    *plan
	waiting *waiting

	mu     sync.Mutex
	record record
	owned  bool  // the name is ours, and so is the directory
	failed error // why the record could not be written
}

// observer returns what makes the record of a launch. Ensure may launch several
// times; the last one counts.
func (r *recorder) observer() *launcher.Observer {
	return &launcher.Observer{
		Start: func(ctx context.Context, info launcher.LaunchInfo) context.Context {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.owned = false
			r.record = record{Launch: info.ID, Name: info.Name, Began: info.Began, Plan: *r.plan}
			return ctx
		},
		Step: func(ctx context.Context, s launcher.StepInfo) { r.step(ctx, s) },
		End:  func(_ context.Context, end launcher.EndInfo) { r.end(end) },
	}
}

// step adds a step to the record. Once the directory is this launch's, it writes the
// record there: podctl may be killed before the launch has ended.
func (r *recorder) step(ctx context.Context, s launcher.StepInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.record.Steps = append(r.record.Steps, step{s.Stage, s.Name, s.Began, s.Took.Seconds(), errorMessage(s.Err)})
	if r.owned || s.Stage != launcher.StageLog || s.Err != nil {
		return
	}
	r.owned = true
	unfinished := r.record
	unfinished.Unfinished, unfinished.Conditions = true, r.waiting.state()
	unfinished.Seconds = s.Began.Add(s.Took).Sub(r.record.Began).Seconds()
	dir, err := r.c.podDir(ctx, r.record.Name)
	if err == nil {
		err = unfinished.write(dir)
	}
	r.failed = err // unless it can be written at the end
}

// end completes the record, and writes it if the directory is this launch's.
func (r *recorder) end(end launcher.EndInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.record.Seconds, r.record.Conditions = end.Took.Seconds(), r.waiting.state()
	var e *launcher.Error
	if errors.As(end.Err, &e) {
		r.record.Error = errorMessage(e.Err)
	}
	switch {
	case !r.owned:
	case end.Pod != nil:
		r.failed = r.record.write(end.Pod.RuntimeDir())
	case e != nil && e.LogPath != "":
		r.failed = r.record.write(filepath.Dir(e.LogPath))
	}
}

// complain says if the record could not be written.
func (r *recorder) complain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed != nil {
		r.c.warn("podctl timeline and podctl restart will not know this launch of %s: %v", shown(r.record.Name), r.failed)
	}
}

// write writes the record into dir.
func (r *record) write(dir string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(dir, recordName, append(text, '\n'))
}

// replaceFile writes the file called name in dir anew, in one step.
func replaceFile(dir, name string, text []byte) error {
	f, err := os.CreateTemp(dir, name+"-*") // of mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// errNoRecord says that podctl has not made the launch, or cannot tell.
var errNoRecord = errors.New("podctl did not launch it")

// recordOf returns the record of the last launch of the pod called name. One of an
// earlier launch than the pod's is none.
func (c *cli) recordOf(ctx context.Context, name string) (record, error) {
	var r record
	dir, err := c.podDir(ctx, name)
	if err != nil {
		return r, err
	}
	s, err := c.find(ctx, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	if s.RuntimeDir != "" {
		dir = s.RuntimeDir
	}
	path := filepath.Join(dir, recordName)
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && s.Name == "":
		text := "was not launched by podctl, or was removed since: there is no " + path + "; podctl run or podctl start launches it"
		return r, &codedError{exitNotRunning, &podError{name, text, errNoRecord}}
	case errors.Is(err, fs.ErrNotExist):
		return r, &podError{name, "was not launched by podctl, or has removed " + path, errNoRecord}
	case err != nil:
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("%s is damaged: %w", path, err)
	}
	if s.Launch != uuid.Nil && s.Launch != r.Launch {
		return r, &podError{name, "was not launched by podctl; an earlier pod of the name was", errNoRecord}
	}
	return r, nil
}
