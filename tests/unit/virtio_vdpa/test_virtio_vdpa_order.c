// SPDX-License-Identifier: BSD-3-Clause
/* What virtio_vdpa tells a parent, and when ([8-1], [8-2]); and what it makes of parents that say
 * odd things. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "../vhost_vdpa/recorder.h"
#include "base/clock.h"
#include "base/refuse.h"
#include "freed.h"
#include "vdpa/mgmt.h"
#include "vhost_vdpa/vhost_vdpa.h"
#include "virtio_vdpa/virtio_vdpa.h"

#define BIT(n) (1ULL << (n))
#define MODERN (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_ACCESS_PLATFORM))

struct fixture {
	struct memory_space *space;
	struct vdpa_bus *bus;
	struct recorder *rec;
	struct virtio_vdpa *v;
};

/* ---- memory that runs out ---- */

void *__real_aligned_alloc(size_t align, size_t len);
void *__wrap_aligned_alloc(size_t align, size_t len);
static size_t alloc_max;

void *__wrap_aligned_alloc(size_t align, size_t len)
{
	return alloc_max && len > alloc_max ? NULL : __real_aligned_alloc(align, len);
}

/* ---- the fixture ---- */

static void start_bus(struct fixture *f)
{
	*f = (struct fixture){0};
	assert_int_equal(memory_space_create_own(&f->space), 0);
	assert_int_equal(vdpa_bus_create(f->space, &f->bus), 0);
}

static void add_device(struct fixture *f, const struct recorder_options *opt)
{
	assert_int_equal(recorder_make(f->bus, opt, &f->rec), 0);
}

static void go_live(struct fixture *f)
{
	assert_int_equal(vdpa_driver_register(f->bus, &virtio_vdpa_driver), 0);
	assert_int_equal(vdpa_device_register(&f->rec->dev), 0);
}

static void fixture_start(struct fixture *f, const struct recorder_options *opt)
{
	start_bus(f);
	add_device(f, opt);
	go_live(f);
	recorder_clear(f->rec);
	assert_int_equal(virtio_vdpa_open(&f->rec->dev, &f->v), 0);
	recorder_clear(f->rec);
}

static void fixture_stop(struct fixture *f)
{
	(void)!virtio_vdpa_close(f->v);
	vdpa_bus_destroy(f->bus);
	memory_space_put(f->space);
}

static int negotiate(struct fixture *f)
{
	int ret = virtio_vdpa_negotiate(f->v, 0, 0);

	recorder_clear(f->rec);
	return ret;
}

static void reads_addresses(struct fixture *f, const char *fmt, uint16_t idx)
{
	const struct recorder_vq *vq = &f->rec->vqs[idx];
	char expected[512];

	snprintf(expected, sizeof(expected), fmt, vq->desc, vq->driver, vq->device);
	recorder_reads(f->rec, expected);
}

/* ---- order ---- */

/* [8-2]: from binding to unbinding, and no reset with flags, whatever the parent has */
static void whole_life_is_told_in_order(void **state)
{
	struct recorder_options opt = {.compat_reset = true, .features = MODERN};
	struct virtio_vdpa_vq *vq;
	struct fixture f;

	start_bus(&f);
	add_device(&f, &opt);
	go_live(&f);
	assert_ptr_equal(f.rec->dev.driver, &virtio_vdpa_driver);
	recorder_reads(f.rec, "reset()\nset_status(0x1)\n");
	assert_int_equal(virtio_vdpa_open(&f.rec->dev, &f.v), 0);
	recorder_reads(f.rec, "set_status(0x3)\n");
	assert_int_equal(virtio_vdpa_negotiate(f.v, 0, 0), 0);
	recorder_reads(f.rec,
		       "set_status(0x3)\nset_driver_features(0x300000000)\nset_status(0xb)\n");
	assert_int_equal(virtio_vdpa_features(f.v), MODERN);
	assert_int_equal(virtio_vdpa_setup_vq(f.v, 1, 0, &vq), 0);
	reads_addresses(&f,
			"set_vq_cb(1, fn)\nset_vq_num(1, 256)\n"
			"set_vq_address(1, 0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64 ")\n"
			"set_vq_state(1, 0x0, 0x0)\nset_vq_ready(1, 1)\n",
			1);
	assert_int_equal(virtio_vdpa_driver_ok(f.v), 0);
	recorder_reads(f.rec, "set_config_cb(fn)\nset_status(0xf)\n");
	(void)!virtio_vdpa_close(f.v);
	f.v = NULL;
	recorder_reads(f.rec, "reset()\nset_config_cb(none)\nset_vq_ready(1, 0)\n"
			      "set_vq_cb(1, none)\nset_status(0x1)\n");
	assert_int_equal(vdpa_unbind(&f.rec->dev), 0);
	recorder_reads(f.rec, "");
	fixture_stop(&f);
}

