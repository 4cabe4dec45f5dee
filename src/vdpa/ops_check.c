// SPDX-License-Identifier: BSD-3-Clause
/*
 * Is a parent's table of operations complete and consistent? Everything behind this check may call
 * a mandatory operation without looking, and finds an optional pair whole or not at all. The rules
 * are three small tables, so that a new operation is one line.
 */
#include <errno.h>
#include <string.h>

#include "base/refuse.h"
#include "vdpa/bus.h"

struct op {
	const char *name;
	size_t off; /* in struct vdpa_config_ops */
};

#define OP(name)                                                                                   \
	{                                                                                          \
#name, offsetof(struct vdpa_config_ops, name)                                      \
	}

static const struct op mandatory[] = {
	OP(set_vq_address),
	OP(set_vq_num),
	OP(kick_vq),
	OP(set_vq_cb),
	OP(set_vq_ready),
	OP(get_vq_ready),
	OP(set_vq_state),
	OP(get_vq_state),
	OP(get_device_features),
	OP(set_driver_features),
	OP(get_driver_features),
	OP(set_config_cb),
	OP(get_vq_num_max),
	OP(get_device_id),
	OP(get_vendor_id),
	OP(get_status),
	OP(set_status),
	OP(reset),
	OP(get_config_size),
	OP(get_config),
	OP(set_config),
	OP(free),
};

/* Both or none. */
static const struct op pairs[][2] = {
	{OP(dma_map), OP(dma_unmap)},
	{OP(bind_mm), OP(unbind_mm)},
	{OP(set_dirty_log), OP(set_vq_log_addr)},
};

/* At most one. */
static const struct op exclusive[][2] = {
	{OP(set_map), OP(dma_map)},
};

static bool has_op(const struct vdpa_config_ops *ops, const struct op *op)
{
	void (*fn)(void);

	memcpy(&fn, (const char *)ops + op->off, sizeof(fn));
	return fn != NULL;
}

int vdpa_ops_check(const struct vdpa_config_ops *ops)
{
	if (!ops)
		return refuse(-EINVAL, "the parent has no operations table");
	if (ops->size < sizeof(*ops))
		return refuse(-EINVAL,
			      "the operations table has %zu bytes, at least %zu are needed",
			      ops->size, sizeof(*ops));
	for (size_t i = 0; i < ARRAY_LEN(mandatory); i++)
		if (!has_op(ops, &mandatory[i]))
			return refuse(-EINVAL, "the parent lacks the operation %s",
				      mandatory[i].name);
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		for (int j = 0; j < 2; j++)
			if (has_op(ops, &pairs[i][j]) && !has_op(ops, &pairs[i][1 - j]))
				return refuse(-EINVAL, "the parent has %s but not %s",
					      pairs[i][j].name, pairs[i][1 - j].name);
	for (size_t i = 0; i < ARRAY_LEN(exclusive); i++)
		if (has_op(ops, &exclusive[i][0]) && has_op(ops, &exclusive[i][1]))
			return refuse(-EINVAL, "the parent has both %s and %s",
				      exclusive[i][0].name, exclusive[i][1].name);
	return 0;
}
