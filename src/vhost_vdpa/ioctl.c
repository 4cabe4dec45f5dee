// SPDX-License-Identifier: BSD-3-Clause
/*
 * The ioctl interface as one table, and the order in which a command is tried. That order decides
 * which errno wins, so it is kept exactly:
 *
 * 1. SET_BACKEND_FEATURES ([1-2]), then the device level ([1-3]): no owner needed.
 * 2. The generic commands that need no owner, then the owner check, then those that do ([1-4]).
 * 3. All the rest, unknown numbers included, are per virtqueue: fetch the index, check it, and only
 *    then look at the command ([1-5]).
 *
 * The argument is copied once, before the handler. Of a per-virtqueue argument the index is fetched
 * first and is the one that counts, whatever the client writes there meanwhile; SET_VRING_NUM alone
 * is fetched whole before its index is looked at.
 */
#include <errno.h>
#include <string.h>

#include "base/refuse.h"
#include "vhost_vdpa/session.h"

#define CMD(name) VHOST_##name, "VHOST_" #name

static const struct ioctl_info table[] = {
	/* table A */
	{CMD(SET_BACKEND_FEATURES), LEVEL_DEVICE, ARG_BACKEND_FEATURES, FLOW_IN, NULL,
	 do_set_backend_features},
	{CMD(GET_BACKEND_FEATURES), LEVEL_DEVICE, ARG_BACKEND_FEATURES, FLOW_OUT, NULL,
	 do_get_backend_features},
	{CMD(GET_FEATURES), LEVEL_DEVICE, ARG_FEATURES, FLOW_OUT, NULL, do_get_features},
	{CMD(SET_FEATURES), LEVEL_DEVICE, ARG_FEATURES, FLOW_IN | FLOW_SELF, NULL, do_set_features},
	{CMD(VDPA_GET_DEVICE_ID), LEVEL_DEVICE, ARG_U32, FLOW_OUT, NULL, do_get_device_id},
	{CMD(VDPA_GET_STATUS), LEVEL_DEVICE, ARG_STATUS, FLOW_OUT, NULL, do_get_status},
	{CMD(VDPA_SET_STATUS), LEVEL_DEVICE, ARG_STATUS, FLOW_IN, NULL, do_set_status},
	{CMD(VDPA_GET_CONFIG), LEVEL_DEVICE, ARG_CONFIG, FLOW_OUT | FLOW_SELF, NULL, do_get_config},
	{CMD(VDPA_SET_CONFIG), LEVEL_DEVICE, ARG_CONFIG, FLOW_IN | FLOW_SELF, NULL, do_set_config},
	{CMD(VDPA_GET_VRING_NUM), LEVEL_DEVICE, ARG_U16, FLOW_OUT, NULL, do_get_vring_num},
	{CMD(VDPA_SET_CONFIG_CALL), LEVEL_DEVICE, ARG_FD, FLOW_IN, NULL, do_set_config_call},
	{CMD(VDPA_GET_IOVA_RANGE), LEVEL_DEVICE, ARG_RANGE, FLOW_OUT, NULL, do_get_iova_range},
	{CMD(VDPA_GET_CONFIG_SIZE), LEVEL_DEVICE, ARG_U32, FLOW_OUT, NULL, do_get_config_size},
	{CMD(VDPA_GET_AS_NUM), LEVEL_DEVICE, ARG_U32, FLOW_OUT, NULL, do_get_as_num},
	{CMD(VDPA_GET_GROUP_NUM), LEVEL_DEVICE, ARG_U32, FLOW_OUT, NULL, do_get_group_num},
	{CMD(VDPA_GET_VQS_COUNT), LEVEL_DEVICE, ARG_U32, FLOW_OUT, NULL, do_get_vqs_count},
	{CMD(VDPA_SUSPEND), LEVEL_DEVICE, ARG_NONE, FLOW_NONE, NULL, do_suspend},
	{CMD(VDPA_RESUME), LEVEL_DEVICE, ARG_NONE, FLOW_NONE, NULL, do_resume},
	{CMD(SET_LOG_BASE), LEVEL_DEVICE, ARG_LOG, FLOW_IN | FLOW_SELF, NULL, do_set_log_base},
	{CMD(SET_LOG_FD), LEVEL_DEVICE, ARG_FD, FLOW_IN | FLOW_SELF, NULL, do_set_log_fd},
	/* table B */
	{CMD(SET_OWNER), LEVEL_GENERIC, ARG_NONE, FLOW_NONE, NULL, do_set_owner},
	{CMD(GET_FORK_FROM_OWNER), LEVEL_GENERIC, ARG_U8, FLOW_OUT, NULL, do_get_fork_from_owner},
	{CMD(SET_FORK_FROM_OWNER), LEVEL_GENERIC, ARG_U8, FLOW_IN, before_set_fork_from_owner,
	 do_set_fork_from_owner},
	{CMD(SET_MEM_TABLE), LEVEL_OWNED, ARG_POINTER, FLOW_SELF, NULL, do_set_mem_table},
	/* table C */
	{CMD(SET_VRING_NUM), LEVEL_VRING, ARG_STATE, FLOW_WHOLE, NULL, do_set_vring_num},
	{CMD(SET_VRING_ADDR), LEVEL_VRING, ARG_ADDR, FLOW_IN, NULL, do_set_vring_addr},
	{CMD(SET_VRING_BASE), LEVEL_VRING, ARG_STATE, FLOW_IN, NULL, do_set_vring_base},
	{CMD(GET_VRING_BASE), LEVEL_VRING, ARG_STATE, FLOW_OUT, NULL, do_get_vring_base},
	{CMD(SET_VRING_KICK), LEVEL_VRING, ARG_FILE, FLOW_IN, NULL, do_set_vring_kick},
	{CMD(SET_VRING_CALL), LEVEL_VRING, ARG_FILE, FLOW_IN, NULL, do_set_vring_call},
	{CMD(SET_VRING_ERR), LEVEL_VRING, ARG_FILE, FLOW_IN, NULL, do_set_vring_err},
	{CMD(SET_VRING_BUSYLOOP_TIMEOUT), LEVEL_VRING, ARG_STATE, FLOW_IN, NULL,
	 do_set_busyloop_timeout},
	{CMD(GET_VRING_BUSYLOOP_TIMEOUT), LEVEL_VRING, ARG_STATE, FLOW_OUT, NULL,
	 do_get_busyloop_timeout},
	{CMD(VDPA_SET_VRING_ENABLE), LEVEL_VRING, ARG_STATE, FLOW_IN, NULL, do_set_vring_enable},
	{CMD(VDPA_GET_VRING_GROUP), LEVEL_VRING, ARG_STATE, FLOW_OUT, NULL, do_get_vring_group},
	{CMD(VDPA_GET_VRING_DESC_GROUP), LEVEL_VRING, ARG_STATE, FLOW_OUT, NULL,
	 do_get_vring_desc_group},
	{CMD(VDPA_SET_GROUP_ASID), LEVEL_VRING, ARG_STATE, FLOW_IN, NULL, do_set_group_asid},
	{CMD(VDPA_GET_VRING_SIZE), LEVEL_VRING, ARG_STATE, FLOW_OUT, NULL, do_get_vring_size},
	/* not configured in the kernel either: ENOTTY after all checks of [1-5] */
	{CMD(RESET_OWNER), LEVEL_VRING, ARG_NONE, FLOW_NONE, NULL, NULL},
	{CMD(NEW_WORKER), LEVEL_VRING, ARG_POINTER, FLOW_NONE, NULL, NULL},
	{CMD(FREE_WORKER), LEVEL_VRING, ARG_POINTER, FLOW_NONE, NULL, NULL},
	{CMD(ATTACH_VRING_WORKER), LEVEL_VRING, ARG_STATE, FLOW_NONE, NULL, NULL},
	{CMD(GET_VRING_WORKER), LEVEL_VRING, ARG_STATE, FLOW_NONE, NULL, NULL},
	{CMD(SET_VRING_ENDIAN), LEVEL_VRING, ARG_STATE, FLOW_NONE, NULL, NULL},
	{CMD(GET_VRING_ENDIAN), LEVEL_VRING, ARG_STATE, FLOW_NONE, NULL, NULL},
	{CMD(GET_FEATURES_ARRAY), LEVEL_VRING, ARG_POINTER, FLOW_NONE, NULL, NULL},
	{CMD(SET_FEATURES_ARRAY), LEVEL_VRING, ARG_POINTER, FLOW_NONE, NULL, NULL},
};

