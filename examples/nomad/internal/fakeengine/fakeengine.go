// Package fakeengine is the part of a Nomad agent's HTTP API that a launch uses,
// in memory, and does on demand what a real agent does rarely: it refuses, loses
// an allocation, cuts a log, sends nothing but heartbeats, hangs, goes away and
// comes back.
package fakeengine

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/examples/nomad/internal/loopback"
)

// An Engine is the fake. Its fields are set before it is used, or under Change.
type Engine struct {
	// Run plays the program of each job, in a goroutine of its own. When it
	// returns, the program has exited with that code. Nil: it does nothing until a
	// signal ends it.
	Run func(t *Task) int

	Refuse   string // is why jobs are refused; empty: they are not
	NoRoom   bool   // no node fits
	Broken   string // is why no program can be started, in the driver's words
	Pending  bool   // nodes do not get to the point of starting a program
	Hang     bool   // nothing is answered until the question is given up
	Election bool   // the cluster has no leader
	Busy     bool   // there are too many connections
	FirstLog int    // the number of a log's oldest file: 0 unless some are gone
	CutLogs  int    // each stream ends after so many bytes; 0: none does
	MuteLogs bool   // streams that are followed bring heartbeats only
	Calm     bool   // they bring none
	Away     bool   // no node is known

	// Forbid has calls that are not allowed, as handler has them.
	Forbid map[string]bool

	// Late is an engine that takes one way alone to say what becomes of a pod whose
	// node is out of reach.
	Late bool

	// Host is where it listens, and its programs do: an address of its own.
	Host string

	t       *testing.T
	address string
	mu      sync.Mutex
	changed chan struct{} // closed at the next change
	index   uint64
	jobs    map[string]*Task // by the job's id, those that are registered
	bodies  map[string]*body // of those
	vars    map[string]*variable
	allocs  map[string]*Task // by the allocation's id, all that ever were
	calls   map[string]int
	streams int // that are open
	conns   int // connections
	most    int // of them at a time
	server  *http.Server
	socket  net.Listener
	tasks   sync.WaitGroup
}

// A Task is the program of one job.
type Task struct {
	Job     string
	Command string
	Args    []string
	Env     map[string]string

	// Signals brings the signals that the task gets, except SIGKILL, which ends it. It
	// has room for some.
	Signals chan string

	// Done is closed when the task has ended.
	Done chan struct{}

	e       *Engine
	alloc   string
	ports   []string
	node    string
	desired string // run, stop
	migrate bool
	state   string // pending, running, dead
	status  string // of the allocation
	created uint64
	index   uint64
	started time.Time
	events  []map[string]any
	logs    map[string][]byte
}

// New returns an Engine that listens, and stops with the test.
func New(t *testing.T) *Engine {
	e := &Engine{t: t, changed: make(chan struct{}), index: 1, jobs: map[string]*Task{}, bodies: map[string]*body{}, vars: map[string]*variable{}, allocs: map[string]*Task{}, calls: map[string]int{}}
	e.Host = loopback.Address()
	e.address = net.JoinHostPort(e.Host, "0")
	e.Up()
	t.Cleanup(func() {
		e.Down()
		e.Forget()
		e.tasks.Wait()
	})
	return e
}

// URL is where it listens.
func (e *Engine) URL() string { return "http://" + e.address }

// Up lets it listen, again if it has before.
func (e *Engine) Up() {
	listener, err := net.Listen("tcp", e.address)
	if err != nil {
		e.t.Error(err)
		return
	}
	server := &http.Server{Handler: e.handler(), ReadHeaderTimeout: time.Minute, ConnState: e.connState}
	e.mu.Lock()
	e.address, e.server, e.socket = listener.Addr().String(), server, listener
	e.mu.Unlock()
	go server.Serve(listener) // ends with Down
}

func (e *Engine) connState(_ net.Conn, state http.ConnState) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch state {
	case http.StateNew:
		e.conns++
		e.most = max(e.most, e.conns)
	case http.StateClosed, http.StateHijacked:
		e.conns--
	}
}

// MostConns is how many connections there were at a time.
func (e *Engine) MostConns() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.most
}

