// SPDX-License-Identifier: BSD-3-Clause
/* Which features a device offers: by default, with `offer`, and with a mask. */
#include <errno.h>
#include <string.h>

#include "support.h"

#define RINGS    (BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_F_IN_ORDER))
#define INDIRECT BIT(VIRTIO_RING_F_INDIRECT_DESC)
/*
 * What QEMU 10.0 takes into shadow virtqueues of the transport's bits, 28 to 41; it looks at what
 * is offered, not at what its guest has chosen. It insists on VERSION_1 and ACCESS_PLATFORM.
 */
#define TRANSPORT     (BIT(42) - BIT(28))
#define QEMU_10_TAKES (BIT(VIRTIO_RING_F_EVENT_IDX) | BASE_FEATURES)

static uint64_t offered(const struct vdpa_mgmt_dev *mgmt, uint64_t offer)
{
	struct vdpa_dev_config config = rig_config();
	uint64_t features;
	struct rig rig;

	config.offer = offer;
	config.num_queues = 1;
	rig_make_of(&rig, mgmt, &config);
	features = rig_op(&rig, get_device_features);
	rig_destroy(&rig);
	return features;
}

static void net_default_is_what_every_qemu_can_migrate(void **state)
{
	uint64_t features = offered(&simnet_mgmt_dev, 0);

	(void)state;
	assert_true((features & TRANSPORT) == QEMU_10_TAKES);
	assert_true(features & BIT(VIRTIO_NET_F_CTRL_VQ));
}

static void offer_adds_what_it_names(void **state)
{
	uint64_t net = offered(&simnet_mgmt_dev, 0), blk = offered(&simblk_mgmt_dev, 0);

	(void)state;
	assert_true(offered(&simnet_mgmt_dev, INDIRECT) == (net | INDIRECT));
	assert_true(offered(&simnet_mgmt_dev, RINGS | INDIRECT) == (net | RINGS | INDIRECT));
	assert_true((blk & (RINGS | INDIRECT)) == INDIRECT); /* disks do not migrate */
	assert_true(offered(&simblk_mgmt_dev, RINGS) == (blk | RINGS));
}

/* Return: what device_features @mask beside offer @offer gives; 0 if it is refused, with @words */
static uint64_t masked(const struct vdpa_mgmt_dev *mgmt, uint64_t mask, uint64_t offer,
		       const char *words)
{
	struct vdpa_dev_config config = rig_config();
	uint64_t features = 0;
	struct memory_space *space;
	struct vdpa_bus *bus;
	struct vdpa_device *dev;
	int err;

	config.given = VDPA_KEY_FEATURES | (offer ? VDPA_KEY_OFFER : 0);
	config.features = mask;
	config.offer = offer;
	config.num_queues = 1;
	assert_int_equal(memory_space_create_own(&space), 0);
	assert_int_equal(vdpa_bus_create(space, &bus), 0);
	err = mgmt->dev_add(mgmt, bus, &config);
	if (err) {
		assert_int_equal(err, -EINVAL);
		assert_non_null(strstr(refuse_reason(), words));
	} else {
		dev = vdpa_bus_find(bus, config.name);
		features = VDPA_CALL(dev, get_device_features);
		vdpa_device_put(dev);
	}
	vdpa_bus_destroy(bus);
	memory_space_put(space);
	return features;
}

static void mask_says_exactly_what_is_offered(void **state)
{
	static const struct vdpa_mgmt_dev *const mgmts[] = {&simnet_mgmt_dev, &simblk_mgmt_dev};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const struct vdpa_mgmt_dev *m = mgmts[i];
		uint64_t packed = BASE_FEATURES | BIT(VIRTIO_F_RING_PACKED);

		assert_true(masked(m, BASE_FEATURES, 0, "") == BASE_FEATURES);
		assert_true(masked(m, packed, 0, "") == packed);
		assert_true(masked(m, packed, BIT(VIRTIO_F_RING_PACKED), "") == packed);
		assert_true(masked(m, packed, INDIRECT, "0x10000000") == 0);
		assert_true(masked(m, packed | BIT(62), 0, "not among") == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(net_default_is_what_every_qemu_can_migrate),
		cmocka_unit_test(offer_adds_what_it_names),
		cmocka_unit_test(mask_says_exactly_what_is_offered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
