// SPDX-License-Identifier: BSD-3-Clause
/*
 * The model's memory keys.
 *
 * A key is refused if its protection domain does not exist, its list is not as long as it says, an
 * entity is smaller than 4096 bytes, an address of the list is not a multiple of 4096, the list is
 * shorter than the key, an indirect list is longer than the device can take, or there are too many
 * keys. Keys that an indirect key's list names are looked up at each access, so an access through a
 * key that was destroyed fails then, as on the device.
 *
 * An index that was destroyed is given out again last, so that a stale key is seen as one.
 *
 * An MTT entry is the address of an entity's first byte, and the device adds the offset inside the
 * entity: the kernel's driver relies on that when it takes entities larger than the alignment of
 * its addresses.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model_internal.h"

#define MODE_PA   0
#define MODE_MTT  1
#define MODE_KLM  2
#define MAX_DEPTH 2 /* an indirect key over direct ones */

/* Offsets in bytes of CREATE_MKEY: the mkey context starts at 16. */
#define MKEY_FLAGS    18 /* byte with lw (bit 3), lr (bit 2), access mode (bits 1..0) */
#define MKEY_QPN      20
#define MKEY_LOW      23
#define MKEY_LENGTH64 28
#define MKEY_PD       29
#define MKEY_START    32
#define MKEY_LEN      40
#define MKEY_OCTWORDS 68
#define MKEY_PAGE     74 /* two bytes; log_page_size is the middle six bits */
#define MKEY_ACTUAL   96
#define MKEY_LIST     272

static void mkey_free(struct fw_mkey *k)
{
	if (!k)
		return;
	free(k->mtt);
	free(k->list);
	free(k);
}

void fw_mkeys_free(struct mlx5_model *m)
{
	for (uint32_t i = 0; i < m->next_idx && i < m->room; i++)
		mkey_free(m->mkey[i]);
	free(m->mkey);
	free(m->free_idx);
}

static bool no_room(struct fw_reply *r)
{
	*r = (struct fw_reply){FW_NO_RES, 0x20008, 0};
	return false;
}

static bool read_mtt(struct fw_mkey *k, const uint8_t *list, size_t octwords, struct fw_reply *r)
{
	uint64_t entity = 1ULL << k->log_page;

	k->nr = octwords * 2;
	if (k->log_page < 12 || k->log_page > 40 || k->len == 0 ||
	    k->nr < k->len / entity + (k->len % entity != 0)) {
		*r = (struct fw_reply){FW_BAD_PARAM, 0x20001, 0};
		return false;
	}
	k->mtt = calloc(k->nr, sizeof(*k->mtt));
	if (!k->mtt)
		return no_room(r);
	for (size_t i = 0; i < k->nr; i++) {
		k->mtt[i] = fw_u64(list + i * 8);
		if (k->mtt[i] & 4095) {
			*r = (struct fw_reply){FW_BAD_PARAM, 0x20002, 0};
			return false;
		}
	}
	return true;
}

static bool read_klm(struct mlx5_model *m, struct fw_mkey *k, const uint8_t *list, size_t octwords,
		     struct fw_reply *r)
{
	uint64_t end = 0;

	k->nr = octwords;
	if (k->nr > 1ULL << m->opt.log_max_klm || k->nr == 0 || k->nr % 4) {
		*r = (struct fw_reply){FW_LIMIT, 0x20003, 0};
		return false;
	}
	k->list = calloc(k->nr, sizeof(*k->list));
	if (!k->list)
		return no_room(r);
	for (size_t i = 0; i < k->nr; i++) {
		end += fw_u32(list + i * 16);
		k->list[i] = (struct fw_piece){end, fw_u64(list + i * 16 + 8),
					       fw_u32(list + i * 16 + 4)};
	}
	if (end < k->len) {
		*r = (struct fw_reply){FW_BAD_PARAM, 0x20004, 0};
		return false;
	}
	return true;
}

static bool read_list(struct mlx5_model *m, struct fw_mkey *k, const uint8_t *in, size_t octwords,
		      struct fw_reply *r)
{
	switch (k->mode) {
	case MODE_PA:
		return octwords == 0;
	case MODE_MTT:
		return read_mtt(k, in + MKEY_LIST, octwords, r);
	case MODE_KLM:
		return read_klm(m, k, in + MKEY_LIST, octwords, r);
	default:
		return false;
	}
}

