/*
 * libuv's side of the race of loops: see package loops, whose requests this
 * program takes and whose work it does, with uv_poll_t.
 *
 *	cc -O2 -o loops loops.c -luv
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

enum { STRIDE = 7 };

static int sources, ready, events; /* the request */
static int next, seen;
static uv_loop_t loop;
static uv_poll_t *polls;
static int *fds;

static void fail(const char *what, const char *why)
{
	printf("{\"Error\":\"%s: %s\"}\n", what, why);
	exit(1);
}

static int64_t cpu(void)
{
	struct rusage u;

	if (getrusage(RUSAGE_SELF, &u) != 0)
		fail("getrusage", strerror(errno));
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * INT64_C(1000000000) +
	       (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * INT64_C(1000);
}

static void make_ready(void)
{
	const uint64_t one = 1;

	for (int i = 0; i < ready; i++) {
		if (write(fds[next], &one, sizeof one) != sizeof one)
			fail("write", strerror(errno));
		next = (next + STRIDE) % sources;
	}
}

static void on_ready(uv_poll_t *p, int status, int what)
{
	uint64_t count;

	(void)what;
	if (status != 0)
		fail("uv_poll", uv_strerror(status));
	if (read(fds[p - polls], &count, sizeof count) != sizeof count)
		fail("read", strerror(errno));
	seen++;
	if (seen == events)
		uv_stop(&loop);
	else if (seen % ready == 0)
		make_ready();
}

/* Go gives its children the soft limit that it was started with itself. */
static void raise_limit(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) != 0)
		fail("getrlimit", strerror(errno));
	l.rlim_cur = l.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &l) != 0)
		fail("setrlimit", strerror(errno));
}

static void open_all(void)
{
	int err;

	raise_limit();
	if ((err = uv_loop_init(&loop)) != 0)
		fail("uv_loop_init", uv_strerror(err));
	fds = calloc(sources, sizeof *fds);
	polls = calloc(sources, sizeof *polls);
	if (fds == NULL || polls == NULL)
		fail("calloc", strerror(errno));
	for (int i = 0; i < sources; i++) {
		fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (fds[i] < 0)
			fail("eventfd", strerror(errno));
		if ((err = uv_poll_init(&loop, &polls[i], fds[i])) != 0)
			fail("uv_poll_init", uv_strerror(err));
		if ((err = uv_poll_start(&polls[i], UV_READABLE, on_ready)) != 0)
			fail("uv_poll_start", uv_strerror(err));
	}
}

int main(void)
{
	char line[256];

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof line, stdin) != NULL) {
		int n;

		if (sscanf(line, "{\"Sources\":%d,\"Ready\":%d,\"Events\":%d}", &n, &ready, &events) != 3)
			fail("request", "not understood");
		if (fds == NULL) {
			sources = n;
			open_all();
		}
		seen = 0;
		int64_t begin = cpu();
		make_ready();
		uv_run(&loop, UV_RUN_DEFAULT);
		printf("{\"CPU\":%lld,\"Events\":%d}\n", (long long)(cpu() - begin), seen);
	}
	return 0;
}
