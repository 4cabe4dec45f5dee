// SPDX-License-Identifier: BSD-3-Clause
/*
 * The parent side of a vDPA device: the table of operations that a parent driver fills in. Names
 * and meanings are those of the Linux kernel's vdpa_config_ops; what differs is said at the field.
 *
 * A bus driver (vhost_vdpa, virtio_vdpa) calls these; a parent never calls up except through the
 * callbacks it was given. The table is constant and carries its size, so that it can grow: new
 * operations go to its end (parent.h says how a shorter table is completed).
 *
 * Thread rule: all operations of one device are called under its device lock, one at a time, from
 * threads that may block, except kick_vq, which may come from any thread at any time. A parent must
 * not take the device lock. Callbacks given by set_vq_cb and set_config_cb may be called from any
 * thread of the parent; when the operation that replaces one has returned, the old one is not
 * running and will not be called.
 */
#ifndef HOLDFAST_VDPA_H
#define HOLDFAST_VDPA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct iotlb_entry;
struct iotlb_version;
struct memory_space;
struct vdpa_device;
struct worker;

struct vdpa_callback {
	void (*fn)(void *arg); /* NULL: none */
	void *arg;
};

/* Who wants to know what the device writes. */
struct vdpa_dirty_log {
	/** bytes [@first, @first + @len) were written, @len > 0; any thread of the parent, after
	 * the write. NULL: nobody */
	void (*mark)(void *arg, uint64_t first, uint64_t len);
	void *arg;
};

/* Position of a virtqueue. Split: last_avail is the free-running avail index, last_used is not
 * used. Packed: bit 15 of each is the wrap counter. */
struct vdpa_vq_state {
	uint16_t last_avail;
	uint16_t last_used;
};

struct vdpa_iova_range {
	uint64_t first, last; /* inclusive */
};

/* compat_reset flags */
#define VDPA_RESET_F_CLEAN_MAP 1u /* also drop all mappings, as parents of old did */

/* get_backend_features bits, beside those that follow from the operations present */
#define VDPA_BACKEND_F_ENABLE_AFTER_DRIVER_OK (1ULL << 6)
#define VDPA_BACKEND_F_IOTLB_PERSIST          (1ULL << 8)

/* One counter of a virtqueue, for people and monitoring. */
struct vdpa_vq_stat {
	const char *name; /* "rx packets"; constant */
	uint64_t value;
};

#define VDPA_VQ_STATS_MAX 16

/**
 * struct vdpa_config_ops - what a parent can do
 *
 * [m] mandatory, [o] optional (NULL allowed). Errors are negative errno values. @idx: virtqueue,
 * 0..nvqs-1, checked by the caller.
 */
struct vdpa_config_ops {
	size_t size; /* sizeof(struct vdpa_config_ops) */

	/* ---- virtqueues ---- */
	/** [m] ring addresses: descriptor table, driver area, device area. They need not be mapped
	 * yet. */
	int (*set_vq_address)(struct vdpa_device *dev, uint16_t idx, uint64_t desc, uint64_t driver,
			      uint64_t device);
	void (*set_vq_num)(struct vdpa_device *dev, uint16_t idx, uint32_t num); /* [m] */
	void (*kick_vq)(struct vdpa_device *dev, uint16_t idx); /* [m] any thread */
	/** [m] how to tell the driver of used buffers */
	void (*set_vq_cb)(struct vdpa_device *dev, uint16_t idx, const struct vdpa_callback *cb);
	void (*set_vq_ready)(struct vdpa_device *dev, uint16_t idx, bool ready); /* [m] */
	bool (*get_vq_ready)(struct vdpa_device *dev, uint16_t idx);             /* [m] */
	/** [m] position to start from; refused (-EBUSY) where it cannot be changed now */
	int (*set_vq_state)(struct vdpa_device *dev, uint16_t idx,
			    const struct vdpa_vq_state *state);
	int (*get_vq_state)(struct vdpa_device *dev, uint16_t idx,
			    struct vdpa_vq_state *state); /* [m] */
	/** [o] the worker on which kicks of this virtqueue are best delivered (ours; the kernel has
	 * no such operation); NULL: the caller polls by itself and calls kick_vq */
	struct worker *(*get_vq_worker)(struct vdpa_device *dev, uint16_t idx);
	uint32_t (*get_vq_group)(struct vdpa_device *dev, uint16_t idx); /* [o] */
	uint32_t (*get_vq_desc_group)(struct vdpa_device *dev,
				      uint16_t idx); /* [o] rings' own group */

