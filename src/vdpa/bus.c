// SPDX-License-Identifier: BSD-3-Clause
/*
 * Devices by name and the drivers that take them. The first driver whose probe agrees gets a
 * device; a device's driver_override restricts it to one driver ([8-1]).
 *
 * Guarantees:
 * 1. A driver's probe and remove of one device alternate, under the bus lock.
 * 2. dev->driver and dev->drvdata change with both the bus lock and the device lock held, so either
 *    is enough to read them; a session that is opened while its driver is removed sees one or the
 *    other.
 * 3. When vdpa_device_unregister() returns, no driver touches the device, save for open sessions
 *    that hold a reference and only find dev->removed.
 * 4. Unbinding waits for nobody: it is refused while the device is in use, or, by force, ends that
 *    use.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/refuse.h"
#include "vdpa/bus.h"

#define MAX_DRIVERS 8

struct vdpa_bus {
	struct mutex lock;
	TAILQ_HEAD(vdpa_device_list, vdpa_device) devices; /* @lock; registration order */
	const struct vdpa_driver *drivers[MAX_DRIVERS];    /* @lock; loading order */
	size_t nr_drivers;
	struct memory_space *space; /* [shared] const */
};

int vdpa_bus_create(struct memory_space *space, struct vdpa_bus **out)
{
	struct vdpa_bus *bus = calloc(1, sizeof(*bus));

	if (!bus)
		return refuse(-ENOMEM, "no memory for a bus");
	mutex_init(&bus->lock);
	TAILQ_INIT(&bus->devices);
	bus->space = memory_space_get(space);
	*out = bus;
	return 0;
}

struct memory_space *vdpa_bus_space(struct vdpa_bus *bus)
{
	return bus->space;
}

static void set_driver(struct vdpa_device *dev, const struct vdpa_driver *drv)
{
	mutex_lock(&dev->lock);
	dev->driver = drv;
	mutex_unlock(&dev->lock);
}

static bool driver_matches(const struct vdpa_device *dev, const struct vdpa_driver *drv)
{
	return !dev->driver_override || strcmp(dev->driver_override, drv->name) == 0;
}

/* Bus lock held; @dev unbound. */
static int probe_one(struct vdpa_device *dev, const struct vdpa_driver *drv)
{
	int ret = drv->probe(dev);

	if (ret) {
		hf_dbg(dev->name, "driver %s does not take the device: %s", drv->name,
		       refuse_words(ret));
		return ret;
	}
	set_driver(dev, drv);
	hf_dbg(dev->name, "bound to %s", drv->name);
	return 0;
}

/* Why a driver is to let a device go. */
enum removal {
	REMOVE_IDLE,    /* unbound: not while it is in use */
	REMOVE_FORCED,  /* unbound or off the bus, in use or not */
	REMOVE_DELETED, /* by management, so that a client may keep what it has open */
};

/* Bus lock held. Return: 0; the driver's refusal, if @how is REMOVE_IDLE */
static int remove_one(struct vdpa_device *dev, enum removal how)
{
	int ret = 0;

	if (!dev->driver)
		return 0;
	if (how == REMOVE_IDLE && dev->driver->remove_idle)
		ret = dev->driver->remove_idle(dev);
	else if (how == REMOVE_DELETED && dev->driver->let_go)
		dev->driver->let_go(dev);
	else
		dev->driver->remove(dev);
	if (ret)
		return ret;
	hf_dbg(dev->name, "unbound from %s", dev->driver->name);
	set_driver(dev, NULL);
	return 0;
}

int vdpa_driver_register(struct vdpa_bus *bus, const struct vdpa_driver *drv)
{
	struct vdpa_device *dev;
	int ret = 0;

	mutex_lock(&bus->lock);
	for (size_t i = 0; i < bus->nr_drivers && !ret; i++)
		if (strcmp(bus->drivers[i]->name, drv->name) == 0)
			ret = refuse(-EEXIST, "there is a driver %s already", drv->name);
	if (!ret && bus->nr_drivers == MAX_DRIVERS)
		ret = refuse(-ENOMEM, "no room for driver %s: a bus takes %d", drv->name,
			     MAX_DRIVERS);
	if (!ret) {
		bus->drivers[bus->nr_drivers++] = drv;
		TAILQ_FOREACH (dev, &bus->devices, link)
			if (!dev->driver && driver_matches(dev, drv))
				(void)probe_one(dev, drv);
	}
	mutex_unlock(&bus->lock);
	return ret;
}

static struct vdpa_device *find_locked(struct vdpa_bus *bus, const char *name)
{
	struct vdpa_device *dev;

	TAILQ_FOREACH (dev, &bus->devices, link)
		if (strcmp(dev->name, name) == 0)
			return dev;
	return NULL;
}

int vdpa_device_register(struct vdpa_device *dev)
{
	struct vdpa_bus *bus = dev->bus;
	int ret = 0;

	mutex_lock(&bus->lock);
	if (find_locked(bus, dev->name)) {
		ret = refuse(-EEXIST, "there is a device \"%s\" already", dev->name);
	} else {
		TAILQ_INSERT_TAIL(&bus->devices, dev, link);
		dev->registered = true;
		for (size_t i = 0; i < bus->nr_drivers && !dev->driver; i++)
			if (driver_matches(dev, bus->drivers[i]))
				(void)probe_one(dev, bus->drivers[i]);
	}
	mutex_unlock(&bus->lock);
	return ret;
}

