// SPDX-License-Identifier: BSD-3-Clause
/*
 * The driver: a vDPA parent whose queues run on a device with an IOMMU of its own. docs/mlx5.md has
 * the whole in pictures.
 *
 *   mlx5.c      making a device from a SPEC, and what management asks
 *   ops.c       the parent operations that only note what a client sets
 *   life.c      status, reset, suspend, resume
 *   slots.c     address spaces: which keys are in force, and how they change under running queues
 *   queue.c     a virtqueue and its object on the device
 *   running.c   how queues begin to run, and stop, several at once
 *   setup.c     all queues at once: made, started, stopped, taken down
 *   steering.c  which frames come in, and to which queues
 *   ctrl.c      the control queue, which the driver serves by itself
 *   events.c    what the device tells by itself
 *   state.c     the lock, and NEEDS_RESET; calls none of the others
 *
 * Calls go down this order: mlx5.c, ops.c, life.c, slots.c, events.c, ctrl.c, setup.c, queue.c,
 * running.c, steering.c and state.c.
 *
 * Owns: the device, its objects and keys; one reference on the map of each address space.
 *
 * Locks: everything but what says otherwise is under the driver's worker's lock, which every
 * operation but kick_vq takes (mlx5_lock()). The worker serves the control queue, so commands to
 * the device come from one thread at a time. It goes offline before it gives one, since the model
 * waits for grace periods. Locks of the model's workers are taken under it, never the other way.
 */
#ifndef HOLDFAST_PARENTS_MLX5_DRIVER_H
#define HOLDFAST_PARENTS_MLX5_DRIVER_H

#include <linux/virtio_net.h>

#include "base/worker.h"
#include "cmd_steer.h"
#include "cmd_virtq.h"
#include "devx.h"
#include "keys.h"
#include "model.h"
#include "ring/ring.h"
#include "vdpa/device.h"

#define MLX5_NAS       2
#define MLX5_PAIRS_MAX 64
#define MLX5_VLANS     128 /* places in the flow table; the first is for frames without a tag */
#define MLX5_VQ_PARTS  3   /* memory areas that a queue needs on the device */
#define MLX5_NO_OBJ    UINT32_MAX

#define MLX5_HEALTH_NS 1000000000LL /* between two looks at a device that runs */

enum { MLX5_GROUP_DATA, MLX5_GROUP_CTRL, MLX5_GROUP_DESC, MLX5_NGROUPS };

/* What a client sets of a queue. */
struct mlx5_vq_setup {
	uint64_t desc, driver, device; /* areas, IOVA */
	uint32_t num;                  /* entries */
	bool placed;                   /* the areas were given since the last reset */
};

struct mlx5_vdpa;

struct mlx5_vq {
	uint16_t idx;
	/* What was set last, and what the queue runs with; @set becomes @use where the client
	 * starts the queue (D11). */
	struct mlx5_vq_setup set, use;
	struct vdpa_vq_state state; /* of a queue that does not run */
	bool unknown;               /* @state is not that of the object: the device did not tell */
	bool left; /* a reset could not stop the object; @state is the next client's */
	struct vdpa_callback cb;
	bool ready;
	bool kicked;          /* atomic: since its object last began to run, or the reset */
	bool parked;          /* atomic: D1, the position was read while it ran */
	int64_t parked_until; /* atomic; 0: a kick has come */

	uint32_t obj;              /* or MLX5_NO_OBJ */
	uint8_t fw_state;          /* MLX5_VQ_* */
	uint8_t nr_asks;           /* how often to ask what an event of the device was about */
	int64_t ask_at;            /* not before */
	uint64_t changed;          /* MLX5_VQ_* bits that the object does not have yet */
	uint16_t features;         /* that the object was made with */
	uint32_t num;              /* ... and entries, which @mem is for */
	uint32_t vector, counters; /* MLX5_NO_OBJ: none */
	struct mlx5_umem umem[MLX5_VQ_PARTS];
	void *mem;                    /* [owned] behind @umem, or NULL */
	struct mlx5_mr *mr, *desc_mr; /* that the object was given; one reference each */
};

struct mlx5_ctrl {
	struct ring *ring;            /* [owned] */
	struct iotlb *tlb;            /* [owned] what it translates with */
	bool stalled;                 /* its ring was not mapped */
	bool kicked;                  /* atomic */
	uint64_t received, completed; /* atomic; chains */
};

