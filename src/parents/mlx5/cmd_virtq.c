// SPDX-License-Identifier: BSD-3-Clause
#include "cmd_virtq.h"

#include <linux/virtio_net.h>
#include <string.h>

#include "base/compiler.h"
#include "cmd_internal.h"

/* The device's order of feature bits. */
static const struct {
	uint8_t virtio, device;
} features[] = {
	{VIRTIO_NET_F_MRG_RXBUF, 2},  {VIRTIO_NET_F_HOST_ECN, 4},   {VIRTIO_NET_F_GUEST_ECN, 6},
	{VIRTIO_NET_F_GUEST_TSO6, 7}, {VIRTIO_NET_F_GUEST_TSO4, 8}, {VIRTIO_NET_F_GUEST_CSUM, 9},
	{VIRTIO_NET_F_CSUM, 10},      {VIRTIO_NET_F_HOST_TSO6, 11}, {VIRTIO_NET_F_HOST_TSO4, 12},
};

uint16_t mlx5_features_of(uint64_t virtio)
{
	unsigned int mask = 0;

	for (size_t i = 0; i < ARRAY_LEN(features); i++)
		mask |= (unsigned int)(virtio >> features[i].virtio & 1) << features[i].device;
	return (uint16_t)mask;
}

uint64_t mlx5_features_to(uint16_t device)
{
	uint64_t mask = 0;

	for (size_t i = 0; i < ARRAY_LEN(features); i++)
		mask |= (uint64_t)(device >> features[i].device & 1) << features[i].virtio;
	return mask;
}

static void put_virtq(uint8_t *in, const struct mlx5_virtq *q)
{
	mlx5_put(in, MLX5_VQ_FEATURES_12_3, q->features >> 3);
	mlx5_put(in, MLX5_VQ_FEATURES_2_0, q->features);
	mlx5_put(in, MLX5_VQ_TISN, q->tisn);
	mlx5_put(in, MLX5_VQ_AVAIL, q->avail);
	mlx5_put(in, MLX5_VQ_USED, q->used);
	mlx5_put(in, MLX5_VQ_EVENT_MODE, MLX5_VQ_EVENTS_MSIX);
	mlx5_put(in, MLX5_VQ_INDEX, q->index);
	mlx5_put(in, MLX5_VQ_VERSION_1, q->version_1);
	mlx5_put(in, MLX5_VQ_VECTOR, q->vector);
	mlx5_put(in, MLX5_VQ_SIZE, q->size);
	mlx5_put(in, MLX5_VQ_DESC, q->desc);
	mlx5_put(in, MLX5_VQ_DEVICE, q->device);
	mlx5_put(in, MLX5_VQ_DRIVER, q->driver);
	mlx5_put(in, MLX5_VQ_MKEY_FIELD, q->mkey);
	for (unsigned int i = 0; i < 3; i++) {
		mlx5_put(in, MLX5_VQ_UMEM_1_ID + 2 * i, q->umem[i].id);
		mlx5_put(in, MLX5_VQ_UMEM_1_SIZE + 2 * i, q->umem[i].len);
	}
	mlx5_put(in, MLX5_VQ_COUNTERS, q->counters);
	mlx5_put(in, MLX5_VQ_PD, q->pd);
	mlx5_put(in, MLX5_VQ_DESC_MKEY_FIELD, q->desc_mkey);
}

/* The header of every command on a general object. */
static void put_object(uint8_t *in, unsigned int opcode, unsigned int type, uint32_t id)
{
	mlx5_put(in, MLX5_IN_OPCODE, opcode);
	mlx5_put(in, MLX5_OBJ_TYPE, type);
	mlx5_put(in, MLX5_OBJ_ID, id);
}

int mlx5_cmd_create_virtq(struct mlx5_dev *dev, const struct mlx5_virtq *q, uint32_t *id)
{
	uint8_t in[MLX5_VIRTQ_LEN] = {0}, out[MLX5_CMD_HDR_LEN];
	int err;

	put_object(in, MLX5_OP_CREATE_GENERAL_OBJECT, MLX5_OBJ_VIRTIO_NET_Q, 0);
	put_virtq(in, q);
	err = mlx5_cmd_exec(dev, in, sizeof(in), out, sizeof(out));
	if (!err)
		*id = (uint32_t)mlx5_get(out, MLX5_OBJ_ID);
	return err;
}

