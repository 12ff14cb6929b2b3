package main

import (
	"errors"
	"os"
	"strings"
)

// recipeRows are those of the daemons that have a recipe.
var recipeRows = []row{
	{
		name: "redis", pkg: redis.pkg, programs: redis.programs, launch: redis.launch, ask: redis.request,
		take:       takeSock,
		foreground: "`--daemonize no`, its default",
		note:       "It removes a socket on which somebody else listens, and takes its place. A port that is taken ends it.",
	},
	{
		name: "postgres", pkg: postgres.pkg, programs: postgres.programs, setup: postgres.setup, launch: postgres.launch, ask: postgres.request,
		as: "postgres", badFlag: "-Z",
		badConfig: func(p *place) error { return appendTo(p.in("cluster/postgresql.conf"), "max_connections = lots\n") },
		take:      func(p *place) error { return p.takeUnix(p.in(".s.PGSQL.5432")) },
		note: "It takes over a socket on which somebody else listens. What keeps two servers apart is a file beside the " +
			"socket, `.s.PGSQL.5432.lock`.",
	},
	{
		name: "nginx", pkg: nginx.pkg, programs: nginx.programs, setup: nginx.setup, launch: nginx.launch, ask: nginx.request,
		badFlag:   "-Z",
		badConfig: func(p *place) error { return replaceIn(p, "nginx.conf", "listen", "lissten") },
		take:      takeSock, foreground: "`daemon off;`",
		background: spoiled("nginx.conf", "daemon off;", ""),
	},
	{
		name: "haproxy", pkg: haproxy.pkg, programs: haproxy.programs, setup: haproxy.setup, launch: haproxy.launch, ask: haproxy.request,
		badConfig: func(p *place) error { return replaceIn(p, "haproxy.cfg", "bind", "bindd") },
		take:      takeSock, foreground: "`-Ws` (or `-db`)",
		note:       "RELOADING=1 comes first, also at the first start; READY=1 follows. It takes over a socket on which somebody else listens.",
		background: more("-D"),
	},
	{
		name: "dnsmasq", pkg: dnsmasq.pkg, programs: dnsmasq.programs, launch: dnsmasq.launch, ask: dnsmasq.request,
		foreground: "`--keep-in-foreground`", background: without("--keep-in-foreground"),
	},
	{
		name: "http.server", pkg: httpserver.pkg, programs: httpserver.programs, setup: httpserver.setup, launch: httpserver.launch, ask: httpserver.request,
		fixed: func(p *place, args []string) ([]string, error) {
			return append(args[:len(args)-1:len(args)-1], p.port), nil
		},
	},
	{
		name: "chromium", pkg: chromium.pkg, programs: chromium.programs, launch: chromium.launch, ask: chromium.request,
		note: "It ignores flags that it does not know. With its port taken on 127.0.0.1 it listens on ::1, and is ready.",
		fixed: func(p *place, args []string) ([]string, error) {
			return append(args[:len(args):len(args)], "--remote-debugging-port="+p.port), nil
		},
	},
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// replaceIn replaces the first old in a file of the place.
func replaceIn(p *place, name, old, with string) error {
	text, err := os.ReadFile(p.in(name))
	if err != nil {
		return err
	}
	return p.write(name, strings.Replace(string(text), old, with, 1))
}
