package osproc

import (
	"slices"
	"testing"
)

func TestMountsBelow(t *testing.T) {
	const table = `22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
36 22 0:31 / /run/pods/alice/mnt rw,nosuid - tmpfs tmpfs rw
37 22 0:32 / /run/pods/alice\040two rw - tmpfs tmpfs rw
38 22 0:33 / /run/pods/back\134slash\011tab rw - tmpfs tmpfs rw
39 22 0:34 / /run/pods/bob rw - tmpfs tmpfs rw
short line
`
	for dir, want := range map[string][]string{
		"/run/pods/alice":            {"/run/pods/alice/mnt"},
		"/run/pods/alice/mnt":        {"/run/pods/alice/mnt"},
		"/run/pods/alice two":        {"/run/pods/alice two"},
		"/run/pods/back\\slash\ttab": {"/run/pods/back\\slash\ttab"},
		"/run/pods/bob":              {"/run/pods/bob"},
		"/run/pods/bo":               nil,
		"/run/pods/carol":            nil,
	} {
		if got := mountsBelow(table, dir); !slices.Equal(got, want) {
			t.Errorf("below %q there are %q, want %q", dir, got, want)
		}
	}
	if got, err := MountsBelow("/proc"); err != nil || len(got) == 0 {
		t.Errorf("MountsBelow(/proc) returned %q, %v", got, err)
	}
}
