package ownership

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/runtimedir"
)

// The error of a user without the right to enter the base names its owner. Root may enter all.
func TestBaseOfAnotherUser(t *testing.T) {
	if _, err := os.ReadDir("/root"); !errors.Is(err, fs.ErrPermission) {
		t.Skip("the home of root can be read by this user")
	}
	_, _, err := openBase("/root")
	if !errors.Is(err, runtimedir.ErrInsecure) || !strings.Contains(err.Error(), "that of user 0: ") {
		t.Error(err)
	}
}
