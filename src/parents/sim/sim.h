// SPDX-License-Identifier: BSD-3-Clause
/*
 * The simulator's core: a vDPA parent in software, for every device type. It keeps what a client
 * sets, and owns a software IOMMU for each address space (iommu.c), the queues and their rings
 * (queue*.c) and the workers. It answers the parent operations (ops*.c). A device type (net, ...)
 * gives a table of hooks.
 *
 * Owns: queues, rings, address spaces, workers. Embedded first: the bus's device. The type's own
 * data hangs at @priv, and its destroy hook frees it.
 *
 * Locks: control operations run under the device lock. What a queue's worker touches is under that
 * worker's lock. A worker is made when it is first needed. Before that only control threads are
 * there, and its lock does nothing. Under a worker lock only the type's own small mutexes are
 * taken.
 *
 * Invariant: no chain is in flight when a worker's lock is free. A batch pops, then completes and
 * publishes or gives back. So whoever holds the lock may stop a ring and knows its exact position.
 */
#ifndef HOLDFAST_SIM_H
#define HOLDFAST_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/worker.h"
#include "ring/ring.h"
#include "vdpa/device.h"
#include "vdpa/mgmt.h"

#define VDPASIM_WORKERS_MAX 64
#define VDPASIM_NAS_MAX     2
#define VDPASIM_NGROUPS_MAX 3
#define VDPASIM_VQ_SIZE     256 /* strict mode's ring size limit, [1-15] */
/* QEMU's stop takes below a millisecond from the first position read to the reset; a loaded machine
 * may hold it up. */
#define VDPASIM_PARK_NS (50 * NS_PER_MS)

struct vdpasim;
struct vdpasim_worker;

/* All that a ring's start depends on, but for its position. */
struct vdpasim_vq_setup {
	uint64_t desc, driver, device; /* areas, IOVA */
	uint64_t features;             /* negotiated ones */
	uint32_t num;                  /* entries */
	bool placed;                   /* the areas were given since the last reset */
};

/* Split ring, fresh: both positions 0. */
struct vdpasim_vq {
	struct vdpasim *sim;
	struct vdpasim_worker *sw; /* owner; const after creation */
	struct ring *ring;         /* [owned] */
	uint16_t idx;

	/* What the client said last, and what the ring runs with. @set becomes @use where the
	 * client starts the ring: see queue.c, rule 1. Device lock; @set.features is not used. */
	struct vdpasim_vq_setup set, use;
	bool ready;
	bool state_set;             /* SET_VRING_BASE came since the last reset */
	struct vdpa_vq_state state; /* position of the stopped ring */
	struct vdpa_vq_state left;  /* position when it was last reset, for the next field */
	bool left_owed;             /* ... and a look was owed at @left */
	bool log_own;               /* the device area is logged as if it lay at @log_addr */
	uint64_t log_addr;

	/* worker lock */
	struct vdpa_callback cb;
	bool pending; /* process at the next poll */
	bool due;     /* was pending, and its ring was not seen empty since */
	bool owed;    /* stopped ring: the driver may wait without a kick, so go on at once */
	bool parked;  /* D1: the position was read while the ring ran; queue_work.c, rule 2 */
	int64_t parked_until; /* clock_now_ns() */
	bool suppressed;      /* the driver was told not to kick */
	bool call_owed;       /* it wants to know of what vdpasim_vq_publish() has published */
	int64_t worked_at;    /* clock_now_ns(): a chain was last taken; vdpasim_vq_lingers() */
	int64_t linger_ns;    /* how long it pays to look on; 0: not at all */
	int64_t looked_at;    /* the last look of a lingering worker */
	int64_t linger_from;  /* no lingering before that time: others want the processor */
	bool slept;           /* kicks were asked for since @worked_at */
	uint16_t nr_looks;    /* empty ones since a chain was taken; vdpasim_vq_looks() */
	uint16_t more_looks;  /* besides the least number, that are worth it */
	int64_t gave_up_at;   /* clock_now_ns(): looking on was in vain; 0: it was not, so far */
	bool kicks_known; /* this ring's notification setting was written since it was started */
	bool stalled;     /* an area was not mapped: try again when the map changes */

	bool live;   /* atomic: started and running; kicks count */
	bool broken; /* atomic: the ring broke since it was last started */
	bool kicked; /* atomic: kicked since the worker last looked, or while it did not run */
};

