/* SPDX-License-Identifier: BSD-3-Clause */
#include "check/random_world.h"

#include <inttypes.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { BAD_FD = 1000 };

struct random_world random_world;

const char *const random_state_names[REACH_NR] = {
	[REACH_RUNNING] = "running",
	[REACH_DMA_MAPPED] = "dma_mapped",
	[REACH_DMA_IDENTITY] = "dma_identity",
	[REACH_FRAME] = "frame_received",
	[REACH_CONTROL] = "command_answered",
	[REACH_TWO_SPACES] = "two_spaces_mapped",
	[REACH_BATCH] = "batch_committed",
	[REACH_BATCH_DMA] = "dma_in_batch",
	[REACH_SUSPENDED] = "suspended_running",
	[REACH_RESUMED_DMA] = "dma_after_resume",
	[REACH_RESET_RUNNING] = "reset_running",
	[REACH_RESET_DMA] = "dma_after_reset",
	[REACH_REOPENED] = "reopened",
	[REACH_REOPENED_DMA] = "dma_after_reopen",
	[REACH_BOUND] = "group_bound",
	[REACH_BOUND_DMA] = "dma_group_bound",
	[REACH_CONFIG] = "config_written",
	[REACH_BASE] = "ring_at_base",
	[REACH_REFUSED_MAP] = "update_refused",
};

/* ---- results ---- */

int random_done(int rc)
{
	const char *name = rc < 0 ? strerrorname_np(-rc) : NULL;

	if (name)
		fprintf(random_world.to, " %s", name);
	else
		fprintf(random_world.to, " %d", rc);
	return rc < 0 ? rc : 0;
}

int random_done_value(int rc, uint64_t value)
{
	int err = random_done(rc);

	if (!err)
		fprintf(random_world.to, " %#" PRIx64, value);
	return err;
}

/* A step that is not done, on any device. */
int random_skipped(const char *why)
{
	fprintf(random_world.to, " skipped: %s", why);
	return 1;
}

void random_reach(enum random_state state)
{
	random_world.reached[state] = true;
}

/* ---- descriptors ---- */

static void renew(int *fd, unsigned initial)
{
	if (*fd >= 0)
		close(*fd);
	*fd = eventfd(initial, EFD_NONBLOCK | EFD_CLOEXEC);
}

/* The descriptor that @kind means; for an own one *@own is made anew. */
int random_choose_fd(uint64_t kind, int *own)
{
	if (kind == FD_OWN || kind == FD_HOT) {
		renew(own, kind == FD_HOT);
		return *own;
	}
	return kind == FD_NONE ? -1 : kind == FD_BAD ? BAD_FD : random_world.pipe[0];
}
