// SPDX-License-Identifier: BSD-3-Clause
/*
 * /proc may be mounted for another pid namespace than the supervisor's, an outer one. Its numbers
 * are that namespace's then. A process descriptor's entry in /proc tells them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "frontends/agent/supervisor.h"

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* since Linux 6.9 */
#endif

/* Reads the numbers behind @key in a file of /proc. Return: how many, at most @max */
static int read_numbers(const char *path, const char *key, pid_t *numbers, int max)
{
	FILE *f = fopen(path, "re");
	char line[256], *at;
	int nr = 0;

	while (f && nr == 0 && fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, strlen(key)) != 0)
			continue;
		for (at = line + strlen(key); nr < max; nr++) {
			char *end;

			numbers[nr] = (pid_t)strtol(at, &end, 10);
			if (end == at)
				break;
			at = end;
		}
	}
	if (f)
		fclose(f);
	return nr;
}

static bool is_own_proc(void)
{
	static int answer; /* atomic; 0: not known yet */
	char target[16] = "";
	int known = __atomic_load_n(&answer, __ATOMIC_RELAXED);

	if (known)
		return known == 1;
	known = readlink("/proc/self", target, sizeof(target) - 1) > 0 && atoi(target) == getpid()
			? 1
			: 2;
	__atomic_store_n(&answer, known, __ATOMIC_RELAXED);
	return known == 1;
}

pid_t proc_number(pid_t tid)
{
	char path[48];
	pid_t number = tid;
	int fd;

	if (is_own_proc())
		return tid;
	fd = (int)syscall(SYS_pidfd_open, tid, 0);
	if (fd < 0)
		fd = (int)syscall(SYS_pidfd_open, tid, PIDFD_THREAD);
	if (fd < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	if (read_numbers(path, "Pid:", &number, 1) != 1)
		number = -1;
	close(fd);
	return number;
}

int proc_ids(pid_t tid, struct proc_ids *ids)
{
	pid_t own[32], theirs[32];
	char path[48];
	int level, nr;

	level = read_numbers("/proc/self/status", "NStgid:", own, ARRAY_LEN(own)) - 1;
	snprintf(path, sizeof(path), "/proc/%d/status", proc_number(tid));
	nr = read_numbers(path, "NStgid:", theirs, ARRAY_LEN(theirs));
	if (level < 0 || level >= nr)
		return -ESRCH;
	*ids = (struct proc_ids){
		.tgid = theirs[level], .own = theirs[nr - 1], .is_same = level == nr - 1};
	return 0;
}