struct vdpasim_worker {
	struct vdpasim *sim;
	struct worker *worker;   /* atomic pointer; NULL until needed; then const */
	struct vdpasim_vq **vqs; /* nr_vqs queues that this worker owns */
	uint32_t nr_vqs;
	uint32_t turn; /* vqs[] that comes first, where queues share what may be in flight */
	uint16_t idx;
};

struct vdpasim_as {
	struct iotlb *tlb; /* [owned], but for the platform style: the device's domain */
	bool passthrough;  /* 1:1 since creation or the last restore; device lock */
};

/* What a device type gives. Hooks marked (w) run with the worker lock held, on the worker or
 * not. */
struct vdpasim_type {
	const char *name;
	uint32_t device_id; /* virtio id */
	size_t config_size; /* bytes */
	bool holes;         /* wants chains that are not mapped whole, as ring_config's holes */
	bool faults_break;  /* what is not mapped breaks the ring, as ring_config's faults_break */
	bool strict_stats;  /* the kernel's simulator has counters, too */
	void (*get_config)(struct vdpasim *sim, size_t off, void *buf, size_t len);
	void (*set_config)(struct vdpasim *sim, size_t off, const void *buf, size_t len);
	uint32_t (*vq_group)(struct vdpasim *sim, uint16_t idx);
	uint32_t (*vq_desc_group)(struct vdpasim *sim, uint16_t idx); /* NULL: none */
	/** what a ring's areas and buffers are looked up in; NULL: its groups' address spaces */
	void (*vq_tlbs)(const struct vdpasim_vq *vq, struct iotlb **ring_tlb,
			struct iotlb **buf_tlb);
	/** which worker owns a queue; asked once */
	uint16_t (*vq_worker)(struct vdpasim *sim, uint16_t idx);
	/** driver features changed, or were reset to 0; all worker locks held */
	void (*features_changed)(struct vdpasim *sim);
	/** the device was reset: all rings are stopped; all worker locks held */
	void (*reset)(struct vdpasim *sim);
	/** (w) a worker was made: watch fds on it. Return: 0 or -errno */
	int (*worker_started)(struct vdpasim *sim, struct vdpasim_worker *sw);
	/** (w) the worker goes away: unwatch */
	void (*worker_stopping)(struct vdpasim *sim, struct vdpasim_worker *sw);
	/** what resets have left at work ends, before a suspend or the end of the workers. Device
	 * lock held, no worker's. NULL: nothing is ever left */
	void (*drain)(struct vdpasim *sim);
	/** the worker's thread has ended. NULL: nothing */
	void (*worker_stopped)(struct vdpasim *sim, struct vdpasim_worker *sw);
	/** (w) before the queues of a batch are processed, outside the memory guard. It may let
	 * go of the lock for a while. NULL: nothing */
	void (*batch_begin)(struct vdpasim *sim, struct vdpasim_worker *sw);
	/** (w) one bounded batch of a pending queue, inside the memory guard. Return: more is
	 * there */
	bool (*process)(struct vdpasim_vq *vq);
	/**
	 * (w) after the queues of a batch were processed, inside the memory guard: what the type
	 * has in flight ends here, so that nothing is in flight when the lock is free
	 * @more: false: the batch was cut off by a fault. What is in flight ends, and nothing new
	 * begins. Called again if it faults.
	 * Return: more is there. NULL: nothing is ever in flight
	 */
	bool (*settle)(struct vdpasim *sim, struct vdpasim_worker *sw, bool more);
	/** (w) behind the queues of a batch, outside of the guard; the worker may give up its lock
	 * here. NULL: nothing */
	void (*batch_end)(struct vdpasim *sim, struct vdpasim_worker *sw);
	/** (w) a control thread is about to stop a ring that runs: what the type does for it with
	 * the lock free ends, or is given up for a reset. NULL: nothing */
	void (*vq_stopping)(struct vdpasim_vq *vq);
	/** (w) a ring has started; may set pending flags */
	void (*vq_started)(struct vdpasim_vq *vq);
	/** everything is there but the bus does not know the device yet */
	void (*created)(struct vdpasim *sim);
	/** counters of a queue, as get_vendor_vq_stats; NULL: none. Device lock held */
	int (*stats)(struct vdpasim *sim, uint16_t idx, struct vdpa_vq_stat *stats);
	void (*destroy)(struct vdpasim *sim);
};

