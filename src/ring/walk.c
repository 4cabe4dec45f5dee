// SPDX-License-Identifier: BSD-3-Clause
/*
 * The less travelled parts of building a chain: buffers that are not one cached piece, and indirect
 * tables. A table is translated whole, then walked in place; each descriptor is copied once.
 */
#include "ring/engine.h"

int build_refuse(struct build *b, const char *reason)
{
	b->refused = reason;
	return -EPROTO;
}

static int translate_into(struct build *b, iova_t iova, uint32_t len, uint8_t perm)
{
	struct ring *ring = b->ring;
	struct iotlb_cache *cache = &ring->buf_cache[ring->buf_victim ^= 1];
	int n;

	for (;;) {
		uint32_t looked = cache->nr_looked;

		n = -E2BIG;
		if (b->nr < b->block.room)
			n = iotlb_translate(b->buf_view.v, cache, iova, len, perm,
					    b->block.iov + b->nr, (int)(b->block.room - b->nr));
		ring->nr_walked += cache->nr_looked - looked;
		if (n != -E2BIG)
			return n;
		n = scratch_grow(&ring->scratch, &b->block, b->nr);
		if (n)
			return n;
	}
}

/* A buffer that is not mapped, as a piece without an address. */
static int add_hole(struct build *b, iova_t iova, uint32_t len, uint8_t perm)
{
	int rc = 0;

	if (b->nr == b->block.room)
		rc = scratch_grow(&b->ring->scratch, &b->block, b->nr);
	if (rc == -E2BIG) {
		b->holes = false;
		return 0;
	}
	if (rc)
		return rc;
	b->block.iov[b->nr] = (struct iovec){NULL, len};
	b->block.iova[b->nr] = iova;
	b->nr++;
	b->nr_out += perm == IOTLB_R;
	return 0;
}

int build_add_slow(struct build *b, iova_t iova, uint32_t len, uint8_t perm)
{
	int n;

	if (len == 0 || (b->fault && !b->holes))
		return 0;
	n = translate_into(b, iova, len, perm);
	if (n == -ENOBUFS)
		return n;
	if (n <= 0 && n != -E2BIG && b->ring->config.faults_break)
		return build_refuse(b, "a buffer is not mapped");
	if (n <= 0) {
		b->fault = true;
		b->holes &= n != -E2BIG;
		return b->holes ? add_hole(b, iova, len, perm) : 0;
	}
	for (int i = 0; i < n; i++) {
		b->block.iova[b->nr + (uint32_t)i] = iova;
		iova += b->block.iov[b->nr + (uint32_t)i].iov_len;
	}
	b->nr += (uint32_t)n;
	if (perm == IOTLB_R)
		b->nr_out += (uint32_t)n;
	return 0;
}

/* Copy descriptor @i, which may straddle pieces of the table. */
static void table_copy(const struct ring_table *t, uint32_t i, struct desc *d)
{
	uint64_t off = (uint64_t)i * DESC_SIZE;
	char bytes[DESC_SIZE] __attribute__((aligned(8)));
	unsigned int have = 0;

	for (int k = 0; k < t->nr_iov && have < DESC_SIZE; k++) {
		uint64_t len = t->iov[k].iov_len;
		unsigned int part;

		if (off >= len) {
			off -= len;
			continue;
		}
		if (have == 0 && len - off >= DESC_SIZE) {
			desc_copy_split((const char *)t->iov[k].iov_base + off, d);
			return;
		}
		part = DESC_SIZE - have;
		if (len - off < part)
			part = (unsigned int)(len - off);
		access_copy_bytes(bytes + have, (const char *)t->iov[k].iov_base + off, part);
		have += part;
		off = 0;
	}
	desc_copy_split(bytes, d);
}

/* Return: 0; -EFAULT not mapped; -EPROTO */
static int table_open(struct build *b, const struct desc *d, struct ring_table *t)
{
	struct ring *ring = b->ring;
	uint32_t max = ring->num > RING_CHAIN_IOV_MAX ? ring->num : RING_CHAIN_IOV_MAX;
	char *host;

	if (!ring->indirect)
		return build_refuse(b, "indirect descriptor without the feature");
	if (d->flags & DESC_F_NEXT)
		return build_refuse(b, "indirect descriptor with a next one");
	if (d->len == 0 || d->len % DESC_SIZE != 0)
		return build_refuse(b, "indirect table length is not a multiple of 16");
	t->nr = d->len / DESC_SIZE;
	if (t->nr > max)
		return build_refuse(b, "indirect table is too long");
	host = iotlb_translate_hit(b->ring_view.number, &ring->table_cache, d->addr, d->len,
				   IOTLB_R);
	t->nr_iov = 1;
	t->iov[0].iov_base = host;
	t->iov[0].iov_len = d->len;
	if (!host)
		t->nr_iov = iotlb_translate(b->ring_view.v, &ring->table_cache, d->addr, d->len,
					    IOTLB_R, t->iov, RING_TABLE_IOV);
	return t->nr_iov > 0 ? 0 : -EFAULT;
}

/* The packed layout keeps the flags in a descriptor's last word, the split one in the word
 * before. */
static void desc_as_packed(struct desc *d)
{
	uint16_t id = d->flags;

	d->flags = d->next;
	d->next = id;
}

/* Packed tables are arrays; only WRITE means something in them. */
static int table_walk_packed(struct build *b, const struct ring_table *t)
{
	struct desc d;
	int rc = 0;

	for (uint32_t i = 0; i < t->nr && rc == 0; i++) {
		table_copy(t, i, &d);
		desc_as_packed(&d);
		if (d.flags & DESC_F_INDIRECT)
			return build_refuse(b, "nested indirect table");
		rc = build_add(b, &d);
	}
	return rc;
}

static int table_walk_split(struct build *b, const struct ring_table *t)
{
	uint32_t i = 0, left = t->nr;
	struct desc d;
	int rc;

	for (;;) {
		if (i >= t->nr)
			return build_refuse(b,
					    "descriptor index out of range in an indirect table");
		if (left-- == 0)
			return build_refuse(b, "indirect table has a loop");
		table_copy(t, i, &d);
		if (d.flags & DESC_F_INDIRECT)
			return build_refuse(b, "nested indirect table");
		if (d.flags & ~(DESC_F_NEXT | DESC_F_WRITE))
			return build_refuse(b, "unknown descriptor flag");
		rc = build_add(b, &d);
		if (rc || !(d.flags & DESC_F_NEXT))
			return rc;
		i = d.next;
	}
}

int build_indirect(struct build *b, const struct desc *d)
{
	struct ring_table *t = &b->ring->table;
	int rc = table_open(b, d, t);

	if (rc == -EFAULT && b->ring->config.faults_break)
		return build_refuse(b, "an indirect table is not mapped");
	if (rc == -EFAULT) {
		b->fault = true;
		b->holes = false;
		b->no_table = true;
		return 0;
	}
	if (rc)
		return rc;
	return b->ring->packed ? table_walk_packed(b, t) : table_walk_split(b, t);
}
