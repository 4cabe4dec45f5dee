// SPDX-License-Identifier: BSD-3-Clause
/*
 * Bus driver virtio_vdpa: a device of the bus as a virtio device of this very process, without a
 * client. It translates 1:1, so ring memory and buffers are plain memory of the process. Behaviour:
 * docs/spec/vhost-vdpa.md, section 8. Drivers for kinds of device stand on it: net.h, blk.h.
 *
 * Owns: the virtqueues and their ring memory. Does not own: buffers, which the caller keeps until
 * they come back, or until reset or close. What the device says is not trusted: config and used
 * elements are checked, and a virtqueue that makes no sense is dead, with -EPROTO, until the next
 * reset.
 *
 * Thread rule: one thread at a time an open device; the loss of the device may come from any
 * thread.
 */
#ifndef HOLDFAST_VIRTIO_VDPA_VIRTIO_VDPA_H
#define HOLDFAST_VIRTIO_VDPA_VIRTIO_VDPA_H

#include "base/compiler.h"
#include "ring/driver.h"
#include "vdpa/bus.h"

struct virtio_vdpa;    /* one open */
struct virtio_vdpa_vq; /* one virtqueue, from set-up to reset */

extern const struct vdpa_driver virtio_vdpa_driver;

/**
 * virtio_vdpa_open() - take a device that is bound to virtio_vdpa It was reset when it was bound or
 * last closed; now it is told DRIVER. Return: 0; -ENODEV not bound; -EBUSY open already; -ENOMEM;
 * the parent's error, if it was not reset
 */
int virtio_vdpa_open(struct vdpa_device *dev, struct virtio_vdpa **out) HF_MUST_CHECK;
/** virtio_vdpa_close() - reset, free the virtqueues, leave the device at ACKNOWLEDGE; NULL is
 * fine. Return: 0; the parent's error from the reset: the device may still use the buffers that it
 * has, so their memory must stay */
int virtio_vdpa_close(struct virtio_vdpa *v) HF_MUST_CHECK;

/** virtio_vdpa_reset() - [8-2]: flags 0, mappings are left alone. All virtqueues are gone
 * afterwards, and no buffer is touched any more. Return: 0 or the parent's error; -ENODEV */
int virtio_vdpa_reset(struct virtio_vdpa *v) HF_MUST_CHECK;

/* ---- [8-2]: identity, features, status and config, 1:1 to the operations ---- */

const char *virtio_vdpa_name(const struct virtio_vdpa *v);
uint32_t virtio_vdpa_device_id(const struct virtio_vdpa *v);
/** virtio_vdpa_offered() - the device's features */
uint64_t virtio_vdpa_offered(struct virtio_vdpa *v);
/**
 * virtio_vdpa_negotiate() - acknowledge what is offered of @wanted, and FEATURES_OK
 * @needed: these must be offered
 * Return: 0; -EOPNOTSUPP something needed is missing; the parent's error, or -EIO where it does not
 * let FEATURES_OK stand; -ENODEV
 */
int virtio_vdpa_negotiate(struct virtio_vdpa *v, uint64_t wanted, uint64_t needed) HF_MUST_CHECK;
/** virtio_vdpa_features() - as negotiated */
uint64_t virtio_vdpa_features(const struct virtio_vdpa *v);
static inline bool virtio_vdpa_has(const struct virtio_vdpa *v, unsigned int bit)
{
	return (virtio_vdpa_features(v) >> bit) & 1;
}

/** virtio_vdpa_driver_ok() - the device may work. Return: 0; -EIO it does not start; -ENODEV */
int virtio_vdpa_driver_ok(struct virtio_vdpa *v) HF_MUST_CHECK;
/** virtio_vdpa_status() - Return: the status byte; 0 once the device was taken away */
uint8_t virtio_vdpa_status(struct virtio_vdpa *v);

size_t virtio_vdpa_config_size(struct virtio_vdpa *v);
/** virtio_vdpa_read_config() / virtio_vdpa_write_config() - Return: 0; -EINVAL not within the
 * device's config; -EAGAIN it changes all the time; -ENODEV. A read is of one generation. */
int virtio_vdpa_read_config(struct virtio_vdpa *v, size_t off, void *buf, size_t len) HF_MUST_CHECK;
int virtio_vdpa_write_config(struct virtio_vdpa *v, size_t off, const void *buf,
			     size_t len) HF_MUST_CHECK;
/** virtio_vdpa_config_changed() - was there a config interrupt since the last call? */
bool virtio_vdpa_config_changed(struct virtio_vdpa *v);

/* ---- virtqueues ---- */

/**
 * virtio_vdpa_setup_vq() - make a virtqueue and make it ready, [8-2]; after FEATURES_OK
 * @num_max: entries at most, 0: as many as the device has
 * Return: 0; -ENOENT no such virtqueue, it is ready already, or its size is 0; -EINVAL the parent
 * refuses its address; the parent's error for its position; -ENOMEM; -ENODEV
 */
int virtio_vdpa_setup_vq(struct virtio_vdpa *v, uint16_t idx, uint16_t num_max,
			 struct virtio_vdpa_vq **out) HF_MUST_CHECK;
uint16_t virtio_vdpa_vq_num(const struct virtio_vdpa_vq *vq);
/** virtio_vdpa_vq_fd() - readable when the device has called, or is gone; for poll(2) only */
int virtio_vdpa_vq_fd(const struct virtio_vdpa_vq *vq);

/* A piece of memory of this process. */
struct virtio_vdpa_buf {
	void *base;
	uint32_t len; /* bytes */
};

/**
 * virtio_vdpa_vq_add() - a chain of @nr_out readable, then @nr_in writable pieces
 * @cookie: comes back from virtio_vdpa_vq_get(); not NULL
 * Return: 0; -ENOSPC full; -EINVAL; -ENOMEM; -EPROTO the virtqueue is dead. Nothing is told to the
 * device yet.
 */
int virtio_vdpa_vq_add(struct virtio_vdpa_vq *vq, const struct virtio_vdpa_buf *bufs,
		       unsigned int nr_out, unsigned int nr_in, void *cookie) HF_MUST_CHECK;
/** virtio_vdpa_vq_kick() - make what was added visible, and kick if the device wants it */
void virtio_vdpa_vq_kick(struct virtio_vdpa_vq *vq);
/** virtio_vdpa_vq_get() - a completed chain. Return: 1 with @cookie and @len; 0 none; -EPROTO;
 * -ENODEV */
int virtio_vdpa_vq_get(struct virtio_vdpa_vq *vq, void **cookie, uint32_t *len) HF_MUST_CHECK;
/**
 * virtio_vdpa_vq_wait() - as virtio_vdpa_vq_get(), but wait for one
 * @deadline_ns: as clock_now_ns() tells time
 * Return: as there, never 0; -ETIMEDOUT; -EIO the device needs a reset; -EINTR a signal came
 */
int virtio_vdpa_vq_wait(struct virtio_vdpa_vq *vq, int64_t deadline_ns, void **cookie,
			uint32_t *len) HF_MUST_CHECK;
/** virtio_vdpa_vq_arm() - before poll(2) on virtio_vdpa_vq_fd(): empties it and asks for a call.
 * Return: true if something is completed already */
bool virtio_vdpa_vq_arm(struct virtio_vdpa_vq *vq);

#endif
