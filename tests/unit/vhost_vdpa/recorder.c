// SPDX-License-Identifier: BSD-3-Clause
#include "recorder.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_config.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

static struct recorder *rec_of(struct vdpa_device *dev)
{
	return container_of(dev, struct recorder, dev);
}

static void note(struct recorder *rec, const char *fmt, ...) HF_PRINTF(2, 3);

static void note(struct recorder *rec, const char *fmt, ...)
{
	va_list ap;
	int len;

	if (rec->quiet)
		return;
	va_start(ap, fmt);
	len = vsnprintf(rec->record + rec->record_len, sizeof(rec->record) - rec->record_len, fmt,
			ap);
	va_end(ap);
	assert_true(len >= 0 && rec->record_len + (size_t)len < sizeof(rec->record) - 1);
	rec->record_len += (size_t)len;
	rec->record[rec->record_len++] = '\n';
	rec->record[rec->record_len] = '\0';
}

/* Is this the call that was told to fail? */
static int fails(struct recorder *rec, const char *op)
{
	if (!rec->fail_op || strcmp(rec->fail_op, op) != 0 || --rec->fail_nth != 0)
		return 0;
	rec->fail_nth = 1;
	if (--rec->fail_nr == 0)
		rec->fail_op = NULL;
	return rec->fail_err;
}

void recorder_fail(struct recorder *rec, const char *op, unsigned int nth, int err)
{
	recorder_fail_for(rec, op, nth, err, 1);
}

void recorder_fail_for(struct recorder *rec, const char *op, unsigned int nth, int err,
		       unsigned int nr)
{
	rec->fail_op = op;
	rec->fail_nth = nth;
	rec->fail_err = err;
	rec->fail_nr = nr;
}

void recorder_clear(struct recorder *rec)
{
	rec->record_len = 0;
	rec->record[0] = '\0';
}

void recorder_reads(struct recorder *rec, const char *expected)
{
	assert_string_equal(rec->record, expected);
	recorder_clear(rec);
}

/* ---- virtqueues ---- */

static int rec_set_vq_address(struct vdpa_device *dev, uint16_t idx, uint64_t desc, uint64_t driver,
			      uint64_t device)
{
	struct recorder *rec = rec_of(dev);

	note(rec, "set_vq_address(%u, 0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64 ")", idx, desc,
	     driver, device);
	rec->vqs[idx].desc = desc;
	rec->vqs[idx].driver = driver;
	rec->vqs[idx].device = device;
	return fails(rec, "set_vq_address");
}

static void rec_set_vq_num(struct vdpa_device *dev, uint16_t idx, uint32_t num)
{
	struct recorder *rec = rec_of(dev);

	note(rec, "set_vq_num(%u, %u)", idx, num);
	rec->vqs[idx].num = num;
}

static void rec_kick_vq(struct vdpa_device *dev, uint16_t idx)
{
	uint64_t one = 1;

	assert_int_equal(write(rec_of(dev)->kick_fd[idx], &one, sizeof(one)), sizeof(one));
}

static void rec_set_vq_cb(struct vdpa_device *dev, uint16_t idx, const struct vdpa_callback *cb)
{
	struct recorder *rec = rec_of(dev);

	note(rec, "set_vq_cb(%u, %s)", idx, cb->fn ? "fn" : "none");
	rec->vqs[idx].cb = *cb;
}

static void rec_set_vq_ready(struct vdpa_device *dev, uint16_t idx, bool ready)
{
	struct recorder *rec = rec_of(dev);

	note(rec, "set_vq_ready(%u, %d)", idx, ready);
	rec->vqs[idx].ready = ready;
}

static bool rec_get_vq_ready(struct vdpa_device *dev, uint16_t idx)
{
	return rec_of(dev)->vqs[idx].ready;
}

static int rec_set_vq_state(struct vdpa_device *dev, uint16_t idx,
			    const struct vdpa_vq_state *state)
{
	struct recorder *rec = rec_of(dev);
	int err = fails(rec, "set_vq_state");

	note(rec, "set_vq_state(%u, 0x%x, 0x%x)", idx, state->last_avail, state->last_used);
	if (!err)
		rec->vqs[idx].state = *state;
	return err;
}

