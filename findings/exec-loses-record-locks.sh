#!/usr/bin/env bash
# Subject:  record locks (F_SETLK of fcntl(2)) of Linux (seen with 6.18) and execve(2), of a
#           process whose table of descriptors another process shares (CLONE_FILES of clone(2)).
# Expected: the lock of a process is still its own after execve(2): fcntl_locking(2) says
#           that it is preserved, and makes no exception.
# Seen:     execve(2) gives the process a table of its own, and the lock stays with the old
#           one. The process cannot take it again: it conflicts with itself. When the other
#           process ends, the lock is gone, though its file was never closed.
# Output:   alone: after the exec the file is locked, the process may lock it again, later it is locked
#           shared: after the exec the file is locked, the process may not lock it again, later it is free
# Hurts:    servers that replace themselves by execve(2) under a lock (a pid file, a database),
#           if a helper shares their table then, be it for an instant: two of them run, or
#           the new one takes itself for another instance.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/lock.c" <<'END'
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char stack[1 << 16];

static int waits(void *ready) {
	(void)ready;
	pause();
	return 0;
}

/* seen says whether a process other than this one finds the file locked. */
static const char *seen(const char *path) {
	int status;
	if (fork() == 0) {
		struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
		int fd = open(path, O_RDWR);
		_exit(fd < 0 || fcntl(fd, F_GETLK, &l) < 0 ? 2 : l.l_type == F_UNLCK);
	}
	wait(&status);
	return status == 0 ? "locked" : WEXITSTATUS(status) == 1 ? "free" : "not seen";
}

int main(int argc, char **argv) {
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	if (argc == 3) { /* FILE alone|shared */
		char fd[16], helper[16];
		int file = open(argv[1], O_RDWR | O_CREAT, 0600);
		pid_t pid = 0;
		if (fcntl(file, F_SETLK, &l) < 0)
			return 1;
		if (argv[2][0] == 's')
			pid = clone(waits, stack + sizeof stack, CLONE_FILES | SIGCHLD, NULL);
		sprintf(fd, "%d", file);
		sprintf(helper, "%d", (int)pid);
		execl("/proc/self/exe", "lock", argv[1], argv[2], fd, helper, NULL);
		return 1;
	}
	printf("%s: after the exec the file is %s", argv[2], seen(argv[1]));
	printf(", the process %s", fcntl(atoi(argv[3]), F_SETLK, &l) < 0 ? "may not lock it again" : "may lock it again");
	if (atoi(argv[4]) > 0) {
		kill(atoi(argv[4]), SIGKILL);
		waitpid(atoi(argv[4]), NULL, 0);
	}
	printf(", later it is %s\n", seen(argv[1]));
	return 0;
}
END
cc -o "$work/lock" "$work/lock.c"
alone=$("$work/lock" "$work/file" alone)
shared=$("$work/lock" "$work/file" shared)
printf '%s\n' "$alone" "$shared"
[ "$alone" = "alone: after the exec the file is locked, the process may lock it again, later it is locked" ] &&
    [ "$shared" = "shared: after the exec the file is locked, the process may not lock it again, later it is free" ] ||
    { echo "changed"; exit 1; }
