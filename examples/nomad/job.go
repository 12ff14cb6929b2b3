package nomad

import (
	"fmt"
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
	}
	policy struct {
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
	allocation struct {
		ID, NodeID, NodeName            string
		ClientStatus, ClientDescription string
		CreateIndex                     uint64
		TaskStates                      map[string]taskState
		AllocatedResources              struct{ Shared struct{ Ports []port } }
	}
	taskState struct {
		State     string
		StartedAt time.Time
		Events    []event
	}
	event struct {
		Type, DisplayMessage string
		ExitCode, Signal     int
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

// job returns what is registered for one launch.
func (s Starter) job(req launcher.StartRequest) job {
	no := false
	j := job{
		ID:   JobID(req.Name, req.ID),
		Name: req.Name,
		// Not a service: the engine would replace one that has ended by itself.
		Type:        "batch",
		Datacenters: []string{"*"},
		Meta:        map[string]string{"podlaunch_pod": req.Name, "podlaunch_launch": req.ID.String()},
		TaskGroups: []group{{
			Name:             taskName,
			Count:            1,
			RestartPolicy:    never("fail", nil),
			ReschedulePolicy: never("", &no),
			EphemeralDisk:    disk{SizeMB: 2 * logFiles * logFileMB},
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
	if labels := s.ports(); len(labels) > 0 {
		var n network
		for _, label := range labels {
			n.DynamicPorts = append(n.DynamicPorts, portLabel{label})
		}
		j.TaskGroups[0].Networks = []network{n}
	}
	return j
}

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

// started reports whether the program has ever run.
func (a allocation) started() bool { return !a.TaskStates[taskName].StartedAt.IsZero() }

// running reports whether it runs, as far as the engine has heard.
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
