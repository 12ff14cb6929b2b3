//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// echoPod is a good pod: echopod NAME [WORD]... --overlay TOML [--session UUID].
// It says what it was given, and on its socket it sends each line back, and
// "bye" when its client has no more to say.
//
// Variables: ECHOPOD_APP is the application; ECHOPOD_SILENT keeps it from
// announcing itself; ECHOPOD_SHOW names one whose value it says.
func echoPod() {
	name, args := os.Args[1], os.Args[2:]
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	app := os.Getenv("ECHOPOD_APP")
	dir, err := runtimedir.User{App: app}.RuntimeDir(ctx, name)
	check(err)
	fmt.Fprintf(os.Stderr, "arguments %q\n", args)
	if show := os.Getenv("ECHOPOD_SHOW"); show != "" {
		work, err := os.Getwd()
		check(err)
		fmt.Fprintf(os.Stderr, "%s is %q, in %s\n", show, os.Getenv(show), filepath.Base(work))
	}
	fmt.Println("on stdout")
	socket := filepath.Join(dir, "sock")
	os.Remove(socket)
	l, err := net.Listen("unix", socket)
	check(err)
	defer l.Close()                              // removes the socket, or waits until it has been
	context.AfterFunc(ctx, func() { l.Close() }) // ends Accept
	if os.Getenv("ECHOPOD_SILENT") == "" {
		line := readiness.ReadyLine{}
		if app != "" {
			line.Prefix = strings.ToUpper(app) + "-READY"
		}
		check(line.Announce(os.Stderr, name, socket))
	}
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			fmt.Fprintln(os.Stderr, "ending")
			return
		}
		check(err)
		go echo(conn)
	}
}

func echo(conn net.Conn) {
	defer conn.Close()
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if lines.Text() == "hang up" {
			return
		}
		fmt.Fprintln(conn, lines.Text())
	}
	io.WriteString(conn, "bye\n")
}

// badPod is a pod that misbehaves: badpod HOW NAME [FIFO], where HOW is
//
//	die       say something and exit before it is ready
//	mute      open FIFO, if there is one, and never become ready
//	stubborn  become ready, and ignore SIGTERM
//	leaver    become ready, and exit when told anything; sleep(1), in a session of
//	          its own, stays
func badPod() {
	how, name := os.Args[1], os.Args[2]
	switch how {
	case "die":
		for i := range 10 {
			fmt.Fprintf(os.Stderr, "complaint %d\n", i)
		}
		fmt.Fprint(os.Stderr, "\x1b[31mno newline")
		os.Exit(3)
	case "mute":
		if fifo := os.Args[3]; fifo != "--overlay" {
			f, err := os.OpenFile(fifo, os.O_WRONLY, 0)
			check(err)
			check(f.Close())
		}
		select {}
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		comeUp(name)
		select {}
	case "leaver":
		left := exec.Command("sleep", "1000")
		left.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		check(left.Start())
		for l := comeUp(name); ; {
			conn, err := l.Accept()
			check(err)
			if bufio.NewScanner(conn).Scan() {
				os.Exit(0)
			}
		}
	default:
		check(fmt.Errorf("badpod does not know how to %q", how))
	}
}

// comeUp listens, and says so.
func comeUp(name string) net.Listener {
	dir, err := runtimedir.User{}.RuntimeDir(context.Background(), name)
	check(err)
	socket := filepath.Join(dir, "sock")
	l, err := net.Listen("unix", socket)
	check(err)
	check(readiness.Announce(os.Stderr, name, socket))
	return l
}

// ordinary is a program that knows nothing of pods: it says on standard output what
// its arguments are, and on standard error where it could be reached.
func ordinary() {
	for _, arg := range os.Args[1:] {
		fmt.Println("argument " + arg)
	}
	fmt.Fprintln(os.Stderr, "asked for: /there")
	select {}
}

// serve is a server: serve NETWORK ADDRESS listens there, and serve notify tells its
// service manager that it is ready. It exits with 3 at SIGUSR1.
func serve() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGUSR1)
	if os.Args[1] == "notify" {
		conn, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
		check(err)
		_, err = io.WriteString(conn, "READY=1")
		check(err)
	} else {
		_, err := net.Listen(os.Args[1], os.Args[2])
		check(err)
	}
	<-stop
	os.Exit(3)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "fatal:", err)
		os.Exit(99)
	}
}
