/* SPDX-License-Identifier: BSD-3-Clause */
/* The steps of a random program that are IOTLB messages, maps of doorbells, or what the driver does
 * in its rings. */
#include "check/random_world.h"

#include <sys/mman.h>
#include <unistd.h>

/* ---- messages ---- */

static long send_message(uint64_t v, uint32_t asid, const struct vhost_iotlb_msg *body, size_t len)
{
	if (v == 1) {
		struct vhost_msg msg = {.type = VHOST_IOTLB_MSG, .iotlb = *body};
		ssize_t n = write(random_world.fd, &msg, sizeof(msg));

		return n < 0 ? -errno : n;
	}
	return check_msg(random_world.fd, (uint32_t)v, asid, body, len);
}

static int done_message(long n)
{
	return random_done(n == sizeof(struct vhost_msg_v2) ? 0 : (int)n);
}

static int step_update(const uint64_t *arg)
{
	struct vhost_iotlb_msg body = {.type = VHOST_IOTLB_UPDATE,
				       .iova = random_mem_iova(&random_world.mem, arg[2]),
				       .size = arg[3],
				       .uaddr = random_mem_uaddr(&random_world.mem, arg[4]),
				       .perm = (uint8_t)arg[5]};
	long n = send_message(arg[0], (uint32_t)arg[1], &body, sizeof(struct vhost_msg_v2));

	if (n < 0)
		random_reach(REACH_REFUSED_MAP);
	else
		random_world.at.mapped[arg[0] == 2 && arg[1] == 1] = true;
	if (n > 0 && random_world.at.batch)
		random_world.at.batch = 2;
	if (random_world.at.mapped[0] && random_world.at.mapped[1])
		random_reach(REACH_TWO_SPACES);
	return done_message(n);
}

static int step_invalidate(const uint64_t *arg)
{
	struct vhost_iotlb_msg body = {.type = VHOST_IOTLB_INVALIDATE,
				       .iova = random_mem_iova(&random_world.mem, arg[2]),
				       .size = arg[3]};

	return done_message(
		send_message(arg[0], (uint32_t)arg[1], &body, sizeof(struct vhost_msg_v2)));
}

static int step_begin(const uint64_t *arg)
{
	struct vhost_iotlb_msg body = {.type = VHOST_IOTLB_BATCH_BEGIN};
	long n = send_message(arg[0], (uint32_t)arg[1], &body, sizeof(struct vhost_msg_v2));

	if (n > 0 && !random_world.at.batch)
		random_world.at.batch = 1;
	return done_message(n);
}

static int step_end(const uint64_t *arg)
{
	struct vhost_iotlb_msg body = {.type = VHOST_IOTLB_BATCH_END};
	long n = send_message(arg[0], (uint32_t)arg[1], &body, sizeof(struct vhost_msg_v2));

	if (n > 0 && random_world.at.batch == 2)
		random_reach(REACH_BATCH);
	if (n > 0)
		random_world.at.batch = 0;
	return done_message(n);
}

static int step_message(const uint64_t *arg)
{
	struct vhost_iotlb_msg body = {.type = (uint8_t)arg[1]};
	size_t len = arg[2] > 200 ? 200 : arg[2];
	long n = check_msg(random_world.fd, (uint32_t)arg[0], 0, &body, len);

	return random_done((int)n);
}

static int step_mmap(const uint64_t *arg)
{
	void *p = mmap(NULL, arg[1], (int)arg[2] & 3, MAP_SHARED, random_world.fd,
		       (off_t)(arg[0] * CHECK_PAGE));
	int rc = p == MAP_FAILED ? -errno : 0;

	if (!rc)
		munmap(p, arg[1]);
	return random_done(rc);
}

/* ---- the driver's side ---- */

static int step_ring(const uint64_t *arg)
{
	if (arg[0] >= RANDOM_RINGS || arg[1] < 1 || arg[1] > RANDOM_RING_MAX)
		return random_skipped("no such ring");
	random_ring_reset(&random_world.ring[arg[0]], &random_world.mem, (unsigned)arg[0], arg);
	return 0;
}

static int step_post(const uint64_t *arg)
{
	if (arg[0] >= RANDOM_RINGS)
		return random_skipped("no such ring");
	random_ring_post(&random_world.ring[arg[0]], &random_world.mem, arg);
	return 0;
}

static int step_flags(const uint64_t *arg)
{
	if (arg[0] >= RANDOM_RINGS)
		return random_skipped("no such ring");
	random_ring_flags(&random_world.ring[arg[0]], &random_world.mem, (unsigned)arg[0],
			  (uint16_t)arg[1]);
	return 0;
}

static int step_kick(const uint64_t *arg)
{
	uint64_t one = 1;

	if (arg[0] >= RANDOM_RINGS || random_world.kick[arg[0]] < 0)
		return random_skipped("no kick eventfd");
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return write(random_world.kick[arg[0]], &one, sizeof(one)) == sizeof(one)
		       ? 0
		       : random_done(-errno);
}

const struct random_row random_other_steps[OP_NR] = {
	[OP_UPDATE] = {step_update, RANDOM_WORKS},
	[OP_INVALIDATE] = {step_invalidate, RANDOM_WORKS},
	[OP_BEGIN] = {step_begin, 0},
	[OP_END] = {step_end, RANDOM_WORKS},
	[OP_MESSAGE] = {step_message, 0},
	[OP_MMAP] = {step_mmap, 0},
	[OP_RING] = {step_ring, RANDOM_ALONE},
	[OP_POST] = {step_post, RANDOM_ALONE},
	[OP_FLAGS] = {step_flags, RANDOM_ALONE},
	[OP_KICK] = {step_kick, RANDOM_ALONE | RANDOM_WORKS},
};