static int rec_get_vq_state(struct vdpa_device *dev, uint16_t idx, struct vdpa_vq_state *state)
{
	struct recorder *rec = rec_of(dev);
	int err = fails(rec, "get_vq_state");

	note(rec, "get_vq_state(%u)", idx);
	if (!err)
		*state = rec->vqs[idx].state;
	return err;
}

static struct worker *rec_get_vq_worker(struct vdpa_device *dev, uint16_t idx)
{
	return rec_of(dev)->opt.worker;
}

static uint32_t rec_get_vq_group(struct vdpa_device *dev, uint16_t idx)
{
	return (idx == 2 ? dev->ngroups - 1 : 0) + rec_of(dev)->group_answer;
}

static uint32_t rec_get_vq_desc_group(struct vdpa_device *dev, uint16_t idx)
{
	return dev->ngroups - 1 + rec_of(dev)->group_answer;
}

static uint16_t rec_get_vq_size(struct vdpa_device *dev, uint16_t idx)
{
	uint32_t num = rec_of(dev)->vqs[idx].num;

	return num ? (uint16_t)num : RECORDER_NUM_MAX;
}

static uint16_t rec_get_vq_num_max(struct vdpa_device *dev)
{
	return RECORDER_NUM_MAX;
}

/* ---- device ---- */

static uint64_t rec_get_device_features(struct vdpa_device *dev)
{
	uint64_t features = rec_of(dev)->opt.features;

	return features ? features
			: 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_F_ACCESS_PLATFORM |
				  1ULL << VIRTIO_F_RING_PACKED;
}

static uint64_t rec_get_backend_features(struct vdpa_device *dev)
{
	return rec_of(dev)->opt.backend_features;
}

static int rec_set_driver_features(struct vdpa_device *dev, uint64_t features)
{
	struct recorder *rec = rec_of(dev);
	int err = fails(rec, "set_driver_features");

	note(rec, "set_driver_features(0x%" PRIx64 ")", features);
	if (err)
		return err;
	if (!(features & 1ULL << VIRTIO_F_ACCESS_PLATFORM))
		return -EIO; /* not EINVAL, on purpose: [1-7] */
	rec->features = features & rec_get_device_features(dev);
	return 0;
}

static uint64_t rec_get_driver_features(struct vdpa_device *dev)
{
	return rec_of(dev)->features;
}

static void rec_set_config_cb(struct vdpa_device *dev, const struct vdpa_callback *cb)
{
	struct recorder *rec = rec_of(dev);

	note(rec, "set_config_cb(%s)", cb->fn ? "fn" : "none");
	rec->config_cb = *cb;
}

static uint32_t rec_get_device_id(struct vdpa_device *dev)
{
	return 1;
}

static uint32_t rec_get_vendor_id(struct vdpa_device *dev)
{
	return 0;
}

static uint8_t rec_get_status(struct vdpa_device *dev)
{
	return rec_of(dev)->status;
}

static void rec_set_status(struct vdpa_device *dev, uint8_t status)
{
	struct recorder *rec = rec_of(dev);

	note(rec, "set_status(0x%x)", status);
	rec->status = status;
}

static void as_one_to_one(struct recorder *rec, uint32_t asid)
{
	if (!rec->map[asid])
		return;
	assert_int_equal(iotlb_unmap(rec->map[asid], 0, UINT64_MAX, NULL), 0);
	iotlb_synchronize(rec->map[asid]);
	rec->one_to_one[asid] = true;
}

static void clear_device(struct recorder *rec)
{
	rec->status = 0;
	rec->features = 0;
	for (int i = 0; i < RECORDER_NVQS; i++) {
		uint32_t num = rec->vqs[i].num;

		rec->vqs[i] = (struct recorder_vq){.num = num};
		rec->group_asid[i] = 0;
	}
	rec->config_cb = (struct vdpa_callback){0};
}

static int rec_reset(struct vdpa_device *dev)
{
	struct recorder *rec = rec_of(dev);
	int err = fails(rec, "reset");

	note(rec, "reset()");
	if (!err)
		clear_device(rec);
	return err;
}

