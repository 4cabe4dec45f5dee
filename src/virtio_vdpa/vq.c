// SPDX-License-Identifier: BSD-3-Clause
/*
 * Virtqueues: set-up through the parent's operations in the order of [8-2], then chains on the
 * driver side of the ring. Guarantees:
 *
 * 1. A ring is given to the parent whole and zeroed, position first, ready last.
 * 2. After virtio_vdpa_stop() the device touches neither rings nor buffers and calls nobody. If the
 *    parent's reset fails, only the last of this is sure: rings are never given back then.
 * 3. What the device writes is believed only where it fits (ring/driver.h); otherwise the virtqueue
 *    is dead.
 * 4. A wait ends by a completion, the deadline, a signal, the device's asking for a reset, or its
 *    loss.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/refuse.h"
#include "memory/memory.h"
#include "virtio_vdpa/internal.h"

#define NUM_MAX      32768u /* entries, the format's limit */
#define TABLE_ENTRY  16     /* bytes */
#define PACKED_FRESH 0x8000 /* slot 0, wrap counter 1 */
#define SEGS_MAX     1024u

/* ---- memory ---- */

static size_t page_up(size_t len)
{
	return (len + MEMORY_PAGE_SIZE - 1) & ~(size_t)(MEMORY_PAGE_SIZE - 1);
}

/* Ring memory and its bookkeeping for @num entries. */
static int ring_make(struct virtio_vdpa_vq *vq, struct ring_driver_config *c)
{
	size_t desc = page_up(ring_driver_area_len(RING_AREA_DESC, c->num, c->packed));
	size_t driver = page_up(ring_driver_area_len(RING_AREA_DRIVER, c->num, c->packed));
	size_t device = page_up(ring_driver_area_len(RING_AREA_DEVICE, c->num, c->packed));
	int ret;

	vq->mem = aligned_alloc(MEMORY_PAGE_SIZE, desc + driver + device);
	if (!vq->mem)
		return -ENOMEM;
	c->desc = vq->mem;
	c->driver = (char *)vq->mem + desc;
	c->device = (char *)vq->mem + desc + driver;
	ret = ring_driver_create(c, &vq->ring);
	if (ret) {
		free(vq->mem);
		vq->mem = NULL;
	}
	return ret;
}

static void vq_free(struct virtio_vdpa_vq *vq)
{
	struct virtio_chain *chain;

	if (!vq)
		return;
	while ((chain = LIST_FIRST(&vq->chains)) != NULL) {
		LIST_REMOVE(chain, link);
		free(chain);
	}
	ring_driver_destroy(vq->ring);
	free(vq->mem);
	fd_close(&vq->call_fd);
	free(vq);
}

/* The largest ring that there is memory for. */
static int vq_make(struct virtio_vdpa *v, uint16_t idx, struct ring_driver_config *c,
		   struct virtio_vdpa_vq **out)
{
	struct virtio_vdpa_vq *vq = calloc(1, sizeof(*vq));
	int ret;

	if (!vq)
		return refuse(-ENOMEM, "no memory for virtqueue %u", idx);
	vq->v = v;
	vq->idx = idx;
	LIST_INIT(&vq->chains);
	vq->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vq->call_fd < 0) {
		ret = refuse(-errno, "no eventfd for virtqueue %u", idx);
		goto err_free;
	}
	while ((ret = ring_make(vq, c)) == -ENOMEM && c->num > 1)
		c->num /= 2;
	if (ret) {
		(void)refuse(ret, "no memory for the ring of virtqueue %u", idx);
		goto err_free;
	}
	vq->num = c->num;
	*out = vq;
	return 0;
err_free:
	vq_free(vq);
	return ret;
}

/* ---- set-up ---- */

static void call_cb(void *arg)
{
	fd_signal(((struct virtio_vdpa_vq *)arg)->call_fd, false);
}

/* [8-2] Return: entries; 0 with refuse() */
static uint16_t size_of(struct virtio_vdpa *v, uint16_t idx, uint16_t num_max)
	REQUIRES(v->dev->lock)
{
	uint32_t num;

	if (idx >= v->dev->nvqs) {
		(void)refuse(-ENOENT, "device %s has no virtqueue %u, it has %u", v->dev->name, idx,
			     v->dev->nvqs);
		return 0;
	}
	if (v->vqs[idx] || VDPA_CALL(v->dev, get_vq_ready, idx)) {
		(void)refuse(-ENOENT, "virtqueue %u of device %s is in use", idx, v->dev->name);
		return 0;
	}
	if (v->dev->ops->get_vq_size)
		num = VDPA_CALL(v->dev, get_vq_size, idx);
	else
		num = VDPA_CALL(v->dev, get_vq_num_max);
	if (num == 0)
		(void)refuse(-ENOENT, "virtqueue %u of device %s has no entries", idx,
			     v->dev->name);
	if (num_max && num > num_max)
		num = num_max;
	if (num > NUM_MAX)
		num = NUM_MAX;
	/* A split ring is a power of two; a packed one may as well be. */
	while (num & (num - 1))
		num &= num - 1;
	return (uint16_t)num;
}