/* [8-2]: a packed ring starts with wrap counters 1 */
static void packed_ring_starts_with_wrap_counters_set(void **state)
{
	struct virtio_vdpa_vq *vq;
	struct fixture f;

	fixture_start(&f, &(struct recorder_options){0});
	assert_int_equal(negotiate(&f), 0);
	assert_true(virtio_vdpa_has(f.v, VIRTIO_F_RING_PACKED));
	assert_int_equal(virtio_vdpa_setup_vq(f.v, 0, 0, &vq), 0);
	assert_int_equal(f.rec->vqs[0].state.last_avail, 0x8000);
	assert_int_equal(f.rec->vqs[0].state.last_used, 0x8000);
	fixture_stop(&f);
}

/* [8-2]: a reset in the middle is the same reset, and the device can be set up again */
static void reset_forgets_queues_and_starts_again(void **state)
{
	struct virtio_vdpa_vq *vq;
	struct fixture f;

	fixture_start(&f, &(struct recorder_options){.compat_reset = true});
	assert_int_equal(negotiate(&f), 0);
	assert_int_equal(virtio_vdpa_setup_vq(f.v, 0, 0, &vq), 0);
	recorder_clear(f.rec);
	assert_int_equal(virtio_vdpa_reset(f.v), 0);
	recorder_reads(f.rec, "reset()\nset_config_cb(none)\nset_vq_ready(0, 0)\n"
			      "set_vq_cb(0, none)\n");
	assert_int_equal(virtio_vdpa_features(f.v), 0);
	assert_int_equal(virtio_vdpa_negotiate(f.v, 0, 0), 0);
	assert_int_equal(virtio_vdpa_status(f.v), 0xb);
	assert_int_equal(virtio_vdpa_setup_vq(f.v, 0, 0, &vq), 0);
	recorder_fail(f.rec, "reset", 1, -EIO);
	assert_int_equal(virtio_vdpa_reset(f.v), -EIO);
	fixture_stop(&f);
}

/* ---- set-up that is refused ---- */

static void missing_or_used_queues_are_enoent(void **state)
{
	struct virtio_vdpa_vq *vq;
	struct fixture f;

	fixture_start(&f, &(struct recorder_options){0});
	assert_int_equal(negotiate(&f), 0);
	assert_int_equal(virtio_vdpa_setup_vq(f.v, RECORDER_NVQS, 0, &vq), -ENOENT);
	assert_non_null(strstr(refuse_reason(), "no virtqueue 3"));
	assert_int_equal(virtio_vdpa_setup_vq(f.v, 0, 0, &vq), 0);
	assert_int_equal(virtio_vdpa_setup_vq(f.v, 0, 0, &vq), -ENOENT);
	f.rec->vqs[1].ready = true; /* not by us */
	recorder_clear(f.rec);
	assert_int_equal(virtio_vdpa_setup_vq(f.v, 1, 0, &vq), -ENOENT);
	recorder_reads(f.rec, "");
	fixture_stop(&f);
}

