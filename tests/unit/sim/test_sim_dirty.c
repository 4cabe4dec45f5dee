// SPDX-License-Identifier: BSD-3-Clause
/*
 * Every byte that a device changes is logged, and nothing outside what it was given is. The
 * client's memory is copied while the device is suspended, the device does something, and is
 * suspended again: then whatever differs from the copy must have been marked. Byte by byte, not
 * page by page.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../between.h"
#include "blk_support.h"
#include "socket_support.h"

#define PAGE   4096
#define AREAS  32
#define RX_LEN 2048
#define NUM    16

/* Memory that the device may write, with its copy and one flag a byte. */
struct area {
	uint8_t *mem, *copy, *marked;
	size_t len;
	uint64_t logged_at; /* its first byte as the log names it */
};

static struct {
	struct area areas[AREAS];
	unsigned int nr;
	uint64_t nr_marked, nr_changed;
	bool stray; /* something was marked that is in no area */
} shadow;

static struct area *watch(void *mem, size_t len)
{
	struct area *a = &shadow.areas[shadow.nr++];

	assert_true(shadow.nr <= AREAS);
	*a = (struct area){.mem = mem,
			   .copy = malloc(len),
			   .marked = calloc(1, len),
			   .len = len,
			   .logged_at = (uintptr_t)mem};
	assert_true(a->copy && a->marked);
	return a;
}

static void unwatch_all(void)
{
	for (unsigned int i = 0; i < shadow.nr; i++) {
		free(shadow.areas[i].copy);
		free(shadow.areas[i].marked);
	}
	memset(&shadow, 0, sizeof(shadow));
}

static void on_mark(void *arg, uint64_t first, uint64_t len)
{
	assert_ptr_equal(arg, &shadow);
	for (unsigned int i = 0; i < shadow.nr; i++) {
		struct area *a = &shadow.areas[i];

		if (first - a->logged_at < a->len) {
			if (len > a->len - (first - a->logged_at))
				shadow.stray = true;
			else
				memset(a->marked + (first - a->logged_at), 1, len);
			return;
		}
	}
	shadow.stray = true;
}

static void log_on(struct rig *rig)
{
	struct vdpa_dirty_log log = {on_mark, &shadow};

	rig_do(rig, set_dirty_log, &log);
}

static void log_off(struct rig *rig)
{
	struct vdpa_dirty_log none = {NULL, NULL};

	rig_do(rig, set_dirty_log, &none);
}

/* The device is suspended. */
static void shadow_take(void)
{
	shadow.stray = false;
	for (unsigned int i = 0; i < shadow.nr; i++) {
		memcpy(shadow.areas[i].copy, shadow.areas[i].mem, shadow.areas[i].len);
		memset(shadow.areas[i].marked, 0, shadow.areas[i].len);
	}
}

static void shadow_check(void)
{
	shadow.nr_marked = shadow.nr_changed = 0;
	assert_false(shadow.stray);
	for (unsigned int i = 0; i < shadow.nr; i++) {
		const struct area *a = &shadow.areas[i];

		for (size_t at = 0; at < a->len; at++) {
			bool changed = a->mem[at] != a->copy[at];

			if (changed && !a->marked[at])
				fail_msg("area %u: byte %zu was written and is not logged", i, at);
			shadow.nr_changed += changed;
			shadow.nr_marked += a->marked[at];
		}
	}
}

/* It did happen: about @len bytes were written, most of which were not there before. */
static void expect_changed(size_t len)
{
	assert_true(shadow.nr_changed > len * 3 / 4);
}

/* Let the device work on what was published on @idx while it was suspended, and see what it did. */
static void work(struct rig *rig, uint16_t idx)
{
	shadow_take();
	assert_int_equal(rig_op(rig, resume), 0);
	rig->ops->kick_vq(rig->dev, idx);
	assert_true(rig_wait_fd(rig->vq[idx].call_fd, DEADLINE_MS));
	assert_int_equal(rig_op(rig, suspend), 0);
	shadow_check();
}

static void take(struct rig *rig, uint16_t idx)
{
	uint32_t used;

	assert_non_null(rig_poll(rig, idx, &used));
}

static void publish(struct rig *rig, uint16_t idx)
{
	(void)ring_driver_publish(rig->vq[idx].drv);
}

/* ---- a card ---- */

struct layout {
	const char *name;
	uint64_t features;
};