/* The parent learns of the ring, ready last. */
static int vq_tell(struct virtio_vdpa_vq *vq, const struct ring_driver_config *c)
	REQUIRES(vq->v->dev->lock)
{
	struct vdpa_callback cb = {.fn = call_cb, .arg = vq}, none = {0};
	struct vdpa_vq_state state = {0};
	struct vdpa_device *dev = vq->v->dev;
	int ret;

	if (c->packed)
		state = (struct vdpa_vq_state){PACKED_FRESH, PACKED_FRESH};
	VDPA_CALL(dev, set_vq_cb, vq->idx, &cb);
	VDPA_CALL(dev, set_vq_num, vq->idx, vq->num);
	if (VDPA_CALL(dev, set_vq_address, vq->idx, (uintptr_t)c->desc, (uintptr_t)c->driver,
		      (uintptr_t)c->device)) {
		ret = refuse(-EINVAL, "device %s refuses the addresses of virtqueue %u", dev->name,
			     vq->idx);
		goto err_cb;
	}
	ret = VDPA_CALL(dev, set_vq_state, vq->idx, &state);
	if (ret) {
		(void)refuse(ret, "device %s refuses the position of virtqueue %u", dev->name,
			     vq->idx);
		goto err_cb;
	}
	VDPA_CALL(dev, set_vq_ready, vq->idx, true);
	return 0;
err_cb:
	VDPA_CALL(dev, set_vq_cb, vq->idx, &none);
	return ret;
}

static int vq_setup(struct virtio_vdpa *v, uint16_t idx, uint16_t num_max,
		    struct virtio_vdpa_vq **out) NO_TSA /* v->dev and vq->v->dev are one */
{
	struct ring_driver_config c = {
		.num = size_of(v, idx, num_max),
		.packed = virtio_vdpa_has(v, VIRTIO_F_RING_PACKED),
		.event_idx = virtio_vdpa_has(v, VIRTIO_RING_F_EVENT_IDX),
		.in_order = virtio_vdpa_has(v, VIRTIO_F_IN_ORDER),
	};
	struct virtio_vdpa_vq *vq = NULL;
	int ret;

	if (c.num == 0)
		return -ENOENT;
	if (c.packed)
		c.start_avail = PACKED_FRESH;
	ret = vq_make(v, idx, &c, &vq);
	if (ret)
		return ret;
	ret = vq_tell(vq, &c);
	if (ret) {
		vq_free(vq);
		return ret;
	}
	v->vqs[idx] = vq;
	*out = vq;
	return 0;
}

int virtio_vdpa_setup_vq(struct virtio_vdpa *v, uint16_t idx, uint16_t num_max,
			 struct virtio_vdpa_vq **out)
{
	int ret;

	mutex_lock(&v->dev->lock);
	if (virtio_vdpa_is_gone(v))
		ret = refuse(-ENODEV, "device %s is gone", v->dev->name);
	else
		ret = vq_setup(v, idx, num_max, out);
	mutex_unlock(&v->dev->lock);
	return ret;
}

/* ---- the end ---- */

int virtio_vdpa_stop(struct vdpa_device *dev, struct virtio_vdpa *v)
{
	const struct vdpa_callback none = {0};
	int ret = vdpa_reset(dev, VDPA_RESET_VIRTIO_ATTACH, false);

	if (ret) {
		(void)refuse(ret, "%s: the parent's reset failed", dev->name);
		hf_err(dev->name, "%s", refuse_reason());
	}
	v->stop_err = ret;
	VDPA_CALL(dev, set_config_cb, &none);
	for (uint32_t i = 0; i < dev->nvqs; i++) {
		if (!v->vqs[i])
			continue;
		VDPA_CALL(dev, set_vq_ready, (uint16_t)i, false);
		VDPA_CALL(dev, set_vq_cb, (uint16_t)i, &none);
	}
	return ret;
}

/* What a device may still use, its chains' tables included. */
static void vq_keep(struct virtio_vdpa_vq *vq)
{
	static struct virtio_vdpa_vq *kept; /* atomic; nobody reads it */

	vq->next_kept = __atomic_exchange_n(&kept, vq, __ATOMIC_ACQ_REL);
}

void virtio_vdpa_vqs_free(struct virtio_vdpa *v)
{
	for (uint32_t i = 0; i < v->dev->nvqs; i++) {
		if (v->vqs[i] && v->stop_err)
			vq_keep(v->vqs[i]);
		else
			vq_free(v->vqs[i]);
		v->vqs[i] = NULL;
	}
}

/* ---- chains ---- */

