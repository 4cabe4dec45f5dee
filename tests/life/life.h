/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A client's life on a device, a card or a disk, from open to close: what is done to it at each of
 * its steps is the tests' affair (resources that lack, death at any point). Everything goes through
 * libc's calls, so that the preload library serves it.
 *
 * Thread rule: one thread. Functions return 0 or -errno, or LIFE_*.
 */
#ifndef HOLDFAST_TEST_LIFE_H
#define HOLDFAST_TEST_LIFE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "client/client.h"

#define LIFE_SILENT (-ETIME) /* no call failed, and the device did nothing */
#define LIFE_TOLD   (-EIO)   /* NEEDS_RESET */

struct life {
	struct client_mem mem, more; /* rings and buffers; a second piece */
	struct client_ring ring[3];
	unsigned int nr_rings;
	size_t buf_off;
	int fd;
	bool disk, own_as; /* the control queue has an address space of its own */
	bool outside;      /* frames come back from a peer, which may come later than we do */
};

/** life_begin() - open @node, and map memory; life_end() in any case */
int life_begin(struct life *w, const char *node);
/** life_start() - features, fresh rings, DRIVER_OK. @log: CLIENT_FEATURE_LOG_ALL, if it is
 * offered; or 0 */
int life_start(struct life *w, uint64_t log);
/** life_use() - one frame there and back; or one sector read */
int life_use(struct life *w);
/** life_command() - the control queue says yes to "promiscuous on"; nothing on a disk */
int life_command(struct life *w);
/** life_map_more() - memory in small pieces, mapped and unmapped */
int life_map_more(struct life *w);
/** life_stop_and_go() - SUSPEND, the rings' positions, RESUME */
int life_stop_and_go(struct life *w);
/** life_migrate() - as a VMM's source and then its destination: positions, reset, all memory
 * unmapped and mapped again, and the rings go on where they were */
int life_migrate(struct life *w);
/** life_end() - close everything; also of a life that did not begin */
void life_end(struct life *w);

/** ms that a peer may take for a frame. For who expects that some lives have none */
extern int life_peer_ms;
/** life_live() - all of these, and a reset between. @outside: as in struct life */
int life_live(const char *node, bool outside);

#endif
