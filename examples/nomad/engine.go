package nomad

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// An Engine is a Nomad cluster, reached through any one of its agents. The zero
// value is what the nomad command would talk to. It is never changed by use.
type Engine struct {
	// Address of the agent's HTTP API: "http://127.0.0.1:4646". Empty means
	// $NOMAD_ADDR, and if that is not set the address just named.
	Address string

	// Token for an engine that asks for one. Empty means $NOMAD_TOKEN.
	Token string

	// Namespace of the jobs. Empty means $NOMAD_NAMESPACE, else the engine's
	// default.
	Namespace string

	// Region of the jobs. Empty means $NOMAD_REGION, else the agent's.
	Region string

	// TLS says how an agent is spoken to whose address begins with https.
	TLS TLS

	// MaxConns is how many connections this program has to the agent at a time. Some
	// are kept for calls that are over soon, so that a pod can be stopped however
	// many logs are read. Logs for which there are too few take turns. 0 means
	// [DefaultMaxConns], and less than 4 is an error.
	MaxConns int

	// Client makes the requests. Nil means a client that all Engines share. Its
	// Timeout must be 0, for the engine is asked to tell what changes for as long
	// as there are pods; and TLS must be zero, for it is the Client's then.
	Client *http.Client
}

var (
	// ErrUnreachable says that no agent answers at the Engine's address, or that its
	// answer over HTTP broke off.
	ErrUnreachable = errors.New("engine unreachable")

	// ErrRefused says that the engine does not take the job; its own words follow.
	ErrRefused = errors.New("job refused")

	// ErrNoRoom says that no node of the engine can take the pod now; why, for how
	// many of them, follows.
	ErrNoRoom = errors.New("no node fits")

	// ErrNotStarted says that a node was found and could not start the program:
	// the driver's words follow. There is no log then.
	ErrNotStarted = errors.New("the node could not start it")

	// ErrNoPort says that a pod has no port with the label that is asked for.
	ErrNoPort = errors.New("no port with the label")

	// ErrLost says that the pod is not where it was launched any more, or that the
	// engine does not know what became of it: its node does not answer, the engine
	// has moved it, or has forgotten the job. The program may still run. What that
	// means for the pod's name is [Starter.OnLost].
	ErrLost = errors.New("the engine has lost the pod")

	// ErrDrained says that the engine has ended the pod because an operator drains its
	// node. It comes with [ErrLost].
	ErrDrained = errors.New("the pod's node is drained")

	// ErrForbidden says that the engine does not allow what was asked for: the token
	// lacks a capability, or was revoked. The engine's own words follow.
	ErrForbidden = errors.New("the engine does not allow it")

	// ErrBusy says that there is no connection left: the agent refuses one more from
	// this address (limits.http_max_conns_per_client), or Engine.MaxConns are in use.
	ErrBusy = errors.New("the engine takes no more connections")

	// ErrTLS says that the agent is not who it should be, or takes this side for
	// somebody else. It is no matter of time.
	ErrTLS = errors.New("no secure connection to the engine")
)

// A StatusError is an answer of the engine that is not what was asked for.
type StatusError struct {
	Status int    // of HTTP
	Words  string // the engine's, in one line
}

func (e *StatusError) Error() string { return fmt.Sprintf("%q (status %d)", e.Words, e.Status) }

// isStatus reports whether err is an answer with one of statuses.
func isStatus(err error, statuses ...int) bool {
	var answer *StatusError
	if !errors.As(err, &answer) {
		return false
	}
	for _, s := range statuses {
		if answer.Status == s {
			return true
		}
	}
	return false
}

// passing reports whether a question may have another answer in a moment: an
// agent that is being restarted or has too many connections, a cluster that is
// electing its leader.
func passing(err error) bool {
	switch {
	case errors.Is(err, ErrForbidden), errors.Is(err, ErrTLS):
		return false
	case errors.Is(err, ErrUnreachable), errors.Is(err, ErrBusy):
		return true
	}
	var answer *StatusError
	if !errors.As(err, &answer) || answer.Status < 500 {
		return false
	}
	for _, words := range []string{"No cluster leader", "No path to", "EOF", "connection", "rpc error", "node is not connected", "timeout"} {
		if strings.Contains(answer.Words, words) {
			return true
		}
	}
	return false
}

// refused returns the error for an answer that is no success.
func refused(status int, words string) error {
	answer := &StatusError{Status: status, Words: strings.Join(strings.Fields(words), " ")}
	switch {
	case status == http.StatusTooManyRequests:
		return fmt.Errorf("%w from here: %w", ErrBusy, answer)
	case status == http.StatusForbidden:
		return fmt.Errorf("%w: %w", ErrForbidden, answer)
	}
	for _, told := range []string{"Permission denied", "ACL token not found", "ACL token expired"} {
		if strings.Contains(answer.Words, told) { // who passes a call on makes it a failure of its own
			return fmt.Errorf("%w: %w", ErrForbidden, answer)
		}
	}
	return answer
}