uint16_t virtio_vdpa_vq_num(const struct virtio_vdpa_vq *vq)
{
	return vq->num;
}

int virtio_vdpa_vq_fd(const struct virtio_vdpa_vq *vq)
{
	return vq->call_fd;
}

static int is_dead(const struct virtio_vdpa_vq *vq)
{
	return refuse(
		-EPROTO,
		"virtqueue %u of device %s is dead: the device has completed what it was not given",
		vq->idx, vq->v->dev->name);
}

int virtio_vdpa_vq_add(struct virtio_vdpa_vq *vq, const struct virtio_vdpa_buf *bufs,
		       unsigned int nr_out, unsigned int nr_in, void *cookie)
{
	struct ring_driver_seg segs[SEGS_MAX];
	unsigned int nr = nr_out + nr_in;
	struct virtio_chain *chain;
	bool table;
	int ret;

	if (vq->dead)
		return is_dead(vq);
	if (nr_out > SEGS_MAX || nr_in > SEGS_MAX || nr > SEGS_MAX || !cookie)
		return refuse(-EINVAL, "a chain of %u and %u pieces", nr_out, nr_in);
	table = nr > 1 && virtio_vdpa_has(vq->v, VIRTIO_RING_F_INDIRECT_DESC);
	chain = malloc(sizeof(*chain) + (table ? (size_t)TABLE_ENTRY * nr : 0));
	if (!chain)
		return refuse(-ENOMEM, "no memory for a chain of %u pieces", nr);
	for (unsigned int i = 0; i < nr; i++)
		segs[i] = (struct ring_driver_seg){(uintptr_t)bufs[i].base, bufs[i].len};
	chain->cookie = cookie;
	ret = ring_driver_add(vq->ring, segs, nr_out, nr_in, chain, table ? chain->table : NULL,
			      table ? (uintptr_t)chain->table : 0);
	if (ret) {
		free(chain);
		return refuse(ret, "no room for a chain of %u pieces in a ring of %u", nr, vq->num);
	}
	LIST_INSERT_HEAD(&vq->chains, chain, link);
	return 0;
}

void virtio_vdpa_vq_kick(struct virtio_vdpa_vq *vq)
{
	if (ring_driver_publish(vq->ring) && !virtio_vdpa_is_gone(vq->v))
		VDPA_CALL(vq->v->dev, kick_vq, vq->idx);
}

int virtio_vdpa_vq_get(struct virtio_vdpa_vq *vq, void **cookie, uint32_t *len)
{
	struct virtio_chain *chain;
	int err = 0;

	if (virtio_vdpa_is_gone(vq->v))
		return refuse(-ENODEV, "device %s is gone", vq->v->dev->name);
	if (vq->dead)
		return is_dead(vq);
	chain = ring_driver_get(vq->ring, len, &err);
	if (err) {
		vq->dead = true;
		return is_dead(vq);
	}
	if (!chain)
		return 0;
	*cookie = chain->cookie;
	LIST_REMOVE(chain, link);
	free(chain);
	return 1;
}

bool virtio_vdpa_vq_arm(struct virtio_vdpa_vq *vq)
{
	uint64_t count;

	/* Empty already, or emptied: both will do. */
	(void)!read(vq->call_fd, &count, sizeof(count));
	return !vq->dead && ring_driver_cb_enable(vq->ring);
}

static int wait_for_call(const struct virtio_vdpa_vq *vq, int64_t deadline_ns)
{
	struct pollfd pfd = {.fd = vq->call_fd, .events = POLLIN};
	int64_t left = deadline_ns - clock_now_ns();

	if (left <= 0)
		return refuse(-ETIMEDOUT, "device %s does not answer on virtqueue %u",
			      vq->v->dev->name, vq->idx);
	left = (left + NS_PER_MS - 1) / NS_PER_MS;
	if (poll(&pfd, 1, left > INT32_MAX ? INT32_MAX : (int)left) < 0)
		return refuse(-errno, "waiting for device %s was interrupted", vq->v->dev->name);
	return 0;
}

int virtio_vdpa_vq_wait(struct virtio_vdpa_vq *vq, int64_t deadline_ns, void **cookie,
			uint32_t *len)
{
	int ret;

	for (;;) {
		ret = virtio_vdpa_vq_get(vq, cookie, len);
		if (ret)
			return ret;
		/* Armed first, asked afterwards: nothing that comes now is missed. */
		if (virtio_vdpa_vq_arm(vq))
			continue;
		if (virtio_vdpa_status(vq->v) & VIRTIO_CONFIG_S_NEEDS_RESET)
			return refuse(-EIO, "device %s needs a reset", vq->v->dev->name);
		if (virtio_vdpa_is_gone(vq->v))
			continue;
		ret = wait_for_call(vq, deadline_ns);
		if (ret)
			return ret;
	}
}
