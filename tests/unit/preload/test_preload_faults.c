// SPDX-License-Identifier: BSD-3-Clause
/*
 * Whatever fails, a client is told, and the next try works. The library is linked into this
 * program, with the functions below wrapped (ld's --wrap). A child runs a client's whole life on a
 * device, and the nth call of a wrapped function fails: once, or from there on. n goes from 1 up to
 * the last call that there is. Demanded of each n:
 *
 *  1. No crash. With sanitizers no leak either.
 *  2. Some call of the client's fails with an errno that means a lack, or the device says
 *     NEEDS_RESET, or everything works. A device that stands still and says nothing is a failure.
 *  3. When the lack is over, the same life passes in the same process.
 *  4. Each line that the library prints has words for the reason.
 *  5. In the end no more descriptors are open, and as much memory is locked, as in a child in which
 *     nothing failed. Fewer are right where a thing is left out that a device can do without, such
 *     as the socket of the management.
 *
 * usage: test_preload_faults once|always [outside]
 *        test_preload_faults pairs SECONDS [outside]
 * HOLDFAST_DEVICES has the device, a card or a disk; outside: a peer sends the frames back.
 *
 * "pairs" has two calls fail, the nth and the mth behind it, at random until the time is over. Some
 * lacks show only while another is being told.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "life.h"

#define NODE       "/dev/vhost-vdpa-0"
#define LOOK_MS    5
#define ALONE_MS   2000
#define PATIENCE   20000 /* ms until threads of ours have closed what they had open */
#define CASES_MAX  20000
#define CHILD_SECS 300

enum verdict { PASSED = 0, NOT_REACHED = 40, FAILED = 41 };

/* ---- what fails ---- */

static atomic_int left;   /* calls until one fails; 0: none fails */
static atomic_int second; /* and from there on until another one does; 0: no other */
static bool always, outside;
static _Atomic(const char *) failed_call; /* the first that did */

static bool fails(const char *name, int error)
{
	const char *none = NULL;
	int n = atomic_load(&left);

	while (n > 1 && !atomic_compare_exchange_weak(&left, &n, n - 1))
		;
	if (n != 1)
		return false;
	if (!always && !atomic_compare_exchange_strong(&left, &n, atomic_exchange(&second, 0)))
		return false;
	(void)atomic_compare_exchange_strong(&failed_call, &none, name);
	errno = error;
	return true;
}

