// SPDX-License-Identifier: BSD-3-Clause
/*
 * Who answers a call that the filter caught.
 *
 *	client's thread ── its own syscall ──> kernel: the thread sleeps
 *	                                          │ listener
 *	                        "holdfast-calls" <┘  wrapper, as if the client had called it
 *	client's thread <── result ── kernel <── reply
 *
 * 1. The thread answers for this process alone, and by the numbers of its own table of
 *    descriptors. A child that was forked has the filter, and its calls come here, too: on a device
 *    that it inherited they get what the wrappers give a child; others the kernel makes itself. So
 *    it is with a thread that has taken a table of its own.
 * 2. A call that was received is not interrupted by a signal (WAIT_KILLABLE_RECV, Linux 5.19), so
 *    no call is made twice. Where the kernel does not know the flag, or the process has a listener
 *    already, the filter raises SIGSYS instead, and the handler calls the wrapper in the client's
 *    own thread (raw_trap.c).
 * 3. The search for such code comes when the client starts, and again at an open of a node, if
 *    something was loaded since. The filter comes at once if some of the code opens files, and
 *    otherwise with the first open of a node. A client without such code gets none.
 */
#include "real.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "frontends/preload/call.h"
#include "frontends/preload/raw.h"
#include "frontends/preload/raw_trap.h"

static struct mutex raw_lock = MUTEX_INIT;
static unsigned long long generation GUARDED_BY(raw_lock); /* of the loaded objects */
static struct raw_range found[RAW_NR_RANGES_MAX] GUARDED_BY(raw_lock);
static int nr_found GUARDED_BY(raw_lock);
static bool opens GUARDED_BY(raw_lock); /* some of them do */
static struct raw_range caught[RAW_NR_RANGES_MAX] GUARDED_BY(raw_lock);
static size_t nr_caught GUARDED_BY(raw_lock);
static bool leaves_listener GUARDED_BY(raw_lock);
static struct raw_window window;
static bool has_window;   /* atomic; its release pairs with the acquire in raw_window() */
static int listener = -1; /* atomic; -1: none */

int raw_listener(void)
{
	return __atomic_load_n(&listener, __ATOMIC_ACQUIRE);
}

const struct raw_window *raw_window(void)
{
	return __atomic_load_n(&has_window, __ATOMIC_ACQUIRE) ? &window : NULL;
}

static void choose_window(void)
{
	raw_window_choose(&window);
	__atomic_store_n(&has_window, true, __ATOMIC_RELEASE);
}

/* ---- answers ---- */

static bool is_own_thread(pid_t tid)
{
	return syscall(SYS_tgkill, getpid(), tid, 0) == 0 && fd_shares_table(gettid(), tid);
}

static void make_call(const struct raw_call *call, pid_t tid, const uint64_t *args,
		      struct seccomp_notif_resp *resp)
{
	long rc;

	call_on_behalf(tid);
	rc = raw_call_serve(call, args);
	resp->error = rc == -1 ? -errno : 0;
	resp->val = rc == -1 ? 0 : rc;
}

/* The kernel's structure may be longer than the one we know. */
#define RESP_ROOM 256u

/* A call that waits for a lock, in a thread that waits in the client's place. */
struct wait {
	const struct raw_call *call;
	pid_t tid;
	uint64_t args[RAW_NR_ARGS];
	int listener;
	union {
		struct seccomp_notif_resp resp;
		char room[RESP_ROOM];
	};
};

static void *wait_for_lock(void *arg)
{
	struct wait *w = arg;

	thread_settle("holdfast-lock");
	make_call(w->call, w->tid, w->args, &w->resp);
	(void)real()->ioctl(w->listener, SECCOMP_IOCTL_NOTIF_SEND, &w->resp);
	free(w);
	return NULL;
}

/* Return: 0: the answer comes from a thread; -ENOLCK */
static int start_wait(int fd, const struct raw_call *call, const struct seccomp_notif *n)
{
	struct wait *w = calloc(1, sizeof(*w));
	pthread_t thread;

	if (!w)
		return -ENOLCK;
	w->call = call;
	w->tid = (pid_t)n->pid;
	w->listener = fd;
	w->resp.id = n->id;
	memcpy(w->args, n->data.args, sizeof(w->args));
	if (thread_start(&thread, wait_for_lock, w) != 0) {
		free(w);
		return -ENOLCK;
	}
	pthread_detach(thread);
	return 0;
}

/* Return: false: it comes later */
static bool answer(int fd, const struct seccomp_notif *n, struct seccomp_notif_resp *resp)
{
	const struct raw_call *call = raw_call_find(n->data.nr);
	uint64_t args[RAW_NR_ARGS];

	memcpy(args, n->data.args, sizeof(args));
	if (call && !is_own_thread((pid_t)n->pid)) {
		resp->error = raw_answer_child(call, (pid_t)n->pid, args);
	} else if (call && raw_call_is_ours(call, args)) {
		if (!raw_call_waits(call->nr, args))
			make_call(call, (pid_t)n->pid, args, resp);
		else
			resp->error = start_wait(fd, call, n);
		return !raw_call_waits(call->nr, args) || resp->error;
	}
	resp->flags = resp->error ? 0 : SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	return true;
}