static int rec_compat_reset(struct vdpa_device *dev, uint32_t flags)
{
	struct recorder *rec = rec_of(dev);
	int err = fails(rec, "compat_reset");

	note(rec, "compat_reset(%u)", flags);
	if (err)
		return err;
	clear_device(rec);
	for (uint32_t asid = 0; asid < dev->nas && (flags & VDPA_RESET_F_CLEAN_MAP); asid++)
		as_one_to_one(rec, asid);
	return 0;
}

static int rec_suspend(struct vdpa_device *dev)
{
	struct recorder *rec = rec_of(dev);

	note(rec, "suspend()");
	return fails(rec, "suspend");
}

static int rec_resume(struct vdpa_device *dev)
{
	struct recorder *rec = rec_of(dev);

	note(rec, "resume()");
	return fails(rec, "resume");
}

static size_t rec_get_config_size(struct vdpa_device *dev)
{
	return sizeof(rec_of(dev)->config);
}

static void rec_get_config(struct vdpa_device *dev, size_t off, void *buf, size_t len)
{
	memcpy(buf, rec_of(dev)->config + off, len);
}

static void rec_set_config(struct vdpa_device *dev, size_t off, const void *buf, size_t len)
{
	struct recorder *rec = rec_of(dev);

	note(rec, "set_config(%zu, %zu)", off, len);
	memcpy(rec->config + off, buf, len);
}

static struct vdpa_iova_range rec_get_iova_range(struct vdpa_device *dev)
{
	return rec_of(dev)->opt.range;
}

static void rec_set_dirty_log(struct vdpa_device *dev, const struct vdpa_dirty_log *log)
{
	struct recorder *rec = rec_of(dev);

	note(rec, "set_dirty_log(%s)", log->mark ? "log" : "none");
	rec->log = *log;
}

static void rec_set_vq_log_addr(struct vdpa_device *dev, uint16_t idx, bool own, uint64_t addr)
{
	note(rec_of(dev), "set_vq_log_addr(%u, %d, 0x%" PRIx64 ")", idx, own, addr);
}

/* ---- DMA ---- */

static int rec_set_group_asid(struct vdpa_device *dev, uint32_t group, uint32_t asid)
{
	struct recorder *rec = rec_of(dev);
	int err = fails(rec, "set_group_asid");

	note(rec, "set_group_asid(%u, %u)", group, asid);
	if (!err)
		rec->group_asid[group] = asid;
	return err;
}

static int is_removed(void *arg, enum iotlb_change change, const struct iotlb_entry *entry)
{
	return change == IOTLB_REMOVED;
}

/* What a set_map that failed may leave behind: the former map, or none (holdfast/vdpa.h). */
static void refuse_map(struct recorder *rec, uint32_t asid, const struct iotlb_version *map)
{
	bool lacks = rec->one_to_one[asid] ||
		     iotlb_diff(iotlb_load(rec->map[asid]), map, is_removed, NULL) != 0;

	if (rec->opt.keeps_map && !lacks)
		return;
	assert_int_equal(iotlb_unmap(rec->map[asid], 0, UINT64_MAX, NULL), 0);
	rec->one_to_one[asid] = false;
	if (rec->opt.keeps_map && rec->status & VIRTIO_CONFIG_S_DRIVER_OK)
		rec->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
}

static int rec_set_map(struct vdpa_device *dev, uint32_t asid, const struct iotlb_version *map)
{
	struct recorder *rec = rec_of(dev);
	int err = fails(rec, "set_map");

	note(rec, "set_map(%u, %zu)", asid, iotlb_version_nr_entries(map));
	if (!err)
		err = iotlb_assign(rec->map[asid], map);
	if (err)
		refuse_map(rec, asid, map);
	else
		rec->one_to_one[asid] = false;
	iotlb_synchronize(rec->map[asid]);
	return err;
}

static int rec_dma_map(struct vdpa_device *dev, uint32_t asid, const struct iotlb_entry *entry)
{
	struct recorder *rec = rec_of(dev);
	int err = fails(rec, "dma_map");

	note(rec, "dma_map(%u, 0x%" PRIx64 ", 0x%" PRIx64 ", %u)", asid, entry->first, entry->last,
	     entry->perm);
	rec->one_to_one[asid] = false;
	if (!err)
		err = iotlb_map(rec->map[asid], entry->first, entry->last, entry->mem, entry->off,
				entry->perm);
	return err;
}

