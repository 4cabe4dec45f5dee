// SPDX-License-Identifier: BSD-3-Clause
#include "cmd.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/refuse.h"
#include "cmd_internal.h"
#include "layout.h"

/* op_mod of QUERY_HCA_CAP: kind << 1 | current values */
#define GENERAL_CURRENT 0x01
#define VIRTIO_CURRENT  0x27
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

static const struct {
	uint16_t opcode;
	const char *name;
} opcodes[] = {
	{MLX5_OP_QUERY_HCA_CAP, "QUERY_HCA_CAP"},
	{MLX5_OP_CREATE_MKEY, "CREATE_MKEY"},
	{MLX5_OP_DESTROY_MKEY, "DESTROY_MKEY"},
	{MLX5_OP_QUERY_SPECIAL_CONTEXTS, "QUERY_SPECIAL_CONTEXTS"},
	{MLX5_OP_CREATE_EQ, "CREATE_EQ"},
	{MLX5_OP_DESTROY_EQ, "DESTROY_EQ"},
	{MLX5_OP_ALLOC_PD, "ALLOC_PD"},
	{MLX5_OP_DEALLOC_PD, "DEALLOC_PD"},
	{MLX5_OP_ALLOC_TRANSPORT_DOMAIN, "ALLOC_TRANSPORT_DOMAIN"},
	{MLX5_OP_DEALLOC_TRANSPORT_DOMAIN, "DEALLOC_TRANSPORT_DOMAIN"},
	{MLX5_OP_CREATE_TIR, "CREATE_TIR"},
	{MLX5_OP_DESTROY_TIR, "DESTROY_TIR"},
	{MLX5_OP_CREATE_TIS, "CREATE_TIS"},
	{MLX5_OP_DESTROY_TIS, "DESTROY_TIS"},
	{MLX5_OP_CREATE_RQT, "CREATE_RQT"},
	{MLX5_OP_MODIFY_RQT, "MODIFY_RQT"},
	{MLX5_OP_DESTROY_RQT, "DESTROY_RQT"},
	{MLX5_OP_SET_FLOW_TABLE_ROOT, "SET_FLOW_TABLE_ROOT"},
	{MLX5_OP_CREATE_FLOW_TABLE, "CREATE_FLOW_TABLE"},
	{MLX5_OP_DESTROY_FLOW_TABLE, "DESTROY_FLOW_TABLE"},
	{MLX5_OP_CREATE_FLOW_GROUP, "CREATE_FLOW_GROUP"},
	{MLX5_OP_DESTROY_FLOW_GROUP, "DESTROY_FLOW_GROUP"},
	{MLX5_OP_SET_FLOW_TABLE_ENTRY, "SET_FLOW_TABLE_ENTRY"},
	{MLX5_OP_DELETE_FLOW_TABLE_ENTRY, "DELETE_FLOW_TABLE_ENTRY"},
	{MLX5_OP_CREATE_GENERAL_OBJECT, "CREATE_GENERAL_OBJECT"},
	{MLX5_OP_MODIFY_GENERAL_OBJECT, "MODIFY_GENERAL_OBJECT"},
	{MLX5_OP_QUERY_GENERAL_OBJECT, "QUERY_GENERAL_OBJECT"},
	{MLX5_OP_DESTROY_GENERAL_OBJECT, "DESTROY_GENERAL_OBJECT"},
};

static const char *opcode_name(unsigned int opcode)
{
	for (size_t i = 0; i < ARRAY_LEN(opcodes); i++)
		if (opcodes[i].opcode == opcode)
			return opcodes[i].name;
	return "a command";
}

int mlx5_cmd_exec(struct mlx5_dev *dev, const void *in, size_t in_len, void *out, size_t out_len)
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

int mlx5_cmd_exec_short(struct mlx5_dev *dev, unsigned int opcode, uint32_t index,
			uint32_t *index_out)
{
	uint8_t in[MLX5_CMD_HDR_LEN] = {0}, out[MLX5_CMD_HDR_LEN];
	int err;

	mlx5_put(in, MLX5_IN_OPCODE, opcode);
	mlx5_put(in, MLX5_IO_INDEX, index);
	err = mlx5_cmd_exec(dev, in, sizeof(in), out, sizeof(out));
	if (!err && index_out)
		*index_out = (uint32_t)mlx5_get(out, MLX5_IO_INDEX);
	return err;
}

