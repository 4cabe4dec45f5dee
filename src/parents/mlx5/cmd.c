// SPDX-License-Identifier: BSD-3-Clause
#include "cmd.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/refuse.h"
#include "cmd_internal.h"
#include "layout.h"
#include "trace.h"

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

/* Commands that end something. A device that is not there any more has ended all. */
static bool is_an_end(unsigned int opcode)
{
	static const uint16_t ends[] = {
		MLX5_OP_DESTROY_MKEY,
		MLX5_OP_DESTROY_EQ,
		MLX5_OP_DEALLOC_PD,
		MLX5_OP_DEALLOC_TRANSPORT_DOMAIN,
		MLX5_OP_DESTROY_TIR,
		MLX5_OP_DESTROY_TIS,
		MLX5_OP_DESTROY_RQT,
		MLX5_OP_DESTROY_FLOW_TABLE,
		MLX5_OP_DESTROY_FLOW_GROUP,
		MLX5_OP_DELETE_FLOW_TABLE_ENTRY,
		MLX5_OP_DESTROY_GENERAL_OBJECT,
	};

	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		if (ends[i] == opcode)
			return true;
	return false;
}

/* What came of a command. @err: the seam's. */
static int judge(struct mlx5_dev *dev, const void *in, const void *out, int err)
{
	const char *op = mlx5_command_name(in);
	unsigned int code, syndrome;

	if (err)
		dev->lost = true;
	if (err == -ENODEV && is_an_end((unsigned int)mlx5_get(in, MLX5_IN_OPCODE)))
		return 0;
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

static void trace(const struct mlx5_dev *dev, const struct mlx5_exec *cmd, int64_t start_ns,
		  size_t at_once)
{
	if (dev->trace)
		mlx5_trace_command(dev->trace, cmd, clock_now_ns() - start_ns, at_once);
}

static void exec_one(struct mlx5_dev *dev, struct mlx5_exec *cmd)
{
	int64_t start_ns = dev->trace ? clock_now_ns() : 0;

	cmd->err = dev->ops->exec(dev, cmd->in, cmd->in_len, cmd->out, cmd->out_len);
	trace(dev, cmd, start_ns, 1);
}

int mlx5_cmd_exec(struct mlx5_dev *dev, const void *in, size_t in_len, void *out, size_t out_len)
{
	struct mlx5_exec cmd = {.in = in, .out = out, .in_len = in_len, .out_len = out_len};

	memset(out, 0, out_len);
	exec_one(dev, &cmd);
	return judge(dev, in, out, cmd.err);
}

int mlx5_cmd_exec_many(struct mlx5_dev *dev, struct mlx5_exec *cmd, size_t nr)
{
	bool at_once = nr > 1 && dev->ops->exec_many;
	int64_t start_ns = dev->trace ? clock_now_ns() : 0;
	int err = 0;

	for (size_t i = 0; i < nr; i++)
		memset(cmd[i].out, 0, cmd[i].out_len);
	if (at_once)
		dev->ops->exec_many(dev, cmd, nr);
	for (size_t i = 0; i < nr; i++)
		if (at_once)
			trace(dev, &cmd[i], start_ns, nr);
		else
			exec_one(dev, &cmd[i]);
	for (size_t i = nr; i-- > 0;) { /* so that the words are the first one's */
		cmd[i].err = judge(dev, cmd[i].in, cmd[i].out, cmd[i].err);
		err = cmd[i].err ? cmd[i].err : err;
	}
	return err;
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
		.doorbell_off = mlx5_get(out, MLX5_VQ_CAP_DOORBELL_OFF),
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

int mlx5_cmd_destroy_mkeys(struct mlx5_dev *dev, const uint32_t *mkey, size_t nr, bool *gone)
{
	uint8_t in[MLX5_PARALLEL_MAX][MLX5_CMD_HDR_LEN], out[MLX5_PARALLEL_MAX][MLX5_CMD_HDR_LEN];
	struct mlx5_exec cmd[MLX5_PARALLEL_MAX];
	int err;

	for (size_t i = 0; i < nr; i++) {
		memset(in[i], 0, sizeof(in[i]));
		mlx5_put(in[i], MLX5_IN_OPCODE, MLX5_OP_DESTROY_MKEY);
		mlx5_put(in[i], MLX5_IO_INDEX, mkey[i] >> 8);
		cmd[i] = (struct mlx5_exec){in[i], out[i], sizeof(in[i]), sizeof(out[i]), 0};
	}
	err = mlx5_cmd_exec_many(dev, cmd, nr);
	for (size_t i = 0; i < nr; i++)
		gone[i] = !cmd[i].err;
	return err;
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

/* Return: the command, which the caller frees; NULL without memory */
static uint8_t *encode_mkey(const struct mlx5_mkey_desc *desc, size_t *len)
{
	size_t octwords = desc->mode == MLX5_ACCESS_MTT ? round_up(desc->nr, MTT_PAD) / MTT_PAD
							: round_up(desc->nr, KLM_PAD);
	uint8_t *in;

	*len = MLX5_CREATE_MKEY_IN_LEN + octwords * 16;
	in = calloc(1, *len);
	if (!in)
		return NULL;
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
	return in;
}

int mlx5_cmd_create_mkeys(struct mlx5_dev *dev, const struct mlx5_mkey_desc *desc, size_t nr,
			  uint32_t *mkey, bool *made)
{
	uint8_t *in[MLX5_PARALLEL_MAX], out[MLX5_PARALLEL_MAX][MLX5_CMD_HDR_LEN];
	struct mlx5_exec cmd[MLX5_PARALLEL_MAX];
	size_t n = 0;
	int err = 0;

	memset(made, 0, nr * sizeof(*made));
	for (; !err && n < nr; n++) {
		cmd[n] = (struct mlx5_exec){.out = out[n], .out_len = sizeof(out[n])};
		cmd[n].in = in[n] = encode_mkey(&desc[n], &cmd[n].in_len);
		err = in[n] ? 0 : -ENOMEM;
	}
	if (!err)
		err = mlx5_cmd_exec_many(dev, cmd, nr);
	else
		nr = 0; /* none was sent */
	for (size_t i = 0; i < nr; i++) {
		made[i] = !cmd[i].err;
		mkey[i] = (uint32_t)mlx5_get(out[i], MLX5_IO_INDEX) << 8 |
			  (uint32_t)mlx5_get(in[i], MLX5_MKC_KEY);
	}
	while (n)
		free(in[--n]);
	return err;
}

int mlx5_cmd_create_mkey(struct mlx5_dev *dev, const struct mlx5_mkey_desc *desc, uint32_t *mkey)
{
	uint32_t index;
	bool made;
	int err = mlx5_cmd_create_mkeys(dev, desc, 1, &index, &made);

	if (!err)
		*mkey = index;
	return err;
}
