/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What resets do to mappings: src/vdpa/reset.c, src/vhost_vdpa/mapping.c and session.c. One address
 * space of PAGES pages. A client maps, unmaps, opens and ends batches, acks IOTLB_PERSIST or takes
 * the ack back, resets, closes and opens, in any order; every kind of parent. Checked in all states:
 *
 *   R1  SET_STATUS(0) never changes the client's view
 *   R2  with IOTLB_PERSIST acked, or at a parent without compat_reset, SET_STATUS(0) does not change
 *       what the device reaches
 *   R3  not acked, a parent with compat_reset reaches memory 1:1 afterwards
 *   R4  outside of a batch the device reaches what the client's view says, unless compat_reset has
 *       dropped it; and a platform's IOMMU always
 *   R5  what the device reaches is locked; what neither the device reaches nor the client has mapped
 *       is not
 *   R6  after the last close nothing of the client is in the view; a parent that has reset_map, and a
 *       platform's domain, reach memory 1:1 again
 *   R7  IOTLB_PERSIST can be acked only where a mapping can survive
 *
 * Each BROKEN_ variant breaks one rule, and must be caught:
 *
 *   BROKEN_DROP          .reset drops mappings
 *   BROKEN_PERSIST       the ack is not looked at
 *   BROKEN_VIEW          SET_STATUS(0) forgets the client's view, too
 *   BROKEN_UNPIN_FIRST   pages are unlocked before the device is told
 *   BROKEN_NO_RESET_MAP  the last close does not call .reset_map
 *   BROKEN_OFFER         every parent offers IOTLB_PERSIST
 */
#ifndef PAGES
#define PAGES 2
#endif

mtype = { set_map, dma_map, platform };

mtype style;                 /* how the parent learns of mappings */
bool has_compat, has_reset_map;

bool view[PAGES];            /* the client's */
bool reach[PAGES];           /* the device's, while it is not 1:1 */
bool one_to_one;
bool locked[PAGES];
bool is_open, acked, in_batch;
bool dropped;                /* compat_reset has dropped mappings, and no set_map came since */
bool stale;                  /* a set_map parent without reset_map keeps what it had at the close */

#define can_persist (style == platform || has_reset_map)

/* ---- the parent ---- */

inline tell_all()            /* set_map */
{
	for (i : 0 .. PAGES - 1) { reach[i] = view[i] }
	one_to_one = false;
	dropped = false;
	stale = false
}

inline parent_reset(clean)
{
	if
	:: clean && has_compat ->
		for (i : 0 .. PAGES - 1) { reach[i] = false }
		one_to_one = true;
		dropped = true
	:: else ->
#ifdef BROKEN_DROP
		for (i : 0 .. PAGES - 1) { reach[i] = false }
		one_to_one = true
#else
		skip
#endif
	fi
}

/* D8: a page is unlocked when the last version that names it is gone. */
inline settle_locks()
{
	for (i : 0 .. PAGES - 1) {
		locked[i] = view[i] || (!one_to_one && reach[i])
	}
}

/* ---- the session ---- */

inline map(p)
{
	if
	:: view[p]               /* EFAULT: it is mapped */
	:: !view[p] ->
		view[p] = true;
		locked[p] = true;
		if
		:: style == set_map && !in_batch -> tell_all()
		:: style == set_map && in_batch
		:: style != set_map -> one_to_one = false; reach[p] = true
		fi
	fi
}

inline unmap(p)
{
#ifdef BROKEN_UNPIN_FIRST
	if :: view[p] -> locked[p] = false; check_locks() :: else fi;
#endif
	if
	:: style == set_map ->
		view[p] = false;
		if :: !in_batch -> tell_all() :: in_batch fi
	:: style != set_map && view[p] ->
		view[p] = false;
		one_to_one = false;
		reach[p] = false
	:: style != set_map && !view[p]
	fi
}

inline end_batch()
{
	if
	:: style == set_map -> tell_all()
	:: style != set_map
	fi;
	in_batch = false
}

inline status_zero()
{
	d_step {
		for (i : 0 .. PAGES - 1) {
			old_view[i] = view[i];
			old_reach[i] = one_to_one || reach[i]
		}
	}
#ifdef BROKEN_PERSIST
	parent_reset(true);
#else
	parent_reset(!acked);
#endif
#ifdef BROKEN_VIEW
	for (i : 0 .. PAGES - 1) { view[i] = false }
#endif
	for (i : 0 .. PAGES - 1) {
		assert(view[i] == old_view[i]);                                     /* R1 */
		assert(!(acked || !has_compat) || (one_to_one || reach[i]) == old_reach[i]) /* R2 */
	}
	assert(acked || !has_compat || one_to_one)                                  /* R3 */
}

inline last_close()
{
	in_batch = false;
	parent_reset(!acked);
	for (i : 0 .. PAGES - 1) {
		if
		:: view[i] && style != set_map -> reach[i] = false; one_to_one = false
		:: else
		fi;
		view[i] = false
	}
#ifndef BROKEN_NO_RESET_MAP
	if
	:: has_reset_map || style == platform ->
		for (i : 0 .. PAGES - 1) { reach[i] = false }
		one_to_one = true
	:: else -> stale = (style == set_map)
	fi;
#endif
	settle_locks();
	is_open = false;
	acked = false;
	dropped = false;
	for (i : 0 .. PAGES - 1) { assert(!view[i]) }                               /* R6 */
	assert(one_to_one || !(has_reset_map || style == platform))                 /* R6 */
}

/* ---- what holds between two calls ---- */

inline check_locks()
{
	for (i : 0 .. PAGES - 1) {
		assert(locked[i] == (view[i] || (!one_to_one && reach[i])))         /* R5 */
	}
}

inline check()
{
	check_locks();
	if
	:: is_open && !in_batch && !one_to_one && !dropped && !stale ->
		for (i : 0 .. PAGES - 1) { assert(reach[i] == view[i]) }            /* R4 */
	:: else
	fi;
	if
	:: style == platform ->
		for (i : 0 .. PAGES - 1) { assert(one_to_one || reach[i] == view[i]) } /* R4 */
	:: else
	fi;
	assert(!acked || can_persist)                                               /* R7 */
}

active proctype client()
{
	byte i, p;
	bool old_view[PAGES], old_reach[PAGES];

	if :: style = set_map :: style = dma_map :: style = platform fi;
	if :: has_compat = true :: has_compat = false fi;
	if :: style != platform -> if :: has_reset_map = true :: has_reset_map = false fi :: else fi;
	/* a platform's device has no map of its own that a reset could drop */
	has_compat = has_compat && style != platform;
	one_to_one = true;

	do
	:: !is_open -> atomic { is_open = true; parent_reset(false) }
	:: is_open ->
		if
		:: p = 0
		:: p = PAGES - 1
		fi;
		atomic {
			if
			:: map(p)
			:: unmap(p)
			:: in_batch = true
			:: in_batch -> end_batch()
			:: status_zero()
#ifdef BROKEN_OFFER
			:: acked = true
#else
			:: can_persist -> acked = true
#endif
			:: acked = false
			:: last_close()
			fi;
			settle_locks();
			check()
		}
	od
}
