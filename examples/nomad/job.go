package nomad

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
)

// taskName is what the group of each job, and the task in it, are called.
const taskName = "pod"

// What is sent, as the engine's API has it.
type (
	job struct {
		ID, Name, Type string
		Datacenters    []string
		Meta           map[string]string
		Affinities     []affinity `json:",omitempty"`
		TaskGroups     []group
	}
	group struct {
		Name             string
		Count            int
		RestartPolicy    policy
		ReschedulePolicy policy
		Networks         []network
		EphemeralDisk    disk
		Tasks            []task

		// The first is what engines before 1.8 know, the second what later ones do.
		MaxClientDisconnect time.Duration `json:",omitempty"`
		Disconnect          *disconnect   `json:",omitempty"`
	}
	disconnect struct {
		LostAfter time.Duration
		Replace   bool
	}
	affinity struct {
		LTarget, RTarget, Operand string
		Weight                    int
	}
	constraint struct{ LTarget, RTarget, Operand string }
	policy     struct {
		Attempts  int
		Interval  time.Duration
		Delay     time.Duration `json:",omitempty"`
		Mode      string        `json:",omitempty"`
		Unlimited *bool         `json:",omitempty"`
	}
	network struct{ DynamicPorts []portLabel }
	disk    struct{ SizeMB int }
	task    struct {
		Name, Driver string
		Config       map[string]any
		Env          map[string]string
		KillSignal   string
		KillTimeout  time.Duration
		Resources    resources
		LogConfig    logConfig
	}
	portLabel struct{ Label string }
	resources struct{ CPU, MemoryMB int }
	logConfig struct{ MaxFiles, MaxFileSizeMB int }
)

// What is got.
type (
	evaluation struct {
		Status, StatusDescription string
		FailedTGAllocs            map[string]failedPlacement
	}
	failedPlacement struct {
		NodesEvaluated, NodesExhausted int
		NodesAvailable                 map[string]int
		ConstraintFiltered             map[string]int
		DimensionExhausted             map[string]int
		QuotaExhausted                 []string
	}
	registeredJob struct {
		JobModifyIndex uint64
		Constraints    []constraint
	}
	allocation struct {
		ID, JobID, TaskGroup              string
		NodeID, NodeName                  string
		ClientStatus, ClientDescription   string
		DesiredStatus, DesiredDescription string
		DesiredTransition                 struct{ Migrate *bool }
		PreemptedByAllocation             string
		CreateIndex, ModifyIndex          uint64
		TaskStates                        map[string]taskState
		AllocatedResources                struct{ Shared struct{ Ports []port } }
	}
	taskState struct {
		State     string
		StartedAt time.Time
		Events    []event
	}
	event struct {
		Type, DisplayMessage string
		ExitCode, Signal     int
		Details              map[string]string
	}
	port struct {
		Label, HostIP string
		Value         int
	}
)

// never is a policy that does nothing.
func never(mode string, unlimited *bool) policy {
	return policy{Attempts: 0, Interval: time.Minute, Mode: mode, Unlimited: unlimited}
}

// job returns what is registered for one launch, given how many pods each node has.
func (s Starter) job(req launcher.StartRequest, loads map[string]int) job {
	no := false
	j := job{
		ID:   JobID(req.Name, req.ID),
		Name: req.Name,
		// Not a service: the engine would replace a service that has ended by itself.
		Type:        "batch",
		Datacenters: []string{"*"},
		Meta:        map[string]string{"podlaunch_pod": req.Name, "podlaunch_launch": req.ID.String()},
		TaskGroups: []group{{
			Name:             taskName,
			Count:            1,
			RestartPolicy:    never("fail", nil),
			ReschedulePolicy: never("", &no),
			EphemeralDisk:    disk{SizeMB: 2 * logFiles * logFileMB},

			MaxClientDisconnect: outOfReach,
			Disconnect:          &disconnect{LostAfter: outOfReach},
			Tasks: []task{{
				Name:   taskName,
				Driver: s.driver(),
				Config: map[string]any{
					"command": literal(req.Command.Path),
					"args":    literals(req.Command.Args),
				},
				Env:         environment(req.Command.Env),
				KillSignal:  "SIGTERM",
				KillTimeout: s.killTimeout(),
				Resources:   resources{CPU: or(s.CPU, 100), MemoryMB: or(s.MemoryMB, 128)},
				LogConfig:   logConfig{MaxFiles: logFiles, MaxFileSizeMB: logFileMB},
			}},
		}},
	}
	if !s.Pack {
		j.Affinities = spread(loads)
	}
	if labels := s.ports(); len(labels) > 0 {
		var n network
		for _, label := range labels {
			n.DynamicPorts = append(n.DynamicPorts, portLabel{label})
		}
		j.TaskGroups[0].Networks = []network{n}
	}
	return j
}

// outOfReach is how long a node may be out of reach and come back with its pods. Until
// then the engine takes them for unknown, and neither ends nor replaces them.
const outOfReach = 365 * 24 * time.Hour

// The engine keeps this much of each of a pod's two streams, and then drops
// what is oldest.
const (
	logFiles  = 5
	logFileMB = 10
)

// literal has the engine, which takes what it is given for a template of HCL,
// take it as it is.
func literal(s string) string {
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(s)
}

func literals(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = literal(s)
	}
	return out
}