// Down is the agent's death: it cuts off all connections.
func (e *Engine) Down() {
	e.mu.Lock()
	server, socket := e.server, e.socket
	e.mu.Unlock()
	socket.Close() // the server has it only once it serves
	server.Close()
}

// Forget ends all programs, and makes it an engine that knows of nothing.
func (e *Engine) Forget() {
	for _, t := range e.Tasks() {
		t.end(0, syscall.SIGKILL)
	}
	e.Change(func() {
		clear(e.jobs)
		clear(e.bodies)
		clear(e.allocs)
		e.index = 1
	})
}

// Change changes what the fields say while it is used.
func (e *Engine) Change(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f()
	e.change(nil)
}

// change wakes the waiting requests. The caller holds mu. t is what was changed.
func (e *Engine) change(t *Task) {
	e.index++
	if t != nil {
		t.index = e.index
	}
	e.wake()
}

// wake wakes the waiting requests. The caller holds mu.
func (e *Engine) wake() {
	close(e.changed)
	e.changed = make(chan struct{})
}

// Tasks returns those that there were.
func (e *Engine) Tasks() []*Task {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.SortedFunc(maps.Values(e.allocs), func(a, b *Task) int { return cmp.Compare(a.created, b.created) })
}

// Jobs returns the ids of the jobs that are registered.
func (e *Engine) Jobs() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Sorted(maps.Keys(e.jobs))
}

// Calls returns how often each call was made.
func (e *Engine) Calls() map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.calls)
}

// Await waits until f, which is called whenever something has changed, is true.
func (e *Engine) Await(f func() bool) {
	for {
		e.mu.Lock()
		changed := e.changed
		e.mu.Unlock()
		if f() {
			return
		}
		select {
		case <-changed:
		case <-e.t.Context().Done():
			e.t.Error("what was waited for has not come")
			return
		}
	}
}

// Write writes to a stream of the task, "stdout" or "stderr".
func (t *Task) Write(stream string, data []byte) {
	t.e.mu.Lock()
	defer t.e.mu.Unlock()
	t.logs[stream] = append(t.logs[stream], data...)
	t.e.change(nil)
}

// Say writes a line to stderr.
func (t *Task) Say(format string, args ...any) {
	t.Write("stderr", fmt.Appendf(nil, format+"\n", args...))
}

// Exit ends the task.
func (t *Task) Exit(code int) { t.end(code, 0) }

// Lose lets its node not answer any more: the allocation is lost, or unknown
// to an engine that waits for it.
func (t *Task) Lose(status string) { t.set(func() { t.status = status }) }

// Back makes its node answer again, with the program as it was.
func (t *Task) Back() { t.set(func() { t.status = "running" }) }

func (t *Task) set(f func()) {
	t.e.mu.Lock()
	defer t.e.mu.Unlock()
	f()
	t.e.change(t)
}

// Drain has the engine end it so that its node gets empty.
func (t *Task) Drain() {
	t.set(func() { t.migrate, t.desired = true, "stop" })
	t.sent("SIGTERM")
}

// Move has the engine make another allocation of its job, on another node.
func (t *Task) Move() *Task {
	t.e.mu.Lock()
	defer t.e.mu.Unlock()
	other := t.e.add(t.Job)
	other.node = "there"
	return other
}

// Kill ends it without word from its executor: the node reports status 0.
func (t *Task) Kill() {
	t.e.mu.Lock()
	if t.state == "running" {
		t.events = append(t.events, map[string]any{"Type": "Terminated", "ExitCode": 0, "Signal": 0, "Details": map[string]string{"exit_message": "executor: error waiting on process: rpc error: code = Unavailable"}})
		t.state, t.status = "dead", "complete"
		close(t.Done)
		t.e.change(t)
	}
	t.e.mu.Unlock()
}

// Pinned returns the node to which a job is bound; empty if it is to none.
func (e *Engine) Pinned(job string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if b := e.bodies[job]; b != nil {
		for _, c := range b.Constraints {
			if c.LTarget == "${node.unique.id}" && c.Operand == "=" {
				return c.RTarget
			}
		}
	}
	return ""
}

