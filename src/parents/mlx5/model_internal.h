// SPDX-License-Identifier: BSD-3-Clause
/*
 * The inside of the firmware model: its objects, and reading a command. Used by model*.c alone; one
 * thread at a time, but for what says otherwise.
 *
 *   model.c        the table of commands, latencies, injected failures; calls all others
 *   model_mkey.c   memory keys, and what they translate
 *   model_view.c   the same as an address space that rings look things up in
 *   model_obj.c    objects by number: domains, what steers frames
 *   model_virtq.c  virtqueues: their state machine
 *   model_nic.c    the port: what moves frames between queues and a backend; its vectors, doorbells
 *   model_event.c  event queues, registered memory
 */
#ifndef HOLDFAST_PARENTS_MLX5_MODEL_INTERNAL_H
#define HOLDFAST_PARENTS_MLX5_MODEL_INTERNAL_H

#include <sys/queue.h>

#include "base/mutex.h"
#include "model.h"
#include "parents/sim/net.h"

/* Statuses and syndromes. The syndromes are the model's own: real ones depend on the firmware. */
enum {
	FW_OK = 0x0,
	FW_BAD_OP = 0x2,
	FW_BAD_PARAM = 0x3,
	FW_BAD_RES = 0x5,
	FW_BUSY = 0x6,
	FW_LIMIT = 0x8,
	FW_BAD_STATE = 0x9,
	FW_NO_RES = 0xf,
	FW_BAD_IN_LEN = 0x50,
	FW_BAD_OUT_LEN = 0x51,
};

#define FW_NULL_MKEY 0x100u /* index 1, low byte 0: the key that reaches nothing */
#define FW_FIRST_KEY 2u

struct fw_piece {
	uint64_t end; /* bytes of the list up to and with this entry */
	uint64_t addr;
	uint32_t mkey;
};

struct fw_mkey {
	uint64_t start, len;
	uint64_t *mtt;         /* [nr] */
	struct fw_piece *list; /* [nr] */
	size_t nr;
	uint64_t serial; /* no two keys ever have the same */
	uint32_t pd;
	uint8_t low, mode, log_page;
	bool all; /* length64 */
	bool read, write;
};

/* What has a number, and names other such things. */
enum fw_type {
	FW_TD,
	FW_TIS,
	FW_RQT,
	FW_TIR,
	FW_TABLE,
	FW_GROUP,
	FW_FLOW,
	FW_EQ,
	FW_COUNTERS,
	FW_VIRTQ,
	FW_UMEM,
	FW_NR_TYPES,
};

/* Bits that count, or their values. */
struct fw_match {
	uint8_t dmac[6];
	uint16_t vid;
	bool cvlan;
};

struct fw_virtq {
	uint16_t index, size, features;
	uint16_t avail, used; /* of one that does not run */
	uint8_t state;
	bool version_1;
	uint32_t vector, mkey, desc_mkey;
	uint64_t desc, driver, device;
	struct fw_view *view, *desc_view; /* while it runs */
	struct fw_obj *counters;          /* or NULL */
};

struct fw_obj {
	TAILQ_ENTRY(fw_obj) link;
	enum fw_type type;
	uint32_t id;
	unsigned int users;
	struct fw_obj *uses[4]; /* or NULL */
	union {
		struct {
			struct fw_obj *queue[SIMNET_PAIRS_MAX];
			uint16_t nr, max;
		} rqt;
		struct {
			uint8_t log_size;
		} table;
		struct {
			uint32_t first, last;
			struct fw_match mask;
		} group;
		struct {
			uint32_t index;
			struct fw_match value;
		} flow;
		struct {
			uint8_t *buf; /* entries of 64 bytes */
			uint32_t nr, producer, vector;
			uint64_t events;
		} eq;
		struct {
			uint64_t base; /* chains of the ring before this object */
			struct fw_obj *queue;
		} counters;
		struct {
			size_t len;
		} umem;
		struct fw_virtq virtq;
	};
};

TAILQ_HEAD(fw_list, fw_obj);

#define FW_VECTORS (2 * SIMNET_PAIRS_MAX + 1)

struct fw_vector {
	bool open;
	struct vdpa_callback cb; /* lock of the worker that calls it */
};

/* A queue that runs, for the threads that move frames. */
struct fw_run {
	struct iotlb *ring_tlb, *buf_tlb; /* worker's lock */
	uint32_t id;                      /* atomic: the object */
	bool told;                        /* atomic: the driver knows that it broke */
};

/* A part of a view: what one entry of the key's list gives. */
struct fw_part {
	uint64_t first, last; /* inclusive */
	uint64_t addr;        /* in the key behind it */
	uint64_t serial;      /* of that key; 0: nothing is reached */
	uint32_t mkey;
};

/* What a ring looks things up in: a key as an address space. */
struct fw_view {
	struct fw_view *next;
	uint64_t serial; /* of its key */
	unsigned int users;
	struct iotlb *tlb;
	struct fw_part *part; /* [nr] by address */
	size_t nr;
};