static uint16_t num_answer;

static uint16_t answer_num_max(struct vdpa_device *dev)
{
	return num_answer;
}

static uint16_t answer_size(struct vdpa_device *dev, uint16_t idx)
{
	return (uint16_t)(64 << idx);
}

/* [8-2]: get_vq_size before get_vq_num_max; 0 is no queue; a size is cut to a power of two */
static void size_comes_from_the_parent(void **state)
{
	struct virtio_vdpa_vq *vq;
	struct fixture f;

	fixture_start(&f, &(struct recorder_options){0});
	assert_int_equal(negotiate(&f), 0);
	f.rec->ops.get_vq_num_max = answer_num_max;
	num_answer = 0;
	assert_int_equal(virtio_vdpa_setup_vq(f.v, 0, 0, &vq), -ENOENT);
	num_answer = 100;
	assert_int_equal(virtio_vdpa_setup_vq(f.v, 0, 0, &vq), 0);
	assert_int_equal(virtio_vdpa_vq_num(vq), 64);
	num_answer = 65535;
	assert_int_equal(virtio_vdpa_setup_vq(f.v, 1, 0, &vq), 0);
	assert_int_equal(virtio_vdpa_vq_num(vq), 32768);
	assert_int_equal(f.rec->vqs[1].num, 32768);
	assert_int_equal(virtio_vdpa_reset(f.v), 0);
	f.rec->ops.get_vq_size = answer_size;
	assert_int_equal(negotiate(&f), 0);
	assert_int_equal(virtio_vdpa_setup_vq(f.v, 2, 0, &vq), 0);
	assert_int_equal(virtio_vdpa_vq_num(vq), 256);
	assert_int_equal(virtio_vdpa_setup_vq(f.v, 0, 16, &vq), 0);
	assert_int_equal(virtio_vdpa_vq_num(vq), 16);
	fixture_stop(&f);
}

/* [8-2]: the ring may shrink on allocation failure */
static void ring_shrinks_until_there_is_memory(void **state)
{
	struct virtio_vdpa_vq *vq;
	struct fixture f;

	fixture_start(&f, &(struct recorder_options){.features = MODERN});
	assert_int_equal(negotiate(&f), 0);
	f.rec->ops.get_vq_num_max = answer_num_max;
	num_answer = 4096;
	alloc_max = 5 * 4096;
	assert_int_equal(virtio_vdpa_setup_vq(f.v, 0, 0, &vq), 0);
	assert_int_equal(virtio_vdpa_vq_num(vq),
			 512); /* 2 pages, 1028 bytes, 4102 bytes: 5 pages */
	assert_int_equal(f.rec->vqs[0].num, 512);
	alloc_max = 1;
	recorder_clear(f.rec);
	assert_int_equal(virtio_vdpa_setup_vq(f.v, 1, 0, &vq), -ENOMEM);
	recorder_reads(f.rec, "");
	alloc_max = 0;
	fixture_stop(&f);
}

/* [8-2]: EINVAL for an address, the parent's own error for a position; nothing is left behind */
static void refused_queue_is_not_ready(void **state)
{
	struct virtio_vdpa_vq *vq;
	struct fixture f;

	fixture_start(&f, &(struct recorder_options){0});
	assert_int_equal(negotiate(&f), 0);
	recorder_fail(f.rec, "set_vq_address", 1, -EIO);
	assert_int_equal(virtio_vdpa_setup_vq(f.v, 0, 0, &vq), -EINVAL);
	assert_false(f.rec->vqs[0].ready);
	assert_null(f.rec->vqs[0].cb.fn);
	recorder_fail(f.rec, "set_vq_state", 1, -EBUSY);
	assert_int_equal(virtio_vdpa_setup_vq(f.v, 0, 0, &vq), -EBUSY);
	assert_false(f.rec->vqs[0].ready);
	assert_int_equal(virtio_vdpa_setup_vq(f.v, 0, 0, &vq), 0);
	assert_true(f.rec->vqs[0].ready);
	fixture_stop(&f);
}

