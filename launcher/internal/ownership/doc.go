// Package ownership makes sure that a name has one pod. Beside the pod's
// directory, which the pod may remove, it keeps three files:
//
//	.NAME.launch   the launch lock: a process holds it while it launches or ends
//	               the pod
//	.NAME.pod      the pod lock: the pod inherits it, and so holds it until it
//	               is really gone, even if its launcher was killed between the
//	               fork and the next instruction
//	.NAME.json     the record: who the pod is, and where it answers
//
// The locks are flock(2) locks. Their files stay when a pod ends: one process may wait
// for a lock while another locks its successor. Only [Claim.Remove] unlinks them, the
// launch lock last. The launcher creates the record before it
// starts the process. It adds a line when the process has started, and another when
// the pod is ready.
//
// # What the two witnesses mean
//
// Neither witness is enough. A pod may close its descriptors, and so drop its
// lock. A record may be that of a process that died, and another process may have
// its pid by now. Together they decide (see [Place.Running] and [Place.Claim]):
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
// [Place.Look] has less to go by than a Claim, which can take the locks. It learns
// nothing from a record of another pid namespace, nor from a held pod lock without a
// record.
//
// The record is the only witness of a process on another machine: nobody there holds
// the lock. The launcher writes it before the start, and it names the launch. To learn
// whether the process runs, a launcher asks the side that started it ([Elsewhere]). If
// that cannot tell, nobody gets the name.
//
// # Which call releases what
//
// LOCK_UN releases the launch lock. Closing alone is not enough: any code in the program
// may just have forked a child, which has a copy of the descriptor until its exec.
// LOCK_UN also releases the pod lock of a launch that has failed, once no process of that
// launch is left. The lock of a pod that runs is only ever closed: a LOCK_UN through any
// copy of the descriptor releases the lock for all of them, and so frees the name of a
// live pod.
//
// # On Windows
//
// No lock of Windows passes to a child. So the launch lock is a lock of LockFileEx, and the pod
// lock is an open file that no other may open for writing. It is locked as long as any process
// has a copy of the handle. Nobody can release it for the others: a launch that has failed
// waits until the processes are gone, and takes the lock anew to see it. The two witnesses mean
// what the table says, with these differences:
//
//   - Nothing tells who holds a lock. [osproc.MarkHolders] finds the members of a launch's
//     job, as long as that has its name. Other holders are in no HeldError.
//   - Where the file of a lock was deleted, its name may stay until the last handle is
//     closed. It is locked until then.
//   - Nobody can rename or remove the base as long as a Place is open.
//   - The names of two pods that differ in case are one name.
//
// # Private pods
//
// A private pod has a random name that nobody asks for. It has no launch lock and no
// record. Its lock is .NAME.private, and shows two things: which processes belong to the
// pod, and that its directory is in use. The lock is removed with the directory. The file
// says which launcher launched the pod, and names its cgroup, see [Sweep].
package ownership
