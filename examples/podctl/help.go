package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpWidth is how wide the help is.
const helpWidth = 80

// wrappedFlags are the usages of flags for the help.
func wrappedFlags(f *pflag.FlagSet) string { return f.FlagUsagesWrapped(helpWidth) }

// usageTemplate is cobra's, with flags that fit into the width of the help.
func usageTemplate(cobras string) string {
	for _, flags := range []string{"LocalFlags", "InheritedFlags"} {
		cobras = strings.ReplaceAll(cobras, "."+flags+".FlagUsages", "wrapped ."+flags)
	}
	return cobras
}

const rootLong = `podctl runs programs and keeps hold of them. It starts a program detached from
the terminal and waits until it can be used; if that does not come true, it ends
the program, with all that it has started. A program that is ready goes on
running when podctl has ended. It is called a pod; there is one pod of a name.

Say with --ready what makes it ready (podctl help ready). Look at pods with ls,
status and logs; end them with stop; remove what is left with rm or prune.`

// fiveExamples launch five programs that people have. A test runs them as they
// stand.
const fiveExamples = `  # redis
  podctl run redis --ready tcp=127.0.0.1:6379 -- \
    redis-server --bind 127.0.0.1 --port 6379 --dir {dir}

  # nginx, in the foreground, with all that it writes in its own directory
  echo 'daemon off; pid nginx.pid; error_log stderr; events {}
  http {
    access_log off; client_body_temp_path body; proxy_temp_path proxy;
    fastcgi_temp_path fcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server { listen 127.0.0.1:8080; location / { return 200 hello; } }
  }' >nginx.conf
  podctl run nginx --ready http=http://127.0.0.1:8080/ --stop-signal QUIT -- \
    /usr/sbin/nginx -e stderr -p {dir} -c $PWD/nginx.conf

  # postgres, which refuses to be run by root; Debian has it off PATH
  PATH=$PATH:$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
  initdb -D pgdata --auth trust
  podctl run postgres --ready socket=.s.PGSQL.5432 --stop-signal INT \
    --ready 'exec=pg_isready -h $POD_RUNTIME_DIR' -- \
    postgres -D pgdata -k {dir} -c listen_addresses=

  # vite, of npm
  npm install vite@7.3.7
  echo '<h1>hello</h1>' >index.html
  podctl run vite --ready http=http://localhost:5173/ --stdin-open -- \
    npx vite --port 5173 --strictPort

  # a gRPC server: the one with which gRPC tests its own clients
  podctl run grpc --ready tcp=127.0.0.1:50051 --timeout 5m -- \
    go run google.golang.org/grpc/interop/server@v1.80.0 --port 50051

  # and then
  podctl ls
  podctl logs -n 5 postgres
  podctl stop --all`

const runLong = `Run a program that is not written to be a pod: any server or worker. Wait until
it is ready, and leave it running. It is an error if the pod is running already.

What makes it ready is said with --ready, see podctl help ready; if there are
several, all must hold. Without any it has to run for a second, and nothing is
asked of it. The program must not go to the background by itself: most daemons
have an option for that. For one that has none, say with --ready pidfile=PATH
where it writes its pid.

In its arguments these words stand for what is known only then:

  {name}  the pod's name
  {dir}   its runtime directory, which podctl rm removes
  {sock}  a socket in there: {dir}/sock
  {log}   its log: {dir}/stderr.log

It gets no overlay, and the environment of podctl, with $POD_NAME and
$POD_RUNTIME_DIR. Its standard output and error go to its log; standard input is
empty. While it is waited for, a terminal shows what for, how long yet, and the
last line that it wrote; anything else gets all its lines, on standard error.

If it does not become ready, or podctl is interrupted, all its processes are
ended and nothing is left but the log, which podctl logs prints.

podctl keeps the command and the flags, --env included, in {dir}/.podctl.json,
for podctl restart. Nobody but you can read it.`

const startLong = `Start a pod and wait until it is ready. What it writes until then is shown on
standard error. It is an error if the pod is running already.

CMD and its ARGs are the pod's program; --overlay with the overlay's text, and
--session if one is resumed, are put after them. Without CMD it is the one that
the environment names (see podctl help environment). A program that knows
neither is for podctl run.

Every user of the machine can read the arguments of a program. If the overlay
holds a secret, and the pod knows --overlay-file, have it go another way: with
--overlay-as file or --overlay-as descriptor.

Without --ready it is ready when it says so, with the line INSOMNIA-READY, and
its socket answers. If it does not become ready, or podctl is interrupted, its
processes are ended and nothing is left but the log.`

