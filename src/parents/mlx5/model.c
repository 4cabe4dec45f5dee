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

static void alloc_pd(struct mlx5_model *m, struct fw_reply *r)
{
	uint32_t *grown;
	size_t i;

	for (i = 0; i < m->nr_pd && m->pd_users[i]; i++)
		;
	if (i == m->nr_pd) {
		grown = realloc(m->pd_users, (i + 1) * sizeof(*grown));
		if (!grown) {
			*r = (struct fw_reply){FW_NO_RES, 0x10001, 0};
			return;
		}
		m->pd_users = grown;
		m->nr_pd++;
	}
	m->pd_users[i] = 1;
	r->index = (uint32_t)i + 1;
}

static void dealloc_pd(struct mlx5_model *m, uint32_t pd, struct fw_reply *r)
{
	if (pd == 0 || pd > m->nr_pd || m->pd_users[pd - 1] == 0)
		*r = (struct fw_reply){FW_BAD_RES, 0x10002, 0};
	else if (m->pd_users[pd - 1] > 1)
		*r = (struct fw_reply){FW_BUSY, 0x10003, 0};
	else
		m->pd_users[pd - 1] = 0;
}

/* Bytes of the general capabilities that this device has anything in. */
static void query_cap(struct mlx5_model *m, const uint8_t *in, uint8_t *out, struct fw_reply *r)
{
	if (fw_u32(in + 4) != 1) { /* general capabilities, current values */
		*r = (struct fw_reply){FW_BAD_PARAM, 0x10004, 0};
		return;
	}
	out[16 + 35] = m->opt.log_max_klm & 0x3f; /* bits 0x11a..0x11f */
	if (!m->opt.no_umem_uid_0)
		out[16 + 74] = 0x20; /* bit 0x252 */
}

struct kind {
	uint16_t opcode;
	uint16_t in_len, out_len; /* bytes; of CREATE_MKEY those before the list */
};

static const struct kind kinds[MODEL_NR_KINDS] = {
	[MODEL_QUERY_HCA_CAP] = {0x100, 16, 16 + 4096},
	[MODEL_QUERY_SPECIAL_CONTEXTS] = {0x203, 16, 32},
	[MODEL_ALLOC_PD] = {0x800, 16, 16},
	[MODEL_DEALLOC_PD] = {0x801, 16, 16},
	[MODEL_CREATE_MKEY] = {0x200, 272, 16},
	[MODEL_DESTROY_MKEY] = {0x202, 16, 16},
};

static void execute(struct mlx5_model *m, enum mlx5_model_kind kind, const uint8_t *in,
		    size_t in_len, uint8_t *out, struct fw_reply *r)
{
	switch (kind) {
	case MODEL_QUERY_HCA_CAP:
		query_cap(m, in, out, r);
		break;
	case MODEL_QUERY_SPECIAL_CONTEXTS:
		out[18] = FW_NULL_MKEY >> 8; /* big-endian at byte 16 */
		break;
	case MODEL_ALLOC_PD:
		alloc_pd(m, r);
		break;
	case MODEL_DEALLOC_PD:
		dealloc_pd(m, fw_u24(in + 9), r);
		break;
	case MODEL_CREATE_MKEY:
		mlx5_model_create_mkey(m, in, in_len, r);
		break;
	default:
		mlx5_model_destroy_mkey(m, fw_u24(in + 9), r);
	}
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
	for (int i = 0; i < 4; i++)
		out[4 + i] = (uint8_t)(r->syndrome >> (24 - 8 * i));
	if (r->status == 0 && r->index) {
		out[9] = (uint8_t)(r->index >> 16);
		out[10] = (uint8_t)(r->index >> 8);
		out[11] = (uint8_t)r->index;
	}
}

static int mlx5_model_exec(struct mlx5_dev *dev, const void *in_, size_t in_len, void *out_,
			   size_t out_len)
{
	struct mlx5_model *m = container_of(dev, struct mlx5_model, dev);
	const uint8_t *in = in_;
	struct fw_reply r = {0};
	enum mlx5_model_kind kind = 0;

	if (m->fatal || in_len < 16 || out_len < 16)
		return -EIO;
	while (kind < MODEL_NR_KINDS && kinds[kind].opcode != fw_u32(in) >> 16)
		kind++;
	m->seen++;
	if (kind == MODEL_NR_KINDS) {
		r = (struct fw_reply){FW_BAD_OP, 0x10005, 0};
		reply(out_, out_len, &r);
		return 0;
	}
	m->nr_commands[kind]++;
	wait_ns(m->opt.latency_ns[kind]);
	if (m->fail_at && m->seen == m->fail_at)
		r = (struct fw_reply){m->fail_status, 0x10006, 0};
	else if (in_len < kinds[kind].in_len ||
		 (in_len != kinds[kind].in_len && kind != MODEL_CREATE_MKEY))
		r = (struct fw_reply){FW_BAD_IN_LEN, 0x10007, 0};
	else if (out_len < kinds[kind].out_len)
		r = (struct fw_reply){FW_BAD_OUT_LEN, 0x10008, 0};
	else
		execute(m, kind, in, in_len, out_, &r);
	reply(out_, out_len, &r);
	return 0;
}

static const struct mlx5_dev_ops mlx5_model_ops = {.exec = mlx5_model_exec};

int mlx5_model_create(const struct mlx5_model_options *opt, struct mlx5_model **out)
{
	struct mlx5_model *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->dev = (struct mlx5_dev){.ops = &mlx5_model_ops, .name = "mlx5 model"};
	m->opt = *opt;
	if (m->opt.log_max_klm == 0)
		m->opt.log_max_klm = DEFAULT_LOG_MAX_KLM;
	if (m->opt.max_mkeys == 0)
		m->opt.max_mkeys = DEFAULT_MAX_MKEYS;
	m->next_idx = FW_FIRST_KEY;
	*out = m;
	return 0;
}

void mlx5_model_destroy(struct mlx5_model *model)
{
	if (!model)
		return;
	mlx5_model_free_mkeys(model);
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

void mlx5_model_set_fatal(struct mlx5_model *model)
{
	model->fatal = true;
}
