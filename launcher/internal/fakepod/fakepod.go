//go:build unix

// Package fakepod is a pod for tests that behaves as it is told, well or
// badly. Its script is its arguments, one step each:
//
//	say TEXT          a line on stderr
//	write QUOTED      bytes on stderr in one write; a Go string literal
//	bytes QUOTED      the same, one write for each byte
//	out TEXT          a line on stdout
//	repeat N TEXT     N lines on stderr, one write each; %d in TEXT is the number
//	flood N           N bytes of lines on stderr, in large writes
//	longline N        one line of N bytes, in large writes, and its newline
//	forever           lines on stderr without end
//	listen [PATH]     listen on a unix socket and answer each line on it
//	bind [PATH]       bind a unix socket, and do not listen
//	backlog [PATH]    listen, and accept nothing: the queue is full at once
//	mute [PATH]       listen on a unix socket, accept, and never answer
//	dgram [PATH]      bind a datagram socket
//	ready [SOCKET]    announce SOCKET
//	announce QUOTED   write QUOTED, with NAME, DIR and SOCK replaced, in one write
//	sleep DURATION
//	await PATH        wait for somebody to open the FIFO at PATH for writing
//	notify PATH       open the FIFO at PATH for writing: wakes who awaits it
//	exit CODE
//	kill SIGNAL       a signal's number, to itself
//	ignore SIGNAL     a signal's number
//	spawn STEPS       a child of the same group; steps separated by " ; "
//	exec STEPS        become another image, with these steps
//	rmlog             delete stderr.log
//	rotate            rename stderr.log, create another
//	truncate          truncate stderr.log
//	rmdir             delete the runtime directory
//	closestderr       close stderr
//	redirect PATH     send stderr to the file PATH instead
//	undumpable        let nobody look into this process (prctl(2))
//	setuid UID        become the user UID, for good
//	fds PATH          write which descriptors are open into the file PATH
//	env PATH          write the environment into the file PATH, NUL-terminated
//	args PATH         write all arguments after the script's into the file PATH, NUL-terminated
//	hang              wait for ever
//	setsid STEPS      a child in a session of its own; steps as in spawn
//	closefrom N       close the descriptors from N on, but for those of its runtime
//	pid PATH          write its pid into the file PATH
//	onterm STEPS      take steps, as in spawn, when SIGTERM comes, and then exit 0
//
// A relative PATH of a socket is taken from the working directory; the default
// is sock in the runtime directory. When the script is over the pod exits 0.
// SIGTERM ends it.
package fakepod

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/readiness"
)

// A pod is one run of a script.
type pod struct {
	name, dir string
	rest      []string // arguments that are not the script's
	held      []any    // kept open until the end
}

// Args returns the arguments that make the fake pod follow script, followed by
// rest.
func Args(name, dir string, script, rest []string) []string {
	args := append([]string{name, dir, strconv.Itoa(len(script))}, script...)
	return append(args, rest...)
}

// Main is the fake pod's main function.
func Main() {
	n, err := strconv.Atoi(os.Args[3])
	if err != nil {
		fail("the number of steps: %v", err)
	}
	p := &pod{name: os.Args[1], dir: os.Args[2], rest: os.Args[4+n:]}
	for _, step := range os.Args[4 : 4+n] {
		p.take(step)
	}
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "fakepod: "+format+"\n", args...)
	os.Exit(99)
}

