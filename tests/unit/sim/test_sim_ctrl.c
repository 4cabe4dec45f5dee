// SPDX-License-Identifier: BSD-3-Clause
/* The control queue: what is taken, what is refused, and that nothing goes unanswered. */
#include <string.h>

#include "support.h"

#define CTRL_FEATURES                                                                              \
	(BASE_FEATURES | BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_CTRL_RX) |                   \
	 BIT(VIRTIO_NET_F_CTRL_RX_EXTRA) | BIT(VIRTIO_NET_F_CTRL_VLAN) |                           \
	 BIT(VIRTIO_NET_F_CTRL_MAC_ADDR) | BIT(VIRTIO_NET_F_MAC))
#define OFFLOADS                                                                                   \
	(BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) | BIT(VIRTIO_NET_F_CSUM) |                          \
	 BIT(VIRTIO_NET_F_GUEST_CSUM))

static const uint8_t own_mac[6] = {0x52, 0x54, 0, 1, 2, 3}; /* frame_make()'s destination */

static void start(struct rig *rig, uint64_t more, uint16_t max_vqp)
{
	struct vdpa_dev_config config = rig_config();

	config.max_vqp = max_vqp;
	rig_make(rig, &config);
	rig_start(rig, CTRL_FEATURES | more, 2 * max_vqp + 1, 16);
}

static void expect(struct rig *rig, uint16_t q, uint8_t class, uint8_t cmd, const void *data,
		   size_t len, uint8_t answer)
{
	uint8_t got = rig_ctrl(rig, q, class, cmd, data, len);

	if (got != answer)
		fail_msg("class %u command %u with %zu bytes: %u, not %u", class, cmd, len, got,
			 answer);
}

/* Does the loopback deliver a frame to @mac (with a VLAN tag @vid if it is not 0)? */
static bool delivers(struct rig *rig, const uint8_t *mac, uint16_t vid)
{
	uint8_t frame[HDR + 64], buf[256];
	uint64_t before = rig_counter(rig, 0, "rx packets");
	uint32_t n;

	frame_make(frame, sizeof(frame), 1);
	memcpy(frame + HDR, mac, 6);
	if (vid) {
		const uint8_t tag[4] = {0x81, 0, (uint8_t)(vid >> 8), (uint8_t)vid};

		memcpy(frame + HDR + 12, tag, 4);
	}
	rig_add(rig, 0, buf, sizeof(buf), true);
	rig_publish(rig, 0);
	rig_send(rig, 1, frame, sizeof(frame));
	if (rig_counter(rig, 0, "rx packets") == before) {
		/* Use the buffer up, so that the next frame finds its own. */
		const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

		memcpy(frame + HDR, all, 6);
		memset(frame + HDR + 12, 0, 2);
		rig_send(rig, 1, frame, sizeof(frame));
		assert_ptr_equal(rig_get(rig, 0, &n), buf);
		return false;
	}
	assert_ptr_equal(rig_get(rig, 0, &n), buf);
	return true;
}

static void ctrl_mac_set_changes_config_and_filter(void **state)
{
	const uint8_t mac[6] = {2, 1, 1, 1, 1, 1}, off = 0;
	uint8_t got[6];
	struct rig rig;

	(void)state;
	start(&rig, 0, 1);
	expect(&rig, 2, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &off, 1, VIRTIO_NET_OK);
	expect(&rig, 2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 6, VIRTIO_NET_OK);
	rig_do(&rig, get_config, 0, got, sizeof(got));
	assert_memory_equal(got, mac, 6);
	assert_true(delivers(&rig, mac, 0));
	assert_false(delivers(&rig, own_mac, 0));
	rig_destroy(&rig);
}

