//go:build !linux || !(amd64 || arm64)

package vfork

import "errors"

func start(*Program) (pid, pidfd int, err error) { return 0, -1, errors.ErrUnsupported }

func kept() []int { return nil }
