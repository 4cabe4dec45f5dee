// SPDX-License-Identifier: BSD-3-Clause
/* Plain copies in and out of a chain's pieces. */
#include <string.h>

#include "ring/ring.h"

size_t ring_chain_read(const struct ring_chain *chain, size_t off, void *dst, size_t len)
{
	size_t done = 0;

	for (uint32_t i = 0; i < chain->nr_out && done < len; i++) {
		const struct iovec *piece = &chain->out[i];
		size_t part;

		if (off >= piece->iov_len) {
			off -= piece->iov_len;
			continue;
		}
		part = piece->iov_len - off;
		if (part > len - done)
			part = len - done;
		memcpy((char *)dst + done, (const char *)piece->iov_base + off, part);
		done += part;
		off = 0;
	}
	return done;
}

size_t ring_chain_write(const struct ring_chain *chain, size_t off, const void *src, size_t len)
{
	size_t done = 0;

	for (uint32_t i = 0; i < chain->nr_in && done < len; i++) {
		const struct iovec *piece = &chain->in[i];
		size_t part;

		if (off >= piece->iov_len) {
			off -= piece->iov_len;
			continue;
		}
		part = piece->iov_len - off;
		if (part > len - done)
			part = len - done;
		memcpy((char *)piece->iov_base + off, (const char *)src + done, part);
		done += part;
		off = 0;
	}
	return done;
}
