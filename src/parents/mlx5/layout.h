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
	MLX5_OP_CREATE_EQ = 0x301,
	MLX5_OP_DESTROY_EQ = 0x302,
	MLX5_OP_ALLOC_PD = 0x800,
	MLX5_OP_DEALLOC_PD = 0x801,
	MLX5_OP_ALLOC_TRANSPORT_DOMAIN = 0x816,
	MLX5_OP_DEALLOC_TRANSPORT_DOMAIN = 0x817,
	MLX5_OP_CREATE_TIR = 0x900,
	MLX5_OP_DESTROY_TIR = 0x902,
	MLX5_OP_CREATE_TIS = 0x912,
	MLX5_OP_DESTROY_TIS = 0x914,
	MLX5_OP_CREATE_RQT = 0x916,
	MLX5_OP_MODIFY_RQT = 0x917,
	MLX5_OP_DESTROY_RQT = 0x918,
	MLX5_OP_SET_FLOW_TABLE_ROOT = 0x92f,
	MLX5_OP_CREATE_FLOW_TABLE = 0x930,
	MLX5_OP_DESTROY_FLOW_TABLE = 0x931,
	MLX5_OP_CREATE_FLOW_GROUP = 0x933,
	MLX5_OP_DESTROY_FLOW_GROUP = 0x934,
	MLX5_OP_SET_FLOW_TABLE_ENTRY = 0x936,
	MLX5_OP_DELETE_FLOW_TABLE_ENTRY = 0x938,
	MLX5_OP_CREATE_GENERAL_OBJECT = 0xa00,
	MLX5_OP_MODIFY_GENERAL_OBJECT = 0xa01,
	MLX5_OP_QUERY_GENERAL_OBJECT = 0xa02,
	MLX5_OP_DESTROY_GENERAL_OBJECT = 0xa03,
};

/* Kinds of general objects. */
enum { MLX5_OBJ_VIRTIO_NET_Q = 0x0d, MLX5_OBJ_VIRTIO_Q_COUNTERS = 0x1c };

/* What MODIFY of a virtqueue changes. */
enum {
	MLX5_VQ_STATE = 1 << 0,
	MLX5_VQ_ADDRS = 1 << 6,
	MLX5_VQ_AVAIL_IDX = 1 << 7,
	MLX5_VQ_USED_IDX = 1 << 8,
	MLX5_VQ_MKEY = 1 << 11,
	MLX5_VQ_DESC_MKEY = 1 << 14,
};

/* States of a virtqueue. */
enum { MLX5_VQ_INIT = 0, MLX5_VQ_RDY = 1, MLX5_VQ_SUSPEND = 2, MLX5_VQ_ERR = 3 };

/* What an event queue is told. */
enum { MLX5_EVENT_PORT_CHANGE = 0x09, MLX5_EVENT_OBJECT_CHANGE = 0x27 };

#define MLX5_VQ_EVENTS_MSIX 2 /* event_mode: the vector is named */
#define MLX5_DEST_TIR       2
#define MLX5_FLOW_FWD_DEST  4
#define MLX5_HASH_TOEPLITZ  2
#define MLX5_RQT_VIRTQUEUES 1
#define MLX5_TIR_INDIRECT   1
#define MLX5_NIC_RX         0 /* table_type */
#define MLX5_OUTER_HEADERS  1 /* match_criteria_enable */

/* How a memory key translates. */
enum { MLX5_ACCESS_PA = 0, MLX5_ACCESS_MTT = 1, MLX5_ACCESS_KLM = 2 };

#define MLX5_CMD_HDR_LEN        16  /* bytes of the smallest input and output */
#define MLX5_CREATE_MKEY_IN_LEN 272 /* bytes before the translation list */
#define MLX5_HCA_CAP_LEN        4096
#define MLX5_VIRTQ_LEN          208 /* CREATE, MODIFY; the reply of QUERY */
#define MLX5_COUNTERS_LEN       144 /* CREATE; the reply of QUERY */
#define MLX5_RQT_LEN            272 /* bytes before the list */
#define MLX5_CREATE_TIR_IN_LEN  272
#define MLX5_CREATE_TIS_IN_LEN  192
#define MLX5_CREATE_EQ_IN_LEN   272
#define MLX5_FLOW_SHORT_LEN     64 /* of all flow commands but these: */
#define MLX5_CREATE_GROUP_LEN   1024
#define MLX5_SET_FTE_LEN        824 /* with one destination */
#define MLX5_EQE_LEN            64
#define MLX5_SPECIAL_OUT_LEN    32
#define MLX5_QPN_ANY            0xffffffu

