// SPDX-License-Identifier: BSD-3-Clause
/*
 * The kernel's vhost-vdpa interface: what <linux/vhost.h> of Debian 12 has, and our own definitions
 * of what it lacks, by the numbers in docs/spec/vhost-vdpa.md. Constants only.
 */
#ifndef HOLDFAST_VHOST_VDPA_UAPI_H
#define HOLDFAST_VHOST_VDPA_UAPI_H

#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>

#ifndef VHOST_NEW_WORKER
#define VHOST_NEW_WORKER          _IOR(VHOST_VIRTIO, 0x08, unsigned int)
#define VHOST_FREE_WORKER         _IOW(VHOST_VIRTIO, 0x09, unsigned int)
#define VHOST_ATTACH_VRING_WORKER _IOW(VHOST_VIRTIO, 0x15, __u64)
#define VHOST_GET_VRING_WORKER    _IOWR(VHOST_VIRTIO, 0x16, __u64)
#endif
#ifndef VHOST_VDPA_RESUME
#define VHOST_VDPA_RESUME _IO(VHOST_VIRTIO, 0x7e)
#endif
#ifndef VHOST_VDPA_GET_VRING_DESC_GROUP
#define VHOST_VDPA_GET_VRING_DESC_GROUP _IOWR(VHOST_VIRTIO, 0x7f, struct vhost_vring_state)
#endif
#ifndef VHOST_VDPA_GET_VRING_SIZE
#define VHOST_VDPA_GET_VRING_SIZE _IOWR(VHOST_VIRTIO, 0x82, struct vhost_vring_state)
#endif
#ifndef VHOST_GET_FEATURES_ARRAY
#define VHOST_GET_FEATURES_ARRAY _IOR(VHOST_VIRTIO, 0x83, uint64_t)
#define VHOST_SET_FEATURES_ARRAY _IOW(VHOST_VIRTIO, 0x83, uint64_t)
#endif
#ifndef VHOST_SET_FORK_FROM_OWNER
#define VHOST_SET_FORK_FROM_OWNER _IOW(VHOST_VIRTIO, 0x84, __u8)
#define VHOST_GET_FORK_FROM_OWNER _IOR(VHOST_VIRTIO, 0x85, __u8)
#endif

/* Backend features, as masks ([5-1]..[5-8]). */
#define BACKEND_MSG_V2                 (1ULL << 1)
#define BACKEND_BATCH                  (1ULL << 2)
#define BACKEND_ASID                   (1ULL << 3)
#define BACKEND_SUSPEND                (1ULL << 4)
#define BACKEND_RESUME                 (1ULL << 5)
#define BACKEND_ENABLE_AFTER_DRIVER_OK (1ULL << 6)
#define BACKEND_DESC_ASID              (1ULL << 7)
#define BACKEND_PERSIST                (1ULL << 8)

/* The kernel's internal ENOTSUPP, which mmap lets out ([1-41]). */
#define KERNEL_ENOTSUPP 524

#define FEATURE_RING_PACKED (1ULL << VIRTIO_F_RING_PACKED)
#define FEATURE_RING_RESET  (1ULL << VIRTIO_F_RING_RESET)
#define FEATURE_LOG_ALL     (1ULL << VHOST_F_LOG_ALL)

/* A message: 8 bytes of head, then the body. Both kinds answer 72, their own size ([2-1],
 * [2-2]). */
#define MSG_HEAD_LEN  8
#define MSG_WRITE_LEN ((ssize_t)sizeof(struct vhost_msg_v2))

#endif
