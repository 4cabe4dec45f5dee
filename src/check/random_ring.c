/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver side of the rings in random sequences.
 *
 * Each queue has two slots where its ring can lie, each with room for the largest ring (256), so
 * that a device that believes in another size than the driver reads this queue's memory and nothing
 * else. All descriptors that were ever written point into the window. The driver does not look at
 * what the device returns: descriptors are used in turn.
 */
#include "check/random.h"

#include <endian.h>
#include <string.h>

#define AVAIL_ROOM 640

void random_ring_offsets(unsigned q, unsigned slot, size_t off[3])
{
	size_t at = q * RANDOM_SLOTS + slot;

	off[0] = (PAGE_DESC + at) * CHECK_PAGE;
	off[1] = PAGE_AVAIL * CHECK_PAGE + at * AVAIL_ROOM;
	off[2] = (PAGE_USED + at) * CHECK_PAGE;
}

static void put16(struct random_mem *mem, size_t off, uint16_t value)
{
	uint16_t le = htole16(value);

	random_mem_put(mem, off, &le, sizeof(le));
}

void random_ring_reset(struct random_ring *ring, struct random_mem *mem, unsigned q,
		       const uint64_t *arg)
{
	static const uint8_t zero[CHECK_PAGE];
	size_t off[3];

	*ring = (struct random_ring){
		.num = (uint16_t)arg[1], .avail = (uint16_t)arg[2], .slot = arg[3] % RANDOM_SLOTS};
	random_ring_offsets(q, ring->slot, off);
	random_mem_put(mem, off[0], zero, CHECK_PAGE);
	random_mem_put(mem, off[1], zero, AVAIL_ROOM);
	random_mem_put(mem, off[2], zero, CHECK_PAGE);
	put16(mem, off[1] + 2, ring->avail);
	put16(mem, off[2] + 2, ring->avail);
}

void random_ring_flags(struct random_ring *ring, struct random_mem *mem, unsigned q, uint16_t flags)
{
	size_t off[3];

	random_ring_offsets(q, ring->slot, off);
	put16(mem, off[1], flags);
}

/* ---- what a chain holds ---- */

/* Destination by the kind of the post, then a source and a pattern that depends on the buffer. */
static void put_frame(struct random_mem *mem, size_t off, uint64_t kind, unsigned seed)
{
	static const uint8_t dst[POST_NR][6] = {
		[POST_PLAIN] = {255, 255, 255, 255, 255, 255},
		[POST_MULTICAST] = {1, 0, 0x5e, 0, 0, 1},
		[POST_SELF] = {2, 2, 2, 2, 2, 2},
		[POST_OTHER] = {2, 0x77, 0, 0, 0, 9},
		[POST_TURNED] = {255, 255, 255, 255, 255, 255},
		[POST_SHORT] = {255, 255, 255, 255, 255, 255},
		[POST_INDIRECT] = {255, 255, 255, 255, 255, 255},
	};
	uint8_t frame[RANDOM_BUF_LEN] = {0};

	memcpy(frame + 12, dst[kind], 6);
	for (size_t i = 18; i < sizeof(frame); i++)
		frame[i] = (uint8_t)(i * 7 + seed * 31 + 1);
	random_mem_put(mem, off, frame, sizeof(frame));
}

static void put_command(struct random_mem *mem, size_t off, uint64_t kind, unsigned seed)
{
	uint8_t cmd[RANDOM_BUF_LEN] = {
		VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, 2, 2, 2, 2, 2, 2};

	if (kind == POST_OTHER)
		cmd[7] = (uint8_t)seed;
	if (kind == POST_MULTICAST)
		cmd[0] = VIRTIO_NET_CTRL_RX;
	cmd[RANDOM_BUF_LEN - 1] = 0xee; /* the acknowledgement */
	random_mem_put(mem, off, cmd, sizeof(cmd));
}

/* Splits @len bytes at @iova into @parts; none is empty but if @len is too small. Return: how
 * many. */
