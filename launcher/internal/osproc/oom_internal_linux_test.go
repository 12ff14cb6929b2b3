package osproc

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// W35: where version 1 has this program, by what the kernel says.
func TestControllerIn(t *testing.T) {
	const table = "30 29 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n31 29 0:27 / /sys/fs/cgroup/me\\040mory rw shared:1 - cgroup cgroup rw,memory\n32 29 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,memory_recursiveprot\n"
	for _, c := range []struct{ groups, table, want string }{
		{"5:cpu:/x\n4:memory:/a/b\n0::/\n", table, "/sys/fs/cgroup/me mory/a/b"},
		{"4:hugetlb,memory:/\n", table, "/sys/fs/cgroup/me mory"},
		{"4:memory:/pod/a:b\n", "31 29 0:27 /pod /m rw - cgroup cgroup rw,memory\n", "/m/a:b"},
		{"4:memory:/other\n", "31 29 0:27 /pod /m rw - cgroup cgroup rw,memory\n", ""},
		{"4:memoryless:/a\n0::/a\n", table, ""},
		{"4:memory:/a\n", "31 29 0:27 / /m rw - cgroup cgroup rw,memoryless\n31 29 0:27 / /m rw - tmpfs x rw,memory\nbroken\n", ""},
	} {
		if got, ok := controllerIn(c.groups, c.table, "memory"); got != c.want || ok != (c.want != "") {
			t.Errorf("%q, %q: %q, %v", c.groups, c.table, got, ok)
		}
	}
}

// W35: the note tells of the counter if that has grown.
func TestMemoryKillsIn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "memory.events")
	for _, c := range []struct {
		text  string
		count int
		ok    bool
	}{
		{"low 0\noom 5\noom_kill 3\noom_group_kill 7\n", 3, true},
		{"oom_kill_disable 0\nunder_oom 0\noom_kill 0\n", 0, true},
		{"oom_kill_disable 0\nunder_oom 0\n", 0, false},
		{"oom_kill many\n", 0, false},
	} {
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if count, ok := memoryKillsIn(file); count != c.count || ok != c.ok {
			t.Errorf("%q: %d, %v", c.text, count, ok)
		}
	}
	if _, ok := memoryKillsIn(file + ".gone"); ok {
		t.Error("a file that there is not counts")
	}
	if note := CountMemoryKills(false).Note(); note != "" {
		t.Errorf("nobody was killed, and the note is %q", note)
	}
	if m := CountMemoryKills(false); m.file != "" {
		m.count -= 2
		if note := m.Note(); !strings.Contains(note, "has killed 2 processes for lack of memory") {
			t.Errorf("the note is %q", note)
		}
	}
}
