// SPDX-License-Identifier: BSD-3-Clause
#include "cmd.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/refuse.h"
#include "layout.h"

#define GENERAL_CURRENT 1 /* op_mod of QUERY_HCA_CAP: kind 0 (general) << 1 | current values */
#define MTT_PAD         2 /* 8-byte entries to a 16-byte unit */
#define KLM_PAD         4 /* list entries are counted in fours */

struct status {
	uint8_t code;
	int err;
	const char *name;
};

static const struct status statuses[] = {
	{0x01, -EIO, "internal error"},        {0x02, -EINVAL, "bad operation"},
	{0x03, -EINVAL, "bad parameter"},      {0x04, -EIO, "bad system state"},
	{0x05, -EINVAL, "bad resource"},       {0x06, -EBUSY, "resource busy"},
	{0x07, -EAGAIN, "not ready"},          {0x08, -ENOMEM, "limit exceeded"},
	{0x09, -EINVAL, "bad resource state"}, {0x0a, -EINVAL, "bad index"},
	{0x0f, -EAGAIN, "no resources"},       {0x50, -EIO, "bad input length"},
	{0x51, -EIO, "bad output length"},
};

static const char *opcode_name(unsigned int opcode)
{
	switch (opcode) {
	case MLX5_OP_QUERY_HCA_CAP:
		return "QUERY_HCA_CAP";
	case MLX5_OP_CREATE_MKEY:
		return "CREATE_MKEY";
	case MLX5_OP_DESTROY_MKEY:
		return "DESTROY_MKEY";
	case MLX5_OP_QUERY_SPECIAL_CONTEXTS:
		return "QUERY_SPECIAL_CONTEXTS";
	case MLX5_OP_ALLOC_PD:
		return "ALLOC_PD";
	default:
		return "DEALLOC_PD";
	}
}

static int exec(struct mlx5_dev *dev, const void *in, size_t in_len, void *out, size_t out_len)
{
	const char *op = opcode_name((unsigned int)mlx5_get(in, MLX5_IN_OPCODE));
	unsigned int code, syndrome;
	int err;

	memset(out, 0, out_len);
	err = dev->ops->exec(dev, in, in_len, out, out_len);
	if (err)
		return refuse(err, "%s: the device did not answer %s", dev->name, op);
	code = (unsigned int)mlx5_get(out, MLX5_OUT_STATUS);
	if (code == 0)
		return 0;
	syndrome = (unsigned int)mlx5_get(out, MLX5_OUT_SYNDROME);
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
		if (statuses[i].code == code)
			return refuse(statuses[i].err,
				      "%s: the device refused %s: %s, syndrome 0x%x", dev->name, op,
				      statuses[i].name, syndrome);
	return refuse(-EIO, "%s: the device refused %s: status 0x%x, syndrome 0x%x", dev->name, op,
		      code, syndrome);
}

/* A command of an opcode and an index alone. */
static int exec_short(struct mlx5_dev *dev, unsigned int opcode, uint32_t index,
		      uint32_t *index_out)
{
	uint8_t in[MLX5_CMD_HDR_LEN] = {0}, out[MLX5_CMD_HDR_LEN];
	int err;

	mlx5_put(in, MLX5_IN_OPCODE, opcode);
	mlx5_put(in, MLX5_IO_INDEX, index);
	err = exec(dev, in, sizeof(in), out, sizeof(out));
	if (!err && index_out)
		*index_out = (uint32_t)mlx5_get(out, MLX5_IO_INDEX);
	return err;
}

int mlx5_cmd_query_caps(struct mlx5_dev *dev, struct mlx5_caps *caps)
{
	uint8_t in[MLX5_CMD_HDR_LEN] = {0}, out[MLX5_CMD_HDR_LEN + MLX5_HCA_CAP_LEN];
	int err;

	mlx5_put(in, MLX5_IN_OPCODE, MLX5_OP_QUERY_HCA_CAP);
	mlx5_put(in, MLX5_IN_OP_MOD, GENERAL_CURRENT);
	err = exec(dev, in, sizeof(in), out, sizeof(out));
	if (err)
		return err;
	caps->max_klm = 1u << (mlx5_get(out, MLX5_CAP_LOG_MAX_KLM) & 31);
	caps->umem_uid_0 = mlx5_get(out, MLX5_CAP_UMEM_UID_0);
	return 0;
}