static void features_that_are_needed_are_checked(void **state)
{
	struct fixture f;

	fixture_start(&f, &(struct recorder_options){.features = MODERN | BIT(5)});
	assert_int_equal(virtio_vdpa_negotiate(f.v, BIT(5) | BIT(6), 0), 0);
	assert_int_equal(virtio_vdpa_features(f.v), MODERN | BIT(5));
	assert_int_equal(virtio_vdpa_reset(f.v), 0);
	assert_int_equal(virtio_vdpa_negotiate(f.v, 0, BIT(6)), -EOPNOTSUPP);
	assert_true(virtio_vdpa_status(f.v) & VIRTIO_CONFIG_S_FAILED);
	assert_non_null(strstr(refuse_reason(), "not 0x40"));
	fixture_stop(&f);
	fixture_start(&f, &(struct recorder_options){.features = BIT(VIRTIO_F_ACCESS_PLATFORM)});
	assert_int_equal(virtio_vdpa_negotiate(f.v, 0, 0), -EOPNOTSUPP); /* no VERSION_1 */
	fixture_stop(&f);
	fixture_start(&f, &(struct recorder_options){.features = BIT(VIRTIO_F_VERSION_1)});
	assert_int_equal(virtio_vdpa_negotiate(f.v, 0, 0), -EIO); /* the parent's own errno */
	assert_int_equal(virtio_vdpa_features(f.v), 0);
	fixture_stop(&f);
}

/* As mlx5 says it where the card has no room for its queues. */
static void failed_start(struct vdpa_device *dev, uint8_t status)
{
	if (status & VIRTIO_CONFIG_S_DRIVER_OK)
		status |= VIRTIO_CONFIG_S_FAILED;
	container_of(dev, struct recorder, dev)->status = status;
}

static void device_that_does_not_start_says_so(void **state)
{
	struct fixture f;

	fixture_start(&f, &(struct recorder_options){0});
	assert_int_equal(negotiate(&f), 0);
	f.rec->ops.set_status = failed_start;
	assert_int_equal(virtio_vdpa_driver_ok(f.v), -EIO);
	assert_non_null(strstr(refuse_reason(), "0x8f"));
	fixture_stop(&f);
}

/* ---- binding, [8-1] ---- */

static uint32_t no_device_id(struct vdpa_device *dev)
{
	return 0;
}

static void device_with_id_zero_is_refused(void **state)
{
	struct fixture f;

	start_bus(&f);
	add_device(&f, &(struct recorder_options){0});
	f.rec->ops.get_device_id = no_device_id;
	go_live(&f);
	assert_null(f.rec->dev.driver);
	recorder_reads(f.rec, "");
	assert_int_equal(vdpa_bind(&f.rec->dev, "virtio_vdpa"), -EINVAL);
	assert_int_equal(virtio_vdpa_open(&f.rec->dev, &f.v), -ENODEV);
	f.v = NULL;
	fixture_stop(&f);
}

static void devices_move_between_the_drivers(void **state)
{
	struct vhost_vdpa *s;
	struct fixture f;

	start_bus(&f);
	add_device(&f, &(struct recorder_options){0});
	assert_int_equal(vdpa_driver_register(f.bus, &vhost_vdpa_driver), 0);
	go_live(&f);
	assert_ptr_equal(f.rec->dev.driver, &vhost_vdpa_driver); /* the first wins */
	assert_int_equal(virtio_vdpa_open(&f.rec->dev, &f.v), -ENODEV);
	assert_int_equal(vdpa_bind(&f.rec->dev, "virtio_vdpa"), -EBUSY);
	assert_int_equal(vdpa_unbind(&f.rec->dev), 0);
	assert_int_equal(vdpa_set_driver_override(&f.rec->dev, "virtio_vdpa"), 0);
	assert_int_equal(vdpa_bind(&f.rec->dev, "vhost_vdpa"), -ENODEV);
	assert_int_equal(vdpa_bind(&f.rec->dev, "virtio_vdpa"), 0);
	assert_int_equal(vhost_vdpa_open(&f.rec->dev, &s), -ENODEV);
	assert_int_equal(virtio_vdpa_open(&f.rec->dev, &f.v), 0);
	fixture_stop(&f);
}

