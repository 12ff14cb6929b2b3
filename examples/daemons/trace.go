package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A notify is what a daemon says as sd_notify(3) has it.
type notify struct {
	Sent []string `json:"sent"` // the names of each kind of notification, in order
	When string   `json:"when"` // READY=1, relative to listen(2)
	Who  string   `json:"who"`  // has sent READY=1
}

// A call is a system call in the output of strace -f -yy.
type call struct {
	pid  int // of the thread
	name string
	file string   // what strace shows of its descriptor: 1</dev/null>
	text []string // its strings
	line string
}

// A trace is what a program has called.
type trace []call

func (p *place) trace() string { return filepath.Join(p.base, "strace") }

// notifySink returns the address of a socket that takes notifications and drops
// them, which a program of any user can reach; and a channel that is closed when
// READY=1 has come.
func (p *place) notifySink() (address string, ready <-chan struct{}, err error) {
	address = "@" + p.base
	sink, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: address})
	if err != nil {
		return "", nil, err
	}
	p.closers = append(p.closers, sink)
	came := make(chan struct{})
	go func() { // ends when the sink is closed
		again := false
		for buffer := make([]byte, 8192); ; {
			n, err := sink.Read(buffer)
			if err != nil {
				return
			}
			if _, is := namesOf(string(buffer[:n])); is && !again {
				again = true
				close(came)
			}
		}
	}()
	return address, came, nil
}

var (
	traceLine   = regexp.MustCompile(`^(\d+) +(\w+)\((\d+<.*)$`)
	traceString = regexp.MustCompile(`"((?:[^"\\]|\\.)*)"`)
)

func readTrace(path string) (t trace, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		m := traceLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil || strings.Contains(line, ") = -1 E") {
			continue
		}
		pid, err := strconv.Atoi(m[1])
		if err != nil {
			return nil, err
		}
		file, _, _ := strings.Cut(m[3], ", ")
		c := call{pid: pid, name: m[2], file: file, line: line}
		for _, s := range traceString.FindAllStringSubmatch(strings.TrimPrefix(m[3], file), -1) {
			c.text = append(c.text, unescape(s[1]))
		}
		t = append(t, c)
	}
	if len(t) == 0 {
		return nil, fmt.Errorf("%s: strace has seen no call", path)
	}
	return t, nil
}

// unescape undoes what strace does to a string, as far as text goes.
func unescape(s string) string {
	return strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\r`, "\r", `\33`, "\x1b", `\"`, `"`, `\\`, `\`).Replace(s)
}

// threads returns the ids of a process's threads, by which strace(1) calls them.
func threads(pid int) (ids []int, err error) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil, err
	}
	for _, task := range tasks {
		id, err := strconv.Atoi(task.Name())
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// streams returns the streams on which a line is that says matches, and those
// that anything was written to. A descriptor that is a copy of another one is
// known by the log, which has both streams if logStdout says so.
func (t trace) streams(says *regexp.Regexp, logStdout bool) (ready, all string) {
	copied := "stderr"
	if logStdout {
		copied = "log"
	}
	written := make(map[string]string)
	for _, c := range t {
		if c.name != "write" && c.name != "writev" {
			continue
		}
		switch {
		case strings.HasPrefix(c.file, "1<"):
			written["stdout"] += strings.Join(c.text, "")
		case strings.HasPrefix(c.file, "2<"):
			written["stderr"] += strings.Join(c.text, "")
		case strings.HasSuffix(c.file, "/stderr.log>"): // a copy of one of them
			written[copied] += strings.Join(c.text, "")
		}
	}
	var on, with []string
	for _, stream := range []string{"stdout", "stderr", "log"} {
		lines := strings.FieldsFunc(written[stream], func(r rune) bool { return r == '\n' || r == '\r' })
		if len(lines) > 0 {
			on = append(on, stream)
		}
		if says != nil && slices.ContainsFunc(lines, says.MatchString) {
			with = append(with, stream)
		}
	}
	return strings.Join(with, " and "), strings.Join(on, " and ")
}

var notifyName = regexp.MustCompile(`(?m)^([A-Z_]+)=`)

// notify returns what was sent on $NOTIFY_SOCKET, or nil. first are the threads
// of the first process; one of marks is in the name of the socket that is served.
func (t trace) notify(first []int, marks []string) *notify {
	var n notify
	for i, c := range t {
		if !strings.Contains(c.file, "UNIX") && !strings.Contains(c.file, "DGRAM") {
			continue
		}
		text := slices.IndexFunc(c.text, notifyName.MatchString)
		if c.name == "bind" || text < 0 {
			continue
		}
		names, ready := namesOf(c.text[text])
		if !slices.Contains(n.Sent, names) {
			n.Sent = append(n.Sent, names)
		}
		if ready && n.When == "" {
			n.When = t.when(i, marks)
			n.Who = "its first process"
			if !slices.Contains(first, c.pid) {
				n.Who = "a child"
			}
		}
	}
	if n.Sent == nil {
		return nil
	}
	return &n
}

// namesOf returns what a notification assigns, and whether READY=1 is in it.
func namesOf(text string) (names string, ready bool) {
	var all []string
	for _, m := range notifyName.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return strings.Join(all, " "), slices.Contains(strings.Split(text, "\n"), "READY=1")
}

// when says how the call at index i stands to those that listen.
func (t trace) when(i int, marks []string) string {
	before, after := t[:i].listens(marks), t[i+1:].listens(marks)
	switch {
	case before+after == 0 && t.listens(nil) == 0:
		return "nothing listens"
	case before+after == 0:
		return t.when(i, nil)
	case after == 0:
		return "after listen"
	case before == 0 && t[:i].binds() > 0:
		return "between bind and listen"
	case before == 0:
		return "before listen"
	}
	return "between one listen and another"
}

// listens counts the calls of listen(2) on a socket that has one of marks in its
// name, or on any if there are none.
func (t trace) listens(marks []string) (n int) {
	for _, c := range t {
		if c.name == "listen" && (marks == nil || slices.ContainsFunc(marks, func(m string) bool { return strings.Contains(c.file, m) })) {
			n++
		}
	}
	return n
}

// binds counts those of bind(2) to an address of the network.
func (t trace) binds() (n int) {
	for _, c := range t {
		if c.name == "bind" && strings.Contains(c.line, "AF_INET") && !strings.Contains(c.line, "htons(0)") {
			n++
		}
	}
	return n
}
