// SPDX-License-Identifier: BSD-3-Clause
/*
 * The software IOMMU: one iotlb for each address space.
 *
 * 1. An address space starts as a 1:1 map of all 64 bits, and is 1:1 again after a restore
 *    ([7-2]). The first change from outside drops the 1:1 map. Taking the last entry away leaves
 *    nothing. It does not bring 1:1 back.
 * 2. A function that takes translations away returns only after no worker can use them. Workers
 *    are RCU readers, and iotlb_synchronize() waits for their current batch. The caller must hold
 *    no worker lock, because a worker may be waiting for that very lock while it is online.
 * 3. set_map shares the tree of the version that it is given. So its cost does not grow with the
 *    map.
 * 4. Going to and from 1:1 never lacks memory, nor does emptying: the versions are made beforehand.
 */
#include "sim.h"

#include <assert.h>
#include <string.h>

#include "base/log.h"
#include "base/refuse.h"
#include "vdpa/bus.h"

/* A 1:1 version of its own iotlb, so that every address space can take it by reference. */
static int make_one_to_one(struct memory_space *space, struct iotlb **out)
{
	struct iotlb *tlb;
	int err = iotlb_create(1, &tlb);

	if (err)
		return err;
	err = iotlb_map(tlb, MEMORY_ADDR_FIRST, MEMORY_ADDR_LAST, memory_space_identity(space),
			MEMORY_ADDR_FIRST, IOTLB_RW);
	if (err) {
		iotlb_destroy(tlb);
		return err;
	}
	*out = tlb;
	return 0;
}

/* Cannot fail: the version is there. */
static void assign(struct vdpasim_as *as, struct iotlb *from)
{
	const struct iotlb_version *v = iotlb_snapshot(from);
	int err = iotlb_assign(as->tlb, v);

	assert(!err); /* no edit is open, and each iotlb has room for one entry */
	(void)err;
	iotlb_version_put(v);
	iotlb_synchronize(as->tlb);
}

static struct iotlb *one_to_one(const struct vdpasim *sim)
{
	return sim->bound_one_to_one ? sim->bound_one_to_one : sim->one_to_one;
}

static void install_one_to_one(struct vdpasim *sim, struct vdpasim_as *as)
{
	assign(as, one_to_one(sim));
	as->passthrough = true;
	vdpasim_map_changed(sim);
}

static void install_nothing(struct vdpasim *sim, struct vdpasim_as *as)
{
	assign(as, sim->nothing);
	as->passthrough = false;
}

int vdpasim_iommu_init(struct vdpasim *sim)
{
	int err;

	if (sim->mapping == VDPA_MAPPING_PLATFORM) {
		sim->as[0].tlb = sim->dev.domain;
		return 0;
	}
	err = make_one_to_one(sim->dev.space, &sim->one_to_one);
	if (!err)
		err = iotlb_create(1, &sim->nothing);
	for (uint32_t i = 0; !err && i < sim->dev.nas; i++) {
		err = iotlb_create(sim->dev.max_iotlb_entries, &sim->as[i].tlb);
		if (!err)
			install_one_to_one(sim, &sim->as[i]);
	}
	return err;
}

void vdpasim_iommu_fini(struct vdpasim *sim)
{
	if (sim->mapping != VDPA_MAPPING_PLATFORM)
		for (uint32_t i = 0; i < VDPASIM_NAS_MAX; i++)
			iotlb_destroy(sim->as[i].tlb);
	iotlb_destroy(sim->one_to_one);
	iotlb_destroy(sim->bound_one_to_one);
	iotlb_destroy(sim->nothing);
	memory_space_put(sim->bound);
	memset(sim->as, 0, sizeof(sim->as));
	sim->one_to_one = sim->bound_one_to_one = sim->nothing = NULL;
	sim->bound = NULL;
}

struct iotlb *vdpasim_iommu_tlb(struct vdpasim *sim, uint32_t group)
{
	return sim->as[sim->group_asid[group]].tlb;
}

int vdpasim_iommu_set_map(struct vdpasim *sim, uint32_t asid, const struct iotlb_version *map)
{
	struct vdpasim_as *as = &sim->as[asid];
	int err = iotlb_assign(as->tlb, map);

	as->passthrough = false;
	if (err) {
		install_nothing(sim, as); /* [7-3] */
		refuse(err, "address space %u: a map of %zu entries was not taken (limit %zu)",
		       asid, iotlb_version_nr_entries(map), sim->dev.max_iotlb_entries);
	}
	iotlb_synchronize(as->tlb);
	vdpasim_map_changed(sim);
	return err;
}

int vdpasim_iommu_map(struct vdpasim *sim, uint32_t asid, const struct iotlb_entry *entry)
{
	struct vdpasim_as *as = &sim->as[asid];
	int err;

	if (as->passthrough)
		install_nothing(sim, as);
	err = iotlb_map(as->tlb, entry->first, entry->last, entry->mem, entry->off, entry->perm);
	if (!err)
		vdpasim_map_changed(sim);
	return err;
}

int vdpasim_iommu_unmap(struct vdpasim *sim, uint32_t asid, uint64_t first, uint64_t last)
{
	struct vdpasim_as *as = &sim->as[asid];
	int err;

	if (as->passthrough)
		install_nothing(sim, as);
	if (first > last)
		return 0;
	err = iotlb_unmap(as->tlb, first, last, NULL);
	if (!err)
		iotlb_synchronize(as->tlb);
	return err;
}

void vdpasim_iommu_restore(struct vdpasim *sim, uint32_t asid)
{
	if (!sim->as[asid].passthrough)
		install_one_to_one(sim, &sim->as[asid]);
}

int vdpasim_iommu_bind(struct vdpasim *sim, struct memory_space *space)
{
	struct iotlb *tlb = NULL, *old_tlb = sim->bound_one_to_one;
	struct memory_space *old = sim->bound;
	int err;

	if (old == space)
		return 0;
	if (space && sim->one_to_one) { /* platform style: the bus's domain says what 1:1 is */
		err = make_one_to_one(space, &tlb);
		if (err)
			return err;
	}
	sim->bound = space ? memory_space_get(space) : NULL;
	sim->bound_one_to_one = tlb;
	for (uint32_t i = 0; sim->one_to_one && i < sim->dev.nas; i++)
		if (sim->as[i].passthrough)
			install_one_to_one(sim, &sim->as[i]);
	iotlb_destroy(old_tlb);
	memory_space_put(old);
	return 0;
}
