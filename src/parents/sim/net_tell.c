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
 */
#include "net.h"

static void __tell_pairs(struct simnet *net, uint16_t pairs) REQUIRES(net->tell)
{
	if (net->told_pairs == pairs)
		return;
	if (net->backend->set_pairs && !net->idle)
		net->backend->set_pairs(net, pairs);
	__atomic_store_n(&net->told_pairs, pairs, __ATOMIC_RELEASE);
}

void simnet_tell_pairs(struct simnet *net, uint16_t pairs)
{
	mutex_lock(&net->tell);
	__tell_pairs(net, pairs);
	mutex_unlock(&net->tell);
}

static void __tell_offloads(struct simnet *net, uint64_t offloads) REQUIRES(net->tell)
{
	__atomic_store_n(&net->guest_offloads, offloads, __ATOMIC_RELAXED);
	if (net->backend->configure && !net->idle)
		net->backend->configure(net);
	__atomic_store_n(&net->told_offloads, offloads, __ATOMIC_RELEASE);
}

void simnet_tell_features(struct simnet *net)
{
	net->tell_generation++;
	__tell_offloads(net, net->sim->driver_features & SIMNET_GUEST_OFFLOADS);
}

/* ---- commands ---- */

static struct simnet_wish *NO_TSA wish_of(struct simnet *net, const struct vdpasim_worker *sw)
{
	struct simnet_wish *wish = &net->wishes[sw->idx];

	wish->generation = net->tell_generation; /* it changes with this worker's lock held */
	return wish;
}

bool simnet_wish_pairs(struct simnet *net, const struct vdpasim_worker *sw, uint16_t pairs)
{
	struct simnet_wish *wish = wish_of(net, sw);

	if (!net->backend->set_pairs ||
	    __atomic_load_n(&net->told_pairs, __ATOMIC_ACQUIRE) == pairs)
		return true;
	wish->pairs = pairs;
	wish->pairs_owed = true;
	return false;
}

bool simnet_wish_offloads(struct simnet *net, const struct vdpasim_worker *sw, uint64_t offloads)
{
	struct simnet_wish *wish = wish_of(net, sw);

	if (!net->backend->configure) {
		__atomic_store_n(&net->guest_offloads, offloads, __ATOMIC_RELAXED);
		return true;
	}
	if (__atomic_load_n(&net->told_offloads, __ATOMIC_ACQUIRE) == offloads)
		return true;
	wish->offloads = offloads;
	wish->offloads_owed = true;
	return false;
}

struct granting {
	struct simnet *net;
	struct simnet_wish wish;
};

static void grant(void *arg)
{
	const struct granting *g = arg;
	struct simnet *net = g->net;

	mutex_lock(&net->tell);
	if (g->wish.generation == net->tell_generation) {
		if (g->wish.pairs_owed)
			__tell_pairs(net, g->wish.pairs);
		if (g->wish.offloads_owed)
			__tell_offloads(net, g->wish.offloads);
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
	g.wish = *wish;
	wish->pairs_owed = wish->offloads_owed = false;
	if (w)
		worker_relax(w, grant, &g);
}