static void ctrl_rx_modes_each_filters(void **state)
{
	const uint8_t mac[6] = {2, 1, 1, 1, 1, 1}, other[6] = {2, 9, 9, 9, 9, 9},
		      multi[6] = {1, 0, 0x5e, 0, 0, 1};
	const uint8_t on = 1, off = 0;
	struct rig rig;

	(void)state;
	start(&rig, 0, 1);
	expect(&rig, 2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 6, VIRTIO_NET_OK);
	assert_true(delivers(&rig, other, 0)); /* promiscuous until told otherwise */
	expect(&rig, 2, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &off, 1, VIRTIO_NET_OK);
	assert_false(delivers(&rig, other, 0));
	assert_false(delivers(&rig, multi, 0));
	expect(&rig, 2, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, &on, 1, VIRTIO_NET_OK);
	assert_true(delivers(&rig, multi, 0));
	expect(&rig, 2, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_NOMULTI, &on, 1, VIRTIO_NET_OK);
	assert_false(delivers(&rig, multi, 0));
	expect(&rig, 2, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLUNI, &on, 1, VIRTIO_NET_OK);
	assert_true(delivers(&rig, other, 0));
	expect(&rig, 2, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_NOUNI, &on, 1, VIRTIO_NET_OK);
	assert_false(delivers(&rig, mac, 0));
	rig_reset(&rig);
	rig_destroy(&rig);
}

static void ctrl_mac_table_selects_and_overflows(void **state)
{
	const uint8_t mac[6] = {2, 1, 1, 1, 1, 1}, uni[6] = {2, 9, 9, 9, 9, 9},
		      multi[6] = {1, 0, 0x5e, 0, 0, 1}, off = 0;
	uint8_t table[4 + 6 + 4 + 6] = {1}, big[4 + 4 + 100 * 6] = {0};
	struct rig rig;

	(void)state;
	memcpy(table + 4, uni, 6);
	table[10] = 1;
	memcpy(table + 14, multi, 6);
	start(&rig, 0, 1);
	expect(&rig, 2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 6, VIRTIO_NET_OK);
	expect(&rig, 2, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &off, 1, VIRTIO_NET_OK);
	assert_false(delivers(&rig, uni, 0));
	expect(&rig, 2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table, sizeof(table),
	       VIRTIO_NET_OK);
	assert_true(delivers(&rig, uni, 0));
	assert_true(delivers(&rig, multi, 0));
	big[4] = 100; /* no unicast, 100 multicast: more than are kept */
	expect(&rig, 2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, big, sizeof(big),
	       VIRTIO_NET_OK);
	assert_false(delivers(&rig, uni, 0));
	assert_true(delivers(&rig, multi, 0));
	table[0] = 2; /* counts more than there is */
	expect(&rig, 2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table, sizeof(table),
	       VIRTIO_NET_ERR);
	memset(table, 0xff, 4);
	expect(&rig, 2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table, sizeof(table),
	       VIRTIO_NET_ERR);
	rig_destroy(&rig);
}

static void ctrl_vlan_filters_tags(void **state)
{
	const uint8_t off = 0, id[2] = {0x23, 0x01}, bad[2] = {0, 0x10};
	struct rig rig;

	(void)state;
	start(&rig, 0, 1);
	expect(&rig, 2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, own_mac, 6,
	       VIRTIO_NET_OK);
	expect(&rig, 2, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &off, 1, VIRTIO_NET_OK);
	assert_false(delivers(&rig, own_mac, 0x123));
	expect(&rig, 2, VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, id, 2, VIRTIO_NET_OK);
	assert_true(delivers(&rig, own_mac, 0x123));
	assert_false(delivers(&rig, own_mac, 0x124));
	expect(&rig, 2, VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_DEL, id, 2, VIRTIO_NET_OK);
	assert_false(delivers(&rig, own_mac, 0x123));
	expect(&rig, 2, VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, bad, 2, VIRTIO_NET_ERR);
	rig_destroy(&rig);
}

static void ctrl_pairs_in_range_only(void **state)
{
	const struct {
		uint8_t le[2], answer;
	} cases[] = {
		{{1, 0}, VIRTIO_NET_OK},  {{2, 0}, VIRTIO_NET_OK},  {{0, 0}, VIRTIO_NET_ERR},
		{{3, 0}, VIRTIO_NET_ERR}, {{0, 1}, VIRTIO_NET_ERR},
	};
	struct rig rig;

	(void)state;
	start(&rig, BIT(VIRTIO_NET_F_MQ), 2);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect(&rig, 4, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, cases[i].le, 2,
		       cases[i].answer);
	rig_destroy(&rig);
}

