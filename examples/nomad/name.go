package nomad

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// ErrTaken says that a pod of the name runs on the cluster, or is being launched there,
// by a launcher with a base of its own. It comes with [Starter.OneName].
var ErrTaken = errors.New("the name is taken on the cluster")

// claimsPath is where the claims are among the engine's variables, one for each name.
const claimsPath = "podlaunch/names/"

// lease is how long a claim without a job is good. A launch that finds such a claim waits
// that long, by its own clock, from when it first saw the claim.
var lease = 20 * time.Second

// A claim is what a launch has written into the variable of its pod's name. The engine
// takes it if nobody else was faster: it compares the index at which the variable was
// last written. The launch registers its job after that, and confirms the claim once the
// job runs. If somebody has taken the claim over meanwhile, for it was older than its
// lease and had no job, the launch ends its job and fails. docs/internals/model/names.pml is a
// model of this.
type claim struct {
	Path        string
	ModifyIndex uint64
	Items       claimItems
}

type claimItems struct {
	Launch, Job, Host string
	Confirmed         string // "true" once the job runs
}

func claimPath(name string) string { return claimsPath + name }

// putClaim writes a claim if the variable was last written at index, 0: never. The
// other is what is there otherwise.
func (e Engine) putClaim(ctx context.Context, c claim, index uint64) (put claim, other *claim, err error) {
	_, err = e.call(ctx, http.MethodPut, "/v1/var/"+claimURL(c.Path), query{"cas": strconv.FormatUint(index, 10)}, c, &put)
	if isStatus(err, http.StatusConflict) {
		found, err := e.claim(ctx, c.Path)
		if isStatus(err, http.StatusNotFound) {
			return put, &claim{Path: c.Path}, nil // it has just gone
		}
		return put, &found, err
	}
	return put, nil, err
}

// claim reads the variable.
func (e Engine) claim(ctx context.Context, path string) (c claim, err error) {
	_, err = e.call(ctx, http.MethodGet, "/v1/var/"+claimURL(path), nil, nil, &c)
	return c, err
}

// dropClaim removes a claim that is still that of the launch.
func (e Engine) dropClaim(ctx context.Context, name, launch string) error {
	c, err := e.claim(ctx, claimPath(name))
	switch {
	case isStatus(err, http.StatusNotFound), err == nil && c.Items.Launch != launch:
		return nil
	case err != nil:
		return err
	}
	_, err = e.call(ctx, http.MethodDelete, "/v1/var/"+claimURL(c.Path), query{"cas": strconv.FormatUint(c.ModifyIndex, 10)}, nil, &struct{}{})
	if isStatus(err, http.StatusConflict, http.StatusNotFound) {
		err = nil // it is somebody else's by now
	}
	return err
}

// claimURL is a path of a variable as a part of a URL.
func claimURL(path string) string { return (&url.URL{Path: path}).EscapedPath() }

// checkName makes sure that a variable can be called after a pod.
func checkName(name string) error {
	for _, r := range name {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '~' {
			continue
		}
		return fmt.Errorf("nomad.Starter.OneName: the engine has no variable for the name %q, for %q is in it: take letters, digits, -, _ and ~", name, r)
	}
	if len(name)+len(claimsPath) > 128 {
		return fmt.Errorf("nomad.Starter.OneName: the name %q has %d bytes, and the engine takes %d for a variable", name, len(name), 128-len(claimsPath))
	}
	return nil
}

