// SPDX-License-Identifier: BSD-3-Clause
/*
 * The model's virtqueues.
 *
 *     INIT ──> RDY ──> SUSPEND ──> RDY again, if the device can (freeze_to_rdy)
 *               └── a bad ring, a missing key ──> ERR, out of which only DESTROY leads
 *
 * Refused are: a size that is no power of two, a vring or vector that another queue has or that the
 * port lacks, features and versions that it does not have, memory of its own that is too small or
 * is none, a domain, TIS or counters that are none; a change of fields in a state that does not
 * allow it; a change of state that is none of the above; RDY without a key.
 */
#include "model_internal.h"

/* Offsets in bytes of the commands on a queue. */
#define SELECT       16
#define FEATURES     32 /* two bytes; the upper ten bits */
#define STATE        35 /* low 4 bits */
#define FEATURES_LOW 36 /* low 3 bits */
#define TISN         37
#define AVAIL        56
#define USED         58
#define EVENT_MODE   81 /* low 3 bits */
#define INDEX        82
#define VERSION      84 /* bit 6 */
#define VECTOR       85
#define SIZE         90
#define DESC         96
#define DEVICE       104
#define DRIVER       112
#define MKEY         120
#define ERROR_TYPE   127
#define UMEM_1       128
#define UMEM_STEP    16
#define COUNTERS     176
#define PD           181
#define DESC_MKEY    188

enum { INIT, RDY, SUSPEND, ERR };
enum { STATE_BIT = 1, ADDRS = 1 << 6, AVAIL_BIT = 1 << 7, USED_BIT = 1 << 8, MKEY_BIT = 1 << 11 };
#define DESC_MKEY_BIT (1u << 14)
#define KNOWN_BITS    (STATE_BIT | ADDRS | AVAIL_BIT | USED_BIT | MKEY_BIT | DESC_MKEY_BIT)
#define DOORBELL_AT   0x2010 /* in the first BAR of a card; the model itself has none */
#define ERROR_NETWORK 1      /* the one kind of error that the model tells */

/* What a queue needs of its own; the numbers are such that a driver which leaves out a or b is
 * seen. */
static const struct {
	uint32_t a, b;
} needs[3] = {{64, 4096}, {128, 8192}, {32, 4096}};

void fw_query_virtio_cap(struct mlx5_model *m, uint8_t *cap)
{
	uint16_t features = (uint16_t)fw_nic_features(m);

	cap[0] = (uint8_t)(0x20 | (features >> 8 & 0x1f)); /* version 1; 13 bits from bit 3 */
	cap[1] = (uint8_t)features;
	cap[2] = 1 << 2; /* events by vector */
	cap[3] = 1 << 0; /* split rings */
	fw_put64(cap + 8, DOORBELL_AT);
	cap[18] = (uint8_t)(m->sim ? m->sim->dev.nvqs >> 8 : 0);
	cap[19] = (uint8_t)(m->sim ? m->sim->dev.nvqs : 0);
	if (!m->opt.no_desc_mkey)
		cap[26] |= 0x10; /* bit 0xd3 */
	if (!m->opt.no_freeze_to_rdy)
		cap[26] |= 0x08; /* bit 0xd4 */
	for (int i = 0; i < 3; i++) {
		fw_put32(cap + 32 + 8l * i, needs[i].a);
		fw_put32(cap + 36 + 8l * i, needs[i].b);
	}
}

static struct fw_virtq decode(const uint8_t *in)
{
	return (struct fw_virtq){
		.index = fw_u16(in + INDEX),
		.size = fw_u16(in + SIZE),
		.features = (uint16_t)((fw_u16(in + FEATURES) >> 6) << 3 | (in[FEATURES_LOW] & 7)),
		.avail = fw_u16(in + AVAIL),
		.used = fw_u16(in + USED),
		.version_1 = in[VERSION] >> 6 & 1,
		.vector = fw_u24(in + VECTOR),
		.mkey = fw_u32(in + MKEY),
		.desc_mkey = fw_u32(in + DESC_MKEY),
		.desc = fw_u64(in + DESC),
		.driver = fw_u64(in + DRIVER),
		.device = fw_u64(in + DEVICE),
	};
}

static bool is_taken(const struct mlx5_model *m, const struct fw_virtq *q)
{
	const struct fw_obj *obj;

	TAILQ_FOREACH (obj, &m->objs[FW_VIRTQ], link)
		if (obj->virtq.index == q->index || obj->virtq.vector == q->vector)
			return true;
	return false;
}