/* Bus lock held; the caller then drops the bus's reference. */
static void unregister_locked(struct vdpa_bus *bus, struct vdpa_device *dev, bool deleted)
{
	mutex_lock(&dev->lock);
	dev->removed = true;
	mutex_unlock(&dev->lock);
	(void)remove_one(dev, deleted ? REMOVE_DELETED : REMOVE_FORCED);
	TAILQ_REMOVE(&bus->devices, dev, link);
	dev->registered = false;
	mutex_lock(&dev->lock);
	dev->bus = NULL;
	mutex_unlock(&dev->lock);
}

void vdpa_device_unregister(struct vdpa_device *dev)
{
	struct vdpa_bus *bus = dev->bus;

	mutex_lock(&bus->lock);
	unregister_locked(bus, dev, false);
	mutex_unlock(&bus->lock);
	vdpa_device_put(dev);
}

/* The bus that a registered device is on, or NULL. */
static struct vdpa_bus *bus_of(struct vdpa_device *dev)
{
	struct vdpa_bus *bus;

	mutex_lock(&dev->lock);
	bus = dev->bus;
	mutex_unlock(&dev->lock);
	return bus;
}

int vdpa_device_delete(struct vdpa_device *dev)
{
	struct vdpa_bus *bus = bus_of(dev);
	bool there = false;

	if (bus) {
		mutex_lock(&bus->lock);
		there = dev->registered;
		if (there)
			unregister_locked(bus, dev, true);
		mutex_unlock(&bus->lock);
	}
	if (!there)
		return refuse(-ENODEV, "device %s is gone", dev->name);
	vdpa_device_put(dev);
	return 0;
}

void vdpa_bus_destroy(struct vdpa_bus *bus)
{
	struct vdpa_device *dev;

	if (!bus)
		return;
	while ((dev = TAILQ_LAST(&bus->devices, vdpa_device_list)) != NULL)
		vdpa_device_unregister(dev);
	memory_space_put(bus->space);
	mutex_fini(&bus->lock);
	free(bus);
}

struct vdpa_device *vdpa_bus_find(struct vdpa_bus *bus, const char *name)
{
	struct vdpa_device *dev;

	mutex_lock(&bus->lock);
	dev = find_locked(bus, name);
	if (dev)
		vdpa_device_get(dev);
	mutex_unlock(&bus->lock);
	return dev;
}

int __vdpa_bus_for_each(struct vdpa_bus *bus, int (*fn)(void *arg, struct vdpa_device *dev),
			void *arg)
{
	struct vdpa_device *dev;
	int ret = 0;

	TAILQ_FOREACH (dev, &bus->devices, link) {
		ret = fn(arg, dev);
		if (ret)
			break;
	}
	return ret;
}

int vdpa_bus_for_each(struct vdpa_bus *bus, int (*fn)(void *arg, struct vdpa_device *dev),
		      void *arg)
{
	int ret;

	mutex_lock(&bus->lock);
	ret = __vdpa_bus_for_each(bus, fn, arg);
	mutex_unlock(&bus->lock);
	return ret;
}

static const struct vdpa_driver *find_driver(const struct vdpa_bus *bus, const char *name)
{
	for (size_t i = 0; i < bus->nr_drivers; i++)
		if (strcmp(bus->drivers[i]->name, name) == 0)
			return bus->drivers[i];
	return NULL;
}

int vdpa_bind(struct vdpa_device *dev, const char *driver)
{
	struct vdpa_bus *bus = bus_of(dev);
	const struct vdpa_driver *drv;
	int ret;

	if (!bus)
		return refuse(-ENODEV, "device %s is gone", dev->name);
	mutex_lock(&bus->lock);
	drv = find_driver(bus, driver);
	if (!dev->registered)
		ret = refuse(-ENODEV, "device %s is not on the bus", dev->name);
	else if (!drv)
		ret = refuse(-ENODEV, "there is no driver \"%s\"", driver);
	else if (!driver_matches(dev, drv))
		ret = refuse(-ENODEV, "device %s is kept for driver %s by driver_override",
			     dev->name, dev->driver_override);
	else if (dev->driver)
		ret = refuse(-EBUSY, "device %s is bound to %s", dev->name, dev->driver->name);
	else
		ret = probe_one(dev, drv);
	mutex_unlock(&bus->lock);
	return ret;
}

static int unbind(struct vdpa_device *dev, enum removal how)
{
	struct vdpa_bus *bus = bus_of(dev);
	int ret;

	if (!bus)
		return refuse(-ENODEV, "device %s is gone", dev->name);
	mutex_lock(&bus->lock);
	if (dev->driver)
		ret = remove_one(dev, how);
	else
		ret = refuse(-ENODEV, "device %s is not bound", dev->name);
	mutex_unlock(&bus->lock);
	return ret;
}

int vdpa_unbind(struct vdpa_device *dev)
{
	return unbind(dev, REMOVE_IDLE);
}

int vdpa_unbind_force(struct vdpa_device *dev)
{
	return unbind(dev, REMOVE_FORCED);
}

int vdpa_set_driver_override(struct vdpa_device *dev, const char *driver)
{
	struct vdpa_bus *bus = bus_of(dev);
	char *copy = NULL;

	if (!bus)
		return refuse(-ENODEV, "device %s is gone", dev->name);
	if (driver && driver[0] != '\0') {
		copy = strdup(driver);
		if (!copy)
			return refuse(-ENOMEM, "no memory for a driver name");
	}
	mutex_lock(&bus->lock);
	free(dev->driver_override);
	dev->driver_override = copy;
	mutex_unlock(&bus->lock);
	return 0;
}