// Body returns what was registered of a job last.
func (e *Engine) Body(job string) map[string]any {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.bodies[job].whole
}

// start starts the program; the caller holds mu.
func (t *Task) start() {
	e := t.e
	if e.Broken != "" {
		t.state, t.status = "dead", "failed"
		t.events = append(t.events, map[string]any{"Type": "Driver Failure", "DisplayMessage": e.Broken}, map[string]any{"Type": "Not Restarting", "DisplayMessage": "Policy allows no restarts"})
		close(t.Done)
		return
	}
	t.state, t.status, t.started = "running", "running", time.Now()
	t.events = append(t.events, map[string]any{"Type": "Started"})
	run := e.Run
	if run == nil {
		run = func(t *Task) int {
			select {
			case <-t.Signals:
			case <-t.Done:
			}
			return 143
		}
	}
	e.tasks.Go(func() { t.end(run(t), 0) })
}

// end ends it, if it has not ended.
func (t *Task) end(code int, signal syscall.Signal) {
	t.e.mu.Lock()
	defer t.e.mu.Unlock()
	if t.state == "dead" {
		return
	}
	if signal != 0 {
		code = 128 + int(signal)
	}
	if t.state == "running" {
		t.events = append(t.events, map[string]any{"Type": "Terminated", "ExitCode": code, "Signal": int(signal)})
	}
	t.state = "dead"
	if t.status != "lost" && t.status != "unknown" {
		t.status = "failed"
		if code == 0 {
			t.status = "complete"
		}
	}
	close(t.Done)
	t.e.change(t)
}

// Add registers a job that was not asked for, whose program runs.
func (e *Engine) Add(job string) *Task {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.add(job)
}

// add is Add; the caller holds mu.
func (e *Engine) add(job string) *Task {
	e.index++
	t := &Task{
		Job: job, Signals: make(chan string, 16), Done: make(chan struct{}),
		e: e, node: "here", desired: "run", state: "pending", status: "pending", created: e.index, logs: map[string][]byte{},
	}
	t.alloc = fmt.Sprintf("%08d-0000-0000-0000-000000000000", e.index)
	e.jobs[job], e.allocs[t.alloc] = t, t
	if !e.Pending {
		t.start()
	}
	e.change(t)
	return t
}

// Start has the nodes get on with what is pending.
func (e *Engine) Start() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.Pending = false
	for _, t := range e.allocs {
		if t.state == "pending" {
			t.start()
			e.change(t)
		}
	}
}

// handler has all the calls.
func (e *Engine) handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, handle := range map[string]http.HandlerFunc{
		"PUT /v1/jobs":                          e.register,
		"DELETE /v1/job/{id}":                   e.deregister,
		"GET /v1/job/{id}":                      e.job,
		"GET /v1/job/{id}/allocations":          e.allocations,
		"GET /v1/evaluation/{id}":               e.evaluation,
		"GET /v1/allocation/{id}":               e.allocation,
		"GET /v1/allocations":                   e.list,
		"GET /v1/event/stream":                  e.events,
		"GET /v1/node/{id}":                     e.node,
		"GET /v1/var/{path...}":                 e.variable,
		"PUT /v1/var/{path...}":                 e.setVariable,
		"DELETE /v1/var/{path...}":              e.deleteVariable,
		"GET /v1/client/fs/logs/{id}":           e.log,
		"PUT /v1/client/allocation/{id}/signal": e.signal,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			e.mu.Lock()
			e.calls[pattern]++
			e.wake()
			hang, election, busy, forbid := e.Hang, e.Election, e.Busy, e.Forbid[pattern]
			e.mu.Unlock()
			switch {
			case hang:
				io.Copy(io.Discard, r.Body) // only then the end of the connection is seen
				<-r.Context().Done()
			case forbid:
				http.Error(w, "Permission denied", http.StatusForbidden)
			case busy:
				http.Error(w, "", http.StatusTooManyRequests)
			case election:
				http.Error(w, "No cluster leader", http.StatusInternalServerError)
			default:
				handle(w, r)
			}
		})
	}
	return mux
}

