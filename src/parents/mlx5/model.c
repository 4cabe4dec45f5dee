// SPDX-License-Identifier: BSD-3-Clause
#include "model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "model_internal.h"

#define DEFAULT_LOG_MAX_KLM 16
#define DEFAULT_MAX_MKEYS   (1u << 20)

static void alloc_pd(struct mlx5_model *m, const struct fw_cmd *c)
{
	uint32_t *grown;
	size_t i;

	for (i = 0; i < m->nr_pd && m->pd_users[i]; i++)
		;
	if (i == m->nr_pd || m->full) {
		grown = m->full ? NULL : realloc(m->pd_users, (i + 1) * sizeof(*grown));
		if (!grown) {
			fw_refuse(c, FW_NO_RES, 0x10001);
			return;
		}
		m->pd_users = grown;
		m->nr_pd++;
	}
	m->pd_users[i] = 1;
	c->r->index = (uint32_t)i + 1;
}

static void dealloc_pd(struct mlx5_model *m, const struct fw_cmd *c)
{
	uint32_t pd = fw_u24(c->in + 9);

	if (!fw_pd_is(m, pd))
		fw_refuse(c, FW_BAD_RES, 0x10002);
	else if (m->pd_users[pd - 1] > 1)
		fw_refuse(c, FW_BUSY, 0x10003);
	else
		m->pd_users[pd - 1] = 0;
}

/* Bytes of the capabilities that this device has anything in. */
static void query_cap(struct mlx5_model *m, const struct fw_cmd *c)
{
	uint8_t *cap = c->out + 16;

	switch (fw_u32(c->in + 4)) {
	case 0x01:                                   /* general, current values */
		cap[35] = m->opt.log_max_klm & 0x3f; /* bits 0x11a..0x11f */
		if (!m->opt.no_umem_uid_0)
			cap[74] = 0x20; /* bit 0x252 */
		break;
	case 0x27: /* virtio emulation, current values */
		fw_query_virtio_cap(m, cap);
		break;
	default:
		fw_refuse(c, FW_BAD_PARAM, 0x10004);
	}
}

static void query_special(struct mlx5_model *m, const struct fw_cmd *c)
{
	(void)m;
	c->out[18] = FW_NULL_MKEY >> 8; /* big-endian at byte 16 */
}

#define CREATE_OBJ  0xa00
#define MODIFY_OBJ  0xa01
#define QUERY_OBJ   0xa02
#define DESTROY_OBJ 0xa03
#define OBJ_QUEUE   0x0d
#define OBJ_COUNTER 0x1c

struct kind {
	const char *name; /* of its latency */
	uint16_t opcode;
	uint16_t obj_type;        /* general objects */
	uint16_t in_len, out_len; /* bytes */
	bool list;                /* @in_len are those before a list */
	fw_fn fn;
};

