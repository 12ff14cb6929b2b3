// Package readiness finds out when a pod can really be talked to. One verb
// does it: [Probe.Wait] blocks until the pod is ready, or never will be, and
// returns where to reach it.
//
// The default of package launcher is
//
//	readiness.Sequence{readiness.ReadyLine{}, readiness.Socket{}}
//
// [ReadyLine] waits for the pod to say on its log that it is ready and where
// its socket is. [Socket] then dials that socket until a process answers, and
// makes sure that it is the pod. A pod written in Go says it with [Announce]; in
// any other language one line is enough:
//
//	printf 'INSOMNIA-READY\t%s\t%s\n' "$name" "$socket" >&2
//
// A pod that fails says so with [AnnounceFail], and why; see [FailedError].
//
// # Programs as they are
//
// Most programs know nothing of ready lines. A [Pattern] waits for what they say on
// their log. [TCP], [Unix], [HTTP] and [Talk] find what they serve, and ask whose it
// is. A [File] or an [Exec] shows the rest. What a probe learns besides the endpoint
// is a [Fact].
//
// # What needs something in place
//
// [NotifySocket] (sd_notify), [NotifyFD] (s6) and [Listener] (a socket that
// listens before there is a pod) need to make something before the process
// starts. Each is a [Preparer]. [Sequence] and the other combinators pass that on;
// your own combinator does it with [Prepare].
//
// # Writing a probe
//
// A probe is a value without state of a launch: it serves any number of
// launches at once. What it needs to know is in [Target]. Most probes read
// [Target.Lines] until they see their sign. They return the error that ends the
// lines as it is, for it says why no more will come (the pod has exited, the time
// is over, the caller has given up):
//
//	for line, err := range t.Lines(ctx) {
//		if err != nil {
//			return readiness.Endpoint{}, err
//		}
//		if bytes.Contains(line, []byte("Ready to accept connections")) {
//			return readiness.Endpoint{Network: "unix", Address: path}, nil
//		}
//	}
//
// A probe need not watch for the pod's exit: the launcher does, and ends ctx.
package readiness
