package ownership

import (
	"fmt"

	"github.com/podlaunch/podlaunch/runtimedir"
)

// errAnothers says of a file or directory that it is not ours.
var errAnothers = fmt.Errorf("%w: it is another user's", runtimedir.ErrInsecure)
