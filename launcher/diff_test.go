package launcher_test

import (
	"fmt"
	"reflect"
	"strings"
)

// difference is empty if want and got are deeply equal. Otherwise it shows the
// first line of a text, or element of a list, in which they differ.
func difference[T any](want, got T) string {
	if reflect.DeepEqual(want, got) {
		return ""
	}
	w, g := pieces(want), pieces(got)
	for i := range max(len(w), len(g)) {
		if was, is := piece(w, i), piece(g, i); was != is {
			return fmt.Sprintf("piece %d of %d, now %d:\n-%s\n+%s", i+1, len(w), len(g), was, is)
		}
	}
	return fmt.Sprintf("-%#v\n+%#v", want, got) // such as nil and empty
}

// pieces are the lines of a text, the elements of a list, or v alone.
func pieces(v any) (p []string) {
	switch v := v.(type) {
	case string:
		return strings.Split(v, "\n")
	case []string:
		for _, element := range v {
			p = append(p, fmt.Sprintf("%q", element))
		}
		return p
	}
	return []string{fmt.Sprintf("%+v", v)}
}

// piece is the piece i of all, if there is one.
func piece(all []string, i int) string {
	if i < len(all) {
		return all[i]
	}
	return "(nothing)"
}
