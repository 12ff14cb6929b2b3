//go:build !linux

package launcher

import (
	"errors"
	"fmt"

	"github.com/podlaunch/podlaunch/launcher/internal/proc"
)

// adoptProcess needs a pidfd.
func adoptProcess(proc.Identity) (Process, error) {
	return nil, fmt.Errorf("attach to a process on this system: %w", errors.ErrUnsupported)
}
