// SPDX-License-Identifier: BSD-3-Clause
/*
 * A worker that is held in the midst of a batch, at a look at a ring. Link with
 * -Wl,--wrap=ring_peek.
 */
#ifndef HOLDFAST_TEST_SIM_LOOK_SUPPORT_H
#define HOLDFAST_TEST_SIM_LOOK_SUPPORT_H

#include "ring/ring.h"
#include "support.h"

/** look_hold() - the next look at @ring waits, for 200 ms at most. Returns when it does.
 * @idx: queue of @rig that is kicked for it */
void look_hold(struct rig *rig, const struct ring *ring, uint16_t idx);
void look_let_go(void);

#endif
