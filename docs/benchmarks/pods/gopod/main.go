//go:build linux

// Command gopod is a pod for measurements that is written in Go. It takes the
// arguments of pods/pod.c, and of what that does everything but the noise.
package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func main() {
	name, sock, slots, style, gate := os.Args[1], os.Args[2], os.Args[3], os.Args[5], os.Args[7]
	index, delay := number(os.Args[4]), number(os.Args[6])
	page := int64(os.Getpagesize())
	at := index * 16 / page * page
	f, err := os.OpenFile(slots, os.O_RDWR, 0)
	need(err)
	data, err := unix.Mmap(int(f.Fd()), at, int(page), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	need(err)
	f.Close()
	slot := (*[2]int64)(unsafe.Pointer(&data[index*16-at]))

	_, err = net.Listen("unix", sock)
	need(err)
	out, line := os.Stderr, fmt.Sprintf("INSOMNIA-READY\t%s\t%s\n", name, sock)
	switch style {
	case "plugin":
		out, line = os.Stdout, fmt.Sprintf("1|1|unix|%s|netrpc\n", sock)
	case "rod":
		line = "DevTools listening on ws://127.0.0.1:1/devtools/browser/" + name + "\n"
	}
	slot[0] = now()
	time.Sleep(time.Duration(delay) * time.Microsecond)
	if gate != "-" {
		fd, err := syscall.Open(gate, syscall.O_RDONLY, 0)
		need(err)
		syscall.Close(fd)
	}
	slot[1] = now()
	_, err = out.WriteString(line)
	need(err)
	select {}
}

func now() int64 {
	var t unix.Timespec
	need(unix.ClockGettime(unix.CLOCK_MONOTONIC, &t))
	return t.Nano()
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	need(err)
	return n
}

func need(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "gopod:", err)
		os.Exit(1)
	}
}
