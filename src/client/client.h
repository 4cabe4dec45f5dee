/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small vhost-vdpa client: what a VMM does with /dev/vhost-vdpa-N, in plain libc calls.
 *
 * It owns descriptors, client memory and the driver side of split virtqueues; it knows
 * nothing of what serves the node, so the same code runs against a kernel and against
 * Holdfast. Used by `holdfast check`, the benches and the integration tests.
 *
 * Threads: no locking; one thread per object. Functions return 0 or -errno.
 */
#ifndef HOLDFAST_CLIENT_CLIENT_H
#define HOLDFAST_CLIENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>

/* What Debian 12's headers do not have yet. vhost_vdpa/uapi.h has the same numbers: this room takes
 * nothing from the device's code, so that a wrong number there is seen from here. */
#ifndef VHOST_VDPA_RESUME
#define VHOST_VDPA_RESUME _IO(VHOST_VIRTIO, 0x7E)
#endif
#ifndef VHOST_VDPA_GET_VRING_DESC_GROUP
#define VHOST_VDPA_GET_VRING_DESC_GROUP _IOWR(VHOST_VIRTIO, 0x7F, struct vhost_vring_state)
#endif
#ifndef VHOST_VDPA_GET_VRING_SIZE
#define VHOST_VDPA_GET_VRING_SIZE _IOWR(VHOST_VIRTIO, 0x82, struct vhost_vring_state)
#endif
#ifndef VHOST_GET_FEATURES_ARRAY /* their argument begins with a count of 64 bits */
#define VHOST_GET_FEATURES_ARRAY _IOR(VHOST_VIRTIO, 0x83, uint64_t)
#define VHOST_SET_FEATURES_ARRAY _IOW(VHOST_VIRTIO, 0x83, uint64_t)
#endif
#ifndef VHOST_SET_FORK_FROM_OWNER
#define VHOST_SET_FORK_FROM_OWNER _IOW(VHOST_VIRTIO, 0x84, __u8)
#define VHOST_GET_FORK_FROM_OWNER _IOR(VHOST_VIRTIO, 0x85, __u8)
#endif
#ifndef VHOST_NEW_WORKER
#define VHOST_NEW_WORKER          _IOR(VHOST_VIRTIO, 0x8, unsigned int)
#define VHOST_FREE_WORKER         _IOW(VHOST_VIRTIO, 0x9, unsigned int)
#define VHOST_ATTACH_VRING_WORKER _IOW(VHOST_VIRTIO, 0x15, uint64_t)
#define VHOST_GET_VRING_WORKER    _IOWR(VHOST_VIRTIO, 0x16, uint64_t)
#endif

#define CLIENT_BIT(n) (1ULL << (n))

/** Backend feature bits, as masks. */
enum client_backend {
	CLIENT_BACKEND_MSG_V2 = 1 << 1,
	CLIENT_BACKEND_BATCH = 1 << 2,
	CLIENT_BACKEND_ASID = 1 << 3,
	CLIENT_BACKEND_SUSPEND = 1 << 4,
	CLIENT_BACKEND_RESUME = 1 << 5,
	CLIENT_BACKEND_ENABLE_AFTER_OK = 1 << 6,
	CLIENT_BACKEND_DESC_ASID = 1 << 7,
	CLIENT_BACKEND_PERSIST = 1 << 8,
};

#define CLIENT_FEATURE_LOG_ALL         CLIENT_BIT(26)
#define CLIENT_FEATURE_VERSION_1       CLIENT_BIT(VIRTIO_F_VERSION_1)
#define CLIENT_FEATURE_ACCESS_PLATFORM CLIENT_BIT(VIRTIO_F_ACCESS_PLATFORM)

/** The two status values a bring-up passes through. */
#define CLIENT_STATUS_DRIVER   (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)
#define CLIENT_STATUS_FEATURES (CLIENT_STATUS_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)
#define CLIENT_STATUS_RUNNING  (CLIENT_STATUS_FEATURES | VIRTIO_CONFIG_S_DRIVER_OK)

/* ---- descriptor ---- */

/**
 * client_open() - open a vhost-vdpa node read-write
 * Return: a descriptor, or -errno of open().
 */
int client_open(const char *path);

/**
 * client_open_owned() - open a node, become its owner, and ack the @backend features
 * Return: a descriptor; -errno of the first call that failed, and nothing is open.
 */