static const struct layout layouts[] = {
	{"split", 0},
	{"split, event index", BIT(VIRTIO_RING_F_EVENT_IDX)},
	{"split, in order", BIT(VIRTIO_F_IN_ORDER)},
	{"split, mergeable", BIT(VIRTIO_NET_F_MRG_RXBUF)},
	{"packed", BIT(VIRTIO_F_RING_PACKED)},
	{"packed, event index", BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_RING_F_EVENT_IDX)},
	{"packed, mergeable, in order",
	 BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_F_IN_ORDER)},
};

static uint8_t *frames, *buffers, *command;

static int make_memory(void **state)
{
	frames = blk_pages(NUM * PAGE);
	buffers = blk_pages(NUM * PAGE);
	command = blk_pages(PAGE);
	return blk_setup(state);
}

/* A card with @nr queues, suspended, its memory watched, logging. */
static void card_start(struct rig *rig, uint64_t features, uint16_t nr)
{
	struct vdpa_dev_config config = rig_config();

	rig_make(rig, &config);
	rig_start(rig, BASE_FEATURES | features, nr, NUM);
	assert_int_equal(rig_op(rig, suspend), 0);
	for (uint16_t i = 0; i < nr; i++)
		watch(rig->vq[i].mem, rig->vq[i].mem_len);
	watch(frames, NUM * PAGE);
	watch(buffers, NUM * PAGE);
	watch(command, PAGE);
	log_on(rig);
}

static void card_end(struct rig *rig)
{
	rig_destroy(rig);
	unwatch_all();
}

/* @nr frames of @len bytes go round; buffers have @room bytes. */
static void card_round(struct rig *rig, unsigned int nr, size_t len, size_t room, uint32_t seed)
{
	unsigned int nr_buffers = (unsigned int)(nr * ((len + room - 1) / room));

	memset(buffers, 0, (size_t)NUM * PAGE);
	for (unsigned int i = 0; i < nr_buffers; i++)
		rig_add(rig, 0, buffers + i * PAGE, room, true);
	publish(rig, 0);
	for (unsigned int i = 0; i < nr; i++) {
		frame_make(frames + i * PAGE, len, seed + i);
		rig_add(rig, 1, frames + i * PAGE, len, false);
	}
	publish(rig, 1);
	work(rig, 1);
	for (unsigned int i = 0; i < nr; i++)
		take(rig, 1);
	for (unsigned int i = 0; i < nr_buffers; i++)
		take(rig, 0);
	expect_changed(nr * (len - HDR));
}

static void card_logs_all_that_it_writes(void **state)
{
	for (size_t l = 0; l < ARRAY_LEN(layouts); l++) {
		bool mergeable = layouts[l].features & BIT(VIRTIO_NET_F_MRG_RXBUF);
		struct rig rig;

		card_start(&rig, layouts[l].features, 2);
		for (uint32_t i = 0; i < 3 * NUM; i++)
			card_round(&rig, 1 + i % 4, 100 + i * 31, mergeable ? 700 : RX_LEN,
				   i * 100);
		card_end(&rig);
	}
}

static void card_logs_no_more_than_it_writes(void **state)
{
	struct rig rig;

	card_start(&rig, 0, 2);
	card_round(&rig, 1, 200, RX_LEN, 1);
	/* the frame; a used element and an index in each ring; flags of both rings, some twice */
	assert_between(shadow.nr_marked, 200 + 2 * (8 + 2), 200 + 2 * (8 + 2 + 2));
	card_end(&rig);
}

static void log_is_switched_while_the_card_runs(void **state)
{
	struct rig rig;

	card_start(&rig, BIT(VIRTIO_F_RING_PACKED), 2);
	for (uint32_t i = 0; i < 3 * NUM; i++) {
		log_off(&rig);
		rig_add(&rig, 0, buffers, RX_LEN, true);
		rig_add(&rig, 1, frames, 100, false);
		publish(&rig, 0);
		publish(&rig, 1);
		memset(shadow.areas[0].marked, 0, shadow.areas[0].len);
		assert_int_equal(rig_op(&rig, resume), 0);
		rig.ops->kick_vq(rig.dev, 1);
		assert_true(rig_wait_fd(rig.vq[1].call_fd, DEADLINE_MS));
		for (size_t at = 0; at < shadow.areas[0].len; at++)
			assert_int_equal(shadow.areas[0].marked[at], 0);
		log_on(&rig); /* between two batches of a running ring */
		assert_int_equal(rig_op(&rig, suspend), 0);
		take(&rig, 0);
		take(&rig, 1);
		card_round(&rig, 2, 100, RX_LEN, i);
	}
	card_end(&rig);
}