#define WRAP(type, name, error, failure, params, args)                                             \
	type __real_##name params;                                                                 \
	type __wrap_##name params;                                                                 \
	type __wrap_##name params                                                                  \
	{                                                                                          \
		return fails(#name, error) ? (failure) : __real_##name args;                       \
	}

WRAP(void *, malloc, ENOMEM, NULL, (size_t len), (len))
WRAP(void *, calloc, ENOMEM, NULL, (size_t n, size_t len), (n, len))
WRAP(void *, realloc, ENOMEM, NULL, (void *p, size_t len), (p, len))
WRAP(void *, reallocarray, ENOMEM, NULL, (void *p, size_t n, size_t len), (p, n, len))
WRAP(void *, aligned_alloc, ENOMEM, NULL, (size_t align, size_t len), (align, len))
WRAP(int, posix_memalign, ENOMEM, ENOMEM, (void **out, size_t align, size_t len), (out, align, len))
WRAP(char *, strdup, ENOMEM, NULL, (const char *s), (s))
WRAP(FILE *, open_memstream, ENOMEM, NULL, (char **out, size_t *len), (out, len))
WRAP(FILE *, fdopen, ENOMEM, NULL, (int fd, const char *mode), (fd, mode))
WRAP(void *, mmap, ENOMEM, MAP_FAILED,
     (void *p, size_t len, int prot, int flags, int fd, off_t off), (p, len, prot, flags, fd, off))
WRAP(int, eventfd, EMFILE, -1, (unsigned int n, int flags), (n, flags))
WRAP(int, epoll_create1, EMFILE, -1, (int flags), (flags))
WRAP(int, epoll_ctl, ENOMEM, -1, (int epfd, int op, int fd, struct epoll_event *event),
     (epfd, op, fd, event))
WRAP(int, timerfd_create, EMFILE, -1, (int clock, int flags), (clock, flags))
WRAP(int, memfd_create, EMFILE, -1, (const char *name, unsigned int flags), (name, flags))
WRAP(int, socket, EMFILE, -1, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(int, accept4, EMFILE, -1, (int fd, struct sockaddr *addr, socklen_t *len, int flags),
     (fd, addr, len, flags))
WRAP(int, pthread_create, EAGAIN, EAGAIN,
     (pthread_t * out, const pthread_attr_t *attr, void *(*fn)(void *), void *arg),
     (out, attr, fn, arg))
WRAP(ssize_t, process_vm_readv, EPERM, -1,
     (pid_t pid, const struct iovec *to, unsigned long n, const struct iovec *from, unsigned long m,
      unsigned long flags),
     (pid, to, n, from, m, flags))
WRAP(ssize_t, process_vm_writev, EPERM, -1,
     (pid_t pid, const struct iovec *from, unsigned long n, const struct iovec *to, unsigned long m,
      unsigned long flags),
     (pid, from, n, to, m, flags))

/* Taking a number more; everything else of fcntl(2) works. */
int __real_fcntl(int fd, int cmd, unsigned long arg);
int __wrap_fcntl(int fd, int cmd, ...);
int __wrap_fcntl(int fd, int cmd, ...)
{
	unsigned long arg;
	va_list ap;

	va_start(ap, cmd);
	arg = va_arg(ap, unsigned long);
	va_end(ap);
	if ((cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC) && fails("fcntl", EMFILE))
		return -1;
	return __real_fcntl(fd, cmd, arg);
}

int __real_open(const char *path, int flags, mode_t mode);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = va_arg(ap, mode_t);
	va_end(ap);
	return fails("open", EMFILE) ? -1 : __real_open(path, flags, mode);
}

/* By number: those that lock, populate and make descriptors, and those of io_uring. */
long __real_syscall(long nr, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long nr, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	if ((nr == SYS_mlock2 || nr == SYS_madvise) && fails("mlock2, madvise", ENOMEM))
		return -1;
	if (nr == SYS_memfd_create && fails("memfd_create by number", EMFILE))
		return -1;
	if (nr == SYS_io_uring_setup && fails("io_uring_setup", EMFILE))
		return -1;
	if (nr == SYS_io_uring_register && fails("io_uring_register", ENOMEM))
		return -1;
	if (nr == SYS_io_uring_enter && fails("io_uring_enter", EAGAIN))
		return -1;
	return __real_syscall(nr, a, b, c, d, e, f);
}

/* ---- what is left ---- */

struct rest {
	unsigned int nr_fds;
	unsigned long locked_kb;
};

/* The keeper's thread opens its alarm when it gets to it, so that one counts for nothing. */
static bool is_alarm(int dir_fd, const char *name)
{
	static const char alarm_path[] = "/proc/pressure/memory";
	char link[sizeof(alarm_path)];

	return readlinkat(dir_fd, name, link, sizeof(link)) == sizeof(link) - 1 &&
	       memcmp(link, alarm_path, sizeof(link) - 1) == 0;
}

static struct rest look(void)
{
	DIR *dir = opendir("/proc/self/fd");
	FILE *status = fopen("/proc/self/status", "re");
	const struct dirent *entry;
	struct rest rest = {0};
	char line[256];

	while (dir && (entry = readdir(dir)))
		rest.nr_fds += !is_alarm(dirfd(dir), entry->d_name);
	while (status && fgets(line, sizeof(line), status))
		(void)sscanf(line, "VmLck: %lu", &rest.locked_kb);
	if (dir)
		closedir(dir);
	if (status)
		fclose(status);
	return rest;
}

/* Lacks of resources, what they make of a device that could not be made, and what write(2) says of
 * each refused message ([2-2]). */
static bool is_lack(int err)
{
	return err == -ENOMEM || err == -EMFILE || err == -EAGAIN || err == -EPERM ||
	       err == -ENFILE || err == -ENODEV || err == -EFAULT || err == LIFE_TOLD;
}

/* A card that cannot take its peer for ever works, and nothing comes back. The log has said so. */
static bool is_alone(int err)
{
	return err == LIFE_SILENT && outside && always;
}

/* @usual: what is there when nothing fails, or zero. Threads of ours may have something open for a
 * moment. */
static enum verdict child(int n, const struct rest *usual, struct rest *rest)
{
	const int usual_ms = life_peer_ms;
	const char *call;
	int err;

	alarm(CHILD_SECS);
	if (outside && always) /* is_alone() is no failure: not worth waiting for as one */
		life_peer_ms = ALONE_MS;
	atomic_store(&left, n);
	err = life_live(NODE, outside);
	life_peer_ms = usual_ms;
	atomic_store(&left, 0);
	atomic_store(&second, 0);
	call = atomic_load(&failed_call);
	if (err == LIFE_SILENT && !is_alone(err))
		fprintf(stderr, "case %d, %s failed: no call failed, and the device stands still\n",
			n, call ? call : "nothing");
	else if (err && !is_lack(err) && !is_alone(err))
		fprintf(stderr, "case %d, %s failed: the client gets %s\n", n,
			call ? call : "nothing", strerror(-err));
	if (err && ((!is_lack(err) && !is_alone(err)) || !call))
		return FAILED;
	err = life_live(NODE, outside);
	if (err) {
		fprintf(stderr, "case %d, %s failed: the next life ends with %s\n", n,
			call ? call : "nothing", strerror(-err));
		return FAILED;
	}
	*rest = look();
	for (int waited = 0; usual->nr_fds && rest->nr_fds > usual->nr_fds && waited < PATIENCE;
	     waited += LOOK_MS) {
		(void)poll(NULL, 0, LOOK_MS);
		*rest = look();
	}
	return call ? PASSED : NOT_REACHED;
}

/* Print what the child has said, if a line of it has no reason, or @all. Return: such a line is
 * there */
static bool judge_words(int n, FILE *words, bool all)
{
	char line[1024];
	bool bad = false;

	rewind(words);
	while (fgets(line, sizeof(line), words)) {
		size_t len = strcspn(line, "\n");
		bool no_reason = (len > 1 && line[len - 2] == ':') || strstr(line, ": :") ||
				 strstr(line, "error ");

		if (no_reason || all)
			fprintf(stderr, "case %d%s: %s", n, no_reason ? ", no reason" : "", line);
		bad |= no_reason;
	}
	return bad;
}

/* Return: verdict, or FAILED after a line */
static enum verdict run(int n, const struct rest *usual, struct rest *rest)
{
	FILE *words = tmpfile();
	int pipe_fds[2], status = 0;
	enum verdict v;
	pid_t pid;

	if (!words || pipe(pipe_fds) < 0 || (pid = fork()) < 0) {
		perror("tmpfile, pipe, fork");
		return FAILED;
	}
	if (pid == 0) {
		(void)dup2(fileno(words), STDERR_FILENO);
		close(pipe_fds[0]);
		v = child(n, usual, rest);
		if (write(pipe_fds[1], rest, sizeof(*rest)) != sizeof(*rest))
			v = FAILED;
		exit((int)v);
	}
	close(pipe_fds[1]);
	if (read(pipe_fds[0], rest, sizeof(*rest)) != sizeof(*rest))
		*rest = (struct rest){0};
	close(pipe_fds[0]);
	(void)waitpid(pid, &status, 0);
	v = WIFEXITED(status) &&
			    (WEXITSTATUS(status) == PASSED || WEXITSTATUS(status) == NOT_REACHED)
		    ? (enum verdict)WEXITSTATUS(status)
		    : FAILED;
	if (WIFSIGNALED(status))
		fprintf(stderr, "case %d: signal %d\n", n, WTERMSIG(status));
	else if (v == FAILED)
		fprintf(stderr, "case %d: exit status %d\n", n, WEXITSTATUS(status));
	if (judge_words(n, words, v == FAILED))
		v = FAILED;
	fclose(words);
	return v;
}

static bool is_more(const struct rest *rest, const struct rest *usual)
{
	return rest->nr_fds > usual->nr_fds || rest->locked_kb > usual->locked_kb;
}

/* What a life in which nothing fails leaves behind is raised to @usual. How many threads have got
 * to their descriptors by then is the scheduler's choice, so this is asked again before a fault is
 * blamed. Return: has such a life passed? */
static bool learn(struct rest *usual)
{
	static const struct rest none;
	struct rest rest = {0};

	if (run(0, &none, &rest) != NOT_REACHED) {
		fprintf(stderr, "a life in which nothing fails does not pass\n");
		return false;
	}
	if (rest.nr_fds > usual->nr_fds)
		usual->nr_fds = rest.nr_fds;
	if (rest.locked_kb > usual->locked_kb)
		usual->locked_kb = rest.locked_kb;
	return true;
}

/* One case. Return: is it bad? */
static bool try(int n, struct rest *usual, enum verdict *v)
{
	struct rest rest = {0};

	*v = run(n, usual, &rest);
	if (*v == FAILED || !is_more(&rest, usual) || (learn(usual) && !is_more(&rest, usual)))
		return *v == FAILED;
	fprintf(stderr,
		"case %d: %u descriptors and %lu KiB locked at the end, %u and %lu without the "
		"fault\n",
		n, rest.nr_fds, rest.locked_kb, usual->nr_fds, usual->locked_kb);
	return true;
}

static int each(struct rest *usual)
{
	enum verdict v = PASSED;
	int n, bad = 0;

	for (n = 1; n < CASES_MAX && v != NOT_REACHED; n++)
		bad += try(n, usual, &v);
	printf("%d calls that can fail (%s), %d bad\n", n - 2, always ? "always" : "once", bad);
	return bad > 0 || n == CASES_MAX;
}

static int64_t now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/* The first call is anywhere in the life; the second one is mostly near. */
static int pairs(struct rest *usual, long seconds)
{
	int64_t until = now_s() + seconds;
	int last = 256, nr = 0, bad = 0;
	enum verdict v;

	srand((unsigned int)getpid());
	while (now_s() < until) {
		int n = 1 + rand() % last, m = 1 + rand() % (rand() % 2 ? 8 : last);

		atomic_store(&second, m);
		if (try(n, usual, &v)) {
			fprintf(stderr, "pair %d, %d\n", n, m);
			bad++;
		}
		atomic_store(&second, 0);
		if (v == NOT_REACHED)
			last = n > 1 ? n - 1 : 1;
		nr++;
	}
	printf("%d pairs of calls that fail, %d bad\n", nr, bad);
	return bad > 0;
}

int main(int argc, char **argv)
{
	bool is_pairs = argc > 2 && strcmp(argv[1], "pairs") == 0;
	struct rest usual = {0};

	if (argc < 2 ||
	    (!is_pairs && strcmp(argv[1], "once") != 0 && strcmp(argv[1], "always") != 0)) {
		fprintf(stderr, "usage: %s once|always|pairs SECONDS [outside]\n", argv[0]);
		return 2;
	}
	always = strcmp(argv[1], "always") == 0;
	outside = strcmp(argv[argc - 1], "outside") == 0;
	if (!learn(&usual))
		return 1;
	return is_pairs ? pairs(&usual, strtol(argv[2], NULL, 10)) : each(&usual);
}
