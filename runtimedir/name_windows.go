package runtimedir

import (
	"fmt"
	"strings"
)

// systemFault says what is wrong with name on Windows alone, or "" if nothing is.
// "Naming Files, Paths, and Namespaces" has the rules. Windows cuts a dot at the end of a
// name. It takes the name of a device for that device, also in front of an extension. Since
// Windows 11 an extension makes it a file; one rule for all releases is easier to learn.
// Names that differ in case alone pass here: checkName compares them with what is there.
func systemFault(name string) string {
	if i := strings.IndexAny(name, `<>:"|?*`); i >= 0 {
		return fmt.Sprintf("it holds %q at byte %d, which no file name may hold on Windows", name[i], i)
	}
	if strings.HasSuffix(name, ".") {
		return "it ends with a dot, which Windows would cut"
	}
	base, _, _ := strings.Cut(name, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return "it is the name of a device on Windows"
	}
	if number, ok := strings.CutPrefix(base, "COM"); ok || strings.HasPrefix(base, "LPT") {
		if !ok {
			number = base[len("LPT"):]
		}
		switch number { // Windows takes the superscripts for digits
		case "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "\u00b9", "\u00b2", "\u00b3":
			return "it is the name of a device on Windows"
		}
	}
	return ""
}
