// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a control command sets holds for every frame that is sent behind its answer. The worker that
 * takes the frame may be in the midst of a batch when the command is carried out, here at a look at
 * the transmit ring, or the queue of the frame may come next in the same pass.
 */
#include <linux/if_ether.h>
#include <string.h>

#include "look_support.h"
#include "parents/sim/net.h"
#include "parents/sim/sim.h"

#define FRAME   (HDR + 64)
#define BUF_LEN 256
#define FEATURES                                                                                   \
	(BASE_FEATURES | BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_CTRL_MAC_ADDR) |             \
	 BIT(VIRTIO_NET_F_CTRL_RX) | BIT(VIRTIO_NET_F_CTRL_RX_EXTRA) |                             \
	 BIT(VIRTIO_NET_F_CTRL_VLAN))

static const uint8_t on[1] = {1}, off[1] = {0}, other[6] = {2, 9, 9, 9, 9, 9};
static const uint8_t mac[6] = {0x52, 0x54, 0, 1, 2, 3}, vid[2] = {5, 0};
static const uint8_t table[4 + 6 + 4] = {1, 0, 0, 0, 0x52, 0x54, 0, 1, 2, 3};

struct command {
	uint8_t class, cmd;
	const uint8_t *data;
	size_t len;
};

static const struct command promisc_off = {VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, off, 1};

/* On a card that is promiscuous no more. */
static const struct {
	struct command before, command;
	bool delivers, tagged;
} cases[] = {
	{{VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other, 6},
	 {VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 6},
	 .delivers = true},
	{{VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other, 6},
	 {VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table, sizeof(table)},
	 .delivers = true},
	{{VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other, 6},
	 {VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, on, 1},
	 .delivers = true},
	{{VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other, 6},
	 {VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLUNI, on, 1},
	 .delivers = true},
	{{VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 6},
	 {VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_NOUNI, on, 1},
	 .delivers = false},
	{{VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 6},
	 {VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, vid, 2},
	 .delivers = true,
	 .tagged = true},
	{{VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, vid, 2},
	 {VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_DEL, vid, 2},
	 .tagged = true},
};

static struct rig rig;
static uint8_t frame[FRAME], buf[BUF_LEN];

static uint8_t command(uint16_t ctrl, const struct command *c)
{
	return rig_ctrl(&rig, ctrl, c->class, c->cmd, c->data, c->len);
}

static void make(uint16_t workers, uint16_t pairs, size_t i)
{
	static const uint8_t le[2] = {2, 0};
	struct vdpa_dev_config config = rig_config();
	uint16_t ctrl = 2 * pairs;

	config.max_vqp = pairs;
	config.workers = workers;
	rig_make(&rig, &config);
	rig_start(&rig, FEATURES | (pairs == 2 ? BIT(VIRTIO_NET_F_MQ) : 0), ctrl + 1, 16);
	if (pairs == 2)
		assert_int_equal(rig_ctrl(&rig, ctrl, VIRTIO_NET_CTRL_MQ,
					  VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, le, 2),
				 VIRTIO_NET_OK);
	assert_int_equal(command(ctrl, &promisc_off), VIRTIO_NET_OK);
	assert_int_equal(command(ctrl, &cases[i].before), VIRTIO_NET_OK);
	frame_make(frame, sizeof(frame), 1);
	if (cases[i].tagged)
		memcpy(frame + HDR + 12, (const uint8_t[]){ETH_P_8021Q >> 8, 0, 0, vid[0]}, 4);
	rig_quiet(&rig);
}

/* ---- a worker in the midst of a batch ---- */

/* The frame is there when the look goes on. */
static void send_and_let_go(uint16_t tx)
{
	rig_add(&rig, tx, frame, sizeof(frame), false);
	(void)ring_driver_publish(rig.vq[tx].drv);
	look_let_go();
	rig.ops->kick_vq(rig.dev, tx);
}

static void expect_frame(uint16_t rx, size_t i)
{
	uint32_t n;

	assert_ptr_equal(rig_get(&rig, (uint16_t)(rx + 1), &n), frame);
	rig_quiet(&rig);
	if ((rig_poll(&rig, rx, &n) == buf) != cases[i].delivers)
		fail_msg("case %zu: the frame was %s", i, cases[i].delivers ? "lost" : "delivered");
}

