package runtimedir

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxName is the longest name of a pod, in bytes. A file name may have 255;
// what is kept beside a pod's directory (locks, a record and its temporary
// file) is called after it, with a leading dot and up to 54 bytes more.
const MaxName = 255 - 55

// ValidateName reports whether name can be the name of a pod. It returns nil,
// or an error that wraps [ErrInvalidName] and says what is wrong with it, with
// the name quoted so that it can be printed anywhere.
//
// A name is one element of a path, 1 to [MaxName] bytes of valid UTF-8. It may
// hold spaces and letters of any script. It may not hold a slash, a backslash or a
// control character. It may not hold a character that cannot be seen, for two names
// that look the same must be the same. Such characters are formatting, bidirectional
// and line-separating characters, characters that are drawn as nothing
// (Default_Ignorable_Code_Point of the Unicode Standard, such as a variation selector),
// and blanks other than the ordinary space. A name may not begin with a dot (hidden
// files beside the directories are the launcher's own) or with a dash (it would read as
// a flag). It may neither begin nor end with a space.
//
// On Windows it may not hold any of <>:"|?* either, nor end with a dot, nor be the name of
// a device (NUL, COM1) or such a name with an extension. There two names that differ in
// case alone cannot be used at the same time: a [Resolver] of this package refuses the
// second one with [ErrInvalidName].
func ValidateName(name string) error {
	if reason := nameFault(name); reason != "" {
		if len(name) > MaxName {
			name = strings.ToValidUTF8(name[:32], "") + "…"
		}
		return fmt.Errorf("%w %q: %s", ErrInvalidName, name, reason)
	}
	return nil
}

// nameFault says in words what is wrong with name, or "" if nothing is.
func nameFault(name string) string {
	switch {
	case name == "":
		return "it is empty"
	case len(name) > MaxName:
		return fmt.Sprintf("it has %d bytes, the limit is %d", len(name), MaxName)
	case !utf8.ValidString(name):
		return "it is not valid UTF-8"
	case name[0] == '.':
		return "it begins with a dot"
	case name[0] == '-':
		return "it begins with a dash, and would read as a flag"
	case strings.Trim(name, " ") != name:
		return "it begins or ends with a space"
	}
	for i, r := range name {
		switch {
		case r == '/' || r == '\\':
			return fmt.Sprintf("it holds %q at byte %d, and a name is one element of a path", r, i)
		case unicode.IsControl(r):
			return fmt.Sprintf("it holds the control character %U at byte %d", r, i)
		case r != ' ' && unicode.In(r, invisible...):
			return fmt.Sprintf("it holds the invisible character %U at byte %d", r, i)
		}
	}
	return systemFault(name)
}

// invisible are the characters that are drawn as nothing, or as a blank. The last
// one is a letter of Braille without a dot.
var invisible = []*unicode.RangeTable{
	unicode.Cf, unicode.Zl, unicode.Zp, unicode.Zs,
	unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector,
	{R16: []unicode.Range16{{Lo: 0x2800, Hi: 0x2800, Stride: 1}}},
}