struct vdpasim_params {
	const struct vdpasim_type *type;
	void *priv;                  /* consumed on success only */
	uint64_t features;           /* offered */
	bool lossy;                  /* split rings lose chains as the kernel's do: ring/strict.h */
	uint32_t nvqs, ngroups, nas; /* of a parent with its own IOMMU; platform style has 1, 1 */
	const struct vdpa_mgmt_dev *mgmt; /* what makes it */
};

struct vdpasim {
	struct vdpa_device dev; /* first */
	struct vdpa_config_ops ops;
	const struct vdpasim_type *type;
	void *priv;
	enum vdpa_mapping mapping;
	bool strict;
	bool lossy;               /* const; as the parameters' */
	uint16_t vq_size;         /* largest ring */
	int64_t park_ns;          /* how long a ring is parked at most; const */
	uint64_t features;        /* offered; const */
	uint64_t driver_features; /* written under all worker locks */
	uint32_t generation;      /* device lock */
	uint8_t status;           /* atomic: a worker adds NEEDS_RESET */
	bool suspended;           /* atomic; written under the device lock */
	bool kicked_suspended;    /* atomic */

	struct vdpa_dirty_log log;      /* written under all worker locks, read under any */
	struct vdpa_callback config_cb; /* worker 0's lock */
	bool config_irq;                /* atomic: one is owed */
	bool map_waiters;               /* atomic: some queue is stalled */

	struct vdpasim_as as[VDPASIM_NAS_MAX];
	uint32_t group_asid[VDPASIM_NGROUPS_MAX]; /* device lock */
	/* Never used for translation, but sources of versions: 1:1 in the device's own space and in
	 * @bound, and none. NULL in platform style */
	struct iotlb *one_to_one, *bound_one_to_one, *nothing;
	struct memory_space *bound; /* [shared] bind_mm */

	struct vdpasim_vq *vqs; /* dev.nvqs */
	struct vdpasim_worker workers[VDPASIM_WORKERS_MAX];
	uint16_t nr_workers;
};

/** vdpasim_create() - make a device and register it on @bus. Return: 0; -errno with refuse() in
 * words */
int vdpasim_create(struct vdpa_bus *bus, const struct vdpa_dev_config *config,
		   const struct vdpasim_params *params) HF_MUST_CHECK;
/** vdpasim_create_inner() - the same, but not registered: no client sees it. Its maker calls its
 * functions under a lock of his own, and vdpa_device_put() destroys it. @out: [out] on success */
int vdpasim_create_inner(struct vdpa_bus *bus, const struct vdpa_dev_config *config,
			 const struct vdpasim_params *params, struct vdpasim **out) HF_MUST_CHECK;

static inline struct vdpasim *vdpasim_of(struct vdpa_device *dev)
{
	return container_of(dev, struct vdpasim, dev);
}

static inline bool vdpasim_acked(const struct vdpasim *sim, unsigned int bit)
{
	return (sim->driver_features >> bit) & 1;
}

/* ---- features.c ---- */
/** vdpasim_choose_features() - what a device offers
 * @supported: all that it can. @asked_for: those of them that a SPEC must ask for
 * Return: 0 or refuse() */
int vdpasim_choose_features(const struct vdpa_dev_config *config, uint64_t supported,
			    uint64_t asked_for, uint64_t *offered) HF_MUST_CHECK;

/* ---- ops.c ---- */
/** vdpasim_ops_fill() - the operations that this combination of options has */
void vdpasim_ops_fill(struct vdpasim *sim, const struct vdpa_dev_config *config);
/** vdpasim_free() - also of a half-made device; the last reference is gone */
void vdpasim_free(struct vdpa_device *dev);

/* ---- ops_status.c ---- */
/** vdpasim_reset() - the virtio device as new; mappings stay */
void vdpasim_reset(struct vdpasim *sim);

/* ---- iommu.c: device lock held, no worker lock ---- */
int vdpasim_iommu_init(struct vdpasim *sim) HF_MUST_CHECK;
void vdpasim_iommu_fini(struct vdpasim *sim);
struct iotlb *vdpasim_iommu_tlb(struct vdpasim *sim, uint32_t group);
int vdpasim_iommu_set_map(struct vdpasim *sim, uint32_t asid, const struct iotlb_version *map);
int vdpasim_iommu_map(struct vdpasim *sim, uint32_t asid, const struct iotlb_entry *entry);
/** vdpasim_iommu_unmap() - Return: 0; -ENOMEM, nothing changed */
int vdpasim_iommu_unmap(struct vdpasim *sim, uint32_t asid, uint64_t first, uint64_t last);
/** vdpasim_iommu_restore() - 1:1 again; a no-op while it is ([7-2]) */
void vdpasim_iommu_restore(struct vdpasim *sim, uint32_t asid);
/** vdpasim_iommu_bind() - what 1:1 means from now on; NULL: the bus's own space. Return: 0; -ENOMEM
 * for a space, nothing changed */
