#!/usr/bin/env bash
# Subject:  /proc/PID/stat of Linux (seen with 6.18) while another thread than the first one
#           calls execve(2).
# Expected: the fields of the process, which lives all the time: its parent, its group, its
#           session, and at least one thread. execve(2) and proc_pid_stat(5) say that none of
#           that changes; the thread that executes the program becomes the first one.
# Seen:     some reads succeed and give state X or Z, parent 0, group -1, session -1 and 0
#           threads: the file is that of the old first thread, which is released before the
#           text is made. Of a process that does nothing else it is one read in some thousands.
# Output:   parent, group, session, threads: the real ones: yes, 0 -1 -1 0: yes, others: no
#           state of those without a parent: X or Z: yes, others: no
# Hurts:    who takes X or Z for the end of a daemon, or finds the processes of a job by
#           parent, group or session: one that starts itself anew, as a server does to load
#           its new version, is dead or nobody's for a moment.
set -euo pipefail

work=$(mktemp -d)
trap '{ kill -9 $pid; wait $pid; } 2>/dev/null || true; rm -rf "$work"' EXIT
cat >"$work/again.c" <<'END'
#include <pthread.h>
#include <unistd.h>
extern char **environ;
static void *again(void *argv) {
    execve("/proc/self/exe", argv, environ);
    _exit(1);
}
int main(int argc, char **argv) {
    pthread_t thread;
    pthread_create(&thread, NULL, again, argv);
    for (;;) pause();
}
END
cc -static -pthread -o "$work/again" "$work/again.c"
cat >"$work/read.py" <<'END'
import sys, time
pid, parent = sys.argv[1:]
def look():
    text = open(f"/proc/{pid}/stat").read()
    fields = text[text.rindex(")") + 2:].split()
    return fields[0], (fields[1], fields[2], fields[3], fields[17])
real = gone = others = 0
states, first = set(), None
end = time.monotonic() + 50
while time.monotonic() < end and gone < 3:
    state, (ppid, group, session, threads) = look()
    if (ppid, group, session, threads) == ("0", "-1", "-1", "0"):
        gone += 1
        states.add(state)
    elif ppid == parent and int(threads) in (1, 2) and (first or (group, session)) == (group, session):
        real += 1
        first = group, session
    else:
        others += 1
say = lambda n: "yes" if n else "no"
print(f"parent, group, session, threads: the real ones: {say(real)}, 0 -1 -1 0: {say(gone)}, others: {say(others)}")
print(f"state of those without a parent: X or Z: {say(states & {'X', 'Z'})}, others: {say(states - {'X', 'Z'})}")
END
"$work/again" &
pid=$!
seen=$(python3 "$work/read.py" "$pid" $$)
kill -0 "$pid" || { echo "it has ended"; exit 1; }
echo "$seen"
want="parent, group, session, threads: the real ones: yes, 0 -1 -1 0: yes, others: no
state of those without a parent: X or Z: yes, others: no"
[ "$seen" = "$want" ] || { echo "changed"; exit 1; }
