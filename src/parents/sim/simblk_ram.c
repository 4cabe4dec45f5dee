// SPDX-License-Identifier: BSD-3-Clause
/*
 * The backend that is memory of this process. Pages cost something once they are written, and are
 * given back when they are discarded or zeroed.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/refuse.h"
#include "simblk_internal.h"

#define PAGE 4096ULL

static int ram_open(struct simblk *blk, const char *args, const struct vdpa_dev_config *config)
{
	uint64_t len = config->given & VDPA_KEY_CAPACITY ? config->capacity : SIMBLK_RAM_LEN;
	char *ram;

	if (*args)
		return refuse(-EINVAL, "backend ram takes no options, got '%s'", args);
	ram = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		   -1, 0);
	if (ram == MAP_FAILED)
		return refuse(-errno, "capacity %llu: a RAM disk of that size cannot be had: %s",
			      (unsigned long long)len, strerror(errno));
	blk->ram = ram;
	blk->quick = true;
	blk->len = len;
	return 0;
}

static void ram_close(struct simblk *blk)
{
	if (blk->ram)
		(void)munmap(blk->ram, blk->len);
}

static int ram_read(struct simblk *blk, uint64_t off, struct iovec *iov, unsigned int n)
{
	for (unsigned int i = 0; i < n; off += iov[i].iov_len, i++)
		memcpy(iov[i].iov_base, blk->ram + off, iov[i].iov_len);
	return 0;
}

static int ram_write(struct simblk *blk, uint64_t off, struct iovec *iov, unsigned int n)
{
	for (unsigned int i = 0; i < n; off += iov[i].iov_len, i++)
		memcpy(blk->ram + off, iov[i].iov_base, iov[i].iov_len);
	return 0;
}

static int ram_flush(struct simblk *blk)
{
	(void)blk;
	return 0;
}

/* Whole pages are dropped and read as zeros then; where they cannot be (locked memory), they are
 * written. */
static int ram_zero(struct simblk *blk, uint64_t off, uint64_t len, bool unmap)
{
	uint64_t first = (off + PAGE - 1) & ~(PAGE - 1), end = (off + len) & ~(PAGE - 1);

	if (!unmap || first >= end || madvise(blk->ram + first, end - first, MADV_DONTNEED) != 0) {
		memset(blk->ram + off, 0, len);
		return 0;
	}
	memset(blk->ram + off, 0, first - off);
	memset(blk->ram + end, 0, off + len - end);
	return 0;
}

static int ram_discard(struct simblk *blk, uint64_t off, uint64_t len)
{
	return ram_zero(blk, off, len, true);
}

const struct simblk_backend_ops simblk_ram = {
	.name = "ram",
	.open = ram_open,
	.close = ram_close,
	.read = ram_read,
	.write = ram_write,
	.flush = ram_flush,
	.discard = ram_discard,
	.zero = ram_zero,
};
