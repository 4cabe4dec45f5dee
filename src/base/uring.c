// SPDX-License-Identifier: BSD-3-Clause
/*
 * The kernel and this file share two rings of indices in one mapping, and an array of operations in
 * another. Each index has one writer; a release store of it pairs with the reader's acquire load.
 *
 * Never more operations are out than the ring has entries, and the completion ring has twice as
 * many, so no completion is ever lost or kept back.
 *
 * A ring that only one thread uses lets the kernel put off the work of a completion until this
 * thread asks for it (DEFER_TASKRUN, Linux 6.1), so no completion interrupts the thread. Older
 * kernels refuse the flags, and the ring is made without them.
 *
 * No file is registered with the ring. That would spare each operation a reference on the file, but
 * a registered file stays open, and locked, until the kernel has taken the ring apart, some time
 * after the close.
 */
#include "base/uring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

/* Headers before Linux 6.1. */
#ifndef IORING_SETUP_TASKRUN_FLAG
#define IORING_SETUP_TASKRUN_FLAG (1U << 9)
#endif
#ifndef IORING_SQ_TASKRUN
#define IORING_SQ_TASKRUN (1U << 2)
#endif
#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif

struct uring {
	int fd;
	unsigned int entries;
	unsigned int tail;     /* of the submission ring: what was prepared */
	unsigned int nr_ready; /* prepared, not submitted */
	unsigned int nr_out;   /* submitted, not reaped */
	void *rings;           /* [rings_len], shared with the kernel */
	size_t rings_len, sqes_len;
	struct io_uring_sqe *sqes;                 /* [entries], shared */
	unsigned int *sq_tail, *sq_array, sq_mask; /* atomic; [entries]; const */
	unsigned int *sq_flags;                    /* atomic */
	unsigned int *cq_head, *cq_tail, cq_mask;  /* atomic; atomic; const */
	struct io_uring_cqe *cqes;                 /* [2 * entries], shared */
};

static int setup(unsigned int entries, struct io_uring_params *params)
{
	static const unsigned int flags[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		0};
	int fd = -1;

	for (size_t i = 0; fd < 0 && i < ARRAY_LEN(flags); i++) {
		*params = (struct io_uring_params){.flags = flags[i]};
		fd = (int)syscall(SYS_io_uring_setup, entries, params);
		if (fd < 0 && errno != EINVAL)
			break;
	}
	return fd_move_up(fd);
}

static void *map(const struct uring *ring, size_t len, off_t what)
{
	void *p =
		mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd, what);

	return p == MAP_FAILED ? NULL : p;
}

static int share(struct uring *ring, const struct io_uring_params *p)
{
	size_t sq_len = p->sq_off.array + p->sq_entries * sizeof(unsigned int);
	size_t cq_len = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	char *base;

	/* All that is wanted here came with Linux 5.11. */
	if (!(p->features & IORING_FEAT_SINGLE_MMAP) || !(p->features & IORING_FEAT_EXT_ARG))
		return -ENOSYS;
	ring->entries = p->sq_entries;
	ring->rings_len = sq_len > cq_len ? sq_len : cq_len;
	ring->rings = map(ring, ring->rings_len, IORING_OFF_SQ_RING);
	if (!ring->rings)
		return -errno;
	ring->sqes_len = p->sq_entries * sizeof(struct io_uring_sqe);
	ring->sqes = map(ring, ring->sqes_len, IORING_OFF_SQES);
	if (!ring->sqes)
		return -errno;
	base = ring->rings;
	ring->sq_tail = (unsigned int *)(base + p->sq_off.tail);
	ring->sq_array = (unsigned int *)(base + p->sq_off.array);
	ring->sq_flags = (unsigned int *)(base + p->sq_off.flags);
	ring->sq_mask = p->sq_entries - 1;
	ring->cq_head = (unsigned int *)(base + p->cq_off.head);
	ring->cq_tail = (unsigned int *)(base + p->cq_off.tail);
	ring->cq_mask = p->cq_entries - 1;
	ring->cqes = (struct io_uring_cqe *)(base + p->cq_off.cqes);
	return 0;
}

int uring_create(unsigned int entries, struct uring **out)
{
	struct uring *ring = calloc(1, sizeof(*ring));
	struct io_uring_params params;
	int err;

	if (!ring)
		return -ENOMEM;
	ring->fd = setup(entries, &params);
	err = ring->fd < 0 ? -errno : share(ring, &params);
	if (err) {
		uring_destroy(ring);
		return err;
	}
	*out = ring;
	return 0;
}

