package ownership

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/podlaunch/podlaunch/runtimedir"
)

// errAnothers says of a file or directory that it is not ours.
var errAnothers = fmt.Errorf("%w: it is another user's", runtimedir.ErrInsecure)

// isPassing reports whether err says nothing of a file: this program, or the machine, lacks what it
// takes to read it, or the disk has failed.
func isPassing(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EIO} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
