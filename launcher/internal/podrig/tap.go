//go:build linux

package podrig

import (
	"context"
	"io"

	"github.com/podlaunch/podlaunch/logsource"
)

// A Tap is the default log, with a look at every reader of it.
type Tap struct {
	// Before is called before each Read.
	Before func(r *Tapped)
}

// Open implements logsource.Source.
func (s Tap) Open(ctx context.Context, launch logsource.Launch) (*logsource.Log, error) {
	log, err := logsource.File{}.Open(ctx, launch)
	if err != nil {
		return nil, err
	}
	follow := log.Follow
	log.Follow = func(ctx context.Context) (io.ReadCloser, error) {
		r, err := follow(ctx)
		return &Tapped{ReadCloser: r, before: s.Before}, err
	}
	return log, nil
}

// A Tapped is a reader that knows what it has got so far.
type Tapped struct {
	io.ReadCloser
	Got int // bytes

	before func(r *Tapped)
}

// SkipToLast implements logsource.Skipper.
func (r *Tapped) SkipToLast(n int64) error {
	return r.ReadCloser.(logsource.Skipper).SkipToLast(n)
}

func (r *Tapped) Read(p []byte) (int, error) {
	r.before(r)
	n, err := r.ReadCloser.Read(p)
	r.Got += n
	return n, err
}