int vdpasim_iommu_bind(struct vdpasim *sim, struct memory_space *space);

/* ---- wake.c ---- */
/* Nothing if the worker was not made yet. */
void vdpasim_lock(struct vdpasim_worker *sw);
void vdpasim_unlock(struct vdpasim_worker *sw);
void vdpasim_lock_all(struct vdpasim *sim);
void vdpasim_unlock_all(struct vdpasim *sim);
/** vdpasim_wake() - have the worker look at its queues */
void vdpasim_wake(struct vdpasim_worker *sw);
/** vdpasim_map_changed() - stalled queues try again */
void vdpasim_map_changed(struct vdpasim *sim);
/** vdpasim_needs_reset() - a queue is beyond help: status bit and config interrupt; any thread */
void vdpasim_needs_reset(struct vdpasim *sim);

/* ---- worker.c ---- */
/** vdpasim_worker_get() - make it if need be; device lock. Return: NULL if it cannot be made */
struct worker *vdpasim_worker_get(struct vdpasim_worker *sw);
/** vdpasim_has_sound_workers() - false if the process has closed a descriptor of one. Device lock
 */
bool vdpasim_has_sound_workers(const struct vdpasim *sim);
/** vdpasim_stop_workers() - no ring runs: end the workers, until one is needed again. Device lock
 * held, or nobody knows the device any more */
void vdpasim_stop_workers(struct vdpasim *sim);

/* ---- queue.c: worker lock held (or no worker yet), device lock held ---- */
int vdpasim_vq_init(struct vdpasim *sim, uint16_t idx) HF_MUST_CHECK;
/** vdpasim_vq_set_address() / vdpasim_vq_set_num() - for the next start by the client; of a ring
 * that does not run, for the next start of any kind */
void vdpasim_vq_set_address(struct vdpasim_vq *vq, uint64_t desc, uint64_t driver, uint64_t device);
void vdpasim_vq_set_num(struct vdpasim_vq *vq, uint32_t num);
/** vdpasim_vq_set_state() - the position that a ring which does not run starts from */
void vdpasim_vq_set_state(struct vdpasim_vq *vq, const struct vdpa_vq_state *state);
/** vdpasim_vq_start() - start the ring as it was set up last, if everything says so; no-op
 * otherwise */
void vdpasim_vq_start(struct vdpasim_vq *vq);
/** vdpasim_vq_start_by_client() - the same with what the client has set in the meantime */
void vdpasim_vq_start_by_client(struct vdpasim_vq *vq);
void vdpasim_vq_stop(struct vdpasim_vq *vq);
void vdpasim_vq_reset(struct vdpasim_vq *vq);
/** vdpasim_vq_rebind() - its groups' address spaces may be others now */
void vdpasim_vq_rebind(struct vdpasim_vq *vq);
/** vdpasim_vq_log() - what is logged may have changed: the log, the addresses, the address
 * spaces */
void vdpasim_vq_log(struct vdpasim_vq *vq);
/** vdpasim_vq_state() - where it stands, running or not */
struct vdpa_vq_state vdpasim_vq_state(const struct vdpasim_vq *vq);
/** vdpasim_vq_restart() - forget chains in flight, after a batch was cut off; worker */
void vdpasim_vq_restart(struct vdpasim_vq *vq);

/* ---- queue_work.c: worker lock held ---- */
/** vdpasim_vq_allow_kicks() - a ring stops or stands still: its driver must be able to kick it */
void vdpasim_vq_allow_kicks(struct vdpasim_vq *vq);
/** vdpasim_vq_park() - D1: the position was told to the client; stand still, but not for ever */
void vdpasim_vq_park(struct vdpasim_vq *vq);
/** vdpasim_vq_unpark() - D1: go on after the position was read */
void vdpasim_vq_unpark(struct vdpasim_vq *vq);
/** vdpasim_vq_unpark_due() - the same if its time is over; worker */
void vdpasim_vq_unpark_due(struct vdpasim_vq *vq);
/** vdpasim_vq_busy() - a batch begins: no kicks are needed until vdpasim_vq_idle(); not in strict
 * mode */
