// SPDX-License-Identifier: BSD-3-Clause
/*
 * Is a mapping made of huge pages alone (hugetlbfs)? Such pages are never swapped, and the kernel
 * keeps no lock for them. PROCMAP_QUERY has the answer. The text of the process's map has not, but
 * it has the file's device, and each hugetlbfs has a device of its own:
 *
 *   the kernel's own   one for each size of huge page: MAP_HUGETLB and MFD_HUGETLB. A memfd tells
 *                      its device, and needs no huge page for that
 *   mounted            /proc/thread-self/mountinfo has device and type
 *
 * Limit: before kernel 6.11, a file on a hugetlbfs that is not mounted where this process can see
 * it is not recognised.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/fd.h"
#include "memory/internal.h"

#define MFD_SIZE_SHIFT 26 /* linux/memfd.h: the logarithm of the page's size is above it */
#define LOG_SIZE_MIN   14u
#define LOG_SIZE_MAX   34u

/* Devices as in struct memory_map, by the page's size; 0: no such pages. const after once */
static uint64_t kernels_own[LOG_SIZE_MAX + 1];

static void find_kernels_own(void)
{
	struct stat st;

	for (unsigned int log_size = LOG_SIZE_MIN; log_size <= LOG_SIZE_MAX; log_size++) {
		int fd = memfd_create("holdfast",
				      MFD_CLOEXEC | MFD_HUGETLB | log_size << MFD_SIZE_SHIFT);

		if (fd >= 0 && fstat(fd, &st) == 0)
			kernels_own[log_size] = (uint64_t)major(st.st_dev) << 32 | minor(st.st_dev);
		fd_close(&fd);
	}
}

static bool is_kernels_own(uint64_t dev)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, find_kernels_own);
	for (unsigned int log_size = LOG_SIZE_MIN; log_size <= LOG_SIZE_MAX; log_size++)
		if (kernels_own[log_size] == dev)
			return true;
	return false;
}

/* "36 35 98:0 /root /mount/point rw,noatime master:1 - type source options" */
static bool is_hugetlbfs_line(const char *line, uint64_t dev)
{
	const char *type = strstr(line, " - ");
	unsigned int dev_major, dev_minor;

	return type && strncmp(type, " - hugetlbfs ", 13) == 0 &&
	       sscanf(line, "%*u %*u %u:%u", &dev_major, &dev_minor) == 2 &&
	       ((uint64_t)dev_major << 32 | dev_minor) == dev;
}

static bool is_mounted(uint64_t dev)
{
	FILE *mounts = fopen("/proc/thread-self/mountinfo", "re");
	bool found = false;
	char *line = NULL;
	size_t room = 0;

	while (mounts && !found && getline(&line, &room, mounts) > 0)
		found = is_hugetlbfs_line(line, dev);
	free(line);
	if (mounts)
		fclose(mounts);
	return found;
}

bool memory_map_is_huge(const struct memory_map *map)
{
	return map->huge || (map->by_text && map->ino != 0 &&
			     (is_kernels_own(map->dev) || is_mounted(map->dev)));
}
