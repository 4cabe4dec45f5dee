// SPDX-License-Identifier: BSD-3-Clause
/* Rings in a guest's memory, whoever runs the device. */
#include <string.h>

#include "guest.h"

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t a, b; /* flags, next; packed: id, flags */
};

static void write_desc(const struct guest *g, uint8_t *to, const struct desc *d)
{
	struct desc out = *d;

	if (g->packed) {
		out.a = d->b;
		out.b = d->a;
	}
	memcpy(to, &out, 12);
	/* the flags of a packed descriptor last */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	memcpy(to + 12, &out.a, 4);
}

void guest_desc(struct guest *g, unsigned int q, unsigned int slot, uint64_t addr, uint32_t len,
		uint32_t flags, uint16_t other)
{
	struct desc d = {addr, len, (uint16_t)flags, other};

	if (g->packed && !(flags & F_RAW))
		d.a |= 1u << 7;
	if (g->packed && slot == 0) { /* the device may be looking: see guest_publish() */
		g->first_flags[q] = d.a;
		g->first_held[q] = true;
		d.a = 0;
	}
	write_desc(g, g->mem + q * QUEUE_LEN + AREA_DESC + slot * sizeof(d), &d);
}

void guest_table(struct guest *g, unsigned int slot, uint64_t addr, uint32_t len, uint32_t flags,
		 uint16_t other)
{
	struct desc d = {addr, len, (uint16_t)flags, other};

	write_desc(g, g->mem + TABLE + slot * sizeof(d), &d);
}

static uint16_t *avail_of(const struct guest *g, unsigned int q)
{
	return (uint16_t *)(void *)(g->mem + q * QUEUE_LEN + AREA_DRIVER);
}

void guest_avail(struct guest *g, unsigned int q, unsigned int pos, uint16_t head)
{
	if (!g->packed)
		avail_of(g, q)[2 + pos] = head;
}

void guest_publish(struct guest *g, unsigned int q, uint16_t idx)
{
	struct desc *first = (void *)(g->mem + q * QUEUE_LEN + AREA_DESC);

	if (!g->packed)
		__atomic_store_n(&avail_of(g, q)[1], idx, __ATOMIC_RELEASE);
	if (g->packed && g->first_held[q])
		__atomic_store_n(&first->b, g->first_flags[q], __ATOMIC_RELEASE);
	g->first_held[q] = false;
	guest_kick(g, q);
}

unsigned int guest_used(const struct guest *g, unsigned int q, uint32_t *len)
{
	const uint8_t *device = g->mem + q * QUEUE_LEN + AREA_DEVICE;
	const struct desc *first = (const void *)(g->mem + q * QUEUE_LEN + AREA_DESC);
	unsigned int n;

	if (g->packed) {
		n = (__atomic_load_n(&first->b, __ATOMIC_ACQUIRE) & 0x8080) == 0x8080;
		*len = first->len;
		return n;
	}
	n = __atomic_load_n((const uint16_t *)(const void *)(device + 2), __ATOMIC_ACQUIRE);
	memcpy(len, device + 8, sizeof(*len));
	return n;
}