int client_open_owned(const char *path, uint64_t backend);

/**
 * client_ioctl() - ioctl() with -errno as its error
 * @arg: passed through untouched, bad pointers included
 * Return: the ioctl's value (>= 0) or -errno.
 */
int client_ioctl(int fd, unsigned long req, void *arg);

/** client_vring_set() - per-ring ioctl that takes {index, num}. Return: 0 or -errno. */
int client_vring_set(int fd, unsigned long req, uint32_t idx, uint32_t num);

/** client_vring_get() - per-ring ioctl that fills num; @num is written only on success. */
int client_vring_get(int fd, unsigned long req, uint32_t idx, uint32_t *num);

/** client_vring_file() - per-ring ioctl that takes {index, fd}; @file stays the caller's. */
int client_vring_file(int fd, unsigned long req, uint32_t idx, int file);

/** client_set_status() - write the status byte; 0 resets. */
int client_set_status(int fd, uint8_t status);

/** client_get_status() - Return: the status byte (0..255) or -errno. */
int client_get_status(int fd);

/** client_set_u64() - SET_FEATURES and SET_BACKEND_FEATURES. */
int client_set_u64(int fd, unsigned long req, uint64_t value);

/** client_get_u64() - GET_FEATURES and GET_BACKEND_FEATURES; @value only on success. */
int client_get_u64(int fd, unsigned long req, uint64_t *value);

/** client_get_config() - read @len bytes of device config at @off into @buf (at most 1024). */
int client_get_config(int fd, uint32_t off, void *buf, uint32_t len);

/** client_set_config() - write @len bytes of device config at @off (at most 1024). */
int client_set_config(int fd, uint32_t off, const void *buf, uint32_t len);

/* ---- IOTLB messages ---- */

/**
 * client_iotlb_send() - write one v2 message
 * @type: VHOST_IOTLB_*; @perm: VHOST_ACCESS_*
 * Return: 0; -errno of write(); -EPROTO if the device took another number of bytes.
 */
int client_iotlb_send(int fd, uint32_t asid, uint8_t type, const struct vhost_iotlb_msg *body);

/** client_iotlb_map() - UPDATE [iova, iova + size) to @uaddr with @perm. */
int client_iotlb_map(int fd, uint32_t asid, uint64_t iova, uint64_t size, const void *uaddr,
		     uint8_t perm);

/** client_iotlb_unmap() - INVALIDATE every entry that touches [iova, iova + size). */
int client_iotlb_unmap(int fd, uint32_t asid, uint64_t iova, uint64_t size);

/** client_iotlb_batch() - BATCH_BEGIN or BATCH_END. */
int client_iotlb_batch(int fd, uint32_t asid, bool begin);

/* ---- memory ---- */

enum client_mem_kind {
	CLIENT_MEM_MEMFD,       /* shared memfd, as a VMM's share=on backend */
	CLIENT_MEM_SHARED_ANON, /* MAP_SHARED | MAP_ANONYMOUS */
	CLIENT_MEM_PRIVATE,     /* private anonymous, as a VMM's default RAM */
};

/** A piece of client memory, page aligned, zeroed and faulted in. */
struct client_mem {
	void *addr;
	size_t size; /* bytes, whole pages */
	int memfd;   /* -1 unless CLIENT_MEM_MEMFD */
};

/** client_mem_create() - map @size bytes of @kind. Return: 0 or -errno. */
int client_mem_create(struct client_mem *mem, size_t size, enum client_mem_kind kind);

/** client_mem_destroy() - unmap and close; idempotent, accepts a zeroed object. */
void client_mem_destroy(struct client_mem *mem);

/* ---- split virtqueue, driver side ---- */

#define CLIENT_RING_MAX 1024

/**
 * A split virtqueue in client memory. The areas lie behind one another in @base:
 * descriptors, available ring, used ring; the device sees them at @iova.
 */
struct client_ring {
	uint32_t idx;  /* device's vq index */
	uint32_t num;  /* power of two, at most CLIENT_RING_MAX */
	uint64_t iova; /* of @base */
	uint8_t *base;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t avail_idx; /* next available index to publish */
	uint16_t used_idx;  /* next used index to read */
	uint16_t free_head;
	uint16_t nr_free;
	int kick_fd; /* eventfds, owned; -1 until client_ring_attach() */
	int call_fd;
	uint16_t next[CLIENT_RING_MAX];      /* free list and chain order, private copy */
	uint16_t chain_len[CLIENT_RING_MAX]; /* descriptors of the chain at this head */
};