static int rec_dma_unmap(struct vdpa_device *dev, uint32_t asid, uint64_t first, uint64_t last)
{
	struct recorder *rec = rec_of(dev);

	int err = fails(rec, "dma_unmap");

	note(rec, "dma_unmap(%u, 0x%" PRIx64 ", 0x%" PRIx64 ")", asid, first, last);
	rec->one_to_one[asid] = false;
	if (err)
		return err;
	assert_int_equal(iotlb_unmap(rec->map[asid], first, last, NULL), 0);
	iotlb_synchronize(rec->map[asid]);
	return 0;
}

static int rec_reset_map(struct vdpa_device *dev, uint32_t asid)
{
	struct recorder *rec = rec_of(dev);

	note(rec, "reset_map(%u)", asid);
	as_one_to_one(rec, asid);
	return 0;
}

static int rec_bind_mm(struct vdpa_device *dev, struct memory_space *space)
{
	struct recorder *rec = rec_of(dev);
	int err = fails(rec, "bind_mm");

	note(rec, "bind_mm()");
	if (!err)
		rec->bound = space;
	return err;
}

static void rec_unbind_mm(struct vdpa_device *dev)
{
	struct recorder *rec = rec_of(dev);

	note(rec, "unbind_mm()");
	rec->bound = NULL;
}

static void rec_free(struct vdpa_device *dev)
{
	struct recorder *rec = rec_of(dev);

	for (int i = 0; i < RECORDER_MAX_AS; i++)
		iotlb_destroy(rec->map[i]);
	for (int i = 0; i < RECORDER_NVQS; i++)
		close(rec->kick_fd[i]);
	if (rec->freed)
		*rec->freed = true;
	free(rec);
}

uint64_t recorder_where(struct recorder *rec, uint32_t asid, uint64_t iova, uint8_t perm)
{
	struct iotlb *map = rec->map[asid] ? rec->map[asid] : rec->dev.domain;
	struct iotlb_entry e;

	if (rec->map[asid] && rec->one_to_one[asid])
		return iova;
	if (!iotlb_lookup(iotlb_load(map), iova, &e) || (e.perm & perm) != perm)
		return 0;
	return e.mem->uaddr + e.off + (iova - e.first);
}

size_t recorder_nr_entries(struct recorder *rec, uint32_t asid)
{
	struct iotlb *map = rec->map[asid] ? rec->map[asid] : rec->dev.domain;

	if (rec->map[asid] && rec->one_to_one[asid])
		return 1;
	return iotlb_version_nr_entries(iotlb_load(map));
}

/* ---- making one ---- */

static const struct vdpa_config_ops all_ops = {
	.size = sizeof(struct vdpa_config_ops),
	.set_vq_address = rec_set_vq_address,
	.set_vq_num = rec_set_vq_num,
	.kick_vq = rec_kick_vq,
	.set_vq_cb = rec_set_vq_cb,
	.set_vq_ready = rec_set_vq_ready,
	.get_vq_ready = rec_get_vq_ready,
	.set_vq_state = rec_set_vq_state,
	.get_vq_state = rec_get_vq_state,
	.get_vq_worker = rec_get_vq_worker,
	.get_vq_group = rec_get_vq_group,
	.get_vq_desc_group = rec_get_vq_desc_group,
	.get_device_features = rec_get_device_features,
	.get_backend_features = rec_get_backend_features,
	.set_driver_features = rec_set_driver_features,
	.get_driver_features = rec_get_driver_features,
	.set_config_cb = rec_set_config_cb,
	.get_vq_num_max = rec_get_vq_num_max,
	.get_vq_size = rec_get_vq_size,
	.get_device_id = rec_get_device_id,
	.get_vendor_id = rec_get_vendor_id,
	.get_status = rec_get_status,
	.set_status = rec_set_status,
	.reset = rec_reset,
	.compat_reset = rec_compat_reset,
	.suspend = rec_suspend,
	.resume = rec_resume,
	.get_config_size = rec_get_config_size,
	.get_config = rec_get_config,
	.set_config = rec_set_config,
	.get_iova_range = rec_get_iova_range,
	.set_dirty_log = rec_set_dirty_log,
	.set_vq_log_addr = rec_set_vq_log_addr,
	.set_group_asid = rec_set_group_asid,
	.set_map = rec_set_map,
	.dma_map = rec_dma_map,
	.dma_unmap = rec_dma_unmap,
	.reset_map = rec_reset_map,
	.bind_mm = rec_bind_mm,
	.unbind_mm = rec_unbind_mm,
	.free = rec_free,
};

