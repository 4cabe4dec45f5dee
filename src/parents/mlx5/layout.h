// SPDX-License-Identifier: BSD-3-Clause
/*
 * The device's command layouts: big-endian words, fields named by their first bit and width. Bit 0
 * is the most significant bit of byte 0, as in the programmer's reference manual. One table names
 * every field that the driver uses, so that an encoder cannot have an offset of its own.
 *
 * Used by the driver alone. The firmware model must not include this file: it has a decoder of its
 * own, so that one wrong offset here cannot cancel out there. Pure functions; any thread.
 */
#ifndef HOLDFAST_PARENTS_MLX5_LAYOUT_H
#define HOLDFAST_PARENTS_MLX5_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

/* Opcodes. */
enum {
	MLX5_OP_QUERY_HCA_CAP = 0x100,
	MLX5_OP_CREATE_MKEY = 0x200,
	MLX5_OP_DESTROY_MKEY = 0x202,
	MLX5_OP_QUERY_SPECIAL_CONTEXTS = 0x203,
	MLX5_OP_ALLOC_PD = 0x800,
	MLX5_OP_DEALLOC_PD = 0x801,
};

/* How a memory key translates. */
enum { MLX5_ACCESS_PA = 0, MLX5_ACCESS_MTT = 1, MLX5_ACCESS_KLM = 2 };

#define MLX5_CMD_HDR_LEN        16  /* bytes of the smallest input and output */
#define MLX5_CREATE_MKEY_IN_LEN 272 /* bytes before the translation list */
#define MLX5_HCA_CAP_LEN        4096
#define MLX5_SPECIAL_OUT_LEN    32
#define MLX5_QPN_ANY            0xffffffu

/* Fields; those of the mkey context count from the start of the command. */
enum mlx5_field_id {
	MLX5_IN_OPCODE,
	MLX5_IN_OP_MOD,
	MLX5_OUT_STATUS,
	MLX5_OUT_SYNDROME,
	MLX5_IO_INDEX,
	MLX5_MKC_LW,
	MLX5_MKC_LR,
	MLX5_MKC_ACCESS_MODE,
	MLX5_MKC_QPN,
	MLX5_MKC_KEY,
	MLX5_MKC_LENGTH64,
	MLX5_MKC_PD,
	MLX5_MKC_START,
	MLX5_MKC_LEN,
	MLX5_MKC_OCTWORDS,
	MLX5_MKC_LOG_PAGE,
	MLX5_MKEY_ACTUAL,
	MLX5_SPECIAL_NULL_MKEY,
	MLX5_CAP_LOG_MAX_KLM,
	MLX5_CAP_UMEM_UID_0,
	MLX5_NR_FIELDS,
};

struct mlx5_field {
	const char *name;
	uint16_t bit;   /* first bit; 64-bit fields start at a multiple of 32 */
	uint16_t width; /* 1..32, inside one 32-bit word; or 64 */
};

extern const struct mlx5_field mlx5_fields[MLX5_NR_FIELDS];

/** mlx5_put() - write a field; bits of @value beyond the field's width are not written */
void mlx5_put(void *buf, enum mlx5_field_id id, uint64_t value);
/** mlx5_get() - read a field */
uint64_t mlx5_get(const void *buf, enum mlx5_field_id id);

#endif
