// SPDX-License-Identifier: BSD-3-Clause
#include "bench/guest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>

int bench_guest_map(int fd, uint64_t file_len, uint64_t size, char **out)
{
	char *base =
		mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		return -ENOMEM;
	for (uint64_t off = 0; off < size; off += file_len) {
		uint64_t len = size - off < file_len ? size - off : file_len;

		if (mmap(base + off, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
		    MAP_FAILED) {
			munmap(base, size);
			return -ENOMEM;
		}
	}
	*out = base;
	return 0;
}

static void raise_memlock(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_MEMLOCK, &limit);
}

/*
 * Asked of the kernel by locking address space that has no pages: an unpopulated MLOCK_ONFAULT
 * range counts against the limit like any other and costs nothing.
 */
static bool may_lock(uint64_t bytes)
{
	void *range =
		mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	bool may;

	if (range == MAP_FAILED)
		return false;
	may = mlock2(range, bytes, MLOCK_ONFAULT) == 0;
	munmap(range, bytes);
	return may;
}

bool bench_may_pin(const char *bench, uint64_t bytes)
{
	raise_memlock();
	if (may_lock(bytes))
		return true;
	if (!getenv("HOLDFAST_DEVICES")) /* the second life under the library says nothing twice */
		fprintf(stderr,
			"holdfast bench %s: this process may not lock %" PRIu64
			" MiB (RLIMIT_MEMLOCK): memory stays unpinned (memory va)\n",
			bench, bytes >> 20);
	return false;
}