/** One piece of a buffer chain. */
struct client_buf {
	uint64_t iova;
	uint32_t len;
	bool device_writes;
};

/** client_ring_size() - bytes that a ring of @num entries takes, a multiple of 64. */
size_t client_ring_size(uint32_t num);

/**
 * client_ring_init() - lay an empty ring into client memory
 * @base: client_ring_size(@num) bytes, 16-byte aligned
 * @start: avail and used index to start from
 */
void client_ring_init(struct client_ring *ring, uint32_t idx, uint32_t num, void *base,
		      uint64_t iova, uint16_t start);

/** client_ring_fini() - close the eventfds; the memory stays the caller's. */
void client_ring_fini(struct client_ring *ring);

/**
 * client_ring_attach() - give the ring to the device: NUM, BASE, ADDR, KICK, CALL
 * The device starts at the first chain that was not popped, so chains added before count.
 * Creates the eventfds on first use. ENABLE is the caller's. Return: 0 or -errno.
 */
int client_ring_attach(struct client_ring *ring, int fd);

/** client_ring_attach_without_base() - the same without BASE: the device starts where it is */
int client_ring_attach_without_base(struct client_ring *ring, int fd);

/**
 * client_ring_add() - publish one chain of buffers
 * @head: [out] identifies the chain in client_ring_pop(); may be NULL
 * Return: 0; -ENOSPC without enough free descriptors; -EINVAL for an empty chain.
 */
int client_ring_add(struct client_ring *ring, const struct client_buf *bufs, unsigned nr,
		    uint16_t *head);

/** client_ring_kick() - signal the kick eventfd. */
int client_ring_kick(struct client_ring *ring);

/**
 * client_ring_pop() - take one completed chain
 * Return: 1 with @head and @len (either may be NULL), 0 if none, -EPROTO for a bad id.
 */
int client_ring_pop(struct client_ring *ring, uint16_t *head, uint32_t *len);

/** client_ring_pending() - number of completions not popped yet. */
uint16_t client_ring_pending(const struct client_ring *ring);

/**
 * client_ring_wait() - wait until client_ring_pending() is not 0
 * Return: 0; -ETIMEDOUT after @timeout_ms; -errno of poll().
 */
int client_ring_wait(struct client_ring *ring, int timeout_ms);

/* ---- a whole network device ---- */

struct client_net_opts {
	uint64_t features;         /* 0: VERSION_1 | ACCESS_PLATFORM | what is needed for @ctrl */
	uint64_t backend_features; /* 0: MSG_V2 | BATCH */
	uint32_t ring_size;        /* 0: 256, or the device's maximum if smaller */
	size_t data_size;          /* bytes of buffer space behind the rings, 0: 1 MiB */
	uint64_t iova;             /* where client memory starts for the device */
	enum client_mem_kind kind;
	bool ctrl; /* set up the control queue (index 2) too */
};

enum { CLIENT_NET_RX, CLIENT_NET_TX, CLIENT_NET_CTRL, CLIENT_NET_NR };

/** A network device that one client drives; everything in it is owned. */
struct client_net {
	int fd;
	struct client_mem mem; /* rings, then data */
	uint64_t iova;         /* of @mem */
	size_t data_off;       /* first byte behind the rings */
	unsigned nr_rings;     /* 2, or 3 with the control queue */
	struct client_ring ring[CLIENT_NET_NR];
};

/**
 * client_net_start() - open @path and bring a network device up to DRIVER_OK
 * Steps: owner, features, backend features, memory, one IOTLB batch, rings, enable.
 * Return: 0 or -errno, with everything undone.
 */
int client_net_start(struct client_net *net, const char *path, const struct client_net_opts *opts);

/** client_net_stop() - reset, close and free; accepts a failed or zeroed object. */
void client_net_stop(struct client_net *net);

/** client_net_iova() - device address of @off bytes behind the start of the data area. */
uint64_t client_net_iova(const struct client_net *net, size_t off);

/** client_net_data() - the client's address of the same byte. */
void *client_net_data(const struct client_net *net, size_t off);

#endif
