// SPDX-License-Identifier: BSD-3-Clause
/*
 * Management from outside, in the client's process: a socket (mgmt/socket.h), a thread that answers
 * on it (mgmt/server.h), and what a change of the devices means for the nodes. It comes into being
 * with the bus, at the first open of a node, and ends with the process.
 *
 * Owns: the server. Thread rule: as said at each.
 */
#ifndef HOLDFAST_FRONTENDS_PRELOAD_CONTROL_H
#define HOLDFAST_FRONTENDS_PRELOAD_CONTROL_H

#include "vdpa/bus.h"

/** control_start() - serve @bus; where that is not possible, say so and go on without. Opening lock
 * held. */
void control_start(struct vdpa_bus *bus);
/** control_after_fork() - in a child, which must not answer for its parent */
void control_after_fork(void);

#endif
