// Package launcher starts a long-lived program (a pod) detached from its
// parent, waits until it can really be talked to, and hands back a [Pod], or
// one [*Error] that holds all the evidence.
//
// The zero [Launcher] works:
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
// starts one on this machine.
//
// # What a launch promises
//
// The context given to [Launcher.Launch] bounds the launch only. A ready pod
// never dies because a context ended or because its launcher did: it has a
// session of its own, and writes its log into a file, not into a pipe that
// somebody must read.
//
// A launch that fails leaves nothing behind but the log: no process of the
// pod's group, no zombie, no descriptor, no goroutine. What could not be
// cleared (a callback that never returns, a process that may not be signalled)
// is named in the error.
//
// When several things happen at once the order is: ready, exited, cancelled,
// out of time. A pod that is ready is returned even if the deadline passes in
// the same instant.
//
// # One pod per name
//
// A name has one pod, whoever asks for it and whatever dies on the way. A second
// launch of a name that runs fails with [ErrRunning]; [Launcher.Ensure] gives
// the pod that runs, or launches it; [Launcher.Attach] finds it again after this
// program was restarted, and [Launcher.List] tells of all of them. [Pod.Differs] says
// whether that is the pod that was asked for, or an earlier version of it. What that
// rests on, and what it does not cover, is in docs/lifecycle.md. [Launcher.List] needs
// a Launcher.Dir that is a [runtimedir.Baser], as the default is.
//
// # Signals, and what a pod inherits
//
// Standard input is the null device unless [Spec.Stdin] or [Spec.StdinOpen] is set, and
// so is standard output unless [Spec.LogStdout] is set. Descriptor 20 is the lock on the pod's name, which the pod need
// not know of. From 3 on there are [Spec.Files], and what the probe hands over. No other
// descriptor is inherited, not even one that this process
// has from its own parent, or that C code in it has opened without O_CLOEXEC; the
// exception is what C code opens so while the launch forks. Signals that this process ignores are
// ignored by the pod as well (signal(7)); a pod that cares resets them.
//
// The environment is the caller's or [Spec.Env], without what the caller's service
// manager has told the caller, and with POD_NAME and POD_RUNTIME_DIR: the pod's name
// and its runtime directory.
//
// # Secrets
//
// An overlay is an argument of the pod, as is what [Spec.Args] holds, and every
// user of the machine can read the arguments of every process. An overlay that
// holds a secret should go another way: [Launcher.OverlayTransport] has it
// handed over as a file or as a descriptor. [Spec.Env] can be read by the pod's
// own user only. Neither overlay nor environment appear in an error, a log or a
// record of this package; arguments do, and so does what a pod writes. The record has
// a digest of each of the two, whose key is the launch's id. What else is protected
// from whom is in docs/security.md.
//
// # Platforms
//
// On Linux everything holds that this documentation says. On darwin and
// freebsd waiting for a pod takes a thread for each, and the processes of a
// pod's group that outlive it are not killed after it; names are locked, but
// nobody can attach to a pod, and what a launcher that died has left behind is
// not ended. Elsewhere Launch returns [errors.ErrUnsupported].
package launcher
