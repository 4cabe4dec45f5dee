/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device's rings and buffers in one page, and pairs of such pages.
 *
 * How a device translates cannot be asked, only seen: the same kit is laid into two pages,
 * one reached through a mapping and one through 1:1, at one iova; the used index that moves
 * tells which of the two the device worked on. Positive outcomes wait for the call eventfd with a
 * generous deadline; "nothing moves" is watched for quiet_ms.
 */
#include "check/kit.h"

#include <endian.h>
#include <linux/virtio_blk.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

/* Where the used index of ring @idx lies in the page. */
static size_t used_idx_off(unsigned idx)
{
	return idx * (size_t)KIT_RING + 320 + offsetof(struct vring_used, idx);
}

uint16_t check_kit_used(const void *page, unsigned idx)
{
	const uint16_t *p = (const void *)((const uint8_t *)page + used_idx_off(idx));

	/* acquire: pairs with the device's release of the used index */
	return le16toh(__atomic_load_n(p, __ATOMIC_ACQUIRE));
}

static int add(struct check_kit *kit, unsigned slot)
{
	const struct client_buf rx = {kit->iova + KIT_RX_BUF, KIT_RX_LEN, true};
	const struct client_buf tx = {kit->iova + KIT_TX_FRAME, KIT_TX_LEN, false};
	const struct client_buf ctrl[2] = {{kit->iova + KIT_CMD, KIT_CMD_LEN, false},
					   {kit->iova + KIT_ACK, 1, true}};
	const struct client_buf blk[2] = {{kit->iova + KIT_TX_FRAME, 16, false},
					  {kit->iova + KIT_RX_BUF, KIT_ID_LEN + 1, true}};

	if (kit->blk)
		return client_ring_add(&kit->ring[slot], blk, 2, NULL);
	if (slot == KIT_RX)
		return client_ring_add(&kit->ring[slot], &rx, 1, NULL);
	if (slot == KIT_WORK)
		return client_ring_add(&kit->ring[slot], &tx, 1, NULL);
	return client_ring_add(&kit->ring[slot], ctrl, 2, NULL);
}

/* One more chain; a ring that is full gets back what is used. */
static void kit_add(struct check_kit *kit, unsigned slot)
{
	while (add(kit, slot) == -ENOSPC && client_ring_pop(&kit->ring[slot], NULL, NULL) > 0)
		;
}

static void lay_net(struct check_kit *kit)
{
	static const uint8_t mac[6] = {0x02, 0x11, 0x22, 0x33, 0x44, 0x55};
	uint8_t *bytes = kit->page;

	memset(bytes + KIT_TX_FRAME + 12, 0xff, 6); /* broadcast */
	memcpy(bytes + KIT_TX_FRAME + 18, mac, 6);
	memset(bytes + KIT_TX_FRAME + 24, 0x5a, KIT_TX_LEN - 24);
	bytes[KIT_CMD] = VIRTIO_NET_CTRL_MAC;
	bytes[KIT_CMD + 1] = VIRTIO_NET_CTRL_MAC_ADDR_SET;
	memcpy(bytes + KIT_CMD + 2, mac, 6);
	bytes[KIT_ACK] = 0xee;
}

static void lay_blk(struct check_kit *kit)
{
	const struct virtio_blk_outhdr header = {.type = htole32(VIRTIO_BLK_T_GET_ID)};

	memcpy(kit->page + KIT_TX_FRAME, &header, sizeof(header));
	kit->page[KIT_RX_BUF + KIT_ID_LEN] = 0xee;
}

bool check_kit_has(const struct check_ctx *t, unsigned slot)
{
	if (check_missing(t->dev, CHECK_NET))
		return slot == KIT_WORK;
	return slot != KIT_CTRL || !check_missing(t->dev, CHECK_CTRL);
}

void check_kit_init(struct check_ctx *t, struct check_kit *kit, void *page, uint64_t iova,
		    uint16_t start)
{
	memset(page, 0, CHECK_PAGE);
	kit->page = page;
	kit->iova = iova;
	kit->blk = !check_missing(t->dev, CHECK_BLK);
	for (unsigned i = 0; i < CLIENT_NET_NR; i++) {
		int kick = kit->ring[i].base ? kit->ring[i].kick_fd : -1;
		int call = kit->ring[i].base ? kit->ring[i].call_fd : -1;

		client_ring_init(&kit->ring[i], kit->blk ? 0 : i, KIT_NUM,
				 kit->page + i * (size_t)KIT_RING, iova + i * (size_t)KIT_RING,
				 start);
		kit->ring[i].kick_fd = kick;
		kit->ring[i].call_fd = call;
	}
	if (kit->blk)
		lay_blk(kit);
	else
		lay_net(kit);
	for (unsigned i = 0; i < CLIENT_NET_NR; i++)
		if (!kit->blk || i == KIT_WORK)
			kit_add(kit, i);
}

