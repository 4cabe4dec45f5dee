// SPDX-License-Identifier: BSD-3-Clause
/*
 * Calls in words, for a log. The same table that dispatches ioctls says what an argument looks
 * like, so the two cannot disagree. Memory that cannot be read prints as its address.
 */
#include <string.h>

#include "vhost_vdpa/session.h"

#define MAX_CONFIG_SHOWN 32

struct word {
	uint64_t bit;
	const char *name;
};

static const struct word status_words[] = {
	{VIRTIO_CONFIG_S_ACKNOWLEDGE, "ACKNOWLEDGE"}, {VIRTIO_CONFIG_S_DRIVER, "DRIVER"},
	{VIRTIO_CONFIG_S_DRIVER_OK, "DRIVER_OK"},     {VIRTIO_CONFIG_S_FEATURES_OK, "FEATURES_OK"},
	{VIRTIO_CONFIG_S_NEEDS_RESET, "NEEDS_RESET"}, {VIRTIO_CONFIG_S_FAILED, "FAILED"},
};

static const char *const message_words[] = {
	[VHOST_IOTLB_MISS] = "MISS",
	[VHOST_IOTLB_UPDATE] = "UPDATE",
	[VHOST_IOTLB_INVALIDATE] = "INVALIDATE",
	[VHOST_IOTLB_ACCESS_FAIL] = "ACCESS_FAIL",
	[VHOST_IOTLB_BATCH_BEGIN] = "BATCH_BEGIN",
	[VHOST_IOTLB_BATCH_END] = "BATCH_END",
};

static const char *const perm_words[] = {"none", "ro", "wo", "rw"};

const char *vhost_vdpa_ioctl_name(unsigned int cmd)
{
	const struct ioctl_info *info = ioctl_find(cmd);

	return info ? info->name : NULL;
}

/* ---- values ---- */

static void print_status(FILE *f, uint8_t status)
{
	const char *sep = " ";

	fprintf(f, "[0x%02x", status);
	for (size_t i = 0; i < ARRAY_LEN(status_words); i++)
		if (status & status_words[i].bit) {
			fprintf(f, "%s%s", sep, status_words[i].name);
			sep = "|";
		}
	fputc(']', f);
}

static void print_backend_features(FILE *f, uint64_t mask)
{
	const char *sep = " ";

	fprintf(f, "[0x%llx", (unsigned long long)mask);
	for (unsigned int bit = 0; bit < 64; bit++)
		if ((mask >> bit & 1) && backend_feature_name(bit)) {
			fprintf(f, "%s%s", sep, backend_feature_name(bit));
			sep = "|";
		}
	fputc(']', f);
}

static void print_config(FILE *f, const struct vhost_vdpa_client *client, uaddr_t arg,
			 bool with_bytes)
{
	struct vhost_vdpa_config head;
	unsigned char buf[MAX_CONFIG_SHOWN];
	size_t shown;

	if (memory_copy_from(client->space, &head, arg, sizeof(head))) {
		fprintf(f, "0x%llx", (unsigned long long)arg);
		return;
	}
	fprintf(f, "{off=%u, len=%u", head.off, head.len);
	shown = head.len < sizeof(buf) ? head.len : sizeof(buf);
	if (with_bytes && !memory_copy_from(client->space, buf, arg + sizeof(head), shown)) {
		fputs(", buf=", f);
		for (size_t i = 0; i < shown; i++)
			fprintf(f, "%s%02x", i ? " " : "", buf[i]);
		if (shown < head.len)
			fputs(" ...", f);
	}
	fputc('}', f);
}