static void log_survives_a_reset_of_the_device(void **state)
{
	struct rig rig;

	card_start(&rig, 0, 2);
	rig_reset(&rig);
	unwatch_all();
	rig_start(&rig, BASE_FEATURES, 2, NUM);
	assert_int_equal(rig_op(&rig, suspend), 0);
	for (uint16_t i = 0; i < 2; i++)
		watch(rig.vq[i].mem, rig.vq[i].mem_len);
	watch(frames, NUM * PAGE);
	watch(buffers, NUM * PAGE);
	card_round(&rig, 3, 500, RX_LEN, 1);
	card_end(&rig);
}

static void device_area_is_logged_where_the_client_says(void **state)
{
	const uint64_t elsewhere = 0x123456789000;

	for (int packed = 0; packed < 2; packed++) {
		struct area *used;
		struct rig rig;

		card_start(&rig, packed ? BIT(VIRTIO_F_RING_PACKED) : 0, 2);
		/* The device area lies on pages of its own behind the others. */
		used = &shadow.areas[1];
		used->len = (size_t)((uint8_t *)rig.vq[1].area[2] - used->mem);
		used = watch(rig.vq[1].area[2], PAGE);
		used->logged_at = elsewhere;
		rig_do(&rig, set_vq_log_addr, 1, true, elsewhere);
		card_round(&rig, 3, 500, RX_LEN, 1);
		used->logged_at = (uintptr_t)used->mem;
		rig_do(&rig, set_vq_log_addr, 1, false, elsewhere);
		card_round(&rig, 3, 500, RX_LEN, 7);
		card_end(&rig);
	}
}

static void control_queue_logs_its_answer(void **state)
{
	struct ring_driver_seg segs[3];
	struct rig rig;

	card_start(&rig, BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_CTRL_MAC_ADDR), 3);
	for (uint8_t cmd = 0; cmd < 3; cmd++) { /* refused, accepted, refused */
		memset(command, 0x52, PAGE);
		command[0] = VIRTIO_NET_CTRL_MAC;
		command[1] = cmd;
		command[100] = 0xee;
		segs[0] = (struct ring_driver_seg){rig_iova(&rig, command), 2};
		segs[1] = (struct ring_driver_seg){rig_iova(&rig, command + 2), 6};
		segs[2] = (struct ring_driver_seg){rig_iova(&rig, command + 100), 1};
		assert_int_equal(ring_driver_add(rig.vq[2].drv, segs, 2, 1, command, NULL, 0), 0);
		publish(&rig, 2);
		work(&rig, 2);
		take(&rig, 2);
		assert_int_equal(command[100], cmd == 1 ? VIRTIO_NET_OK : VIRTIO_NET_ERR);
	}
	card_end(&rig);
}

/* Frames that come from outside take another way into the buffers. */
static void card_logs_frames_from_a_backend(void **state)
{
	struct vdpa_dev_config config = rig_config();
	uint8_t frame[4 + 1500 - HDR];
	int listener, peer;
	struct rig rig;

	assert_int_equal(socket_folder_make(state), 0);
	listener = socket_listen();
	config.given |= VDPA_KEY_BACKEND;
	(void)snprintf(config.backend, sizeof(config.backend), "stream,path=%s",
		       socket_address.sun_path);
	rig_make(&rig, &config);
	rig_start(&rig, BASE_FEATURES, 2, NUM);
	assert_int_equal(rig_op(&rig, suspend), 0);
	peer = socket_accept(listener);
	watch(rig.vq[0].mem, rig.vq[0].mem_len);
	watch(rig.vq[1].mem, rig.vq[1].mem_len);
	watch(buffers, NUM * PAGE);
	log_on(&rig);
	for (uint32_t i = 0; i < 3 * NUM; i++) {
		uint8_t with_header[1500];
		size_t len = 100 + i * 29;

		rig_add(&rig, 0, buffers + i % NUM * PAGE, RX_LEN, true);
		publish(&rig, 0);
		frame_make(with_header, len, i);
		memset(with_header + HDR, 0xff, 6);
		frame[0] = frame[1] = 0;
		frame[2] = (uint8_t)((len - HDR) >> 8);
		frame[3] = (uint8_t)(len - HDR);
		memcpy(frame + 4, with_header + HDR, len - HDR);
		assert_int_equal(write(peer, frame, 4 + len - HDR), 4 + len - HDR);
		work(&rig, 0);
		take(&rig, 0);
		expect_changed(len - HDR);
	}
	card_end(&rig);
	close(peer);
	close(listener);
	assert_int_equal(socket_folder_remove(state), 0);
}

/* ---- a disk ---- */

