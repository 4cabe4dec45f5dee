// SPDX-License-Identifier: BSD-3-Clause
/*
 * The disk as a device: features, configuration space, queues, backends. Every queue takes requests
 * and is as good as another; queue q belongs to worker q modulo their number.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>

#include "base/refuse.h"
#include "simblk_internal.h"

#define CONFIG_LEN 96 /* [1-18]; what lies behind the fields we know is zero */

static_assert(sizeof(struct virtio_blk_config) <= CONFIG_LEN, "configuration space");
static_assert((uint64_t)SIMBLK_SEGS_MAX * SIMBLK_SIZE_MAX <=
		      (uint64_t)SIMBLK_MAX_SECTORS * SIMBLK_SECTOR,
	      "a driver that keeps the limits is never refused");

uint64_t simblk_features(const struct simblk *blk)
{
	uint64_t features = SIMBLK_FEATURES_STRICT;

	if (!blk->strict)
		features |= SIMBLK_FEATURES_RICH;
	if (blk->read_only) {
		features |= SIMBLK_F(RO);
		features &= ~(SIMBLK_F(DISCARD) | SIMBLK_F(WRITE_ZEROES));
	}
	return features;
}

/* ---- configuration space ---- */

static void fill_strict(struct virtio_blk_config *c)
{
	c->size_max = htole32(4096);
	c->seg_max = htole32(32);
	c->min_io_size = htole16(1);
	c->opt_io_size = htole32(1);
	c->discard_sector_alignment = htole32(512);
	c->max_discard_sectors = htole32(UINT32_MAX);
	c->max_discard_seg = htole32(1);
	c->max_write_zeroes_sectors = htole32(UINT32_MAX);
	c->max_write_zeroes_seg = htole32(1);
}

static void fill_rich(const struct simblk *blk, struct virtio_blk_config *c)
{
	c->size_max = htole32(SIMBLK_SIZE_MAX);
	c->seg_max = htole32(blk->segs_max);
	/* 4096 bytes, what memory and file systems go by */
	for (uint32_t len = le32toh(c->blk_size); len < 4096; len *= 2)
		c->physical_block_exp++;
	c->min_io_size = htole16((uint16_t)(1u << c->physical_block_exp));
	c->discard_sector_alignment =
		htole32(blk->off_align > 4096 ? blk->off_align / SIMBLK_SECTOR : 8);
	c->max_discard_sectors = htole32(SIMBLK_DISCARD_MAX);
	c->max_discard_seg = htole32(SIMBLK_RANGES_MAX);
	c->max_write_zeroes_sectors = htole32(SIMBLK_ZEROES_MAX);
	c->max_write_zeroes_seg = htole32(1);
	c->write_zeroes_may_unmap = 1;
}

/* Made anew at every read, so what was written there is nowhere ([7-12]). */
static void blk_get_config(struct vdpasim *sim, size_t off, void *buf, size_t len)
{
	const struct simblk *blk = simblk_of(sim);
	struct virtio_blk_config config = {0};
	char space[CONFIG_LEN] = {0};

	config.capacity = htole64(simblk_nr_sectors(blk));
	config.blk_size = htole32(blk->off_align ? blk->off_align : SIMBLK_SECTOR);
	config.num_queues = htole16(blk->nr_queues);
	if (blk->strict)
		fill_strict(&config);
	else
		fill_rich(blk, &config);
	memcpy(space, &config, sizeof(config));
	memcpy(buf, space + off, len);
}

static void blk_set_config(struct vdpasim *sim, size_t off, const void *buf, size_t len)
{
	(void)sim;
	(void)off;
	(void)buf;
	(void)len;
}

/* ---- queues ---- */

static uint32_t blk_vq_group(struct vdpasim *sim, uint16_t idx)
{
	(void)sim;
	(void)idx;
	return 0;
}

static uint16_t blk_vq_worker(struct vdpasim *sim, uint16_t idx)
{
	return idx % sim->nr_workers;
}

/* A driver that does not know how to flush takes a completed write for a safe one. */
static void blk_features_changed(struct vdpasim *sim)
{
	simblk_of(sim)->write_through = !vdpasim_acked(sim, VIRTIO_BLK_F_FLUSH);
}

/* The contents survive, [7-13]. */
static void blk_reset(struct vdpasim *sim)
{
	(void)sim;
}

/* The next worker of this number makes it anew: io_uring belongs to a thread, and has the file. */
static void blk_worker_stopped(struct vdpasim *sim, struct vdpasim_worker *sw)
{
	struct simblk *blk = simblk_of(sim);

	simblk_io_destroy(blk, blk->io[sw->idx]);
	blk->io[sw->idx] = NULL;
}

static bool blk_process(struct vdpasim_vq *vq)
{
	struct simblk *blk = simblk_of(vq->sim);

	return blk->strict ? simblk_strict_process(blk, vq) : simblk_process(blk, vq);
}