struct mlx5_model {
	struct mlx5_dev dev;
	struct mlx5_model_options opt;
	struct fw_mkey **mkey; /* by index; NULL: free */
	uint32_t *free_idx;    /* stack of indices that were given back */
	size_t nr_free, room;  /* room of both arrays */
	uint32_t next_idx;     /* indices from here on were never used */
	size_t nr_mkeys;
	uint64_t serial;    /* of the newest key */
	uint32_t *pd_users; /* [nr_pd]: mkeys and queues of it + 1; 0: free */
	size_t nr_pd;
	uint64_t nr_commands[MODEL_NR_KINDS], seen, fail_at;
	uint8_t fail_status;
	bool fatal, gone; /* atomic; set once */
	bool full;        /* no room for anything new */

	struct fw_list objs[FW_NR_TYPES];
	uint32_t next_id;
	struct fw_view *views;     /* in use */
	struct fw_view *last_view; /* not in use, or NULL: the next one may be like it */
	struct fw_obj *root;       /* flow table, or NULL */
	struct fw_vector vectors[FW_VECTORS];
	struct vdpasim_type type; /* of @sim; const after creation */
	struct vdpasim *sim;      /* the port; NULL: none */
	struct simnet *net;
	struct fw_obj *eq; /* or NULL; worker 0's lock */
	struct fw_run run[2 * SIMNET_PAIRS_MAX];
};

static inline struct mlx5_model *fw_model_of(struct mlx5_dev *dev)
{
	return container_of(dev, struct mlx5_model, dev);
}

/** fw_is_dead() - any thread */
static inline bool fw_is_dead(const struct mlx5_model *m)
{
	return __atomic_load_n(&m->fatal, __ATOMIC_ACQUIRE);
}

/** fw_mkey_of() - the key of a number, low byte and all; NULL: none */
static inline const struct fw_mkey *fw_mkey_of(const struct mlx5_model *m, uint32_t mkey)
{
	uint32_t index = mkey >> 8;
	const struct fw_mkey *k = index < m->next_idx && index < m->room ? m->mkey[index] : NULL;

	return k && k->low == (mkey & 0xff) ? k : NULL;
}

static inline bool fw_pd_is(const struct mlx5_model *m, uint32_t pd)
{
	return pd != 0 && pd <= m->nr_pd && m->pd_users[pd - 1] != 0;
}

/* A reply's status and syndrome. */
struct fw_reply {
	uint8_t status;
	uint32_t syndrome;
	uint32_t index; /* 24 bits at byte 9, or all 32 from byte 8 */
};

static inline uint32_t fw_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t fw_u64(const uint8_t *p)
{
	return (uint64_t)fw_u32(p) << 32 | fw_u32(p + 4);
}