static void override_decides_before_the_order_of_drivers(void **state)
{
	struct recorder *other;
	struct fixture f;

	start_bus(&f);
	add_device(&f, &(struct recorder_options){0});
	other = f.rec;
	add_device(&f, &(struct recorder_options){.name = "other"});
	assert_int_equal(vdpa_set_driver_override(&other->dev, "virtio_vdpa"), 0);
	assert_int_equal(vdpa_driver_register(f.bus, &vhost_vdpa_driver), 0);
	assert_int_equal(vdpa_device_register(&other->dev), 0);
	assert_null(other->dev.driver);
	go_live(&f);
	assert_ptr_equal(other->dev.driver, &virtio_vdpa_driver);
	assert_ptr_equal(f.rec->dev.driver, &vhost_vdpa_driver);
	fixture_stop(&f);
}

static void device_in_use_is_not_unbound_but_by_force(void **state)
{
	struct virtio_vdpa *second;
	struct virtio_vdpa_vq *vq;
	uint8_t byte;
	void *cookie;
	uint32_t len;
	struct fixture f;

	fixture_start(&f, &(struct recorder_options){0});
	assert_int_equal(virtio_vdpa_open(&f.rec->dev, &second), -EBUSY);
	assert_int_equal(negotiate(&f), 0);
	assert_int_equal(virtio_vdpa_setup_vq(f.v, 0, 0, &vq), 0);
	assert_int_equal(virtio_vdpa_driver_ok(f.v), 0);
	recorder_clear(f.rec);
	assert_int_equal(vdpa_unbind(&f.rec->dev), -EBUSY);
	recorder_reads(f.rec, "");
	assert_int_equal(vdpa_unbind_force(&f.rec->dev), 0);
	recorder_reads(f.rec, "reset()\nset_config_cb(none)\nset_vq_ready(0, 0)\n"
			      "set_vq_cb(0, none)\n");
	assert_int_equal(virtio_vdpa_vq_wait(vq, clock_now_ns(), &cookie, &len), -ENODEV);
	virtio_vdpa_vq_kick(vq);
	assert_int_equal(virtio_vdpa_read_config(f.v, 0, &byte, 1), -ENODEV);
	assert_int_equal(virtio_vdpa_write_config(f.v, 0, &byte, 1), -ENODEV);
	assert_int_equal(virtio_vdpa_negotiate(f.v, 0, 0), -ENODEV);
	assert_int_equal(virtio_vdpa_driver_ok(f.v), -ENODEV);
	assert_int_equal(virtio_vdpa_setup_vq(f.v, 1, 0, &vq), -ENODEV);
	assert_int_equal(virtio_vdpa_reset(f.v), -ENODEV);
	assert_int_equal(virtio_vdpa_status(f.v), 0);
	assert_int_equal(vdpa_bind(&f.rec->dev, "virtio_vdpa"), 0);
	assert_int_equal(virtio_vdpa_open(&f.rec->dev, &second), 0);
	recorder_clear(f.rec);
	(void)!virtio_vdpa_close(f.v); /* the old user's, which says nothing */
	recorder_reads(f.rec, "");
	f.v = second;
	fixture_stop(&f);
}

static unsigned int nr_claims, nr_yields;

static int count_claim(struct vdpa_device *dev)
{
	nr_claims++;
	return 0;
}

static void count_yield(struct vdpa_device *dev)
{
	nr_yields++;
}

