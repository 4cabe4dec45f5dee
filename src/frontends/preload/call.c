// SPDX-License-Identifier: BSD-3-Clause
/*
 * The call log: one line a call, as strace(1) would write it.
 *
 *	12:34:56.123456 4711 ioctl(7, VHOST_VDPA_SET_STATUS, {ACKNOWLEDGE|DRIVER}) = 0 <3 us>
 *
 * 1. A line is one write(2) to a file opened with O_APPEND, so lines of several threads and
 *    processes stay whole.
 * 2. The client may close descriptors that it does not know, and the number may then be something
 *    else. The file's identity is checked before each line, and the file opened again if need be.
 * 3. A log that is a pipe makes nobody wait for a reader, and ends nobody when its reader goes.
 * 4. The time is local, with the offset found when the log was opened: libc's conversion takes a
 *    lock that a fork may leave taken.
 */
#include "real.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/refuse.h"
#include "frontends/preload/aside.h"
#include "frontends/preload/call.h"
#include "frontends/preload/mask.h"
#include "frontends/preload/node.h"

#define US_PER_S       1000000
#define ERRNO_ENOTSUPP 524 /* the kernel's own, which leaks ([1-41]); libc has no name for it */

static struct mutex log_lock = MUTEX_INIT;
static int log_fd GUARDED_BY(log_lock) = -1;
static dev_t log_dev GUARDED_BY(log_lock);
static ino_t log_ino GUARDED_BY(log_lock);
static char *log_path;        /* NULL: no log; const after the first call */
static long gmt_offset;       /* seconds; const after the first line was begun */
static bool log_failed;       /* atomic: said once */
static __thread pid_t caller; /* 0: the thread itself */

static void complain(void)
{
	int err = errno;

	if (!__atomic_exchange_n(&log_failed, true, __ATOMIC_RELAXED))
		hf_err("preload", "cannot write the call log %s: %s", log_path, strerror(err));
}

/* Return: a fresh descriptor of the log, or -1 with errno */
static int open_path(void)
{
	int fd = real()->open(
		log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);

	/* lines of a log that is slow are not left out */
	if (fd >= 0)
		(void)real()->fcntl(fd, F_SETFL, O_APPEND);
	return fd;
}

/* Return: was all of it written? errno says why not */
static bool put_line(int fd, const char *line, size_t len)
{
	if (fd_has_reader(fd))
		return real()->write(fd, line, len) >= 0;
	errno = EPIPE;
	return false;
}

/* Return: a descriptor of the log, or -1. */
static int open_log(void) REQUIRES(log_lock)
{
	struct stat st;

	if (node_fd_is(log_fd, log_dev, log_ino))
		return log_fd;
	log_fd = fd_move_up(open_path());
	if (log_fd < 0) {
		complain();
		return -1;
	}
	if (real()->fstat(log_fd, &st) == 0) {
		log_dev = st.st_dev;
		log_ino = st.st_ino;
	}
	return log_fd;
}

/* A forked child may find the lock taken by a thread that it does not have: it then opens a
 * descriptor for the one line. So may a thread that waits for another's write; both are rare. */
static void write_line(const char *line, size_t len)
{
	int fd;

	if (mutex_trylock(&log_lock)) {
		fd = open_log();
		if (fd >= 0 && !put_line(fd, line, len))
			complain();
		mutex_unlock(&log_lock);
		return;
	}
	fd = open_path();
	if (fd < 0 || !put_line(fd, line, len))
		complain();
	if (fd >= 0)
		real()->close(fd);
}

/* The client may change its environment at any time, so it is read once. */
static void start_log(void)
{
	const char *path = getenv("HOLDFAST_LOG");
	time_t now = time(NULL);
	struct tm tm;

	if (!path || !*path)
		return;
	if (localtime_r(&now, &tm))
		gmt_offset = tm.tm_gmtoff;
	log_path = strdup(path);
}

/* Of the day, as people read it; how long a call takes is told by the one clock. */
static int64_t wall_clock_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * US_PER_S + ts.tv_nsec / NS_PER_US;
}

