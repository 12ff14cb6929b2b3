package readiness

import "fmt"

// notes keeps what was noticed on the way: the first few and a count.
type notes struct {
	of    string // what they are about; empty means lines
	first []string
	more  int
}

func (n *notes) add(s string) {
	const keep = 3
	if len(n.first) < keep {
		n.first = append(n.first, s)
	} else {
		n.more++
	}
}

func (n *notes) list() []string {
	if n.more == 0 {
		return n.first
	}
	of := n.of
	if of == "" {
		of = "lines"
	}
	return append(n.first, fmt.Sprintf("and %d more such %s", n.more, of))
}

// quoted quotes a line for an error, or its first KiB.
func quoted(line []byte) string {
	const most = 1 << 10
	if len(line) <= most {
		return fmt.Sprintf("%q", line)
	}
	return fmt.Sprintf("%q… (%d bytes)", line[:most], len(line))
}
