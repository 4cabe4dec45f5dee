// SPDX-License-Identifier: BSD-3-Clause
/*
 * The one thread that sees to it that nothing is held or owed for ever. It is made when something
 * is, and sleeps until the oldest is too old, or what is owed may be tried again; it ends once
 * nothing has been for a while. While it sleeps it listens to the system's own alarm for want of
 * memory (PSI, where the system has it and lets us), and then everything that is held goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/thread.h"
#include "memory/pin.h"

/* Tasks were stalled for want of memory 150 ms in 2 s. The window of a program without privileges
 * is a multiple of 2 s. */
#define PSI_TRIGGER "some 150000 2000000"
#define IDLE_MS     60000 /* a keeper with nothing to do lives on as long as this */
#define OWED_MS     1000  /* what could not be unlocked is tried again; then less and less often */

static struct mutex keeper_lock = MUTEX_INIT;
static bool keeper_runs GUARDED_BY(keeper_lock);

static int psi_open(void)
{
	int fd = fd_move_up(open("/proc/pressure/memory", O_RDWR | O_NONBLOCK | O_CLOEXEC));

	if (fd >= 0 && write(fd, PSI_TRIGGER, sizeof(PSI_TRIGGER)) < 0)
		fd_close(&fd);
	return fd;
}

/* Sleep for @ms. Return: did an alarm come? */
static bool sleep_on(int *psi_fd, int ms)
{
	struct pollfd pfd = {.fd = *psi_fd, .events = POLLPRI};

	if (poll(&pfd, 1, ms) <= 0 || !pfd.revents)
		return false;
	if (pfd.revents & POLLPRI)
		return true;
	*psi_fd = -1; /* the client has closed it; the number may be somebody else's by now */
	return false;
}

/* @owed_ms: since the last try of what is owed, 0 for nothing */
static int wait_ms(int64_t left_ns, int owed_ms)
{
	int64_t ms = left_ns < 0 ? IDLE_MS : left_ns / NS_PER_MS + 1;

	if (owed_ms > 0 && owed_ms < ms)
		ms = owed_ms;
	return ms < IDLE_MS ? (int)ms : IDLE_MS;
}

/* Try what is owed. Return: ms to the next try, after the last one's @owed_ms; 0: nothing is */
static int settle_owed(int owed_ms)
{
	if (!release_is_owed())
		return 0;
	table_lock();
	release_owed(true);
	table_unlock();
	if (!release_is_owed())
		return 0;
	owed_ms = owed_ms ? 2 * owed_ms : OWED_MS;
	return owed_ms < IDLE_MS ? owed_ms : IDLE_MS;
}

/* Nothing is held or owed for long enough: may the keeper end? What is from now on makes
 * another. */
static bool may_end(void)
{
	bool end;

	mutex_lock(&keeper_lock);
	end = memory_hold_is_empty() && !release_is_owed();
	if (end)
		keeper_runs = false;
	mutex_unlock(&keeper_lock);
	return end;
}

static void *keeper(void *arg)
{
	int psi_fd, idle_ms = 0, owed_ms = 0;

	(void)arg;
	thread_settle("holdfast-keeper");
	psi_fd = psi_open();
	for (;;) {
		int64_t left_ns = hold_expire(clock_now_ns());
		bool idle;

		owed_ms = settle_owed(owed_ms);
		idle = left_ns < 0 && owed_ms == 0;
		if (idle && idle_ms >= IDLE_MS && may_end())
			break;
		if (sleep_on(&psi_fd, wait_ms(left_ns, owed_ms)))
			(void)memory_hold_forget_all(MEMORY_EVICT_PRESSURE);
		idle_ms = idle ? IDLE_MS : 0;
	}
	fd_close(&psi_fd);
	return NULL;
}

static void forked(void) NO_TSA
{
	mutex_init(&keeper_lock);
	keeper_runs = false;
}

static void __attribute__((constructor)) watch_forks(void)
{
	(void)pthread_atfork(NULL, NULL, forked);
}

void keeper_start(void)
{
	pthread_t thread;

	mutex_lock(&keeper_lock);
	if (!keeper_runs && thread_start(&thread, keeper, NULL) == 0) {
		keeper_runs = true;
		pthread_detach(thread);
	}
	mutex_unlock(&keeper_lock);
}
