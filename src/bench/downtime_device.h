// SPDX-License-Identifier: BSD-3-Clause
/*
 * The devices of the client of `holdfast bench downtime`: open and closed, with guest memory and
 * shadow memory in their IOTLB. Owns descriptors, rings and shadow memory. Used by
 * downtime_client.c. Thread rule: main thread.
 *
 * Shadow memory of a device: SHADOW_RING_LEN bytes a queue, then command and status of the control
 * queue, a page each.
 */
#ifndef HOLDFAST_BENCH_DOWNTIME_DEVICE_H
#define HOLDFAST_BENCH_DOWNTIME_DEVICE_H

#include "base/compiler.h"
#include "bench/downtime_record.h"
#include "client/client.h"

#define DT_DEVICES_MAX 8u
#define DT_PAIRS_MAX   32u
#define DT_QUEUES_MAX  (2 * DT_PAIRS_MAX + 1)

#define DT_PAGE            4096u
#define DT_SHADOW_AT       (UINT64_C(1) << 45)
#define DT_SHADOW_RING_LEN (UINT64_C(16) << 10) /* a queue: driver area, device area 8 KiB up */
#define DT_DEVICE_AREA     (UINT64_C(8) << 10)
#define DT_SHADOW_ASID     1u

/* One vhost-vdpa device and what its client keeps for it. */
struct dt_device {
	int fd;
	bool has_mem;    /* guest memory is mapped to it */
	bool has_shadow; /* shadow rings are */
	bool has_data_shadow;
	unsigned int nr_queues;
	uint64_t features, backend; /* to be acked */
	uint32_t desc_group, ctrl_group;
	char *shadow; /* [owned] memory of shadow rings, control queue and its buffers */
	struct client_ring *ring; /* [owned] DT_QUEUES_MAX */
};

/* A VMM with its devices; source or destination. */
struct dt_client {
	const struct dt_kind_info *kind;
	const char *const *paths; /* [lent] a device each */
	unsigned int nr_devices, nr_pairs;
	char *guest; /* [lent] @mapped bytes of guest memory */
	char *rom;   /* [lent] the firmware's private memory */
	uint64_t mapped;
	bool is_late;   /* maps its memory at its start, not when it is made */
	int64_t map_ns; /* spent in mapping, inside of a downtime or not */
	struct dt_device dev[DT_DEVICES_MAX];
	struct dt_record *rec;
};

static inline bool dt_has_asid(const struct dt_device *dev)
{
	return (dev->backend & CLIENT_BACKEND_DESC_ASID) != 0;
}

static inline uint64_t dt_shadow_off(unsigned int queue)
{
	return queue * DT_SHADOW_RING_LEN;
}

/* Command and status of the control queue: a page each behind the rings. */
static inline uint64_t dt_ctrl_off(const struct dt_device *dev)
{
	return dt_shadow_off(dev->nr_queues);
}

/** dt_fail() - say in one line what failed. Return: @err */
int dt_fail(const struct dt_client *c, const char *what, unsigned int device, int err);

/** dt_device_open() - up to the owner, with guest memory unless the client is a late one.
 * Return: 0 or -errno, and one line was printed; dt_device_close() on any outcome */
int dt_device_open(struct dt_client *c, unsigned int i) HF_MUST_CHECK;
void dt_device_close(struct dt_device *dev);
/** dt_device_map() - guest memory into the IOTLB, in one batch */
int dt_device_map(struct dt_client *c, struct dt_device *dev) HF_MUST_CHECK;
int dt_device_unmap(struct dt_client *c, struct dt_device *dev) HF_MUST_CHECK;
/** dt_device_shadow() - the control queue's ring and buffers in or out, and with @data those of all
 * queues; @batch: in one batch */
int dt_device_shadow(struct dt_device *dev, bool map, bool data, bool batch) HF_MUST_CHECK;

#endif
