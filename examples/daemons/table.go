package main

import (
	"context"
	"slices"

	"github.com/podlaunch/podlaunch/launcher"
)

// A daemon is one row of the table: what it takes to launch one program.
type daemon struct {
	name     string   // on the command line, and the pod's
	about    string   // what is special about it, in a line
	pkg      string   // the Debian package
	programs []string // at least one must be installed; see find

	// setup prepares what the program needs before the start. Nil means
	// nothing.
	setup func(ctx context.Context, p *place) error

	// launch returns the Launcher and the Spec that launch it in p.
	launch func(p *place) (launcher.Launcher, launcher.Spec)

	// request asks the running daemon something, and returns the question and
	// the answer.
	request func(ctx context.Context, pod *launcher.Pod) (string, error)
	answer  string // a regular expression for what request returns
	exit    string // how it has ended then, a regular expression

	faults []fault

	ready string // for people: what the probe waits for, and why
	stops string // for people: what SIGTERM means to it, and what to do
	notes string // for people: what else to know
}

// A fault is a way in which a daemon cannot work.
type fault struct {
	what      string
	breaks    func(p *place, s *launcher.Spec) error
	complaint string // a regular expression for what the daemon says of it
}

// daemons is the table.
var daemons = []daemon{redis, postgres, nginx, haproxy, dnsmasq, httpserver, chromium}

func lookup(name string) (daemon, bool) {
	i := slices.IndexFunc(daemons, func(d daemon) bool { return d.name == name })
	if i < 0 {
		return daemon{}, false
	}
	return daemons[i], true
}

// names returns what the rows of the table are called.
func names() []string {
	all := make([]string, len(daemons))
	for i, d := range daemons {
		all[i] = d.name
	}
	return all
}
