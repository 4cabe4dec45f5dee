// SPDX-License-Identifier: BSD-3-Clause
#include "layout.h"

#include <endian.h>
#include <string.h>

#define MKC 0x80 /* the mkey context in CREATE_MKEY, bits */
#define CAP 0x80 /* the capabilities in the reply of QUERY_HCA_CAP, bits */

const struct mlx5_field mlx5_fields[MLX5_NR_FIELDS] = {
	[MLX5_IN_OPCODE] = {"opcode", 0x0, 16},
	[MLX5_IN_OP_MOD] = {"op_mod", 0x30, 16},
	[MLX5_OUT_STATUS] = {"status", 0x0, 8},
	[MLX5_OUT_SYNDROME] = {"syndrome", 0x20, 32},
	[MLX5_IO_INDEX] = {"index", 0x48, 24}, /* of an mkey or a protection domain */
	[MLX5_MKC_LW] = {"lw", MKC + 0x14, 1},
	[MLX5_MKC_LR] = {"lr", MKC + 0x15, 1},
	[MLX5_MKC_ACCESS_MODE] = {"access_mode_1_0", MKC + 0x16, 2},
	[MLX5_MKC_QPN] = {"qpn", MKC + 0x20, 24},
	[MLX5_MKC_KEY] = {"mkey_7_0", MKC + 0x38, 8},
	[MLX5_MKC_LENGTH64] = {"length64", MKC + 0x60, 1},
	[MLX5_MKC_PD] = {"pd", MKC + 0x68, 24},
	[MLX5_MKC_START] = {"start_addr", MKC + 0x80, 64},
	[MLX5_MKC_LEN] = {"len", MKC + 0xc0, 64},
	[MLX5_MKC_OCTWORDS] = {"translations_octword_size", MKC + 0x1a0, 32},
	[MLX5_MKC_LOG_PAGE] = {"log_page_size", MKC + 0x1da, 6},
	[MLX5_MKEY_ACTUAL] = {"translations_octword_actual_size", 0x300, 32},
	[MLX5_SPECIAL_NULL_MKEY] = {"null_mkey", 0x80, 32},
	[MLX5_CAP_LOG_MAX_KLM] = {"log_max_klm_list_size", CAP + 0x11a, 6},
	[MLX5_CAP_UMEM_UID_0] = {"umem_uid_0", CAP + 0x252, 1},
};

static uint32_t load_word(const void *buf, size_t word)
{
	uint32_t be;

	memcpy(&be, (const char *)buf + word * 4, sizeof(be));
	return be32toh(be);
}

static void store_word(void *buf, size_t word, uint32_t value)
{
	uint32_t be = htobe32(value);

	memcpy((char *)buf + word * 4, &be, sizeof(be));
}

void mlx5_put(void *buf, enum mlx5_field_id id, uint64_t value)
{
	const struct mlx5_field *f = &mlx5_fields[id];
	size_t word = f->bit / 32;
	unsigned int shift;
	uint32_t mask;

	if (f->width == 64) {
		store_word(buf, word, (uint32_t)(value >> 32));
		store_word(buf, word + 1, (uint32_t)value);
		return;
	}
	shift = 32u - f->bit % 32 - f->width;
	mask = (uint32_t)((1ULL << f->width) - 1) << shift;
	store_word(buf, word, (load_word(buf, word) & ~mask) | ((uint32_t)value << shift & mask));
}

uint64_t mlx5_get(const void *buf, enum mlx5_field_id id)
{
	const struct mlx5_field *f = &mlx5_fields[id];
	size_t word = f->bit / 32;

	if (f->width == 64)
		return (uint64_t)load_word(buf, word) << 32 | load_word(buf, word + 1);
	return load_word(buf, word) >> (32u - f->bit % 32 - f->width) & ((1ULL << f->width) - 1);
}
