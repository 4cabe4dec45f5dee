// SPDX-License-Identifier: BSD-3-Clause
/*
 * The chains that a module holds while its process() runs.
 *
 * A module can write to what it gets of a chain. So that is a ticket: the chain itself is kept in a
 * slot here, and a ticket that names no chain which is out is refused with a message.
 */
#include <string.h>

#include "base/log.h"
#include "parents/module/soft.h"

/* What a chain carries for us. */
struct ticket {
	uint64_t idx, slot, serial;
};
_Static_assert(sizeof(struct ticket) <= sizeof(((struct hf_chain *)0)->own),
	       "room in struct hf_chain");

__thread struct hf_soft *soft_current;

/* The chain that a module means. Return: NULL if none of this device is out under that ticket */
static struct soft_slot *slot_of(struct hf_soft *soft, const struct hf_chain *chain)
{
	struct soft_slot *slot;
	struct ticket t;

	memcpy(&t, chain->own, sizeof(t));
	if (!soft || !soft->in_process || t.idx >= soft->desc.nvqs ||
	    t.slot >= soft->queues[t.idx].nr_slots)
		return NULL;
	slot = &soft->queues[t.idx].slots[t.slot];
	return t.serial && slot->serial == t.serial ? slot : NULL;
}

/* The same, of queue @idx. What the module gets wrong is said as @what. */
static struct soft_slot *slot_of_queue(struct hf_soft *soft, uint16_t idx,
				       const struct hf_chain *chain, const char *what)
{
	struct soft_slot *slot = slot_of(soft, chain);

	if (slot && idx == (slot - soft->slots) / SOFT_BATCH)
		return slot;
	hf_err(soft->sim->dev.name, "the module %s a chain that is not out, queue %u", what, idx);
	return NULL;
}

static void slot_take(struct hf_soft *soft, uint16_t idx, const struct ring_chain *popped,
		      struct hf_chain *chain)
{
	struct soft_queue *q = &soft->queues[idx];
	struct ticket t = {idx, q->nr_slots, ++soft->nr_pops};

	q->slots[q->nr_slots++] = (struct soft_slot){*popped, t.serial};
	q->nr_popped++;
	q->nr_out++;
	*chain = (struct hf_chain){
		.out = popped->out,
		.in = popped->in,
		.nr_out = popped->nr_out,
		.nr_in = popped->nr_in,
		.out_len = popped->fault ? 0 : popped->out_len,
		.in_len = popped->fault ? 0 : popped->in_len,
		.fault = popped->fault,
	};
	memcpy(chain->own, &t, sizeof(t));
}

/* Rule 1 of soft.c. */
static bool is_full(const struct hf_soft *soft, uint16_t idx)
{
	const struct soft_queue *q = &soft->queues[idx];
	const struct vdpasim_vq *vq = &soft->sim->vqs[idx];

	return q->full || q->nr_popped == SOFT_BATCH ||
	       (q->nr_popped > 0 && (ring_walked(vq->ring) - q->walked >= RING_WALK_MAX ||
				     (idx == soft->current && vdpasim_is_asked(vq->sw))));
}

bool module_soft_pop(struct hf_soft *soft, uint16_t idx, struct hf_chain *chain)
{
	struct ring_chain popped;
	struct soft_queue *q;
	struct vdpasim_vq *vq;

	if (!soft->in_process || idx >= soft->desc.nvqs)
		return false;
	q = &soft->queues[idx];
	vq = &soft->sim->vqs[idx];
	q->full = is_full(soft, idx);
	if (q->full || !vdpasim_vq_runs(vq))
		return false;
	q->err = ring_pop(vq->ring, &popped);
	if (q->err <= 0)
		return false;
	slot_take(soft, idx, &popped, chain);
	return true;
}

void module_soft_push(struct hf_soft *soft, uint16_t idx, const struct hf_chain *chain,
		      uint32_t written)
{
	struct soft_slot *slot = slot_of_queue(soft, idx, chain, "pushes");
	uint64_t room;

	if (!slot)
		return;
	room = slot->chain.fault ? 0 : slot->chain.in_len;
	if (written > room) {
		hf_err(soft->sim->dev.name, "the module says it wrote %u bytes of %llu, queue %u",
		       written, (unsigned long long)room, idx);
		written = (uint32_t)room;
	}
	ring_push(soft->sim->vqs[idx].ring, &slot->chain, written);
	slot->serial = 0;
	soft->queues[idx].nr_out--;
}

void module_soft_unpop(struct hf_soft *soft, uint16_t idx, const struct hf_chain *chain)
{
	struct soft_slot *slot = slot_of_queue(soft, idx, chain, "gives back");
	struct soft_queue *q;

	if (!slot)
		return;
	q = &soft->queues[idx];
	if (slot != &q->slots[q->nr_slots - 1]) {
		hf_err(soft->sim->dev.name,
		       "the module gives back a chain that is not the last, queue %u", idx);
		return;
	}
	ring_unpop(soft->sim->vqs[idx].ring, &slot->chain, 1);
	slot->serial = 0;
	q->nr_slots--;
	q->nr_out--;
	q->err = SOFT_NOT_ASKED;
}

size_t module_soft_read(const struct hf_chain *chain, size_t off, void *dst, size_t len)
{
	struct soft_slot *slot = slot_of(soft_current, chain);

	if (!slot)
		return 0;
	ring_attend(soft_current->sim->vqs[(slot - soft_current->slots) / SOFT_BATCH].ring);
	return ring_chain_read(&slot->chain, off, dst, len);
}

size_t module_soft_write(const struct hf_chain *chain, size_t off, const void *src, size_t len)
{
	struct soft_slot *slot = slot_of(soft_current, chain);

	if (!slot)
		return 0;
	ring_attend(soft_current->sim->vqs[(slot - soft_current->slots) / SOFT_BATCH].ring);
	return ring_chain_write(&slot->chain, off, src, len);
}