void vdpasim_vq_busy(struct vdpasim_vq *vq);
/**
 * vdpasim_vq_lingers() - nothing is left to take: does it pay to look on for a while, instead of
 * asking for kicks and sleeping?
 * @began: clock_now_ns() at the begin of this batch. @worked: chains were taken in it
 */
bool vdpasim_vq_lingers(struct vdpasim_vq *vq, int64_t began, bool worked);
/**
 * vdpasim_vq_looks() - the same for chains that cost less than reading a clock: the look is counted
 * To be called after each batch. @worked: chains were taken in it. Return: look on
 */
bool vdpasim_vq_looks(struct vdpasim_vq *vq, bool worked);
/**
 * vdpasim_vq_await() - are there chains, or come some within a fraction of a microsecond?
 * Looks again and again, if the worker has nothing else to do and nobody asks for its lock. The
 * time that it takes counts for vdpasim_vq_looks(). Within a batch.
 */
bool vdpasim_vq_await(struct vdpasim_vq *vq);
/**
 * vdpasim_vq_idle() - nothing is left to take: ask for kicks
 * @err: what ring_pop() last said, 0 or negative
 * Return: chains came in the meantime. Never true where trying again at once would be in vain.
 */
bool vdpasim_vq_idle(struct vdpasim_vq *vq, int err);
/** vdpasim_vq_flush() - publish what was pushed, and tell the driver if it wants to know. If the
 * used area is not mapped, the queue is looked at when it is, and must come here again. */
void vdpasim_vq_flush(struct vdpasim_vq *vq);
/** vdpasim_vq_publish() - publish what was pushed; the driver is told of it by vdpasim_vq_flush(),
 * which must come in the same batch */
void vdpasim_vq_publish(struct vdpasim_vq *vq);
/** vdpasim_vq_tell() - tell the driver, if it wants to know of what was published */
void vdpasim_vq_tell(struct vdpasim_vq *vq);
/** vdpasim_vq_publish_late() - the ring stops, or its position is to be told. Its last batch may
 * have found the used area not mapped, and its worker may not have come to it since */
void vdpasim_vq_publish_late(struct vdpasim_vq *vq);
/** vdpasim_vq_kick() - any thread */
void vdpasim_vq_kick(struct vdpasim_vq *vq);
/** vdpasim_vq_call() - tell the driver; worker lock held */
static inline void vdpasim_vq_call(const struct vdpasim_vq *vq)
{
	if (vq->cb.fn)
		vq->cb.fn(vq->cb.arg);
}

/** vdpasim_is_resetting() - is a reset about to be made? Then nothing new begins, and what is under
 * way need not end */
static inline bool vdpasim_is_resetting(const struct vdpasim *sim)
{
	return __atomic_load_n(&sim->dev.resetting, __ATOMIC_RELAXED);
}

/** vdpasim_is_asked() - does a control thread wait for the worker's lock? Then a batch ends as soon
 * as it can; worker lock held */
static inline bool vdpasim_is_asked(const struct vdpasim_worker *sw)
{
	/* NULL while the device goes */
	const struct worker *w = __atomic_load_n(&sw->worker, __ATOMIC_ACQUIRE);

	return vdpasim_is_resetting(sw->sim) || (w && worker_is_asked(w));
}

/** vdpasim_worker_turn() - the @i'th queue, counted from the one whose turn it is */
static inline struct vdpasim_vq *vdpasim_worker_turn(const struct vdpasim_worker *sw, uint32_t i)
{
	i += sw->turn;
	return sw->vqs[i < sw->nr_vqs ? i : i - sw->nr_vqs];
}

/** vdpasim_worker_pass_turn() - the queue that was the @i'th comes first from now on */
static inline void vdpasim_worker_pass_turn(struct vdpasim_worker *sw, uint32_t i)
{
	sw->turn = sw->turn + i < sw->nr_vqs ? sw->turn + i : sw->turn + i - sw->nr_vqs;
}

/** vdpasim_vq_runs() - may a batch work on it? worker lock held */
static inline bool vdpasim_vq_runs(const struct vdpasim_vq *vq)
{
	return __atomic_load_n(&vq->live, __ATOMIC_RELAXED) && !vq->parked;
}

#endif
