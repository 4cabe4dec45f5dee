// SPDX-License-Identifier: BSD-3-Clause
/*
 * The feeder's side of a packed ring. The ring has exactly as many entries as all chains together,
 * so each chain has the same place in each lap. What is used is looked for there, and written anew
 * for the next lap, the head last.
 */
#include "traffic.h"

#define AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define USED  (1u << VRING_PACKED_DESC_F_USED)

static unsigned int chain_len(const struct traffic *t)
{
	return t->blk ? 4 : 1;
}

static void offer(struct traffic *t, unsigned int q, unsigned int slot, bool wrap,
		  struct vring_packed_desc *ring)
{
	for (unsigned int i = chain_len(t); i-- > 0;) {
		unsigned int at = slot * chain_len(t) + i;
		const struct vring_desc *from = &t->chain[q][at];

		ring[at].addr = from->addr;
		ring[at].len = from->len;
		ring[at].id = (uint16_t)slot;
		__atomic_store_n(&ring[at].flags, (uint16_t)(from->flags | (wrap ? AVAIL : USED)),
				 __ATOMIC_RELEASE);
	}
}

void traffic_packed_fill(struct traffic *t, unsigned int q, struct vring_packed_desc *ring)
{
	for (unsigned int slot = 0; slot < TRAFFIC_SLOTS; slot++)
		offer(t, q, slot, true, ring);
	t->slot[q] = 0;
	t->wrap[q] = true;
}

static bool is_used(uint16_t flags, bool wrap)
{
	return !(flags & AVAIL) == !wrap && !(flags & USED) == !wrap;
}

unsigned int traffic_packed_feed(struct traffic *t, unsigned int q, struct vring_packed_desc *ring)
{
	bool in_order = t->ring >> VIRTIO_F_IN_ORDER & 1;
	unsigned int nr = 0;

	while (nr < TRAFFIC_SLOTS) {
		const struct vring_packed_desc *head = &ring[t->slot[q] * chain_len(t)];
		unsigned int n = 1;

		if (!is_used(__atomic_load_n(&head->flags, __ATOMIC_ACQUIRE), t->wrap[q]))
			break;
		if (in_order) /* one element may stand for those before it, too */
			n += (head->id - t->slot[q]) % TRAFFIC_SLOTS;
		for (nr += n; n > 0; n--) {
			offer(t, q, t->slot[q], !t->wrap[q], ring);
			t->slot[q] = (t->slot[q] + 1) % TRAFFIC_SLOTS;
			t->wrap[q] ^= t->slot[q] == 0;
		}
	}
	return nr;
}
