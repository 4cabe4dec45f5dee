// SPDX-License-Identifier: BSD-3-Clause
/*
 * Which received frames the driver wants. The control queue's worker edits the master copy under
 * the lock and increments its generation. Before a batch, every worker compares generations, and
 * copies if they differ. So the data path takes no lock and reads one shared line.
 *
 * A device starts promiscuous, as VMMs' devices do, until the driver sets a mode.
 *
 * The number of queue pairs in use travels the same way.
 *
 * A command is answered when all workers use what it has set. So a driver that has the answer knows
 * that what it sends now meets the new filter, and that pairs which it has switched off are silent.
 */
#include <linux/if_ether.h>
#include <string.h>

#include "net.h"

void simnet_filter_changed(struct simnet *net)
{
	__atomic_fetch_add(&net->filter.generation, 1, __ATOMIC_RELEASE);
}

void simnet_filter_reset(struct simnet *net)
{
	struct simnet_filter fresh = {.promisc = true, .pairs = 1};

	mutex_lock(&net->lock);
	fresh.generation = net->filter.generation;
	memcpy(fresh.mac, net->config.mac, sizeof(fresh.mac));
	fresh.vlan_on = vdpasim_acked(net->sim, VIRTIO_NET_F_CTRL_VLAN);
	/* The generation is read without the lock: everything but it is replaced. */
	memcpy((char *)&net->filter + sizeof(fresh.generation),
	       (char *)&fresh + sizeof(fresh.generation), sizeof(fresh) - sizeof(fresh.generation));
	simnet_filter_changed(net);
	mutex_unlock(&net->lock);
	if (!__atomic_load_n(&net->told_pairs, __ATOMIC_RELAXED)) /* a new card */
		simnet_tell_pairs(net, fresh.pairs);
}

static uint32_t NO_TSA master_generation(struct simnet *net)
{
	return __atomic_load_n(&net->filter.generation, __ATOMIC_ACQUIRE);
}

static bool is_stale(struct simnet *net, const struct vdpasim_worker *sw)
{
	return net->copies[sw->idx].generation != master_generation(net);
}

void simnet_filter_refresh(struct simnet *net, struct vdpasim_worker *sw)
{
	struct simnet_filter *copy = &net->copies[sw->idx];

	uint32_t generation;
	uint16_t was = copy->pairs;

	if (likely(!is_stale(net, sw)))
		return;
	mutex_lock(&net->lock);
	generation = net->filter.generation;
	memcpy((char *)copy + sizeof(generation), (char *)&net->filter + sizeof(generation),
	       sizeof(*copy) - sizeof(generation));
	mutex_unlock(&net->lock);
	/* Pairs with simnet_filter_is_seen(): what an earlier batch did is over. */
	__atomic_store_n(&copy->generation, generation, __ATOMIC_RELEASE);
	/* What has come to a silent pair waits there, and no kick is owed for it. The first pair
	 * was never silent. */
	for (uint16_t i = was > 1 ? was : 1; i < copy->pairs; i++)
		if (net->pairs[i].rx->sw == sw)
			net->pairs[i].rx->pending = net->pairs[i].tx->pending = true;
	/* It would be delivered when the pair is switched on again, however late. */
	for (uint16_t i = copy->pairs; i < was; i++)
		if (net->pairs[i].rx->sw == sw)
			simnet_rx_forget_held(&net->pairs[i]);
}

bool simnet_filter_is_seen(struct simnet *net, const struct vdpasim_worker *self)
{
	uint32_t generation = master_generation(net);
	struct vdpasim *sim = net->sim;
	bool seen = true;

	for (uint16_t i = 0; i < sim->nr_workers; i++) {
		if (i == self->idx || !__atomic_load_n(&sim->workers[i].worker, __ATOMIC_ACQUIRE))
			continue;
		if (__atomic_load_n(&net->copies[i].generation, __ATOMIC_ACQUIRE) == generation)
			continue;
		vdpasim_wake(&sim->workers[i]); /* only the number of pairs wakes them by itself */
		seen = false;
	}
	return seen;
}

void simnet_set_pairs(struct simnet *net, uint16_t pairs, bool said)
{
	net->filter.pairs_said |= said;
	if (net->filter.pairs == pairs)
		return;
	net->filter.pairs = pairs;
	simnet_filter_changed(net);
	for (uint16_t i = 0; i < net->sim->nr_workers; i++)
		vdpasim_wake(&net->sim->workers[i]);
}

static bool list_has(const struct simnet_mac_list *list, const uint8_t *mac)
{
	if (list->all)
		return true;
	for (uint32_t i = 0; i < list->nr; i++)
		if (memcmp(list->mac[i], mac, 6) == 0)
			return true;
	return false;
}

static bool vlan_wanted(const struct simnet_filter *f, const uint8_t *head, size_t len)
{
	uint16_t vid;

	if (!f->vlan_on || len < SIMNET_ETH_LEN + SIMNET_VLAN_LEN || head[12] != ETH_P_8021Q >> 8 ||
	    head[13] != (ETH_P_8021Q & 0xff))
		return true;
	vid = (uint16_t)((head[14] & 0x0f) << 8 | head[15]);
	return vid == 0 || (f->vlans[vid / 8] >> (vid % 8)) & 1;
}

bool simnet_filter_wants(const struct simnet_filter *f, const uint8_t *head, size_t len)
{
	static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, none[6];

	if (f->promisc)
		return true;
	if (len < SIMNET_ETH_LEN || !vlan_wanted(f, head, len))
		return false;
	if (memcmp(head, broadcast, 6) == 0)
		return !f->nobcast;
	if (head[0] & 1)
		return !f->nomulti && (f->allmulti || list_has(&f->multi, head));
	if (f->nouni)
		return false;
	/* An address of zero is one that this side never learned: VMMs give their guests their
	 * own. */
	return f->alluni || memcmp(f->mac, none, 6) == 0 || memcmp(f->mac, head, 6) == 0 ||
	       list_has(&f->uni, head);
}
