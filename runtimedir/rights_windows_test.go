package runtimedir_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/windows"

	"github.com/podlaunch/podlaunch/runtimedir"
)

// rightsOf returns the owner and the list of rights of what is at path, in words of the
// "Security Descriptor String Format". Wine 8 keeps a list as the bits of a mode: it reads
// back without P and without the administrators, and everybody else is WD.
func rightsOf(t *testing.T, path string) string {
	t.Helper()
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		t.Fatal(err)
	}
	return sd.String()
}

// setRights replaces the list of rights.
func setRights(t *testing.T, path, list string) {
	t.Helper()
	sd, err := windows.SecurityDescriptorFromString("D:P" + list)
	if err == nil {
		var dacl *windows.ACL
		if dacl, _, err = sd.DACL(); err == nil {
			err = windows.SetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION, nil, nil, dacl, nil)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

func whoAmI(t *testing.T) string {
	t.Helper()
	me, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		t.Fatal(err)
	}
	return me.User.Sid.String()
}

// mustBeOurs fails the test unless path belongs to us and nobody but us, SYSTEM and the
// administrators has a right to it.
func mustBeOurs(t *testing.T, path string) {
	t.Helper()
	me, got := whoAmI(t), rightsOf(t, path)
	entry := fmt.Sprintf(`\(A;[A-Z]*;FA;;;(%s|SY|BA)\)`, regexp.QuoteMeta(me))
	if !regexp.MustCompile(`^O:` + regexp.QuoteMeta(me) + `D:(P|PAI)?(` + entry + `)+$`).MatchString(got) {
		t.Errorf("the rights of %s are %s", path, got)
	}
}

// The base and the pod's directory belong to the user, and nobody else has a right to
// them, from the first of them that is made.
func TestMadeForTheUserAlone(t *testing.T) {
	setChain(t, "INSOMNIA", map[string]string{"LOCALAPPDATA": tempDir(t)})
	dir, err := runtimedir.User{}.RuntimeDir(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	for path := range 3 {
		mustBeOurs(t, filepath.Join(dir, strings.Repeat("../", path)))
	}
}

// A directory that is there, and that others may enter, is closed to them.
func TestOthersRightsAreTakenAway(t *testing.T) {
	base := runtimedir.Dir(filepath.Join(tempDir(t), "base"))
	dir, err := base.RuntimeDir(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	for _, others := range []string{"(A;;FR;;;WD)", "(A;OICI;FA;;;WD)", "(A;;0x1200a9;;;WD)"} {
		setRights(t, dir, others+"(A;;FA;;;"+whoAmI(t)+")")
		if got := rightsOf(t, dir); !strings.Contains(got, ";;;WD)") {
			t.Fatalf("others have no rights: %s", got)
		}
		if _, err := base.RuntimeDir(t.Context(), "web"); err != nil {
			t.Fatalf("%s: %v", others, err)
		}
		mustBeOurs(t, dir)
	}
}

// A base to which others may write is refused, and left as it was; a base that they may
// read is not.
func TestBaseOthersMayWriteTo(t *testing.T) {
	path := tempDir(t)
	setRights(t, path, "(A;OICI;FA;;;WD)(A;OICI;FA;;;"+whoAmI(t)+")")
	before := rightsOf(t, path)
	dir, err := runtimedir.Dir(path).RuntimeDir(t.Context(), "web")
	if err == nil {
		t.Fatalf("it has the directory %s", dir)
	}
	mustBe(t, err, runtimedir.ErrInsecure)
	mustSay(t, err, path, "S-1-1-0", "use a directory below it")
	mustBeAbsent(t, filepath.Join(path, "web"))
	if after := rightsOf(t, path); after != before {
		t.Errorf("its rights were %s, and are %s", before, after)
	}
	below, err := runtimedir.Dir(filepath.Join(path, "below")).RuntimeDir(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	mustBeOurs(t, filepath.Dir(below))

	setRights(t, path, "(A;OICI;FR;;;WD)(A;OICI;FA;;;"+whoAmI(t)+")")
	if _, err := runtimedir.Dir(path).RuntimeDir(t.Context(), "web"); err != nil {
		t.Error(err)
	}
}

// A file in place of the pod's directory, or of the base, is refused with what it is.
func TestFileInTheWay(t *testing.T) {
	path := tempDir(t)
	if err := os.WriteFile(filepath.Join(path, "web"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := runtimedir.Dir(path).RuntimeDir(t.Context(), "web")
	if err == nil {
		t.Fatal("it has a directory")
	}
	mustBe(t, err, runtimedir.ErrInsecure)
	mustSay(t, err, "not a directory but a file")
	for _, base := range []string{"web", "web/pods", "web/a/b"} {
		_, err := runtimedir.Dir(filepath.Join(path, base)).RuntimeDir(t.Context(), "db")
		if err == nil {
			t.Fatal("it has a directory")
		}
		mustBe(t, err, runtimedir.ErrUnavailable)
		mustSay(t, err, filepath.Join(path, "web"), "not a directory")
		mustBe(t, err, windows.ERROR_DIRECTORY)
	}
}

// Temp has its base in the user's directory for temporary files.
func TestTempBase(t *testing.T) {
	temp := tempDir(t)
	t.Setenv("XDG_RUNTIME_DIR", "")
	t.Setenv("TMP", temp)
	if base, err := (runtimedir.Temp{}).Base(t.Context()); err != nil || base != filepath.Join(temp, "podlaunch") {
		t.Errorf("Base is %q, %v", base, err)
	}
	dir, err := runtimedir.Temp{}.RuntimeDir(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	mustBeOurs(t, dir)
}
