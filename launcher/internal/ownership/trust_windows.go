package ownership

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/podlaunch/podlaunch/runtimedir"
)

// A trust says whether anybody but us can have written a file.
type trust struct{ err error }

// trustOf asks about the open file.
func trustOf(fd int) *trust {
	sd, err := windows.GetSecurityInfo(windows.Handle(fd), windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return &trust{fmt.Errorf("find out who may write to it: %w", err)}
	}
	trusted, err := trustedSIDs()
	if err != nil {
		return &trust{err}
	}
	owner, _, err := sd.Owner()
	switch {
	case err != nil:
		return &trust{fmt.Errorf("find out whose it is: %w", err)}
	case owner == nil || !slices.ContainsFunc(trusted[:owners], owner.Equals):
		return &trust{fmt.Errorf("%w (%v)", errAnothers, owner)}
	}
	list, _, err := sd.DACL()
	switch {
	case errors.Is(err, windows.ERROR_OBJECT_NOT_FOUND) || err == nil && list == nil:
		return &trust{fmt.Errorf("%w: others may write to it (it has no access list)", runtimedir.ErrInsecure)}
	case err != nil:
		return &trust{fmt.Errorf("find out who may write to it: %w", err)}
	}
	return &trust{checkList(list, trusted)}
}

// mayWriteMask is what lets somebody write to a file or directory, remove it or what is in it,
// put a link in its place, or give himself the right to.
const mayWriteMask = windows.FILE_WRITE_DATA | windows.FILE_APPEND_DATA | windows.FILE_WRITE_EA | windows.FILE_WRITE_ATTRIBUTES |
	fileDeleteChild | windows.DELETE | windows.WRITE_DAC | windows.WRITE_OWNER | windows.GENERIC_WRITE | windows.GENERIC_ALL

const fileDeleteChild = 0x40 // FILE_DELETE_CHILD

// checkList makes sure that the list lets none but the trusted write. An entry that is only
// about what is made in a directory counts too: the locks and the record are made there.
func checkList(list *windows.ACL, trusted []*windows.SID) error {
	const callbackDenied = 10 // ACCESS_DENIED_CALLBACK_ACE_TYPE
	for i := range uint32(list.AceCount) {
		var ace *windows.ACCESS_ALLOWED_ACE
		if err := windows.GetAce(list, i, &ace); err != nil {
			return fmt.Errorf("read its access list: %w", err)
		}
		switch ace.Header.AceType {
		case windows.ACCESS_DENIED_ACE_TYPE, callbackDenied:
			continue
		case windows.ACCESS_ALLOWED_ACE_TYPE:
		default:
			return fmt.Errorf("%w: others may write to it (an entry of its access list is of type %d)", runtimedir.ErrInsecure, ace.Header.AceType)
		}
		sid := (*windows.SID)(unsafe.Pointer(&ace.SidStart))
		if ace.Mask&mayWriteMask != 0 && !slices.ContainsFunc(trusted, sid.Equals) {
			return fmt.Errorf("%w: others may write to it (%v)", runtimedir.ErrInsecure, sid)
		}
	}
	return nil
}

// owners is how many of the trusted may own a file of ours: the first ones.
const owners = 3

// trustedSIDs returns our user, and who may do anything anyway. OWNER RIGHTS stands for the
// owner, who was looked at before, and CREATOR OWNER for who makes a file in there, which only
// the trusted can.
var trustedSIDs = sync.OnceValues(func() ([]*windows.SID, error) {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return nil, fmt.Errorf("find out who we are: %w", err)
	}
	sids := []*windows.SID{user.User.Sid}
	for _, known := range []windows.WELL_KNOWN_SID_TYPE{windows.WinLocalSystemSid, windows.WinBuiltinAdministratorsSid,
		windows.WinCreatorOwnerRightsSid, windows.WinCreatorOwnerSid} {
		sid, err := windows.CreateWellKnownSid(known)
		if err != nil {
			return nil, fmt.Errorf("find out who may do anything: %w", err)
		}
		sids = append(sids, sid)
	}
	return sids, nil
})
