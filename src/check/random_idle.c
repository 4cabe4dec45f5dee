/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Waiting until a device has done all that it was told to do.
 *
 * A step's effects are looked at when the device is idle: not after a while, and not when what was
 * expected has come, but when the thread that does its work sleeps for want of work. Whoever kicks
 * has woken that thread before the kick returns, so it cannot be found asleep too early:
 *
 *   - Holdfast's workers are threads of this process. One that sleeps, as /proc/self/task/TID/stat
 *     tells, and waits for events, as .../syscall tells, is idle; so is the keeper of held memory,
 *     which polls. Either alone is not enough: stat says S of a thread that is only about to sleep,
 *     syscall says nothing of one that is being woken.
 *   - The kernel's simulator has a thread of its own, and /proc/PID/wchan (for root) names the
 *     function in which it sleeps, and nothing while it is to run.
 *   - Of any other device nothing is known: wait for a while.
 */
#include "check/random.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum { DEADLINE_MS = 10000, QUIET_MS = 20, SPINS = 20 };

static enum { BY_THREADS, BY_KTHREAD, BY_TIME } way;
static int wchan_fd = -1;

/* Reads a small file into @text. Return: bytes, 0 if it cannot be read. */
static size_t slurp(const char *path, char *text, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, len - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

static bool all_digits(const char *s)
{
	return *s && s[strspn(s, "0123456789")] == '\0';
}

/* The file that tells where the simulator's thread sleeps. */
static int find_kthread(void)
{
	DIR *dir = opendir("/proc");
	const struct dirent *entry;
	char path[300], text[64];
	int fd = -1;

	while (dir && fd < 0 && (entry = readdir(dir))) {
		if (!all_digits(entry->d_name))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		if (!slurp(path, text, sizeof(text)) || strncmp(text, "vDPA sim worker", 15))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/wchan", entry->d_name);
		if (slurp(path, text, sizeof(text)) > 1)
			fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (dir)
		closedir(dir);
	return fd;
}

/*
 * From here on the client goes before the simulator's thread. On a machine with one processor that
 * thread works only while the client waits, and never between two halves of a call. A kernel that
 * preempts itself lets it work there now and then, and a sequence gives one thing or another.
 */
static void go_first(void)
{
	const struct sched_param first = {.sched_priority = 1};

	if (sched_setscheduler(0, SCHED_FIFO, &first))
		fprintf(stderr, "holdfast check: cannot go before the device's thread: %s\n",
			strerror(errno));
}

void random_idle_init(const struct check_device *dev)
{
	way = BY_THREADS;
	if (dev->holdfast)
		return;
	if (wchan_fd < 0)
		wchan_fd = find_kthread();
	way = wchan_fd >= 0 ? BY_KTHREAD : BY_TIME;
	if (way == BY_KTHREAD)
		go_first();
}

const char *random_idle_way(void)
{
	static const char *const words[] = {"its threads wait for events",
					    "the simulator's thread sleeps", "20 ms have passed"};

	return words[way];
}

static bool kthread_sleeps(void)
{
	char text[64];
	ssize_t n = pread(wchan_fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return !strncmp(text, "kthread_worker_fn", 17);
}

/* The letter behind the name, which is in brackets. */
static char state_of(const char *stat)
{
	const char *p = strrchr(stat, ')');

	return p && p[1] ? p[2] : '?';
}

/*
 * @call: a line of .../syscall: its number and its arguments, or a word. A worker that sleeps until
 * some time has something to do then, so it is not idle.
 */
static bool waits_for_events(const char *call)
{
	unsigned long long arg[4];
	int nr;

	if (sscanf(call, "%d %llx %llx %llx %llx", &nr, &arg[0], &arg[1], &arg[2], &arg[3]) != 5)
		return false;
	if (nr == SYS_epoll_wait || nr == SYS_epoll_pwait)
		return (int)arg[3] < 0;
	return nr == SYS_poll || nr == SYS_ppoll;
}

static bool thread_waits(const char *tid)
{
	char path[300], text[512];

	snprintf(path, sizeof(path), "/proc/self/task/%s/stat", tid);
	if (!slurp(path, text, sizeof(text)))
		return true; /* it has ended */
	if (state_of(text) != 'S')
		return false;
	snprintf(path, sizeof(path), "/proc/self/task/%s/syscall", tid);
	if (!slurp(path, text, sizeof(text)))
		return true;
	return waits_for_events(text);
}

static bool threads_wait(void)
{
	DIR *dir = opendir("/proc/self/task");
	const struct dirent *entry;
	bool idle = dir != NULL;

	while (idle && (entry = readdir(dir)))
		if (all_digits(entry->d_name) && atoi(entry->d_name) != gettid())
			idle = thread_waits(entry->d_name);
	if (dir)
		closedir(dir);
	return idle;
}

int random_idle_wait(void)
{
	int64_t end = clock_now_ms() + DEADLINE_MS;
	const struct timespec nap = {.tv_nsec = 50000};
	unsigned spins = 0;

	if (way == BY_TIME) {
		poll(NULL, 0, QUIET_MS);
		return 0;
	}
	while (!(way == BY_THREADS ? threads_wait() : kthread_sleeps())) {
		if (way == BY_THREADS && ++spins < SPINS)
			sched_yield();
		else
			nanosleep(&nap, NULL);
		if (clock_now_ms() > end)
			return -ETIMEDOUT;
	}
	return 0;
}