static void begin_line(struct call *call, unsigned int minor)
{
	int64_t us = wall_clock_us();
	int64_t s;

	s = us / US_PER_S + gmt_offset;
	call->log = open_memstream(&call->text, &call->text_len);
	if (!call->log)
		return;
	fprintf(call->log, "%02d:%02d:%02d.%06d %d ", (int)(s / 3600 % 24), (int)(s / 60 % 60),
		(int)(s % 60), (int)(us % US_PER_S), (int)(caller ? caller : gettid()));
	if (node_count() > 1)
		fprintf(call->log, "[vhost-vdpa-%u] ", minor);
	refuse_clear();
	call->start_ns = clock_now_ns();
}

static void print_refusal(FILE *f, int err)
{
	const char *name = err == ERRNO_ENOTSUPP ? "ENOTSUPP" : strerrorname_np(err);
	const char *reason = refuse_reason();

	if (name)
		fprintf(f, "-1 (%s", name);
	else
		fprintf(f, "-1 (errno %d", err);
	fprintf(f, ": %s)", *reason ? reason : strerrordesc_np(err) ? strerrordesc_np(err) : "?");
}

static void end_line(struct call *call, long rc)
{
	int64_t us = (clock_now_ns() - call->start_ns) / NS_PER_US;

	fputs(" = ", call->log);
	if (rc < 0)
		print_refusal(call->log, (int)-rc);
	else
		fprintf(call->log, "%ld", rc);
	fprintf(call->log, " <%lld us>\n", (long long)us);
	if (fclose(call->log) == 0)
		write_line(call->text, call->text_len);
	free(call->text);
}

void call_on_behalf(pid_t tid)
{
	caller = tid;
}

/* Set once, by the thread that is about to have its first handler. A call that another thread has
 * under way at that moment is the only one that such a handler can still interrupt. */
static bool handlers_expected; /* atomic */

void call_expect_handlers(void)
{
	__atomic_store_n(&handlers_expected, true, __ATOMIC_RELAXED);
}

bool call_has_handlers(void)
{
	return __atomic_load_n(&handlers_expected, __ATOMIC_RELAXED);
}

void call_block_signals(sigset_t *before)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
	sigset_t most;

	sigfillset(&most);
	for (size_t i = 0; i < ARRAY_LEN(faults); i++)
		sigdelset(&most, faults[i]);
	real()->pthread_sigmask(SIG_BLOCK, &most, before);
}

/* The call may have been the one from which on SIGSYS is not to be blocked (mask.h). */
void call_restore_signals(const sigset_t *before)
{
	sigset_t mask = *before;

	if (mask_is_translated() && sigismember(&mask, SIGSYS) == 1) {
		sigdelset(&mask, SIGSYS);
		sigaddset(&mask, SIGSTKFLT);
	}
	real()->pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

static __thread bool is_held;
static __thread sigset_t before_hold;

void call_hold(void)
{
	if (is_held || !call_has_handlers())
		return;
	call_block_signals(&before_hold);
	is_held = true;
}

void call_unhold(void)
{
	if (!is_held)
		return;
	is_held = false;
	call_restore_signals(&before_hold);
}

void call_enter(struct call *call, unsigned int minor)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	call->saved_errno = errno;
	call->log = NULL;
	call->text = NULL;
	call_hold(); /* first, and let go last: a handler may leave by a jump */
	aside_enter();
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &call->cancel_state);
	call->held = is_held;
	if (call->held)
		call->signals = before_hold;
	is_held = false;
	pthread_once(&once, start_log);
	if (minor != CALL_NO_LOG && unlikely(log_path != NULL))
		begin_line(call, minor);
}

long call_leave(struct call *call, long rc)
{
	if (call->log)
		end_line(call, rc);
	pthread_setcancelstate(call->cancel_state, NULL);
	aside_leave();
	if (call->held)
		call_restore_signals(&call->signals);
	errno = rc < 0 ? (int)-rc : call->saved_errno;
	return rc < 0 ? -1 : rc;
}
