// SPDX-License-Identifier: BSD-3-Clause
/*
 * Inside the device side of the ring: the ring itself, area checks, and the building of one chain.
 * The two layouts (split.c, packed.c) read descriptors and publish used elements; everything that
 * they share is here. Private to src/ring.
 */
#ifndef HOLDFAST_RING_ENGINE_H
#define HOLDFAST_RING_ENGINE_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/trace.h"
#include "iotlb/iotlb.h"
#include "ring/layout.h"
#include "ring/ring.h"
#include "ring/scratch.h"

#define RING_VERSION_NONE UINT64_MAX /* no iotlb version bears this number */
#define RING_TABLE_IOV    64         /* host pieces of one indirect table */

/* A chain that was pushed and is not yet published. */
struct ring_pending {
	uint16_t id;      /* head or buffer id */
	uint16_t seq;     /* of the chain; free-running */
	uint32_t len;     /* bytes written */
	uint16_t nr_desc; /* packed: slots to skip */
	bool done;        /* in_order: pushed, waits for those before it */
};

/* An indirect table in host memory. */
struct ring_table {
	struct iovec iov[RING_TABLE_IOV];
	int nr_iov;
	uint32_t nr; /* descriptors */
};

/* Chains that ring_pop_run() has lent. The pieces of earlier ones are kept: they were the client's,
 * too. */
struct ring_run {
	struct ring_plain chains[RING_RUN_MAX];
	unsigned int nr; /* chains that are out */
};

/* An iotlb version together with its number. Valid until the next quiescent state. */
struct ring_view {
	const struct iotlb_version *v;
	uint64_t number;
};

struct ring {
	/* const while started */
	bool started, packed, event_idx, in_order, indirect;
	bool logging;           /* @dirty is not all false; changes while started */
	uint16_t num;           /* entries */
	uint16_t mask;          /* split: num - 1 */
	uint32_t pending_mask;  /* slots of @pending - 1 */
	struct iotlb *ring_tlb; /* [borrowed] */
	struct iotlb *buf_tlb;  /* [borrowed] */
	struct ring_config config;
	const struct ring_reader *reader; /* the layout */

	/* areas, translated for version @area_number; host addresses */
	uint64_t area_number;
	bool areas_ok;
	char *desc;                      /* [num] of 16 bytes */
	void *driver;                    /* struct split_avail or packed_event */
	void *device;                    /* struct split_used or packed_event */
	uint64_t driver_len, device_len; /* bytes */

	/* position */
	const char *broken;         /* reason, or NULL */
	uint16_t avail_pos;         /* next to pop; split: free-running index, packed: slot */
	uint16_t avail_seen;        /* split: the driver's index when last looked at */
	uint16_t used_pos;          /* next to publish; split: free-running index, packed: slot */
	bool avail_wrap, used_wrap; /* packed */
	bool kicks_off;             /* kicks may be suppressed */
	bool kicks_told;            /* the driver was told so since the start */
	uint16_t kick_event;        /* split, event_idx: avail event last written */
	bool notify_once;     /* event_idx: nothing is known about the driver's last notification */
	uint32_t nr_desc_out; /* packed: slots popped and not yet published */
	uint32_t generation;  /* of this start; chains of an earlier one are ignored */
	uint32_t pop_seq;     /* chains popped; free-running */
	uint32_t push_seq;    /* chains pushed */
	uint32_t flush_seq;   /* chains published */
	uint32_t nr_walked;   /* descriptors of other than plain chains, and entries of the map that
				were looked up for them; free-running */

	struct ring_pending *pending; /* [pending_mask + 1], power of two >= num */
	struct ring_run run;
	struct scratch scratch;
	struct iotlb_cache buf_cache[2];
	unsigned int buf_victim; /* the entry of @buf_cache to replace next */
	struct iotlb_cache table_cache;
	struct ring_table table; /* the last one looked at */

	struct ring_dirty dirty;
	struct ring_ops ops;
	void *arg;
	char *name;
};

extern __thread struct ring *ring_current_;

/* ring_map_areas() - translate the three areas in @view. Return: are all usable? */
bool ring_map_areas(struct ring *ring, const struct ring_view *view) HF_COLD;

static inline struct ring_view ring_view_of(const struct iotlb *tlb)
{
	struct ring_view view = {.v = iotlb_load(tlb)};

	view.number = iotlb_version_number(view.v);
	return view;
}

/* ring_enter() - about to touch the areas. Return: may they be touched? */
static inline bool ring_enter(struct ring *ring, struct ring_view *view)
{
	*view = ring_view_of(ring->ring_tlb);
	ring_current_ = ring;
	if (unlikely(view->number != ring->area_number))
		return ring_map_areas(ring, view);
	return ring->areas_ok;
}

static inline bool ring_is_live(const struct ring *ring)
{
	return ring->started && !ring->broken;
}

