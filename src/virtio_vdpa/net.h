// SPDX-License-Identifier: BSD-3-Clause
/*
 * A network card on virtio_vdpa: one pair of queues, Ethernet frames out and in, no offloads. Owns:
 * the open virtio device and the frames' buffers. Thread rule: one thread at a time.
 */
#ifndef HOLDFAST_VIRTIO_VDPA_NET_H
#define HOLDFAST_VIRTIO_VDPA_NET_H

#include "virtio_vdpa/virtio_vdpa.h"

struct virtio_net;

struct virtio_net_info {
	uint64_t features; /* negotiated */
	uint8_t mac[6];    /* as the card has it; zero if it has none */
	uint16_t mtu;      /* bytes, without the Ethernet header */
	bool link_up;
};

struct virtio_net_counters {
	uint64_t sent, received; /* frames */
	uint64_t bad;            /* received frames that make no sense */
};

/** virtio_net_open() - drive a device that is bound to virtio_vdpa and is a network card
 * Return: as virtio_blk_open() */
int virtio_net_open(struct vdpa_device *dev, struct virtio_net **out) HF_MUST_CHECK;
void virtio_net_close(struct virtio_net *net);
const struct virtio_net_info *virtio_net_info(const struct virtio_net *net);
/** virtio_net_name() - the device's name on the bus */
const char *virtio_net_name(const struct virtio_net *net);
const struct virtio_net_counters *virtio_net_counters(const struct virtio_net *net);
/** virtio_net_frame_max() - bytes of the largest frame, with its Ethernet header */
size_t virtio_net_frame_max(const struct virtio_net *net);

/**
 * virtio_net_send() - hand a frame to the card; it is copied
 * Return: 0; -EMSGSIZE shorter than an Ethernet header or longer than virtio_net_frame_max();
 * -EAGAIN the queue is full: wait for the card; -EPROTO; -ENODEV
 */
int virtio_net_send(struct virtio_net *net, const void *frame, size_t len) HF_MUST_CHECK;
/**
 * virtio_net_recv() - the next frame, waiting for it
 * @len: [in] room, [out] bytes; a longer frame is cut
 * Return: 0; -ETIMEDOUT; -EINTR; -EIO the device needs a reset; -EPROTO; -ENODEV
 */
int virtio_net_recv(struct virtio_net *net, void *frame, size_t *len,
		    int64_t deadline_ns) HF_MUST_CHECK;

#endif