static const struct kind kinds[MODEL_NR_KINDS] = {
	[MODEL_QUERY_HCA_CAP] = {"query_hca_cap", 0x100, 0, 16, 16 + 4096, false, query_cap},
	[MODEL_QUERY_SPECIAL_CONTEXTS] = {"query_special_contexts", 0x203, 0, 16, 32, false,
					  query_special},
	[MODEL_ALLOC_PD] = {"alloc_pd", 0x800, 0, 16, 16, false, alloc_pd},
	[MODEL_DEALLOC_PD] = {"dealloc_pd", 0x801, 0, 16, 16, false, dealloc_pd},
	[MODEL_CREATE_MKEY] = {"create_mkey", 0x200, 0, 272, 16, true, fw_create_mkey},
	[MODEL_DESTROY_MKEY] = {"destroy_mkey", 0x202, 0, 16, 16, false, fw_destroy_mkey},
	[MODEL_CREATE_EQ] = {"create_eq", 0x301, 0, 272, 16, true, fw_create_eq},
	[MODEL_DESTROY_EQ] = {"destroy_eq", 0x302, 0, 16, 16, false, fw_destroy_eq},
	[MODEL_ALLOC_TD] = {"alloc_td", 0x816, 0, 16, 16, false, fw_alloc_td},
	[MODEL_DEALLOC_TD] = {"dealloc_td", 0x817, 0, 16, 16, false, fw_dealloc_td},
	[MODEL_CREATE_TIR] = {"create_tir", 0x900, 0, 272, 16, false, fw_create_tir},
	[MODEL_DESTROY_TIR] = {"destroy_tir", 0x902, 0, 16, 16, false, fw_destroy_tir},
	[MODEL_CREATE_TIS] = {"create_tis", 0x912, 0, 192, 16, false, fw_create_tis},
	[MODEL_DESTROY_TIS] = {"destroy_tis", 0x914, 0, 16, 16, false, fw_destroy_tis},
	[MODEL_CREATE_RQT] = {"create_rqt", 0x916, 0, 272, 16, true, fw_create_rqt},
	[MODEL_MODIFY_RQT] = {"modify_rqt", 0x917, 0, 272, 16, true, fw_modify_rqt},
	[MODEL_DESTROY_RQT] = {"destroy_rqt", 0x918, 0, 16, 16, false, fw_destroy_rqt},
	[MODEL_SET_FLOW_ROOT] = {"set_flow_root", 0x92f, 0, 64, 16, false, fw_set_root},
	[MODEL_CREATE_FLOW_TABLE] = {"create_flow_table", 0x930, 0, 64, 16, false, fw_create_table},
	[MODEL_DESTROY_FLOW_TABLE] = {"destroy_flow_table", 0x931, 0, 64, 16, false,
				      fw_destroy_table},
	[MODEL_CREATE_FLOW_GROUP] = {"create_flow_group", 0x933, 0, 1024, 16, false,
				     fw_create_group},
	[MODEL_DESTROY_FLOW_GROUP] = {"destroy_flow_group", 0x934, 0, 64, 16, false,
				      fw_destroy_group},
	[MODEL_SET_FLOW] = {"set_flow", 0x936, 0, 816, 16, true, fw_set_flow},
	[MODEL_DELETE_FLOW] = {"delete_flow", 0x938, 0, 64, 16, false, fw_delete_flow},
	[MODEL_CREATE_QUEUE] = {"create_queue", CREATE_OBJ, OBJ_QUEUE, 208, 16, false,
				fw_create_virtq},
	[MODEL_MODIFY_QUEUE] = {"modify_queue", MODIFY_OBJ, OBJ_QUEUE, 208, 16, false,
				fw_modify_virtq},
	[MODEL_QUERY_QUEUE] = {"query_queue", QUERY_OBJ, OBJ_QUEUE, 16, 208, false, fw_query_virtq},
	[MODEL_DESTROY_QUEUE] = {"destroy_queue", DESTROY_OBJ, OBJ_QUEUE, 16, 16, false,
				 fw_destroy_virtq},
	[MODEL_CREATE_COUNTERS] = {"create_counters", CREATE_OBJ, OBJ_COUNTER, 144, 16, false,
				   fw_create_counters},
	[MODEL_QUERY_COUNTERS] = {"query_counters", QUERY_OBJ, OBJ_COUNTER, 16, 144, false,
				  fw_query_counters},
	[MODEL_DESTROY_COUNTERS] = {"destroy_counters", DESTROY_OBJ, OBJ_COUNTER, 16, 16, false,
				    fw_destroy_counters},
};

const char *mlx5_model_kind_name(enum mlx5_model_kind kind)
{
	return kinds[kind].name;
}

static void wait_ns(uint64_t ns)
{
	struct timespec ts = {(time_t)(ns / (uint64_t)NS_PER_SEC),
			      (long)(ns % (uint64_t)NS_PER_SEC)};

	while (ns && clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &ts) == EINTR)
		;
}

static void reply(uint8_t *out, size_t out_len, const struct fw_reply *r)
{
	if (r->status)
		memset(out, 0, out_len);
	out[0] = r->status;
	fw_put32(out + 4, r->syndrome);
	if (r->status == 0 && r->index)
		fw_put32(out + 8, r->index);
}

static enum mlx5_model_kind kind_of(const uint8_t *in)
{
	unsigned int opcode = fw_u16(in), obj_type = fw_u16(in + 6);
	enum mlx5_model_kind kind = 0;

	while (kind < MODEL_NR_KINDS &&
	       (kinds[kind].opcode != opcode ||
		(kinds[kind].obj_type && kinds[kind].obj_type != obj_type)))
		kind++;
	return kind;
}

/* Execute one command, and say how long the device would have taken for it. */
static int execute(struct mlx5_dev *dev, const void *in_, size_t in_len, void *out_, size_t out_len,
		   uint64_t *latency_ns)
{
	struct mlx5_model *m = container_of(dev, struct mlx5_model, dev);
	struct fw_reply r = {0};
	struct fw_cmd c = {in_, in_len, out_, &r};
	enum mlx5_model_kind kind;

	if (fw_is_dead(m))
		return m->gone ? -ENODEV : -EIO;
	if (in_len < 16 || out_len < 16)
		return -EIO;
	kind = kind_of(c.in);
	m->seen++;
	if (kind == MODEL_NR_KINDS) {
		fw_refuse(&c, FW_BAD_OP, 0x10005);
		reply(out_, out_len, &r);
		return 0;
	}
	m->nr_commands[kind]++;
	*latency_ns = m->opt.latency_ns[kind];
	if (m->fail_at && m->seen == m->fail_at)
		fw_refuse(&c, m->fail_status, 0x10006);
	else if (in_len < kinds[kind].in_len || (in_len != kinds[kind].in_len && !kinds[kind].list))
		fw_refuse(&c, FW_BAD_IN_LEN, 0x10007);
	else if (out_len < kinds[kind].out_len)
		fw_refuse(&c, FW_BAD_OUT_LEN, 0x10008);
	else
		kinds[kind].fn(m, &c);
	reply(out_, out_len, &r);
	return 0;
}