/* The kernel's structures may be longer than the ones we know. */
static bool get_room(struct seccomp_notif **n, size_t *n_len, struct seccomp_notif_resp **resp)
{
	struct seccomp_notif_sizes sizes;

	if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) < 0)
		return false;
	*n_len = sizes.seccomp_notif > sizeof(**n) ? sizes.seccomp_notif : sizeof(**n);
	*n = calloc(1, *n_len);
	*resp = calloc(1, sizes.seccomp_notif_resp > sizeof(**resp) ? sizes.seccomp_notif_resp
								    : sizeof(**resp));
	return *n && *resp;
}

static void *serve_calls(void *arg)
{
	int fd = (int)(intptr_t)arg, err = 0;
	struct seccomp_notif_resp *resp = NULL;
	struct seccomp_notif *n = NULL;
	size_t n_len;

	thread_settle("holdfast-calls");
	if (!get_room(&n, &n_len, &resp))
		err = ENOMEM;
	while (!err) {
		memset(n, 0, n_len);
		if (real()->ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, n) < 0) {
			/* a thread may be killed while it waits */
			err = errno == EINTR || errno == ENOENT ? 0 : errno;
			continue;
		}
		memset(resp, 0, sizeof(*resp));
		resp->id = n->id;
		if (!answer(fd, n, resp))
			continue;
		if (real()->ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, resp) < 0 && errno != ENOENT)
			err = errno;
	}
	hf_err("preload", "system calls that the client makes without libc are no longer seen: %s",
	       strerror(err));
	free(n);
	free(resp);
	return NULL;
}

/* ---- start ---- */

static int listen_to(int fd)
{
	pthread_t thread;
	int rc;

	fd = fd_move_up(fd);
	rc = thread_start(&thread, serve_calls, (void *)(intptr_t)fd);
	if (rc) {
		real()->close(fd);
		return rc;
	}
	pthread_detach(thread);
	__atomic_store_n(&listener, fd, __ATOMIC_RELEASE);
	return 0;
}

static void catch_ranges(const struct raw_range *ranges, size_t nr) REQUIRES(raw_lock)
{
	const struct raw_filter filter = {.ranges = ranges, .nr_ranges = nr, .window = &window};
	int rc = -EBUSY;

	if (!has_window)
		choose_window();
	if (!leaves_listener)
		rc = raw_filter_install(&filter);
	if (rc >= 0)
		rc = listen_to(rc);
	else if (rc == -EBUSY || rc == -EINVAL)
		rc = raw_trap_install(ranges, nr, &window);
	if (rc < 0)
		hf_warn("preload",
			"the client makes system calls without libc, and they cannot be seen: %s",
			strerror(-rc));
}

static bool is_caught(const struct raw_range *range) REQUIRES(raw_lock)
{
	for (size_t i = 0; i < nr_caught; i++)
		if (caught[i].first == range->first && caught[i].last == range->last)
			return true;
	return false;
}

static void look(void) REQUIRES(raw_lock)
{
	int nr = raw_scan(found, &opens, &generation);

	if (nr >= 0)
		nr_found = nr;
}

static void catch_found(void) REQUIRES(raw_lock)
{
	struct raw_range fresh[RAW_NR_RANGES_MAX];
	size_t nr = 0;

	for (int i = 0; i < nr_found; i++) {
		if (is_caught(&found[i]))
			continue;
		fresh[nr++] = found[i];
		if (nr_caught < RAW_NR_RANGES_MAX)
			caught[nr_caught++] = found[i];
	}
	if (nr) {
		call_expect_handlers(); /* rt_sigaction(2) is not seen either */
		catch_ranges(fresh, nr);
	}
}

void raw_start(void)
{
	mutex_lock(&raw_lock);
	look();
	catch_found();
	mutex_unlock(&raw_lock);
}

void raw_leave_listener(void)
{
	mutex_lock(&raw_lock);
	leaves_listener = true;
	mutex_unlock(&raw_lock);
}

/* In a child, which has neither the thread nor the parent's devices. The parent's thread answers
 * for it as long as the parent lives, and the listener's copy here would keep calls waiting after
 * that. The parent's filter stays. */
static void forked(void) NO_TSA
{
	if (listener >= 0)
		real()->close(listener);
	listener = -1;
	nr_caught = 0;
	mutex_init(&raw_lock);
	if (opens)
		catch_found();
}

/* (3) */
__attribute__((constructor)) static void start_early(void)
{
	(void)pthread_atfork(NULL, NULL, forked);
	mutex_lock(&raw_lock);
	look();
	if (opens)
		catch_found();
	mutex_unlock(&raw_lock);
}
