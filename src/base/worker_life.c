// SPDX-License-Identifier: BSD-3-Clause
/*
 * A worker's beginning and end. The end is the harder part: the process around may have closed the
 * descriptors that would wake the thread, guarantee (7) of worker.c.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/thread.h"
#include "base/worker_internal.h"

enum {
	END_LOOK_MS = 50,   /* between two looks at a thread that is to end */
	END_WAIT_MS = 1000, /* asleep so long, it will not wake */
};

static int fds_open(struct worker *w)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = WORKER_WAKE_SLOT};

	w->epoll_fd = fd_move_up(epoll_create1(EPOLL_CLOEXEC));
	if (w->epoll_fd < 0)
		return -errno;
	w->wake_fd = fd_move_up(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	if (w->wake_fd < 0)
		return -errno;
	if (epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->wake_fd, &event) < 0)
		return -errno;
	return 0;
}

static void worker_free(struct worker *w)
{
	fd_close(&w->epoll_fd);
	fd_close(&w->wake_fd);
	for (uint32_t i = 0; i < w->nr_slots; i++)
		free(w->slots[i].wfd);
	free(w->slots);
	free(w);
}

int worker_create(const char *name, worker_poll_fn poll, void *arg, struct worker **out)
{
	struct worker *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return -ENOMEM;
	pthread_mutex_init(&w->lock, NULL);
	w->epoll_fd = w->wake_fd = -1;
	w->wake_at = INT64_MAX;
	w->poll = poll;
	w->poll_arg = arg;
	w->pid = getpid();
	memcpy(w->name, name, strnlen(name, sizeof(w->name) - 1));
	err = fds_open(w);
	if (!err)
		err = thread_start(&w->thread, worker_main, w);
	if (err) {
		pthread_mutex_destroy(&w->lock);
		worker_free(w);
		return err;
	}
	*out = w;
	return 0;
}

/* An epoll knows an fd by its number and by its file, so this says that both of ours are what they
 * were. */
bool worker_is_sound(const struct worker *w)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = WORKER_WAKE_SLOT};
	int saved = errno;
	bool lost = epoll_ctl(w->epoll_fd, EPOLL_CTL_MOD, w->wake_fd, &event) < 0 &&
		    (errno == EBADF || errno == ENOENT || errno == EINVAL || errno == EPERM);

	errno = saved;
	return !lost;
}

/* Return: has the thread ended? Not if it is asleep for END_WAIT_MS, though it is told to
 * stop. */
static bool join_or_leave(struct worker *w)
{
	struct timespec until;
	int err = ETIMEDOUT;

	for (int ms = 0; err == ETIMEDOUT && ms < END_WAIT_MS; ms += END_LOOK_MS) {
		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += END_LOOK_MS * NS_PER_MS;
		until.tv_sec += until.tv_nsec / NS_PER_SEC;
		until.tv_nsec %= NS_PER_SEC;
		err = pthread_timedjoin_np(w->thread, NULL, &until);
		if (!__atomic_load_n(&w->asleep, __ATOMIC_RELAXED))
			ms = 0; /* it works, however long that takes */
	}
	return err == 0;
}

/* Guarantee (7). If only the eventfd is lost, a new one wakes the thread. If only the epoll is, the
 * old eventfd does, for a sleeper keeps the epoll. Return: has the thread ended? */
static bool end_unsound(struct worker *w)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = WORKER_WAKE_SLOT};
	int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	bool added = fd >= 0 && epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0, ended;

	if (fd_is_eventfd(w->wake_fd) == 1)
		fd_signal(w->wake_fd, false);
	ended = join_or_leave(w);
	fd_close(&fd);
	/* What has the numbers now may be the process's. */
	w->epoll_fd = added ? w->epoll_fd : -1;
	w->wake_fd = -1;
	return ended;
}

static bool end_thread(struct worker *w)
{
	__atomic_store_n(&w->stop, true, __ATOMIC_RELEASE);
	if (!worker_is_sound(w))
		return end_unsound(w);
	fd_signal(w->wake_fd, false);
	pthread_join(w->thread, NULL);
	return true;
}

void worker_destroy(struct worker *w)
{
	if (!w)
		return;
	/* A forked child has the memory and the fds but not the thread, and perhaps a locked
	 * mutex. */
	if (w->pid == getpid()) {
		assert(!worker_is_current(w));
		if (!end_thread(w)) {
			hf_warn(w->name, "its thread sleeps for ever: the program has closed the "
					 "descriptors that wake it");
			pthread_detach(w->thread);
			return;
		}
		pthread_mutex_destroy(&w->lock);
	}
	worker_free(w);
}
