// SPDX-License-Identifier: BSD-3-Clause
/*
 * A client that lives on while something around it dies. It does what lines on stdin say, and
 * answers each with a line: "ok ..." or what went wrong.
 *
 *   begin NODE [outside]   open, map, start
 *   use                    a frame there and back, or a sector
 *   look                   what the process has: descriptors, threads, KiB locked
 *   mine                   its descriptors that the client has not opened itself
 *   close N                by a raw system call, behind the library's back
 *   idle MS                ... and the processor time that went by meanwhile, in ms
 *   reset                  status 0, then a start
 *   end                    close the device
 */
#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "life.h"

#define SECONDS    200
#define FIRST_HIGH 160 /* the library's own descriptors have numbers from here on */

static struct life life = {.fd = -1};

static void say(int err)
{
	if (err)
		printf("%s\n", err == LIFE_SILENT ? "the device does nothing"
			       : err == LIFE_TOLD ? "NEEDS_RESET"
						  : strerror(-err));
	else
		printf("ok\n");
}

static int begin(const char *args)
{
	char node[64], how[16] = "";
	int err;

	if (sscanf(args, "%63s %15s", node, how) < 1)
		return -EINVAL;
	err = life_begin(&life, node);
	life.outside = strcmp(how, "outside") == 0;
	return err ? err : life_start(&life, 0);
}

static int reset(void)
{
	int err = client_set_status(life.fd, 0);

	return err ? err : life_start(&life, 0);
}

/* Return: number of descriptors; those of the library's are printed if @list */
static unsigned int descriptors(bool list)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	unsigned int nr = 0;

	while (dir && (entry = readdir(dir))) {
		nr++;
		if (list && atoi(entry->d_name) >= FIRST_HIGH)
			printf(" %s", entry->d_name);
	}
	if (dir)
		closedir(dir);
	return nr;
}

static void look(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	unsigned long locked = 0, threads = 0;
	char line[256];

	while (status && fgets(line, sizeof(line), status)) {
		(void)sscanf(line, "VmLck: %lu", &locked);
		(void)sscanf(line, "Threads: %lu", &threads);
	}
	if (status)
		fclose(status);
	printf("ok %u descriptors, %lu threads, %lu KiB locked\n", descriptors(false), threads,
	       locked);
}

static double cpu_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void idle(int ms)
{
	double before = cpu_ms();

	(void)poll(NULL, 0, ms);
	printf("ok %.0f\n", cpu_ms() - before);
}

static void obey(const char *line)
{
	if (strncmp(line, "begin ", 6) == 0)
		say(begin(line + 6));
	else if (strcmp(line, "use") == 0)
		say(life_use(&life));
	else if (strcmp(line, "look") == 0)
		look();
	else if (strcmp(line, "mine") == 0)
		(void)(printf("ok"), descriptors(true), printf("\n"));
	else if (strncmp(line, "close ", 6) == 0)
		say(syscall(SYS_close, atoi(line + 6)) < 0 ? -errno : 0);
	else if (strncmp(line, "idle ", 5) == 0)
		idle(atoi(line + 5));
	else if (strcmp(line, "reset") == 0)
		say(reset());
	else if (strcmp(line, "end") == 0)
		(void)(life_end(&life), life.fd = -1, printf("ok\n"));
	else
		printf("what?\n");
}

int main(void)
{
	char line[256];

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (alarm(SECONDS), fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		obey(line);
	}
	return 0;
}