struct mlx5_vdpa {
	struct vdpa_device dev; /* first */
	struct vdpa_config_ops ops;
	struct mlx5_model *model; /* [owned] or NULL */
	struct mlx5_devx *devx;   /* [owned] or NULL */
	struct mlx5_dev *hw;      /* [lent] the one's end of the seam */
	struct mlx5_virtio_caps caps;
	struct mlx5_keys keys;
	int64_t defer_ns;  /* of keys, once there is a worker to bury them */
	int64_t park_ns;   /* how long a queue is parked at most; const */
	uint32_t td, tisn; /* MLX5_NO_OBJ: none */

	struct mlx5_mr *slot[MLX5_NAS];            /* keys in force, or NULL */
	const struct iotlb_version *map[MLX5_NAS]; /* the same for the control queue */
	struct iotlb *one_to_one;                  /* source of the 1:1 version */
	uint32_t group_asid[MLX5_NGROUPS];

	uint64_t features, acked; /* offered; taken by the driver: atomic, as a kick looks at it */
	uint8_t status;           /* atomic: the worker adds NEEDS_RESET */
	bool suspended;
	bool told_lost; /* that the device does not answer any more */
	bool set_up;    /* steering is there: the device runs for a client */
	uint32_t generation;
	struct vdpa_callback config_cb;
	struct virtio_net_config config;
	uint16_t max_pairs, pairs; /* queue pairs; in use */
	uint16_t vq_size;          /* largest ring */

	uint32_t rqt, tir, table, group[2]; /* MLX5_NO_OBJ: none */
	bool flow[2][MLX5_VLANS];           /* one address, and multicast */
	uint16_t vlan[MLX5_VLANS];          /* of a place in use, but for the first */
	bool vlan_used[MLX5_VLANS];

	struct worker *worker; /* atomic pointer; NULL until needed; then const */
	struct mlx5_ctrl ctrl;
	uint32_t eqn, eq_vector, eq_consumer; /* MLX5_NO_OBJ: none */
	const uint8_t *eq;

	struct mlx5_vq *vqs; /* [dev.nvqs] */
};

static inline struct mlx5_vdpa *mlx5_of(struct vdpa_device *dev)
{
	return container_of(dev, struct mlx5_vdpa, dev);
}

static inline bool mlx5_acked(const struct mlx5_vdpa *v, unsigned int bit)
{
	return (__atomic_load_n(&v->acked, __ATOMIC_RELAXED) >> bit) & 1;
}

static inline uint8_t mlx5_status(const struct mlx5_vdpa *v)
{
	return __atomic_load_n(&v->status, __ATOMIC_ACQUIRE);
}

/** mlx5_ctrl_idx() - the control queue's index, as the driver has settled it or may */
static inline uint16_t mlx5_ctrl_idx(const struct mlx5_vdpa *v)
{
	bool one = mlx5_acked(v, VIRTIO_NET_F_CTRL_VQ) && !mlx5_acked(v, VIRTIO_NET_F_MQ);

	return (uint16_t)(2 * (one ? 1 : v->max_pairs));
}

static inline uint16_t mlx5_nr_data(const struct mlx5_vdpa *v)
{
	return (uint16_t)(2 * v->max_pairs);
}

/** mlx5_key_of() - keys of a group's address space, NULL: none */
static inline struct mlx5_mr *mlx5_key_of(const struct mlx5_vdpa *v, uint32_t group)
{
	return v->slot[v->group_asid[group]];
}

/* ---- state.c ---- */
void mlx5_lock(struct mlx5_vdpa *v);
void mlx5_unlock(struct mlx5_vdpa *v);
/** mlx5_needs_reset() - beyond help: status bit and config interrupt */
void mlx5_needs_reset(struct mlx5_vdpa *v);
/** mlx5_look() - a device that does not answer any more is told once, and what runs on it needs a
 * reset, which will fail to start it */
void mlx5_look(struct mlx5_vdpa *v);

/* ---- ops.c ---- */
/** mlx5_ops_fill() - the operations of the device, without .free */
void mlx5_ops_fill(struct mlx5_vdpa *v, const struct vdpa_dev_config *config);