int mlx5_cmd_null_mkey(struct mlx5_dev *dev, uint32_t *mkey)
{
	uint8_t in[MLX5_CMD_HDR_LEN] = {0}, out[MLX5_SPECIAL_OUT_LEN];
	int err;

	mlx5_put(in, MLX5_IN_OPCODE, MLX5_OP_QUERY_SPECIAL_CONTEXTS);
	err = exec(dev, in, sizeof(in), out, sizeof(out));
	if (!err)
		*mkey = (uint32_t)mlx5_get(out, MLX5_SPECIAL_NULL_MKEY);
	return err;
}

int mlx5_cmd_alloc_pd(struct mlx5_dev *dev, uint32_t *pd)
{
	return exec_short(dev, MLX5_OP_ALLOC_PD, 0, pd);
}

int mlx5_cmd_dealloc_pd(struct mlx5_dev *dev, uint32_t pd)
{
	return exec_short(dev, MLX5_OP_DEALLOC_PD, pd, NULL);
}

int mlx5_cmd_destroy_mkey(struct mlx5_dev *dev, uint32_t mkey)
{
	return exec_short(dev, MLX5_OP_DESTROY_MKEY, mkey >> 8, NULL);
}

static size_t round_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

static void put_list(uint8_t *list, const struct mlx5_mkey_desc *desc)
{
	for (size_t i = 0; i < desc->nr; i++) {
		if (desc->mode == MLX5_ACCESS_MTT) {
			uint64_t be = htobe64(desc->mtt[i]);

			memcpy(list + i * sizeof(be), &be, sizeof(be));
		} else {
			struct {
				uint32_t len, mkey;
				uint64_t addr;
			} be = {htobe32(desc->klm[i].len), htobe32(desc->klm[i].mkey),
				htobe64(desc->klm[i].addr)};

			_Static_assert(sizeof(be) == 16, "a list entry has 16 bytes");
			memcpy(list + i * sizeof(be), &be, sizeof(be));
		}
	}
}

int mlx5_cmd_create_mkey(struct mlx5_dev *dev, const struct mlx5_mkey_desc *desc, uint32_t *mkey)
{
	size_t octwords = desc->mode == MLX5_ACCESS_MTT ? round_up(desc->nr, MTT_PAD) / MTT_PAD
							: round_up(desc->nr, KLM_PAD);
	size_t in_len = MLX5_CREATE_MKEY_IN_LEN + octwords * 16;
	uint8_t *in = calloc(1, in_len), out[MLX5_CMD_HDR_LEN];
	int err;

	if (!in)
		return -ENOMEM;
	mlx5_put(in, MLX5_IN_OPCODE, MLX5_OP_CREATE_MKEY);
	mlx5_put(in, MLX5_MKC_LW, desc->write);
	mlx5_put(in, MLX5_MKC_LR, desc->read);
	mlx5_put(in, MLX5_MKC_ACCESS_MODE, desc->mode);
	mlx5_put(in, MLX5_MKC_QPN, MLX5_QPN_ANY);
	mlx5_put(in, MLX5_MKC_LENGTH64, desc->mode == MLX5_ACCESS_PA && desc->len == 0);
	mlx5_put(in, MLX5_MKC_PD, desc->pd);
	mlx5_put(in, MLX5_MKC_START, desc->start);
	mlx5_put(in, MLX5_MKC_LEN, desc->len);
	mlx5_put(in, MLX5_MKC_OCTWORDS, octwords);
	mlx5_put(in, MLX5_MKC_LOG_PAGE, desc->log_page);
	mlx5_put(in, MLX5_MKEY_ACTUAL, octwords);
	put_list(in + MLX5_CREATE_MKEY_IN_LEN, desc);
	err = exec(dev, in, in_len, out, sizeof(out));
	if (!err)
		*mkey = (uint32_t)mlx5_get(out, MLX5_IO_INDEX) << 8 |
			(uint32_t)mlx5_get(in, MLX5_MKC_KEY);
	free(in);
	return err;
}