static void ctrl_without_mq_queue_2_is_control(void **state)
{
	const uint8_t one[2] = {1, 0}, on = 1;
	struct rig rig;

	(void)state;
	start(&rig, 0, 2); /* two pairs on offer, MQ not taken */
	assert_int_equal(rig_op(&rig, get_vq_group, 2), 1);
	assert_int_equal(rig_op(&rig, get_vq_group, 4), 0);
	expect(&rig, 2, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &on, 1, VIRTIO_NET_OK);
	expect(&rig, 2, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, one, 2,
	       VIRTIO_NET_ERR);
	rig_destroy(&rig);
}

static void ctrl_guest_offloads_subset_of_negotiated(void **state)
{
	uint64_t csum = BIT(VIRTIO_NET_F_GUEST_CSUM), none = 0, tso = BIT(VIRTIO_NET_F_GUEST_TSO4);
	struct rig rig;

	(void)state;
	start(&rig, OFFLOADS, 1);
	expect(&rig, 2, VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &none, 8, VIRTIO_NET_OK);
	expect(&rig, 2, VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &csum, 8, VIRTIO_NET_OK);
	expect(&rig, 2, VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &tso, 8, VIRTIO_NET_ERR);
	expect(&rig, 2, VIRTIO_NET_CTRL_GUEST_OFFLOADS, 1, &csum, 8, VIRTIO_NET_ERR);
	rig_destroy(&rig);
}

static void ctrl_malformed_commands_get_errors_and_never_stall(void **state)
{
	uint8_t junk[4096] = {0}, buf[2] = {VIRTIO_NET_CTRL_MAC, 1};
	struct rig rig;
	uint32_t n;

	(void)state;
	start(&rig, 0, 1);
	for (unsigned int class = 0; class < 256; class += 5)
		expect(&rig, 2, (uint8_t) class, 77, junk, class, VIRTIO_NET_ERR);
	expect(&rig, 2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, junk, 5, VIRTIO_NET_ERR);
	expect(&rig, 2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, junk, sizeof(junk),
	       VIRTIO_NET_ERR);
	expect(&rig, 2, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, junk, 0, VIRTIO_NET_ERR);
	/* no room for an answer; one byte only */
	rig_send(&rig, 2, buf, 2);
	rig_send(&rig, 2, buf, 1);
	rig_add(&rig, 2, buf, 2, true);
	rig_publish(&rig, 2);
	assert_ptr_equal(rig_get(&rig, 2, &n), buf);
	assert_int_equal(n, 1);
	assert_int_equal(buf[0], VIRTIO_NET_ERR);
	assert_int_equal(rig_counter(&rig, 2, "cvq requests"), rig_counter(&rig, 2, "cvq errors"));
	assert_int_equal(rig_op(&rig, get_status), 0xf);
	rig_destroy(&rig);
}

static struct vdpa_dev_config strict_config(void)
{
	struct vdpa_dev_config config = rig_config();

	config.profile = PROFILE_LINUX_6_12;
	config.compat_reset = true;
	config.max_iotlb_entries = 2048;
	return config;
}

/* [7-10]: the last answer lasts over one pass. */
static void strict_two_commands_one_kick_keep_status(void **state)
{
	struct vdpa_dev_config config = strict_config();
	uint8_t good[8] = {VIRTIO_NET_CTRL_MAC, 0x01, 2, 0, 0, 0, 0, 1}, bad[2] = {9, 9},
		acks[2] = {0x55, 0x55};
	struct ring_driver_seg segs[2];
	struct rig rig;
	uint32_t n;

	(void)state;
	rig_make(&rig, &config);
	rig_start(&rig, BASE_FEATURES | BIT(VIRTIO_NET_F_CTRL_VQ), 3, 16);
	for (int i = 0; i < 2; i++) {
		segs[0] = (struct ring_driver_seg){rig_iova(&rig, i ? bad : good), i ? 2 : 8};
		segs[1] = (struct ring_driver_seg){rig_iova(&rig, &acks[i]), 1};
		assert_int_equal(ring_driver_add(rig.vq[2].drv, segs, 1, 1, &acks[i], NULL, 0), 0);
	}
	rig_publish(&rig, 2);
	assert_ptr_equal(rig_get(&rig, 2, &n), &acks[0]);
	assert_ptr_equal(rig_get(&rig, 2, &n), &acks[1]);
	assert_int_equal(acks[0], VIRTIO_NET_OK);
	assert_int_equal(acks[1], VIRTIO_NET_OK);
	rig_destroy(&rig);
}