/* Other processes may have what lies behind a device that nobody here uses. */
static void device_taken_away_yields_what_lies_behind_it_once(void **state)
{
	static const struct vdpa_mgmt_dev mgmt = {.dev_claim = count_claim,
						  .dev_yield = count_yield};
	struct fixture f;

	nr_claims = nr_yields = 0;
	start_bus(&f);
	add_device(&f, &(struct recorder_options){0});
	f.rec->dev.mgmt = &mgmt;
	go_live(&f);
	assert_int_equal(virtio_vdpa_open(&f.rec->dev, &f.v), 0);
	assert_int_equal(nr_claims, 1);
	assert_int_equal(nr_yields, 0);
	assert_int_equal(vdpa_unbind_force(&f.rec->dev), 0);
	assert_int_equal(nr_yields, 1);
	(void)!virtio_vdpa_close(f.v);
	f.v = NULL;
	assert_int_equal(nr_yields, 1);
	fixture_stop(&f);
}

/* Guarantee 1: whoever opens a device finds it reset. */
static void device_whose_last_reset_failed_is_reset_before_it_is_used_again(void **state)
{
	struct virtio_vdpa_vq *vq;
	struct fixture f;

	fixture_start(&f, &(struct recorder_options){0});
	assert_int_equal(negotiate(&f), 0);
	assert_int_equal(virtio_vdpa_setup_vq(f.v, 0, 0, &vq), 0);
	assert_int_equal(virtio_vdpa_driver_ok(f.v), 0);
	recorder_fail_for(f.rec, "reset", 1, -EIO, 2);
	(void)!virtio_vdpa_close(f.v);
	f.v = NULL;
	assert_int_equal(virtio_vdpa_open(&f.rec->dev, &f.v), -EIO);
	f.v = NULL;
	recorder_clear(f.rec);
	assert_int_equal(virtio_vdpa_open(&f.rec->dev, &f.v), 0);
	recorder_reads(f.rec, "reset()\nset_status(0x1)\nset_status(0x3)\n");
	fixture_stop(&f);
}

/* The device may still use a ring if its reset failed. */
static void ring_of_a_device_that_was_not_reset_is_kept(void **state)
{
	for (int how = 0; how < 3; how++) {
		struct virtio_vdpa_vq *vq;
		struct fixture f;

		fixture_start(&f, &(struct recorder_options){0});
		assert_int_equal(negotiate(&f), 0);
		assert_int_equal(virtio_vdpa_setup_vq(f.v, 0, 0, &vq), 0);
		assert_int_equal(virtio_vdpa_driver_ok(f.v), 0);
		freed_watch((const void *)(uintptr_t)f.rec->vqs[0].desc);
		recorder_fail(f.rec, "reset", 1, -EIO);
		if (how == 1)
			assert_int_equal(virtio_vdpa_reset(f.v), -EIO);
		if (how == 2)
			assert_int_equal(vdpa_unbind_force(&f.rec->dev), 0);
		assert_int_equal(virtio_vdpa_close(f.v), how == 1 ? 0 : -EIO);
		f.v = NULL;
		assert_false(freed_was());
		fixture_stop(&f);
	}
}

/* ---- configuration ---- */

static uint32_t generation_step, generation;

static uint32_t answer_generation(struct vdpa_device *dev)
{
	return generation += generation_step;
}

