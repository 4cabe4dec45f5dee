// SPDX-License-Identifier: BSD-3-Clause
/*
 * A frame that is sent behind a command's answer meets what the command has set, though the port
 * was in the midst of a batch meanwhile.
 */
#include "../sim/look_support.h"
#include "card.h"

static const uint8_t mac[6] = {0x52, 0x54, 0, 1, 2, 3}, other[6] = {2, 9, 9, 9, 9, 9};

static uint8_t set_mac(struct rig *rig, const uint8_t *address)
{
	return rig_ctrl(rig, 2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, address, 6);
}

/* To the address that is set, or to the one before. */
static void frame_meets(const uint8_t *before, const uint8_t *then)
{
	struct rig rig;
	uint32_t len;

	make(&rig);
	rig_start(&rig, FEATURES | CTRL_QUEUE | BIT(VIRTIO_NET_F_CTRL_MAC_ADDR), 3, 64);
	assert_int_equal(set_mac(&rig, before), VIRTIO_NET_OK);
	rig_add(&rig, 0, in, ROUND_ROOM, true);
	rig_publish(&rig, 0);
	rig_quiet(&rig);
	look_hold(&rig, model(&rig)->sim->vqs[1].ring, 1);
	assert_int_equal(set_mac(&rig, then), VIRTIO_NET_OK);
	frame_make(out, ROUND_LEN, 1);
	rig_add(&rig, 1, out, ROUND_LEN, false);
	(void)ring_driver_publish(rig.vq[1].drv);
	look_let_go();
	rig.ops->kick_vq(rig.dev, 1);
	assert_ptr_equal(rig_get(&rig, 1, &len), out);
	rig_quiet(&rig);
	assert_ptr_equal(rig_poll(&rig, 0, &len), then == mac ? in : NULL);
	rig_destroy(&rig);
}

static void frame_behind_the_answer_meets_the_new_address(void **state)
{
	frame_meets(other, mac);
	frame_meets(mac, other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frame_behind_the_answer_meets_the_new_address),
	};

	if (rig_guard_install())
		return 1;
	return cmocka_run_group_tests_name("mlx5-steering", tests, get_buffers, NULL);
}
