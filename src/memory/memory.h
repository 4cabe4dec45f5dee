// SPDX-License-Identifier: BSD-3-Clause
/*
 * Where a client's bytes live. A `memory_space` is one client's address space; a `memory_region` is
 * a run of its bytes that a device may touch. Today the one kind of space is this very process (the
 * preload frontend): a client address is a pointer.
 *
 * Two modes. `va`: the device uses the client's addresses as they are; nothing is locked. `pinned`:
 * a region's pages are populated and locked for as long as the region lives; how much a client may
 * have mapped is accounted per mapping against RLIMIT_MEMLOCK by the session (memory_charge()),
 * while the lock itself is dropped only when the last user of the region has let go.
 *
 * A client may take memory away that it still has mapped (munmap, truncate, mprotect). The access
 * then faults, and memory/guard.h turns the fault into an error for the queue that was working.
 *
 * Owns: the locks on pages. Does not own: the client's memory. Used by iotlb (references), ring
 * (guard), vhost_vdpa (create, charge). Thread rule: get/put from any thread; the rest from control
 *         threads.
 */
#ifndef HOLDFAST_MEMORY_MEMORY_H
#define HOLDFAST_MEMORY_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/types.h"

#define MEMORY_PAGE_SIZE 4096ULL
/* What can be a client's: no mapping lies below or above, without privileges or an odd hint to
 * mmap. A fault at NULL, or at an address that the processor cannot form, so is no client's. */
#define MEMORY_ADDR_FIRST 0x10000ULL
#define MEMORY_ADDR_LAST  0x7fffffffffffULL

enum memory_mode { MEMORY_VA, MEMORY_PINNED };

struct memory_space;
struct memory_hold;

/* One run of client bytes. Everything but @refs is const after creation. */
struct memory_region {
	char *host;                 /* @len bytes; host[0] is client byte @uaddr */
	uint64_t len;               /* bytes; 0 means 2^64, the identity region alone */
	uaddr_t uaddr;              /* client's address of the first byte */
	struct memory_space *space; /* [shared] one reference held */
	unsigned int refs;          /* atomic */
	uint32_t pinned;            /* pages are locked until the last put: in which process,
				       table_process(); 0: they are not */
	struct memory_hold *hold;   /* [shared] one reference held; NULL: not held afterwards */
};

/** memory_space_create_own() - this process's address space. Return: 0; -ENOMEM */
int memory_space_create_own(struct memory_space **out) HF_MUST_CHECK;
struct memory_space *memory_space_get(struct memory_space *space);
void memory_space_put(struct memory_space *space);

/** memory_space_identity() - the region of all 2^64 addresses, for 1:1 maps: offset == address
 * Return: [borrowed] lives as long as @space. Never pinned. */
struct memory_region *memory_space_identity(struct memory_space *space);

/**
 * memory_region_create() - name a run of client bytes
 * @uaddr: any alignment in mode va; page aligned in mode pinned
 * @len:   bytes, at least 1; page multiple in mode pinned
 * @write: the device may write: in mode pinned the pages must be writable
 * Return: 0; -EFAULT a hole, or not writable (pinned only); -ENOMEM the kernel's own limit on
 * locked memory, or no memory; -EINVAL range wraps. On error nothing stays locked. Context: control
 * thread; in mode pinned takes time in proportion to @len (about 70 ms a GiB). Pins may overlap: a
 * page stays locked until the last region over it is gone.
 */
int memory_region_create(struct memory_space *space, uaddr_t uaddr, uint64_t len, bool write,
			 enum memory_mode mode, struct memory_region **out) HF_MUST_CHECK;
struct memory_region *memory_region_get(struct memory_region *region);
/** memory_region_put() - drop a reference; the last one unlocks; NULL is fine */
void memory_region_put(struct memory_region *region);
/** memory_region_get_many() - take @n references at once, for tree nodes that are copied */
void memory_region_get_many(struct memory_region *region, unsigned int n);

/** memory_region_unpin() - unlock now, whatever the references (strict mode's order, [2-18]) */
void memory_region_unpin(struct memory_region *region);

/* What is mapped at an address. */
struct memory_source {
	uint64_t dev, ino, off; /* file, major << 32 | minor, and offset in it; 0 without a file */
	bool mapped;            /* else a hole, and nothing else holds */
	bool shared_file;       /* MAP_SHARED, and a file (memfd and shared anonymous count) */
	bool readable, writable;
};

/* One piece of the client's address space: a mapping, or the hole between two. */
struct memory_piece {
	uaddr_t first, last;         /* inclusive, cut to the range asked for */
	struct memory_source source; /* of @first */
};

/** memory_piece_fn - Return: 0 to go on, anything else ends the walk and is returned */
typedef int (*memory_piece_fn)(void *arg, const struct memory_piece *piece);

/**
 * memory_space_walk() - visit the pieces of [@first, @last], which cover all of it, in ascending
 * order
 * Return: 0; @fn's value; -errno, where the process's map cannot be read
 */
int memory_space_walk(struct memory_space *space, uaddr_t first, uaddr_t last, memory_piece_fn fn,
		      void *arg) HF_MUST_CHECK;

/**
 * memory_charge() - account @nr_pages of pinned mapping to the client
 * @beyond_limit: for devices made so: what the system itself lets this process lock is then the
 *                only limit
 * Return: 0; -ENOMEM if the sum would exceed RLIMIT_MEMLOCK (privileges do not matter, [2-9]), or
 * overflow.
 */
int memory_charge(struct memory_space *space, uint64_t nr_pages, bool beyond_limit) HF_MUST_CHECK;
void memory_uncharge(struct memory_space *space, uint64_t nr_pages);
/**
 * memory_charge_range() - account a mapping of the pages from @first on
 * @payer: who maps, a key that is compared alone. A payer's mappings add up; of several payers'
 *         mappings of one page, the payer counts that has most.
 * Return: 0; -ENOMEM; as memory_charge()
 */
int memory_charge_range(struct memory_space *space, const void *payer, uaddr_t first,
			uint64_t nr_pages, bool beyond_limit) HF_MUST_CHECK;
/** memory_uncharge_range() - undo one memory_charge_range() of exactly this range and payer */
void memory_uncharge_range(struct memory_space *space, const void *payer, uaddr_t first,
			   uint64_t nr_pages);
/** memory_charged_pages() - what is accounted now, in pages; the counterpart of VmPin */
uint64_t memory_charged_pages(struct memory_space *space);

/**
 * memory_copy_from() / memory_copy_to() - copy bytes of the client on a control path
 * Return: 0; -EFAULT if any byte is not accessible (part may have been copied).
 */
int memory_copy_from(struct memory_space *space, void *dst, uaddr_t src, size_t len) HF_MUST_CHECK;
int memory_copy_to(struct memory_space *space, uaddr_t dst, const void *src,
		   size_t len) HF_MUST_CHECK;

#endif
