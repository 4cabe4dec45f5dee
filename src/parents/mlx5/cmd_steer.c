// SPDX-License-Identifier: BSD-3-Clause
#include "cmd_steer.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_internal.h"

/* Which parts of a frame the hash is over: addresses and ports. */
#define HASH_FIELDS 0xf

/* Any key does, but it must not be zero: all frames would go to one queue. */
static const uint8_t hash_key[40] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};
#define HASH_KEY_AT 72 /* byte of CREATE_TIR */

int mlx5_cmd_alloc_td(struct mlx5_dev *dev, uint32_t *td)
{
	return mlx5_cmd_exec_short(dev, MLX5_OP_ALLOC_TRANSPORT_DOMAIN, 0, td);
}

int mlx5_cmd_dealloc_td(struct mlx5_dev *dev, uint32_t td)
{
	return mlx5_cmd_exec_short(dev, MLX5_OP_DEALLOC_TRANSPORT_DOMAIN, td, NULL);
}

/* A command whose reply is the number of what it has made. */
static int exec_make(struct mlx5_dev *dev, const void *in, size_t in_len, uint32_t *index)
{
	uint8_t out[MLX5_CMD_HDR_LEN];
	int err = mlx5_cmd_exec(dev, in, in_len, out, sizeof(out));

	if (!err && index)
		*index = (uint32_t)mlx5_get(out, MLX5_IO_INDEX);
	return err;
}

int mlx5_cmd_create_tis(struct mlx5_dev *dev, uint32_t td, uint32_t *tisn)
{
	uint8_t in[MLX5_CREATE_TIS_IN_LEN] = {0};

	mlx5_put(in, MLX5_IN_OPCODE, MLX5_OP_CREATE_TIS);
	mlx5_put(in, MLX5_TIS_TD, td);
	return exec_make(dev, in, sizeof(in), tisn);
}

int mlx5_cmd_destroy_tis(struct mlx5_dev *dev, uint32_t tisn)
{
	return mlx5_cmd_exec_short(dev, MLX5_OP_DESTROY_TIS, tisn, NULL);
}

static int rqt(struct mlx5_dev *dev, unsigned int opcode, uint32_t rqtn, const uint32_t *queue,
	       uint16_t nr, uint16_t max, uint32_t *out)
{
	size_t len = MLX5_RQT_LEN + 4ul * nr;
	uint8_t *in = calloc(1, len);
	int err;

	if (!in)
		return -ENOMEM;
	mlx5_put(in, MLX5_IN_OPCODE, opcode);
	mlx5_put(in, MLX5_IO_INDEX, rqtn);
	mlx5_put(in, MLX5_RQT_SELECT_LIST, opcode == MLX5_OP_MODIFY_RQT);
	mlx5_put(in, MLX5_RQT_LIST_TYPE, MLX5_RQT_VIRTQUEUES);
	mlx5_put(in, MLX5_RQT_MAX, max);
	mlx5_put(in, MLX5_RQT_ACTUAL, nr);
	for (uint16_t i = 0; i < nr; i++) {
		uint32_t be = htobe32(queue[i] & 0xffffff);

		memcpy(in + MLX5_RQT_LEN + 4ul * i, &be, sizeof(be));
	}
	err = exec_make(dev, in, len, out);
	free(in);
	return err;
}

int mlx5_cmd_create_rqt(struct mlx5_dev *dev, const uint32_t *queue, uint16_t nr, uint16_t max,
			uint32_t *rqtn)
{
	return rqt(dev, MLX5_OP_CREATE_RQT, 0, queue, nr, max, rqtn);
}

int mlx5_cmd_modify_rqt(struct mlx5_dev *dev, uint32_t rqtn, const uint32_t *queue, uint16_t nr)
{
	return rqt(dev, MLX5_OP_MODIFY_RQT, rqtn, queue, nr, 0, NULL);
}

int mlx5_cmd_destroy_rqt(struct mlx5_dev *dev, uint32_t rqtn)
{
	return mlx5_cmd_exec_short(dev, MLX5_OP_DESTROY_RQT, rqtn, NULL);
}

int mlx5_cmd_create_tir(struct mlx5_dev *dev, uint32_t td, uint32_t rqtn, uint32_t *tirn)
{
	uint8_t in[MLX5_CREATE_TIR_IN_LEN] = {0};

	mlx5_put(in, MLX5_IN_OPCODE, MLX5_OP_CREATE_TIR);
	mlx5_put(in, MLX5_TIR_DISP_TYPE, MLX5_TIR_INDIRECT);
	mlx5_put(in, MLX5_TIR_RQT, rqtn);
	mlx5_put(in, MLX5_TIR_TD, td);
	mlx5_put(in, MLX5_TIR_HASH_FN, MLX5_HASH_TOEPLITZ);
	mlx5_put(in, MLX5_TIR_HASH_SYMMETRIC, 1);
	mlx5_put(in, MLX5_TIR_SELECTED, HASH_FIELDS);
	memcpy(in + HASH_KEY_AT, hash_key, sizeof(hash_key));
	return exec_make(dev, in, sizeof(in), tirn);
}

int mlx5_cmd_destroy_tir(struct mlx5_dev *dev, uint32_t tirn)
{
	return mlx5_cmd_exec_short(dev, MLX5_OP_DESTROY_TIR, tirn, NULL);
}

