// SPDX-License-Identifier: BSD-3-Clause
/*
 * The thread without a filter, and how work gets there.
 *
 * 1. Jobs lie in memory of their own, not on the stack of who waits (aside_run()). With all of it
 *    in use, the stack serves.
 * 2. A handler that interrupts the wait may make calls on devices: they queue behind the job that
 *    it interrupted, which needs nothing of the interrupted thread.
 * 3. The thread makes one call at a time. It never waits for a thread of the client's: no lock of
 *    the library's is held while one waits for it.
 * 4. Once it is needed, no thread of the client's does work of the library, whether it has a filter
 *    or not: nobody can ask the kernel which has.
 */
#include "real.h"

#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/mutex.h"
#include "base/thread.h"
#include "frontends/preload/aside.h"
#include "frontends/preload/call.h"
#include "frontends/preload/files.h"
#include "frontends/preload/raw.h"

_Static_assert(ASIDE_NR_ARGS == RAW_NR_ARGS, "one shape of a call");

enum { NR_JOBS = 64 };
enum job_state { JOB_FREE, JOB_TAKEN, JOB_DONE };

struct job {
	uint32_t state; /* atomic; a futex */
	int err;        /* errno, there and back */
	pid_t tid;      /* of who waits, for the call log */
	struct job *next;
	void (*fn)(void *arg);
	_Alignas(16) unsigned char room[ASIDE_ROOM];
};

const bool *aside_on;
__thread unsigned int aside_depth;

static struct mutex start_lock = MUTEX_INIT;
static bool *page GUARDED_BY(start_lock); /* what aside_on points to */
static bool has_thread GUARDED_BY(start_lock);
static struct job jobs[NR_JOBS];
static struct job *posted; /* atomic; the last one first */
static uint32_t nr_posted; /* atomic; a futex */

