// SPDX-License-Identifier: BSD-3-Clause
/*
 * A card on the firmware model, with a client in this process, for tests of the whole driver.
 */
#ifndef HOLDFAST_TEST_MLX5_CARD_H
#define HOLDFAST_TEST_MLX5_CARD_H

#include <string.h>
#include <sys/mman.h>

#include "../sim/support.h"
#include "parents/mlx5/driver.h"
#include "parents/mlx5/mlx5.h"
#include "parents/mlx5/model_internal.h"

#define LEN        ROUND_LEN
#define CTRL_QUEUE BIT(VIRTIO_NET_F_CTRL_VQ)
#define FEATURES   (BASE_FEATURES | BIT(VIRTIO_NET_F_MAC))

/* Buffers lie where rings do: a card cannot list a hole of terabytes. */
#define IN_LEN ROUND_ROOM
#define FAR    (((uint64_t)(uintptr_t)out & ~4095ULL) + (3ULL << 30)) /* where no buffer is */
static uint8_t *out __attribute__((unused)), *in __attribute__((unused));

static inline int get_buffers(void **state)
{
	out = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	in = out + 4096;
	return out == MAP_FAILED;
}

static inline struct vdpa_dev_config config(void)
{
	struct vdpa_dev_config c = rig_config();

	memcpy(c.mgmtdev, "mlx5", 5);
	c.given = VDPA_KEY_MODEL | VDPA_KEY_MAC;
	c.model = true;
	c.offer = 0;
	c.features = UINT64_MAX;
	memcpy(c.mac, "\x52\x54\x00\x01\x02\x03", 6);
	return c;
}

static inline struct mlx5_model *model(const struct rig *rig)
{
	return mlx5_of(rig->dev)->model;
}

static inline uint64_t key_commands(const struct rig *rig)
{
	return mlx5_model_nr_commands(model(rig), MODEL_CREATE_MKEY) +
	       mlx5_model_nr_commands(model(rig), MODEL_DESTROY_MKEY);
}

/* One frame through the loopback, whole. */
static inline bool goes_round(struct rig *rig, uint32_t seed)
{
	return rig_goes_round(rig, out, in, seed);
}

static inline void start(struct rig *rig)
{
	rig_start(rig, FEATURES, 2, 64);
}

/* A map of all that the tests use: the process's own memory, 1:1, in one entry a side. */
static inline struct iotlb *own_map(struct rig *rig)
{
	struct iotlb *tlb = rig_map_of_rings(rig);

	rig_map_add(rig, tlb, out, LEN);
	rig_map_add(rig, tlb, in, IN_LEN);
	return tlb;
}

static inline int set_map(struct rig *rig, uint32_t asid, struct iotlb *tlb)
{
	const struct iotlb_version *v = iotlb_snapshot(tlb);
	int err = rig_op(rig, set_map, asid, v);

	iotlb_version_put(v);
	return err;
}

static inline void make(struct rig *rig)
{
	struct vdpa_dev_config c = config();

	rig_make_of(rig, &mlx5_mgmt_dev, &c);
}

/* Firmware that cannot let a queue run again that was suspended. */
static inline void without_resume(struct rig *rig)
{
	struct mlx5_vdpa *v = mlx5_of(rig->dev);

	v->model->opt.no_freeze_to_rdy = true;
	v->caps.freeze_to_rdy = false;
	v->ops.resume = NULL;
}

#endif