static void put_change(uint8_t *in, const struct mlx5_virtq_change *c)
{
	put_object(in, MLX5_OP_MODIFY_GENERAL_OBJECT, MLX5_OBJ_VIRTIO_NET_Q, c->id);
	mlx5_put(in, MLX5_VQ_SELECT, c->select);
	if (c->select & MLX5_VQ_STATE)
		mlx5_put(in, MLX5_VQ_STATE_FIELD, c->q.state);
	if (c->select & MLX5_VQ_ADDRS) {
		mlx5_put(in, MLX5_VQ_DESC, c->q.desc);
		mlx5_put(in, MLX5_VQ_DEVICE, c->q.device);
		mlx5_put(in, MLX5_VQ_DRIVER, c->q.driver);
	}
	if (c->select & MLX5_VQ_AVAIL_IDX)
		mlx5_put(in, MLX5_VQ_AVAIL, c->q.avail);
	if (c->select & MLX5_VQ_USED_IDX)
		mlx5_put(in, MLX5_VQ_USED, c->q.used);
	if (c->select & MLX5_VQ_MKEY)
		mlx5_put(in, MLX5_VQ_MKEY_FIELD, c->q.mkey);
	if (c->select & MLX5_VQ_DESC_MKEY)
		mlx5_put(in, MLX5_VQ_DESC_MKEY_FIELD, c->q.desc_mkey);
}

int mlx5_cmd_modify_virtqs(struct mlx5_dev *dev, struct mlx5_virtq_change *change, size_t nr)
{
	uint8_t in[MLX5_PARALLEL_MAX][MLX5_VIRTQ_LEN], out[MLX5_PARALLEL_MAX][MLX5_CMD_HDR_LEN];
	struct mlx5_exec cmd[MLX5_PARALLEL_MAX];
	int err;

	for (size_t i = 0; i < nr; i++) {
		memset(in[i], 0, sizeof(in[i]));
		put_change(in[i], &change[i]);
		cmd[i] = (struct mlx5_exec){in[i], out[i], sizeof(in[i]), sizeof(out[i]), 0};
	}
	err = mlx5_cmd_exec_many(dev, cmd, nr);
	for (size_t i = 0; i < nr; i++)
		change[i].err = cmd[i].err;
	return err;
}

int mlx5_cmd_modify_virtq(struct mlx5_dev *dev, uint32_t id, uint64_t select,
			  const struct mlx5_virtq *q)
{
	struct mlx5_virtq_change change = {.id = id, .select = select, .q = *q};

	return mlx5_cmd_modify_virtqs(dev, &change, 1);
}

static void get_status(const uint8_t *out, struct mlx5_virtq_status *status)
{
	status->state = (uint8_t)mlx5_get(out, MLX5_VQ_STATE_FIELD);
	status->error = (uint8_t)mlx5_get(out, MLX5_VQ_ERROR_TYPE);
	status->avail = (uint16_t)mlx5_get(out, MLX5_VQ_AVAIL);
	status->used = (uint16_t)mlx5_get(out, MLX5_VQ_USED);
}

int mlx5_cmd_query_virtqs(struct mlx5_dev *dev, struct mlx5_virtq_query *query, size_t nr)
{
	uint8_t in[MLX5_PARALLEL_MAX][MLX5_CMD_HDR_LEN], out[MLX5_PARALLEL_MAX][MLX5_VIRTQ_LEN];
	struct mlx5_exec cmd[MLX5_PARALLEL_MAX];
	int err;

	for (size_t i = 0; i < nr; i++) {
		memset(in[i], 0, sizeof(in[i]));
		put_object(in[i], MLX5_OP_QUERY_GENERAL_OBJECT, MLX5_OBJ_VIRTIO_NET_Q, query[i].id);
		cmd[i] = (struct mlx5_exec){in[i], out[i], sizeof(in[i]), sizeof(out[i]), 0};
	}
	err = mlx5_cmd_exec_many(dev, cmd, nr);
	for (size_t i = 0; i < nr; i++) {
		query[i].err = cmd[i].err;
		if (!cmd[i].err)
			get_status(out[i], &query[i].status);
	}
	return err;
}

