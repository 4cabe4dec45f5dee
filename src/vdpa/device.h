// SPDX-License-Identifier: BSD-3-Clause
/*
 * A vDPA device as the bus and bus drivers see it. A parent embeds it as the first member of its
 * own structure, fills in the fields marked "parent" and registers it (vdpa/bus.h).
 *
 * Owns: its lock, the platform domain. Thread rule: parent fields are const after registration; the
 * rest is under @lock unless said otherwise.
 */
#ifndef HOLDFAST_VDPA_DEVICE_H
#define HOLDFAST_VDPA_DEVICE_H

#include <holdfast/vdpa.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/compiler.h"
#include "base/mutex.h"
#include "base/trace.h"
#include "iotlb/iotlb.h"
#include "memory/memory.h"
#include "vdpa/deviations.h"

#define VDPA_NAME_MAX 31

struct vdpa_bus;
struct vdpa_driver;
struct vdpa_mgmt_dev;

struct vdpa_device {
	/* parent */
	const struct vdpa_config_ops *ops;
	char name[VDPA_NAME_MAX + 1];
	uint32_t nvqs;                /* virtqueues, >= 1 */
	uint32_t ngroups;             /* >= 1 */
	uint32_t nas;                 /* address spaces, >= 1 */
	enum memory_mode memory_mode; /* va: the kernel's use_va device; pinned: its PA device */
	uint64_t
		/* bytes, or MEMORY_HOLD_*; pinned memory that may wait for its next map */
		hold_budget;
	/* pins are not held against RLIMIT_MEMLOCK, only by mlock(2) itself */
	bool memlock_unlimited;
	size_t max_iotlb_entries;         /* entries per address space */
	uint32_t deviations;              /* enum vdpa_deviation bits */
	const struct vdpa_mgmt_dev *mgmt; /* [lent] what made it, or NULL */

	/* bus */
	struct mutex lock;    /* the device lock: all parent operations but kick_vq */
	struct vdpa_bus *bus; /* set by vdpa_device_init(), NULL once unregistered; @lock */
	TAILQ_ENTRY(vdpa_device) link; /* in the bus's list; bus lock */
	bool registered;               /* in that list; bus lock */
	/* Bound bus driver or NULL, and its own data. Written with bus lock and @lock, read with
	 * either. */
	const struct vdpa_driver *driver;
	void *drvdata;
	char *driver_override; /* [owned] or NULL; bus lock */
	unsigned int refs;     /* atomic; the last put calls ops->free */
	bool removed;          /* unregistered; @lock */
	bool features_valid;   /* set_driver_features was called since the last reset; @lock */
	/* A reset is about to be made. A parent that is asked to suspend, or for a position, need
	 * not wait for what is under way: it may fail that or do it again. Atomic; written under
	 * @lock */
	bool resetting;

	/* Translation of a parent without set_map and dma_map: the platform IOMMU. 1:1 until a bus
	 * driver attaches its domain. NULL for other parents. Readers: RCU. */
	struct iotlb *domain;
	const struct iotlb_version
		*identity_map;      /* 1:1, for vdpa_domain_detach(); const after init */
	struct memory_space *space; /* [shared] what 1:1 means: IOVA = address in this space */
};

/* Call an operation of the parent that is present; every call of every operation passes this trace
 * point. */
#define VDPA_CALL(dev, op, ...)                                                                    \
	({                                                                                         \
		HF_TRACE2(parent_op, (dev)->name, #op);                                            \
		(dev)->ops->op((dev)__VA_OPT__(, ) __VA_ARGS__);                                   \
	})

enum vdpa_mapping { VDPA_MAPPING_SET_MAP, VDPA_MAPPING_DMA_MAP, VDPA_MAPPING_PLATFORM };

static inline bool vdpa_deviates(const struct vdpa_device *dev, enum vdpa_deviation bit)
{
	return (dev->deviations & bit) != 0;
}

/** vdpa_device_mapping() - which of the three styles the parent's operations make it */
static inline enum vdpa_mapping vdpa_device_mapping(const struct vdpa_device *dev)
{
	if (dev->ops->set_map)
		return VDPA_MAPPING_SET_MAP;
	return dev->ops->dma_map ? VDPA_MAPPING_DMA_MAP : VDPA_MAPPING_PLATFORM;
}

struct vdpa_device *vdpa_device_get(struct vdpa_device *dev);
/** vdpa_device_put() - NULL is fine; the last reference frees the parent's device */
void vdpa_device_put(struct vdpa_device *dev);

/* ---- what every bus driver does, around the operations; device lock held ---- */

/** vdpa_set_features() - Return: 0, or the parent's error; marks the features valid on any
 * outcome */
int vdpa_set_features(struct vdpa_device *dev, uint64_t features) HF_MUST_CHECK REQUIRES(dev->lock);
/** vdpa_get_config() - reading before any feature was set first sets none, as the kernel does
 * ([1-13]); @off and @len checked by the caller */
void vdpa_get_config(struct vdpa_device *dev, size_t off, void *buf, size_t len)
	REQUIRES(dev->lock);
/** vdpa_claim() - before a device is used: take what lies behind it. Return: 0; -errno with
 * refuse() in words, another process may have it */
int vdpa_claim(struct vdpa_device *dev) HF_MUST_CHECK REQUIRES(dev->lock);
/** vdpa_yield() - nobody uses the device: others may have what lies behind it */
void vdpa_yield(struct vdpa_device *dev) REQUIRES(dev->lock);
/** vdpa_iova_range() - the parent's answer or the whole space */
struct vdpa_iova_range vdpa_iova_range(struct vdpa_device *dev);

/** vdpa_domain_create() / vdpa_domain_destroy() - by vdpa_device_init() and the last put; for
 * platform devices alone. Return: 0; -ENOMEM */
int vdpa_domain_create(struct vdpa_device *dev) HF_MUST_CHECK;
void vdpa_domain_destroy(struct iotlb *domain, const struct iotlb_version *identity_map);
/** vdpa_domain_attach() - platform devices: an empty map replaces 1:1. Return: 0; -ENOMEM. No-op
 * for others. */
int vdpa_domain_attach(struct vdpa_device *dev) HF_MUST_CHECK REQUIRES(dev->lock);
/** vdpa_domain_assign() - platform devices: the domain takes @map; on return nobody uses what it
 * had before, and the parent knows. Return: 0; -ENOSPC or -ENOMEM, nothing changed */
int vdpa_domain_assign(struct vdpa_device *dev, const struct iotlb_version *map) HF_MUST_CHECK
	REQUIRES(dev->lock);
/** vdpa_domain_detach() - platform devices: back to 1:1 */
void vdpa_domain_detach(struct vdpa_device *dev) REQUIRES(dev->lock);

#endif
