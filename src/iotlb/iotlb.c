// SPDX-License-Identifier: BSD-3-Clause
/*
 * The editing API, and the theory of the room.
 *
 * Goals: readers on the data path that neither lock nor write shared memory; batches that appear at
 * once; differences between versions that cost what changed; the whole 64-bit space at byte
 * granularity; not more than 80 heap bytes an entry. Limits: an update copies a path of some nodes,
 * so it costs microseconds; nothing is split or merged behind the client's back.
 *
 * Structure. A version is a root and a count. The tree is a B+tree of entries by first address;
 * entries do not overlap. A node never changes after the edit that made it was published or
 * snapshotted. An edit gives itself a generation number, unique in the process, and stamps its new
 * nodes with it: nodes of this generation are reachable from this edit's root alone and are changed
 * in place; any other node is copied first. A snapshot inside a batch takes a fresh generation,
 * which freezes what it refers to.
 *
 * Guarantees, cited by the tests:
 *  [G1] A reader that loads the published version sees all of an edit or batch or nothing of it.
 *       The release in rcu_publish() pairs with the acquire in iotlb_load().
 *  [G2] A version stays intact from iotlb_load() to the reader's next quiescent state: an iotlb
 *       holds a reference on the version it publishes, keeps it on its retire list after
 *       unpublishing, and drops it only after a grace period that began later, or once no reader
 *       is online. Each iotlb that
 *       publishes a version does so on its own, so putting a snapshot, at any time, never frees
 *       what a reader sees.
 *  [G3] A version, and with it each of its nodes, lives while an iotlb publishes or retires it or
 *       anybody holds a snapshot; versions may be shared by iotlbs under different locks. The
 *       counts in versions, nodes and regions are atomic, and all else in a shared node is
 *       constant.
 *  [G4] A leaf holds one reference on the region of each entry. A region's last reference from here
 *       goes when the last version with an entry for it goes; after an unmap of an iotlb whose
 *       older versions nobody else holds, that is at the end of iotlb_synchronize().
 *  [G5] An edit that fails leaves the contents of the editing view and the published version as
 *       they were. Inside a batch the nodes may be arranged differently afterwards; nobody can
 *       tell.
 *  [G6] Commit, abort and snapshot need no memory: the shell of the next version is allocated
 *       before the first change.
 *  [G7] iotlb_diff() enters no subtree that both versions share at one place.
 *  [G8] Not more than RETIRE_MAX versions wait for a grace period: an edit that would make one more
 *       waits for it. All publishing calls may therefore block like iotlb_synchronize().
 *  [G9] Version numbers differ whenever contents may differ, so a number may guard a cache.
 * [G10] An edit inherits if nobody but this iotlb holds the version it starts from: its copies of
 *       nodes take over the references that the copied nodes held, and those are spent. Readers of
 *       the old version walk spent nodes until the grace period ends. Everything else that spent
 *       nodes point to is held by the next version, which was unpublished later. Dropping the old
 *       version frees its spent nodes and nothing else. Whatever does not fit (an abort, a
 *       snapshot, a node that another version shares, a removal of many entries) ends inheritance:
 *       spent nodes get references of their own, as if the edit had counted from the start.
 */
#include "iotlb/iotlb.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/overflow.h"
#include "base/rcu.h"
#include "base/trace.h"
#include "iotlb/internal.h"

/* Bounds what a writer that never synchronizes leaves behind: some KiB of nodes each. */
#define RETIRE_MAX 32

/* If no reader is online after so many, they go without a wait. */
#define RETIRE_LOOK 8

struct iotlb {
	struct iotlb_version *current; /* RCU; one reference */
	size_t max_entries;            /* const after init */
	char pad[CACHE_LINE]; /* readers are not to miss on what the control thread writes */

	/* The rest belongs to the control thread. */
	bool in_batch;
	bool in_edit; /* @edit is in use: a batch or a single edit */
	bool dirty;   /* @edit changed since it began or was sealed last */
	struct tree edit;
	struct pool pool;
	struct iotlb_version *view;  /* last sealed inside the batch; one reference; or NULL */
	struct iotlb_version *shell; /* the next version, unsealed; NULL before the first change */
	unsigned int nr_retired;
	struct iotlb_version *retired[RETIRE_MAX]; /* unpublished, one reference each */
};