static unsigned split(struct client_buf *out, uint64_t iova, uint32_t len, unsigned parts,
		      bool writes)
{
	unsigned nr = 0;

	for (unsigned i = 0; i < parts; i++) {
		uint32_t piece = i + 1 < parts ? len / parts : len - len / parts * (parts - 1);

		out[nr++] = (struct client_buf){iova, piece, writes};
		iova += piece;
	}
	return nr;
}

static unsigned chain_of(struct random_mem *mem, const uint64_t *arg, struct client_buf *out)
{
	unsigned q = (unsigned)arg[0], buf = (unsigned)arg[1] % RANDOM_BUFS;
	size_t off = (PAGE_DATA + q) * CHECK_PAGE + buf * (size_t)RANDOM_BUF_LEN;
	uint32_t len = arg[2] > RANDOM_BUF_LEN - 1 ? RANDOM_BUF_LEN - 1 : (uint32_t)arg[2];
	unsigned parts = arg[3] < 1 ? 1 : arg[3] > 4 ? 4 : (unsigned)arg[3];
	bool turned = arg[4] == POST_TURNED;
	uint64_t iova = mem->window + off;
	unsigned nr;

	if (q == CLIENT_NET_RX)
		return split(out, iova, len, parts, !turned);
	if (q == CLIENT_NET_TX) {
		put_frame(mem, off, arg[4], buf);
		return split(out, iova, len, parts, turned);
	}
	put_command(mem, off, arg[4], buf);
	nr = split(out, iova, arg[4] == POST_SHORT ? 1 : 8, parts > 2 ? 2 : parts, turned);
	if (arg[4] != POST_SHORT)
		out[nr++] = (struct client_buf){iova + RANDOM_BUF_LEN - 1, 1, true};
	return nr;
}

/* ---- descriptors ---- */

static struct vring_desc descriptor(const struct client_buf *buf, bool more, unsigned next)
{
	unsigned flags =
		(buf->device_writes ? VRING_DESC_F_WRITE : 0) | (more ? VRING_DESC_F_NEXT : 0);

	return (struct vring_desc){.addr = htole64(buf->iova),
				   .len = htole32(buf->len),
				   .flags = htole16((uint16_t)flags),
				   .next = htole16(more ? (uint16_t)next : 0)};
}

/* The table of an indirect chain: eight slots a queue. Return: the one descriptor for the ring. */
static struct vring_desc indirect(struct random_mem *mem, unsigned q, unsigned buf,
				  const struct client_buf *bufs, unsigned nr)
{
	size_t off = PAGE_INDIRECT * CHECK_PAGE + (q * RANDOM_BUFS + buf % RANDOM_BUFS) * 128;

	for (unsigned i = 0; i < nr; i++) {
		struct vring_desc desc = descriptor(&bufs[i], i + 1 < nr, i + 1);

		random_mem_put(mem, off + i * sizeof(desc), &desc, sizeof(desc));
	}
	return (struct vring_desc){.addr = htole64(mem->window + off),
				   .len = htole32(nr * (uint32_t)sizeof(struct vring_desc)),
				   .flags = htole16(VRING_DESC_F_INDIRECT)};
}

void random_ring_post(struct random_ring *ring, struct random_mem *mem, const uint64_t *arg)
{
	unsigned q = (unsigned)arg[0];
	struct client_buf bufs[8];
	unsigned nr = chain_of(mem, arg, bufs);
	uint16_t head = ring->next;
	struct vring_desc desc;
	size_t off[3];

	random_ring_offsets(q, ring->slot, off);
	for (unsigned i = 0; i < nr; i++) {
		uint16_t at = ring->next;

		ring->next = (uint16_t)((ring->next + 1) % ring->num);
		desc = descriptor(&bufs[i], i + 1 < nr, ring->next);
		if (arg[4] == POST_INDIRECT)
			desc = indirect(mem, q, (unsigned)arg[1], bufs, nr);
		random_mem_put(mem, off[0] + at * sizeof(desc), &desc, sizeof(desc));
		if (arg[4] == POST_INDIRECT)
			break;
	}
	put16(mem, off[1] + 4 + 2UL * (ring->avail % ring->num), head);
	ring->avail++;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	put16(mem, off[1] + 2, ring->avail);
}
