// SPDX-License-Identifier: BSD-3-Clause
/*
 * What an I/O address means: a versioned map from inclusive IOVA ranges of the full 64-bit space to
 * (memory region, offset, permission). The current version is published under RCU; device workers
 * look addresses up without a lock and without writing shared memory. Control threads make new
 * versions by copying the path to what changes, so two versions share every subtree that is equal
 * and their difference costs what changed.
 *
 * Owns: its nodes, one reference on the memory region of every entry of every version in existence.
 * Used by ring (lookup), vdpa and parents (versions, differences), vhost_vdpa (editing).
 * Thread rule: editing and version functions by one control thread at a time (the device lock);
 * iotlb_load(), iotlb_lookup(), iotlb_translate() also by RCU readers.
 */
#ifndef HOLDFAST_IOTLB_IOTLB_H
#define HOLDFAST_IOTLB_IOTLB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/compiler.h"
#include "base/types.h"
#include "memory/memory.h"

/* Access as seen by the device; the values of the vhost uAPI (VHOST_ACCESS_*). */
enum iotlb_perm { IOTLB_NONE = 0, IOTLB_R = 1, IOTLB_W = 2, IOTLB_RW = 3 };

#define IOTLB_MAX_ENTRIES_DEFAULT 1048576UL

struct iotlb;         /* one address space: current version and the writer's state */
struct iotlb_version; /* an immutable version; reference counted by control threads */

struct iotlb_entry {
	iova_t first, last;        /* inclusive */
	struct memory_region *mem; /* [borrowed] lives as long as the version */
	uint64_t off;              /* byte offset of @first in @mem */
	uint8_t perm;              /* enum iotlb_perm; other bits of the uAPI byte are not kept */
};

/** iotlb_create() - an empty address space; @max_entries: limit. Return: 0; -ENOMEM; -EINVAL limit
 * 0 */
int iotlb_create(size_t max_entries, struct iotlb **out) HF_MUST_CHECK;
/** iotlb_destroy() - NULL is fine; no reader may be inside; snapshots may outlive it */
void iotlb_destroy(struct iotlb *tlb);

/**
 * iotlb_map() - add one range
 * @first:  inclusive, any alignment;  @last: inclusive, >= @first
 * @mem:    [lent] one reference is taken on success, none on failure
 * @off:    byte offset of @first in @mem; the range must lie inside @mem
 * @perm:   any enum iotlb_perm value; IOTLB_NONE is present but useless to the device
 * Return: 0; -EINVAL bad range; -EEXIST overlap; -ENOSPC entry limit; -ENOMEM. On error unchanged.
 * Context: control thread. Visible to readers at once, or at iotlb_commit() inside a batch. As
 * every call that publishes (unmap, commit, assign), it may wait for a grace period: when too many
 * old versions have gathered since the last iotlb_synchronize().
 */
int iotlb_map(struct iotlb *tlb, iova_t first, iova_t last, struct memory_region *mem, uint64_t off,
	      uint8_t perm) HF_MUST_CHECK;

/**
 * iotlb_unmap() - remove every entry that overlaps [@first, @last], whole entries only
 * @last:       may lie below @first: then an entry that contains both goes ([2-17], size 0)
 * @nr_removed: [out] may be NULL
 * Return: 0; -ENOMEM (unchanged). Readers may still use the old version until iotlb_synchronize().
 */
int iotlb_unmap(struct iotlb *tlb, iova_t first, iova_t last, size_t *nr_removed) HF_MUST_CHECK;

/** iotlb_begin() - edits from now on go to a private root; nesting is -EBUSY */
int iotlb_begin(struct iotlb *tlb) HF_MUST_CHECK;
/** iotlb_commit() - publish the batch as one version; cannot fail */
void iotlb_commit(struct iotlb *tlb);
/** iotlb_abort() - drop the batch; the published version stays */
void iotlb_abort(struct iotlb *tlb);

/**
 * iotlb_synchronize() - wait until no reader uses an older version than the published one, then
 * free what only those needed (region references included). Context: control thread, blocks, no
 * lock that a worker takes online.
 */
void iotlb_synchronize(struct iotlb *tlb);

/* ---- versions (control threads) ---- */

/** iotlb_snapshot() - a reference on the published version (inside a batch: on the private one as
 * it is now, which later edits do not change). Never fails. */
const struct iotlb_version *iotlb_snapshot(struct iotlb *tlb);
const struct iotlb_version *iotlb_version_get(const struct iotlb_version *v);
/** iotlb_version_put() - NULL is fine. Safe at any time: an iotlb that publishes or has published
 * the version keeps its own reference until no RCU reader is inside. */