static void print_value(FILE *f, enum arg_kind kind, const union ioctl_arg *u)
{
	switch (kind) {
	case ARG_U8:
		fprintf(f, "[%u]", u->u8);
		break;
	case ARG_U16:
		fprintf(f, "[%u]", u->u16);
		break;
	case ARG_U32:
		fprintf(f, "[%u]", u->u32);
		break;
	case ARG_STATUS:
		print_status(f, u->u8);
		break;
	case ARG_FEATURES:
		fprintf(f, "[0x%llx%s]", (unsigned long long)u->u64,
			u->u64 & FEATURE_LOG_ALL ? " LOG_ALL" : "");
		break;
	case ARG_LOG:
		fprintf(f, "[0x%llx]", (unsigned long long)u->u64);
		break;
	case ARG_BACKEND_FEATURES:
		print_backend_features(f, u->u64);
		break;
	case ARG_FD:
		fprintf(f, "[%d]", u->fd);
		break;
	case ARG_STATE:
		fprintf(f, "{index=%u, num=%u}", u->state.index, u->state.num);
		break;
	case ARG_FILE:
		fprintf(f, "{index=%u, fd=%d}", u->file.index, u->file.fd);
		break;
	case ARG_ADDR:
		fprintf(f,
			"{index=%u, flags=0x%x%s, desc=0x%llx, used=0x%llx, avail=0x%llx, "
			"log=0x%llx}",
			u->addr.index, u->addr.flags,
			u->addr.flags == 1u << VHOST_VRING_F_LOG ? " LOG" : "",
			u->addr.desc_user_addr, u->addr.used_user_addr, u->addr.avail_user_addr,
			u->addr.log_guest_addr);
		break;
	case ARG_RANGE:
		fprintf(f, "{first=0x%llx, last=0x%llx}", u->range.first, u->range.last);
		break;
	case ARG_NONE:
	case ARG_CONFIG:
	case ARG_POINTER:
		break;
	}
}

/* What a getter reads before the call: the index of a virtqueue, or nothing. */
static void print_question(FILE *f, const struct vhost_vdpa_client *client,
			   const struct ioctl_info *info, uaddr_t arg)
{
	uint32_t index;

	if (info->kind == ARG_STATE && !memory_copy_from(client->space, &index, arg, sizeof(index)))
		fprintf(f, "{index=%u}", index);
	else
		fprintf(f, "0x%llx", (unsigned long long)arg);
}

void vhost_vdpa_print_ioctl(FILE *f, const struct vhost_vdpa_client *client, unsigned int cmd,
			    uaddr_t arg, bool after)
{
	const struct ioctl_info *info = ioctl_find(cmd);
	union ioctl_arg u;

	if (info && info->kind == ARG_NONE)
		return;
	if (!info || info->kind == ARG_POINTER) {
		fprintf(f, "0x%llx", (unsigned long long)arg);
		return;
	}
	if (info->kind == ARG_CONFIG) {
		print_config(f, client, arg, after || (info->flow & FLOW_IN));
		return;
	}
	if (!after && (info->flow & FLOW_OUT)) {
		print_question(f, client, info, arg);
		return;
	}
	if (memory_copy_from(client->space, &u, arg, arg_size(info->kind)))
		fprintf(f, "0x%llx", (unsigned long long)arg);
	else
		print_value(f, info->kind, &u);
}

/* ---- messages ---- */

static void print_body(FILE *f, const struct vhost_iotlb_msg *body)
{
	if (body->type < ARRAY_LEN(message_words) && message_words[body->type])
		fprintf(f, ", %s", message_words[body->type]);
	else
		fprintf(f, ", type=%u", body->type);
	if (body->type == VHOST_IOTLB_BATCH_BEGIN || body->type == VHOST_IOTLB_BATCH_END)
		return;
	fprintf(f, ", iova=0x%llx, size=0x%llx", body->iova, body->size);
	if (body->type != VHOST_IOTLB_UPDATE)
		return;
	fprintf(f, ", uaddr=0x%llx, perm=", body->uaddr);
	if (body->perm < ARRAY_LEN(perm_words))
		fputs(perm_words[body->perm], f);
	else
		fprintf(f, "0x%x", body->perm);
}

void vhost_vdpa_print_write(FILE *f, const struct vhost_vdpa_client *client, uaddr_t buf,
			    size_t len)
{
	struct vhost_iotlb_msg body;
	uint32_t head[2];

	if (len < sizeof(head) + sizeof(body) ||
	    memory_copy_from(client->space, head, buf, sizeof(head)) ||
	    memory_copy_from(client->space, &body, buf + sizeof(head), sizeof(body))) {
		fprintf(f, "0x%llx", (unsigned long long)buf);
		return;
	}
	if (head[0] == VHOST_IOTLB_MSG_V2)
		fprintf(f, "{v2, asid=%u", head[1]);
	else if (head[0] == VHOST_IOTLB_MSG)
		fputs("{v1", f);
	else
		fprintf(f, "{type=%u", head[0]);
	print_body(f, &body);
	fputc('}', f);
}