int mlx5_cmd_query_virtq(struct mlx5_dev *dev, uint32_t id, struct mlx5_virtq_status *status)
{
	struct mlx5_virtq_query query = {.id = id};
	int err = mlx5_cmd_query_virtqs(dev, &query, 1);

	if (!err)
		*status = query.status;
	return err;
}

int mlx5_cmd_create_counters(struct mlx5_dev *dev, uint32_t *id)
{
	uint8_t in[MLX5_COUNTERS_LEN] = {0}, out[MLX5_COUNTERS_LEN];
	int err;

	put_object(in, MLX5_OP_CREATE_GENERAL_OBJECT, MLX5_OBJ_VIRTIO_Q_COUNTERS, 0);
	err = mlx5_cmd_exec(dev, in, sizeof(in), out, sizeof(out));
	if (!err)
		*id = (uint32_t)mlx5_get(out, MLX5_OBJ_ID);
	return err;
}

int mlx5_cmd_query_counters(struct mlx5_dev *dev, uint32_t id, struct mlx5_virtq_counters *counters)
{
	uint8_t in[MLX5_CMD_HDR_LEN] = {0}, out[MLX5_COUNTERS_LEN];
	int err;

	put_object(in, MLX5_OP_QUERY_GENERAL_OBJECT, MLX5_OBJ_VIRTIO_Q_COUNTERS, id);
	err = mlx5_cmd_exec(dev, in, sizeof(in), out, sizeof(out));
	if (err)
		return err;
	counters->received = mlx5_get(out, MLX5_CNT_RECEIVED);
	counters->completed = mlx5_get(out, MLX5_CNT_COMPLETED);
	counters->errors = (uint32_t)mlx5_get(out, MLX5_CNT_ERRORS);
	counters->bad_desc = (uint32_t)mlx5_get(out, MLX5_CNT_BAD_DESC);
	counters->max_chain = (uint32_t)mlx5_get(out, MLX5_CNT_MAX_CHAIN);
	counters->invalid_buffer = (uint32_t)mlx5_get(out, MLX5_CNT_INVALID_BUFFER);
	return 0;
}

int mlx5_cmd_destroy_object(struct mlx5_dev *dev, unsigned int type, uint32_t id)
{
	uint8_t in[MLX5_CMD_HDR_LEN] = {0}, out[MLX5_CMD_HDR_LEN];

	put_object(in, MLX5_OP_DESTROY_GENERAL_OBJECT, type, id);
	return mlx5_cmd_exec(dev, in, sizeof(in), out, sizeof(out));
}

int mlx5_cmd_create_eq(struct mlx5_dev *dev, uint8_t log_size, uint32_t vector, uint64_t events,
		       uint32_t *eqn)
{
	uint8_t in[MLX5_CREATE_EQ_IN_LEN] = {0}, out[MLX5_CMD_HDR_LEN];
	int err;

	mlx5_put(in, MLX5_IN_OPCODE, MLX5_OP_CREATE_EQ);
	mlx5_put(in, MLX5_EQ_LOG_SIZE, log_size);
	mlx5_put(in, MLX5_EQ_INTR, vector);
	mlx5_put(in, MLX5_EQ_EVENTS, events);
	err = mlx5_cmd_exec(dev, in, sizeof(in), out, sizeof(out));
	if (!err)
		*eqn = (uint32_t)mlx5_get(out, MLX5_EQ_NUMBER);
	return err;
}

int mlx5_cmd_destroy_eq(struct mlx5_dev *dev, uint32_t eqn)
{
	uint8_t in[MLX5_CMD_HDR_LEN] = {0}, out[MLX5_CMD_HDR_LEN];

	mlx5_put(in, MLX5_IN_OPCODE, MLX5_OP_DESTROY_EQ);
	mlx5_put(in, MLX5_EQ_NUMBER, eqn);
	return mlx5_cmd_exec(dev, in, sizeof(in), out, sizeof(out));
}