static void frame_behind_the_answer_meets_what_another_worker_has_set(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		make(2, 2, i);
		rig_add(&rig, 2, buf, sizeof(buf), true);
		rig_publish(&rig, 2);
		rig_quiet(&rig);
		look_hold(&rig, vdpasim_of(rig.dev)->vqs[3].ring, 3);
		assert_int_equal(command(4, &cases[i].command), VIRTIO_NET_OK);
		send_and_let_go(3);
		expect_frame(2, i);
		rig_destroy(&rig);
	}
}

/* A driver without VIRTIO_NET_F_CTRL_MAC_ADDR writes its address there. */
static void frame_behind_a_write_to_the_configuration_meets_the_new_address(void **state)
{
	(void)state;
	make(2, 2, 0);
	rig_add(&rig, 2, buf, sizeof(buf), true);
	rig_publish(&rig, 2);
	rig_quiet(&rig);
	look_hold(&rig, vdpasim_of(rig.dev)->vqs[3].ring, 3);
	rig_do(&rig, set_config, 0, mac, sizeof(mac));
	send_and_let_go(3);
	expect_frame(2, 0);
	rig_destroy(&rig);
}

/* ---- the next queue of the same pass ---- */

static bool sends_behind; /* atomic */
static bool was_answered; /* atomic: the answer was there when the control queue's turn was over */
static int add_err;       /* atomic */

bool __real_simnet_ctrl_batch(struct simnet *net, struct vdpasim_vq *vq);
bool __wrap_simnet_ctrl_batch(struct simnet *net, struct vdpasim_vq *vq);

/* The worker is the driver: it sends as soon as the answer is there. */
bool __wrap_simnet_ctrl_batch(struct simnet *net, struct vdpasim_vq *vq)
{
	struct ring_driver_seg seg = {rig_iova(&rig, frame), sizeof(frame)};
	uint64_t before = net->ctrl_stats.requests;
	bool more = __real_simnet_ctrl_batch(net, vq);

	if (!__atomic_load_n(&sends_behind, __ATOMIC_ACQUIRE) || net->ctrl_stats.requests == before)
		return more;
	__atomic_store_n(&sends_behind, false, __ATOMIC_RELAXED);
	__atomic_store_n(&was_answered, ring_is_flushed(vq->ring), __ATOMIC_RELAXED);
	if (ring_driver_add(rig.vq[1].drv, &seg, 1, 0, frame, NULL, 0) != 0)
		__atomic_store_n(&add_err, 1, __ATOMIC_RELAXED);
	(void)ring_driver_publish(rig.vq[1].drv);
	vq->sim->vqs[1].pending = true;
	return more;
}

static void control_queue_has_its_turn_first(void)
{
	struct vdpasim_worker *sw = vdpasim_of(rig.dev)->vqs[2].sw;

	vdpasim_lock(sw);
	sw->turn = 2;
	vdpasim_unlock(sw);
}

static void frame_behind_the_answer_meets_what_the_same_pass_has_set(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		make(1, 1, i);
		rig_add(&rig, 0, buf, sizeof(buf), true);
		rig_publish(&rig, 0);
		rig_quiet(&rig);
		control_queue_has_its_turn_first();
		__atomic_store_n(&sends_behind, true, __ATOMIC_RELEASE);
		assert_int_equal(command(2, &cases[i].command), VIRTIO_NET_OK);
		expect_frame(0, i);
		assert_int_equal(__atomic_load_n(&add_err, __ATOMIC_RELAXED), 0);
		assert_true(__atomic_load_n(&was_answered, __ATOMIC_RELAXED));
		rig_destroy(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frame_behind_the_answer_meets_what_another_worker_has_set),
		cmocka_unit_test(frame_behind_a_write_to_the_configuration_meets_the_new_address),
		cmocka_unit_test(frame_behind_the_answer_meets_what_the_same_pass_has_set),
	};

	return cmocka_run_group_tests_name("sim-filter", tests, NULL, NULL);
}