static const size_t arg_sizes[] = {
	[ARG_NONE] = 0,
	[ARG_U8] = sizeof(uint8_t),
	[ARG_U16] = sizeof(uint16_t),
	[ARG_U32] = sizeof(uint32_t),
	[ARG_STATUS] = sizeof(uint8_t),
	[ARG_FEATURES] = sizeof(uint64_t),
	[ARG_BACKEND_FEATURES] = sizeof(uint64_t),
	[ARG_FD] = sizeof(int),
	[ARG_STATE] = sizeof(struct vhost_vring_state),
	[ARG_FILE] = sizeof(struct vhost_vring_file),
	[ARG_ADDR] = sizeof(struct vhost_vring_addr),
	[ARG_RANGE] = sizeof(struct vhost_vdpa_iova_range),
	[ARG_CONFIG] = sizeof(struct vhost_vdpa_config),
	[ARG_LOG] = sizeof(uint64_t),
	[ARG_POINTER] = 0,
};

size_t arg_size(enum arg_kind kind)
{
	return arg_sizes[kind];
}

const struct ioctl_info *ioctl_find(unsigned int cmd)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (table[i].cmd == cmd)
			return &table[i];
	return NULL;
}

/* Copy in, handle, copy out, as the row says. */
static int run_one(struct vhost_vdpa *s, const struct ioctl_info *info, struct ioctl_call *c)
	REQUIRES(s->dev->lock)
{
	size_t len = arg_size(info->kind);
	bool self = (info->flow & FLOW_SELF) != 0;
	int ret = info->before ? info->before(s) : 0;

	if (ret)
		return ret;
	if ((info->flow & FLOW_IN) && !self &&
	    memory_copy_from(c->client->space, &c->u, c->arg, len))
		return refuse(-EFAULT, "%s: cannot read the argument at 0x%llx", info->name,
			      (unsigned long long)c->arg);
	ret = info->run(s, c);
	if (ret)
		return ret;
	if ((info->flow & FLOW_OUT) && !self &&
	    memory_copy_to(c->client->space, c->arg, &c->u, len))
		return refuse(-EFAULT, "%s: cannot write the answer to 0x%llx", info->name,
			      (unsigned long long)c->arg);
	return 0;
}

