// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the preload frontend is handed: it knows sessions and a bus, not which devices there are.
 * Whoever links the library defines these functions (cli/preload_glue.c). Thread rule: as said at
 * each.
 */
#ifndef HOLDFAST_FRONTENDS_PRELOAD_PRELOAD_H
#define HOLDFAST_FRONTENDS_PRELOAD_PRELOAD_H

#include "base/compiler.h"
#include "vdpa/bus.h"
#include "vdpa/mgmt.h"

/* Devices of one client at most. */
#define PRELOAD_NR_NODES_MAX 1024u

/**
 * preload_provide_count() - how many devices the client is given: minors 0 .. count-1
 * Return: 1..PRELOAD_NR_NODES_MAX. Any thread, also before main(); creates nothing.
 */
unsigned int preload_provide_count(void);

/**
 * preload_provide_bus() - make the bus with its devices, all bound to vhost_vdpa
 * @out: [owned by the caller, for as long as the process lives] written on success only
 * Return: 0, or -errno with refuse_reason() in words. Called once a process, at its first open; in
 * a forked child perhaps once more.
 */
int preload_provide_bus(struct vdpa_bus **out) HF_MUST_CHECK;

/** preload_provide_text() - what describes the devices of this process; "" nothing does. Any
 * thread */
const char *preload_provide_text(void);

/**
 * preload_provide_text_from() - the description that another process had
 * Taken if this process has none.
 * Return: 0; -EEXIST it has another one
 */
int preload_provide_text_from(const char *text) HF_MUST_CHECK;

/** preload_provide_parents() - what can make devices. @parents: [out, lent] @nr of them. Any
 * thread. */
void preload_provide_parents(const struct vdpa_mgmt_dev *const **parents, size_t *nr);

#endif
