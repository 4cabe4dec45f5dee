/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Running a program of random steps and writing its transcript.
 *
 * 1. A step's result is its errno or 0, what it returned, and once the device is idle what the
 *    device has written to client memory and which call eventfds it has signalled. How often is not
 *    told: that depends on how many chains the device finds at once.
 * 2. A ring must not be enabled before it has an address: at address 0 a device that translates 1:1
 *    works on whatever lies there, which on a kernel is the kernel's memory. Such a step is
 *    skipped, on every device.
 * 3. What outlives a client is put back after each program: the configuration space, ring sizes, a
 *    kick that a suspended device has been keeping.
 */
#include "check/random_world.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { LOCKABLE = 64 };

/* ---- one step ---- */

static bool signalled(int fd)
{
	uint64_t count;

	return fd >= 0 && read(fd, &count, sizeof(count)) == sizeof(count);
}

/* What a change of memory shows: @bits are those of random_mem_changes(). */
static void note_dma(unsigned bits, bool frame, bool command)
{
	if (bits & 1)
		random_reach(REACH_DMA_MAPPED);
	if (bits & 2)
		random_reach(REACH_DMA_IDENTITY);
	if (frame)
		random_reach(REACH_FRAME);
	if (command)
		random_reach(REACH_CONTROL);
	if (command && random_world.at.bound)
		random_reach(REACH_BOUND_DMA);
	if (bits && random_world.at.batch)
		random_reach(REACH_BATCH_DMA);
	if (bits && random_world.at.resumed)
		random_reach(REACH_RESUMED_DMA);
	if (bits & 1 && random_world.at.reset)
		random_reach(REACH_RESET_DMA);
	if (bits && random_world.opens > 1)
		random_reach(REACH_REOPENED_DMA);
	if (bits && random_world.at.based)
		random_reach(REACH_BASE);
}

/* Waits for the device and tells what it did. */
static void settle(void)
{
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);
	unsigned bits;

	if (!to)
		return;
	if (random_idle_wait())
		fprintf(random_world.to, " busy");
	bits = random_mem_changes(&random_world.mem, to);
	fclose(to);
	note_dma(bits, strstr(text, ".buf0"), strstr(text, ".buf2"));
	fputs(text, random_world.to);
	free(text);
	for (unsigned q = 0; q < RANDOM_RINGS; q++)
		if (signalled(random_world.call[q]))
			fprintf(random_world.to, " call%u", q);
	if (signalled(random_world.config_fd))
		fprintf(random_world.to, " config_call");
}

static const struct random_row *row_of(enum random_op op)
{
	return random_ioctl_steps[op].fn ? &random_ioctl_steps[op] : &random_other_steps[op];
}

static void run_step(const struct random_step *step, struct random_stats *stats)
{
	const struct random_row *row = row_of(step->op);
	char line[RANDOM_LINE];
	int rc;

	random_print(step, line);
	fprintf(random_world.to, "%s =", line);
	if (random_world.fd < 0 && !(row->traits & RANDOM_ALONE))
		rc = random_skipped("not open");
	else
		rc = row->fn(step->arg);
	if (rc <= 0 && row->traits & RANDOM_WORKS)
		settle();
	fputc('\n', random_world.to);
	stats->steps++;
	if (rc > 0)
		stats->skipped[step->op]++;
	else if (rc < 0)
		stats->refused[step->op]++;
	else
		stats->ok[step->op]++;
	random_world.dirty |= step->op == OP_SET_CONFIG || step->op == OP_POST;
}

/* ---- one program ---- */

static int restore(void)
{
	int fd = client_open(random_world.path);
	int rc = fd < 0 ? fd : client_ioctl(fd, VHOST_SET_OWNER, NULL);

	for (unsigned q = 0; !rc && q < RANDOM_RINGS; q++)
		rc = client_vring_set(fd, VHOST_SET_VRING_NUM, q, RANDOM_RING_MAX);
	if (!rc && random_world.dirty)
		rc = client_set_config(fd, 0, random_world.config, random_world.config_size);
	/* a kick that came while it was suspended */
	if (!rc && client_set_status(fd, CLIENT_STATUS_RUNNING) == 0)
		(void)client_ioctl(fd, VHOST_VDPA_RESUME, NULL);
	if (fd >= 0)
		close(fd);
	random_world.dirty = false;
	return rc;
}

static void begin(FILE *to)
{
	static const uint64_t ring[4] = {0, 16, 0, 0};

	random_world.to = to;
	random_world.opens = 0;
	memset(random_world.reached, 0, sizeof(random_world.reached));
	memset(&random_world.at, 0, sizeof(random_world.at));
	random_mem_clear(&random_world.mem);
	for (unsigned q = 0; q < RANDOM_RINGS; q++)
		random_ring_reset(&random_world.ring[q], &random_world.mem, q, ring);
}

static void forget(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void end(void)
{
	forget(&random_world.fd);
	forget(&random_world.config_fd);
	for (unsigned q = 0; q < RANDOM_RINGS; q++) {
		forget(&random_world.kick[q]);
		forget(&random_world.call[q]);
	}
	if (restore())
		fprintf(random_world.to, "the device cannot be put back\n");
}

void random_run(const struct random_program *program, FILE *to, struct random_stats *stats,
		struct random_progress *progress)
{
	begin(to);
	for (unsigned i = 0; i < program->nr; i++) {
		progress->step = i;
		progress->beats++;
		run_step(&program->step[i], stats);
	}
	end();
	stats->sequences++;
	for (unsigned i = 0; i < REACH_NR; i++)
		stats->reached[i] += random_world.reached[i];
}

static int read_config(void)
{
	int fd = client_open(random_world.path);
	int rc = fd < 0 ? fd
			: client_ioctl(fd, VHOST_VDPA_GET_CONFIG_SIZE, &random_world.config_size);

	if (!rc && random_world.config_size > RANDOM_CONFIG_ROOM)
		random_world.config_size = RANDOM_CONFIG_ROOM;
	if (!rc)
		rc = client_get_config(fd, 0, random_world.found, random_world.config_size);
	memcpy(random_world.config, random_world.found, sizeof(random_world.config));
	memset(random_world.config, 0, 6); /* the address that a simulator has when it is made */
	if (fd >= 0)
		close(fd);
	if (rc)
		fprintf(stderr, "holdfast check: cannot read the configuration of %s: %s\n",
			random_world.path, strerror(-rc));
	return rc;
}

int random_run_init(const struct check_device *dev)
{
	struct rlimit limit;
	int rc = random_mem_init(&random_world.mem, dev);

	if (rc)
		return rc;
	random_world.path = dev->path;
	random_world.fd = random_world.config_fd = -1;
	for (unsigned q = 0; q < RANDOM_RINGS; q++)
		random_world.kick[q] = random_world.call[q] = -1;
	if (pipe(random_world.pipe) || getrlimit(RLIMIT_MEMLOCK, &limit))
		return -errno;
	limit.rlim_cur = LOCKABLE * CHECK_PAGE;
	if (setrlimit(RLIMIT_MEMLOCK, &limit))
		return -errno;
	random_idle_init(dev);
	random_world.dirty = true;
	rc = read_config();
	return rc ? rc : restore();
}

void random_run_fini(void)
{
	memcpy(random_world.config, random_world.found, sizeof(random_world.config));
	random_world.dirty = true;
	(void)restore();
}