// A body is a job as it was registered.
type body struct {
	ID          string
	Constraints []struct{ LTarget, RTarget, Operand string }
	TaskGroups  []struct {
		MaxClientDisconnect time.Duration
		Disconnect          *struct{ LostAfter time.Duration }
		Networks            []struct {
			DynamicPorts []struct{ Label string }
		}
		Tasks []struct {
			Config struct {
				Command string
				Args    []string
			}
			Env map[string]string
		}
	}
	whole map[string]any
	index uint64
}

// decode reads the job that is to be registered, and on which condition.
func decode(r *http.Request) (j *body, enforce bool, index uint64, err error) {
	var request struct {
		Job            json.RawMessage
		EnforceIndex   bool
		JobModifyIndex uint64
	}
	j = new(body)
	err = json.NewDecoder(r.Body).Decode(&request)
	if err == nil {
		err = json.Unmarshal(request.Job, j)
	}
	if err == nil {
		err = json.Unmarshal(request.Job, &j.whole)
	}
	return j, request.EnforceIndex, request.JobModifyIndex, err
}

func (e *Engine) register(w http.ResponseWriter, r *http.Request) {
	j, enforce, index, err := decode(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	before := e.bodies[j.ID]
	switch group := j.TaskGroups[0]; {
	case e.Late && group.MaxClientDisconnect != 0 && group.Disconnect != nil:
		http.Error(w, "1 error occurred: using both lost_after and max_client_disconnect is not allowed", http.StatusInternalServerError)
		return
	case enforce && (before == nil || before.index != index):
		http.Error(w, "Enforcing job modify index: job exists with conflicting job modify index", http.StatusInternalServerError)
		return
	case e.Refuse != "":
		http.Error(w, e.Refuse, http.StatusInternalServerError)
		return
	case e.NoRoom:
		e.jobs[j.ID] = nil
		e.change(nil)
		answer(w, e.index, map[string]any{"EvalID": "no-room"})
		return
	case e.jobs[j.ID] == nil:
		pending := e.Pending
		e.Pending = true // until it knows what to run
		t := e.add(j.ID)
		e.Pending = pending
		group := j.TaskGroups[0]
		t.Command, t.Args, t.Env = group.Tasks[0].Config.Command, group.Tasks[0].Config.Args, group.Tasks[0].Env
		for _, n := range group.Networks {
			for _, p := range n.DynamicPorts {
				t.ports = append(t.ports, p.Label)
			}
		}
		if !pending {
			t.start()
			e.change(t)
		}
	}
	j.index = e.index
	e.bodies[j.ID] = j
	answer(w, e.index, map[string]any{"EvalID": "placed", "JobModifyIndex": j.index})
}

func (e *Engine) job(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.jobs[r.PathValue("id")]; !ok {
		http.Error(w, "job not found", http.StatusNotFound)
		return
	}
	whole := map[string]any{"ID": r.PathValue("id")}
	if b := e.bodies[r.PathValue("id")]; b != nil {
		whole = b.whole
		whole["JobModifyIndex"] = b.index
	}
	answer(w, 1, whole)
}

func (e *Engine) deregister(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	t, ok := e.jobs[r.PathValue("id")]
	delete(e.jobs, r.PathValue("id"))
	delete(e.bodies, r.PathValue("id"))
	if t != nil {
		t.desired = "stop"
	}
	e.change(t)
	pending := t != nil && t.state == "pending"
	answer(w, e.index, map[string]any{"EvalID": map[bool]string{true: "ended"}[ok]})
	e.mu.Unlock()
	switch {
	case pending:
		t.end(0, 0)
	case t != nil:
		t.sent("SIGTERM")
	}
}

// sent brings a signal to the task.
func (t *Task) sent(name string) {
	if name == "SIGKILL" {
		t.end(0, syscall.SIGKILL)
		return
	}
	select {
	case t.Signals <- name:
	default:
	}
}

func (e *Engine) signal(w http.ResponseWriter, r *http.Request) {
	var body struct{ Signal string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e.mu.Lock()
	t := e.allocs[r.PathValue("id")]
	running := t != nil && t.state == "running"
	e.mu.Unlock()
	switch {
	case t == nil:
		http.Error(w, fmt.Sprintf("Unknown allocation %q", r.PathValue("id")), http.StatusNotFound)
	case !running:
		http.Error(w, "Task not running", http.StatusInternalServerError)
	default:
		t.sent(body.Signal)
		answer(w, 0, map[string]any{"Index": 0})
	}
}

func (e *Engine) allocations(w http.ResponseWriter, r *http.Request) {
	e.answerAll(w, func(t *Task) bool { return t.Job == r.PathValue("id") })
}

func (e *Engine) list(w http.ResponseWriter, r *http.Request) {
	e.answerAll(w, func(t *Task) bool { return true })
}

func (e *Engine) answerAll(w http.ResponseWriter, wanted func(*Task) bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := []map[string]any{}
	for _, t := range e.allocs {
		if wanted(t) {
			all = append(all, t.allocation())
		}
	}
	answer(w, e.index, all)
}

func (e *Engine) node(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.Away {
		http.Error(w, "node not found", http.StatusNotFound)
		return
	}
	answer(w, 1, map[string]any{"ID": r.PathValue("id")})
}

// A variable is one of the engine's.
type variable struct {
	Path        string
	ModifyIndex uint64
	Items       map[string]string
}

// Variables returns what is in each, by its path.
func (e *Engine) Variables() map[string]map[string]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := map[string]map[string]string{}
	for path, v := range e.vars {
		all[path] = maps.Clone(v.Items)
	}
	return all
}

// SetVariable is somebody else who sets one.
func (e *Engine) SetVariable(path string, items map[string]string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.change(nil)
	e.vars[path] = &variable{path, e.index, items}
}

func (e *Engine) variable(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	v := e.vars[r.PathValue("path")]
	if v == nil {
		http.Error(w, "variable not found", http.StatusNotFound)
		return
	}
	answer(w, v.ModifyIndex, v)
}

// isAt reports whether the variable was last written when the request says; the caller
// holds mu.
func (e *Engine) isAt(w http.ResponseWriter, r *http.Request) bool {
	index, err := strconv.ParseUint(r.FormValue("cas"), 10, 64)
	v := e.vars[r.PathValue("path")]
	if err != nil || v == nil && index != 0 || v != nil && v.ModifyIndex != index {
		w.WriteHeader(http.StatusConflict)
		return false
	}
	return true
}

func (e *Engine) setVariable(w http.ResponseWriter, r *http.Request) {
	v := &variable{Path: r.PathValue("path")}
	if err := json.NewDecoder(r.Body).Decode(v); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.isAt(w, r) {
		e.change(nil)
		v.ModifyIndex = e.index
		e.vars[v.Path] = v
		answer(w, e.index, v)
	}
}

func (e *Engine) deleteVariable(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.isAt(w, r) {
		delete(e.vars, r.PathValue("path"))
		e.change(nil)
		w.WriteHeader(http.StatusNoContent)
	}
}

// events tells of each task that has changed since the stream began.
func (e *Engine) events(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	told := e.index
	e.mu.Unlock()
	stream := json.NewEncoder(w)
	stream.Encode(struct{}{})
	http.NewResponseController(w).Flush()
	for {
		e.mu.Lock()
		changed := e.changed
		var events []map[string]any
		for _, t := range e.allocs {
			if t.index > told {
				events = append(events, map[string]any{"Topic": "Allocation", "Payload": map[string]any{"Allocation": t.allocation()}})
			}
		}
		told = e.index
		e.mu.Unlock()
		if len(events) > 0 {
			if stream.Encode(map[string]any{"Index": told, "Events": events}) != nil {
				return
			}
			http.NewResponseController(w).Flush()
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

func (e *Engine) evaluation(w http.ResponseWriter, r *http.Request) {
	v := map[string]any{"Status": "complete"}
	if r.PathValue("id") == "no-room" {
		v["FailedTGAllocs"] = map[string]any{"pod": map[string]any{
			"NodesEvaluated": 2, "NodesExhausted": 1, "NodesAvailable": map[string]int{"dc1": 2},
			"ConstraintFiltered": map[string]int{"missing drivers": 1}, "DimensionExhausted": map[string]int{"memory": 1},
		}}
	}
	answer(w, 1, v)
}

func (e *Engine) allocation(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	t := e.allocs[r.PathValue("id")]
	e.mu.Unlock()
	if t == nil {
		http.Error(w, "alloc not found", http.StatusNotFound)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	answer(w, t.index, t.allocation())
}

// allocation is what the engine knows; the caller holds mu.
func (t *Task) allocation() map[string]any {
	e := t.e
	var ports []map[string]any
	for i, label := range t.ports {
		ports = append(ports, map[string]any{"Label": label, "HostIP": e.Host, "Value": 20000 + i})
	}
	if addr := t.Env["FAKE_ADDR"]; addr != "" { // where the test's own listener is
		host, port, _ := net.SplitHostPort(addr)
		number, _ := strconv.Atoi(port)
		ports = []map[string]any{{"Label": "pod", "HostIP": host, "Value": number}}
	}
	return map[string]any{
		"ID": t.alloc, "JobID": t.Job, "TaskGroup": "pod", "NodeID": "node-" + t.node, "NodeName": t.node,
		"ClientStatus": t.status, "DesiredStatus": t.desired, "DesiredTransition": map[string]any{"Migrate": t.migrate},
		"CreateIndex": t.created, "ModifyIndex": t.index,
		"TaskStates":         map[string]any{"pod": map[string]any{"State": t.state, "StartedAt": t.started, "Events": slices.Clone(t.events)}},
		"AllocatedResources": map[string]any{"Shared": map[string]any{"Ports": ports}},
	}
}

// heartbeat is how often a stream that is followed has something to say.
const heartbeat = 10 * time.Millisecond

// frameSize is how much is in one frame at most.
const frameSize = 64 << 10

func (e *Engine) log(w http.ResponseWriter, r *http.Request) {
	offset, _ := strconv.Atoi(r.FormValue("offset"))
	follow, stream := r.FormValue("follow") == "true", r.FormValue("type")
	e.mu.Lock()
	t := e.allocs[r.PathValue("id")]
	var started bool
	if t != nil {
		started = !t.started.IsZero()
		if r.FormValue("origin") == "end" {
			offset = max(0, len(t.logs[stream])-offset)
		}
	}
	e.mu.Unlock()
	if !started {
		http.Error(w, `task "pod" not started yet. No logs available`, http.StatusNotFound)
		return
	}
	e.opened(1)
	defer e.opened(-1)
	frames, cut := json.NewEncoder(w), 0
	var beat <-chan time.Time
	if !e.Calm {
		ticker := time.NewTicker(heartbeat)
		defer ticker.Stop()
		beat = ticker.C
	}
	for {
		e.mu.Lock()
		data, changed := t.logs[stream], e.changed
		mute, limit, first := e.MuteLogs && follow, e.CutLogs, e.FirstLog
		gone := e.allocs[t.alloc] == nil
		e.mu.Unlock()
		switch piece := data[min(offset, len(data)):min(offset+frameSize, len(data))]; {
		case gone:
			return
		case len(piece) > 0 && !mute:
			if limit > 0 {
				if cut >= limit {
					panic(http.ErrAbortHandler) // the connection goes
				}
				piece = piece[:min(len(piece), limit-cut)]
			}
			offset, cut = offset+len(piece), cut+len(piece)
			if frames.Encode(map[string]any{"Data": piece, "File": fmt.Sprintf("alloc/logs/pod.%s.%d", stream, first), "Offset": offset}) != nil {
				return
			}
			http.NewResponseController(w).Flush()
			continue
		case !follow:
			return
		}
		select {
		case <-changed:
		case <-beat:
			if frames.Encode(struct{}{}) != nil {
				return
			}
			http.NewResponseController(w).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

func (e *Engine) opened(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.streams += n
	e.change(nil)
}

// Streams returns how many logs are being read.
func (e *Engine) Streams() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.streams
}

func answer(w http.ResponseWriter, index uint64, v any) {
	w.Header().Set("X-Nomad-Index", strconv.FormatUint(index, 10))
	json.NewEncoder(w).Encode(v) // to somebody who is gone: nobody minds
}