/* ring_mark_device() - @len bytes of the device area from @off on were written */
static inline void ring_mark_device(struct ring *ring, uint64_t off, uint64_t len)
{
	if (unlikely(ring->logging) && ring->dirty.device)
		ring->ops.dirty(ring->arg, ring->dirty.device_addr + off, len);
}

/* ---- building one chain ---- */

struct build {
	struct ring *ring;
	struct ring_view ring_view, buf_view;
	struct scratch_block block;
	uint32_t nr;         /* pieces so far */
	uint32_t nr_out;     /* of them readable */
	uint64_t total;      /* bytes of all descriptors */
	uint64_t out_len;    /* bytes of the readable ones */
	bool writing;        /* a writable descriptor was seen */
	bool fault;          /* a buffer is not mapped */
	bool holes;          /* ... and is then a piece without an address */
	bool no_table;       /* an indirect table is not mapped */
	const char *refused; /* the rule that the driver broke, or NULL */
};

/* build_add_slow() - a buffer that the caches do not know as one piece. Return: 0; -ENOBUFS */
int build_add_slow(struct build *b, iova_t iova, uint32_t len, uint8_t perm) HF_MUST_CHECK;

/* build_indirect() - add all buffers of an indirect table. Return: 0; -EPROTO; -ENOBUFS */
int build_indirect(struct build *b, const struct desc *d) HF_MUST_CHECK;

/* build_refuse() - the driver broke a rule, which @b keeps for the caller. Return: -EPROTO */
int build_refuse(struct build *b, const char *reason) HF_COLD;

/* build_begin() - Return: false if all scratch memory is in use */
static inline bool build_begin(struct build *b, struct ring *ring, const struct ring_view *view)
{
	if (unlikely(!scratch_take(&ring->scratch, &b->block)))
		return false;
	b->ring = ring;
	b->ring_view = *view;
	b->buf_view = *view;
	if (unlikely(ring->buf_tlb != ring->ring_tlb))
		b->buf_view = ring_view_of(ring->buf_tlb);
	b->nr = 0;
	b->nr_out = 0;
	b->total = 0;
	b->out_len = 0;
	b->writing = false;
	b->fault = false;
	b->holes = ring->config.holes;
	b->no_table = false;
	b->refused = NULL;
	return true;
}

/* buffers_number() - of the version that buffers are looked up in; @view: of the areas */
static inline uint64_t buffers_number(const struct ring *ring, const struct ring_view *view)
{
	if (unlikely(ring->buf_tlb != ring->ring_tlb))
		return ring_view_of(ring->buf_tlb).number;
	return view->number;
}

/* build_hit() - a buffer that the caches know as one piece; @number: of the buffers' version.
 * Return: NULL if they do not */
static inline char *build_hit(const struct ring *ring, uint64_t number, const struct desc *d,
			      uint8_t perm)
{
	const struct iotlb_cache *cache = ring->buf_cache;
	char *host = iotlb_translate_hit(number, &cache[0], d->addr, d->len, perm);

	return host ? host : iotlb_translate_hit(number, &cache[1], d->addr, d->len, perm);
}

/* build_add() - one buffer. Return: 0; -EPROTO; -ENOBUFS */
static inline int build_add(struct build *b, const struct desc *d)
{
	bool write = d->flags & DESC_F_WRITE;
	uint8_t perm = write ? IOTLB_W : IOTLB_R;
	char *host;

	b->ring->nr_walked++;
	b->total += d->len;
	if (unlikely(b->total > UINT32_MAX))
		return build_refuse(b, "chain is longer than 4 GiB");
	if (write)
		b->writing = true;
	else if (unlikely(b->writing))
		return build_refuse(b, "readable descriptor after a writable one");
	else
		b->out_len = b->total;

	host = build_hit(b->ring, b->buf_view.number, d, perm);
	if (unlikely(!host || b->nr == b->block.room || b->fault))
		return build_add_slow(b, d->addr, d->len, perm);
	b->block.iov[b->nr].iov_base = host;
	b->block.iov[b->nr].iov_len = d->len;
	b->block.iova[b->nr] = d->addr;
	b->nr++;
	b->nr_out += !write;
	return 0;
}

/* build_end() - hand the chain out */
static inline void build_end(struct build *b, struct ring_chain *chain, uint16_t id,
			     uint16_t nr_desc)
{
	chain->id = id;
	chain->nr_desc = nr_desc;
	chain->generation = b->ring->generation;
	chain->scratch = b->block.handle;
	chain->seq = b->ring->pop_seq++;
	chain->fault = b->fault;
	if (unlikely(b->fault && !b->holes)) {
		b->nr = 0;
		b->nr_out = 0;
		b->total = 0;
		b->out_len = 0;
	}
	chain->out = b->block.iov;
	chain->in = b->block.iov + b->nr_out;
	chain->in_iova = b->block.iova + b->nr_out;
	chain->nr_out = b->nr_out;
	chain->nr_in = b->nr - b->nr_out;
	chain->out_len = b->out_len;
	chain->in_len = b->total - b->out_len;
}

