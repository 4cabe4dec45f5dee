// SPDX-License-Identifier: BSD-3-Clause
/*
 * The inside of the firmware model: its objects, and reading a command. Used by model*.c alone;
 * one thread at a time.
 */
#ifndef HOLDFAST_PARENTS_MLX5_MODEL_INTERNAL_H
#define HOLDFAST_PARENTS_MLX5_MODEL_INTERNAL_H

#include "model.h"

/* Statuses and syndromes. The syndromes are the model's own: real ones depend on the firmware. */
enum {
	FW_OK = 0x0,
	FW_BAD_OP = 0x2,
	FW_BAD_PARAM = 0x3,
	FW_BAD_RES = 0x5,
	FW_BUSY = 0x6,
	FW_LIMIT = 0x8,
	FW_NO_RES = 0xf,
	FW_BAD_IN_LEN = 0x50,
	FW_BAD_OUT_LEN = 0x51,
};

#define FW_NULL_MKEY 0x100u /* index 1, low byte 0: the key that reaches nothing */
#define FW_FIRST_KEY 2u

struct fw_piece {
	uint64_t end; /* bytes of the list up to and with this entry */
	uint64_t addr;
	uint32_t mkey;
};

struct fw_mkey {
	uint64_t start, len;
	uint64_t *mtt;         /* [nr] */
	struct fw_piece *list; /* [nr] */
	size_t nr;
	uint32_t pd;
	uint8_t low, mode, log_page;
	bool all; /* length64 */
	bool read, write;
};

struct mlx5_model {
	struct mlx5_dev dev;
	struct mlx5_model_options opt;
	struct fw_mkey **mkey; /* by index; NULL: free */
	uint32_t *free_idx;    /* stack of indices that were given back */
	size_t nr_free, room;  /* room of both arrays */
	uint32_t next_idx;     /* indices from here on were never used */
	size_t nr_mkeys;
	uint32_t *pd_users; /* [nr_pd]: mkeys of it + 1; 0: free */
	size_t nr_pd;
	uint64_t nr_commands[MODEL_NR_KINDS], seen, fail_at;
	uint8_t fail_status;
	bool fatal;
};

/* A reply's status and syndrome. */
struct fw_reply {
	uint8_t status;
	uint32_t syndrome;
	uint32_t index; /* 24 bits at byte 9 */
};

static inline uint32_t fw_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t fw_u64(const uint8_t *p)
{
	return (uint64_t)fw_u32(p) << 32 | fw_u32(p + 4);
}

static inline uint32_t fw_u24(const uint8_t *p)
{
	return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

void mlx5_model_create_mkey(struct mlx5_model *m, const uint8_t *in, size_t in_len,
			    struct fw_reply *r);
void mlx5_model_destroy_mkey(struct mlx5_model *m, uint32_t index, struct fw_reply *r);
void mlx5_model_free_mkeys(struct mlx5_model *m);

#endif
