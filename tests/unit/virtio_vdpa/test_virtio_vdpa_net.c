// SPDX-License-Identifier: BSD-3-Clause
/* The network card's driver on real simulated cards ([7-10], [8-2]), and on cards that lie. */
#include "support.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "../vhost_vdpa/recorder.h"
#include "base/clock.h"
#include "freed.h"
#include "virtio_vdpa/net.h"

#define NET  "name net0 mgmtdev vdpasim_net "
#define MLX5 "name net0 mgmtdev mlx5 model on "
#define MAC  "mac 52:54:00:12:34:56 "

static uint8_t frame[70000], back[70000];

static int64_t soon(void)
{
	return clock_now_ns() + TIMEOUT_MS * NS_PER_MS;
}

static struct virtio_net *open_card(struct bench *b, const char *spec)
{
	struct virtio_net *net = NULL;

	bench_make(b, spec);
	if (virtio_net_open(b->dev, &net))
		fail_msg("%s: %s", spec, refuse_reason());
	return net;
}

static void close_card(struct bench *b, struct virtio_net *net)
{
	virtio_net_close(net);
	bench_destroy(b);
}

static void there_and_back(struct virtio_net *net, size_t len, uint32_t seed)
{
	size_t room = sizeof(back);

	bench_fill(frame, len, seed);
	memset(frame, 0xff, 6);
	assert_int_equal(virtio_net_send(net, frame, len), 0);
	assert_int_equal(virtio_net_recv(net, back, &room, soon()), 0);
	assert_int_equal(room, len);
	assert_memory_equal(frame, back, len);
}

static void frames_come_back_on_every_kind_of_loopback(void **state)
{
	static const char *const specs[] = {
		NET,
		NET MAC "quirks linux-6.12",
		NET MAC "mapping dma_map memory pinned memlock unlimited",
		NET "mapping platform",
		NET "vq_size 2",
		NET "device_features 0x300000000", /* neither MAC nor MTU nor ring features */
		NET "device_features 0x730010028", /* packed, event index, indirect */
		NET "max_vqp 4 workers 2",
		MLX5,
		MLX5 "max_vqp 4 workers 2 rebuild full vq_size 64",
	};
	struct virtio_net *net;
	struct bench b;

	for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
		net = open_card(&b, specs[i]);
		for (uint32_t n = 0; n < 600; n++) /* more than twice around the ring */
			there_and_back(net, 14 + n * 2, n);
		there_and_back(net, virtio_net_frame_max(net), 1);
		assert_int_equal(virtio_net_counters(net)->sent, 601);
		assert_int_equal(virtio_net_counters(net)->received, 601);
		close_card(&b, net);
	}
}

static void card_tells_what_it_is(void **state)
{
	const struct virtio_net_info *info;
	struct virtio_net *net;
	struct bench b;

	net = open_card(&b, NET MAC "mtu 9000");
	info = virtio_net_info(net);
	assert_memory_equal(info->mac, "\x52\x54\x00\x12\x34\x56", 6);
	assert_int_equal(info->mtu, 9000);
	assert_true(info->link_up);
	there_and_back(net, 9014, 4);
	close_card(&b, net);
	net = open_card(&b, NET);
	assert_memory_equal(virtio_net_info(net)->mac, "\0\0\0\0\0\0", 6);
	assert_int_equal(virtio_net_info(net)->mtu, 1500);
	close_card(&b, net);
	net = open_card(&b, NET "mtu 65535");
	there_and_back(net, 65535 + 14, 5);
	close_card(&b, net);
}

static void frames_of_wrong_size_are_refused_and_long_ones_cut(void **state)
{
	struct virtio_net *net, *second;
	struct bench b;
	size_t room = 20;

	net = open_card(&b, NET);
	assert_int_equal(virtio_net_send(net, frame, 13), -EMSGSIZE);
	assert_int_equal(virtio_net_send(net, frame, 1515), -EMSGSIZE);
	assert_int_equal(virtio_net_recv(net, back, &room, clock_now_ns()), -ETIMEDOUT);
	memset(frame, 0xff, 100);
	assert_int_equal(virtio_net_send(net, frame, 100), 0);
	memset(back, 0, 100);
	assert_int_equal(virtio_net_recv(net, back, &room, soon()), 0);
	assert_int_equal(room, 20);
	assert_int_equal(back[19], 0xff);
	assert_int_equal(back[20], 0);
	assert_int_equal(virtio_net_open(b.dev, &second), -EBUSY);
	close_card(&b, net);
	bench_make(&b, "name disk0 mgmtdev vdpasim_blk");
	assert_int_equal(virtio_net_open(b.dev, &net), -EINVAL);
	bench_destroy(&b);
}

/* @err: what a receiver gets otherwise */
static void works_after_a_client_if_maps_are_put_back(const char *with, const char *without,
						      int err)
{
	struct virtio_net *net;
	struct bench b;
	size_t room = sizeof(back);
	int64_t until;

	net = open_card(&b, with);
	virtio_net_close(net);
	bench_session(&b, 0x100000, 1 << 20);
	assert_int_equal(virtio_net_open(b.dev, &net), 0);
	there_and_back(net, 1000, 6);
	close_card(&b, net);
	net = open_card(&b, without);
	virtio_net_close(net);
	bench_session(&b, 0x100000, 1 << 20);
	assert_int_equal(virtio_net_open(b.dev, &net), 0);
	memset(frame, 0xff, 100);
	assert_int_equal(virtio_net_send(net, frame, 100), 0);
	until = err == -ETIMEDOUT ? clock_now_ns() + 100 * NS_PER_MS : soon();
	assert_int_equal(virtio_net_recv(net, back, &room, until), err);
	close_card(&b, net);
}