static int exec_one(struct mlx5_dev *dev, const void *in, size_t in_len, void *out, size_t out_len)
{
	uint64_t latency_ns = 0;
	int err = execute(dev, in, in_len, out, out_len, &latency_ns);

	wait_ns(latency_ns);
	return err;
}

/* Commands that are under way at once take as long as the longest of them. */
static void exec_many(struct mlx5_dev *dev, struct mlx5_exec *cmd, size_t nr)
{
	uint64_t longest_ns = 0;

	for (size_t i = 0; i < nr; i++) {
		uint64_t latency_ns = 0;

		cmd[i].err = execute(dev, cmd[i].in, cmd[i].in_len, cmd[i].out, cmd[i].out_len,
				     &latency_ns);
		longest_ns = latency_ns > longest_ns ? latency_ns : longest_ns;
	}
	wait_ns(longest_ns);
}

static bool is_well(struct mlx5_dev *dev)
{
	return !fw_is_dead(fw_model_of(dev));
}

static bool can_update_klm(struct mlx5_dev *dev)
{
	return fw_model_of(dev)->opt.klm_update;
}

static const struct mlx5_dev_ops dev_ops = {
	.exec = exec_one,
	.exec_many = exec_many,
	.can_update_klm = can_update_klm,
	.klm_update = fw_klm_update,
	.umem_open = fw_umem_open,
	.umem_close = fw_umem_close,
	.vector_open = fw_vector_open,
	.vector_set = fw_vector_set,
	.vector_close = fw_vector_close,
	.eq_buffer = fw_eq_buffer,
	.kick = fw_kick,
	.is_well = is_well,
	.kick_worker = fw_kick_worker,
};

int mlx5_model_create(const struct mlx5_model_options *opt, struct mlx5_model **out)
{
	struct mlx5_model *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->dev = (struct mlx5_dev){.ops = &dev_ops,
				   .name = opt->config ? opt->config->name : "mlx5 model"};
	m->opt = *opt;
	for (int i = 0; i < FW_NR_TYPES; i++)
		TAILQ_INIT(&m->objs[i]);
	if (m->opt.log_max_klm == 0)
		m->opt.log_max_klm = DEFAULT_LOG_MAX_KLM;
	if (m->opt.max_mkeys == 0)
		m->opt.max_mkeys = DEFAULT_MAX_MKEYS;
	m->next_idx = FW_FIRST_KEY;
	if (opt->bus) {
		int err = fw_nic_open(m);

		if (err) {
			free(m);
			return err;
		}
		m->dev.name = m->sim->dev.name;
	}
	m->opt.config = NULL; /* the caller's */
	*out = m;
	return 0;
}

void mlx5_model_destroy(struct mlx5_model *model)
{
	if (!model)
		return;
	fw_nic_close(model);
	fw_objs_free(model);
	fw_views_free(model);
	fw_mkeys_free(model);
	free(model->pd_users);
	free(model);
}

struct mlx5_dev *mlx5_model_dev(struct mlx5_model *model)
{
	return &model->dev;
}

uint64_t mlx5_model_nr_commands(const struct mlx5_model *model, enum mlx5_model_kind kind)
{
	return model->nr_commands[kind];
}

uint64_t mlx5_model_nr_commands_all(const struct mlx5_model *model)
{
	return model->seen;
}

size_t mlx5_model_nr_mkeys(const struct mlx5_model *model)
{
	return model->nr_mkeys;
}

size_t mlx5_model_nr_objects(const struct mlx5_model *model)
{
	const struct fw_obj *obj;
	size_t nr = 0;

	for (int i = 0; i < FW_NR_TYPES; i++)
		TAILQ_FOREACH (obj, &model->objs[i], link)
			nr++;
	return nr;
}

size_t mlx5_model_nr_pds(const struct mlx5_model *model)
{
	size_t nr = 0;

	for (size_t i = 0; i < model->nr_pd; i++)
		nr += model->pd_users[i] != 0;
	return nr;
}

void mlx5_model_fail_at(struct mlx5_model *model, uint64_t nth, uint8_t status)
{
	model->fail_at = nth ? model->seen + nth : 0;
	model->fail_status = status;
}

void mlx5_model_set_full(struct mlx5_model *model, bool full)
{
	model->full = full;
}

void mlx5_model_set_fatal(struct mlx5_model *model)
{
	__atomic_store_n(&model->fatal, true, __ATOMIC_RELEASE);
	fw_nic_halt(model);
}

void mlx5_model_unplug(struct mlx5_model *model)
{
	model->gone = true;
	mlx5_model_set_fatal(model);
}
