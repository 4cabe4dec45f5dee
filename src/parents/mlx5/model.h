// SPDX-License-Identifier: BSD-3-Clause
/*
 * The device's firmware in software: memory keys and what they translate, virtqueues, what steers
 * frames, and a port. It decodes commands by itself, byte by byte, and shares nothing with the
 * driver's encoder. What it refuses is listed at model_mkey.c and model_virtq.c.
 *
 * The port is the simulated card's: its rings, workers and backends. Its rings look everything up
 * through memory keys and nothing else.
 *
 * It implements the seam of cmd.h. What a driver or a test can see besides: how many commands of
 * each kind came, what objects there are, what a key translates. A test can have a command fail.
 *
 * Nobody has compared it with a card. It says what the reference manual says, and where the manual
 * is silent, what the kernel's driver relies on.
 *
 * Owns all objects. Used by the driver and by tests. Thread rule: one thread at a time; not by an
 * online RCU reader.
 */
#ifndef HOLDFAST_PARENTS_MLX5_MODEL_H
#define HOLDFAST_PARENTS_MLX5_MODEL_H

#include <sys/uio.h>

#include "cmd.h"
#include "vdpa/mgmt.h"

enum mlx5_model_kind {
	MODEL_QUERY_HCA_CAP,
	MODEL_QUERY_SPECIAL_CONTEXTS,
	MODEL_ALLOC_PD,
	MODEL_DEALLOC_PD,
	MODEL_CREATE_MKEY,
	MODEL_DESTROY_MKEY,
	MODEL_CREATE_EQ,
	MODEL_DESTROY_EQ,
	MODEL_ALLOC_TD,
	MODEL_DEALLOC_TD,
	MODEL_CREATE_TIR,
	MODEL_DESTROY_TIR,
	MODEL_CREATE_TIS,
	MODEL_DESTROY_TIS,
	MODEL_CREATE_RQT,
	MODEL_MODIFY_RQT,
	MODEL_DESTROY_RQT,
	MODEL_SET_FLOW_ROOT,
	MODEL_CREATE_FLOW_TABLE,
	MODEL_DESTROY_FLOW_TABLE,
	MODEL_CREATE_FLOW_GROUP,
	MODEL_DESTROY_FLOW_GROUP,
	MODEL_SET_FLOW,
	MODEL_DELETE_FLOW,
	MODEL_CREATE_QUEUE,
	MODEL_MODIFY_QUEUE,
	MODEL_QUERY_QUEUE,
	MODEL_DESTROY_QUEUE,
	MODEL_CREATE_COUNTERS,
	MODEL_QUERY_COUNTERS,
	MODEL_DESTROY_COUNTERS,
	MODEL_NR_KINDS,
};

/* What the model can be told at its creation; all zero is a usual device. */
struct mlx5_model_options {
	bool no_umem_uid_0;
	uint8_t log_max_klm; /* 0: 16 */
	uint32_t max_mkeys;  /* 0: 2^20 */
	bool no_freeze_to_rdy, no_desc_mkey;
	bool klm_update;                     /* lists of indirect keys can be changed in place */
	uint64_t latency_ns[MODEL_NR_KINDS]; /* each command waits so long */
	/* The port: its queues, backend and address, as vdpasim_net's; NULL: no port, no queues.
	 * @bus [lent] outlives the model; @config is needed for the creation alone. */
	struct vdpa_bus *bus;
	const struct vdpa_dev_config *config;
};

struct mlx5_model;

/** mlx5_model_create() - Return: 0; -ENOMEM; with a port also what its backend refuses */
int mlx5_model_create(const struct mlx5_model_options *opt, struct mlx5_model **out) HF_MUST_CHECK;
/** mlx5_model_destroy() - as closing the device: objects that are left are freed; NULL is fine */
void mlx5_model_destroy(struct mlx5_model *model);
/** mlx5_model_dev() - its end of the seam; lives as long as @model */
struct mlx5_dev *mlx5_model_dev(struct mlx5_model *model);

/** mlx5_model_nr_commands() - how many commands of @kind came, refused ones too */
uint64_t mlx5_model_nr_commands(const struct mlx5_model *model, enum mlx5_model_kind kind);
uint64_t mlx5_model_nr_commands_all(const struct mlx5_model *model);
size_t mlx5_model_nr_mkeys(const struct mlx5_model *model);
size_t mlx5_model_nr_pds(const struct mlx5_model *model);
/** mlx5_model_nr_objects() - all others: domains, queues, tables, flows, event queues, memory */
size_t mlx5_model_nr_objects(const struct mlx5_model *model);
const char *mlx5_model_kind_name(enum mlx5_model_kind kind);
/** mlx5_model_features() - virtio features that the port can carry */
uint64_t mlx5_model_features(const struct mlx5_model *model);

/** mlx5_model_fail_at() - have the @nth command from now (1: the next) fail with @status; @nth 0:
 * none */
void mlx5_model_fail_at(struct mlx5_model *model, uint64_t nth, uint8_t status);
/** mlx5_model_set_full() - is there room? If not, nothing new can be made, and no queue started */
void mlx5_model_set_full(struct mlx5_model *model, bool full);
/** mlx5_model_set_fatal() - from now on no command is answered; queues stop, and nobody is told */
void mlx5_model_set_fatal(struct mlx5_model *model);
/** mlx5_model_unplug() - the same, and commands fail as there is no device */
void mlx5_model_unplug(struct mlx5_model *model);

/**
 * mlx5_model_translate() - what an access of the device reaches
 * @iov: [out] pieces in order, touching ones merged; @max_iov: room
 * Return: number of pieces; -EFAULT no such key, out of bounds, a hole, or not permitted; -E2BIG
 */
int mlx5_model_translate(const struct mlx5_model *model, uint32_t mkey, uint64_t addr, uint64_t len,
			 bool write, struct iovec *iov, int max_iov) HF_MUST_CHECK;

#endif
