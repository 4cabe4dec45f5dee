// SPDX-License-Identifier: BSD-3-Clause
#include "device.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <sys/mman.h>

#include "base/refuse.h"
#include "memory/guard.h"
#include "parents/sim/simblk.h"
#include "parents/sim/simnet.h"

#define BATCHES_MAX 100000 /* a queue that is not done by then never will be */
#define PAGE        4096u
#define DEVICES_MAX 4

static const struct vdpa_mgmt_dev *const parents[] = {&simnet_mgmt_dev, &simblk_mgmt_dev};

char *fuzz_arena(void)
{
	static char *arena;

	if (arena)
		return arena;
	arena = mmap((void *)(uintptr_t)ARENA_HOST, ARENA_LEN, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	fuzz_check((uintptr_t)arena == ARENA_HOST);
	return arena;
}

static void make(struct fuzz_device *d, const char *spec)
{
	struct vdpa_dev_config config;
	const struct vdpa_mgmt_dev *mgmt;

	fuzz_check(memory_space_create_own(&d->space) == 0);
	fuzz_check(vdpa_bus_create(d->space, &d->bus) == 0);
	if (vdpa_spec_parse(parents, ARRAY_LEN(parents), spec, 0, &config, &mgmt)) {
		(void)fprintf(stderr, "%s: %s\n", spec, refuse_reason());
		abort();
	}
	fuzz_check(mgmt->dev_add(mgmt, d->bus, &config) == 0);
	d->dev = vdpa_bus_find(d->bus, config.name);
	fuzz_check(d->dev);
	d->sim = vdpasim_of(d->dev);
}

static void map_arena(struct fuzz_device *d)
{
	const struct iotlb_version *v;

	fuzz_check(memory_region_create(d->space, (uintptr_t)fuzz_arena(), ARENA_LEN, true,
					MEMORY_VA, &d->region) == 0);
	fuzz_check(iotlb_create(16, &d->map) == 0);
	fuzz_check(iotlb_map(d->map, ARENA_IOVA, ARENA_IOVA + ARENA_LEN - 1, d->region, 0,
			     IOTLB_RW) == 0);
	v = iotlb_snapshot(d->map);
	for (uint32_t asid = 0; asid < d->dev->nas; asid++)
		fuzz_check(d->dev->ops->set_map(d->dev, asid, v) == 0);
	iotlb_version_put(v);
}

static void start_queue(struct fuzz_device *d, uint16_t idx, uint64_t features, uint16_t num)
{
	const struct vdpa_config_ops *ops = d->dev->ops;
	bool packed = features >> VIRTIO_F_RING_PACKED & 1;
	struct ring_driver_config config = {
		.num = num,
		.packed = packed,
		.event_idx = features >> VIRTIO_RING_F_EVENT_IDX & 1,
		.in_order = features >> VIRTIO_F_IN_ORDER & 1,
		.start_avail = packed ? 0x8000 : 0,
	};
	void **area[] = {&config.desc, &config.driver, &config.device};
	uint64_t iova[3];

	for (int a = 0; a < 3; a++) {
		size_t len = ring_driver_area_len((enum ring_area)a, num, packed);

		*area[a] = fuzz_arena() + d->used;
		iova[a] = ARENA_IOVA + d->used;
		d->used += (len + PAGE - 1) / PAGE * PAGE;
	}
	fuzz_check(d->used <= ARENA_DATA);
	fuzz_check(ring_driver_create(&config, &d->drv[idx]) == 0);
	ops->set_vq_num(d->dev, idx, num);
	fuzz_check(ops->set_vq_address(d->dev, idx, iova[0], iova[1], iova[2]) == 0);
	ops->set_vq_ready(d->dev, idx, true);
}

static struct fuzz_device *device_of(const char *spec)
{
	static struct fuzz_device devices[DEVICES_MAX];
	unsigned int i = 0;

	while (i < DEVICES_MAX && devices[i].spec && strcmp(devices[i].spec, spec) != 0)
		i++;
	fuzz_check(i < DEVICES_MAX);
	if (!devices[i].spec) {
		fuzz_check(memory_guard_install() == 0);
		make(&devices[i], spec);
		devices[i].spec = spec;
		mutex_lock(&devices[i].dev->lock);
		map_arena(&devices[i]);
		mutex_unlock(&devices[i].dev->lock);
	}
	return &devices[i];
}

struct fuzz_device *fuzz_device_begin(const char *spec, uint64_t features, unsigned int nr_vqs,
				      uint16_t num)
{
	struct fuzz_device *d = device_of(spec);

	d->nr_vqs = nr_vqs;
	d->used = 0;
	memset(fuzz_arena(), 0, ARENA_LEN);
	mutex_lock(&d->dev->lock);
	d->dev->ops->set_status(d->dev, 3);
	fuzz_check(d->dev->ops->set_driver_features(d->dev, features) == 0);
	d->dev->ops->set_status(d->dev, 0xb);
	for (uint16_t i = 0; i < nr_vqs; i++)
		start_queue(d, i, features, num);
	d->dev->ops->set_status(d->dev, 0xf);
	mutex_unlock(&d->dev->lock);
	return d;
}

void fuzz_device_end(struct fuzz_device *d)
{
	mutex_lock(&d->dev->lock);
	fuzz_check(d->dev->ops->reset(d->dev) == 0);
	mutex_unlock(&d->dev->lock);
	for (unsigned int i = 0; i < d->nr_vqs; i++) {
		ring_driver_destroy(d->drv[i]);
		d->drv[i] = NULL;
	}
}

void fuzz_device_run(struct fuzz_device *d, uint16_t idx)
{
	struct vdpasim_vq *vq = &d->sim->vqs[idx];
	const struct vdpasim_type *type = d->sim->type;
	unsigned int n = 0;
	bool more = true;

	mutex_lock(&d->dev->lock);
	vdpasim_lock(vq->sw);
	while (more && vdpasim_vq_runs(vq)) {
		fuzz_check(n++ < BATCHES_MAX);
		if (type->batch_begin)
			type->batch_begin(d->sim, vq->sw);
		vq->pending = false;
		more = type->process(vq);
	}
	vq->pending = false;
	vdpasim_unlock(vq->sw);
	mutex_unlock(&d->dev->lock);
}

unsigned int fuzz_segs(struct fuzz_input *in, struct ring_driver_seg *segs, unsigned int max)
{
	unsigned int n = fuzz_below(in, max + 1);

	for (unsigned int i = 0; i < n; i++) {
		uint32_t off = ARENA_DATA + fuzz_u16(in), len = fuzz_u16(in);

		segs[i] = (struct ring_driver_seg){ARENA_IOVA + off, len};
	}
	return n;
}
