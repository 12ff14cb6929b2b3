package osproc

import (
	"bytes"
	"context"
	"fmt"
)

// HasMark reports whether any process has mark, NAME=VALUE, in the environment that it was
// executed with. It only looks at processes that were started since launcher was, because
// launcher's pods were. A process of our user whose environment this program may not read
// may have the mark: then HasMark returns an error. It also returns an error if launcher is
// of another pid namespace, because the processes there cannot be seen. If launcher is of
// another boot of the machine no process has the mark.
func HasMark(ctx context.Context, mark string, launcher Identity) (bool, error) {
	h, err := place()
	if err != nil {
		return false, err
	}
	boot, namespace, err := here()
	switch {
	case err != nil:
		return false, err
	case boot != launcher.Boot:
		return false, nil
	case namespace != launcher.PIDNamespace:
		return false, fmt.Errorf("%w: pid namespace %s, and we are in %s", ErrElsewhere, launcher.PIDNamespace, namespace)
	}
	pids, err := All()
	if err != nil {
		return false, err
	}
	buf := make([]byte, 64<<10)
	for _, pid := range pids {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		st, err := ReadStat(pid)
		if err != nil && !isGone(err) {
			return false, err
		}
		if err != nil || st.Dead() || h.startOf(st) < launcher.Start {
			continue
		}
		if has, err := hasMark(pid, mark, &buf); has || err != nil {
			return has, err
		}
	}
	return false, nil
}

// hasMark is HasMark for one process. A process that is gone has no mark. It asks again while
// the process is between two programs.
func hasMark(pid int, mark string, buf *[]byte) (has bool, err error) {
	err = untilTold(func() (err error) {
		environ, err := environOf(pid, buf)
		has = bytes.Contains(append([]byte{0}, environ...), []byte("\x00"+mark+"\x00"))
		return err
	})
	return has, err
}