func must(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func (p *pod) socket(path string) string {
	if path == "" {
		return filepath.Join(p.dir, "sock")
	}
	return path
}

func (p *pod) log() string { return filepath.Join(p.dir, "stderr.log") }

// take takes one step.
func (p *pod) take(step string) {
	verb, arg, _ := strings.Cut(step, " ")
	switch verb {
	case "say":
		fmt.Fprintln(os.Stderr, arg)
	case "write":
		io.WriteString(os.Stderr, unquote(arg))
	case "bytes":
		for _, b := range []byte(unquote(arg)) {
			os.Stderr.Write([]byte{b})
		}
	case "out":
		fmt.Println(arg)
	case "repeat":
		count, text, _ := strings.Cut(arg, " ")
		for i := range number(count) {
			io.WriteString(os.Stderr, strings.ReplaceAll(text, "%d", strconv.Itoa(i))+"\n")
		}
	case "flood":
		lines := bytes.Repeat([]byte(strings.Repeat("x", 99)+"\n"), 10_000)
		for left := number(arg); left > 0; left -= len(lines) {
			os.Stderr.Write(lines[:min(left, len(lines))])
		}
	case "longline":
		chunk := bytes.Repeat([]byte("y"), 1<<20)
		for left := number(arg); left > 0; left -= len(chunk) {
			os.Stderr.Write(chunk[:min(left, len(chunk))])
		}
		io.WriteString(os.Stderr, "\n")
	case "forever":
		for {
			io.WriteString(os.Stderr, "and on and on\n")
		}
	case "listen":
		p.listen(p.socket(arg))
	case "bind":
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		must(err)
		must(syscall.Bind(fd, &syscall.SockaddrUnix{Name: p.socket(arg)}))
	case "backlog":
		p.backlog(p.socket(arg))
	case "mute":
		l, err := net.Listen("unix", p.socket(arg))
		must(err)
		go func() {
			for {
				conn, err := l.Accept()
				must(err)
				p.held = append(p.held, conn)
			}
		}()
	case "dgram":
		conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: p.socket(arg), Net: "unixgram"})
		must(err)
		p.held = append(p.held, conn)
	case "ready":
		must(readiness.Announce(os.Stderr, p.name, p.socket(arg)))
	case "announce":
		line := strings.NewReplacer("NAME", p.name, "DIR", p.dir, "SOCK", p.socket("")).Replace(unquote(arg))
		io.WriteString(os.Stderr, line)
	case "sleep":
		d, err := time.ParseDuration(arg)
		must(err)
		time.Sleep(d)
	case "await", "notify":
		flag := map[string]int{"await": os.O_RDONLY, "notify": os.O_WRONLY}[verb]
		f, err := os.OpenFile(arg, flag, 0)
		must(err)
		f.Close()
	case "exit":
		os.Exit(number(arg))
	case "kill":
		must(syscall.Kill(os.Getpid(), syscall.Signal(number(arg))))
	case "ignore":
		signal.Ignore(syscall.Signal(number(arg)))
	case "spawn":
		must(p.again(arg).Start())
	case "exec":
		c := p.again(arg)
		must(syscall.Exec(c.Path, c.Args, os.Environ()))
	case "rmlog":
		must(os.Remove(p.log()))
	case "rotate":
		must(os.Rename(p.log(), p.log()+".rotated"))
		must(os.WriteFile(p.log(), nil, 0o600))
	case "truncate":
		must(os.Truncate(p.log(), 0))
	case "rmdir":
		must(os.RemoveAll(p.dir))
	case "closestderr":
		must(os.Stderr.Close())
	case "redirect":
		f, err := os.Create(arg)
		must(err)
		must(unix.Dup2(int(f.Fd()), int(os.Stderr.Fd())))
	case "undumpable":
		must(undumpable())
	case "setuid":
		must(syscall.Setuid(number(arg)))
	case "fds":
		must(replace(arg, []byte(descriptors())))
	case "env":
		must(replace(arg, []byte(strings.Join(os.Environ(), "\x00"))))
	case "args":
		must(replace(arg, []byte(strings.Join(p.rest, "\x00"))))
	case "hang":
		select {}
	case "setsid":
		c := p.again(arg)
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		must(c.Start())
	case "closefrom":
		closeFrom(number(arg))
	case "pid":
		must(replace(arg, []byte(strconv.Itoa(os.Getpid()))))
	case "onterm":
		term := make(chan os.Signal, 1)
		signal.Notify(term, syscall.SIGTERM)
		go func() {
			<-term
			for step := range strings.SplitSeq(arg, " ; ") {
				p.take(step)
			}
			os.Exit(0)
		}()
	default:
		fail("unknown step %q", step)
	}
}

// replace writes a file that is whole as soon as it is there.
func replace(path string, data []byte) error {
	if err := os.WriteFile(path+".tmp", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

// again is this program with other steps.
func (p *pod) again(steps string) *exec.Cmd {
	c := exec.Command(os.Args[0], Args(p.name, p.dir, strings.Split(steps, " ; "), p.rest)...)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	return c
}

// listen serves a socket: each line that comes is sent back after "pong ".
func (p *pod) listen(path string) {
	os.Remove(path)
	l, err := net.Listen("unix", path)
	must(err)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					fmt.Fprintf(conn, "pong %s\n", lines.Text())
				}
			}()
		}
	}()
}

// backlog listens with a queue of one, fills it, and never accepts.
func (p *pod) backlog(path string) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	must(err)
	must(syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}))
	must(syscall.Listen(fd, 0))
	for {
		conn, err := net.DialTimeout("unix", path, 10*time.Millisecond)
		if err != nil {
			return
		}
		p.held = append(p.held, conn)
	}
}

// closeFrom closes all descriptors from lowest on. Go's runtime would not
// survive the loss of its own.
func closeFrom(lowest int) {
	for line := range strings.Lines(descriptors()) {
		fd, target, _ := strings.Cut(line, " ")
		if number(fd) >= lowest && !strings.HasPrefix(target, "anon_inode:") {
			syscall.Close(number(fd)) // that of the listing is closed already
		}
	}
}

// descriptors lists this process's open descriptors and what they are.
func descriptors() string {
	entries, err := os.ReadDir("/proc/self/fd")
	must(err)
	var lines []string
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			lines = append(lines, e.Name()+" "+target)
		}
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

func unquote(s string) string {
	u, err := strconv.Unquote(s)
	must(err)
	return u
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	must(err)
	return n
}
