package runtimedir

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/windows"
)

// A self is the user of this process, and what only that user may enter.
type self struct {
	sid     *windows.SID
	trusted []*windows.SID // whose rights are no danger; the user comes first
	only    *windows.SECURITY_DESCRIPTOR
}

// user returns the user of this process.
//
// SYSTEM and the administrators may do anything anyway, as root may elsewhere. What an
// administrator makes in an elevated process belongs to the group. CREATOR OWNER stands for
// the one who makes an entry, who has the right to do so, and OWNER RIGHTS for the owner,
// whom rights.checkOwner is about.
var user = sync.OnceValues(func() (*self, error) {
	me, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return nil, fmt.Errorf("find out who we are: %w", err)
	}
	s := &self{sid: me.User.Sid, trusted: []*windows.SID{me.User.Sid}}
	for _, known := range []windows.WELL_KNOWN_SID_TYPE{
		windows.WinLocalSystemSid, windows.WinBuiltinAdministratorsSid, windows.WinCreatorOwnerSid, windows.WinCreatorOwnerRightsSid,
	} {
		sid, err := windows.CreateWellKnownSid(known)
		if err != nil {
			return nil, fmt.Errorf("find out who the administrators are: %w", err)
		}
		s.trusted = append(s.trusted, sid)
	}
	// "Security Descriptor String Format": the owner, and a protected list (it inherits
	// nothing) of three with all rights, for what is made in the directory too.
	s.only, err = windows.SecurityDescriptorFromString(fmt.Sprintf("O:%[1]sD:P(A;OICI;FA;;;%[1]s)(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)", s.sid))
	return s, err
})

// owners are those among trusted that a directory of ours may belong to.
func (s *self) owners() []*windows.SID { return s.trusted[:3] }

// mayWrite are the rights by which an entry of a directory can be added or replaced, or
// the directory itself. FILE_DELETE_CHILD has no name in package windows.
const (
	deleteChild = 0x40
	mayWrite    = windows.FILE_WRITE_DATA | windows.FILE_APPEND_DATA | windows.FILE_WRITE_EA | windows.FILE_WRITE_ATTRIBUTES | deleteChild |
		windows.DELETE | windows.WRITE_DAC | windows.WRITE_OWNER | windows.GENERIC_WRITE | windows.GENERIC_ALL
)

// rights are those of a directory.
type rights struct {
	owner  *windows.SID
	others windows.ACCESS_MASK // what anybody may do who is not trusted
	who    string              // they, for a person
	me     *self
}

// rightsOf reads them. It ignores entries that deny a right. An entry that is only for what
// is made in the directory counts: on Windows everybody may pass through a directory.
func rightsOf(dir windows.Handle) (*rights, error) {
	me, err := user()
	if err != nil {
		return nil, err
	}
	sd, err := windows.GetSecurityInfo(dir, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return nil, err
	}
	r := &rights{me: me}
	if r.owner, _, err = sd.Owner(); err != nil {
		return nil, err
	}
	list, _, err := sd.DACL()
	if err != nil && err != windows.ERROR_OBJECT_NOT_FOUND {
		return nil, err
	}
	if list == nil { // everybody has all rights, as on a file system that keeps none
		r.others, r.who = windows.GENERIC_ALL, "everybody"
		return r, nil
	}
	var who []string
	for i := range uint32(list.AceCount) {
		var entry *windows.ACCESS_ALLOWED_ACE
		if err := windows.GetAce(list, i, &entry); err != nil {
			return nil, err
		}
		if sid, mask := r.grants(entry); mask != 0 {
			r.others |= mask
			who = append(who, sid)
		}
	}
	r.who = strings.Join(slices.Compact(who), ", ")
	return r, nil
}

// grants returns what an entry of the list lets somebody do who is not trusted, and who.
func (r *rights) grants(entry *windows.ACCESS_ALLOWED_ACE) (who string, mask windows.ACCESS_MASK) {
	const denied, callbackAllowed, callbackDenied = 1, 9, 10 // ACE_HEADER, AceType
	switch entry.Header.AceType {
	case denied, callbackDenied:
		return "", 0
	case windows.ACCESS_ALLOWED_ACE_TYPE, callbackAllowed:
		sid := (*windows.SID)(unsafe.Pointer(&entry.SidStart))
		if slices.ContainsFunc(r.me.trusted, sid.Equals) {
			return "", 0
		}
		return sid.String(), entry.Mask
	}
	return fmt.Sprintf("an entry of type %d", entry.Header.AceType), windows.GENERIC_ALL
}

// checkOwner makes sure that what is at path is ours.
func (r *rights) checkOwner(path string) error {
	if !slices.ContainsFunc(r.me.owners(), r.owner.Equals) {
		return fmt.Errorf("%w: %s belongs to user %v, and we are user %v", ErrInsecure, quote(path), r.owner, r.me.sid)
	}
	return nil
}

// narrow takes the rights of all others to the directory at path away. SetSecurityInfo
// does so for what is in it, too. Under Wine 8 it adds what the directory above has, also
// to a protected list; SetKernelObjectSecurity adds nothing.
func narrow(path string, dir windows.Handle, who string) error {
	me, err := user()
	if err != nil {
		return err
	}
	list, _, err := me.only.DACL()
	if err != nil {
		return err
	}
	const what = windows.DACL_SECURITY_INFORMATION | windows.PROTECTED_DACL_SECURITY_INFORMATION
	err = windows.SetSecurityInfo(dir, windows.SE_FILE_OBJECT, what, nil, nil, list, nil)
	if err == nil && stillOpen(dir) {
		err = windows.SetKernelObjectSecurity(dir, what, me.only)
	}
	if err == nil && stillOpen(dir) {
		err = windows.ERROR_NOT_SUPPORTED
	}
	if err != nil {
		return fmt.Errorf("%w: others may enter %s (%s), and that could not be changed: %w", ErrInsecure, quote(path), who, err)
	}
	return nil
}

// stillOpen reports whether anybody else has a right to dir.
func stillOpen(dir windows.Handle) bool {
	r, err := rightsOf(dir)
	return err != nil || r.others != 0
}