/* Every queue takes requests; only the default mode has counters ([9-3]). */
static int blk_stats(struct vdpasim *sim, uint16_t idx, struct vdpa_vq_stat *stats)
{
	const struct simblk *blk = simblk_of(sim);
	const struct simblk_stats *s;

	if (idx >= blk->nr_queues)
		return refuse(-EINVAL, "%s has no queue %u", blk->name, idx);
	s = &blk->stats[idx];
	stats[0] =
		(struct vdpa_vq_stat){"requests", __atomic_load_n(&s->requests, __ATOMIC_RELAXED)};
	stats[1] = (struct vdpa_vq_stat){"errors", __atomic_load_n(&s->errors, __ATOMIC_RELAXED)};
	stats[2] = (struct vdpa_vq_stat){"read bytes",
					 __atomic_load_n(&s->read_bytes, __ATOMIC_RELAXED)};
	stats[3] = (struct vdpa_vq_stat){"written bytes",
					 __atomic_load_n(&s->written_bytes, __ATOMIC_RELAXED)};
	return 4;
}

static void blk_destroy(struct vdpasim *sim)
{
	simblk_destroy(simblk_of(sim));
}

const struct vdpasim_type simblk_type = {
	.name = "vdpasim_blk",
	.device_id = 2,
	.config_size = CONFIG_LEN,
	.holes = true,
	.get_config = blk_get_config,
	.set_config = blk_set_config,
	.vq_group = blk_vq_group,
	.vq_worker = blk_vq_worker,
	.features_changed = blk_features_changed,
	.reset = blk_reset,
	.drain = simblk_drain,
	.worker_stopped = blk_worker_stopped,
	.vq_stopping = simblk_vq_stopping,
	.batch_begin = simblk_wait,
	.process = blk_process,
	.settle = simblk_io_settle,
	.created = blk_features_changed,
	.stats = blk_stats,
	.destroy = blk_destroy,
};

/* ---- life ---- */

static const struct simblk_backend_ops *const backends[] = {&simblk_ram, &simblk_file};

/* "file,path=disk" is the backend file with the arguments "path=disk". */
static int open_backend(struct simblk *blk, const char *spec, const struct vdpa_dev_config *config)
{
	size_t len = strcspn(spec, ",");
	const char *args = spec[len] ? spec + len + 1 : "";

	for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
		if (strlen(backends[i]->name) != len || memcmp(backends[i]->name, spec, len) != 0)
			continue;
		blk->backend = backends[i];
		blk->flush_err = 0;
		blk->failed = false;
		return blk->backend->open(blk, args, config);
	}
	return refuse(-EINVAL, "backend '%.*s' is not known (ram, file)", (int)len, spec);
}

/* A request without indirect descriptors has to fit into the ring with its header and status. */
int simblk_claim(struct simblk *blk)
{
	int err;

	if (!blk->idle)
		return 0;
	err = open_backend(blk, blk->spec.backend, &blk->spec);
	if (err)
		blk->backend->close(blk);
	blk->idle = err != 0;
	return err;
}

void simblk_yield(struct simblk *blk)
{
	if (!blk->backend->outside || blk->idle)
		return;
	blk->backend->close(blk);
	blk->idle = true;
}

static uint16_t segs_of(const struct vdpa_dev_config *config)
{
	if (config->vq_size <= 3)
		return 1;
	return config->vq_size - 2 < SIMBLK_SEGS_MAX ? config->vq_size - 2 : SIMBLK_SEGS_MAX;
}

int simblk_create(const struct vdpa_dev_config *config, struct simblk **out)
{
	const char *backend = config->given & VDPA_KEY_BACKEND ? config->backend : "ram";
	struct simblk *blk = calloc(1, sizeof(*blk));
	int err;

	if (!blk)
		return -ENOMEM;
	memcpy(blk->name, config->name, sizeof(blk->name));
	blk->spec = *config;
	mutex_init(&blk->asking);
	mutex_init(&blk->map.lock);
	for (size_t i = 0; i < SIMBLK_NR_FDS; i++)
		blk->fds[i] = -1;
	blk->nr_queues = config->num_queues;
	blk->segs_max = segs_of(config);
	blk->read_only = config->read_only;
	blk->strict = vdpa_config_is_strict(config);
	blk->stats = calloc(blk->nr_queues, sizeof(*blk->stats));
	blk->progress = calloc(blk->nr_queues, sizeof(*blk->progress));
	err = blk->stats && blk->progress ? open_backend(blk, backend, config) : -ENOMEM;
	if (err) {
		simblk_destroy(blk);
		return err;
	}
	*out = blk;
	return 0;
}

void simblk_destroy(struct simblk *blk)
{
	if (blk->backend && !blk->idle)
		blk->backend->close(blk);
	for (size_t i = 0; i < VDPASIM_WORKERS_MAX; i++)
		simblk_io_destroy(blk, blk->io[i]);
	for (uint16_t i = 0; blk->progress && i < blk->nr_queues; i++)
		simblk_jobs_fini(&blk->progress[i].jobs);
	mutex_fini(&blk->map.lock);
	mutex_fini(&blk->asking);
	free(blk->stats);
	free(blk->progress);
	free(blk);
}
