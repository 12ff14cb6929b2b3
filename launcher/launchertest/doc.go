// Package launchertest helps to test programs that launch pods. It has a pod that
// misbehaves on demand, tests for implementations of [launcher.CommandResolver] and
// [launcher.Starter], and a Starter whose processes live in memory.
//
// # A pod that misbehaves on demand
//
// [FakePod] resolves to a pod that does, step by step, what a script says. The
// test binary itself plays the pod, so there is no second program to build.
// Before anything else happens, it has to find out whether it is such a pod:
//
//	func TestMain(m *testing.M) { launchertest.Main(m) }
//
//	func TestCrash(t *testing.T) {
//		l := launcher.Launcher{
//			Command: launchertest.FakePod("say no disk", "exit 3"),
//			Dir:     runtimedir.Dir(dir),
//		}
//		...
//	}
//
// # The script
//
// A step is a verb and, after a space, what it is about.
//
// What it writes:
//
//	say TEXT                    a line on stderr
//	write QUOTED                bytes on stderr in one write
//	bytes QUOTED                bytes on stderr, one write for each
//	out TEXT                    a line on stdout
//	repeat N TEXT               N lines on stderr, one write each; %d in TEXT is the number
//	flood N                     N bytes of lines on stderr, in large writes
//	longline N                  one line of N bytes, in large writes, and its newline
//	forever                     lines on stderr without end
//
// How it says that it is ready, or not:
//
//	ready [PATH]                announce the socket at PATH
//	fail REASON                 announce why it will never be ready
//	status TEXT                 announce how far it is
//	file PATH [LITERAL]         write a file, which is whole as soon as it is there
//
// What it serves:
//
//	listen [PATH]               listen on a unix socket and answer each line on it
//	mute [PATH]                 listen on a unix socket, accept, and never answer
//	tcp ADDR                    listen on TCP and answer each line; {addr} is where
//	http ADDR STATUS,… [BODY]   answer HTTP requests, each with the next STATUS; {addr} is where
//
// What it does:
//
//	sleep DURATION              wait so long
//	hang                        wait for ever
//	exit CODE                   exit with CODE
//	spawn STEPS                 start a child in the same group
//	closestderr                 close stderr
//
// What it does to files:
//
//	rmlog                       delete stderr.log
//	rotate                      rename stderr.log, and create another
//	truncate                    truncate stderr.log
//	rmdir                       delete the runtime directory
//	pid PATH                    write its pid into a file
//	env PATH                    write its environment into a file, a NUL after each but the last
//	args PATH                   write all arguments but the script's into a file, in the same way
//	overlay PATH                write the overlay that it was given, in whichever way, into a file
//
// And these, where there is unix:
//
//	bind [PATH]                 bind a unix socket, and do not listen
//	backlog [PATH]              listen, and accept nothing: the queue is full at once
//	dgram [PATH]                bind a datagram socket
//	accept-fd FD                answer each line that comes through a listener it was handed
//	notify-fd FD                write a newline on a descriptor it was handed, and close it
//	notify-socket LITERAL       send a datagram to $NOTIFY_SOCKET
//	notify-barrier              send BARRIER=1 to $NOTIFY_SOCKET, and wait for the answer
//	await PATH                  wait for somebody to open the FIFO at PATH for writing
//	notify PATH                 open the FIFO at PATH for writing: wakes who awaits it
//	kill SIGNAL                 send itself a signal
//	ignore SIGNAL               ignore a signal from now on
//	onterm STEPS                take steps when SIGTERM comes, and then exit 0
//	setsid STEPS                start a child in a session of its own
//	own-session                 make a session of its own; the system refuses it to who leads a group
//	exec STEPS                  become another image, with these steps
//	redirect PATH               send stderr to the file PATH instead
//	fds PATH                    write which descriptors are open into a file (Linux)
//	closefrom N                 close the descriptors from N on, except those of its runtime (Linux)
//	undumpable                  let nobody look into this process (Linux)
//	setuid UID                  become another user, for good
//
// What may be left out is in brackets. PATH of a socket is "sock" in the pod's
// runtime directory by default, which is where the default probe expects it. A
// relative path is taken from the pod's working directory. QUOTED is a Go string
// literal, such as "a\tb\n"; LITERAL is that too, or any text that does not begin
// with a quotation mark, and so may the PATH of the step file be. SIGNAL is a name
// or a number, FD a number or the name of a variable that has one, after a dollar
// sign. STEPS are separated by " ; ", and take what they are about with them.
//
// In every text and path these words stand for something else:
//
//	{name}  the pod's name
//	{dir}   its runtime directory
//	{sock}  "sock" in that
//	{addr}  where its last step tcp or http listens, host and port
//
// A step that answers lines sends each of them back after "pong ". A step that
// listens does so before the pod takes the next step, and goes on until the pod
// ends. A pod with the step
//
//	http 127.0.0.1:0 503,503,200
//
// answers two requests with 503, and all others with 200. The steps await and
// notify need a FIFO, mkfifo(3). With them a test and a pod wait for each other
// without a clock.
//
// If the script has an unknown step, the launch fails with an error that names it.
// If a step fails later (a file cannot be written), the pod says so on stderr, and
// exits with [FakePodFailed].
//
// When the script is over the pod exits 0, so the script of a pod that is to stay
// ends with hang. SIGTERM ends the pod, unless it ignores that. Its working
// directory, its environment and its descriptors are those of the launch.
//
// # Testing a CommandResolver
//
// One call checks everything that the contract asks for:
//
//	func TestMyCommand(t *testing.T) {
//		launchertest.TestCommandResolver(t, func(t *testing.T) launchertest.CommandCase {
//			return launchertest.CommandCase{
//				Resolver: mytool.Command{Program: "/bin/sh"},
//				Missing:  mytool.Command{Program: "/bin/no-such-program"},
//			}
//		})
//	}
//
// Each rule is a subtest with a Case of its own. If a rule is broken, its subtest
// says what it saw, and quotes the rule:
//
//	--- FAIL: TestMyCommand/env-empty
//	    my_test.go:12: Spec.Env is empty and not nil, and Command.Env is nil: that is the caller's
//	        The rule: A Spec.Env that is empty, and not nil, leaves the pod without variables, except those of the resolver.
//
// If a resolver breaks a rule on purpose, leave that rule out by name. That also
// shows the rule to readers of the command:
//
//	go test -skip '^TestMyCommand$/^session$' ./mytool
//
// # Testing a Starter
//
// [TestStarter] has the Starter run /bin/sh, and looks at what the script finds.
// If a Starter cannot do all of that, its case says so with [StarterCase].Lacks.
// The kit then skips the rules that need it, and the others hold as they are. A
// Starter whose processes run no program lacks [Programs]:
//
//	launchertest.TestStarter(t, func(t *testing.T) launchertest.StarterCase {
//		return launchertest.StarterCase{Starter: new(simulated.Starter), Lacks: launchertest.Programs}
//	})
//
// The rules are about unix systems; elsewhere a Starter lacks Programs.
//
// # Launching without processes
//
// A [Starter] starts a [Process] that lives in memory: a function of the test says
// what it does, it gets signals, and it ends when the test calls Exit. With such a
// process, a log in memory and a directory of the test's own, a launch needs
// nothing of the system. It runs in a bubble of package synctest, where it takes no
// time.
package launchertest
