// SPDX-License-Identifier: BSD-3-Clause
/*
 * Telling a backend how many pairs are in use and which offloads. A tap is told by ioctl(2), which
 * waits for the lock that the kernel has for all network interfaces of a namespace. Somebody else
 * may hold that lock for long, and a worker that waited for it online would hold up each unmap.
 *
 * 1. A control thread tells the backend at once.
 * 2. A command of the driver's is a worker's. The batch gives the command back to the ring and
 *    leaves a wish. Behind the batch the worker tells the backend, offline and without its lock.
 *    The next batch finds the command again, sees that the backend knows, and goes on.
 * 3. A reset may come between wish and telling. It has told the backend something newer then, so
 *    the wish is dropped.
 * 4. A backend that refuses a command's wish stays as it was, and the command fails. Features and
 *    the pairs of a device that goes on cannot be refused any more: the log has it.
 */
#include <errno.h>

#include "net.h"

static int __tell_pairs(struct simnet *net, uint16_t pairs) REQUIRES(net->tell)
{
	int err = 0;

	if (net->told_pairs == pairs)
		return 0;
	if (net->backend->set_pairs && !net->idle)
		err = net->backend->set_pairs(net, pairs);
	if (err && net->told_pairs)
		(void)net->backend->set_pairs(net, net->told_pairs);
	if (!err)
		__atomic_store_n(&net->told_pairs, pairs, __ATOMIC_RELEASE);
	return err;
}

void simnet_tell_pairs(struct simnet *net, uint16_t pairs)
{
	mutex_lock(&net->tell);
	(void)__tell_pairs(net, pairs);
	mutex_unlock(&net->tell);
}

static int __tell_offloads(struct simnet *net, uint64_t offloads) REQUIRES(net->tell)
{
	__atomic_store_n(&net->guest_offloads, offloads, __ATOMIC_RELAXED);
	return net->backend->configure && !net->idle ? net->backend->configure(net) : 0;
}

void simnet_tell_features(struct simnet *net)
{
	uint64_t offloads = net->sim->driver_features & SIMNET_GUEST_OFFLOADS;

	net->tell_generation++;
	(void)__tell_offloads(net, offloads);
	__atomic_store_n(&net->told_offloads, offloads, __ATOMIC_RELEASE);
}

/* The one before is in force again if the backend refuses. */
static int __change_offloads(struct simnet *net, uint64_t offloads) REQUIRES(net->tell)
{
	int err = __tell_offloads(net, offloads);

	if (err)
		__atomic_store_n(&net->guest_offloads, net->told_offloads, __ATOMIC_RELAXED);
	else
		__atomic_store_n(&net->told_offloads, offloads, __ATOMIC_RELEASE);
	return err;
}

/* ---- commands ---- */

/* What the backend has refused before a reset is of no interest any more. */
static struct simnet_wish *NO_TSA wish_of(struct simnet *net, const struct vdpasim_worker *sw)
{
	struct simnet_wish *wish = &net->wishes[sw->idx];
	uint32_t generation = net->tell_generation; /* it changes with this worker's lock held */

	if (wish->generation != generation)
		wish->pairs_err = wish->offloads_err = 0;
	wish->generation = generation;
	return wish;
}

static int take_err(int *err)
{
	int taken = *err;

	*err = 0;
	return taken;
}

int simnet_wish_pairs(struct simnet *net, const struct vdpasim_worker *sw, uint16_t pairs)
{
	struct simnet_wish *wish = wish_of(net, sw);

	if (!net->backend->set_pairs ||
	    __atomic_load_n(&net->told_pairs, __ATOMIC_ACQUIRE) == pairs)
		return 0;
	if (wish->pairs_err && wish->pairs == pairs)
		return take_err(&wish->pairs_err);
	wish->pairs = pairs;
	wish->pairs_owed = true;
	return -EAGAIN;
}

int simnet_wish_offloads(struct simnet *net, const struct vdpasim_worker *sw, uint64_t offloads)
{
	struct simnet_wish *wish = wish_of(net, sw);

	if (!net->backend->configure) {
		__atomic_store_n(&net->guest_offloads, offloads, __ATOMIC_RELAXED);
		return 0;
	}
	if (__atomic_load_n(&net->told_offloads, __ATOMIC_ACQUIRE) == offloads)
		return 0;
	if (wish->offloads_err && wish->offloads == offloads)
		return take_err(&wish->offloads_err);
	wish->offloads = offloads;
	wish->offloads_owed = true;
	return -EAGAIN;
}

struct granting {
	struct simnet *net;
	struct simnet_wish wish;
};

/* -EAGAIN is for a command that waits: no backend's answer may look like it. */
static int answer(int err)
{
	return err == -EAGAIN ? -EBUSY : err;
}

static void grant(void *arg)
{
	struct granting *g = arg;
	struct simnet *net = g->net;

	mutex_lock(&net->tell);
	if (g->wish.generation == net->tell_generation) {
		if (g->wish.pairs_owed)
			g->wish.pairs_err = answer(__tell_pairs(net, g->wish.pairs));
		if (g->wish.offloads_owed)
			g->wish.offloads_err = answer(__change_offloads(net, g->wish.offloads));
	}
	mutex_unlock(&net->tell);
}

void simnet_grant(struct vdpasim *sim, struct vdpasim_worker *sw)
{
	struct granting g = {.net = simnet_of(sim)};
	struct simnet_wish *wish = &g.net->wishes[sw->idx];
	/* NULL while the device goes: nobody waits for the answer then. */
	struct worker *w = __atomic_load_n(&sw->worker, __ATOMIC_ACQUIRE);

	if (likely(!wish->pairs_owed && !wish->offloads_owed))
		return;
	wish->pairs_err = wish->offloads_err = 0;
	g.wish = *wish;
	wish->pairs_owed = wish->offloads_owed = false;
	if (!w)
		return;
	worker_relax(w, grant, &g);
	wish->pairs_err = g.wish.pairs_err;
	wish->offloads_err = g.wish.offloads_err;
}