void check_kit_ready(struct check_ctx *t, int fd)
{
	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_DRIVER));
	EXPECT_RC(t, 0, client_set_u64(fd, VHOST_SET_FEATURES, check_features(t)));
	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_FEATURES));
}

void check_kit_give(struct check_ctx *t, int fd, struct check_kit *kit)
{
	for (unsigned i = 0; i < CLIENT_NET_NR; i++)
		if (check_kit_has(t, i))
			EXPECT_RC(t, 0, client_ring_attach(&kit->ring[i], fd));
}

void check_kit_enable(struct check_ctx *t, int fd, struct check_kit *kit, bool on)
{
	for (unsigned i = 0; i < CLIENT_NET_NR; i++)
		if (check_kit_has(t, i))
			EXPECT_RC(t, 0,
				  client_vring_set(fd, VHOST_VDPA_SET_VRING_ENABLE,
						   kit->ring[i].idx, on));
}

void check_kit_attach(struct check_ctx *t, int fd, struct check_kit *kit)
{
	check_kit_give(t, fd, kit);
	check_kit_enable(t, fd, kit, true);
}

void check_kit_start(struct check_ctx *t, int fd, struct check_kit *kit)
{
	check_kit_ready(t, fd);
	check_kit_attach(t, fd, kit);
	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_RUNNING));
}

int check_kit_open(struct check_ctx *t, struct check_kit *kit, uint64_t iova)
{
	int fd = check_open_owned(t);

	*kit = (struct check_kit){0};
	check_kit_init(t, kit, check_pages(t, 1), iova, 0);
	EXPECT_RC(t, 0, check_map(fd, 0, iova, CHECK_PAGE, kit->page));
	return fd;
}

int check_kit_prepare(struct check_ctx *t, struct check_kit *kit, uint64_t iova)
{
	int fd = check_kit_open(t, kit, iova);

	check_kit_ready(t, fd);
	check_kit_give(t, fd, kit);
	return fd;
}

int check_kit_run(struct check_ctx *t, struct check_kit *kit, uint64_t iova)
{
	int fd = check_kit_open(t, kit, iova);

	check_kit_start(t, fd, kit);
	return fd;
}

void check_kit_expect_base(struct check_ctx *t, int fd, const struct check_kit *kit, uint32_t want)
{
	uint32_t base = ~want;

	EXPECT_RC(t, 0, client_vring_get(fd, VHOST_GET_VRING_BASE, kit->ring[KIT_WORK].idx, &base));
	EXPECT_EQ(t, want, base);
}

void check_kit_kick(struct check_ctx *t, struct check_kit *kit, unsigned idx)
{
	EXPECT_RC(t, 0, client_ring_kick(&kit->ring[idx]));
}

/* One wait for the ring's call eventfd, at most until @end. False when the time is over. */
static bool wait_call(struct client_ring *ring, int64_t end)
{
	struct pollfd pfd = {.fd = ring->call_fd, .events = POLLIN};
	int64_t left = end - clock_now_ms();
	uint64_t count;

	if (left <= 0)
		return false;
	if (poll(&pfd, 1, (int)left) > 0 && read(ring->call_fd, &count, sizeof(count)) < 0)
		return errno == EAGAIN;
	return true;
}

void check_kit_expect_used(struct check_ctx *t, struct check_kit *kit, const void *page,
			   unsigned idx, uint16_t want)
{
	int64_t end = clock_now_ms() + CHECK_WAIT;

	while (check_kit_used(page, idx) != want)
		if (!wait_call(&kit->ring[idx], end))
			FAIL(t, "used index of ring %u: want %u, still %u after %d ms", idx, want,
			     check_kit_used(page, idx), CHECK_WAIT);
}

bool check_kit_called(const struct client_ring *ring, int wait_ms)
{
	struct pollfd pfd = {.fd = ring->call_fd, .events = POLLIN};

	return poll(&pfd, 1, wait_ms) > 0;
}

void check_kit_poll_used(struct check_ctx *t, struct check_kit *kit, const void *page, unsigned idx,
			 uint16_t want)
{
	int64_t end = clock_now_ms() + CHECK_WAIT;

	while (check_kit_used(page, idx) != want) {
		(void)check_kit_called(&kit->ring[idx], 2);
		if (clock_now_ms() > end)
			FAIL(t, "used index of ring %u: want %u, still %u", idx, want,
			     check_kit_used(page, idx));
	}
}

