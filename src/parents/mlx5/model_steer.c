// SPDX-License-Identifier: BSD-3-Clause
/*
 * The model's steering: what of the frames that come in goes to which queues. The port has one
 * filter, so flow tables are read for what they let through: addresses, tags, and, by the table
 * of the TIR that they lead to, how many queue pairs.
 *
 * A flow is refused that the port cannot carry out: one that compares other bits of the address
 * than all of them or the one for multicast.
 */
#include <stdlib.h>
#include <string.h>

#include "model_internal.h"

/* Offsets in bytes. */
#define RQT_TYPE    52 /* low 3 bits */
#define RQT_MAX     54
#define RQT_ACTUAL  58
#define RQT_LIST    272
#define TIR_TYPE    36 /* high 4 bits */
#define TIR_RQT     65
#define TIR_HASH    68 /* high 4 bits */
#define TIR_TD      69
#define TIR_KEY     72
#define TABLE_TYPE  16
#define TABLE_ID    21
#define TABLE_LOG   27
#define GROUP_FIRST 28
#define GROUP_LAST  36
#define GROUP_ON    63
#define GROUP_MATCH 64
#define GROUP_ID    24
#define FLOW_INDEX  32
#define FLOW_GROUP  68
#define FLOW_ACTION 78
#define FLOW_DESTS  81
#define FLOW_MATCH  128
#define FLOW_DEST   816
#define FLOW_LEN    824