void iotlb_version_put(const struct iotlb_version *v);

/** iotlb_assign() - publish @v, of whatever iotlb, as this one's version: how a software parent
 * takes a set_map; costs nothing that grows with @v. Return: 0; -ENOMEM; -ENOSPC over its limit;
 * -EBUSY inside a batch. */
int iotlb_assign(struct iotlb *tlb, const struct iotlb_version *v) HF_MUST_CHECK;

size_t iotlb_version_nr_entries(const struct iotlb_version *v);
/** iotlb_version_number() - unique in the process and growing; equal numbers mean equal contents */
uint64_t iotlb_version_number(const struct iotlb_version *v);

/** iotlb_version_next() - first entry whose last >= @from. Return: false if there is none.
 * Iterate with from = entry.last + 1 until entry.last == UINT64_MAX. */
bool iotlb_version_next(const struct iotlb_version *v, iova_t from, struct iotlb_entry *entry);

enum iotlb_change { IOTLB_REMOVED, IOTLB_ADDED };
/** iotlb_diff_fn - Return: 0 to go on; anything else ends the walk and is returned */
typedef int (*iotlb_diff_fn)(void *arg, enum iotlb_change change, const struct iotlb_entry *entry);

/**
 * iotlb_diff() - report entries that are only in @from (REMOVED) or only in @to (ADDED), by address
 * An entry that differs in anything is reported as removed and added. Shared subtrees are skipped.
 * Each removal comes before the additions that overlap it, so changes may be applied one by one.
 * Return: 0 or @fn's value.
 */
int iotlb_diff(const struct iotlb_version *from, const struct iotlb_version *to, iotlb_diff_fn fn,
	       void *arg);

/* ---- the editing view (control threads): includes an open batch ---- */

size_t iotlb_nr_entries(const struct iotlb *tlb);
/** iotlb_next() - as iotlb_version_next(), on the editing view */
bool iotlb_next(const struct iotlb *tlb, iova_t from, struct iotlb_entry *entry);
/** iotlb_overlaps() - is any byte of [@first, @last] mapped? */
bool iotlb_overlaps(const struct iotlb *tlb, iova_t first, iova_t last);
/** iotlb_memory_bytes() - heap bytes of the published version's nodes, for the benches */
size_t iotlb_memory_bytes(const struct iotlb *tlb);

/* ---- readers: RCU online, or a control thread with the device lock ---- */

/** iotlb_load() - the published version; valid until the reader's next quiescent state */
const struct iotlb_version *iotlb_load(const struct iotlb *tlb);
/** iotlb_lookup() - the entry that contains @iova. Return: false if none */
bool iotlb_lookup(const struct iotlb_version *v, iova_t iova, struct iotlb_entry *entry);

/* A queue's last hit. Zero-initialised is empty. One thread uses it at a time. */
struct iotlb_cache {
	uint64_t version; /* iotlb_version_number() that the rest belongs to */
	iova_t first, last;
	char *host; /* address of byte @first */
	uint8_t perm;
	uint32_t
		nr_looked; /* entries that translations beside a hit have looked at; free-running */
};

#define IOTLB_MISS (-EFAULT)

/**
 * iotlb_translate() - turn [@iova, @iova + @len - 1] into host memory
 * @cache: last hit, may be NULL;  @perm: IOTLB_R, IOTLB_W or both, all required
 * @iov:   [out] pieces in order, touching ones merged;  @max_iov: room in @iov, at least 1
 * Return: number of pieces; -EFAULT a byte is not mapped or not permitted; -E2BIG more than
 * @max_iov pieces; -EINVAL @len 0 or the range wraps. @iov is undefined on error.
 */
int iotlb_translate(const struct iotlb_version *v, struct iotlb_cache *cache, iova_t iova,
		    uint64_t len, uint8_t perm, struct iovec *iov, int max_iov) HF_MUST_CHECK;

/** iotlb_translate_hit() - the inline fast path: one contiguous piece out of @cache, or NULL
 * (then call iotlb_translate()). */
static inline char *iotlb_translate_hit(uint64_t version_number, const struct iotlb_cache *cache,
					iova_t iova, uint64_t len, uint8_t perm)
{
	uint64_t off = iova - cache->first;

	if (likely(cache->version == version_number && iova >= cache->first && len != 0 &&
		   iova <= cache->last && len - 1 <= cache->last - iova &&
		   (cache->perm & perm) == perm))
		return (char *)((uintptr_t)cache->host + off); /* identity: host is null */
	return NULL;
}

#endif
