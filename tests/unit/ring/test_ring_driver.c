// SPDX-License-Identifier: BSD-3-Clause
/*
 * The driver side against a device that errs or lies: the test writes the used elements itself. Ids
 * and lengths are checked, batches of in-order devices are understood, nothing is consumed on an
 * error.
 */
#include "support.h"

#include <errno.h>
#include <string.h>

#define NUM 8u

struct fixture {
	struct world w;
	struct lane l;
	bool packed;
	uint16_t used; /* split: next element; packed: next slot, first lap */
};

static void setup(struct fixture *f, const struct lane_opts *opts)
{
	memset(f, 0, sizeof(*f));
	world_init(&f->w, 1);
	lane_init(&f->l, &f->w, 0, opts);
	f->packed = opts->packed;
}

static void teardown(struct fixture *f)
{
	lane_fini(&f->l);
	world_fini(&f->w);
}

/* Offer a one-slot chain with a writable buffer of 64 bytes; its cookie is @i's address. */
static void offer(struct fixture *f, uint32_t i)
{
	struct ring_driver_seg seg = lane_seg(&f->l, i * 64, 64);

	assert_int_equal(ring_driver_add(f->l.drv, &seg, 0, 1, lane_host(&f->l, i), NULL, 0), 0);
	ring_driver_publish(f->l.drv);
}

/* Play the device: one used element that stands for @n chains. */
static void complete(struct fixture *f, uint32_t id, uint32_t len, uint16_t n)
{
	struct split_used *used = (void *)lane_host(&f->l, LANE_DEVICE);
	struct packed_desc *d = (void *)lane_host(&f->l, LANE_DESC + f->used * 16u);

	if (f->packed) {
		le16_store(&d->id, (uint16_t)id);
		le32_store(&d->len, len);
		le16_store(&d->flags, DESC_F_AVAIL | DESC_F_USED | DESC_F_WRITE);
	} else {
		le32_store(&used->ring[f->used % NUM].id, id);
		le32_store(&used->ring[f->used % NUM].len, len);
		le16_store(&used->idx, (uint16_t)(f->used + n));
	}
	f->used = (uint16_t)(f->used + n);
}

static void expect(struct fixture *f, uint32_t i, uint32_t len)
{
	uint32_t got;
	int err;

	assert_ptr_equal(ring_driver_get(f->l.drv, &got, &err), lane_host(&f->l, i));
	assert_int_equal(err, 0);
	assert_int_equal(got, len);
}

static void expect_protocol_error(struct fixture *f)
{
	uint32_t len;
	int err;

	assert_null(ring_driver_get(f->l.drv, &len, &err));
	assert_int_equal(err, -EPROTO);
	assert_null(ring_driver_get(f->l.drv, &len, NULL));
	assert_null(ring_driver_get(f->l.drv, &len, &err));
	assert_int_equal(err, -EPROTO);
}

static void ring_driver_get_id_out_of_range_refused(void **state)
{
	static const uint32_t ids[] = {NUM, 0xffff, 0xffffffffU};
	struct fixture f;

	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		setup(&f, *state);
		offer(&f, 0);
		complete(&f, ids[i], 0, 1);
		expect_protocol_error(&f);
		teardown(&f);
	}
}

static void ring_driver_get_id_not_out_refused(void **state)
{
	struct fixture f;

	setup(&f, *state);
	offer(&f, 0);
	offer(&f, 1);
	complete(&f, 0, 1, 1);
	expect(&f, 0, 1);
	complete(&f, 0, 1, 1); /* again */
	expect_protocol_error(&f);
	teardown(&f);
}

static void ring_driver_get_length_too_big_refused(void **state)
{
	struct fixture f;

	setup(&f, *state);
	offer(&f, 0);
	complete(&f, 0, 65, 1);
	expect_protocol_error(&f);
	teardown(&f);
	setup(&f, *state);
	offer(&f, 0);
	complete(&f, 0, 64, 1);
	expect(&f, 0, 64);
	teardown(&f);
}