static int run_vring(struct vhost_vdpa *s, const struct ioctl_info *info, struct ioctl_call *c,
		     unsigned int cmd) REQUIRES(s->dev->lock)
{
	size_t fetched = info && (info->flow & FLOW_WHOLE) ? arg_size(info->kind) : sizeof(c->idx);

	if (memory_copy_from(c->client->space, &c->u, c->arg, fetched))
		return refuse(-EFAULT, "%s: cannot read the index at 0x%llx",
			      info ? info->name : "unknown ioctl", (unsigned long long)c->arg);
	/* All per-vring arguments start with the index; getters answer with it. */
	c->idx = c->u.state.index;
	if (c->idx >= s->dev->nvqs)
		return refuse(-ENOBUFS, "%s: virtqueue %u, the device has %u",
			      info ? info->name : "unknown ioctl", c->idx, s->dev->nvqs);
	if (!info || !info->run)
		return refuse(-ENOTTY, "ioctl 0x%08x (%s) does not exist here", cmd,
			      info ? info->name : "unknown");
	return run_one(s, info, c);
}

static int dispatch(struct vhost_vdpa *s, struct ioctl_call *c, unsigned int cmd)
	REQUIRES(s->dev->lock)
{
	const struct ioctl_info *info = ioctl_find(cmd);
	enum ioctl_level level = info ? info->level : LEVEL_VRING;
	int ret;

	if (s->gone)
		return refuse(-ENODEV, "device %s is gone", s->dev->name);
	ret = session_claim(s);
	if (ret)
		return ret;
	if (level == LEVEL_DEVICE || level == LEVEL_GENERIC)
		return run_one(s, info, c);
	ret = session_owner_check(s, c->client);
	if (ret)
		return ret;
	return level == LEVEL_OWNED ? run_one(s, info, c) : run_vring(s, info, c, cmd);
}

int vhost_vdpa_ioctl(struct vhost_vdpa *s, const struct vhost_vdpa_client *client, unsigned int cmd,
		     uaddr_t arg)
{
	struct ioctl_call c = {.client = client, .arg = arg};
	int ret;

	refuse_clear();
	mutex_lock(&s->dev->lock);
	ret = dispatch(s, &c, cmd);
	mutex_unlock(&s->dev->lock);
	HF_TRACE4(ioctl, s->dev->name, cmd, arg, ret);
	return ret;
}
