#!/usr/bin/env bash
# Subject:  Linux (seen with 6.18), ps of procps, and a process whose main thread ended.
# Expected: state Z means that a process has ended. ps(1) calls it terminated and not
#           reaped. pthread_exit(3) says that the main thread may end with it so that the
#           other threads go on.
# Seen:     a process whose main thread has called pthread_exit is a zombie in
#           /proc/PID/stat, <defunct> in ps, has no exe and no cmdline, and works on.
#           A pidfd of it says that it runs.
# Output:   ps: Zl <defunct>
#           exe: none; cmdline: 0 bytes; the thread's exe: program
#           pidfd: runs
#           it answers: pong
# Hurts:    who takes Z, an empty cmdline or an exe that cannot be read for the end of a
#           daemon, and starts it once more next to the one that runs.
set -euo pipefail

work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$work"' EXIT
cd "$work"
cat >program.c <<'END'
#include <pthread.h>
#include <stdio.h>

static void *serve(void *unused) {
    char line[64];
    FILE *questions = fopen("questions", "r"), *answers = fopen("answers", "w");
    while (fgets(line, sizeof line, questions)) {
        fputs("pong\n", answers);
        fflush(answers);
    }
    return unused;
}

int main(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, serve, NULL);
    pthread_exit(NULL);
}
END
cc -pthread -o program program.c
mkfifo questions answers
./program &
pid=$!
exec 8>questions 9<answers
for _ in $(seq 200); do
    state=$(ps -o stat=,args= -p $pid)
    case $state in Z*) break ;; esac
    sleep 0.05
done
echo "ps: $(awk '{print $1, $NF}' <<<"$state")"
exe=$(readlink "/proc/$pid/exe" || echo none)
other=$(find "/proc/$pid/task" -mindepth 1 -maxdepth 1 -not -name "$pid" -printf %f)
echo "exe: $exe; cmdline: $(wc -c <"/proc/$pid/cmdline") bytes; the thread's exe: $(basename \
    "$(readlink "/proc/$pid/task/$other/exe")")"
ended=$(python3 -c 'import os, select, sys
fd = os.pidfd_open(int(sys.argv[1]))
print("ended" if select.select([fd], [], [], 0)[0] else "runs")' "$pid")
echo "pidfd: $ended"
echo ping >&8
read -r -t 20 answer <&9 || answer=nothing
echo "it answers: $answer"

case $state in Z*) ;; *) echo "changed: ps does not call it a zombie"; exit 1 ;; esac
[ "$exe" = none ] || { echo "changed: its exe can be read"; exit 1; }
[ "$answer $ended" = 'pong runs' ] || { echo "changed: it does not work on"; exit 1; }
