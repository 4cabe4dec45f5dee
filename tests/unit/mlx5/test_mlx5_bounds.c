// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the driver's worker and the model's do in one go is bounded, whatever a guest sends. This
 * program stands around each batch (ld's --wrap), and counts.
 */
#include "card.h"

#include <pthread.h>
#include <sched.h>

#include "../between.h"
#include "base/clock.h"
#include "parents/sim/net.h"

#define NUM       256u
#define ROOM      (1u << 20)
#define FRAME_LEN (HDR + SIMNET_FRAME_MAX)

/* Of the longest batch; under @lock: there are two workers. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t walked_most;
static uint64_t bytes_most;
static unsigned int nr_batches;
static uint8_t *room;

static void note(uint32_t walked, uint64_t bytes)
{
	pthread_mutex_lock(&lock);
	walked_most = walked > walked_most ? walked : walked_most;
	bytes_most = bytes > bytes_most ? bytes : bytes_most;
	nr_batches++;
	pthread_mutex_unlock(&lock);
}

bool __real_mlx5_ctrl_batch(struct mlx5_vdpa *v);
bool __wrap_mlx5_ctrl_batch(struct mlx5_vdpa *v);
bool __wrap_mlx5_ctrl_batch(struct mlx5_vdpa *v)
{
	uint32_t walked = ring_walked(v->ctrl.ring);
	bool more = __real_mlx5_ctrl_batch(v);

	note(ring_walked(v->ctrl.ring) - walked, 0);
	return more;
}

bool __real_simnet_loopback_batch(struct simnet_pair *pair);
bool __wrap_simnet_loopback_batch(struct simnet_pair *pair);
bool __wrap_simnet_loopback_batch(struct simnet_pair *pair)
{
	uint32_t walked = ring_walked(pair->tx->ring) + ring_walked(pair->rx->ring);
	uint64_t bytes = pair->tx_stats.bytes;
	bool more = __real_simnet_loopback_batch(pair);

	note(ring_walked(pair->tx->ring) + ring_walked(pair->rx->ring) - walked,
	     pair->tx_stats.bytes - bytes);
	return more;
}

/* The next @nr available entries are one and the same chain of @pieces descriptors of @len bytes
 * each. */
static void offer(struct rig *rig, uint16_t idx, unsigned int nr, unsigned int pieces, uint32_t len,
		  uint16_t flags)
{
	struct vring_desc *desc = rig->vq[idx].area[0];
	struct vring_avail *avail = rig->vq[idx].area[1];

	for (unsigned int i = 0; i < pieces; i++) {
		bool last = i + 1 == pieces;

		desc[i] = (struct vring_desc){rig_iova(rig, room), len,
					      (uint16_t)(flags | (last ? 0 : VRING_DESC_F_NEXT)),
					      (uint16_t)(i + 1)};
	}
	for (unsigned int i = 0; i < nr; i++)
		avail->ring[i] = 0;
	__atomic_store_n(&avail->idx, (uint16_t)nr, __ATOMIC_RELEASE);
}

/* All that was offered is used. */
static void wait_used(struct rig *rig, uint16_t idx, unsigned int nr)
{
	struct vring_used *used = rig->vq[idx].area[2];
	int64_t until = clock_now_ns() + DEADLINE_MS * NS_PER_MS;

	rig->ops->kick_vq(rig->dev, idx);
	while (__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE) != (uint16_t)nr) {
		assert_true(clock_now_ns() < until);
		(void)sched_yield();
	}
	rig_quiet(rig);
}

static void make_card(struct rig *rig)
{
	struct vdpa_dev_config c = config();

	rig_make_of(rig, &mlx5_mgmt_dev, &c);
	rig_start(rig, FEATURES | CTRL_QUEUE, 3, NUM);
	pthread_mutex_lock(&lock);
	walked_most = nr_batches = 0;
	bytes_most = 0;
	pthread_mutex_unlock(&lock);
}

static void commands_of_many_pieces_are_bounded_a_batch(void **state)
{
	struct rig rig;

	(void)state;
	make_card(&rig);
	offer(&rig, 2, 64, NUM, 1, 0);
	wait_used(&rig, 2, 64);
	rig_destroy(&rig);
	assert_true(nr_batches > 1);
	assert_between(walked_most, 2 * NUM, RING_WALK_MAX + 2 * NUM);
}

static void frames_of_many_pieces_are_bounded_a_batch(void **state)
{
	struct rig rig;

	(void)state;
	make_card(&rig);
	offer(&rig, 0, NUM, NUM, 8, VRING_DESC_F_WRITE);
	offer(&rig, 1, NUM, NUM, 1, 0);
	wait_used(&rig, 1, NUM);
	rig_destroy(&rig);
	assert_true(nr_batches > 1);
	assert_between(walked_most, RING_WALK_MAX / 2, 2 * (RING_WALK_MAX + 2 * NUM));
}

/* To nobody here, so that they are dropped. */
static void long_frames_are_bounded_a_batch(void **state)
{
	struct rig rig;

	(void)state;
	make_card(&rig);
	offer(&rig, 1, NUM, 1, FRAME_LEN, 0);
	wait_used(&rig, 1, NUM);
	rig_destroy(&rig);
	assert_true(nr_batches > 1);
	assert_between(bytes_most, SIMNET_BATCH_LEN / 2, SIMNET_BATCH_LEN + FRAME_LEN);
}

static int get_room(void **state)
{
	(void)state;
	room = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return room == MAP_FAILED;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_of_many_pieces_are_bounded_a_batch),
		cmocka_unit_test(frames_of_many_pieces_are_bounded_a_batch),
		cmocka_unit_test(long_frames_are_bounded_a_batch),
	};

	return cmocka_run_group_tests(tests, get_room, NULL);
}