const (
	// blockFor is how long the engine may wait for a change before it answers
	// that there is none. It adds up to a sixteenth.
	blockFor = time.Minute

	// callPatience ends a call that does not wait for anything.
	callPatience = 10 * time.Second

	// maxWords is how much of an answer goes into an error.
	maxWords = 2 << 10
)

// errNoAnswer ends a call that was made in vain.
var errNoAnswer = fmt.Errorf("%w: no answer within %v", ErrUnreachable, callPatience)

// A query is what a call says beside its path.
type query map[string]string

// open makes a request and returns the answer, whose body the caller closes. An
// answer that is no success wraps a [*StatusError].
func (e Engine) open(ctx context.Context, method, path string, q query, body any, stream bool) (*http.Response, error) {
	req, err := e.request(ctx, method, path, q, body)
	if err != nil {
		return nil, err
	}
	client, err := e.client()
	if err != nil {
		return nil, err
	}
	leave, err := e.road().enter(ctx, stream)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		leave()
		switch cause := context.Cause(ctx); {
		case isTLS(err):
			return nil, fmt.Errorf("%w: %w", ErrTLS, err)
		case cause != nil:
			return nil, cause
		}
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	resp.Body = leaving{resp.Body, leave}
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		words, _ := io.ReadAll(io.LimitReader(resp.Body, maxWords))
		return nil, refused(resp.StatusCode, string(words))
	}
	return resp, nil
}

// request is what is asked.
func (e Engine) request(ctx context.Context, method, path string, q query, body any) (*http.Request, error) {
	var sent io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		sent = bytes.NewReader(data)
	}
	if e.MaxConns != 0 && e.MaxConns < minConns {
		return nil, fmt.Errorf("nomad.Engine.MaxConns: it is %d, and must be 0 or at least %d", e.MaxConns, minConns)
	}
	target, err := e.url(path, q)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, target, sent)
	if err != nil {
		return nil, err
	}
	if token := orEnv(e.Token, "NOMAD_TOKEN"); token != "" {
		req.Header.Set("X-Nomad-Token", token)
	}
	return req, nil
}

// A leaving is a body that makes room when it is closed.
type leaving struct {
	io.ReadCloser
	leave func()
}

func (l leaving) Close() error {
	defer l.leave()
	return l.ReadCloser.Close()
}

// url is where a call goes; the elements of path are escaped.
func (e Engine) url(path string, q query) (string, error) {
	address := orEnv(e.Address, "NOMAD_ADDR")
	if address == "" {
		address = "http://127.0.0.1:4646"
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", fmt.Errorf("nomad.Engine.Address: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("nomad.Engine.Address: it is %q, and must be a URL such as http://127.0.0.1:4646", address)
	}
	values := url.Values{}
	for k, v := range q {
		values.Set(k, v)
	}
	if ns := orEnv(e.Namespace, "NOMAD_NAMESPACE"); ns != "" {
		values.Set("namespace", ns)
	}
	if region := orEnv(e.Region, "NOMAD_REGION"); region != "" {
		values.Set("region", region)
	}
	target := strings.TrimSuffix(u.String(), "/") + path
	if len(values) > 0 {
		target += "?" + values.Encode()
	}
	return target, nil
}

func orEnv(value, name string) string {
	if value == "" {
		return os.Getenv(name)
	}
	return value
}

// call makes a request whose answer is JSON, and returns the index of what it
// tells about, to ask for a later one with.
func (e Engine) call(ctx context.Context, method, path string, q query, body, answer any) (index uint64, err error) {
	resp, err := e.open(ctx, method, path, q, body, false)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return 0, nil
	}
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return 0, cause
		}
		return 0, fmt.Errorf("%w: its answer to %s %s has no end: %w", ErrUnreachable, method, path, err)
	}
	index, _ = strconv.ParseUint(resp.Header.Get("X-Nomad-Index"), 10, 64) // 0 asks for what there is
	return index, nil
}

// soon is a context for a call that does not wait for anything, and is to be
// made whether ctx is done or not.
func soon(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(context.WithoutCancel(ctx), callPatience, errNoAnswer)
}

// since asks for what comes after index; 0 asks for what there is.
func since(index uint64) query {
	if index == 0 {
		return query{}
	}
	return query{"index": strconv.FormatUint(index, 10), "wait": blockFor.String()}
}

// A registration is what the engine answers to a job.
type registration struct {
	EvalID         string // of the evaluation that places it
	JobModifyIndex uint64
}

