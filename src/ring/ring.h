// SPDX-License-Identifier: BSD-3-Clause
/*
 * Device side of a virtqueue, split and packed. The one engine for every queue of every device,
 * control queues too, and the only place that reads descriptors and validates them: each descriptor
 * is copied once, the copy is checked, translated through the IOTLB and handed out as host memory.
 *
 * Where things live: ring areas (descriptors, driver area, device area, indirect tables) are looked
 * up in @ring_tlb, buffers in @buf_tlb; with a descriptor group these are two address spaces, else
 * one. Areas are translated for their full length and again whenever the IOTLB's version changes,
 * so addresses may be set before anything is mapped.
 *
 * Errors: an area that is not mapped (yet) stalls the queue: ring_pop() gives -EFAULT, nothing is
 * consumed, the next kick tries again. A buffer that is not mapped gives a chain with `fault` set,
 * to be completed with length 0. A malformed ring (bad index, loop, length, unknown flags) breaks
 * the ring: ring_break(), -EPROTO from then on, the device sets NEEDS_RESET.
 *
 * Ordering: (R1) a descriptor is read after the index that made it available; (R2) a used element
 * is visible before the index or flag that publishes it; (R3) used state is visible before the
 * driver's notification setting is read; (R4) after notifications are enabled the available index
 * is looked at again, so no kick is lost.
 *
 * Limits: an area must lie in one run of host memory (entries that touch are one run), aligned for
 * its fields; else it counts as not mapped. docs/ring.md has the rules of validation and the sizes.
 *
 * Owns: scratch memory for the chains that are out. Does not own the guest's memory nor the iotlbs.
 * Used by parents; driver side in ring/driver.h. Thread rule: one thread at a time (its worker, or
 * a control thread holding the worker's lock); data functions only while RCU online or so locked.
 */
#ifndef HOLDFAST_RING_RING_H
#define HOLDFAST_RING_RING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/compiler.h"
#include "base/iov.h"
#include "base/types.h"
#include "iotlb/iotlb.h"

#define RING_NUM_MAX       32768
#define RING_WALK_MAX      4096 /* descriptors and entries of the map: then a batch ends */
#define RING_RUN_MAX       8    /* chains of ring_pop_run(): two lines of descriptors */
#define RING_CHAIN_IOV_MAX 1024 /* host pieces of one chain, both directions */

struct ring;
struct ring_reader;

/* What the client has set. Plain values; checked by ring_start(). */
struct ring_config {
	uint16_t num;   /* entries, 1..32768; split: power of two */
	bool packed;    /* VIRTIO_F_RING_PACKED */
	bool event_idx; /* VIRTIO_F_EVENT_IDX */
	/* VIRTIO_F_INDIRECT_DESC; a set flag without it breaks the ring */
	bool indirect;
	bool in_order; /* VIRTIO_F_IN_ORDER: used in the order made available */
	/* Keep what is mapped of a chain that is not mapped whole. What the device does with such a
	 * chain decides: a disk writes the status even if the data is not mapped, a network card
	 * can do nothing with half a frame. */
	bool holes;
	/* A buffer that is not mapped breaks the ring, as a device does whose keys are checked. */
	bool faults_break;
	/* NULL: the layout's own. Else another reader of that layout (ring/strict.h) */
	const struct ring_reader *reader;
	iova_t desc_addr;   /* descriptor table: 16 * num bytes */
	iova_t driver_addr; /* split: 2*(3+num) bytes (avail); packed: 4 bytes */
	iova_t device_addr; /* split: 6+8*num bytes (used); packed: 4 bytes */
};

/* Position of a ring, [1-30] and [1-31]. Split: last_avail is the free-running 16-bit index, and
 * the used index equals it while nothing is in flight. Packed: bit 15 is the wrap counter. */
struct ring_state {
	uint16_t last_avail;
	uint16_t last_used;
};

/* Called by the ring on its user's behalf; all may be NULL. Worker context, no lock added. */
struct ring_ops {
	/** @len bytes from @first on were written: used elements, indices, suppression fields,
	 * buffers. Only what ring_set_dirty() asks for. Buffers are marked by ring_push(), the rest
	 * by the call that wrote it; always after the bytes are written. */
	void (*dirty)(void *arg, iova_t first, uint64_t len);
	/** the ring broke; @reason is a constant string; called once per break */
	void (*broken)(void *arg, const char *reason);
};

/** ring_create() - a stopped ring; @name (copied) prefixes messages. Return: 0; -ENOMEM */
int ring_create(const char *name, const struct ring_ops *ops, void *arg,
		struct ring **out) HF_MUST_CHECK;
void ring_destroy(struct ring *ring);

/**
 * ring_start() - make the ring usable from @state on; a broken ring lives again
 * @ring_tlb, @buf_tlb: [borrowed] until ring_stop()
 * @state: split: last_avail alone counts, but with a reader that says otherwise
 * Return: 0; -EINVAL num is 0, too big, or (split) not a power of two, or (packed) @state is
 * outside the ring; -ENOMEM. No guest memory is touched, so the driver may not kick yet: poll once,
 * and let ring_kick_enable() say whether to wait. The first ring_flush() that publishes may ask for
 * a notification that the event index would not.
 */
