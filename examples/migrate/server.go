package main

import (
	"bufio"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

// serve is the server. It listens on the socket at sock, unless the situation is another.
// It does not return.
func serve(situation, sock string) {
	switch situation {
	case "fails":
		log.Fatal("cannot read the configuration")
	case "hangs":
		log.Print("waiting for the database")
		time.Sleep(time.Hour)
	case "deaf":
		signal.Ignore(syscall.SIGTERM)
	case "forks":
		if err := exec.Command(os.Args[0], "serve", "hangs", sock).Start(); err != nil {
			log.Fatal(err)
		}
	}
	l, err := net.Listen("unix", sock)
	if err != nil {
		log.Fatal(err)
	}
	if situation != "deaf" {
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		go func() {
			<-stop
			l.Close() // and removes the socket
			os.Exit(0)
		}()
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			select {} // it is about to exit
		}
		go func() {
			defer conn.Close()
			if line, _ := bufio.NewReader(conn).ReadString('\n'); line != "" {
				fmt.Fprintln(conn, "pong")
			}
		}()
	}
}
