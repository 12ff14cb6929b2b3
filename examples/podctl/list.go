package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
)

func newLs(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list", "ps"},
		Short:   "List pods",
		Long: `List all pods, running or not. Each that runs is dialled once. Its state is

  ready        it runs, and answers
  unreachable  it runs, and nobody answers, or somebody who is not the pod
  starting     somebody is launching it
  abandoned    it was never ready, and its launcher is gone; it may still run
  gone         it has ended`,
		Example: `  podctl ls
  podctl ls --json | jq -r '.[] | select(.state == "ready") | .name'`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			pods, failed, err := c.list(cmd.Context())
			if err != nil {
				return err
			}
			if c.json {
				err = printJSON(c.out, described(pods))
			} else {
				err = printTable(c.out, pods)
			}
			if err == nil && failed {
				return &codedError{code: exitFailure}
			}
			return err
		},
	}
}

// list returns what there is. What cannot be told of one pod is said on stderr,
// and the others are listed all the same.
func (c *cli) list(ctx context.Context) (pods []launcher.Status, failed bool, err error) {
	l, err := c.launcher()
	if err != nil {
		return nil, false, err
	}
	for s, err := range allPods(ctx, &l) {
		switch {
		case err == nil:
			pods = append(pods, s)
		case s.Name == "":
			return nil, false, err
		default:
			c.tell(&podError{s.Name, "is not listed: " + errorMessage(err), err})
			failed = true
		}
	}
	return pods, failed, nil
}

// find returns the pod called name. A pod that nothing is known of is gone.
func (c *cli) find(ctx context.Context, name string) (launcher.Status, error) {
	l, err := c.launcher()
	if err != nil {
		return launcher.Status{}, err
	}
	for s, err := range allPods(ctx, &l) {
		if s.Name == name || err != nil && s.Name == "" {
			return s, err
		}
	}
	return launcher.Status{}, notRunning(name)
}

func printTable(w io.Writer, pods []launcher.Status) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tSTATE\tPID\tSTARTED\tENDPOINT")
	for _, s := range pods {
		pid, endpoint := "-", "-"
		if s.PID != 0 && s.State != launcher.StateGone && (s.State != stateAbandoned || runs(s)) {
			pid = fmt.Sprint(s.PID)
		}
		if s.Endpoint != (readiness.Endpoint{}) && s.State != launcher.StateGone {
			endpoint = shown(s.Endpoint.String())
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", shown(s.Name), s.State, pid, started(s), endpoint)
	}
	return table.Flush()
}

func started(s launcher.Status) string {
	if s.Started.IsZero() {
		return "-"
	}
	return s.Started.Local().Format(time.RFC3339)
}

// A description is a pod as programs read it. What is not known is left out.
type description struct {
	Name       string         `json:"name"`
	State      launcher.State `json:"state"`
	Why        string         `json:"why,omitempty"` // it is unreachable, abandoned or gone
	PID        int            `json:"pid,omitempty"`
	Network    string         `json:"network,omitempty"` // where it answers, or did: as net.Dial has it
	Address    string         `json:"address,omitempty"`
	Session    uuid.UUID      `json:"session,omitzero"` // that it resumed
	Launch     uuid.UUID      `json:"launch,omitzero"`
	Command    []string       `json:"command,omitempty"` // the overlay's text replaced by its size
	Started    time.Time      `json:"started,omitzero"`
	RuntimeDir string         `json:"runtimeDir,omitempty"`
	Log        string         `json:"log,omitempty"`
	Notes      []string       `json:"notes,omitempty"`
	Do         string         `json:"do,omitempty"` // about it, if it is abandoned
}

func describe(s launcher.Status) description {
	d := description{
		Name:       s.Name,
		State:      s.State,
		Why:        errorMessage(s.Why),
		PID:        s.PID,
		Network:    s.Endpoint.Network,
		Address:    s.Endpoint.Address,
		Session:    s.Session,
		Launch:     s.Launch,
		Command:    s.Command,
		Started:    s.Started,
		RuntimeDir: s.RuntimeDir,
		Log:        s.LogPath,
		Notes:      s.Notes,
	}
	if s.State == stateAbandoned {
		d.Do = howToEnd(s)
	}
	return d
}

// described is never nil: no pods are an empty array.
func described(pods []launcher.Status) []description {
	list := make([]description, len(pods))
	for i, s := range pods {
		list[i] = describe(s)
	}
	return list
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func newStatus(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:     "status NAME...",
		Aliases: []string{"show", "info"},
		Short:   "Tell what is known of pods",
		Long: fmt.Sprintf(`Tell what is known of pods. The exit code says the state, of several that of the
first that is not ready:

  %d  it is ready
  %d  it is not running, or it is abandoned (podctl help ls)
  %d  it is being launched
  %d  it is running and does not answer`, exitDone, exitNotRunning, exitHeld, exitUnreachable),
		Example: `  podctl status redis
  podctl status redis >/dev/null || podctl restart redis
  podctl status --json redis | jq .pid`,
		Args:              someNames,
		ValidArgsFunction: c.completeNames(),
		RunE: func(cmd *cobra.Command, args []string) error {
			var errs []error
			for i, name := range args {
				errs = append(errs, c.status(cmd.Context(), name, i > 0))
			}
			return together(errs)
		},
	}
}

// status prints what is known of the pod called name, after an empty line if it is
// not the first. The error says which state it is in.
func (c *cli) status(ctx context.Context, name string, further bool) error {
	s, err := c.find(ctx, name)
	if err != nil {
		return err
	}
	if c.json {
		err = printJSON(c.out, describe(s))
	} else {
		if further {
			fmt.Fprintln(c.out)
		}
		err = printStatus(c.out, s)
	}
	if err != nil {
		return err
	}
	return stateError(s.State)
}

// stateError makes a state the exit code.
func stateError(s launcher.State) error {
	switch s {
	case launcher.StateReady:
		return nil
	case launcher.StateStarting:
		return &codedError{code: exitHeld}
	case launcher.StateUnreachable:
		return &codedError{code: exitUnreachable}
	}
	return &codedError{code: exitNotRunning}
}

// printStatus prints what is known of a pod, a row each.
func printStatus(w io.Writer, s launcher.Status) error {
	var rows []row
	add := func(label, text string) {
		if text != "" {
			rows = append(rows, row{label, text})
		}
	}
	add("name", shown(s.Name))
	add("state", string(s.State))
	add("why", errorMessage(s.Why))
	if s.PID != 0 {
		add("pid", fmt.Sprint(s.PID))
	}
	if s.Endpoint != (readiness.Endpoint{}) {
		add("endpoint", shown(s.Endpoint.String()))
	}
	if s.Session != uuid.Nil {
		add("session", s.Session.String())
	}
	if s.Launch != uuid.Nil {
		add("launch", s.Launch.String())
	}
	add("started", started(s))
	add("command", commandLine(s.Command))
	if s.RuntimeDir != "" {
		add("directory", shown(s.RuntimeDir))
	}
	if s.LogPath != "" {
		add("log", shown(s.LogPath))
	}
	for _, note := range s.Notes {
		add("note", shown(note))
	}
	if s.State == stateAbandoned {
		add("do", howToEnd(s))
	}
	return printRows(w, rows)
}

// printRows prints rows, with their texts below each other.
func printRows(w io.Writer, rows []row) error {
	indent := 0
	for _, r := range rows {
		indent = max(indent, len(r.label)+2)
	}
	for _, r := range rows {
		if err := printText(w, fmt.Sprintf("%-*s", indent, r.label), r.text, indent); err != nil {
			return err
		}
	}
	return nil
}