const startExamples = `  podctl start alice
  podctl start alice --overlay alice.toml -- ./my-pod --verbose
  echo 'name = "alice"' | podctl start alice --overlay -
  podctl start alice --overlay secret.toml --overlay-as descriptor
  podctl start web --ready socket -- ./my-pod`

// readyTopic tells of --ready, from its table.
func readyTopic() *cobra.Command {
	var b strings.Builder
	b.WriteString("What --ready can be. If there are several, all must hold.\n\n")
	for _, k := range readyKinds {
		for i, line := range wrap(k.usage, helpWidth-17) {
			form := k.form()
			if i > 0 {
				form = ""
			}
			fmt.Fprintf(&b, "  %-14s %s\n", form, line)
		}
	}
	b.WriteString(`
A port or a socket on which another process answers counts for nothing: that is
an error at once. Where the pod answers, for podctl ls and dial, is what the
last --ready has found that is about an address. pidfile and forking begin
before all others; exec, and http=/PATH, begin when all others hold. A file and
a socket may be given as {dir}/NAME, too.

podctl run without --ready means up; podctl start and ensure mean line. With
--app yoi the line begins with YOI-READY.

  podctl run web --ready 'log=listening on (?P<address>\S+)' -- ./web
  podctl run web --ready socket --ready http=/healthz -- ./web --socket {sock}
  podctl run web --ready pidfile=web.pid --ready tcp=:8080 -- ./web --daemon
  podctl run db --ready notify --ready 'exec=./is-ready --quick' -- ./db
  podctl run worker --ready up=5s -- ./worker`)
	return &cobra.Command{Use: "ready", Short: "What --ready can wait for", Long: b.String()}
}

func jsonTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "json",
		Short: "What --json prints",
		Long: `With --json a command prints no text. Standard output has the results:

  run, start, ensure, restart  an object: fields of status, and "outcome", which
                               is ready, up, started, running or restarted
  ls                           an array of objects
  status                       an object for each name
  stop, rm, prune, wait,       an object for each name, in the order in which
  signal                       they are done: "name", "outcome" (what the text
                               says), and of a pod that has ended "exit", with
                               "exitStatus" or "signal" if that is known, and
                               "ended", the pids of what it had left behind
  logs                         an object for each line: "line"
  timeline                     an object: "steps" and "conditions", with times

What is not known is left out. dial prints what the pod sends, as it is.

Standard error has the failures, each an object: {"error": {...}}. In it are
"message", in one line, and "exitCode"; and of a launch also "stage", "reason",
"pending", "exit", "tail" (the pod's last lines), "log", and "do", what can be
done about it. What is worth a warning is {"warning": "..."}.`,
	}
}

func exitCodesTopic() *cobra.Command {
	return &cobra.Command{
		Use:     "exit-codes",
		Aliases: []string{"exit-code"},
		Short:   "What the exit codes mean",
		Long: fmt.Sprintf(`  %3d  done; of status: the pod is ready
  %3d  something else went wrong
  %3d  the command line is wrong: a flag, the name of a pod, an overlay
  %3d  the pod is not running, or did not become ready and has lost its launcher
  %3d  another launch of the pod is under way, or its name is still held by
       processes that an earlier pod has left behind
  %3d  the pod is running and does not answer
  %3d  run, start: the pod is running already
  %3d  run, start, ensure, restart: the pod did not become ready; nothing of it
       is left but the log
  %3d  another process has the pod's pid or answers on its socket; it was left
       alone
  %3d  wait: it was not so when --timeout was over
  %3d  ended by SIGINT, as by ^C; a launch that was under way is undone
  %3d  ended by SIGTERM; likewise

stop, of a pod that is not running, is done. So is logs -f at ^C. If several
pods were named, and more than one failed, it is the code of the first of these.`,
			exitDone, exitFailure, exitUsage, exitNotRunning, exitHeld, exitUnreachable,
			exitRunning, exitNotReady, exitNotOurs, exitNotYet, exitInterrupted, exitTerminated),
	}
}

func environmentTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "environment",
		Short: "Which variables matter",
		Long: `Pods are kept below the first of these that is set:

  $INSOMNIA_RUNTIME_DIR
  $INSOMNIA_HOME/run
  $XDG_RUNTIME_DIR/insomnia
  $HOME/.insomnia/run

A pod that is started without a program of its own runs $INSOMNIA_POD_COMMAND,
else pod on $PATH.

A pod has to find the same directory, and to know its name; podctl passes it
neither as an argument, unless podctl run is given {dir} or {name}. With
--runtime-dir D a pod that is started gets $INSOMNIA_RUNTIME_DIR set to D.

With --app yoi it is YOI in place of INSOMNIA and yoi in place of insomnia, and
the line with which a pod says that it is ready begins with YOI-READY.`,
	}
}