/* ---- life.c ---- */
uint8_t mlx5_op_get_status(struct vdpa_device *dev);
void mlx5_op_set_status(struct vdpa_device *dev, uint8_t status);
int mlx5_op_reset(struct vdpa_device *dev);
int mlx5_op_compat_reset(struct vdpa_device *dev, uint32_t flags);
int mlx5_op_suspend(struct vdpa_device *dev);
int mlx5_op_resume(struct vdpa_device *dev);

/* ---- slots.c ---- */
int mlx5_slots_init(struct mlx5_vdpa *v) HF_MUST_CHECK;
void mlx5_slots_fini(struct mlx5_vdpa *v);
int mlx5_op_set_map(struct vdpa_device *dev, uint32_t asid, const struct iotlb_version *map);
int mlx5_op_reset_map(struct vdpa_device *dev, uint32_t asid);
int mlx5_op_set_group_asid(struct vdpa_device *dev, uint32_t group, uint32_t asid);
/** mlx5_slots_drop() - no keys at all */
void mlx5_slots_drop(struct mlx5_vdpa *v);
/** mlx5_slots_complete() - keys for each map that has none: they were dropped, or could not be made
 */
int mlx5_slots_complete(struct mlx5_vdpa *v) HF_MUST_CHECK;
/** mlx5_slot_restore() - 1:1, where address space and firmware have that */
int mlx5_slot_restore(struct mlx5_vdpa *v, uint32_t asid);

/* ---- queue.c: data queues; errors with refuse() in words ---- */
int mlx5_vq_init(struct mlx5_vdpa *v, uint16_t idx) HF_MUST_CHECK;
void mlx5_vq_fini(struct mlx5_vdpa *v, struct mlx5_vq *vq);
/** mlx5_vq_create() - its object, in INIT, with all that is set. Return: 0 or -errno */
int mlx5_vq_create(struct mlx5_vdpa *v, struct mlx5_vq *vq) HF_MUST_CHECK;
/** mlx5_vq_destroy() - the object, if there is one; the position is kept */
void mlx5_vq_destroy(struct mlx5_vdpa *v, struct mlx5_vq *vq);
/** mlx5_vq_runs() - does it run for this client? */
static inline bool mlx5_vq_runs(const struct mlx5_vq *vq)
{
	return vq->obj != MLX5_NO_OBJ && vq->fw_state == MLX5_VQ_RDY && !vq->left;
}
/** mlx5_vq_fits() - could the object, as it was made, do what is set? */
bool mlx5_vq_fits(const struct mlx5_vdpa *v, const struct mlx5_vq *vq);
/** mlx5_vq_wants_to_run() - does everything say so? */
bool mlx5_vq_wants_to_run(const struct mlx5_vdpa *v, const struct mlx5_vq *vq);
/** mlx5_vq_take() - what was set counts from now on */
void mlx5_vq_take(struct mlx5_vq *vq);
/** mlx5_vq_reset() - what a client set is gone */
void mlx5_vq_reset(struct mlx5_vq *vq);
/** mlx5_vq_release_keys() - of one that does not run: it gets new keys before it runs again */
void mlx5_vq_release_keys(struct mlx5_vq *vq);
/** mlx5_vq_kick_worker() - that polls its kicks; NULL: none yet. A queue that has run has one. */
struct worker *mlx5_vq_kick_worker(const struct mlx5_vdpa *v, const struct mlx5_vq *vq);
/** mlx5_vq_position() - where it stands, running or not */
int mlx5_vq_position(struct mlx5_vdpa *v, struct mlx5_vq *vq, struct vdpa_vq_state *state);
/** mlx5_vq_unpark() - D1: let it go on, should it be parked */
void mlx5_vq_unpark(struct mlx5_vdpa *v, struct mlx5_vq *vq);

/** mlx5_vq_describe() - all of what its object is to be, or its changes */
struct mlx5_virtq mlx5_vq_describe(const struct mlx5_vdpa *v, const struct mlx5_vq *vq);

/* ---- running.c ---- */
/** mlx5_vqs_run() - RDY, with what has changed. Return: the first error; others may run [R1] */
int mlx5_vqs_run(struct mlx5_vdpa *v, struct mlx5_vq *const *vq, size_t nr) HF_MUST_CHECK;
int mlx5_vq_run(struct mlx5_vdpa *v, struct mlx5_vq *vq) HF_MUST_CHECK;
/** mlx5_vqs_stop() - SUSPEND those that run, and note their positions. Return: the first error: of
 * one that still runs, or whose position is not known */
