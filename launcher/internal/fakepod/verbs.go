package fakepod

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/podlaunch/podlaunch/readiness"
)

func outputVerbs() []verb {
	return []verb{
		{"say", "TEXT", "a line on stderr", text(func(_ *pod, s string) error { return write(s + "\n") })},
		{"write", "QUOTED", "bytes on stderr in one write", quoted(func(_ *pod, s string) error { return write(s) })},
		{"bytes", "QUOTED", "bytes on stderr, one write for each", quoted(bytewise)},
		{"out", "TEXT", "a line on stdout", text(func(_ *pod, s string) error { return second(fmt.Println(s)) })},
		{"repeat", "N TEXT", "N lines on stderr, one write each; %d in TEXT is the number", repeat},
		{"flood", "N", "N bytes of lines on stderr, in large writes", number(flood)},
		{"longline", "N", "one line of N bytes, in large writes, and its newline", number(longline)},
		{"forever", "", "lines on stderr without end", none(forever)},
	}
}

func readyVerbs() []verb {
	return []verb{
		{"ready", "[PATH]", "announce the socket at PATH", socket(func(p *pod, path string) error {
			return readiness.Announce(os.Stderr, p.name, path)
		})},
		{"fail", "REASON", "announce why it will never be ready", required(func(p *pod, reason string) error {
			return write("INSOMNIA-FAIL\t" + p.name + "\t" + reason + "\n")
		})},
		{"status", "TEXT", "announce how far it is", required(func(p *pod, s string) error {
			return write("INSOMNIA-STATUS\t" + p.name + "\t" + s + "\n")
		})},
		{"file", "PATH [LITERAL]", "write a file, which is whole as soon as it is there", file},
	}
}

func socketVerbs() []verb {
	return []verb{
		{"listen", "[PATH]", "listen on a unix socket and answer each line on it", socket(listen)},
		{"mute", "[PATH]", "listen on a unix socket, accept, and never answer", socket(mute)},
		{"tcp", "ADDR", "listen on TCP and answer each line; {addr} is where", required(tcp)},
		{"http", "ADDR STATUS,… [BODY]", "answer HTTP requests, each with the next STATUS; {addr} is where", serveHTTP},
	}
}

func processVerbs(compile compiler) []verb {
	return []verb{
		{"sleep", "DURATION", "wait so long", duration(func(_ *pod, d time.Duration) error { time.Sleep(d); return nil })},
		{"hang", "", "wait for ever", none(hang)},
		{"exit", "CODE", "exit with CODE", number(func(_ *pod, code int) error { os.Exit(code); return nil })},
		{"spawn", "STEPS", "start a child in the same group", nested(compile, spawn)},
		{"closestderr", "", "close stderr", none(func(*pod) error { return os.Stderr.Close() })},
	}
}

func spawn(p *pod, steps []string, _ action) error { return p.again(steps).Start() }

// hang waits for ever. It does not look like a deadlock to the Go runtime, as
// select {} does in a program without cgo.
func hang(*pod) error {
	for {
		time.Sleep(time.Hour)
	}
}

func fileVerbs() []verb {
	return []verb{
		{"rmlog", "", "delete stderr.log", none(func(p *pod) error { return os.Remove(p.log()) })},
		{"rotate", "", "rename stderr.log, and create another", none(rotate)},
		{"truncate", "", "truncate stderr.log", none(func(p *pod) error { return os.Truncate(p.log(), 0) })},
		{"rmdir", "", "delete the runtime directory", none(func(p *pod) error { return os.RemoveAll(p.dir) })},
		{"pid", "PATH", "write its pid into a file", required(func(_ *pod, path string) error {
			return replace(path, strconv.Itoa(os.Getpid()))
		})},
		{"env", "PATH", "write its environment into a file, a NUL after each but the last", required(func(_ *pod, path string) error {
			return replace(path, strings.Join(os.Environ(), "\x00"))
		})},
		{"args", "PATH", "write all arguments but the script's into a file, in the same way", required(func(p *pod, path string) error {
			return replace(path, strings.Join(p.rest, "\x00"))
		})},
		{"overlay", "PATH", "write the overlay that it was given, in whichever way, into a file", required(func(p *pod, path string) error {
			text, err := p.overlay()
			return errors.Join(err, replace(path, text))
		})},
	}
}

// overlay is what it was given with --overlay, or with --overlay-file.
func (p *pod) overlay() (string, error) {
	if at := slices.Index(p.rest, "--overlay"); at >= 0 && at+1 < len(p.rest) {
		return p.rest[at+1], nil
	}
	if at := slices.Index(p.rest, "--overlay-file"); at >= 0 && at+1 < len(p.rest) {
		text, err := os.ReadFile(p.rest[at+1])
		return string(text), err
	}
	return "", fmt.Errorf("there is neither --overlay nor --overlay-file in %d arguments", len(p.rest))
}

// write writes on stderr at once. That nobody reads it is not the script's
// fault.
func write(s string) error {
	io.WriteString(os.Stderr, s)
	return nil
}

func bytewise(_ *pod, s string) error {
	for _, b := range []byte(s) {
		os.Stderr.Write([]byte{b})
	}
	return nil
}

func second[A any](_ A, err error) error { return err }

func repeat(arg string) (action, error) {
	count, line, _ := strings.Cut(arg, " ")
	n, err := natural(count)
	return func(p *pod) error {
		line := p.expand(line) + "\n"
		for i := range n {
			write(strings.ReplaceAll(line, "%d", strconv.Itoa(i)))
		}
		return nil
	}, err
}

func flood(_ *pod, n int) error {
	writeAll(bytes.Repeat([]byte(strings.Repeat("x", 99)+"\n"), 10_000), n)
	return nil
}

func longline(_ *pod, n int) error {
	writeAll(bytes.Repeat([]byte("y"), 1<<20), n)
	return write("\n")
}

// writeAll writes n bytes, which are chunk again and again.
func writeAll(chunk []byte, n int) {
	for ; n > 0; n -= len(chunk) {
		os.Stderr.Write(chunk[:min(n, len(chunk))])
	}
}

func forever(*pod) error {
	for {
		write("and on and on\n")
	}
}

// file takes the path, which may be a Go string literal, and then what is to be
// in the file.
func file(arg string) (action, error) {
	path, rest, _ := strings.Cut(arg, " ")
	if strings.HasPrefix(arg, `"`) {
		prefix, err := strconv.QuotedPrefix(arg)
		if err != nil {
			return nil, fmt.Errorf("the path: %w", err)
		}
		path, _ = strconv.Unquote(prefix)
		rest = strings.TrimPrefix(arg[len(prefix):], " ")
	}
	if path == "" {
		return nil, errors.New("there is no path")
	}
	return literal(func(p *pod, content string) error { return replace(p.expand(path), content) })(rest)
}

// replace writes a file that is whole as soon as it is there.
func replace(path, content string) error {
	if err := os.WriteFile(path+".tmp", []byte(content), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

func rotate(p *pod) error {
	if err := os.Rename(p.log(), p.log()+".rotated"); err != nil {
		return err
	}
	return os.WriteFile(p.log(), nil, 0o600)
}