int iotlb_create(size_t max_entries, struct iotlb **out)
{
	struct iotlb *tlb;

	if (max_entries == 0)
		return -EINVAL;
	tlb = calloc(1, sizeof(*tlb));
	if (!tlb)
		return -ENOMEM;
	tlb->max_entries = max_entries;
	tlb->current = version_alloc(&tlb->pool);
	if (!tlb->current) {
		free(tlb);
		return -ENOMEM;
	}
	version_seal(tlb->current, NULL, 0, tree_new_gen());
	*out = tlb;
	return 0;
}

static void drop_retired(struct iotlb *tlb)
{
	while (tlb->nr_retired > 0)
		version_drop(tlb->retired[--tlb->nr_retired], &tlb->pool);
}

void iotlb_destroy(struct iotlb *tlb)
{
	if (!tlb)
		return;
	if (tlb->in_batch)
		iotlb_abort(tlb);
	drop_retired(tlb);
	version_put(tlb->current);
	pool_fini(&tlb->pool);
	free(tlb->shell);
	free(tlb);
}

void iotlb_synchronize(struct iotlb *tlb)
{
	/* Nothing retired: no version was unpublished since the last grace period. */
	if (tlb->nr_retired == 0)
		return;
	rcu_synchronize_readers();
	drop_retired(tlb);
}

/* Make @v the published version; takes over the caller's reference. */
static void publish(struct iotlb *tlb, struct iotlb_version *v)
{
	if (v == tlb->current) {
		version_put(v);
		return;
	}
	if (tlb->nr_retired == RETIRE_MAX)
		iotlb_synchronize(tlb);
	tlb->retired[tlb->nr_retired++] = tlb->current;
	HF_TRACE3(iotlb_publish, tlb, v->number, v->nr);
	rcu_publish(&tlb->current, v);
	if (tlb->nr_retired % RETIRE_LOOK == 0 && rcu_readers_are_offline())
		drop_retired(tlb);
}

/* ---- the edit in progress ---- */

static void edit_start(struct iotlb *tlb)
{
	struct node *root = tlb->current->root;
	bool inherits = version_has_one_user(tlb->current);

	tlb->edit = (struct tree){.pool = &tlb->pool,
				  .root = inherits ? root : node_get(root),
				  .borrowed = inherits ? root : NULL,
				  .nr = tlb->current->nr,
				  .gen = tree_new_gen(),
				  .inherits = inherits};
	tlb->in_edit = true;
	tlb->dirty = false;
}

/* Freeze the edit's contents, which changed, as a version. It takes over a reference on the
 * root. */
static struct iotlb_version *edit_seal(struct iotlb *tlb)
{
	struct iotlb_version *v = tlb->shell;

	assert(v && tlb->dirty);
	version_seal(v, tlb->edit.root, tlb->edit.nr, tlb->edit.gen);
	tlb->shell = NULL;
	tlb->dirty = false;
	return v;
}

/* Before each change: the version that will hold it must not fail later. */
static int edit_prepare(struct iotlb *tlb)
{
	if (!tlb->shell)
		tlb->shell = version_alloc(&tlb->pool);
	if (!tlb->shell)
		return -ENOMEM;
	if (!tlb->in_batch)
		edit_start(tlb);
	return 0;
}

static void edit_stop(struct iotlb *tlb)
{
	version_put(tlb->view);
	tlb->view = NULL;
	tlb->in_edit = false;
}

static void edit_drop(struct iotlb *tlb)
{
	tree_disinherit(&tlb->edit);
	node_put(tlb->edit.root);
	edit_stop(tlb);
}

static void edit_publish(struct iotlb *tlb)
{
	struct iotlb_version *v;

	if (!tlb->dirty) {
		v = version_get(tlb->view ? tlb->view : tlb->current);
		edit_drop(tlb);
	} else {
		/* Then nobody else holds the current version, and it is the one that the edit
		 * began with: a sealed one would have ended inheritance. */
		if (tlb->edit.inherits) {
			tlb->current->spent = tlb->edit.spent;
			tlb->current->gone = tlb->edit.gone;
		}
		v = edit_seal(tlb);
		edit_stop(tlb);
	}
	publish(tlb, v);
}

/* After each change or failure: outside a batch the edit ends here. */
static int edit_done(struct iotlb *tlb, int err, bool changed)
{
	if (err == 0 && changed)
		tlb->dirty = true;
	if (tlb->in_batch)
		return err;
	if (tlb->dirty)
		edit_publish(tlb);
	else
		edit_drop(tlb);
	return err;
}