static bool fields_fit(struct mlx5_model *m, const struct fw_virtq *q, const struct fw_cmd *c)
{
	if (!m->sim || q->index >= m->sim->dev.nvqs || q->size == 0 || (q->size & (q->size - 1)) ||
	    (c->in[STATE] & 0xf) != INIT)
		fw_refuse(c, FW_BAD_PARAM, 0x50001);
	else if (q->features & ~fw_nic_features(m) || !q->version_1)
		fw_refuse(c, FW_BAD_PARAM, 0x50002);
	else if ((c->in[EVENT_MODE] & 7) != 2 || q->vector >= FW_VECTORS ||
		 !m->vectors[q->vector].open)
		fw_refuse(c, FW_BAD_PARAM, 0x50003);
	else if (is_taken(m, q))
		fw_refuse(c, FW_BUSY, 0x50004);
	else if (!fw_pd_is(m, fw_u24(c->in + PD)))
		fw_refuse(c, FW_BAD_RES, 0x50005);
	else if (q->desc_mkey && m->opt.no_desc_mkey)
		fw_refuse(c, FW_BAD_PARAM, 0x50006);
	else
		return true;
	return false;
}

/* The memory of its own, and what else it names. */
static bool find_uses(struct mlx5_model *m, const struct fw_virtq *q, const struct fw_cmd *c,
		      struct fw_obj *uses[4], struct fw_obj **counters)
{
	uint32_t tisn = fw_u24(c->in + TISN), id = fw_u32(c->in + COUNTERS);

	for (int i = 0; i < 3; i++) {
		const uint8_t *p = c->in + UMEM_1 + (long)UMEM_STEP * i;

		uses[i] = fw_obj_find(m, FW_UMEM, fw_u32(p));
		if (!uses[i] || fw_u32(p + 4) > uses[i]->umem.len ||
		    fw_u32(p + 4) < needs[i].a * q->size + needs[i].b) {
			fw_refuse(c, FW_BAD_PARAM, 0x50007);
			return false;
		}
	}
	uses[3] = q->index % 2 ? fw_obj_find(m, FW_TIS, tisn) : NULL;
	*counters = id ? fw_obj_find(m, FW_COUNTERS, id) : NULL;
	if ((q->index % 2 && !uses[3]) || (id && (!*counters || (*counters)->counters.queue))) {
		fw_refuse(c, FW_BAD_RES, 0x50008);
		return false;
	}
	return true;
}

void fw_create_virtq(struct mlx5_model *m, const struct fw_cmd *c)
{
	struct fw_virtq q = decode(c->in);
	struct fw_obj *uses[4], *counters, *obj;

	if (!fields_fit(m, &q, c) || !find_uses(m, &q, c, uses, &counters))
		return;
	obj = fw_obj_make(m, FW_VIRTQ);
	if (!obj) {
		fw_refuse(c, FW_NO_RES, 0x50009);
		return;
	}
	for (int i = 0; i < 4; i++)
		fw_obj_use(obj, uses[i]);
	q.counters = counters;
	if (counters) {
		counters->users++;
		counters->counters.queue = obj;
		counters->counters.base = fw_nic_chains(m, q.index);
	}
	obj->virtq = q;
	c->r->index = obj->id;
}

static void halt(struct mlx5_model *m, struct fw_virtq *q)
{
	fw_nic_stop(m, q);
	fw_view_put(m, q->view);
	fw_view_put(m, q->desc_view);
	q->view = q->desc_view = NULL;
}

/* ERR is found out when somebody looks. */
static void look(struct mlx5_model *m, struct fw_virtq *q)
{
	uint16_t avail;

	if (q->state == RDY && !fw_nic_position(m, q, &avail)) {
		halt(m, q);
		q->state = ERR;
	}
}

static bool start(struct mlx5_model *m, struct fw_virtq *q, const struct fw_cmd *c)
{
	if (fw_view_get(m, q->mkey, &q->view)) {
		fw_refuse(c, FW_BAD_RES, 0x5000a);
		return false;
	}
	if (q->desc_mkey && fw_view_get(m, q->desc_mkey, &q->desc_view)) {
		fw_view_put(m, q->view);
		q->view = NULL;
		fw_refuse(c, FW_BAD_RES, 0x5000b);
		return false;
	}
	if (!m->full && fw_nic_run(m, q))
		return true;
	halt(m, q);
	fw_refuse(c, FW_NO_RES, 0x5000c);
	return false;
}

static void change_fields(struct mlx5_model *m, struct fw_virtq *q, const struct fw_virtq *to,
			  uint64_t select)
{
	if (select & ADDRS) {
		fw_nic_forget(m, q); /* another ring */
		q->desc = to->desc;
		q->driver = to->driver;
		q->device = to->device;
	}
	if (select & AVAIL_BIT)
		q->avail = to->avail;
	if (select & USED_BIT)
		q->used = to->used;
	if (select & MKEY_BIT)
		q->mkey = to->mkey;
	if (select & DESC_MKEY_BIT)
		q->desc_mkey = to->desc_mkey;
}

