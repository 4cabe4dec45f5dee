// SPDX-License-Identifier: BSD-3-Clause
/*
 * getdents64(2) past libc, on the folder /dev. The nodes come before the kernel's entries: a
 * listing begins at position 0, so nothing need be remembered of it. What has gone through libc is
 * listed by wrap_dir.c, whose own calls are not caught.
 */
#include "real.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "frontends/preload/node.h"
#include "frontends/preload/path.h"
#include "frontends/preload/preload.h"
#include "frontends/preload/raw.h"

#define ENTRY_LEN 40u   /* of a node's: the longest name of one fits */
#define NODES_LEN 8192u /* of all of them: what does not fit is not shown */
#define REST_LEN  512u  /* for the kernel: an entry with the longest name takes 280 bytes */

_Static_assert(offsetof(struct dirent64, d_name) + sizeof(NODE_NAME "1023") <= ENTRY_LEN,
	       "a node's entry");

/* The nodes that the folder @fd does not have itself, at most @len bytes. Return: bytes */
static size_t fill(int fd, char *at, size_t len)
{
	size_t used = 0;
	struct stat st;

	for (unsigned int minor = 0; minor < PRELOAD_NR_NODES_MAX && len - used >= ENTRY_LEN;
	     minor++) {
		struct dirent64 *entry = (struct dirent64 *)(at + used);

		if (!node_exists(minor))
			continue;
		memset(entry, 0, ENTRY_LEN);
		snprintf(entry->d_name, ENTRY_LEN - offsetof(struct dirent64, d_name),
			 NODE_NAME "%u", minor);
		if (real()->fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		entry->d_ino = node_ino(minor);
		entry->d_type = DT_CHR;
		entry->d_reclen = ENTRY_LEN;
		used += ENTRY_LEN;
	}
	return used;
}

/* Return: can the client's buffer be written to? */
static bool give(void *to, const void *from, size_t len)
{
	struct iovec here = {(void *)(uintptr_t)from, len}, there = {to, len};

	return process_vm_writev(getpid(), &here, 1, &there, 1, 0) == (ssize_t)len;
}

long raw_list_serve(const uint64_t args[RAW_NR_ARGS])
{
	_Alignas(struct dirent64) char nodes[NODES_LEN];
	size_t len = (unsigned int)args[2], used = 0;
	int fd = (int)args[0];
	char *buf = (void *)(uintptr_t)args[1];
	long rc;

	if (len > REST_LEN && real()->lseek(fd, 0, SEEK_CUR) == 0)
		used = fill(fd, nodes,
			    len - REST_LEN < sizeof(nodes) ? len - REST_LEN : sizeof(nodes));
	rc = real()->syscall(SYS_getdents64, fd, buf + used, len - used);
	if (rc < 0 || used == 0)
		return rc;
	if (give(buf, nodes, used))
		return rc + (long)used;
	errno = EFAULT;
	return -1;
}

bool raw_list_is_ours(const uint64_t args[RAW_NR_ARGS])
{
	return path_is_dev((int)args[0]);
}