// claim takes the name for a launch on the whole cluster. It waits for as long as it
// cannot be told whether the one who has it goes on.
func (s Starter) claim(ctx context.Context, name string, id uuid.UUID) (claim, error) {
	if err := checkName(name); err != nil {
		return claim{}, err
	}
	host, _ := os.Hostname()
	mine := claim{Path: claimPath(name), Items: claimItems{Launch: id.String(), Job: JobID(name, id), Host: host}}
	var index, seen uint64
	var since time.Time
	for delay := newDelay(); ; {
		bound, cancel := context.WithTimeoutCause(ctx, callPatience, errNoAnswer)
		put, other, err := s.Engine.putClaim(bound, mine, index)
		switch {
		case err == nil && other == nil:
			cancel()
			return put, nil
		case err == nil && other.Items.Launch == mine.Items.Launch:
			cancel()
			return *other, nil // the answer was lost
		case err == nil && other.ModifyIndex == 0:
			index = 0
		case err == nil:
			if other.ModifyIndex != seen {
				seen, since = other.ModifyIndex, time.Now()
			}
			var stale bool
			if stale, err = s.isStale(bound, name, *other, since); stale {
				index = other.ModifyIndex
				cancel()
				continue
			}
		}
		cancel()
		if err != nil && !passing(err) {
			return claim{}, err
		}
		if !pause(ctx, delay.NextBackOff()) {
			why := err
			if why == nil {
				why = fmt.Errorf("%w: by the launch %s on %s, which has no job yet; its claim is good for %v", ErrTaken, other.Items.Launch, other.Items.Host, lease)
			}
			return claim{}, why
		}
	}
}

// isStale reports whether a claim that was first seen then can be taken over: its job has
// ended, or there is none and its lease is over. The error wraps [ErrTaken] if it has one.
func (s Starter) isStale(ctx context.Context, name string, c claim, since time.Time) (bool, error) {
	launch, err := uuid.Parse(c.Items.Launch)
	if err != nil {
		return false, fmt.Errorf("the engine's variable %s is no claim of ours: its launch is %q: remove it", c.Path, c.Items.Launch)
	}
	job := JobID(name, launch)
	all, err := s.Engine.allocations(ctx, job)
	if err != nil {
		return false, err
	}
	a, err := s.find(ctx, job, all)
	switch {
	case err == nil && a.ID == "":
		return false, fmt.Errorf("%w: by the launch %s on %s; its job %s is not placed yet", ErrTaken, launch, c.Items.Host, job)
	case err == nil:
		return false, fmt.Errorf("%w: by the launch %s on %s; its job %s is on the node %s", ErrTaken, launch, c.Items.Host, job, a.NodeName)
	case !errors.Is(err, os.ErrProcessDone):
		return false, err
	}
	return a.ID != "" || c.Items.Confirmed != "" || time.Since(since) > lease, nil
}

// confirm says that the job of a claim runs. The error wraps [ErrTaken] if somebody has
// taken the claim over.
func (p *process) confirm(ctx context.Context) error {
	p.mu.Lock()
	c := p.claim
	p.mu.Unlock()
	if c.ModifyIndex == 0 {
		return nil
	}
	c.Items.Confirmed = "true"
	for delay := newDelay(); ; {
		bound, cancel := context.WithTimeoutCause(ctx, callPatience, errNoAnswer)
		put, other, err := p.Engine.putClaim(bound, c, c.ModifyIndex)
		cancel()
		switch {
		case err == nil && other == nil:
			p.mu.Lock()
			p.claim = put
			p.mu.Unlock()
			return nil
		case err == nil && other.Items == c.Items:
			return nil // the answer was lost
		case err == nil:
			return fmt.Errorf("%w: the launch %s on %s has taken it over, for this one was slower than %v", ErrTaken, other.Items.Launch, other.Items.Host, lease)
		case !passing(err):
			return fmt.Errorf("confirm the claim of the name: %w", err)
		case !pause(ctx, delay.NextBackOff()):
			return fmt.Errorf("confirm the claim of the name: %w", err)
		}
	}
}

// drop gives the name back.
func (p *process) drop(ctx context.Context) error {
	if !p.OneName {
		return nil
	}
	name, launch, ok := cutJobID(p.job)
	if !ok {
		return nil
	}
	if err := p.Engine.dropClaim(ctx, name, launch); err != nil {
		return fmt.Errorf("give the name back on the cluster: %w", err)
	}
	return nil
}

// cutJobID is the reverse of [JobID].
func cutJobID(job string) (name, launch string, ok bool) {
	const length = 36
	if len(job) <= length {
		return "", "", false
	}
	name, launch = job[:len(job)-length-1], job[len(job)-length:]
	_, err := uuid.Parse(launch)
	return name, launch, err == nil
}
