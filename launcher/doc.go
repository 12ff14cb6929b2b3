// Package launcher starts a long-lived program (a pod) detached from its
// parent, waits until it can really be talked to, and hands back a [Pod], or
// one [*Error] that holds all the evidence.
//
// Most programs that are launched know nothing of pods. Say what to run, and when it is
// ready. [Launcher.Ensure] returns the pod that runs, or launches it:
//
//	l := launcher.Launcher{
//		Command: launcher.Exec("redis-server", "--port", "6379", "--dir", "{dir}"),
//		Ready:   readiness.TCP{Address: "127.0.0.1:6379"},
//	}
//	pod, started, err := l.Ensure(ctx, launcher.Spec{Name: "cache", LogStdout: true})
//
// A program that is written to be a pod says by itself that it is ready (docs/protocol.md).
// For such a program the zero [Launcher] works:
//
//	var l launcher.Launcher
//	pod, err := l.Launch(ctx, launcher.Spec{Name: "alice", Overlay: overlay})
//
// # Four nouns, one verb each
//
// What a launch does is made of four strategies. Each is an interface with one
// method, found in a field of Launcher, and nil there means the default:
//
//	Command  CommandResolver     ResolveCommand  [PodCommand]: $INSOMNIA_POD_COMMAND, else pod on PATH
//	Dir      runtimedir.Resolver RuntimeDir      [runtimedir.User]: below $XDG_RUNTIME_DIR and others
//	Log      logsource.Source    Open            [logsource.File]: stderr.log in that directory
//	Ready    readiness.Probe     Wait            the ready line, then a dial of the socket it names
//
// A fifth, [Starter], is how a process comes to be; the default, [Local],
// starts one on this machine. [FromCmd] makes a CommandResolver of an [exec.Cmd].
//
// # What a launch promises
//
// The context given to [Launcher.Launch] bounds the launch only. A ready pod never dies
// because a context ended or because its launcher died: it has a session of its own, and
// writes its log into a file, not into a pipe that somebody must read.
//
// A launch that fails leaves nothing behind but the log: no process of the pod's group,
// no zombie, no descriptor, no goroutine. If something cannot be cleared (a callback that
// never returns, a process that may not be signalled), the error names it.
//
// When several things happen at once the order is: ready, exited, cancelled, out of time.
// Launch returns a pod that is ready even if the deadline passes in the same instant. A
// pod that goes to the background at that moment is not ready. So if the process has not
// itself said that it is ready, Launch watches it until it sleeps and has no children,
// for 50 ms at most. A line that [readiness.Pattern] looks for may be a child's: then Launch
// watches a process that has children.
//
// # One pod per name
//
// A name has one pod, no matter how many callers ask for it and which processes die on
// the way. A second launch of a name that runs fails with [ErrRunning]. [Launcher.Ensure]
// returns the pod that runs, or launches it. [Launcher.Attach] finds the pod again after
// this program was restarted, and [Launcher.List] lists all pods. [Pod.Differs] tells
// whether the pod is what the caller asks for, or an earlier version of it.
// docs/lifecycle.md says what that rests on, and what it does not cover. [Launcher.List]
// needs a Launcher.Dir that is a [runtimedir.Baser], as the default is.
//
// A private pod, with [runtimedir.Temp], has no name that others know. Its directory goes
// with it, see [Launcher.Dir].
//
// # Signals, and what a pod inherits
//
// Standard input is the null device unless [Spec.Stdin] or [Spec.StdinOpen] is set.
// Standard output is the null device unless [Spec.LogStdout] or [Spec.Stdout] is set.
// Descriptor 20 is the lock on the pod's name; the pod need not know of it. From 3 on
// there are [Spec.Files], and the descriptors that the probe hands over. The pod inherits
// no other descriptors, even if this process has them from its own parent, or C code in
// it has opened them without O_CLOEXEC. Exception: a descriptor that C code opens that
// way during the fork itself. The pod ignores the signals that this process ignores
// (signal(7)); a pod that cares resets them. It also ignores SIGPIPE if it is started as
// by systemd ([readiness.Listener]).
//
// The environment is the caller's or [Spec.Env], without what the caller's service
// manager has put there for the caller. The launcher adds POD_NAME and POD_RUNTIME_DIR,
// the pod's name and its runtime directory, and POD_LAUNCH_ID, the launch's id, by which it
// finds the pod's processes again.
//
// # Secrets
//
// The overlay and [Spec.Args] are arguments of the pod, and every user of the machine can
// read the arguments of every process. An overlay that holds a secret should go another
// way: [Launcher.OverlayTransport] passes it as a file or as a descriptor. Only the pod's
// own user can read [Spec.Env]. Neither overlay nor environment appear in an error, a log
// or a record of this package; arguments and the lines that a pod writes
// do. The record has a digest of the overlay and of the environment, keyed with the
// launch's id. docs/security.md says what else is protected, and from whom.
//
// # Platforms
//
// On Linux everything in this documentation holds. On darwin and freebsd, waiting for a
// pod takes one thread for each pod. Processes of a pod's group that outlive the pod are
// not killed after it. Names are locked, but nobody can attach to a pod, and nothing ends
// what a dead launcher has left behind. Linux alone has [Spec.StdinOpen], [Local.Cgroup],
// [logsource.File.Keep], [readiness.PIDFile], [readiness.NotifySocket] and the probes'
// NoConnect; Linux and Windows have [WithParent]. Elsewhere each is an error that wraps
// [errors.ErrUnsupported].
//
// On Windows a job holds the processes of a pod together. SIGTERM is an event that the pod
// has created, or CTRL_C; there are no other signals but SIGINT and SIGKILL. The page
// docs/platforms.md has the rest. This is tested under Wine 8, not on Windows itself.
//
// On any other system Launch returns [errors.ErrUnsupported].
package launcher