static struct fw_mkey *decode(struct mlx5_model *m, const uint8_t *in, size_t in_len,
			      struct fw_reply *r)
{
	size_t octwords = fw_u32(in + MKEY_ACTUAL);
	uint32_t pd = fw_u24(in + MKEY_PD);
	struct fw_mkey *k;

	*r = (struct fw_reply){FW_BAD_PARAM, 0x20005, 0};
	if (octwords * 16 != in_len - MKEY_LIST || fw_u32(in + MKEY_OCTWORDS) != octwords ||
	    fw_u24(in + MKEY_QPN) != 0xffffff) {
		r->syndrome = 0x20006;
		return NULL;
	}
	if (!fw_pd_is(m, pd)) {
		*r = (struct fw_reply){FW_BAD_RES, 0x20007, 0};
		return NULL;
	}
	k = calloc(1, sizeof(*k));
	if (!k) {
		(void)no_room(r);
		return NULL;
	}
	*k = (struct fw_mkey){.start = fw_u64(in + MKEY_START),
			      .len = fw_u64(in + MKEY_LEN),
			      .pd = pd,
			      .low = in[MKEY_LOW],
			      .mode = in[MKEY_FLAGS] & 3,
			      .log_page =
				      (uint8_t)((in[MKEY_PAGE] << 8 | in[MKEY_PAGE + 1]) & 0x3f),
			      .all = in[MKEY_LENGTH64] >> 7,
			      .write = in[MKEY_FLAGS] >> 3 & 1,
			      .read = in[MKEY_FLAGS] >> 2 & 1};
	if (read_list(m, k, in, octwords, r))
		return k;
	mkey_free(k);
	return NULL;
}

/* Room for one more index. */
static bool grow(struct mlx5_model *m)
{
	size_t room = m->room ? m->room * 2 : 64;
	struct fw_mkey **mkey;
	uint32_t *idx;

	if (m->next_idx < m->room)
		return true;
	mkey = realloc(m->mkey, room * sizeof(struct fw_mkey *));
	if (!mkey)
		return false;
	m->mkey = mkey;
	memset(mkey + m->room, 0, (room - m->room) * sizeof(struct fw_mkey *));
	idx = realloc(m->free_idx, room * sizeof(*idx));
	if (!idx)
		return false;
	m->free_idx = idx;
	m->room = room;
	return true;
}

void fw_create_mkey(struct mlx5_model *m, const struct fw_cmd *c)
{
	struct fw_mkey *k;

	if (m->full || m->nr_mkeys >= m->opt.max_mkeys) {
		fw_refuse(c, FW_NO_RES, 0x20008);
		return;
	}
	k = decode(m, c->in, c->in_len, c->r);
	if (!k)
		return;
	/* Half of the indices lie idle before one is used again. */
	if (m->nr_free > m->opt.max_mkeys / 2) {
		c->r->index = m->free_idx[0];
		m->nr_free--;
		memmove(m->free_idx, m->free_idx + 1, m->nr_free * sizeof(*m->free_idx));
	} else if (grow(m)) {
		c->r->index = m->next_idx++;
	} else {
		mkey_free(k);
		fw_refuse(c, FW_NO_RES, 0x20008);
		return;
	}
	k->serial = ++m->serial;
	m->mkey[c->r->index] = k;
	m->nr_mkeys++;
	m->pd_users[k->pd - 1]++;
	*c->r = (struct fw_reply){FW_OK, 0, c->r->index};
}

void fw_destroy_mkey(struct mlx5_model *m, const struct fw_cmd *c)
{
	uint32_t index = fw_u24(c->in + 9);
	struct fw_mkey *k = index < m->next_idx && index < m->room ? m->mkey[index] : NULL;

	if (!k) {
		fw_refuse(c, FW_BAD_RES, 0x20009);
		return;
	}
	m->pd_users[k->pd - 1]--;
	m->nr_mkeys--;
	m->mkey[index] = NULL;
	m->free_idx[m->nr_free++] = index;
	fw_view_forget(m, k);
	mkey_free(k);
}