static inline void build_abort(struct build *b)
{
	scratch_give(&b->ring->scratch, b->block.handle);
}

/*
 * build_plain() - the whole of most traffic in one go: a chain of one buffer that the caches know
 * as one piece
 * @d: a copy of its descriptor, whose flags say neither NEXT nor INDIRECT nor anything unknown
 * Return: false if it is not such a one; then nothing has happened, and the long way has the reason
 */
static inline bool build_plain(struct ring *ring, const struct ring_view *view,
			       const struct desc *d, uint16_t id, struct ring_chain *chain)
{
	uint32_t nr_in = (d->flags & DESC_F_WRITE) != 0, nr_out = 1 - nr_in;
	uint8_t perm = nr_in ? IOTLB_W : IOTLB_R;
	struct scratch_block block;
	char *host;

	host = build_hit(ring, buffers_number(ring, view), d, perm);
	if (unlikely(!host || !scratch_take(&ring->scratch, &block)))
		return false;
	block.iov[0] = (struct iovec){host, d->len};
	block.iova[0] = d->addr;
	*chain = (struct ring_chain){
		.out = block.iov,
		.in = block.iov + nr_out,
		.in_iova = block.iova + nr_out,
		.nr_out = nr_out,
		.nr_in = nr_in,
		.out_len = nr_out ? d->len : 0,
		.in_len = nr_in ? d->len : 0,
		.id = id,
		.nr_desc = 1,
		.seq = ring->pop_seq++,
		.scratch = block.handle,
		.generation = ring->generation,
	};
	return true;
}

/* run_add() - the next chain of a run that is being taken; its @nr'th */
static inline void run_add(struct ring *ring, unsigned int nr, char *host, const struct desc *d,
			   uint16_t id)
{
	ring->run.chains[nr] = (struct ring_plain){host, d->len, id};
	HF_TRACE4(ring_pop, ring, id, d->flags & DESC_F_WRITE ? 0 : d->len,
		  d->flags & DESC_F_WRITE ? d->len : 0);
}

/*
 * ring_note_pushed() - a chain is completed and waits for ring_flush()
 * @written: becomes the length of its used element
 */
static inline void ring_note_pushed(struct ring *ring, const struct ring_chain *chain,
				    uint32_t written)
{
	uint32_t seq = ring->in_order ? chain->seq : ring->push_seq;
	struct ring_pending *p = &ring->pending[seq & ring->pending_mask];

	scratch_give(&ring->scratch, chain->scratch);
	ring->push_seq++;
	p->id = chain->id;
	p->seq = (uint16_t)chain->seq;
	p->len = written;
	p->nr_desc = chain->nr_desc;
	p->done = true;
	HF_TRACE3(ring_push, ring, chain->id, written);
}

static inline bool ring_is_current(const struct ring *ring, const struct ring_chain *chain)
{
	return ring->started && chain->generation == ring->generation;
}

/* ---- the layouts ---- */

/* How a layout is read and written. A call may touch all areas, unless its line says otherwise. */
struct ring_reader {
	/* as ring_pop() */
	int (*pop)(struct ring *ring, const struct ring_view *view, struct ring_chain *chain);
	bool (*has_avail)(const struct ring *ring);
	/* as has_avail; asks for the memory that popping needs */
	bool (*peek)(struct ring *ring);
	/* chains that are plain, to @ring->run.chains; NULL: this reader takes them one by one */
	unsigned int (*pop_run)(struct ring *ring, const struct ring_view *view, unsigned int max,
				bool write);
	/* the newest @nr_chains, of @nr_desc slots, are given back: the position goes back */
	void (*unpop)(struct ring *ring, unsigned int nr_chains, unsigned int nr_desc);
	/* write @n pending elements and make them visible. Return: does the driver want to know? */
	bool (*publish)(struct ring *ring, uint32_t n);
	void (*kick_disable)(struct ring *ring);
	void (*kick_enable)(struct ring *ring);

	/* pop and publish where an area is not mapped */
	int (*pop_unmapped)(struct ring *ring, const struct ring_view *view,
			    struct ring_chain *chain);
	bool (*publish_unmapped)(struct ring *ring, uint32_t n);

	/* these touch no area */
	void (*set_position)(struct ring *ring, struct ring_state state);
	struct ring_state (*position)(const struct ring *ring);
	/* from where a ring that stops now is to go on */
	struct ring_state (*resume_position)(const struct ring *ring);
};

extern const struct ring_reader ring_split_reader, ring_packed_reader;

/* A ring whose areas are not mapped waits: nothing is consumed, nothing is published. */
int ring_pop_waits(struct ring *ring, const struct ring_view *view,
		   struct ring_chain *chain) HF_COLD;
bool ring_publish_waits(struct ring *ring, uint32_t n) HF_COLD;

#endif