static void ring_driver_get_in_order_batch_completes_all(void **state)
{
	struct lane_opts opts = *(struct lane_opts *)*state;
	struct fixture f;
	uint32_t len;

	opts.in_order = true;
	setup(&f, &opts);
	for (uint32_t i = 0; i < 5; i++)
		offer(&f, i);
	complete(&f, 2, 10, 3);
	expect(&f, 0, 64);
	assert_true(ring_driver_cb_enable(f.l.drv));
	expect(&f, 1, 64);
	expect(&f, 2, 10);
	assert_null(ring_driver_get(f.l.drv, &len, NULL));
	complete(&f, 3, 3, 1);
	complete(&f, 4, 4, 1);
	expect(&f, 3, 3);
	expect(&f, 4, 4);
	assert_int_equal(ring_driver_nr_free(f.l.drv), NUM);
	teardown(&f);
}

static void ring_driver_add_bad_arguments_refused(void **state)
{
	struct ring_driver_seg seg;
	struct fixture f;

	setup(&f, *state);
	seg = lane_seg(&f.l, 0, 1);
	assert_int_equal(ring_driver_add(f.l.drv, &seg, 0, 0, &f, NULL, 0), -EINVAL);
	assert_int_equal(ring_driver_add(f.l.drv, &seg, 1, 0, NULL, NULL, 0), -EINVAL);
	assert_int_equal(ring_driver_add(f.l.drv, &seg, UINT32_MAX, 1, &f, NULL, 0), -EINVAL);
	assert_int_equal(ring_driver_nr_free(f.l.drv), NUM);
	assert_false(ring_driver_publish(f.l.drv));
	teardown(&f);
}

static void ring_driver_create_bad_config_refused(void **state)
{
	static char area[256] __attribute__((aligned(16)));
	struct ring_driver_config c = {.num = 4, .desc = area, .driver = area, .device = area};
	struct ring_driver *drv = NULL;

	c.num = 0;
	assert_int_equal(ring_driver_create(&c, &drv), -EINVAL);
	c.num = 3;
	assert_int_equal(ring_driver_create(&c, &drv), -EINVAL);
	c.packed = true;
	c.start_avail = 3;
	assert_int_equal(ring_driver_create(&c, &drv), -EINVAL);
	c.start_avail = 0x8002;
	c.desc = NULL;
	assert_int_equal(ring_driver_create(&c, &drv), -EINVAL);
	assert_null(drv);
	assert_int_equal(ring_driver_area_len(RING_AREA_DESC, 8, true), 128);
	assert_int_equal(ring_driver_area_len(RING_AREA_DRIVER, 8, false), 22);
	assert_int_equal(ring_driver_area_len(RING_AREA_DEVICE, 8, false), 70);
	assert_int_equal(ring_driver_area_len(RING_AREA_DRIVER, 8, true), 4);
	assert_int_equal(ring_driver_area_len(RING_AREA_DEVICE, 8, true), 4);
}

#define ALL(test)                                                                                  \
	{#test " split", test, NULL, NULL, &split},                                                \
	{                                                                                          \
#test " packed", test, NULL, NULL, &packed                                         \
	}

int main(void)
{
	static struct lane_opts split = {.num = NUM};
	static struct lane_opts packed = {.num = NUM, .packed = true, .start = 0x8000};
	const struct CMUnitTest tests[] = {
		ALL(ring_driver_get_id_out_of_range_refused),
		ALL(ring_driver_get_id_not_out_refused),
		ALL(ring_driver_get_length_too_big_refused),
		ALL(ring_driver_get_in_order_batch_completes_all),
		ALL(ring_driver_add_bad_arguments_refused),
		cmocka_unit_test(ring_driver_create_bad_config_refused),
	};

	return cmocka_run_group_tests_name("ring driver", tests, NULL, NULL);
}