/* As a work request would. Lengths stay, so that what lies behind an entry does not move. */
int fw_klm_update(struct mlx5_dev *dev, uint32_t mkey, size_t first, const struct mlx5_klm *klm,
		  size_t nr)
{
	struct mlx5_model *m = container_of(dev, struct mlx5_model, dev);
	struct fw_mkey *k = fw_mkey_of(m, mkey) ? m->mkey[mkey >> 8] : NULL;

	m->seen++;
	if (fw_is_dead(m))
		return m->gone ? -ENODEV : -EIO;
	if (m->fail_at && m->seen == m->fail_at)
		return -EIO;
	if (!m->opt.klm_update || !k || !k->list || first > k->nr || nr > k->nr - first)
		return -EINVAL;
	for (size_t i = 0; i < nr; i++) {
		uint64_t before = first + i ? k->list[first + i - 1].end : 0;

		if (klm[i].len != (uint32_t)(k->list[first + i].end - before))
			return -EINVAL;
	}
	for (size_t i = 0; i < nr; i++) {
		k->list[first + i].addr = klm[i].addr;
		k->list[first + i].mkey = klm[i].mkey;
	}
	fw_view_change(m, mkey);
	return 0;
}

struct access {
	const struct mlx5_model *m;
	struct iovec *iov;
	int nr, max;
	bool write;
};

static int emit(struct access *a, uint64_t addr, uint64_t len)
{
	struct iovec *prev = a->nr ? &a->iov[a->nr - 1] : NULL;

	if (prev && (uint64_t)(uintptr_t)prev->iov_base + prev->iov_len == addr) {
		prev->iov_len += len;
		return 0;
	}
	if (a->nr == a->max)
		return -E2BIG;
	a->iov[a->nr++] = (struct iovec){(void *)(uintptr_t)addr, len};
	return 0;
}

static int walk(struct access *a, uint32_t mkey, uint64_t addr, uint64_t len, int depth);

static int walk_mtt(struct access *a, const struct fw_mkey *k, uint64_t off, uint64_t len)
{
	uint64_t entity = 1ULL << k->log_page;
	int err = 0;

	while (!err && len) {
		uint64_t in = off & (entity - 1);
		uint64_t part = entity - in < len ? entity - in : len;

		err = emit(a, k->mtt[off >> k->log_page] + in, part);
		off += part;
		len -= part;
	}
	return err;
}

static int walk_klm(struct access *a, const struct fw_mkey *k, uint64_t off, uint64_t len,
		    int depth)
{
	size_t low = 0, high = k->nr;
	int err = 0;

	while (low < high) { /* the first entry that ends above @off */
		size_t mid = (low + high) / 2;

		if (k->list[mid].end > off)
			high = mid;
		else
			low = mid + 1;
	}
	for (; !err && len && low < k->nr; low++) {
		uint64_t first = low ? k->list[low - 1].end : 0;
		uint64_t part = k->list[low].end - off < len ? k->list[low].end - off : len;

		if (part)
			err = walk(a, k->list[low].mkey, k->list[low].addr + (off - first), part,
				   depth + 1);
		off += part;
		len -= part;
	}
	return err;
}

static int walk(struct access *a, uint32_t mkey, uint64_t addr, uint64_t len, int depth)
{
	const struct fw_mkey *k = fw_mkey_of(a->m, mkey);

	if (!k || depth > MAX_DEPTH || !(a->write ? k->write : k->read))
		return -EFAULT;
	if (!k->all &&
	    (addr < k->start || addr - k->start >= k->len || len > k->len - (addr - k->start)))
		return -EFAULT;
	if (k->mode == MODE_PA)
		return emit(a, addr, len);
	if (k->mode == MODE_MTT)
		return walk_mtt(a, k, addr - k->start, len);
	return walk_klm(a, k, addr - k->start, len, depth);
}

int mlx5_model_translate(const struct mlx5_model *model, uint32_t mkey, uint64_t addr, uint64_t len,
			 bool write, struct iovec *iov, int max_iov)
{
	struct access a = {.m = model, .iov = iov, .max = max_iov, .write = write};
	int err = walk(&a, mkey, addr, len, 0);

	return err ? err : a.nr;
}
