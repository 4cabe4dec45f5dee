// SPDX-License-Identifier: BSD-3-Clause
/*
 * Find a card and take it: look at the PCI device in sysfs, load rdma-core's libraries and their
 * functions, and open the card by VFIO. Each step that fails says what is missing.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/refuse.h"
#include "devx_internal.h"

#define VENDOR 0x15b3

struct mlx5_devx_paths mlx5_devx_paths = {
	.verbs = "libibverbs.so.1",
	.mlx5 = "libmlx5.so.1",
	.sysfs = "/sys/bus/pci/devices",
};

static int load_library(struct mlx5_devx *d, int nth, const char *path)
{
	d->lib[nth] = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!d->lib[nth])
		return refuse(-ENOSYS,
			      "pci %s: %s: install rdma-core's libraries (Debian: "
			      "ibverbs-providers)",
			      d->pci, dlerror());
	return 0;
}

static int load_function(struct mlx5_devx *d, int lib, const char *path, const char *name,
			 void *member)
{
	void *fn = dlsym(d->lib[lib], name);

	if (!fn)
		return refuse(-ENOSYS, "pci %s: %s lacks %s: rdma-core 40 or later is needed",
			      d->pci, path, name);
	memcpy(member, &fn, sizeof(fn));
	return 0;
}

static int load(struct mlx5_devx *d)
{
	int err = load_library(d, 0, mlx5_devx_paths.verbs);

	if (!err)
		err = load_library(d, 1, mlx5_devx_paths.mlx5);
#define LOAD_VERBS(result, name, args)                                                             \
	if (!err)                                                                                  \
		err = load_function(d, 0, mlx5_devx_paths.verbs, #name, &d->fn.name);
#define LOAD_MLX5(result, name, args)                                                              \
	if (!err)                                                                                  \
		err = load_function(d, 1, mlx5_devx_paths.mlx5, #name, &d->fn.name);
	RDMA_VERBS(LOAD_VERBS)
	RDMA_MLX5(LOAD_MLX5)
	return err;
}

/* A number in a file of the device's folder. Return: 0; -errno */
static int read_number(const char *pci, const char *file, unsigned long *value)
{
	char path[512], text[32];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s/%s", mlx5_devx_paths.sysfs, pci, file);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	*value = fgets(text, sizeof(text), f) ? strtoul(text, NULL, 0) : 0;
	(void)fclose(f);
	return 0;
}

/* Is it there, one of this maker's, and free for us? */
static int look_at_device(const char *pci)
{
	char path[512], driver[512];
	const char *name = "no driver";
	unsigned long vendor = 0;
	ssize_t n;
	int err = read_number(pci, "vendor", &vendor);

	if (err == -ENOENT)
		return refuse(-ENODEV, "pci %s: there is no such device", pci);
	if (err)
		return refuse(err, "pci %s: %s", pci, strerror(-err));
	if (vendor != VENDOR)
		return refuse(-ENODEV, "pci %s: its vendor is 0x%04lx, a ConnectX card has 0x%x",
			      pci, vendor, VENDOR);
	(void)snprintf(path, sizeof(path), "%s/%s/driver", mlx5_devx_paths.sysfs, pci);
	n = readlink(path, driver, sizeof(driver) - 1);
	if (n > 0) {
		driver[n] = '\0';
		name = strrchr(driver, '/') ? strrchr(driver, '/') + 1 : driver;
	}
	if (strcmp(name, "vfio-pci") != 0)
		return refuse(-EBUSY, "pci %s: it has %s, and needs the driver vfio-pci", pci,
			      name);
	return 0;
}

static int open_context(struct mlx5_devx *d)
{
	struct rdma_vfio_attr attr = {.pci_name = d->pci};
	struct rdma_device **list;
	int err;

	errno = 0;
	list = d->fn.mlx5dv_get_vfio_device_list(&attr);
	if (!list || !list[0]) {
		err = errno ? -errno : -ENODEV;
		if (list)
			d->fn.ibv_free_device_list(list);
		return refuse(err, "pci %s: the library cannot take it by VFIO: %s%s", d->pci,
			      strerror(-err),
			      err == -EACCES || err == -EPERM ? " (permission of /dev/vfio/GROUP)"
							      : "");
	}
	errno = 0;
	d->ctx = d->fn.ibv_open_device(list[0]);
	err = errno ? -errno : -EIO;
	d->fn.ibv_free_device_list(list);
	if (d->ctx)
		return 0;
	return refuse(err, "pci %s: the card cannot be opened: %s%s", d->pci, strerror(-err),
		      err == -EACCES || err == -EPERM ? " (permission of /dev/vfio/GROUP)" : "");
}

int mlx5_devx_find(struct mlx5_devx *d)
{
	int err = look_at_device(d->pci);

	if (!err)
		err = load(d);
	return err ? err : open_context(d);
}

void mlx5_devx_leave(struct mlx5_devx *d)
{
	if (d->ctx)
		(void)d->fn.ibv_close_device(d->ctx);
	for (int i = 1; i >= 0; i--)
		if (d->lib[i])
			(void)dlclose(d->lib[i]);
}
