// SPDX-License-Identifier: BSD-3-Clause
/*
 * The IOTLB message protocol: what write(2) on the device means. The order of checks is the
 * kernel's ([2-3], [2-5]), because it decides which side effects a refused message leaves. Only
 * EINVAL (not a message) and EFAULT (a refused one) are visible, so the reason goes to the log in
 * words.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/refuse.h"
#include "vhost_vdpa/session.h"

struct msg {
	uint32_t type; /* VHOST_IOTLB_MSG, VHOST_IOTLB_MSG_V2 */
	uint32_t asid; /* v2; a hole in v1 */
	struct vhost_iotlb_msg body;
};
_Static_assert(offsetof(struct msg, body) == MSG_HEAD_LEN && sizeof(struct msg) == 40,
	       "the layout of the kernel's messages");

/* What makes it a message at all. */
static int msg_read(const struct vhost_vdpa_client *client, uaddr_t buf, size_t len,
		    struct msg *msg)
{
	if (len < sizeof(*msg))
		return refuse(-EINVAL, "a message of %zu bytes, at least %zu", len, sizeof(*msg));
	if (memory_copy_from(client->space, msg, buf, sizeof(*msg)))
		return refuse(-EINVAL, "cannot read a message at 0x%llx", (unsigned long long)buf);
	if (msg->type != VHOST_IOTLB_MSG && msg->type != VHOST_IOTLB_MSG_V2)
		return refuse(-EINVAL, "message type %u, 1 and 2 exist", msg->type);
	if (msg->body.type == VHOST_IOTLB_UPDATE && msg->body.size == 0)
		return refuse(-EINVAL, "UPDATE of size 0 at iova 0x%llx", msg->body.iova);
	return 0;
}

/* [2-4]: the field counts only while IOTLB_ASID is acked. */
static uint32_t msg_asid(const struct vhost_vdpa *s, const struct msg *msg)
{
	if (msg->type == VHOST_IOTLB_MSG || !(s->backend_features & BACKEND_ASID))
		return 0;
	return msg->asid;
}

/* The address space that the message is about. Made here if it may be, even if the message is
 * refused. */
static int msg_as(struct vhost_vdpa *s, uint32_t asid, uint8_t type, struct address_space **out)
	REQUIRES(s->dev->lock)
{
	struct address_space *as;
	int ret;

	if (type == VHOST_IOTLB_UPDATE || type == VHOST_IOTLB_BATCH_BEGIN) {
		ret = as_find_or_create(s, asid, &as);
		if (ret)
			return ret;
	} else {
		as = as_find(s, asid);
	}
	if (s->in_batch && s->batch_asid != asid)
		return refuse(-EINVAL, "message for address space %u in a batch of %u", asid,
			      s->batch_asid);
	if (!as)
		return refuse(-EINVAL, "address space %u has no mapping yet", asid);
	*out = as;
	return 0;
}

static int msg_run(struct vhost_vdpa *s, struct address_space *as,
		   const struct vhost_iotlb_msg *body) REQUIRES(s->dev->lock)
{
	switch (body->type) {
	case VHOST_IOTLB_UPDATE:
		HF_TRACE4(iotlb_update, as->asid, body->iova, body->size, body->perm);
		return mapping_update(s, as, body);
	case VHOST_IOTLB_INVALIDATE:
		HF_TRACE3(iotlb_invalidate, as->asid, body->iova, body->size);
		return mapping_invalidate(s, as, body->iova, body->size);
	case VHOST_IOTLB_BATCH_BEGIN:
		HF_TRACE1(iotlb_batch_begin, as->asid);
		return batch_begin(s, as);
	case VHOST_IOTLB_BATCH_END:
		HF_TRACE1(iotlb_batch_end, as->asid);
		batch_end(s, as);
		return 0;
	default:
		return refuse(-EINVAL, "message of kind %u, 2, 3, 5 and 6 can be sent", body->type);
	}
}

/* Return: 0, or what the layers below say: EFAULT to the client, whatever it is. */
static int msg_process(struct vhost_vdpa *s, const struct vhost_vdpa_client *client,
		       const struct msg *msg) REQUIRES(s->dev->lock)
{
	struct address_space *as = NULL;
	int ret;

	ret = session_owner_check(s, client);
	if (ret)
		return ret;
	ret = msg_as(s, msg_asid(s, msg), msg->body.type, &as);
	if (ret)
		return ret;
	ret = msg_run(s, as, &msg->body);
	if (!ret)
		calls_follow_map(s, as);
	return ret;
}

ssize_t vhost_vdpa_write(struct vhost_vdpa *s, const struct vhost_vdpa_client *client, uaddr_t buf,
			 size_t len)
{
	struct msg msg;
	ssize_t ret;
	int err;

	refuse_clear();
	mutex_lock(&s->dev->lock);
	if (s->gone) {
		ret = refuse(-ENODEV, "device %s is gone", s->dev->name);
	} else if ((err = session_claim(s)) != 0) {
		ret = err;
	} else if ((err = msg_read(client, buf, len, &msg)) != 0) {
		ret = err;
	} else {
		err = msg_process(s, client, &msg);
		/* The client is told EFAULT whatever the error was. So the log has to know it. */
		if (err && !*refuse_reason())
			(void)refuse(err, "%s", strerror(-err));
		if (err)
			hf_warn(s->dev->name, "IOTLB message refused: %s", refuse_reason());
		ret = err ? -EFAULT : MSG_WRITE_LEN;
	}
	mutex_unlock(&s->dev->lock);
	HF_TRACE3(write, s->dev->name, len, ret);
	return ret;
}
