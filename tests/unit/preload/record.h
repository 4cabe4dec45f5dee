// SPDX-License-Identifier: BSD-3-Clause
/*
 * A seccomp filter that tells of each system call of a thread, and lets it happen. What a client's
 * thread calls while it is inside a call of the library's is then known, call by call. Another
 * thread listens; it must be there before the filter.
 */
#ifndef TESTS_PRELOAD_RECORD_H
#define TESTS_PRELOAD_RECORD_H

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RECORD_NR 512u

/* Numbers of system calls, a bit each. */
struct recorded {
	uint64_t bits[RECORD_NR / 64];
};

static struct recorded *record_to; /* atomic; NULL: nothing is recorded */

static inline bool recorded_has(const struct recorded *r, unsigned int nr)
{
	return r->bits[nr / 64] >> nr % 64 & 1;
}

static inline void record_into(struct recorded *to)
{
	__atomic_store_n(&record_to, to, __ATOMIC_SEQ_CST);
}

static inline void record_fail(const char *what)
{
	perror(what);
	_exit(2);
}

/* The thread's own calls go past the wrappers, so that it is no client of the device. */
static inline void record_listen(int fd)
{
	struct seccomp_notif *n = calloc(1, 4096);

	for (;;) {
		struct seccomp_notif_resp resp = {.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
		struct recorded *to;

		memset(n, 0, sizeof(*n));
		if (syscall(SYS_ioctl, fd, SECCOMP_IOCTL_NOTIF_RECV, n) < 0) {
			if (errno == EINTR || errno == ENOENT)
				continue;
			record_fail("NOTIF_RECV");
		}
		to = __atomic_load_n(&record_to, __ATOMIC_SEQ_CST);
		if (to && (unsigned int)n->data.nr < RECORD_NR)
			to->bits[n->data.nr / 64] |= UINT64_C(1) << n->data.nr % 64;
		resp.id = n->id;
		if (syscall(SYS_ioctl, fd, SECCOMP_IOCTL_NOTIF_SEND, &resp) < 0 && errno != ENOENT)
			record_fail("NOTIF_SEND");
	}
}

static inline void *record_thread(void *arg)
{
	int *listener = arg, fd;

	while ((fd = __atomic_load_n(listener, __ATOMIC_SEQ_CST)) < 0)
		sched_yield();
	record_listen(fd);
	return NULL;
}

/* From now on the calling thread is under such a filter. */
static inline void record_start(void)
{
	struct sock_filter all[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF)};
	struct sock_fprog program = {.len = 1, .filter = all};
	int *listener = malloc(sizeof(*listener));
	pthread_t thread;
	long fd;

	*listener = -1;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		record_fail("NO_NEW_PRIVS");
	if (pthread_create(&thread, NULL, record_thread, listener) != 0)
		record_fail("pthread_create");
	fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
		     &program);
	if (fd < 0)
		record_fail("seccomp");
	__atomic_store_n(listener, (int)fd, __ATOMIC_SEQ_CST);
}

#endif
