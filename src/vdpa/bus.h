// SPDX-License-Identifier: BSD-3-Clause
/*
 * The bus: devices by name, bus drivers, and which is bound to which. Owns the list of devices (one
 * reference each). Bus drivers are linked in by whoever creates the bus. Lock order: bus, then
 * device. Thread rule: any control thread.
 */
#ifndef HOLDFAST_VDPA_BUS_H
#define HOLDFAST_VDPA_BUS_H

#include "base/compiler.h"
#include "vdpa/device.h"

struct vdpa_bus;

struct vdpa_driver {
	const char *name;
	/** Return: 0; a negative errno leaves the device unbound. Bus lock held. */
	int (*probe)(struct vdpa_device *dev);
	/** the device goes away or moves to another driver, in use or not; on return the driver
	 * does not touch it. Bus lock held. */
	void (*remove)(struct vdpa_device *dev);
	/** [o] management deleted the device: as remove, but what a client has open goes on until
	 * it closes it ([9-4]). NULL: remove does it. Bus lock held. */
	void (*let_go)(struct vdpa_device *dev);
	/** the same, but only from a device that nobody uses. Return: 0; -EBUSY with refuse(), and
	 * nothing has changed. NULL: as remove(). Bus lock held. */
	int (*remove_idle)(struct vdpa_device *dev);
};

/** vdpa_bus_create() - @space: [shared] what 1:1 means for devices on this bus. Return: 0;
 * -ENOMEM */
int vdpa_bus_create(struct memory_space *space, struct vdpa_bus **out) HF_MUST_CHECK;
/** vdpa_bus_destroy() - unregisters what is left; NULL is fine */
void vdpa_bus_destroy(struct vdpa_bus *bus);
struct memory_space *vdpa_bus_space(struct vdpa_bus *bus);

/** vdpa_driver_register() - then offers it every unbound device. Return: 0; -EEXIST; -ENOMEM */
int vdpa_driver_register(struct vdpa_bus *bus, const struct vdpa_driver *drv) HF_MUST_CHECK;

/**
 * vdpa_device_init() - before the parent may use @dev's lock and domain; after the parent fields
 * are set Checks the operations table (mandatory ones, pairs, set_map xor dma_map). Return: 0;
 * -EINVAL with refuse() naming the operation; -ENOMEM. On failure the parent frees its memory
 * itself; after success the way back is vdpa_device_put(), which calls the parent's free().
 */
int vdpa_device_init(struct vdpa_device *dev, struct vdpa_bus *bus) HF_MUST_CHECK;

/**
 * vdpa_device_register() - put on the bus; takes over the caller's reference on success
 * Return: 0; -EEXIST a device of that name. Then the first driver whose probe agrees is bound.
 */
int vdpa_device_register(struct vdpa_device *dev) HF_MUST_CHECK;
/** vdpa_device_unregister() - at most once a device; driver's remove, then off the bus and one
 * reference down */
void vdpa_device_unregister(struct vdpa_device *dev);

/** vdpa_device_delete() - as vdpa_device_unregister(), but for what the driver's let_go leaves to a
 * client.
 * Return: 0; -ENODEV not on the bus (any more) */
int vdpa_device_delete(struct vdpa_device *dev) HF_MUST_CHECK;

/** vdpa_bus_find() - Return: a device with one more reference, or NULL */
struct vdpa_device *vdpa_bus_find(struct vdpa_bus *bus, const char *name);
/** vdpa_bus_for_each() - visit in registration order, bus lock held; stops at non-zero, which it
 * returns */
int vdpa_bus_for_each(struct vdpa_bus *bus, int (*fn)(void *arg, struct vdpa_device *dev),
		      void *arg);

/** __vdpa_bus_for_each() - the same, for a driver's probe and remove, which hold the bus lock */
int __vdpa_bus_for_each(struct vdpa_bus *bus, int (*fn)(void *arg, struct vdpa_device *dev),
			void *arg);

/** vdpa_ops_check() - is the operations table complete and consistent? Return: 0; -EINVAL with
 * refuse() */
int vdpa_ops_check(const struct vdpa_config_ops *ops) HF_MUST_CHECK;

/** vdpa_bind() - as sysfs bind, [8-1]. Return: 0; -ENODEV no such driver, or another is the
 * override; -EBUSY bound already; the probe's error */
int vdpa_bind(struct vdpa_device *dev, const char *driver) HF_MUST_CHECK;
/** vdpa_unbind() - as sysfs unbind. Return: 0; -ENODEV not bound; -EBUSY somebody has it open,
 * where the kernel waits: close it first, or use vdpa_unbind_force() */
int vdpa_unbind(struct vdpa_device *dev) HF_MUST_CHECK;
/** vdpa_unbind_force() - take it away from whoever has it open; their calls give -ENODEV from then
 * on.
 * Return: 0; -ENODEV not bound */
int vdpa_unbind_force(struct vdpa_device *dev) HF_MUST_CHECK;
/** vdpa_set_driver_override() - NULL or "" clears. Return: 0; -ENODEV; -ENOMEM */
int vdpa_set_driver_override(struct vdpa_device *dev, const char *driver) HF_MUST_CHECK;

#endif