/* ---- the editing view ---- */

static struct node *view_root(const struct iotlb *tlb)
{
	return tlb->in_edit ? tlb->edit.root : tlb->current->root;
}

size_t iotlb_nr_entries(const struct iotlb *tlb)
{
	return tlb->in_edit ? tlb->edit.nr : tlb->current->nr;
}

bool iotlb_next(const struct iotlb *tlb, iova_t from, struct iotlb_entry *entry)
{
	return node_next(view_root(tlb), from, entry);
}

bool iotlb_overlaps(const struct iotlb *tlb, iova_t first, iova_t last)
{
	struct iotlb_entry e;

	return iotlb_next(tlb, first, &e) && e.first <= last;
}

/* Does the range of @last - @first + 1 bytes at @off lie inside the region? */
static bool region_holds(const struct memory_region *mem, uint64_t off, iova_t first, iova_t last)
{
	uint64_t end;

	if (__builtin_add_overflow(off, last - first, &end))
		return false;
	return mem->len == 0 || end < mem->len; /* 0 stands for 2^64 */
}

int iotlb_map(struct iotlb *tlb, iova_t first, iova_t last, struct memory_region *mem, uint64_t off,
	      uint8_t perm)
{
	struct iotlb_entry e = {
		.first = first, .last = last, .mem = mem, .off = off, .perm = perm & IOTLB_RW};
	struct path p;
	int err;

	if (first > last || !mem || !region_holds(mem, off, first, last))
		return -EINVAL;
	path_find(&p, view_root(tlb), first);
	if (path_meets(&p, last))
		return -EEXIST;
	if (iotlb_nr_entries(tlb) >= tlb->max_entries)
		return -ENOSPC;
	err = edit_prepare(tlb);
	if (err < 0)
		return err;
	HF_TRACE4(iotlb_map, tlb, first, last, e.perm);
	return edit_done(tlb, tree_insert(&tlb->edit, &p, &e), true);
}

int iotlb_unmap(struct iotlb *tlb, iova_t first, iova_t last, size_t *nr_removed)
{
	size_t removed = 0;
	struct path p;
	int err = 0;

	path_find(&p, view_root(tlb), first);
	if (path_meets(&p, last)) {
		err = edit_prepare(tlb);
		if (err < 0)
			return err;
		HF_TRACE3(iotlb_unmap, tlb, first, last);
		err = edit_done(tlb, tree_remove(&tlb->edit, &p, last, &removed), true);
	}
	if (err == 0 && nr_removed)
		*nr_removed = removed;
	return err;
}

int iotlb_begin(struct iotlb *tlb)
{
	if (tlb->in_batch)
		return -EBUSY;
	edit_start(tlb);
	tlb->in_batch = true;
	return 0;
}

void iotlb_commit(struct iotlb *tlb)
{
	assert(tlb->in_batch);
	tlb->in_batch = false;
	edit_publish(tlb);
}

void iotlb_abort(struct iotlb *tlb)
{
	assert(tlb->in_batch);
	tlb->in_batch = false;
	edit_drop(tlb);
}

/* ---- versions of an iotlb ---- */

const struct iotlb_version *iotlb_snapshot(struct iotlb *tlb)
{
	if (!tlb->in_edit)
		return version_get(tlb->current);
	tree_disinherit(&tlb->edit);
	if (tlb->dirty) {
		node_get(tlb->edit.root);
		version_put(tlb->view);
		tlb->view = edit_seal(tlb);
		tlb->edit.gen = tree_new_gen();
	}
	return version_get(tlb->view ? tlb->view : tlb->current);
}

int iotlb_assign(struct iotlb *tlb, const struct iotlb_version *v)
{
	if (tlb->in_batch)
		return -EBUSY;
	if (v->nr > tlb->max_entries)
		return -ENOSPC;
	publish(tlb, version_get((struct iotlb_version *)v));
	return 0;
}

const struct iotlb_version *iotlb_load(const struct iotlb *tlb)
{
	return rcu_load(&tlb->current);
}

size_t iotlb_memory_bytes(const struct iotlb *tlb)
{
	return tlb->current->root ? node_bytes(tlb->current->root) : 0;
}
