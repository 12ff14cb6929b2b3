package runtimedirtest

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/sys/windows"
)

// modeMatters says whether permission bits mean anything on this system.
const modeMatters = false

// checkOwner makes sure that the directory at path is ours, and that nobody has a right to
// it but us, SYSTEM and the administrators. It reads the text of the rights, as in
// "Security Descriptor String Format". Wine 8 keeps the rights as the bits of a mode, so
// there this shows no more than whether others have any.
func checkOwner(path string, _ fs.FileInfo) error {
	me, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return err
	}
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return err
	}
	ours := []string{me.User.Sid.String(), "SY", "BA"}
	owner, list, ok := strings.Cut(strings.TrimPrefix(sd.String(), "O:"), "D:")
	if !ok || !strings.Contains(list, "(") {
		return fmt.Errorf("%s has no list of rights: %v", path, sd)
	}
	if !slices.Contains(ours, owner) {
		return fmt.Errorf("%s belongs to %s, and we are %s", path, owner, ours[0])
	}
	ours = append(ours, "CO", "OW") // who makes an entry, and the owner
	for _, entry := range strings.Split(list, "(")[1:] {
		parts := strings.Split(strings.TrimSuffix(entry, ")"), ";")
		if parts[0] == "A" && !slices.Contains(ours, parts[len(parts)-1]) {
			return fmt.Errorf("%s may be entered by others: %v", path, sd)
		}
	}
	return nil
}

// checkWriters makes sure that others may do nothing in the directory at path.
func checkWriters(path string, fi fs.FileInfo) error { return checkOwner(path, fi) }

// A wayIn is how others may enter a directory.
type wayIn struct{ who string }

// waysIn are those that a rule tries.
var waysIn = []wayIn{{"everybody"}}

// letOthersIn lets everybody do everything in the directory at path, until restore.
func letOthersIn(path string, _ wayIn) (restore func(), err error) {
	before, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return nil, err
	}
	all, err := windows.SecurityDescriptorFromString("D:P(A;OICI;FA;;;WD)")
	if err != nil {
		return nil, err
	}
	return func() { setRights(path, before) }, setRights(path, all)
}

func setRights(path string, sd *windows.SECURITY_DESCRIPTOR) error {
	list, _, err := sd.DACL()
	if err != nil {
		return err
	}
	return windows.SetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION, nil, nil, list, nil)
}
