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
#include "memory/hooks.h"
#include "memory/pin.h"

/* Tasks were stalled for want of memory 150 ms in 2 s. The window of a program without privileges
 * is a multiple of 2 s. */
#define PSI_TRIGGER "some 150000 2000000"
#define IDLE_MS     60000 /* a keeper with nothing to do lives on as long as this */
/* It looks for what could not be unlocked so often, whether or not anything is owed yet: who owes
 * it does not wake a keeper that sleeps. */
#define LOOK_MS 5000

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

/* How long may it sleep? @left_ns: until something held is due, -1 if nothing is */
static int wait_ms(int64_t left_ns)
{
	int64_t ms = left_ns < 0 ? LOOK_MS : left_ns / NS_PER_MS + 1;

	return ms < LOOK_MS ? (int)ms : LOOK_MS;
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
	int psi_fd, idle_ms = 0;

	(void)arg;
	thread_settle("holdfast-keeper");
	psi_fd = psi_open();
	do {
		int64_t left_ns = hold_expire(clock_now_ns());

		release_owed();
		if (sleep_on(&psi_fd, wait_ms(left_ns)))
			(void)memory_hold_forget_all(MEMORY_EVICT_PRESSURE);
		idle_ms = left_ns < 0 && !release_is_owed() ? idle_ms + LOOK_MS : 0;
	} while (!(idle_ms >= IDLE_MS && may_end()));
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

	if (memory_hooks.without_keeper)
		return;
	mutex_lock(&keeper_lock);
	if (!keeper_runs && thread_start(&thread, keeper, NULL) == 0) {
		keeper_runs = true;
		pthread_detach(thread);
	}
	mutex_unlock(&keeper_lock);
}