int mlx5_cmd_create_flow_table(struct mlx5_dev *dev, uint8_t log_size, uint32_t *table)
{
	uint8_t in[MLX5_FLOW_SHORT_LEN] = {0};

	mlx5_put(in, MLX5_IN_OPCODE, MLX5_OP_CREATE_FLOW_TABLE);
	mlx5_put(in, MLX5_FLOW_TABLE_TYPE, MLX5_NIC_RX);
	mlx5_put(in, MLX5_FLOW_LOG_SIZE, log_size);
	return exec_make(dev, in, sizeof(in), table);
}

/* A command on table @table, and on entry or group @index if it has such a field. */
static int on_table(struct mlx5_dev *dev, unsigned int opcode, uint32_t table,
		    enum mlx5_field_id field, uint32_t index)
{
	uint8_t in[MLX5_FLOW_SHORT_LEN] = {0};

	mlx5_put(in, MLX5_IN_OPCODE, opcode);
	mlx5_put(in, MLX5_FLOW_TABLE_TYPE, MLX5_NIC_RX);
	mlx5_put(in, MLX5_FLOW_TABLE_ID, table);
	if (field != MLX5_FLOW_TABLE_ID)
		mlx5_put(in, field, index);
	return exec_make(dev, in, sizeof(in), NULL);
}

int mlx5_cmd_set_flow_root(struct mlx5_dev *dev, uint32_t table)
{
	return on_table(dev, MLX5_OP_SET_FLOW_TABLE_ROOT, table, MLX5_FLOW_TABLE_ID, 0);
}

int mlx5_cmd_destroy_flow_table(struct mlx5_dev *dev, uint32_t table)
{
	return on_table(dev, MLX5_OP_DESTROY_FLOW_TABLE, table, MLX5_FLOW_TABLE_ID, 0);
}

int mlx5_cmd_destroy_flow_group(struct mlx5_dev *dev, uint32_t table, uint32_t group)
{
	return on_table(dev, MLX5_OP_DESTROY_FLOW_GROUP, table, MLX5_GROUP_ID, group);
}

int mlx5_cmd_delete_flow(struct mlx5_dev *dev, uint32_t table, uint32_t index)
{
	return on_table(dev, MLX5_OP_DELETE_FLOW_TABLE_ENTRY, table, MLX5_FTE_INDEX, index);
}

static uint32_t dmac_high(const struct mlx5_match *m)
{
	return (uint32_t)m->dmac[0] << 24 | (uint32_t)m->dmac[1] << 16 | (uint32_t)m->dmac[2] << 8 |
	       m->dmac[3];
}

static uint32_t dmac_low(const struct mlx5_match *m)
{
	return (uint32_t)m->dmac[4] << 8 | m->dmac[5];
}

int mlx5_cmd_create_flow_group(struct mlx5_dev *dev, uint32_t table, uint32_t first, uint32_t last,
			       const struct mlx5_match *mask, uint32_t *group)
{
	uint8_t in[MLX5_CREATE_GROUP_LEN] = {0};

	mlx5_put(in, MLX5_IN_OPCODE, MLX5_OP_CREATE_FLOW_GROUP);
	mlx5_put(in, MLX5_FLOW_TABLE_TYPE, MLX5_NIC_RX);
	mlx5_put(in, MLX5_FLOW_TABLE_ID, table);
	mlx5_put(in, MLX5_GROUP_START, first);
	mlx5_put(in, MLX5_GROUP_END, last);
	mlx5_put(in, MLX5_GROUP_CRITERIA, MLX5_OUTER_HEADERS);
	mlx5_put(in, MLX5_GROUP_DMAC_HIGH, dmac_high(mask));
	mlx5_put(in, MLX5_GROUP_DMAC_LOW, dmac_low(mask));
	mlx5_put(in, MLX5_GROUP_VID, mask->vid);
	mlx5_put(in, MLX5_GROUP_CVLAN, mask->cvlan);
	return exec_make(dev, in, sizeof(in), group);
}

int mlx5_cmd_set_flow(struct mlx5_dev *dev, uint32_t table, uint32_t group, uint32_t index,
		      const struct mlx5_match *value, uint32_t tirn)
{
	uint8_t in[MLX5_SET_FTE_LEN] = {0};

	mlx5_put(in, MLX5_IN_OPCODE, MLX5_OP_SET_FLOW_TABLE_ENTRY);
	mlx5_put(in, MLX5_FLOW_TABLE_TYPE, MLX5_NIC_RX);
	mlx5_put(in, MLX5_FLOW_TABLE_ID, table);
	mlx5_put(in, MLX5_FTE_INDEX, index);
	mlx5_put(in, MLX5_FTE_GROUP, group);
	mlx5_put(in, MLX5_FTE_ACTION, MLX5_FLOW_FWD_DEST);
	mlx5_put(in, MLX5_FTE_NR_DEST, 1);
	mlx5_put(in, MLX5_FTE_DMAC_HIGH, dmac_high(value));
	mlx5_put(in, MLX5_FTE_DMAC_LOW, dmac_low(value));
	mlx5_put(in, MLX5_FTE_VID, value->vid);
	mlx5_put(in, MLX5_FTE_CVLAN, value->cvlan);
	mlx5_put(in, MLX5_FTE_DEST_TYPE, MLX5_DEST_TIR);
	mlx5_put(in, MLX5_FTE_DEST_ID, tirn);
	return exec_make(dev, in, sizeof(in), NULL);
}