/* Fields; all count from the start of the command, or of its reply. */
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
	MLX5_VQ_CAP_VERSION_1,
	MLX5_VQ_CAP_FEATURES,
	MLX5_VQ_CAP_EVENT_MODES,
	MLX5_VQ_CAP_DOORBELL_OFF,
	MLX5_VQ_CAP_MAX_QUEUES,
	MLX5_VQ_CAP_DESC_MKEY,
	MLX5_VQ_CAP_FREEZE_TO_RDY,
	MLX5_VQ_CAP_UMEM_1_A,
	MLX5_VQ_CAP_UMEM_1_B,
	MLX5_VQ_CAP_UMEM_2_A,
	MLX5_VQ_CAP_UMEM_2_B,
	MLX5_VQ_CAP_UMEM_3_A,
	MLX5_VQ_CAP_UMEM_3_B,
	MLX5_OBJ_TYPE,
	MLX5_OBJ_ID,
	MLX5_VQ_SELECT,
	MLX5_VQ_FEATURES_12_3,
	MLX5_VQ_STATE_FIELD,
	MLX5_VQ_FEATURES_2_0,
	MLX5_VQ_TISN,
	MLX5_VQ_AVAIL,
	MLX5_VQ_USED,
	MLX5_VQ_EVENT_MODE,
	MLX5_VQ_INDEX,
	MLX5_VQ_VERSION_1,
	MLX5_VQ_VECTOR,
	MLX5_VQ_SIZE,
	MLX5_VQ_DESC,
	MLX5_VQ_DEVICE,
	MLX5_VQ_DRIVER,
	MLX5_VQ_MKEY_FIELD,
	MLX5_VQ_ERROR_TYPE,
	MLX5_VQ_UMEM_1_ID,
	MLX5_VQ_UMEM_1_SIZE,
	MLX5_VQ_UMEM_2_ID,
	MLX5_VQ_UMEM_2_SIZE,
	MLX5_VQ_UMEM_3_ID,
	MLX5_VQ_UMEM_3_SIZE,
	MLX5_VQ_COUNTERS,
	MLX5_VQ_PD,
	MLX5_VQ_DESC_MKEY_FIELD,
	MLX5_CNT_RECEIVED,
	MLX5_CNT_COMPLETED,
	MLX5_CNT_ERRORS,
	MLX5_CNT_BAD_DESC,
	MLX5_CNT_MAX_CHAIN,
	MLX5_CNT_INVALID_BUFFER,
	MLX5_RQT_SELECT_LIST,
	MLX5_RQT_LIST_TYPE,
	MLX5_RQT_MAX,
	MLX5_RQT_ACTUAL,
	MLX5_TIR_DISP_TYPE,
	MLX5_TIR_RQT,
	MLX5_TIR_HASH_SYMMETRIC,
	MLX5_TIR_HASH_FN,
	MLX5_TIR_TD,
	MLX5_TIR_L4_TYPE,
	MLX5_TIR_SELECTED,
	MLX5_TIS_TD,
	MLX5_FLOW_TABLE_TYPE,
	MLX5_FLOW_TABLE_ID,
	MLX5_FLOW_LEVEL,
	MLX5_FLOW_LOG_SIZE,
	MLX5_GROUP_ID,
	MLX5_GROUP_START,
	MLX5_GROUP_END,
	MLX5_GROUP_CRITERIA,
	MLX5_GROUP_DMAC_HIGH,
	MLX5_GROUP_DMAC_LOW,
	MLX5_GROUP_VID,
	MLX5_GROUP_CVLAN,
	MLX5_FTE_INDEX,
	MLX5_FTE_GROUP,
	MLX5_FTE_ACTION,
	MLX5_FTE_NR_DEST,
	MLX5_FTE_DMAC_HIGH,
	MLX5_FTE_DMAC_LOW,
	MLX5_FTE_VID,
	MLX5_FTE_CVLAN,
	MLX5_FTE_DEST_TYPE,
	MLX5_FTE_DEST_ID,
	MLX5_EQ_LOG_SIZE,
	MLX5_EQ_UAR,
	MLX5_EQ_INTR,
	MLX5_EQ_LOG_PAGE,
	MLX5_EQ_EVENTS,
	MLX5_EQ_NUMBER,
	MLX5_EQE_TYPE,
	MLX5_EQE_OBJ_TYPE,
	MLX5_EQE_OBJ_ID,
	MLX5_EQE_PORT,
	MLX5_EQE_OWNER,
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
