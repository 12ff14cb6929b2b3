package ownership

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/windows"

	"github.com/podlaunch/podlaunch/runtimedir"
)

// B12: who else may write to a file is read from its access list.
func TestCheckList(t *testing.T) {
	trusted, err := trustedSIDs()
	if err != nil {
		t.Fatal(err)
	}
	for list, ours := range map[string]bool{
		"(A;;FA;;;SY)(A;;FA;;;BA)":                  true,
		fmt.Sprintf("(A;OICI;FA;;;%v)", trusted[0]): true,
		"(A;;FA;;;OW)(A;OICIIO;FA;;;CO)":            true,
		"(A;;FA;;;SY)(A;;FRFX;;;WD)":                true,
		"(D;;FA;;;WD)(A;;FA;;;SY)":                  true,
		"":                                          true,
		"(A;;FA;;;SY)(A;;FW;;;WD)":                  false,
		"(A;;FA;;;BU)":                              false,
		"(A;;0x40;;;AU)":                            false, // FILE_DELETE_CHILD
		"(A;;SD;;;AU)":                              false,
		"(A;;WD;;;AU)":                              false,
		"(A;;WO;;;AU)":                              false,
		"(A;;GW;;;AU)":                              false,
		"(A;OICIIO;FA;;;AU)":                        false, // which the files in there get
	} {
		sd, err := windows.SecurityDescriptorFromString("D:" + list)
		if err != nil {
			t.Fatalf("%s: %v", list, err)
		}
		acl, _, err := sd.DACL()
		if err != nil {
			t.Fatalf("%s: %v", list, err)
		}
		if err := checkList(acl, trusted); errors.Is(err, runtimedir.ErrInsecure) == ours || ours && err != nil {
			t.Errorf("%q: %v, want ours alone: %v", list, err, ours)
		}
	}
}

// A status says nothing of who may write to a file if nobody has asked.
func TestTrustIsAsked(t *testing.T) {
	if err := (status{}).checkOwner(0); err == nil {
		t.Error("a file about which nothing was asked is trusted")
	}
}

// Names are one if NTFS folds them to one.
func TestSameName(t *testing.T) {
	for pair, want := range map[[2]string]bool{
		{"alice", "alice"}: true,
		{"alice", "ALICE"}: true,
		{"é", "É"}:         true,
		{"alice", "alicf"}: false,
		{"k", "\u212a"}:    false, // the sign of Kelvin, which Unicode folds, and NTFS does not
		{"ss", "ß"}:        false,
		{"a\x00b", "a"}:    false,
	} {
		if got := sameName(pair[0], pair[1]); got != want {
			t.Errorf("%q and %q are one name: %v, want %v", pair[0], pair[1], got, want)
		}
	}
}

// A name that is a path, or a stream of a file, leads nowhere.
func TestNamesAreNoPaths(t *testing.T) {
	base, _, err := openDirectory(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer base.close()
	for _, name := range []string{`a\b`, "a/b", `..\a`, "a:b"} {
		if l, err := tryLock(base, name, true); l != nil || err == nil {
			t.Errorf("tryLock of %q returned %v, %v", name, l, err)
		}
	}
	base.close()
	if l, err := tryLock(base, "lock", true); l != nil || err == nil {
		t.Errorf("in a directory that is closed tryLock returned %v, %v", l, err)
	}
}