static void config_is_within_bounds_and_of_one_generation(void **state)
{
	uint8_t buf[8] = {0};
	struct fixture f;

	fixture_start(&f, &(struct recorder_options){0});
	assert_int_equal(negotiate(&f), 0);
	memcpy(f.rec->config, "abcdefgh", 8);
	assert_int_equal(virtio_vdpa_config_size(f.v), 8);
	assert_int_equal(virtio_vdpa_read_config(f.v, 6, buf, 2), 0);
	assert_memory_equal(buf, "gh", 2);
	assert_int_equal(virtio_vdpa_read_config(f.v, 7, buf, 2), -EINVAL);
	assert_int_equal(virtio_vdpa_read_config(f.v, 9, buf, 0), -EINVAL);
	assert_int_equal(virtio_vdpa_read_config(f.v, SIZE_MAX, buf, 2), -EINVAL);
	assert_int_equal(virtio_vdpa_write_config(f.v, 0, "XY", 2), 0);
	assert_int_equal(virtio_vdpa_write_config(f.v, 7, "XY", 2), -EINVAL);
	assert_memory_equal(f.rec->config, "XYcdefgh", 8);
	f.rec->ops.get_generation = answer_generation;
	generation_step = 0;
	assert_int_equal(virtio_vdpa_read_config(f.v, 0, buf, 8), 0);
	generation_step = 1;
	assert_int_equal(virtio_vdpa_read_config(f.v, 0, buf, 8), -EAGAIN);
	assert_int_equal(virtio_vdpa_driver_ok(f.v), 0);
	assert_false(virtio_vdpa_config_changed(f.v));
	f.rec->config_cb.fn(f.rec->config_cb.arg);
	assert_true(virtio_vdpa_config_changed(f.v));
	assert_false(virtio_vdpa_config_changed(f.v));
	fixture_stop(&f);
}

/* ---- devices that lie ---- */

/* What the device writes when it is kicked. */
static struct {
	uint16_t idx;
	uint32_t id, len;
} lie;

static void lying_kick(struct vdpa_device *dev, uint16_t idx)
{
	struct recorder *rec = container_of(dev, struct recorder, dev);
	struct vring_used *used = (struct vring_used *)(uintptr_t)rec->vqs[idx].device;

	used->ring[0].id = lie.id;
	used->ring[0].len = lie.len;
	__atomic_store_n(&used->idx, lie.idx, __ATOMIC_RELEASE);
	rec->vqs[idx].cb.fn(rec->vqs[idx].cb.arg);
}

static void used_elements_that_make_no_sense_kill_the_queue(void **state)
{
	static const struct {
		uint16_t idx;
		uint32_t id, len;
		int expected;
	} cases[] = {
		{1, 0, 64, 1},         /* what it should be */
		{1, 0, 65, -EPROTO},   /* more than there is room for */
		{1, 1, 64, -EPROTO},   /* not given */
		{1, 256, 64, -EPROTO}, /* out of range */
		{1, UINT32_MAX, 64, -EPROTO},
		{2, 0, 64, 1}, /* true once ... */
	};
	int64_t deadline = clock_now_ns() + 20 * NS_PER_SEC;
	char memory[64];
	struct virtio_vdpa_buf buf = {memory, sizeof(memory)};
	struct virtio_vdpa_vq *vq;
	struct fixture f;
	void *cookie;
	uint32_t len;

	fixture_start(&f, &(struct recorder_options){.features = MODERN});
	f.rec->ops.kick_vq = lying_kick;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(negotiate(&f), 0);
		assert_int_equal(virtio_vdpa_setup_vq(f.v, 0, 0, &vq), 0);
		assert_int_equal(virtio_vdpa_driver_ok(f.v), 0);
		assert_int_equal(virtio_vdpa_vq_add(vq, &buf, 0, 1, memory), 0);
		lie.idx = cases[i].idx;
		lie.id = cases[i].id;
		lie.len = cases[i].len;
		virtio_vdpa_vq_kick(vq);
		assert_int_equal(virtio_vdpa_vq_wait(vq, deadline, &cookie, &len),
				 cases[i].expected);
		if (cases[i].expected == 1)
			assert_ptr_equal(cookie, memory);
		if (i < ARRAY_LEN(cases) - 1)
			assert_int_equal(virtio_vdpa_reset(f.v), 0);
	}
	/* ... and a lie the second time; the queue is dead from then on, and stays so */
	for (int i = 0; i < 3; i++)
		assert_int_equal(virtio_vdpa_vq_wait(vq, deadline, &cookie, &len), -EPROTO);
	assert_int_equal(virtio_vdpa_vq_add(vq, &buf, 0, 1, memory), -EPROTO);
	fixture_stop(&f);
}