static inline uint32_t fw_u24(const uint8_t *p)
{
	return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

static inline uint16_t fw_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline void fw_put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void fw_put32(uint8_t *p, uint32_t v)
{
	fw_put16(p, (uint16_t)(v >> 16));
	fw_put16(p + 2, (uint16_t)v);
}

static inline void fw_put64(uint8_t *p, uint64_t v)
{
	fw_put32(p, (uint32_t)(v >> 32));
	fw_put32(p + 4, (uint32_t)v);
}

/* One command. */
struct fw_cmd {
	const uint8_t *in;
	size_t in_len;
	uint8_t *out;
	struct fw_reply *r;
};

/** fw_refuse() - put a status into the reply */
static inline void fw_refuse(const struct fw_cmd *c, uint8_t status, uint32_t syndrome)
{
	*c->r = (struct fw_reply){status, syndrome, 0};
}

typedef void (*fw_fn)(struct mlx5_model *m, const struct fw_cmd *c);

/* ---- model_mkey.c ---- */
void fw_create_mkey(struct mlx5_model *m, const struct fw_cmd *c);
void fw_destroy_mkey(struct mlx5_model *m, const struct fw_cmd *c);
void fw_mkeys_free(struct mlx5_model *m);
/** fw_klm_update() - the seam's klm_update */
int fw_klm_update(struct mlx5_dev *dev, uint32_t mkey, size_t first, const struct mlx5_klm *klm,
		  size_t nr);

/* ---- model_view.c ---- */
/** fw_view_get() - Return: 0; -EFAULT there is no such key; -ENOMEM. Not under a worker's lock. */
int fw_view_get(struct mlx5_model *m, uint32_t mkey, struct fw_view **out) HF_MUST_CHECK;
void fw_view_put(struct mlx5_model *m, struct fw_view *view);
/** fw_view_forget() - a key goes: on return no queue reaches anything by it */
void fw_view_forget(struct mlx5_model *m, const struct fw_mkey *key);
/** fw_view_change() - the list of a key has changed: on return queues go by the new one */
void fw_view_change(struct mlx5_model *m, uint32_t mkey);
void fw_views_free(struct mlx5_model *m);

/* ---- model_obj.c ---- */
struct fw_obj *fw_obj_make(struct mlx5_model *m, enum fw_type type);
struct fw_obj *fw_obj_find(const struct mlx5_model *m, enum fw_type type, uint32_t id);
/** fw_obj_use() - @obj names @other from now on; NULL is fine */
void fw_obj_use(struct fw_obj *obj, struct fw_obj *other);
/** fw_obj_destroy() - nobody names it any more */
void fw_obj_destroy(struct mlx5_model *m, struct fw_obj *obj);
/** fw_obj_take() - the object that a DESTROY names. Return: NULL, and the reply says why */
struct fw_obj *fw_obj_take(struct mlx5_model *m, enum fw_type type, uint32_t id,
			   const struct fw_cmd *c);
void fw_objs_free(struct mlx5_model *m);
void fw_alloc_td(struct mlx5_model *m, const struct fw_cmd *c);
void fw_dealloc_td(struct mlx5_model *m, const struct fw_cmd *c);
void fw_create_tis(struct mlx5_model *m, const struct fw_cmd *c);
void fw_destroy_tis(struct mlx5_model *m, const struct fw_cmd *c);

/* ---- model_steer.c ---- */
void fw_create_rqt(struct mlx5_model *m, const struct fw_cmd *c);
void fw_modify_rqt(struct mlx5_model *m, const struct fw_cmd *c);
void fw_destroy_rqt(struct mlx5_model *m, const struct fw_cmd *c);
void fw_create_tir(struct mlx5_model *m, const struct fw_cmd *c);
void fw_destroy_tir(struct mlx5_model *m, const struct fw_cmd *c);
void fw_create_table(struct mlx5_model *m, const struct fw_cmd *c);
void fw_set_root(struct mlx5_model *m, const struct fw_cmd *c);
void fw_destroy_table(struct mlx5_model *m, const struct fw_cmd *c);
void fw_create_group(struct mlx5_model *m, const struct fw_cmd *c);
void fw_destroy_group(struct mlx5_model *m, const struct fw_cmd *c);
void fw_set_flow(struct mlx5_model *m, const struct fw_cmd *c);
void fw_delete_flow(struct mlx5_model *m, const struct fw_cmd *c);
/** fw_steer() - have the port receive what the flow tables say */
void fw_steer(struct mlx5_model *m);

/* ---- model_virtq.c ---- */
void fw_query_virtio_cap(struct mlx5_model *m, uint8_t *cap);
void fw_create_virtq(struct mlx5_model *m, const struct fw_cmd *c);
void fw_modify_virtq(struct mlx5_model *m, const struct fw_cmd *c);
void fw_query_virtq(struct mlx5_model *m, const struct fw_cmd *c);
void fw_destroy_virtq(struct mlx5_model *m, const struct fw_cmd *c);
void fw_create_counters(struct mlx5_model *m, const struct fw_cmd *c);
void fw_query_counters(struct mlx5_model *m, const struct fw_cmd *c);
void fw_destroy_counters(struct mlx5_model *m, const struct fw_cmd *c);

/* ---- model_nic.c ---- */
/** fw_nic_open() - Return: 0, or refuse() */
int fw_nic_open(struct mlx5_model *m) HF_MUST_CHECK;
void fw_nic_close(struct mlx5_model *m);
uint64_t fw_nic_features(const struct mlx5_model *m);
/** fw_nic_run() - let queue @q run from its position. Return: false if it cannot */
bool fw_nic_run(struct mlx5_model *m, struct fw_virtq *q);
/** fw_nic_stop() - and note its position */
void fw_nic_stop(struct mlx5_model *m, struct fw_virtq *q);
/** fw_nic_halt() - all queues break */
void fw_nic_halt(struct mlx5_model *m);
/** fw_nic_forget() - it is another queue's from now on */
void fw_nic_forget(struct mlx5_model *m, const struct fw_virtq *q);
/** fw_nic_position() - of a queue that runs. Return: false if it broke */
bool fw_nic_position(struct mlx5_model *m, const struct fw_virtq *q, uint16_t *avail);
uint64_t fw_nic_chains(const struct mlx5_model *m, uint16_t index);
/* As in struct mlx5_dev_ops. A vector is that of a queue or of an event queue. */
int fw_vector_open(struct mlx5_dev *dev, const struct vdpa_callback *cb,
		   uint32_t *vector) HF_MUST_CHECK;
void fw_vector_set(struct mlx5_dev *dev, uint32_t vector, const struct vdpa_callback *cb);
void fw_vector_close(struct mlx5_dev *dev, uint32_t vector);
void fw_kick(struct mlx5_dev *dev, uint16_t idx);
struct worker *fw_kick_worker(struct mlx5_dev *dev, uint16_t idx);

/* ---- model_event.c ---- */
void fw_create_eq(struct mlx5_model *m, const struct fw_cmd *c);
void fw_destroy_eq(struct mlx5_model *m, const struct fw_cmd *c);
/** fw_event_broken() - tell event queues that object @id has changed; under worker 0's lock */
void fw_event_broken(struct mlx5_model *m, uint32_t id);
/* As in struct mlx5_dev_ops. */
int fw_umem_open(struct mlx5_dev *dev, void *addr, size_t len, uint32_t *id) HF_MUST_CHECK;
void fw_umem_close(struct mlx5_dev *dev, uint32_t id);
void *fw_eq_buffer(struct mlx5_dev *dev, uint32_t eqn);

#endif