	/* ---- device ---- */
	uint64_t (*get_device_features)(struct vdpa_device *dev);  /* [m] */
	uint64_t (*get_backend_features)(struct vdpa_device *dev); /* [o] VDPA_BACKEND_F_* */
	int (*set_driver_features)(struct vdpa_device *dev,
				   uint64_t features);            /* [m] -EINVAL: refused */
	uint64_t (*get_driver_features)(struct vdpa_device *dev); /* [m] what was really taken */
	void (*set_config_cb)(struct vdpa_device *dev, const struct vdpa_callback *cb); /* [m] */
	uint16_t (*get_vq_num_max)(struct vdpa_device *dev);            /* [m] entries */
	uint16_t (*get_vq_num_min)(struct vdpa_device *dev);            /* [o] entries */
	uint16_t (*get_vq_size)(struct vdpa_device *dev, uint16_t idx); /* [o] entries in use */
	uint32_t (*get_device_id)(struct vdpa_device *dev);             /* [m] virtio id */
	uint32_t (*get_vendor_id)(struct vdpa_device *dev);             /* [m] */
	uint8_t (*get_status)(struct vdpa_device *dev);                 /* [m] */
	/** [m] never 0: that is reset. On return the device acts by the new status. */
	void (*set_status)(struct vdpa_device *dev, uint8_t status);
	/** [m] the virtio device as new; mappings stay. On return no queue touches memory. */
	int (*reset)(struct vdpa_device *dev);
	/** [o] only for parents that used to drop mappings in reset: VDPA_RESET_F_* */
	int (*compat_reset)(struct vdpa_device *dev, uint32_t flags);
	int (*suspend)(struct vdpa_device *dev);            /* [o] on return nothing is in flight */
	int (*resume)(struct vdpa_device *dev);             /* [o] */
	size_t (*get_config_size)(struct vdpa_device *dev); /* [m] bytes */
	void (*get_config)(struct vdpa_device *dev, size_t off, void *buf, size_t len); /* [m] */
	void (*set_config)(struct vdpa_device *dev, size_t off, const void *buf,
			   size_t len);                                    /* [m] */
	uint32_t (*get_generation)(struct vdpa_device *dev);               /* [o] of the config */
	struct vdpa_iova_range (*get_iova_range)(struct vdpa_device *dev); /* [o] default: all */

	/* ---- dirty log: ours, the kernel has no such operations; both or none ---- */
	/** [o, pairs] tell @log of every byte written through address space 0 from now on, in rings
	 * and buffers, until another log is given; a reset does not change it. On return the log
	 * before is not being told and will not be. */
	void (*set_dirty_log)(struct vdpa_device *dev, const struct vdpa_dirty_log *log);
	/** [o, pairs] @own: the device area of a virtqueue is logged as if it lay at @addr,
	 * whatever its address space; else at its IOVA, as all the rest. A reset makes it the
	 * latter. */
	void (*set_vq_log_addr)(struct vdpa_device *dev, uint16_t idx, bool own, uint64_t addr);

	/* ---- DMA: set_map, or dma_map with dma_unmap, or none (platform IOMMU) ---- */
	/** [o] bind a group to an address space; lost at every reset */
	int (*set_group_asid)(struct vdpa_device *dev, uint32_t group, uint32_t asid);
	/** [o] the whole new map of an address space; keep a reference and use iotlb_diff() against
	 * the last one to do only what changed. On return the device uses nothing of the old
	 * map that is not in @map, on error neither. On error the device goes on with the old map,
	 * if @map has all of it, or reaches nothing through this address space. Where that keeps
	 * it from going on, it says NEEDS_RESET. The caller of an UPDATE then gives the old map
	 * again; after an INVALIDATE or a batch, @map is what the client has, and is given again
	 * before DRIVER_OK. */
	int (*set_map)(struct vdpa_device *dev, uint32_t asid, const struct iotlb_version *map);
	int (*dma_map)(struct vdpa_device *dev, uint32_t asid,
		       const struct iotlb_entry *entry); /* [o] */
	/** [o] on return the device does not reach the range any more; on error it reaches what it
	 * did, and the client is told */
	int (*dma_unmap)(struct vdpa_device *dev, uint32_t asid, uint64_t first, uint64_t last);
	/** [o] back to the initial map (1:1 if that is how the device starts). Called only when
	 * vhost_vdpa lets the address space go, never by a reset. */
	int (*reset_map)(struct vdpa_device *dev, uint32_t asid);
	/** [o, pairs] the client's address space, for devices that use client addresses */
	int (*bind_mm)(struct vdpa_device *dev, struct memory_space *space);
	void (*unbind_mm)(struct vdpa_device *dev);

	/** [m] last call; frees the parent's device. No lock is held. */
	void (*free)(struct vdpa_device *dev);

	/** [o] the counters of a virtqueue, in any status (the kernel's writes a netlink message).
	 * @stats: [out] room for VDPA_VQ_STATS_MAX. Return: how many were written; -EINVAL not a
	 * queue of this device as it is negotiated */
	int (*get_vendor_vq_stats)(struct vdpa_device *dev, uint16_t idx,
				   struct vdpa_vq_stat *stats);

	/** [o] of a parent without set_map and dma_map (ours; the kernel has no such operation):
	 * the platform IOMMU translates otherwise from now on, so a queue that found its ring
	 * unmapped may look again */
	void (*domain_changed)(struct vdpa_device *dev);
};

#endif
