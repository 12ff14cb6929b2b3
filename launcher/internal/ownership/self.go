package ownership

import (
	"fmt"
	"os"
	"sync/atomic"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// known is this program, once it could be identified.
var known atomic.Pointer[Owner]

// self returns this program as a launcher.
func self() (Owner, error) {
	owner := known.Load()
	if owner == nil {
		found, err := osproc.Identify(os.Getpid())
		if err != nil {
			return Owner{}, fmt.Errorf("identify this program, pid %d: %w", os.Getpid(), err)
		}
		owner = &Owner{found, sessionOf()}
		known.Store(owner)
	}
	return *owner, nil
}