static void card_works_after_a_client_with_maps_if_maps_are_put_back(void **state)
{
	works_after_a_client_if_maps_are_put_back(NET, NET "reset_map off", -ETIMEDOUT);
}

/* The reason for .reset_map: without it a card with memory keys has no 1:1 key, and
 * its queue stops with an error. */
static void mlx5_card_works_after_a_client_if_its_1_to_1_key_is_put_back(void **state)
{
	works_after_a_client_if_maps_are_put_back(MLX5, MLX5 "reset_map off", -EIO);
}

/* ---- a card that lies ---- */

static uint32_t fake_id, fake_len;

/* Complete receive descriptor fake_id with fake_len; never a frame sent. */
static void fake_kick(struct vdpa_device *dev, uint16_t idx)
{
	struct recorder_vq *vq = &container_of(dev, struct recorder, dev)->vqs[0];
	struct vring_used *used = (struct vring_used *)(uintptr_t)vq->device;

	if (idx == 0)
		return;
	used->ring[used->idx % vq->num].id = fake_id;
	used->ring[used->idx % vq->num].len = fake_len;
	__atomic_store_n(&used->idx, (uint16_t)(used->idx + 1), __ATOMIC_RELEASE);
	vq->cb.fn(vq->cb.arg);
}

static size_t small_config(struct vdpa_device *dev)
{
	return 8;
}

static struct recorder *fake_card(struct bench *b)
{
	struct recorder_options opt = {.features = 1ULL << VIRTIO_F_VERSION_1 |
						   1ULL << VIRTIO_F_ACCESS_PLATFORM};
	struct recorder *rec;

	assert_int_equal(memory_space_create_own(&b->space), 0);
	assert_int_equal(vdpa_bus_create(b->space, &b->bus), 0);
	assert_int_equal(vdpa_driver_register(b->bus, &virtio_vdpa_driver), 0);
	assert_int_equal(recorder_make(b->bus, &opt, &rec), 0);
	rec->quiet = true;
	rec->ops.get_config_size = small_config;
	rec->ops.kick_vq = fake_kick;
	assert_int_equal(vdpa_device_register(&rec->dev), 0);
	b->dev = vdpa_device_get(&rec->dev);
	return rec;
}

/* The card may still write frames. */
static void buffers_of_a_card_that_was_not_reset_are_kept(void **state)
{
	const struct vring_desc *descs;
	struct virtio_net *net;
	struct recorder *rec;
	struct bench b;

	rec = fake_card(&b);
	assert_int_equal(virtio_net_open(b.dev, &net), 0);
	descs = (const struct vring_desc *)(uintptr_t)rec->vqs[0].desc;
	freed_watch((const void *)(uintptr_t)descs[0].addr); /* the first of the buffers */
	recorder_fail(rec, "reset", 1, -EIO);
	virtio_net_close(net);
	assert_false(freed_was());
	bench_destroy(&b);
}

static void receptions_that_make_no_sense_do_no_harm(void **state)
{
	struct virtio_net *net;
	size_t room = sizeof(back);
	struct bench b;
	int ret = 0;

	(void)fake_card(&b);
	assert_int_equal(virtio_net_open(b.dev, &net), 0);
	fake_id = 0;
	fake_len = 25; /* a header and less than an Ethernet header */
	memset(frame, 0xff, 100);
	assert_int_equal(virtio_net_send(net, frame, 100), 0);
	assert_int_equal(virtio_net_recv(net, back, &room, clock_now_ns()), -ETIMEDOUT);
	assert_int_equal(virtio_net_counters(net)->bad, 1);
	fake_len = 26;
	assert_int_equal(virtio_net_send(net, frame, 100), 0);
	assert_int_equal(virtio_net_recv(net, back, &room, soon()), 0);
	assert_int_equal(room, 14);
	fake_id = 300;
	assert_int_equal(virtio_net_send(net, frame, 100), 0);
	assert_int_equal(virtio_net_recv(net, back, &room, soon()), -EPROTO);
	/* frames that are never sent fill the queue, and are refused then */
	for (int i = 0; i < 300 && !ret; i++)
		ret = virtio_net_send(net, frame, 100);
	assert_int_equal(ret, -EAGAIN);
	close_card(&b, net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_come_back_on_every_kind_of_loopback),
		cmocka_unit_test(card_tells_what_it_is),
		cmocka_unit_test(frames_of_wrong_size_are_refused_and_long_ones_cut),
		cmocka_unit_test(card_works_after_a_client_with_maps_if_maps_are_put_back),
		cmocka_unit_test(mlx5_card_works_after_a_client_if_its_1_to_1_key_is_put_back),
		cmocka_unit_test(receptions_that_make_no_sense_do_no_harm),
		cmocka_unit_test(buffers_of_a_card_that_was_not_reset_are_kept),
	};

	return cmocka_run_group_tests_name("virtio_vdpa-net", tests, NULL, NULL);
}