void check_kit_expect_quiet(struct check_ctx *t, struct check_kit *kit, const void *page,
			    unsigned idx, uint16_t want)
{
	int64_t end = clock_now_ms() + t->dev->quiet_ms;

	while (wait_call(&kit->ring[idx], end))
		;
	if (check_kit_used(page, idx) != want)
		FAIL(t, "used index of ring %u: want it to stay %u, is %u", idx, want,
		     check_kit_used(page, idx));
}

void check_kit_expect_done(struct check_ctx *t, struct check_kit *kit, const void *page)
{
	const uint8_t *bytes = page;

	if (kit->blk) {
		check_kit_expect_used(t, kit, page, KIT_WORK, 1);
		EXPECT_EQ(t, VIRTIO_BLK_S_OK, bytes[KIT_RX_BUF + KIT_ID_LEN]);
		EXPECT(t, bytes[KIT_RX_BUF] != 0);
		return;
	}
	check_kit_expect_used(t, kit, page, KIT_RX, 1);
	EXPECT(t, memcmp(bytes + KIT_RX_BUF + 12, bytes + KIT_TX_FRAME + 12, KIT_TX_LEN - 12) == 0);
}

void check_kit_send(struct check_ctx *t, struct check_kit *kit)
{
	if (!kit->blk)
		kit_add(kit, KIT_RX);
	kit_add(kit, KIT_WORK);
	check_kit_kick(t, kit, KIT_WORK);
}

void check_pair_init(struct check_ctx *t, struct check_pair *pair)
{
	*pair = (struct check_pair){.mapped = check_pages(t, 1), .identity = check_pages(t, 1)};
	pair->iova = check_identity(t, pair->identity);
}

int check_pair_open(struct check_ctx *t, struct check_pair *pair)
{
	int fd = check_open_owned(t);

	check_pair_init(t, pair);
	return fd;
}

void check_pair_map(struct check_ctx *t, int fd, struct check_pair *pair, uint32_t asid)
{
	EXPECT_RC(t, 0, check_map(fd, asid, pair->iova, CHECK_PAGE, pair->mapped));
}

enum check_where check_pair_where(struct check_ctx *t, struct check_pair *pair, unsigned idx,
				  int wait_ms)
{
	int64_t end = clock_now_ms() + wait_ms;
	int where = WHERE_NOWHERE;
	uint16_t a, b;

	check_kit_kick(t, &pair->kit, idx);
	do {
		a = check_kit_used(pair->mapped, idx);
		b = check_kit_used(pair->identity, idx);
		where = (a != pair->mapped_used[idx] ? WHERE_MAPPED : 0) |
			(b != pair->identity_used[idx] ? WHERE_IDENTITY : 0);
	} while (where == WHERE_NOWHERE && wait_call(&pair->kit.ring[idx], end));
	pair->mapped_used[idx] = a;
	pair->identity_used[idx] = b;
	return (enum check_where)where;
}

/* Both pages are the same from now on. */
static void pair_level(struct check_pair *pair)
{
	memcpy(pair->identity, pair->mapped, CHECK_PAGE);
	for (unsigned i = 0; i < CLIENT_NET_NR; i++) {
		pair->mapped_used[i] = check_kit_used(pair->mapped, i);
		pair->identity_used[i] = check_kit_used(pair->identity, i);
	}
}

void check_pair_start(struct check_ctx *t, int fd, struct check_pair *pair)
{
	check_kit_init(t, &pair->kit, pair->mapped, pair->iova, 0);
	pair_level(pair);
	check_kit_start(t, fd, &pair->kit);
}

enum check_where check_where_unmapped(const struct check_ctx *t)
{
	return t->dev->platform ? WHERE_NOWHERE : WHERE_IDENTITY;
}

void check_pair_refill(struct check_pair *pair, unsigned idx)
{
	if (idx == KIT_WORK && !pair->kit.blk)
		kit_add(&pair->kit, KIT_RX);
	kit_add(&pair->kit, idx);
	pair_level(pair);
}

void check_pair_expect(struct check_ctx *t, struct check_pair *pair, unsigned idx,
		       enum check_where want, const char *file, int line)
{
	static const char *const names[] = {"nowhere", "through the mapping", "through 1:1",
					    "through both"};
	int wait_ms = want == WHERE_NOWHERE ? t->dev->quiet_ms : CHECK_WAIT;
	enum check_where got = check_pair_where(t, pair, idx, wait_ms);

	if (got != want)
		check_fail(t, file, line, "ring %u: want the device to work %s, it works %s", idx,
			   names[want], names[got]);
}