static void strict_features_config_and_groups(void **state)
{
	struct vdpa_dev_config config = strict_config();
	struct virtio_net_config c;
	struct rig rig;

	(void)state;
	rig_make(&rig, &config);
	assert_int_equal(rig_op(&rig, get_device_features), 0x308830028ULL);
	assert_int_equal(rig_op(&rig, get_config_size), 24);
	assert_int_equal(rig.dev->ngroups, 2);
	assert_int_equal(rig.dev->nas, 2);
	assert_int_equal(rig_op(&rig, get_vq_group, 1), 0);
	assert_int_equal(rig_op(&rig, get_vq_group, 2), 1);
	assert_null(rig.ops->get_vq_desc_group);
	assert_null(rig.ops->get_vq_size);
	assert_non_null(rig.ops->compat_reset);
	assert_int_equal(rig_op(&rig, get_vq_num_max), 256);
	rig_do(&rig, get_config, 0, &c, sizeof(c));
	assert_int_equal(c.mtu, 1500);
	assert_int_equal(c.status, 1);
	assert_int_equal(rig_op(&rig, set_driver_features, BIT(VIRTIO_F_VERSION_1)), -22);
	rig_destroy(&rig);
}

/* [7-10]: own, broadcast and multicast addresses only; a missing buffer ends the pass, but not the
 * frame. */
static void strict_filter_and_overrun(void **state)
{
	struct vdpa_dev_config config = strict_config();
	uint8_t frame[HDR + 64], second[HDR + 64], buf[256];
	struct rig rig;
	uint32_t n;

	(void)state;
	config.given |= VDPA_KEY_MAC;
	memcpy(config.mac, own_mac, 6);
	rig_make(&rig, &config);
	rig_start(&rig, BASE_FEATURES, 2, 16);
	frame_make(frame, sizeof(frame), 1);
	frame_make(second, sizeof(second), 2);
	rig_send(&rig, 1, frame, sizeof(frame));
	assert_int_equal(rig_counter(&rig, 0, "rx overruns"), 1);
	rig_add(&rig, 0, buf, sizeof(buf), true);
	(void)ring_driver_publish(rig.vq[0].drv);
	frame[HDR] = 2; /* somebody else's */
	rig_send(&rig, 1, frame, sizeof(frame));
	assert_int_equal(rig_counter(&rig, 0, "rx drops"), 1);
	rig_send(&rig, 1, second, sizeof(second));
	assert_ptr_equal(rig_get(&rig, 0, &n), buf);
	assert_int_equal(n, sizeof(second));
	assert_memory_equal(buf, second, sizeof(second));
	rig_destroy(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ctrl_mac_set_changes_config_and_filter),
		cmocka_unit_test(ctrl_rx_modes_each_filters),
		cmocka_unit_test(ctrl_mac_table_selects_and_overflows),
		cmocka_unit_test(ctrl_vlan_filters_tags),
		cmocka_unit_test(ctrl_pairs_in_range_only),
		cmocka_unit_test(ctrl_without_mq_queue_2_is_control),
		cmocka_unit_test(ctrl_guest_offloads_subset_of_negotiated),
		cmocka_unit_test(ctrl_malformed_commands_get_errors_and_never_stall),
		cmocka_unit_test(strict_two_commands_one_kick_keep_status),
		cmocka_unit_test(strict_features_config_and_groups),
		cmocka_unit_test(strict_filter_and_overrun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