// register registers a job. With an index that is not 0 it does so only if that is
// still the job's.
func (e Engine) register(ctx context.Context, j jobMap, index uint64) (r registration, err error) {
	body := map[string]any{"Job": j}
	if index != 0 {
		body["EnforceIndex"], body["JobModifyIndex"] = true, index
	}
	_, err = e.call(ctx, http.MethodPut, "/v1/jobs", nil, body, &r)
	return r, err
}

// deregister ends what runs of a job, and has the engine forget it. That there
// is no such job is no error. The evaluation is empty then.
func (e Engine) deregister(ctx context.Context, id string) (evaluation string, err error) {
	var answer struct{ EvalID string }
	_, err = e.call(ctx, http.MethodDelete, "/v1/job/"+url.PathEscape(id), query{"purge": "true"}, nil, &answer)
	if isStatus(err, http.StatusNotFound) || err != nil && strings.Contains(err.Error(), "job not found") { // somebody else was faster
		err = nil
	}
	return answer.EvalID, err
}

// registered returns a job; the error says that there is none, or is about the
// asking.
func (e Engine) registered(ctx context.Context, id string) (j registeredJob, err error) {
	_, err = e.call(ctx, http.MethodGet, "/v1/job/"+url.PathEscape(id), nil, nil, &j)
	return j, err
}

// allocations returns those of a job: none as long as it is not placed, and one
// then, unless the engine moves it.
func (e Engine) allocations(ctx context.Context, id string) (all []allocation, err error) {
	_, err = e.call(ctx, http.MethodGet, "/v1/job/"+url.PathEscape(id)+"/allocations", nil, nil, &all)
	return all, err
}

// pods returns the allocations of all pods in the namespace. Those that have ended are
// among them while the engine remembers them.
func (e Engine) pods(ctx context.Context) (all []allocation, err error) {
	_, err = e.call(ctx, http.MethodGet, "/v1/allocations", query{
		"filter": `TaskGroup == "` + taskName + `"`, "resources": "true",
	}, nil, &all)
	return all, err
}

// allocation returns one, with all that the engine knows of it.
func (e Engine) allocation(ctx context.Context, id string) (a allocation, err error) {
	_, err = e.call(ctx, http.MethodGet, "/v1/allocation/"+url.PathEscape(id), nil, nil, &a)
	return a, err
}

// knowsNode asks whether a node is one of the cluster's; the error is
// [http.StatusNotFound] if it is not, or not any more.
func (e Engine) knowsNode(ctx context.Context, id string) error {
	_, err := e.call(ctx, http.MethodGet, "/v1/node/"+url.PathEscape(id), nil, nil, &struct{}{})
	return err
}

// events opens the stream of what happens to allocations from now on.
func (e Engine) events(ctx context.Context) (*http.Response, error) {
	return e.open(ctx, http.MethodGet, "/v1/event/stream", query{"topic": "Allocation:*"}, nil, true)
}

// evaluated waits until an evaluation is over.
func (e Engine) evaluated(ctx context.Context, id string) (v evaluation, err error) {
	for index, delay := uint64(0), newDelay(); ; {
		v = evaluation{}
		next, err := e.call(ctx, http.MethodGet, "/v1/evaluation/"+url.PathEscape(id), since(index), nil, &v)
		switch {
		case err == nil && v.Status != "pending":
			return v, nil
		case err == nil:
			index = later(index, next)
		case !passing(err):
			return v, err
		default:
			if !pause(ctx, delay.NextBackOff()) {
				return v, fmt.Errorf("%w; %w", context.Cause(ctx), err)
			}
		}
	}
}

// signal sends a signal, by its name, to the process that an allocation is.
func (e Engine) signal(ctx context.Context, allocation, name string) error {
	body := struct{ Signal, Task string }{name, taskName}
	_, err := e.call(ctx, http.MethodPut, "/v1/client/allocation/"+url.PathEscape(allocation)+"/signal", nil, body, &struct{}{})
	return err
}

// logs opens a log. The answer is a stream of frames, which has an end unless it
// is to be followed.
func (e Engine) logs(ctx context.Context, q logQuery) (*http.Response, error) {
	origin := "start"
	if q.fromEnd {
		origin = "end"
	}
	return e.open(ctx, http.MethodGet, "/v1/client/fs/logs/"+url.PathEscape(q.allocation), query{
		"task": taskName, "type": q.stream, "origin": origin,
		"offset": strconv.FormatInt(q.offset, 10), "follow": strconv.FormatBool(q.follow),
	}, nil, true)
}

// later is the index to go on with. A smaller index than the last comes from
// an engine that has begun anew.
func later(last, next uint64) uint64 {
	if next < last {
		return 0
	}
	return next
}

// newDelay is how long to wait between the attempts to reach an engine.
func newDelay() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(20*time.Millisecond),
		backoff.WithMaxInterval(time.Second),
		backoff.WithMaxElapsedTime(0),
	)
}

// pause waits for d, and reports whether ctx is still good.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
