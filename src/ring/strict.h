// SPDX-License-Identifier: BSD-3-Clause
/*
 * A second reader of the split layout: a ring that loses chains, as the kernel's simulator does.
 * A device that imitates that simulator puts it into ring_config.reader, with a split ring and
 * without in_order: a chain that was lost would hold back all that follow.
 *
 * What ring/ring.h says holds, except in these cases.
 *
 * - ring_pop(), a chain that breaks a rule: the chain is lost, -EBADMSG, and the ring goes on. A
 *   lost chain is consumed and never completed.
 * - ring_pop(), an indirect table that is not mapped: the chain is lost, too.
 * - ring_pop(), a head outside of the descriptor table: -EBADMSG, and nothing is consumed. The next
 *   ring_pop() finds the same head.
 * - ring_pop(), a descriptor area that is not mapped: the chain is consumed without being read,
 *   -EFAULT.
 * - ring_pop(), a used area that is not mapped: the chain is handed out.
 * - ring_pop() does not check how far the driver's index is ahead. So more chains than entries may
 *   be out, and the user flushes after each chain that it pushes.
 * - ring_flush(), a used area that is not mapped: the used elements are lost. The driver is
 *   notified if it wants to be.
 * - ring_start() takes both positions of its state, and ring_stop() returns both: a lost chain
 *   moves the available position and not the used one.
 *
 * Used by parents that show the kernel's behaviour. Thread rule: as ring/ring.h.
 */
#ifndef HOLDFAST_RING_STRICT_H
#define HOLDFAST_RING_STRICT_H

#include "ring/ring.h"

extern const struct ring_reader ring_strict_reader;

/** ring_strict_drop() - lose a chain that was popped; its iovecs are not valid any more */
void ring_strict_drop(struct ring *ring, const struct ring_chain *chain);

/**
 * ring_strict_push() - as ring_push(), but the chain's buffers are not marked as dirty
 * @len: becomes the length in the used element; may be more than the chain holds
 */
void ring_strict_push(struct ring *ring, const struct ring_chain *chain, uint32_t len);

#endif
