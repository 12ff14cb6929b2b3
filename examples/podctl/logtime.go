package main

import (
	"regexp"
	"strings"
	"time"
)

// timeNear is how far into a line its time begins at most: behind a level, a
// process, or the key of a JSON object.
const timeNear = 64

// Forms of a time in a log: 2026-01-31T08:00:00.123Z of most, with a space or with
// slashes; 31 Jan 2026 08:00:00.123 of redis; 31/Jan/2026:08:00:00 +0000 of an
// access log.
var (
	numericTime = regexp.MustCompile(`(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?(?: ?(Z|UTC|GMT|[+-]\d\d:?\d\d)\b| ([A-Z]{3,5})\b)?`)
	namedTime   = regexp.MustCompile(`\b(\d\d)[ /]([A-Z][a-z]{2})[ /](\d{4})[ :](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?: ([+-]\d{4}))?`)
)

// timeIn is the time near the beginning of line. One without a zone is taken for
// this machine's; letters other than UTC, GMT and those of this machine's zone say no
// zone that podctl knows, and then there is no time.
func timeIn(line []byte) (time.Time, bool) {
	line = line[:min(len(line), timeNear+len("2006-01-02T15:04:05.123456789+00:00"))]
	if m := numericTime.FindSubmatchIndex(line); m != nil && m[0] <= timeNear {
		p := parts(line, m)
		if p[6] != "" { // letters
			name, _ := time.Now().Local().Zone()
			if p[6] != name && !isLevel(p[6]) {
				return time.Time{}, false
			}
		}
		return readTime("2006-01-02 15:04:05", p[0]+"-"+p[1]+"-"+p[2]+" "+p[3], p[4], p[5])
	}
	if m := namedTime.FindSubmatchIndex(line); m != nil && m[0] <= timeNear {
		p := parts(line, m)
		return readTime("02 Jan 2006 15:04:05", p[0]+" "+p[1]+" "+p[2]+" "+p[3], p[4], p[5])
	}
	return time.Time{}, false
}

// isLevel reports whether a word after a time is a level, and no zone.
func isLevel(word string) bool {
	return strings.Contains(" TRACE DEBUG INFO NOTE WARN ERROR FATAL PANIC LOG ", " "+word+" ")
}

// parts are the groups of a match; empty where one has no part in it.
func parts(line []byte, match []int) []string {
	groups := make([]string, 0, len(match)/2)
	for i := 2; i < len(match); i += 2 {
		text := ""
		if match[i] >= 0 {
			text = string(line[match[i]:match[i+1]])
		}
		groups = append(groups, text)
	}
	return groups
}

// readTime reads text, with a fraction of a second and a zone. Either may be empty.
func readTime(layout, text, fraction, zone string) (time.Time, bool) {
	if fraction != "" {
		layout, text = layout+".999999999", text+"."+fraction
	}
	switch zone {
	case "":
		t, err := time.ParseInLocation(layout, text, time.Local)
		return t, err == nil
	case "Z", "UTC", "GMT":
		zone = "+0000"
	}
	t, err := time.Parse(layout+" -0700", text+" "+strings.ReplaceAll(zone, ":", ""))
	return t, err == nil
}
