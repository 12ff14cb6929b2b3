//go:build !linux

package logsource

import (
	"context"
	"os"
	"time"
)

// A solo is had on Linux alone.
type solo struct{}

type soloPool struct{}

var solos soloPool

func (soloPool) take(*os.File) *solo { return nil }
func (soloPool) give(*solo)          {}

func (*solo) wait(context.Context, <-chan struct{}, time.Duration) (lost bool) { return true }
func (*solo) join()                                                            {}
func (*solo) interrupt()                                                       {}
