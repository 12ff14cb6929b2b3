#!/usr/bin/env bash
# Subject:  kill(2) of Linux (seen with 6.18) with the number of a thread, Python 3.11.
# Expected: a number that no process has cannot be signalled. kill(2) says that the
#           signal goes to the process with that number, and otherwise ESRCH.
# Seen:     threads have numbers of the same kind, and kill takes them: the signal goes
#           to the whole process that the thread is a part of. The number is in no list
#           of processes, ps finds none, and pidfd_open fails.
# Output:   the number of a thread: in the list of /proc: no, ps: no, pidfd_open: no
#           kill -0: yes
#           kill -TERM ends the whole process: yes
# Hurts:    who stops by an old pid file after a look with kill -0: threads are many, and
#           the number may be that of a thread of another daemon by now.
set -euo pipefail

timeout 20 python3 - <<'END'
import os
import signal
import subprocess
import sys

child = subprocess.Popen(
    [sys.executable, "-c",
     "import signal, threading\n"
     "thread = threading.Thread(target=threading.Event().wait, daemon=True)\n"
     "thread.start()\n"
     "print(thread.native_id, flush=True)\n"
     "signal.pause()"], stdout=subprocess.PIPE, text=True)
try:
    thread = int(child.stdout.readline())
    word = {True: "yes", False: "no"}
    listed = str(thread) in os.listdir("/proc")
    ps = subprocess.run(["ps", "-p", str(thread)], stdout=subprocess.DEVNULL).returncode == 0
    try:
        os.close(os.pidfd_open(thread))
        pidfd = True
    except OSError:
        pidfd = False
    print(f"the number of a thread: in the list of /proc: {word[listed]}, "
          f"ps: {word[ps]}, pidfd_open: {word[pidfd]}")
    try:
        os.kill(thread, 0)
        there = True
        os.kill(thread, signal.SIGTERM)
        ended = child.wait(10) == -signal.SIGTERM
    except (ProcessLookupError, subprocess.TimeoutExpired) as error:
        sys.exit(f"changed: {error}")
    print(f"kill -0: {word[there]}")
    print(f"kill -TERM ends the whole process: {word[ended]}")
    if listed or ps or pidfd or not ended:
        sys.exit("changed: the number of a thread is that of a process, or it lives on")
finally:
    child.kill()
    child.wait()
END