int mlx5_vqs_stop(struct mlx5_vdpa *v, struct mlx5_vq *const *vq, size_t nr);
int mlx5_vq_stop(struct mlx5_vdpa *v, struct mlx5_vq *vq);
/** mlx5_vq_look() - note the state and the position that the device tells */
int mlx5_vq_look(struct mlx5_vdpa *v, struct mlx5_vq *vq);

/* ---- setup.c ---- */
/** mlx5_prepare() - queue objects ahead of a client, so that its start need not make them.
 * Best effort: what fails is made at the start, which says why it cannot be. */
void mlx5_prepare(struct mlx5_vdpa *v);
/** mlx5_setup() - objects, tables, flows, and start what wants to run. On error nothing is left. */
int mlx5_setup(struct mlx5_vdpa *v) HF_MUST_CHECK;
/** mlx5_teardown() - queues are stopped and their positions noted; objects, tables, flows go */
void mlx5_teardown(struct mlx5_vdpa *v);
/** mlx5_rest() - as mlx5_teardown(), for a reset: objects that another client can use stay.
 * Return: 0; -EIO: the device does not stop a queue */
int mlx5_rest(struct mlx5_vdpa *v) HF_MUST_CHECK;
/** mlx5_run_all() - start whatever wants to run, first what receives. Return: the first error */
int mlx5_run_all(struct mlx5_vdpa *v) HF_MUST_CHECK;
/** mlx5_stop_all() - first those that send: what is sent meanwhile would find nobody who receives.
 * Return: the first error; the others are stopped all the same */
int mlx5_stop_all(struct mlx5_vdpa *v);
/** mlx5_restart() - as mlx5_run_all(), by making everything anew if the firmware cannot resume */
int mlx5_restart(struct mlx5_vdpa *v) HF_MUST_CHECK;
/** mlx5_set_pairs() - so many queue pairs are in use from now on */
int mlx5_set_pairs(struct mlx5_vdpa *v, uint16_t pairs) HF_MUST_CHECK;

/* ---- steering.c ---- */
/** mlx5_steering_create() - RQT, TIR, flows, for the queues in use */
int mlx5_steering_create(struct mlx5_vdpa *v) HF_MUST_CHECK;
void mlx5_steering_destroy(struct mlx5_vdpa *v);
/** mlx5_steering_set_pairs() - other queues in the table */
int mlx5_steering_set_pairs(struct mlx5_vdpa *v) HF_MUST_CHECK;
/** mlx5_steering_set_mac() - frames to @mac instead; on error as before, or NEEDS_RESET */
int mlx5_steering_set_mac(struct mlx5_vdpa *v, const uint8_t *mac) HF_MUST_CHECK;
int mlx5_steering_add_vlan(struct mlx5_vdpa *v, uint16_t vid) HF_MUST_CHECK;
int mlx5_steering_del_vlan(struct mlx5_vdpa *v, uint16_t vid) HF_MUST_CHECK;

/* ---- ctrl.c ---- */
int mlx5_ctrl_init(struct mlx5_vdpa *v) HF_MUST_CHECK;
void mlx5_ctrl_fini(struct mlx5_vdpa *v);
/** mlx5_ctrl_update() - start or stop it, as everything says now */
void mlx5_ctrl_update(struct mlx5_vdpa *v);
/** mlx5_ctrl_set_map() - [10-7]: it has the map of its group's address space. */
void mlx5_ctrl_set_map(struct mlx5_vdpa *v);
/** mlx5_ctrl_kick() - any thread */
void mlx5_ctrl_kick(struct mlx5_vdpa *v);
/** mlx5_ctrl_batch() - worker. Return: more is there */
bool mlx5_ctrl_batch(struct mlx5_vdpa *v);

/* ---- events.c ---- */
int mlx5_events_init(struct mlx5_vdpa *v) HF_MUST_CHECK;
void mlx5_events_fini(struct mlx5_vdpa *v);
/** mlx5_worker_get() - make it if need be; device lock, not the worker's. Return: NULL if it cannot
 * be made */
struct worker *mlx5_worker_get(struct mlx5_vdpa *v);

#endif