int ring_start(struct ring *ring, const struct ring_config *config, struct iotlb *ring_tlb,
	       struct iotlb *buf_tlb, struct ring_state state) HF_MUST_CHECK;
/** ring_stop() - no guest memory is touched any more; chains popped or pushed and not yet published
 * by ring_flush() are forgotten, and a push of one is ignored. Return: position of the first chain
 * not yet published if completion is in order, so that it can be started from there. A user that
 * completes out of order completes everything, and flushes, first. */
struct ring_state ring_stop(struct ring *ring);
/** ring_set_tlbs() - other address spaces from now on (SET_GROUP_ASID); started or not */
void ring_set_tlbs(struct ring *ring, struct iotlb *ring_tlb, struct iotlb *buf_tlb);
/* What is told to ops->dirty. */
struct ring_dirty {
	bool buffers;       /* buffers, at their IOVA */
	bool desc;          /* packed: the descriptor ring, at its IOVA */
	bool device;        /* the device area, as if it lay at @device_addr */
	iova_t device_addr; /* most often config.device_addr */
};
/** ring_set_dirty() - log so from now on; started or not; nothing at first. Kept over stop and
 * start. */
void ring_set_dirty(struct ring *ring, const struct ring_dirty *dirty);
bool ring_is_started(const struct ring *ring);
struct ring_state ring_get_state(const struct ring *ring);
/** ring_resume_state() - what ring_stop() would return now */
struct ring_state ring_resume_state(const struct ring *ring);

/** ring_break() - the ring is dead until the next ring_start(); calls ops->broken once */
void ring_break(struct ring *ring, const char *reason) HF_COLD;
/** ring_broken_reason() - Return: the reason, or NULL */
const char *ring_broken_reason(const struct ring *ring);
/** ring_current() - the ring of this thread that last touched guest memory, for memory_guard
 * faults. May name a ring that another thread has destroyed since: compare it with your own before
 * use. */
struct ring *ring_current(void);
/** ring_attend() - buffers of @ring are touched next: where a user works on two rings at once, a
 * fault is put down to the right one. NULL: no ring's. */
void ring_attend(struct ring *ring);
/**
 * ring_attend_copy() - the same for a copy into buffers of @ring from some of another's @from,
 * @src: [lent] the other ring and @nr pieces of a chain of it that is out, until the next
 * ring_attend*()
 */
void ring_attend_copy(struct ring *ring, struct ring *from, const struct iovec *src,
		      unsigned int nr);
/** ring_attend_runs() - the same while the run of @from is copied to the run of @ring */
void ring_attend_runs(struct ring *ring, struct ring *from);
/** ring_at_fault() - as ring_current(), and the other ring of a copy if @addr lies in its pieces */
struct ring *ring_at_fault(uintptr_t addr);
/** ring_owns() - does @addr lie in client memory that @ring may touch right now: an area, an
 * indirect table, a piece of a chain? A memory_guard_owns_fn, for the thread that uses the ring.
 * @ring: struct ring */
bool ring_owns(void *ring, uintptr_t addr);

/* One request. The iovecs point to the ring's scratch memory: valid until the chain is pushed. */
struct ring_chain {
	struct iovec *out; /* device reads; out[nr_out] */
	struct iovec *in;  /* device writes; in[nr_in] */
	iova_t *in_iova;   /* IOVA of each in[] piece, for the dirty log */
	uint32_t nr_out, nr_in;
	uint64_t out_len, in_len; /* bytes */
	uint16_t id;              /* head index (split) or buffer id (packed) */
	uint16_t nr_desc;         /* ring slots used (packed) */
	/* a buffer is not mapped: nr_out = nr_in = 0; push with length 0. With config.holes the
	 * chain is whole, and such a buffer is a piece whose address is NULL; it is empty only
	 * where its pieces cannot be told (indirect table not mapped, too many) */
	bool fault;
	uint32_t seq, scratch, generation; /* the ring's own; copied with the rest */
};

/**
 * ring_pop() - take the next available chain
 * @chain: [out] written when 1 is returned
 * Return: 1 a chain; 0 none, or the ring is stopped; -EFAULT an area is not mapped (nothing
 * consumed, try at the next kick); -EPROTO broken now or before; -ENOBUFS as many chains are out as
 * scratch memory allows (push some).
 */
int ring_pop(struct ring *ring, struct ring_chain *chain) HF_MUST_CHECK;

/**
 * ring_pop_many() - ring_pop() up to @max times, for less
 * @chains: [out] the first ones are written, as many as returned
 * @err: [out] what the pop after the last gave: 1 if @max were popped, or fewer because they have
 * RING_WALK_MAX descriptors together; else see ring_pop()
 * Return: chains popped
 */
unsigned int ring_pop_many(struct ring *ring, struct ring_chain *chains, unsigned int max,
			   int *err);

