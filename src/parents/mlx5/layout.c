// SPDX-License-Identifier: BSD-3-Clause
#include "layout.h"

#include <endian.h>
#include <string.h>

#define MKC 0x80  /* the mkey context in CREATE_MKEY, bits */
#define CAP 0x80  /* the capabilities in the reply of QUERY_HCA_CAP, bits */
#define VQ  0x80  /* a virtqueue object, or its counters, behind the header */
#define VQC 0x280 /* the virtqueue's context inside the object */

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
	[MLX5_VQ_CAP_VERSION_1] = {"virtio_version_1_0", CAP + 0x2, 1},
	[MLX5_VQ_CAP_FEATURES] = {"device_features_bits_mask", CAP + 0x3, 13},
	[MLX5_VQ_CAP_EVENT_MODES] = {"event_mode", CAP + 0x10, 8},
	[MLX5_VQ_CAP_DOORBELL_OFF] = {"doorbell_bar_offset", CAP + 0x40, 64},
	[MLX5_VQ_CAP_MAX_QUEUES] = {"max_num_virtio_queues", CAP + 0x88, 24},
	[MLX5_VQ_CAP_DESC_MKEY] = {"desc_group_mkey_supported", CAP + 0xd3, 1},
	[MLX5_VQ_CAP_FREEZE_TO_RDY] = {"freeze_to_rdy_supported", CAP + 0xd4, 1},
	[MLX5_VQ_CAP_UMEM_1_A] = {"umem_1_buffer_param_a", CAP + 0x100, 32},
	[MLX5_VQ_CAP_UMEM_1_B] = {"umem_1_buffer_param_b", CAP + 0x120, 32},
	[MLX5_VQ_CAP_UMEM_2_A] = {"umem_2_buffer_param_a", CAP + 0x140, 32},
	[MLX5_VQ_CAP_UMEM_2_B] = {"umem_2_buffer_param_b", CAP + 0x160, 32},
	[MLX5_VQ_CAP_UMEM_3_A] = {"umem_3_buffer_param_a", CAP + 0x180, 32},
	[MLX5_VQ_CAP_UMEM_3_B] = {"umem_3_buffer_param_b", CAP + 0x1a0, 32},
	[MLX5_OBJ_TYPE] = {"obj_type", 0x30, 16},
	[MLX5_OBJ_ID] = {"obj_id", 0x40, 32},
	[MLX5_VQ_SELECT] = {"modify_field_select", VQ + 0x0, 64},
	[MLX5_VQ_FEATURES_12_3] = {"queue_feature_bit_mask_12_3", VQ + 0x80, 10},
	[MLX5_VQ_STATE_FIELD] = {"state", VQ + 0x9c, 4},
	[MLX5_VQ_FEATURES_2_0] = {"queue_feature_bit_mask_2_0", VQ + 0xa5, 3},
	[MLX5_VQ_TISN] = {"tisn_or_qpn", VQ + 0xa8, 24},
	[MLX5_VQ_AVAIL] = {"hw_available_index", VQ + 0x140, 16},
	[MLX5_VQ_USED] = {"hw_used_index", VQ + 0x150, 16},
	[MLX5_VQ_EVENT_MODE] = {"event_mode", VQC + 0xd, 3},
	[MLX5_VQ_INDEX] = {"queue_index", VQC + 0x10, 16},
	[MLX5_VQ_VERSION_1] = {"virtio_version_1_0", VQC + 0x21, 1},
	[MLX5_VQ_VECTOR] = {"event_qpn_or_msix", VQC + 0x28, 24},
	[MLX5_VQ_SIZE] = {"queue_size", VQC + 0x50, 16},
	[MLX5_VQ_DESC] = {"desc_addr", VQC + 0x80, 64},
	[MLX5_VQ_DEVICE] = {"used_addr", VQC + 0xc0, 64},
	[MLX5_VQ_DRIVER] = {"available_addr", VQC + 0x100, 64},
	[MLX5_VQ_MKEY_FIELD] = {"virtio_q_mkey", VQC + 0x140, 32},
	[MLX5_VQ_ERROR_TYPE] = {"error_type", VQC + 0x178, 8},
	[MLX5_VQ_UMEM_1_ID] = {"umem_1_id", VQC + 0x180, 32},
	[MLX5_VQ_UMEM_1_SIZE] = {"umem_1_size", VQC + 0x1a0, 32},
	[MLX5_VQ_UMEM_2_ID] = {"umem_2_id", VQC + 0x200, 32},
	[MLX5_VQ_UMEM_2_SIZE] = {"umem_2_size", VQC + 0x220, 32},
	[MLX5_VQ_UMEM_3_ID] = {"umem_3_id", VQC + 0x280, 32},
	[MLX5_VQ_UMEM_3_SIZE] = {"umem_3_size", VQC + 0x2a0, 32},
	[MLX5_VQ_COUNTERS] = {"counter_set_id", VQC + 0x300, 32},
	[MLX5_VQ_PD] = {"pd", VQC + 0x328, 24},
	[MLX5_VQ_DESC_MKEY_FIELD] = {"desc_group_mkey", VQC + 0x360, 32},
	[MLX5_CNT_RECEIVED] = {"received_desc", VQ + 0x80, 64},
	[MLX5_CNT_COMPLETED] = {"completed_desc", VQ + 0xc0, 64},
	[MLX5_CNT_ERRORS] = {"error_cqes", VQ + 0x100, 32},
	[MLX5_CNT_BAD_DESC] = {"bad_desc_errors", VQ + 0x120, 32},
	[MLX5_CNT_MAX_CHAIN] = {"exceed_max_chain", VQ + 0x140, 32},
	[MLX5_CNT_INVALID_BUFFER] = {"invalid_buffer", VQ + 0x160, 32},
	[MLX5_RQT_SELECT_LIST] = {"rqn_list", 0xbf, 1},
	[MLX5_RQT_LIST_TYPE] = {"list_q_type", 0x1a5, 3},
	[MLX5_RQT_MAX] = {"rqt_max_size", 0x1b0, 16},
	[MLX5_RQT_ACTUAL] = {"rqt_actual_size", 0x1d0, 16},
	[MLX5_TIR_DISP_TYPE] = {"disp_type", 0x120, 4},
	[MLX5_TIR_RQT] = {"indirect_table", 0x208, 24},
	[MLX5_TIR_HASH_SYMMETRIC] = {"rx_hash_symmetric", 0x200, 1},
	[MLX5_TIR_HASH_FN] = {"rx_hash_fn", 0x220, 4},
	[MLX5_TIR_TD] = {"transport_domain", 0x228, 24},
	[MLX5_TIR_L4_TYPE] = {"l4_prot_type", 0x381, 1},
	[MLX5_TIR_SELECTED] = {"selected_fields", 0x382, 30},
	[MLX5_TIS_TD] = {"transport_domain", 0x228, 24},
	[MLX5_FLOW_TABLE_TYPE] = {"table_type", 0x80, 8},
	[MLX5_FLOW_TABLE_ID] = {"table_id", 0xa8, 24},
	[MLX5_FLOW_LEVEL] = {"level", 0xc8, 8},
	[MLX5_FLOW_LOG_SIZE] = {"log_size", 0xd8, 8},
	[MLX5_GROUP_ID] = {"group_id", 0xc0, 32},
	[MLX5_GROUP_START] = {"start_flow_index", 0xe0, 32},
	[MLX5_GROUP_END] = {"end_flow_index", 0x120, 32},
	[MLX5_GROUP_CRITERIA] = {"match_criteria_enable", 0x1f8, 8},
	[MLX5_GROUP_DMAC_HIGH] = {"dmac_47_16", 0x240, 32},
	[MLX5_GROUP_DMAC_LOW] = {"dmac_15_0", 0x260, 16},
	[MLX5_GROUP_VID] = {"first_vid", 0x274, 12},
	[MLX5_GROUP_CVLAN] = {"cvlan_tag", 0x290, 1},
	[MLX5_FTE_INDEX] = {"flow_index", 0x100, 32},
	[MLX5_FTE_GROUP] = {"group_id", 0x220, 32},
	[MLX5_FTE_ACTION] = {"action", 0x270, 16},
	[MLX5_FTE_NR_DEST] = {"destination_list_size", 0x288, 24},
	[MLX5_FTE_DMAC_HIGH] = {"dmac_47_16", 0x440, 32},
	[MLX5_FTE_DMAC_LOW] = {"dmac_15_0", 0x460, 16},
	[MLX5_FTE_VID] = {"first_vid", 0x474, 12},
	[MLX5_FTE_CVLAN] = {"cvlan_tag", 0x490, 1},
	[MLX5_FTE_DEST_TYPE] = {"destination_type", 0x1980, 8},
	[MLX5_FTE_DEST_ID] = {"destination_id", 0x1988, 24},
	[MLX5_EQ_LOG_SIZE] = {"log_eq_size", 0xe3, 5},
	[MLX5_EQ_UAR] = {"uar_page", 0xe8, 24},
	[MLX5_EQ_INTR] = {"intr", 0x134, 12},
	[MLX5_EQ_LOG_PAGE] = {"log_page_size", 0x143, 5},
	[MLX5_EQ_EVENTS] = {"event_bitmask_0", 0x2c0, 64},
	[MLX5_EQ_NUMBER] = {"eq_number", 0x58, 8},
	[MLX5_EQE_TYPE] = {"event_type", 0x8, 8},
	[MLX5_EQE_OBJ_TYPE] = {"obj_type", 0x110, 16},
	[MLX5_EQE_OBJ_ID] = {"obj_id", 0x120, 32},
	[MLX5_EQE_PORT] = {"port_num", 0x140, 4},
	[MLX5_EQE_OWNER] = {"owner", 0x1ff, 1},
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