static int query_cap(struct mlx5_dev *dev, unsigned int kind, uint8_t *out, size_t out_len)
{
	uint8_t in[MLX5_CMD_HDR_LEN] = {0};

	mlx5_put(in, MLX5_IN_OPCODE, MLX5_OP_QUERY_HCA_CAP);
	mlx5_put(in, MLX5_IN_OP_MOD, kind);
	return mlx5_cmd_exec(dev, in, sizeof(in), out, out_len);
}

int mlx5_cmd_query_caps(struct mlx5_dev *dev, struct mlx5_caps *caps)
{
	uint8_t out[MLX5_CMD_HDR_LEN + MLX5_HCA_CAP_LEN];
	int err = query_cap(dev, GENERAL_CURRENT, out, sizeof(out));

	if (err)
		return err;
	caps->max_klm = 1u << (mlx5_get(out, MLX5_CAP_LOG_MAX_KLM) & 31);
	caps->umem_uid_0 = mlx5_get(out, MLX5_CAP_UMEM_UID_0);
	return 0;
}

int mlx5_cmd_query_virtio_caps(struct mlx5_dev *dev, struct mlx5_virtio_caps *caps)
{
	uint8_t out[MLX5_CMD_HDR_LEN + MLX5_HCA_CAP_LEN];
	int err = query_cap(dev, VIRTIO_CURRENT, out, sizeof(out));

	if (err)
		return err;
	*caps = (struct mlx5_virtio_caps){
		.version_1 = mlx5_get(out, MLX5_VQ_CAP_VERSION_1),
		.msix = mlx5_get(out, MLX5_VQ_CAP_EVENT_MODES) >> MLX5_VQ_EVENTS_MSIX & 1,
		.desc_mkey = mlx5_get(out, MLX5_VQ_CAP_DESC_MKEY),
		.freeze_to_rdy = mlx5_get(out, MLX5_VQ_CAP_FREEZE_TO_RDY),
		.features = (uint16_t)mlx5_get(out, MLX5_VQ_CAP_FEATURES),
		.max_queues = (uint32_t)mlx5_get(out, MLX5_VQ_CAP_MAX_QUEUES),
	};
	for (unsigned int i = 0; i < 3; i++) {
		caps->umem_a[i] = (uint32_t)mlx5_get(out, MLX5_VQ_CAP_UMEM_1_A + 2 * i);
		caps->umem_b[i] = (uint32_t)mlx5_get(out, MLX5_VQ_CAP_UMEM_1_B + 2 * i);
	}
	return 0;
}

int mlx5_cmd_null_mkey(struct mlx5_dev *dev, uint32_t *mkey)
{
	uint8_t in[MLX5_CMD_HDR_LEN] = {0}, out[MLX5_SPECIAL_OUT_LEN];
	int err;

	mlx5_put(in, MLX5_IN_OPCODE, MLX5_OP_QUERY_SPECIAL_CONTEXTS);
	err = mlx5_cmd_exec(dev, in, sizeof(in), out, sizeof(out));
	if (!err)
		*mkey = (uint32_t)mlx5_get(out, MLX5_SPECIAL_NULL_MKEY);
	return err;
}

int mlx5_cmd_alloc_pd(struct mlx5_dev *dev, uint32_t *pd)
{
	return mlx5_cmd_exec_short(dev, MLX5_OP_ALLOC_PD, 0, pd);
}

int mlx5_cmd_dealloc_pd(struct mlx5_dev *dev, uint32_t pd)
{
	return mlx5_cmd_exec_short(dev, MLX5_OP_DEALLOC_PD, pd, NULL);
}

int mlx5_cmd_destroy_mkey(struct mlx5_dev *dev, uint32_t mkey)
{
	return mlx5_cmd_exec_short(dev, MLX5_OP_DESTROY_MKEY, mkey >> 8, NULL);
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
	err = mlx5_cmd_exec(dev, in, in_len, out, sizeof(out));
	if (!err)
		*mkey = (uint32_t)mlx5_get(out, MLX5_IO_INDEX) << 8 |
			(uint32_t)mlx5_get(in, MLX5_MKC_KEY);
	free(in);
	return err;
}