/* A chain of one buffer that is one piece of host memory: nearly every frame is such a one. */
struct ring_plain {
	char *base;   /* host address */
	uint32_t len; /* bytes */
	uint16_t id;  /* as in struct ring_chain */
};

/**
 * ring_run_len() - how long the next run should be: none then shares the lines of its descriptors
 * with the next one. Else the driver, which follows the device, takes a line of which the device
 * has yet to write the rest
 * Return: 1 to RING_RUN_MAX
 */
unsigned int ring_run_len(const struct ring *ring);
/**
 * ring_pop_run() - take the next chains while they are plain, for much less than ring_pop_many()
 * @max: at most that many, and RING_RUN_MAX;  @write: those that the device writes, else reads
 * @run: [out] [lent] until ring_push_run(), before which nothing else is popped or pushed here
 * Return: chains of the run; 0 if ring_pop() has to be asked: there is none, or it is another
 * chain, or its buffer is not in the caches, which ring_pop() fills, or the ring has no runs (it is
 * logged, strict, stopped, broken or not mapped)
 */
unsigned int ring_pop_run(struct ring *ring, unsigned int max, bool write,
			  const struct ring_plain **run);
/**
 * ring_push_run() - complete the first @n chains of the run, in this order, and give the others
 * back, as ring_unpop() does
 * @written: [@n] bytes, none beyond its chain's length; NULL: nothing was written
 */
void ring_push_run(struct ring *ring, unsigned int n, const uint32_t *written);

/** ring_walked() - how many descriptors of chains with more than one were read, and how many
 * entries of the map their buffers and those of others have needed; free-running. A user of
 * ring_pop() ends its batch at RING_WALK_MAX more: a driver can make one chain cost as much as a
 * thousand. */
uint32_t ring_walked(const struct ring *ring);

/**
 * ring_peek() - is there a chain to pop? Asks for the memory that popping it will need, so a user
 * of two rings looks at both before it pops from either. Return: false also where ring_pop() would
 * give an error
 */
bool ring_peek(struct ring *ring);

/** ring_unpop() - give back the last @n chains popped, as if never popped
 * @chains: in the order they were popped; none of them, and no chain popped later, was pushed. If a
 * chain is not the newest that is out, the ring breaks. */
void ring_unpop(struct ring *ring, const struct ring_chain *chains, unsigned int n);

/** ring_is_newest() - could ring_unpop() give back this chain alone? @chain: not pushed */
bool ring_is_newest(const struct ring *ring, const struct ring_chain *chain);

/** ring_has_out() - was a chain popped that was neither pushed nor given back? */
bool ring_has_out(const struct ring *ring);

/**
 * ring_push() - complete a chain, in any order; with in_order it is published when those before it
 * are
 * @written: bytes written to the in pieces from their start; marked dirty through the hook
 * The driver sees it after ring_flush(). If @written is beyond in_len, the ring breaks.
 */
void ring_push(struct ring *ring, const struct ring_chain *chain, uint32_t written);

/** ring_push_read() - complete @n chains to which nothing was written, in this order */
void ring_push_read(struct ring *ring, const struct ring_chain *chains, unsigned int n);

/**
 * ring_wrote() - of a chain that is still out: @len writable bytes from @off on were written,
 * beside those that ring_push() is told of, which are the first ones. For the dirty log alone.
 */
void ring_wrote(struct ring *ring, const struct ring_chain *chain, uint64_t off, uint64_t len);

/**
 * ring_flush() - publish what was pushed since the last flush (R2, R3)
 * Return: true if the driver wants a notification; -EFAULT is not reported: an unmapped used area
 * keeps the elements for the next flush.
 */
bool ring_flush(struct ring *ring);

/** ring_is_flushed() - does nothing that was pushed, and could be published, wait for the used area
 * to be mapped? Of a ring that is broken or stopped nothing does. */
bool ring_is_flushed(const struct ring *ring);

/** ring_is_in_turn() - is what waits to be published all behind what was published? Where it is
 * not, who goes on at ring_resume_state() does chains again that the driver has back, and others
 * never. Of a ring without chains that are out */
bool ring_is_in_turn(const struct ring *ring);

/** ring_kick_disable() - tell the driver not to kick (a hint; nothing for an unmapped ring) */
void ring_kick_disable(struct ring *ring);
/** ring_kick_enable() - ask for kicks again; with the event index, for one. Return: true if chains
 * are available already (R4); false also if the ring is broken, stopped or not mapped */
bool ring_kick_enable(struct ring *ring);
/** ring_kick_is_disabled() - kicks may be suppressed: disabled, or not enabled yet since the
 * start */
bool ring_kick_is_disabled(const struct ring *ring);

/** Copy between a chain's pieces and plain memory. Return: bytes copied, at most what the pieces
 * hold past @off */
static inline size_t ring_chain_read(const struct ring_chain *chain, size_t off, void *dst,
				     size_t len)
{
	return iov_read(chain->out, chain->nr_out, off, dst, len);
}

static inline size_t ring_chain_write(const struct ring_chain *chain, size_t off, const void *src,
				      size_t len)
{
	return iov_write(chain->in, chain->nr_in, off, src, len);
}

#endif