/* Whoever has closed our descriptor may have one of his own there by now. Any other file does not
 * take this call. */
static bool is_ours(int fd)
{
	return syscall(SYS_io_uring_enter, fd, 0, 0, 0, NULL, 0) >= 0 ||
	       (errno != EBADF && errno != EOPNOTSUPP);
}

void uring_destroy(struct uring *ring)
{
	if (!ring)
		return;
	if (ring->sqes)
		(void)munmap(ring->sqes, ring->sqes_len);
	if (ring->rings)
		(void)munmap(ring->rings, ring->rings_len);
	if (ring->fd >= 0 && is_ours(ring->fd))
		fd_close(&ring->fd);
	free(ring);
}

unsigned int uring_nr_free(const struct uring *ring)
{
	return ring->entries - ring->nr_ready - ring->nr_out;
}

struct io_uring_sqe *uring_prepare(struct uring *ring)
{
	unsigned int idx = ring->tail & ring->sq_mask;
	struct io_uring_sqe *sqe = &ring->sqes[idx];

	if (uring_nr_free(ring) == 0)
		return NULL;
	memset(sqe, 0, sizeof(*sqe));
	ring->sq_array[idx] = idx;
	ring->tail++;
	ring->nr_ready++;
	return sqe;
}

bool uring_take_back(struct uring *ring, uint64_t *data)
{
	if (ring->nr_ready == 0)
		return false;
	ring->nr_ready--;
	ring->tail--;
	*data = ring->sqes[ring->tail & ring->sq_mask].user_data;
	/* Release: as in uring_submit(). The kernel reads the index in a call of this thread. */
	__atomic_store_n(ring->sq_tail, ring->tail, __ATOMIC_RELEASE);
	return true;
}

static bool has_ends(const struct uring *ring)
{
	/* Acquire pairs with the kernel's release of a completion. */
	return __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE) != *ring->cq_head;
}

bool uring_has_news(const struct uring *ring)
{
	return has_ends(ring) ||
	       (__atomic_load_n(ring->sq_flags, __ATOMIC_RELAXED) & IORING_SQ_TASKRUN);
}

/* Return: operations taken, or -errno */
static int enter(struct uring *ring, int64_t wait_ns)
{
	struct __kernel_timespec ts = {.tv_sec = wait_ns / NS_PER_SEC,
				       .tv_nsec = wait_ns % NS_PER_SEC};
	struct io_uring_getevents_arg arg = {.ts = (uintptr_t)&ts};
	unsigned int flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
	long ret = syscall(SYS_io_uring_enter, ring->fd, ring->nr_ready, wait_ns > 0 ? 1 : 0, flags,
			   &arg, sizeof(arg));

	return ret < 0 ? -errno : (int)ret;
}

int uring_submit(struct uring *ring, int64_t wait_ns)
{
	int ret;

	/* Release: the kernel reads an operation after the index that hands it over. */
	__atomic_store_n(ring->sq_tail, ring->tail, __ATOMIC_RELEASE);
	/* Behind an operation that it refuses the kernel takes no other in the same call, and does
	 * not wait. */
	do {
		ret = enter(ring, has_ends(ring) ? 0 : wait_ns);
		if (ret == -ETIME || ret == -EINTR)
			ret = 0; /* only of a wait for which nothing was left to submit */
		if (ret < 0)
			return ret;
		ring->nr_ready -= (unsigned int)ret;
		ring->nr_out += (unsigned int)ret;
	} while (ring->nr_ready > 0 && ret > 0);
	return ring->nr_ready > 0 ? -EAGAIN : 0;
}

bool uring_reap(struct uring *ring, uint64_t *data, int32_t *res)
{
	unsigned int head = *ring->cq_head;
	const struct io_uring_cqe *cqe = &ring->cqes[head & ring->cq_mask];

	if (!has_ends(ring))
		return false;
	*data = cqe->user_data;
	*res = cqe->res;
	/* Release: the entry was read before the kernel may write it again. */
	__atomic_store_n(ring->cq_head, head + 1, __ATOMIC_RELEASE);
	ring->nr_out--;
	return true;
}

unsigned int uring_nr_busy(const struct uring *ring)
{
	return ring->nr_ready + ring->nr_out;
}