static void futex(uint32_t *word, int op, uint32_t value)
{
	(void)real()->syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

/* ---- the thread ---- */

static void do_job(struct job *job)
{
	call_on_behalf(job->tid);
	errno = job->err;
	job->fn(job->room);
	job->err = errno;
	/* the job is its owner's again, and may be gone: only its address is used */
	__atomic_store_n(&job->state, JOB_DONE, __ATOMIC_RELEASE);
	futex(&job->state, FUTEX_WAKE, 1);
}

/* All that was posted, in the order of posting. */
static struct job *take_posted(void)
{
	struct job *last = __atomic_exchange_n(&posted, NULL, __ATOMIC_ACQUIRE), *first = NULL;

	while (last) {
		struct job *before = last->next;

		last->next = first;
		first = last;
		last = before;
	}
	return first;
}

static void *do_jobs(void *arg)
{
	thread_settle("holdfast-aside");
	for (;;) {
		uint32_t seen = __atomic_load_n(&nr_posted, __ATOMIC_ACQUIRE);
		struct job *job = take_posted(), *next;

		if (!job)
			futex(&nr_posted, FUTEX_WAIT, seen);
		for (; job; job = next) {
			next = job->next;
			do_job(job);
		}
	}
	return arg;
}

/* ---- who waits ---- */

/* As gettid(2), which a filter may forbid: the clock of a thread has its id in it. */
static pid_t own_tid(void)
{
	clockid_t clock;

	return pthread_getcpuclockid(pthread_self(), &clock) == 0 ? (pid_t) ~(clock >> 3) : 0;
}

static struct job *take_free(struct job *instead)
{
	for (unsigned int i = 0; i < NR_JOBS; i++) {
		uint32_t free = JOB_FREE;

		if (__atomic_compare_exchange_n(&jobs[i].state, &free, JOB_TAKEN, false,
						__ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return &jobs[i];
	}
	instead->state = JOB_TAKEN;
	return instead;
}

static void post(struct job *job)
{
	job->next = __atomic_load_n(&posted, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&posted, &job->next, job, true, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED))
		continue;
	__atomic_add_fetch(&nr_posted, 1, __ATOMIC_RELEASE);
	futex(&nr_posted, FUTEX_WAKE, 1);
}

static void run_there(void (*fn)(void *arg), void *arg, size_t len)
{
	struct job on_stack, *job = take_free(&on_stack);
	int cancel_state;

	assert(len <= sizeof(job->room));
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	job->fn = fn;
	job->err = errno;
	job->tid = own_tid();
	memcpy(job->room, arg, len);
	post(job);
	while (__atomic_load_n(&job->state, __ATOMIC_ACQUIRE) != JOB_DONE)
		futex(&job->state, FUTEX_WAIT, JOB_TAKEN);
	memcpy(arg, job->room, len);
	errno = job->err;
	__atomic_store_n(&job->state, JOB_FREE, __ATOMIC_RELEASE);
	pthread_setcancelstate(cancel_state, NULL);
}

/*
 * What is done here takes locks and references of the library's. A handler that leaves by a jump
 * would leave them behind, and so would a cancellation: calls of the library's own may be
 * cancellation points where the client's is none. Whoever is inside the library already has put
 * both off.
 */
static void run_here(void (*fn)(void *arg), void *arg)
{
	bool holds = aside_depth == 0 && call_has_handlers();
	sigset_t before;
	int cancel_state;

	if (holds)
		call_block_signals(&before);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	aside_enter();
	fn(arg);
	aside_leave();
	pthread_setcancelstate(cancel_state, NULL);
	if (holds)
		call_restore_signals(&before);
}

void aside_run(void (*fn)(void *arg), void *arg, size_t len)
{
	if (aside_is_needed())
		run_there(fn, arg, len);
	else
		run_here(fn, arg);
}

/* ---- calls ---- */

struct device_call {
	const struct raw_call *call;
	uint64_t args[RAW_NR_ARGS];
	bool is_made;
	long rc;
};

static bool is_open(int fd)
{
	struct preload_file *file = files_maybe(fd) ? files_get(fd) : NULL;

	files_put(file);
	return file != NULL;
}

struct question {
	int fd;
	int minor; /* the answer */
};

static void answer(void *arg)
{
	struct question *q = arg;
	struct preload_file *file;

	file = files_get(q->fd);
	q->minor = file ? (int)file->minor : -1;
	files_put(file);
}

int aside_minor(int fd)
{
	struct question q = {.fd = fd, .minor = -1};
	int saved = errno;

	if (files_maybe(fd))
		aside_run(answer, &q, sizeof(q));
	errno = saved;
	return q.minor;
}

/* A number in the table that is not a device's any more is left to the client's thread: what is
 * there now may block. */
static bool is_for_device(const struct device_call *c)
{
	switch (c->call->when) {
	case RAW_ALWAYS:
		return true;
	case RAW_TWO:
		return is_open((int)c->args[c->call->fd_arg]) ||
		       is_open((int)c->args[c->call->other_arg]);
	case RAW_IOCTL:
	case RAW_MESSAGE:
		return is_open((int)c->args[0]) || files_is_marked((int)c->args[0]);
	default:
		return is_open((int)c->args[c->call->fd_arg]);
	}
}

static void make_call(void *arg)
{
	struct device_call *c = arg;
	int saved = errno;

	c->is_made = is_for_device(c);
	errno = saved;
	if (c->is_made)
		c->rc = raw_call_serve(c->call, c->args);
}

bool aside_call(long nr, const uint64_t args[ASIDE_NR_ARGS], long *rc)
{
	struct device_call c = {.call = raw_call_find((int)nr)};

	_Static_assert(sizeof(c) <= ASIDE_ROOM, "a call fits");
	if (!c.call || files_has_own)
		return false;
	memcpy(c.args, args, sizeof(c.args));
	aside_run(make_call, &c, sizeof(c));
	*rc = c.rc;
	return c.is_made;
}

/* ---- start ---- */

static int make_page(void) REQUIRES(start_lock)
{
	size_t len = (size_t)sysconf(_SC_PAGESIZE);
	void *at =
		real()->mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return -errno;
	(void)real()->madvise(at, len,
			      MADV_WIPEONFORK); /* before 4.14 aside_after_fork() must do */
	page = at;
	return 0;
}

static int start_thread(void) REQUIRES(start_lock)
{
	pthread_t thread;
	int rc = page ? 0 : make_page();

	if (!rc)
		rc = thread_start(&thread, do_jobs, NULL);
	if (rc)
		return rc;
	pthread_detach(thread);
	has_thread = true;
	return 0;
}

int aside_prepare(void)
{
	int rc = 0;

	mutex_lock(&start_lock);
	if (!has_thread)
		rc = start_thread();
	mutex_unlock(&start_lock);
	return rc;
}

/* The calling thread's aside_prepare() has seen the page, which stays. No lock: a handler may leave
 * by a jump, and the filter may forbid to put it off. */
void aside_begin(void) NO_TSA
{
	__atomic_store_n(page, true, __ATOMIC_RELAXED);
	__atomic_store_n(&aside_on, page, __ATOMIC_RELEASE);
}

void aside_after_fork(void) NO_TSA
{
	mutex_init(&start_lock);
	has_thread = false;
	__atomic_store_n(&aside_on, NULL, __ATOMIC_RELAXED);
	page = NULL;
	posted = NULL;
	memset(jobs, 0, sizeof(jobs));
}