// environment makes a map of the variables in env, the last of several values of
// a variable in it.
func environment(env []string) map[string]string {
	m := make(map[string]string, len(env))
	for _, e := range env {
		if name, value, ok := strings.Cut(e, "="); ok && name != "" {
			m[name] = value
		}
	}
	return m
}

func or(value, otherwise int) int {
	if value == 0 {
		return otherwise
	}
	return value
}

// address is where the port can be reached, as net.Dial takes it.
func (p port) address() string { return net.JoinHostPort(p.HostIP, strconv.Itoa(p.Value)) }

// words says why no node was found, as the engine's own tools do.
func (v evaluation) words() string {
	var why []string
	for _, f := range v.FailedTGAllocs {
		if len(f.NodesAvailable) == 0 {
			why = append(why, "no nodes were eligible for evaluation")
		}
		for constraint, n := range f.ConstraintFiltered {
			why = append(why, fmt.Sprintf("constraint %q filtered %d of %d nodes", constraint, n, f.NodesEvaluated))
		}
		for dimension, n := range f.DimensionExhausted {
			why = append(why, fmt.Sprintf("dimension %q exhausted on %d of %d nodes", dimension, n, f.NodesEvaluated))
		}
		for _, quota := range f.QuotaExhausted {
			why = append(why, fmt.Sprintf("quota limit hit: %q", quota))
		}
	}
	if v.StatusDescription != "" {
		why = append(why, v.StatusDescription)
	}
	slices.Sort(why)
	if len(why) == 0 {
		return "the engine does not say why"
	}
	return strings.Join(why, ", ")
}

// A jobMap is a job as it is sent.
type jobMap map[string]any

// asMap returns v as it is sent.
func asMap(v any) (m jobMap, err error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber() // a long time does not fit into a float
	err = d.Decode(&m)
	return m, err
}

// body returns what is registered for one launch, as Starter.Alter has it.
func (s Starter) body(j job) (jobMap, error) {
	m, err := asMap(j)
	if err != nil || s.Alter == nil {
		return m, err
	}
	s.Alter(m)
	var altered job
	if m, err = asMap(m); err == nil {
		var data []byte
		if data, err = json.Marshal(m); err == nil {
			err = json.Unmarshal(data, &altered)
		}
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("nomad.Starter.Alter has made of the job what is none: %w", err)
	case altered.ID != j.ID, altered.Type != j.Type:
		return nil, fmt.Errorf("nomad.Starter.Alter has made of the %s job %q the %s job %q: leave ID and Type as they are", j.Type, j.ID, altered.Type, altered.ID)
	case len(altered.TaskGroups) != 1, altered.TaskGroups[0].Name != taskName, altered.TaskGroups[0].Count != 1:
		return nil, fmt.Errorf("nomad.Starter.Alter: the job must have one group, %q, with Count 1", taskName)
	case !slices.ContainsFunc(altered.TaskGroups[0].Tasks, func(t task) bool { return t.Name == taskName }):
		return nil, fmt.Errorf("nomad.Starter.Alter: the group must have a task %q", taskName)
	}
	return m, nil
}

// withoutDisconnect returns m for engines that do not take both ways to say what
// becomes of a pod whose node is out of reach.
func (m jobMap) withoutDisconnect() jobMap {
	m = maps.Clone(m)
	group := maps.Clone(m["TaskGroups"].([]any)[0].(map[string]any))
	delete(group, "MaxClientDisconnect")
	m["TaskGroups"] = []any{group}
	return m
}

// pinnedTo returns m for the one node. It changes nothing of what runs there.
func (m jobMap) pinnedTo(node string) jobMap {
	m = maps.Clone(m)
	before, _ := m["Constraints"].([]any)
	m["Constraints"] = append(slices.Clone(before), pin(node))
	return m
}

// pin is the constraint that keeps a job on a node.
func pin(node string) constraint {
	return constraint{LTarget: "${node.unique.id}", RTarget: node, Operand: "="}
}

// started reports whether the program has ever run.
func (a allocation) started() bool { return !a.TaskStates[taskName].StartedAt.IsZero() }

// running reports whether the engine says that it runs.
func (a allocation) running() bool {
	return a.started() && a.TaskStates[taskName].State == "running" && !a.terminal()
}

// terminal reports whether the engine will do nothing more with it.
func (a allocation) terminal() bool {
	switch a.ClientStatus {
	case "complete", "failed", "lost":
		return true
	}
	return false
}

// exit is how the program of a terminal allocation ended.
func (a allocation) exit() launcher.Exit {
	for _, e := range slices.Backward(a.TaskStates[taskName].Events) {
		switch {
		case e.Type != "Terminated":
		case e.ExitCode == 0 && e.Signal == 0 && e.Details["exit_message"] != "":
			return launcher.Exit{} // the executor was gone before it could tell
		case e.Signal != 0:
			return launcher.Exit{Signal: syscall.Signal(e.Signal), Known: true}
		default:
			return launcher.Exit{Code: e.ExitCode, Known: true}
		}
	}
	return launcher.Exit{}
}

// words says why a program was not started: what the driver said last.
func (a allocation) words() string {
	for _, e := range slices.Backward(a.TaskStates[taskName].Events) {
		switch e.Type {
		case "Driver Failure", "Setup Failure", "Failed Validation", "Failed Artifact Download", "Task hook failed":
			return e.Type + ": " + strings.Join(strings.Fields(e.DisplayMessage), " ")
		}
	}
	if a.ClientDescription != "" {
		return a.ClientDescription
	}
	return "status " + a.ClientStatus
}