#define DROP_IF(cond, op)                                                                          \
	do {                                                                                       \
		if (cond)                                                                          \
			ops->op = NULL;                                                            \
	} while (0)

static void choose_ops(struct vdpa_config_ops *ops, const struct recorder_options *opt)
{
	*ops = all_ops;
	DROP_IF(opt->mapping != VDPA_MAPPING_SET_MAP, set_map);
	DROP_IF(opt->mapping != VDPA_MAPPING_DMA_MAP, dma_map);
	DROP_IF(opt->mapping != VDPA_MAPPING_DMA_MAP, dma_unmap);
	DROP_IF(opt->no_reset_map || opt->mapping == VDPA_MAPPING_PLATFORM, reset_map);
	DROP_IF(!opt->compat_reset, compat_reset);
	DROP_IF(opt->no_suspend, suspend);
	DROP_IF(opt->no_resume, resume);
	DROP_IF(opt->no_groups, get_vq_group);
	DROP_IF(opt->no_groups, set_group_asid);
	DROP_IF(!opt->desc_group, get_vq_desc_group);
	DROP_IF(!opt->vq_size, get_vq_size);
	DROP_IF(opt->no_bind, bind_mm);
	DROP_IF(opt->no_bind, unbind_mm);
	DROP_IF(!opt->has_backend_features, get_backend_features);
	DROP_IF(!opt->dirty_log, set_dirty_log);
	DROP_IF(!opt->dirty_log, set_vq_log_addr);
	DROP_IF(opt->range.last == 0, get_iova_range);
	DROP_IF(!opt->worker, get_vq_worker);
}

int recorder_make(struct vdpa_bus *bus, const struct recorder_options *opt, struct recorder **out)
{
	struct recorder *rec = calloc(1, sizeof(*rec));
	uint32_t several = opt->mapping == VDPA_MAPPING_PLATFORM ? 1 : 2;
	int err;

	assert_non_null(rec);
	rec->opt = *opt;
	choose_ops(&rec->ops, opt);
	rec->dev.ops = &rec->ops;
	rec->dev.nvqs = RECORDER_NVQS;
	rec->dev.ngroups = opt->ngroups ? opt->ngroups : several;
	rec->dev.nas = opt->nas ? opt->nas : several;
	rec->dev.memory_mode = opt->memory;
	rec->dev.max_iotlb_entries = opt->max_entries ? opt->max_entries : 2048;
	rec->dev.deviations = opt->deviations;
	snprintf(rec->dev.name, sizeof(rec->dev.name), "%s", opt->name ? opt->name : "rec");
	err = vdpa_device_init(&rec->dev, bus);
	if (err) {
		free(rec);
		return err;
	}
	for (uint32_t i = 0; i < RECORDER_MAX_AS && opt->mapping != VDPA_MAPPING_PLATFORM; i++) {
		assert_int_equal(iotlb_create(rec->dev.max_iotlb_entries, &rec->map[i]), 0);
		rec->one_to_one[i] = true;
	}
	for (int i = 0; i < RECORDER_NVQS; i++) {
		rec->kick_fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		assert_true(rec->kick_fd[i] >= 0);
	}
	*out = rec;
	return 0;
}

struct recorder *recorder_create(struct vdpa_bus *bus, const struct recorder_options *opt)
{
	struct recorder *rec;

	assert_int_equal(recorder_make(bus, opt, &rec), 0);
	assert_int_equal(vdpa_device_register(&rec->dev), 0);
	return rec;
}
