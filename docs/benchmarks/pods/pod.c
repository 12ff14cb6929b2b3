/* A pod for measurements, as small as a pod can be. Its arguments:
 *
 *   NAME SOCK SLOTS INDEX STYLE DELAY GATE LINES BYTES
 *
 * It listens on SOCK, writes LINES lines of noise, one write each, and BYTES
 * bytes of lines in large writes, sleeps DELAY microseconds, waits until
 * somebody opens the FIFO GATE for writing (unless that is "-"), and announces
 * itself: STYLE is "ready" (the ready line, on stderr), "plugin"
 * (hashicorp/go-plugin's handshake, on stdout) or "rod" (a browser's line, on
 * stderr). SLOTS is a file of pairs of 64-bit numbers; pair INDEX gets the
 * time (CLOCK_MONOTONIC, nanoseconds) when it began to wait, and the time just
 * before the line is written.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static void need(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(1);
	}
}

static long long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void noise(long lines, long bytes)
{
	static char block[1 << 20];
	char line[64];
	for (long i = 0; i < lines; i++) {
		int n = snprintf(line, sizeof line, "noise before the pod is ready, line %ld\n", i);
		need(write(2, line, n) == n, "write");
	}
	if (bytes == 0)
		return;
	memset(block, 'x', sizeof block);
	for (size_t i = 127; i < sizeof block; i += 128)
		block[i] = '\n';
	while (bytes > 0) {
		size_t n = bytes < (long)sizeof block ? (size_t)bytes : sizeof block;
		if (n < sizeof block)
			block[n - 1] = '\n';
		ssize_t done = 0;
		while (done < (ssize_t)n) {
			ssize_t w = write(2, block + done, n - done);
			need(w > 0, "write");
			done += w;
		}
		bytes -= n;
	}
}

int main(int argc, char **argv)
{
	need(argc == 10, "nine arguments");
	const char *name = argv[1], *sock = argv[2], *style = argv[5], *gate = argv[7];
	long index = atol(argv[4]), delay = atol(argv[6]);

	int fd = open(argv[3], O_RDWR | O_CLOEXEC);
	need(fd >= 0, argv[3]);
	long page = sysconf(_SC_PAGESIZE), at = index * 16 / page * page;
	char *map = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, at);
	need(map != MAP_FAILED, "mmap");
	close(fd);
	volatile long long *slot = (volatile long long *)(map + (index * 16 - at));

	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	need(strlen(sock) < sizeof addr.sun_path, "the socket's path is too long");
	strcpy(addr.sun_path, sock);
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	need(s >= 0 && bind(s, (struct sockaddr *)&addr, sizeof addr) == 0 && listen(s, 16) == 0, sock);

	noise(atol(argv[8]), atol(argv[9]));
	char line[512];
	int out = 2, n;
	if (strcmp(style, "plugin") == 0) {
		out = 1;
		n = snprintf(line, sizeof line, "1|1|unix|%s|netrpc\n", sock);
	} else if (strcmp(style, "rod") == 0) {
		n = snprintf(line, sizeof line, "DevTools listening on ws://127.0.0.1:1/devtools/browser/%s\n", name);
	} else {
		n = snprintf(line, sizeof line, "INSOMNIA-READY\t%s\t%s\n", name, sock);
	}
	slot[0] = now();
	if (delay > 0) {
		struct timespec t = {delay / 1000000, delay % 1000000 * 1000};
		nanosleep(&t, NULL);
	}
	if (strcmp(gate, "-") != 0)
		close(open(gate, O_RDONLY));
	slot[1] = now();
	need(write(out, line, n) == n, "write");
	for (;;)
		pause();
}
