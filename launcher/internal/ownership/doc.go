// Package ownership sees to it that a name has one pod. Beside the pod's
// directory, which the pod may remove, it keeps three files:
//
//	.NAME.launch   the launch lock: whoever launches, or ends, the pod holds it
//	.NAME.pod      the pod lock: the pod inherits it, and so holds it until it
//	               is really gone, even if its launcher was killed between the
//	               fork and the next instruction
//	.NAME.json     the record: who the pod is, and where it answers
//
// The locks are flock(2) locks. They are never unlinked: somebody may wait for
// the one while another locks its successor. The record is created before the process
// is started, and added to when it was and when it is ready.
//
// # What the two witnesses mean
//
// Neither witness is enough. A pod may close its descriptors, and so drop its
// lock; a record may be left of a process that died, whose pid is another's by
// now. Together they decide (see [Place.Running] and [Place.Claim]):
//
//	pod lock  launch lock      record                        verdict
//	held      any              ready, process proven alive   it runs
//	any       held by another  any                           it is being launched: wait
//	held      free             not ready                     left by a launcher that died: those of its launch are ended
//	held      free             none                          it may run: nobody is signalled
//	held      free             ready, its process is gone    descendants outlived it: nobody is signalled
//	free      free             process proven alive          it runs (it closed its descriptors)
//	free      free             stale, or none                nobody has the name
//	any       free             cannot be told                it may run: ErrUnclear
//
// Who only looks has less to go by than a Claim, which can take the locks. A record of
// another pid namespace, or none while the pod lock is held, tells it nothing
// ([Place.Look]).
//
// Of a process on another machine the record is the only witness: nobody there
// holds the lock. It is written before the start, names the launch, and whoever
// started that is asked whether it runs ([Elsewhere]). If that cannot be told the
// name is not given to anybody.
//
// # Which call releases what
//
// The launch lock is released by LOCK_UN. Closing alone does not do it while a
// child that has just been forked, by anybody in the program, has a copy of the
// descriptor and has not come to its exec. So is the pod lock of a launch that has
// failed, once nobody of it is left. The lock of a pod that runs is only ever closed:
// LOCK_UN, by anybody, frees the lock of all copies, and so the name of a live pod.
package ownership
