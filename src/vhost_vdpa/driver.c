// SPDX-License-Identifier: BSD-3-Clause
/*
 * The bus driver: which devices it takes and under which minor number. A binding lives from probe
 * to remove; the one open session hangs on it. Opening takes the device lock alone: dev->drvdata
 * changes with that lock held too, so an open and a remove see each other whole.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/refuse.h"
#include "vhost_vdpa/session.h"

struct minor_search {
	unsigned int wanted;
	struct vdpa_device *found; /* has @wanted, or NULL */
};

/* Which of WINDOW minors from @first on are taken, a bit each. */
#define WINDOW 1024u
struct minor_set {
	unsigned int first;
	uint64_t taken[WINDOW / 64];
};

/* Bus lock held, which is enough to read driver and drvdata. */
static int match_minor(void *arg, struct vdpa_device *dev)
{
	struct minor_search *search = arg;
	const struct binding *b = dev->drvdata;

	if (dev->driver != &vhost_vdpa_driver || !b || b->minor != search->wanted)
		return 0;
	search->found = dev;
	return 1;
}

/* For vhost_vdpa_find(): take the reference while the bus lock keeps the device there. */
static int match_minor_and_get(void *arg, struct vdpa_device *dev)
{
	int ret = match_minor(arg, dev);

	if (ret)
		vdpa_device_get(dev);
	return ret;
}

static int note_minor(void *arg, struct vdpa_device *dev)
{
	const struct binding *b = dev->drvdata;
	struct minor_set *set = arg;

	if (dev->driver == &vhost_vdpa_driver && b && b->minor >= set->first &&
	    b->minor - set->first < WINDOW)
		set->taken[(b->minor - set->first) / 64] |= 1ULL << (b->minor - set->first) % 64;
	return 0;
}

/* The lowest that is free: one walk over the bus for so many. Bus lock held. */
static unsigned int free_minor(struct vdpa_bus *bus)
{
	for (struct minor_set set = {0};; set = (struct minor_set){.first = set.first + WINDOW}) {
		(void)__vdpa_bus_for_each(bus, note_minor, &set);
		for (unsigned int i = 0; i < WINDOW; i++)
			if (!(set.taken[i / 64] >> i % 64 & 1))
				return set.first + i;
	}
}

static int vhost_vdpa_probe(struct vdpa_device *dev)
{
	struct binding *b;

	if (vdpa_device_mapping(dev) == VDPA_MAPPING_PLATFORM && (dev->ngroups > 1 || dev->nas > 1))
		return refuse(-EOPNOTSUPP,
			      "%s translates by the platform IOMMU, which has one address space, "
			      "and has %u groups and %u address spaces",
			      dev->name, dev->ngroups, dev->nas);
	b = calloc(1, sizeof(*b));
	if (!b)
		return refuse(-ENOMEM, "no memory to bind %s", dev->name);
	b->minor = free_minor(dev->bus);
	mutex_lock(&dev->lock);
	dev->drvdata = b;
	vdpa_yield(dev); /* nobody has it open */
	mutex_unlock(&dev->lock);
	return 0;
}

static void vhost_vdpa_remove(struct vdpa_device *dev)
{
	struct binding *b;
	struct vhost_vdpa *s;

	mutex_lock(&dev->lock);
	b = dev->drvdata;
	s = b->session;
	if (s)
		session_end_of(dev, s, VDPA_RESET_REMOVED);
	dev->drvdata = NULL;
	mutex_unlock(&dev->lock);
	free(b);
}

/* [9-4]: the open session holds the device, and nobody can open it again. Its release finds no
 * binding. */
static void vhost_vdpa_let_go(struct vdpa_device *dev)
{
	struct binding *b;

	mutex_lock(&dev->lock);
	b = dev->drvdata;
	dev->drvdata = NULL;
	mutex_unlock(&dev->lock);
	free(b);
}

/* The kernel waits here until the client closes; a bus that waited for a client could be made to
 * hang. */
static int vhost_vdpa_remove_idle(struct vdpa_device *dev)
{
	struct binding *b;
	int ret = 0;

	mutex_lock(&dev->lock);
	b = dev->drvdata;
	if (b->session) {
		ret = refuse(-EBUSY, "device %s is open as vhost-vdpa-%u: close it first",
			     dev->name, b->minor);
		b = NULL;
	} else {
		dev->drvdata = NULL;
	}
	mutex_unlock(&dev->lock);
	free(b);
	return ret;
}

const struct vdpa_driver vhost_vdpa_driver = {
	.name = "vhost_vdpa",
	.probe = vhost_vdpa_probe,
	.remove = vhost_vdpa_remove,
	.let_go = vhost_vdpa_let_go,
	.remove_idle = vhost_vdpa_remove_idle,
};

struct vdpa_device *vhost_vdpa_find(struct vdpa_bus *bus, unsigned int minor)
{
	struct minor_search search = {.wanted = minor};

	(void)vdpa_bus_for_each(bus, match_minor_and_get, &search);
	return search.found;
}

int vhost_vdpa_minor(struct vdpa_device *dev)
{
	int ret;

	mutex_lock(&dev->lock);
	if (dev->driver == &vhost_vdpa_driver && dev->drvdata)
		ret = (int)((const struct binding *)dev->drvdata)->minor;
	else
		ret = refuse(-ENODEV, "device %s is not bound to vhost_vdpa", dev->name);
	mutex_unlock(&dev->lock);
	return ret;
}

/* ---- the one open session ---- */

/* Hang @s on its device's binding and start it. */
static int session_attach(struct vhost_vdpa *s) REQUIRES(s->dev->lock)
{
	struct binding *b = s->dev->drvdata;
	int ret;

	if (s->dev->removed || s->dev->driver != &vhost_vdpa_driver || !b)
		return refuse(-ENODEV, "device %s is not bound to vhost_vdpa", s->dev->name);
	if (b->session)
		return refuse(-EBUSY, "device %s is open already", s->dev->name);
	ret = session_start(s);
	if (!ret)
		b->session = s;
	return ret;
}

int vhost_vdpa_open(struct vdpa_device *dev, struct vhost_vdpa **out)
{
	struct vhost_vdpa *s = session_alloc(dev);
	int ret;

	if (!s)
		return refuse(-ENOMEM, "%s: no memory for a session", dev->name);
	mutex_lock(&s->dev->lock);
	ret = session_attach(s);
	mutex_unlock(&s->dev->lock);
	if (ret) {
		session_free(s);
		return ret;
	}
	HF_TRACE1(open, dev->name);
	*out = s;
	return 0;
}

void vhost_vdpa_release(struct vhost_vdpa *s)
{
	struct binding *b;

	if (!s)
		return;
	HF_TRACE1(release, s->dev->name);
	mutex_lock(&s->dev->lock);
	session_end(s, VDPA_RESET_CLOSE);
	b = s->dev->driver == &vhost_vdpa_driver ? s->dev->drvdata : NULL;
	if (b && b->session == s)
		b->session = NULL;
	mutex_unlock(&s->dev->lock);
	session_free(s);
}