static void disk_start(struct rig *rig, uint64_t features)
{
	struct vdpa_dev_config config = blk_config();

	rig_make(rig, &config);
	rig_start(rig, BLK_FEATURES | features, 1, NUM);
	assert_int_equal(rig_op(rig, suspend), 0);
	watch(rig->vq[0].mem, rig->vq[0].mem_len);
	watch(blk.status, PAGE);
	watch(blk.data, DATA_LEN);
	log_on(rig);
}

/* One request; data behind the header for the device to read, or before the status for it to
 * write. */
static uint8_t disk_do(struct rig *rig, uint32_t type, uint64_t sector, size_t len, bool in)
{
	struct ring_driver_seg segs[4] = {blk_seg(rig, blk.header, 16)};
	unsigned int n = 1;

	/* Two pieces, of which the first is odd. */
	if (len > 1)
		segs[n++] = blk_seg(rig, blk.data, 333 < len ? 333 : 1);
	if (len > 1)
		segs[n++] = blk_seg(rig, blk.data + 4096, len - segs[1].len);
	segs[n++] = blk_seg(rig, blk.status + 77, 1);
	blk_header(type, sector);
	blk.status[77] = NO_STATUS;
	assert_int_equal(ring_driver_add(rig->vq[0].drv, segs, in ? 1 : n - 1, in ? n - 1 : 1,
					 blk.header, NULL, 0),
			 0);
	publish(rig, 0);
	work(rig, 0);
	take(rig, 0);
	return blk.status[77];
}

static void disk_logs_all_that_it_writes(void **state)
{
	static const uint64_t features[] = {0, BIT(VIRTIO_F_RING_PACKED),
					    BIT(VIRTIO_RING_F_EVENT_IDX)};

	for (size_t f = 0; f < ARRAY_LEN(features); f++) {
		struct rig rig;

		disk_start(&rig, features[f]);
		blk_fill(blk.data, DATA_LEN, 1);
		assert_int_equal(disk_do(&rig, VIRTIO_BLK_T_OUT, 8, 65536, false), 0);
		memset(blk.data, 0, DATA_LEN);
		assert_int_equal(disk_do(&rig, VIRTIO_BLK_T_IN, 8, 65536, true), 0);
		assert_true(shadow.nr_changed > 65000);
		assert_int_equal(disk_do(&rig, VIRTIO_BLK_T_IN, 8, 512, true), 0);
		assert_true(shadow.nr_marked < 1024);
		assert_int_equal(disk_do(&rig, VIRTIO_BLK_T_GET_ID, 0, 20, true), 0);
		assert_int_equal(disk_do(&rig, VIRTIO_BLK_T_FLUSH, 0, 0, false), 0);
		/* nothing but a status */
		assert_int_equal(disk_do(&rig, VIRTIO_BLK_T_IN, 8, 0, true), 0);
		assert_true(shadow.nr_marked < 64);
		card_end(&rig);
	}
}

/* The status of a request that fails is the last writable byte, wherever the used length ends. */
static void disk_logs_the_status_of_failed_requests(void **state)
{
	struct rig rig;

	disk_start(&rig, 0);
	assert_int_equal(disk_do(&rig, VIRTIO_BLK_T_IN, UINT64_MAX / 2, 4096, true),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(disk_do(&rig, VIRTIO_BLK_T_IN, 0, 513, true), VIRTIO_BLK_S_IOERR);
	assert_int_equal(disk_do(&rig, 99, 0, 512, true), VIRTIO_BLK_S_UNSUPP);
	/* room that the request has no use for */
	assert_int_equal(disk_do(&rig, VIRTIO_BLK_T_FLUSH, 0, 512, true), VIRTIO_BLK_S_OK);
	assert_int_equal(disk_do(&rig, VIRTIO_BLK_T_GET_ID, 0, 512, true), VIRTIO_BLK_S_OK);
	card_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(card_logs_all_that_it_writes),
		cmocka_unit_test(card_logs_no_more_than_it_writes),
		cmocka_unit_test(log_is_switched_while_the_card_runs),
		cmocka_unit_test(log_survives_a_reset_of_the_device),
		cmocka_unit_test(device_area_is_logged_where_the_client_says),
		cmocka_unit_test(control_queue_logs_its_answer),
		cmocka_unit_test(card_logs_frames_from_a_backend),
		cmocka_unit_test(disk_logs_all_that_it_writes),
		cmocka_unit_test(disk_logs_the_status_of_failed_requests),
	};

	if (rig_guard_install())
		return 1;
	return cmocka_run_group_tests_name("sim-dirty", tests, make_memory, NULL);
}