static const uint8_t all_bits[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t multicast_bit[6] = {0x01};

/* ---- receive queue tables ---- */

static void rqt_clear(struct fw_obj *rqt)
{
	for (uint16_t i = 0; i < rqt->rqt.nr; i++)
		rqt->rqt.queue[i]->users--;
	rqt->rqt.nr = 0;
}

/* Each entry is a virtqueue that receives. */
static bool rqt_list(struct mlx5_model *m, const struct fw_cmd *c, struct fw_obj **queue,
		     uint16_t *nr)
{
	*nr = fw_u16(c->in + RQT_ACTUAL);
	if ((c->in[RQT_TYPE] & 7) != 1 || *nr == 0 || *nr > SIMNET_PAIRS_MAX ||
	    c->in_len != RQT_LIST + 4ul * *nr) {
		fw_refuse(c, FW_BAD_PARAM, 0x40001);
		return false;
	}
	for (uint16_t i = 0; i < *nr; i++) {
		queue[i] = fw_obj_find(m, FW_VIRTQ, fw_u24(c->in + RQT_LIST + 4ul * i + 1));
		if (!queue[i] || queue[i]->virtq.index % 2) {
			fw_refuse(c, FW_BAD_RES, 0x40002);
			return false;
		}
	}
	return true;
}

static void rqt_fill(struct fw_obj *rqt, struct fw_obj *const *queue, uint16_t nr)
{
	for (uint16_t i = 0; i < nr; i++) {
		rqt->rqt.queue[i] = queue[i];
		queue[i]->users++;
	}
	rqt->rqt.nr = nr;
}

void fw_create_rqt(struct mlx5_model *m, const struct fw_cmd *c)
{
	struct fw_obj *queue[SIMNET_PAIRS_MAX], *rqt;
	uint16_t nr, max = fw_u16(c->in + RQT_MAX);

	if (!rqt_list(m, c, queue, &nr))
		return;
	if (max < nr || (max & (max - 1)) || max > SIMNET_PAIRS_MAX) {
		fw_refuse(c, FW_BAD_PARAM, 0x40003);
		return;
	}
	rqt = fw_obj_make(m, FW_RQT);
	if (!rqt) {
		fw_refuse(c, FW_NO_RES, 0x40004);
		return;
	}
	rqt->rqt.max = max;
	rqt_fill(rqt, queue, nr);
	c->r->index = rqt->id;
}

void fw_modify_rqt(struct mlx5_model *m, const struct fw_cmd *c)
{
	struct fw_obj *rqt = fw_obj_find(m, FW_RQT, fw_u24(c->in + 9)), *queue[SIMNET_PAIRS_MAX];
	uint16_t nr;

	if (!rqt) {
		fw_refuse(c, FW_BAD_RES, 0x40005);
		return;
	}
	if (!(c->in[23] & 1) || !rqt_list(m, c, queue, &nr))
		return;
	if (nr > rqt->rqt.max) {
		fw_refuse(c, FW_BAD_PARAM, 0x40006);
		return;
	}
	rqt_clear(rqt);
	rqt_fill(rqt, queue, nr);
	fw_steer(m);
}

void fw_destroy_rqt(struct mlx5_model *m, const struct fw_cmd *c)
{
	struct fw_obj *rqt = fw_obj_take(m, FW_RQT, fw_u24(c->in + 9), c);

	if (!rqt)
		return;
	rqt_clear(rqt);
	fw_obj_destroy(m, rqt);
}

void fw_create_tir(struct mlx5_model *m, const struct fw_cmd *c)
{
	static const uint8_t no_key[40];
	struct fw_obj *rqt = fw_obj_find(m, FW_RQT, fw_u24(c->in + TIR_RQT));
	struct fw_obj *td = fw_obj_find(m, FW_TD, fw_u24(c->in + TIR_TD)), *tir;

	if (!rqt || !td) {
		fw_refuse(c, FW_BAD_RES, 0x40007);
		return;
	}
	if (c->in[TIR_TYPE] >> 4 != 1 || c->in[TIR_HASH] >> 4 != 2 ||
	    memcmp(c->in + TIR_KEY, no_key, sizeof(no_key)) == 0) {
		fw_refuse(c, FW_BAD_PARAM, 0x40008);
		return;
	}
	tir = fw_obj_make(m, FW_TIR);
	if (!tir) {
		fw_refuse(c, FW_NO_RES, 0x40009);
		return;
	}
	fw_obj_use(tir, rqt);
	fw_obj_use(tir, td);
	c->r->index = tir->id;
}

void fw_destroy_tir(struct mlx5_model *m, const struct fw_cmd *c)
{
	struct fw_obj *tir = fw_obj_take(m, FW_TIR, fw_u24(c->in + 9), c);

	if (tir)
		fw_obj_destroy(m, tir);
}

/* ---- flow tables ---- */

static struct fw_obj *table_of(struct mlx5_model *m, const struct fw_cmd *c)
{
	struct fw_obj *table = fw_obj_find(m, FW_TABLE, fw_u24(c->in + TABLE_ID));

	if (!table || c->in[TABLE_TYPE] != 0) {
		fw_refuse(c, FW_BAD_RES, 0x4000a);
		return NULL;
	}
	return table;
}

void fw_create_table(struct mlx5_model *m, const struct fw_cmd *c)
{
	struct fw_obj *table;

	if (c->in[TABLE_TYPE] != 0 || c->in[TABLE_LOG] > 20) {
		fw_refuse(c, FW_BAD_PARAM, 0x4000b);
		return;
	}
	table = fw_obj_make(m, FW_TABLE);
	if (!table) {
		fw_refuse(c, FW_NO_RES, 0x4000c);
		return;
	}
	table->table.log_size = c->in[TABLE_LOG];
	c->r->index = table->id;
}

void fw_set_root(struct mlx5_model *m, const struct fw_cmd *c)
{
	struct fw_obj *table = table_of(m, c);

	if (!table)
		return;
	m->root = table;
	fw_steer(m);
}

/* The root goes with its table. */
void fw_destroy_table(struct mlx5_model *m, const struct fw_cmd *c)
{
	struct fw_obj *table = fw_obj_take(m, FW_TABLE, fw_u24(c->in + TABLE_ID), c);

	if (!table)
		return;
	if (m->root == table)
		m->root = NULL;
	fw_obj_destroy(m, table);
	fw_steer(m);
}

/* The address is at byte 8 of the outer headers, the tag's number at 14, the tag's bit at 18. */
static struct fw_match match_at(const uint8_t *p)
{
	struct fw_match match = {.vid = fw_u16(p + 14) & 0xfff, .cvlan = p[18] >> 7};

	memcpy(match.dmac, p + 8, 4);
	memcpy(match.dmac + 4, p + 12, 2);
	return match;
}

void fw_create_group(struct mlx5_model *m, const struct fw_cmd *c)
{
	struct fw_match mask = match_at(c->in + GROUP_MATCH);
	uint32_t first = fw_u32(c->in + GROUP_FIRST), last = fw_u32(c->in + GROUP_LAST);
	struct fw_obj *table = table_of(m, c), *group;

	if (!table)
		return;
	if (first > last || last >> table->table.log_size || c->in[GROUP_ON] != 1 ||
	    (memcmp(mask.dmac, all_bits, 6) != 0 && memcmp(mask.dmac, multicast_bit, 6) != 0)) {
		fw_refuse(c, FW_BAD_PARAM, 0x4000d);
		return;
	}
	TAILQ_FOREACH (group, &m->objs[FW_GROUP], link)
		if (group->uses[0] == table && group->group.first <= last &&
		    first <= group->group.last) {
			fw_refuse(c, FW_BAD_PARAM, 0x4000e);
			return;
		}
	group = fw_obj_make(m, FW_GROUP);
	if (!group) {
		fw_refuse(c, FW_NO_RES, 0x4000f);
		return;
	}
	group->group.first = first;
	group->group.last = last;
	group->group.mask = mask;
	fw_obj_use(group, table);
	c->r->index = group->id;
}

void fw_destroy_group(struct mlx5_model *m, const struct fw_cmd *c)
{
	struct fw_obj *group = fw_obj_take(m, FW_GROUP, fw_u32(c->in + GROUP_ID), c);

	if (group)
		fw_obj_destroy(m, group);
}

static struct fw_obj *flow_of(struct mlx5_model *m, const struct fw_obj *table, uint32_t index)
{
	struct fw_obj *flow;

	TAILQ_FOREACH (flow, &m->objs[FW_FLOW], link)
		if (flow->uses[0]->uses[0] == table && flow->flow.index == index)
			return flow;
	return NULL;
}

void fw_set_flow(struct mlx5_model *m, const struct fw_cmd *c)
{
	uint32_t index = fw_u32(c->in + FLOW_INDEX);
	struct fw_obj *table = table_of(m, c), *group, *tir, *flow;

	if (!table)
		return;
	group = fw_obj_find(m, FW_GROUP, fw_u32(c->in + FLOW_GROUP));
	if (c->in_len != FLOW_LEN || !group || group->uses[0] != table ||
	    index < group->group.first || index > group->group.last ||
	    fw_u16(c->in + FLOW_ACTION) != 4 || fw_u24(c->in + FLOW_DESTS) != 1 ||
	    c->in[FLOW_DEST] != 2 || flow_of(m, table, index)) {
		fw_refuse(c, FW_BAD_PARAM, 0x40010);
		return;
	}
	tir = fw_obj_find(m, FW_TIR, fw_u24(c->in + FLOW_DEST + 1));
	if (!tir) {
		fw_refuse(c, FW_BAD_RES, 0x40011);
		return;
	}
	flow = fw_obj_make(m, FW_FLOW);
	if (!flow) {
		fw_refuse(c, FW_NO_RES, 0x40012);
		return;
	}
	flow->flow.index = index;
	flow->flow.value = match_at(c->in + FLOW_MATCH);
	fw_obj_use(flow, group);
	fw_obj_use(flow, tir);
	fw_steer(m);
}

void fw_delete_flow(struct mlx5_model *m, const struct fw_cmd *c)
{
	struct fw_obj *table = table_of(m, c), *flow;

	if (!table)
		return;
	flow = flow_of(m, table, fw_u32(c->in + FLOW_INDEX));
	if (!flow) {
		fw_refuse(c, FW_BAD_RES, 0x40013);
		return;
	}
	fw_obj_destroy(m, flow);
	fw_steer(m);
}

/* ---- what comes of it ---- */

static void add_flow(struct simnet_filter *f, const struct fw_obj *flow, bool *has_mac)
{
	const struct fw_match *mask = &flow->uses[0]->group.mask, *value = &flow->flow.value;
	struct simnet_mac_list *list = &f->uni;

	if (mask->cvlan)
		f->vlan_on = true;
	if (mask->cvlan && value->cvlan)
		f->vlans[value->vid / 8] |= (uint8_t)(1u << (value->vid % 8));
	if (memcmp(mask->dmac, all_bits, 6) != 0) {
		f->allmulti = true;
		f->nomulti = f->nobcast = false;
		return;
	}
	f->nouni = false;
	if (!*has_mac) {
		memcpy(f->mac, value->dmac, 6);
		*has_mac = true;
	} else if (list->nr < SIMNET_MACS_MAX) {
		memcpy(list->mac[list->nr++], value->dmac, 6);
	} else {
		list->all = f->alluni = true;
	}
}

static uint16_t pairs_of(const struct fw_obj *flow)
{
	const struct fw_obj *rqt = flow->uses[1]->uses[0];
	uint16_t pairs = 0;

	for (uint16_t i = 0; i < rqt->rqt.nr; i++)
		if (rqt->rqt.queue[i]->virtq.index / 2 + 1 > pairs)
			pairs = (uint16_t)(rqt->rqt.queue[i]->virtq.index / 2 + 1);
	return pairs;
}

void fw_steer(struct mlx5_model *m)
{
	struct simnet_filter f = {.nouni = true, .nomulti = true, .nobcast = true};
	struct simnet *net = m->net;
	const struct fw_obj *flow;
	bool has_mac = false;
	uint16_t pairs = 1;

	if (!net)
		return;
	TAILQ_FOREACH (flow, &m->objs[FW_FLOW], link) {
		if (flow->uses[0]->uses[0] != m->root)
			continue;
		add_flow(&f, flow, &has_mac);
		if (pairs_of(flow) > pairs)
			pairs = pairs_of(flow);
	}
	simnet_tell_pairs(net, pairs);
	/* Batches end first: a frame that is sent behind the answer meets what was set. */
	vdpasim_lock_all(m->sim);
	mutex_lock(&net->lock);
	f.generation = net->filter.generation;
	f.pairs = net->filter.pairs;
	/* The generation is read without the lock: everything but it is replaced. */
	memcpy((char *)&net->filter + sizeof(f.generation), (char *)&f + sizeof(f.generation),
	       sizeof(f) - sizeof(f.generation));
	simnet_filter_changed(net);
	simnet_set_pairs(net, pairs, true);
	mutex_unlock(&net->lock);
	vdpasim_unlock_all(m->sim);
}
