// SPDX-License-Identifier: BSD-3-Clause
#include "base/iov.h"

#include <string.h>

size_t iov_read(const struct iovec *iov, uint32_t nr, size_t off, void *dst, size_t len)
{
	struct iov_walk w = iov_walk_from(iov, nr, off, len);
	char *to = dst;

	for (; iov_walk_next(&w); to += w.len)
		memmove(to, iov_walk_base(&w), w.len);
	return len - (size_t)w.left;
}

size_t iov_write(const struct iovec *iov, uint32_t nr, size_t off, const void *src, size_t len)
{
	struct iov_walk w = iov_walk_from(iov, nr, off, len);
	const char *from = src;

	for (; iov_walk_next(&w); from += w.len)
		memmove(iov_walk_base(&w), from, w.len);
	return len - (size_t)w.left;
}