static void change_state(struct mlx5_model *m, struct fw_virtq *q, unsigned int to,
			 const struct fw_cmd *c)
{
	if (to == RDY && (q->state == INIT || (q->state == SUSPEND && !m->opt.no_freeze_to_rdy))) {
		if (start(m, q, c))
			q->state = RDY;
	} else if (to == SUSPEND && q->state == RDY) {
		halt(m, q);
		q->state = SUSPEND;
	} else {
		fw_refuse(c, FW_BAD_STATE, 0x5000d);
	}
}

void fw_modify_virtq(struct mlx5_model *m, const struct fw_cmd *c)
{
	struct fw_obj *obj = fw_obj_find(m, FW_VIRTQ, fw_u32(c->in + 8));
	struct fw_virtq to = decode(c->in), old;
	uint64_t select = fw_u64(c->in + SELECT);

	if (!obj) {
		fw_refuse(c, FW_BAD_RES, 0x5000e);
		return;
	}
	look(m, &obj->virtq);
	old = obj->virtq;
	if (select == 0 || select & ~(uint64_t)KNOWN_BITS ||
	    (select & DESC_MKEY_BIT && m->opt.no_desc_mkey)) {
		fw_refuse(c, FW_BAD_PARAM, 0x5000f);
		return;
	}
	if (select & ~(uint64_t)STATE_BIT &&
	    !(old.state == INIT || (old.state == SUSPEND && !m->opt.no_freeze_to_rdy))) {
		fw_refuse(c, FW_BAD_STATE, 0x50010);
		return;
	}
	change_fields(m, &obj->virtq, &to, select);
	if (select & STATE_BIT)
		change_state(m, &obj->virtq, c->in[STATE] & 0xf, c);
	if (c->r->status && obj->virtq.state == old.state)
		obj->virtq = old;
}

void fw_query_virtq(struct mlx5_model *m, const struct fw_cmd *c)
{
	struct fw_obj *obj = fw_obj_find(m, FW_VIRTQ, fw_u32(c->in + 8));
	struct fw_virtq *q;

	if (!obj) {
		fw_refuse(c, FW_BAD_RES, 0x50011);
		return;
	}
	q = &obj->virtq;
	look(m, q);
	if (q->state == RDY && fw_nic_position(m, q, &q->avail))
		q->used = q->avail;
	c->out[STATE] = q->state;
	c->out[ERROR_TYPE] = q->state == ERR ? ERROR_NETWORK : 0;
	fw_put16(c->out + AVAIL, q->avail);
	fw_put16(c->out + USED, q->used);
	fw_put16(c->out + INDEX, q->index);
	fw_put16(c->out + SIZE, q->size);
	fw_put32(c->out + MKEY, q->mkey);
	fw_put32(c->out + DESC_MKEY, q->desc_mkey);
	fw_put64(c->out + DESC, q->desc);
	fw_put64(c->out + DRIVER, q->driver);
	fw_put64(c->out + DEVICE, q->device);
}

void fw_destroy_virtq(struct mlx5_model *m, const struct fw_cmd *c)
{
	struct fw_obj *obj = fw_obj_take(m, FW_VIRTQ, fw_u32(c->in + 8), c);

	if (!obj)
		return;
	if (obj->virtq.state == RDY)
		halt(m, &obj->virtq);
	fw_nic_forget(m, &obj->virtq);
	if (obj->virtq.counters) {
		obj->virtq.counters->users--;
		obj->virtq.counters->counters.queue = NULL;
	}
	fw_obj_destroy(m, obj);
}

/* ---- counters ---- */

void fw_create_counters(struct mlx5_model *m, const struct fw_cmd *c)
{
	struct fw_obj *obj = fw_obj_make(m, FW_COUNTERS);

	if (obj)
		c->r->index = obj->id;
	else
		fw_refuse(c, FW_NO_RES, 0x50012);
}

void fw_query_counters(struct mlx5_model *m, const struct fw_cmd *c)
{
	struct fw_obj *obj = fw_obj_find(m, FW_COUNTERS, fw_u32(c->in + 8));
	uint64_t chains;

	if (!obj) {
		fw_refuse(c, FW_BAD_RES, 0x50013);
		return;
	}
	chains = obj->counters.queue
			 ? fw_nic_chains(m, obj->counters.queue->virtq.index) - obj->counters.base
			 : 0;
	fw_put64(c->out + 32, chains); /* received */
	fw_put64(c->out + 40, chains); /* completed */
}

void fw_destroy_counters(struct mlx5_model *m, const struct fw_cmd *c)
{
	struct fw_obj *obj = fw_obj_take(m, FW_COUNTERS, fw_u32(c->in + 8), c);

	if (obj)
		fw_obj_destroy(m, obj);
}
