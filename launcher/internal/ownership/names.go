package ownership

import (
	"errors"
	"slices"
	"strings"

	"github.com/podlaunch/podlaunch/runtimedir"
)

// Names returns the names that were ever claimed below base, in order. Entries
// that are none of ours are passed over. A name is ours if any of its witnesses is there:
// a cleaner of directories may delete the locks, which are empty, and leave the rest.
func Names(base string) ([]string, error) {
	entries, err := entriesOf(base)
	if err != nil {
		return nil, err
	}
	var names, recorded []string
	lists := map[string]*[]string{launchSuffix: &names, podSuffix: &names, recordSuffix: &recorded}
	for _, e := range entries {
		file, hidden := strings.CutPrefix(e.Name(), ".")
		if !hidden || !e.Type().IsRegular() {
			continue
		}
		for suffix, list := range lists {
			if name, ok := strings.CutSuffix(file, suffix); ok && runtimedir.ValidateName(name) == nil {
				*list = append(*list, name)
			}
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	locked := names
	for _, name := range recorded {
		if _, ok := slices.BinarySearch(locked, name); !ok && isRecorded(base, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// isRecorded reports whether there is a record of name below base, and not another
// program's file. What cannot be read now may be a record, and a look at it says why. A record
// that others may write to counts, too.
func isRecorded(base, name string) bool {
	p, err := Open(base, name)
	if err != nil {
		return isPassing(err)
	}
	defer p.Close()
	data, s, err := p.base.read(p.recordName(), maxRecord)
	if err != nil || !s.mode.IsRegular() || s.size > maxRecord {
		return isPassing(err)
	}
	_, err = parseRecord(data, name)
	return err == nil || errors.Is(err, errors.ErrUnsupported) // of a later version
}