static void silent_kick(struct vdpa_device *dev, uint16_t idx)
{
}

static void needs_reset_kick(struct vdpa_device *dev, uint16_t idx)
{
	struct recorder *rec = container_of(dev, struct recorder, dev);

	rec->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	rec->config_cb.fn(rec->config_cb.arg);
}

static void waiting_ends_by_the_deadline_or_a_needed_reset(void **state)
{
	char memory[64];
	struct virtio_vdpa_buf buf = {memory, sizeof(memory)};
	struct virtio_vdpa_vq *vq;
	struct fixture f;
	void *cookie;
	uint32_t len;

	fixture_start(&f, &(struct recorder_options){0});
	f.rec->ops.kick_vq = silent_kick;
	assert_int_equal(negotiate(&f), 0);
	assert_int_equal(virtio_vdpa_setup_vq(f.v, 0, 0, &vq), 0);
	assert_int_equal(virtio_vdpa_driver_ok(f.v), 0);
	assert_int_equal(virtio_vdpa_vq_add(vq, &buf, 0, 1, memory), 0);
	virtio_vdpa_vq_kick(vq);
	assert_int_equal(virtio_vdpa_vq_wait(vq, clock_now_ns() + 1000000, &cookie, &len),
			 -ETIMEDOUT);
	f.rec->ops.kick_vq = needs_reset_kick;
	assert_int_equal(virtio_vdpa_vq_add(vq, &buf, 0, 1, memory), 0);
	virtio_vdpa_vq_kick(vq);
	assert_int_equal(virtio_vdpa_vq_wait(vq, clock_now_ns() + 20 * NS_PER_SEC, &cookie, &len),
			 -EIO);
	assert_int_equal(virtio_vdpa_vq_add(vq, &buf, 0, 0, memory), -EINVAL);
	assert_int_equal(virtio_vdpa_vq_add(vq, &buf, 0, UINT32_MAX, memory), -EINVAL);
	assert_int_equal(virtio_vdpa_vq_add(vq, &buf, 0, 1, NULL), -EINVAL);
	fixture_stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_life_is_told_in_order),
		cmocka_unit_test(packed_ring_starts_with_wrap_counters_set),
		cmocka_unit_test(reset_forgets_queues_and_starts_again),
		cmocka_unit_test(missing_or_used_queues_are_enoent),
		cmocka_unit_test(size_comes_from_the_parent),
		cmocka_unit_test(ring_shrinks_until_there_is_memory),
		cmocka_unit_test(refused_queue_is_not_ready),
		cmocka_unit_test(features_that_are_needed_are_checked),
		cmocka_unit_test(device_that_does_not_start_says_so),
		cmocka_unit_test(device_with_id_zero_is_refused),
		cmocka_unit_test(devices_move_between_the_drivers),
		cmocka_unit_test(override_decides_before_the_order_of_drivers),
		cmocka_unit_test(device_in_use_is_not_unbound_but_by_force),
		cmocka_unit_test(device_taken_away_yields_what_lies_behind_it_once),
		cmocka_unit_test(device_whose_last_reset_failed_is_reset_before_it_is_used_again),
		cmocka_unit_test(ring_of_a_device_that_was_not_reset_is_kept),
		cmocka_unit_test(config_is_within_bounds_and_of_one_generation),
		cmocka_unit_test(used_elements_that_make_no_sense_kill_the_queue),
		cmocka_unit_test(waiting_ends_by_the_deadline_or_a_needed_reset),
	};

	return cmocka_run_group_tests_name("virtio_vdpa-order", tests, NULL, NULL);
}
