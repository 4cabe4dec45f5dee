// SPDX-License-Identifier: BSD-3-Clause
/*
 * A thin io_uring for one thread: operations are prepared, submitted in one system call, and their
 * ends are collected. It speaks to the kernel by itself. liburing would be one more library that
 * every client of the preload library loads, and Debian's static archive of it cannot be linked
 * into a shared one.
 *
 * Owns: the ring's descriptor and its shared memory. Does not own the descriptors and the buffers
 * of operations.
 *
 * Thread rule: the thread that called uring_create() uses the ring. Any thread may destroy it, once
 * nothing is in flight.
 */
#ifndef HOLDFAST_BASE_URING_H
#define HOLDFAST_BASE_URING_H

#include <linux/io_uring.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

struct uring;

/** uring_create() - @entries: operations that may be in flight at once, a power of two
 * Return: 0; -errno: -ENOSYS, -EPERM and -EACCES where the kernel, a setting or a sandbox forbids
 * it */
int uring_create(unsigned int entries, struct uring **out) HF_MUST_CHECK;
/** uring_destroy() - nothing is in flight; NULL is fine */
void uring_destroy(struct uring *ring);

/** uring_prepare() - a zeroed operation, the next to be submitted. Return: NULL if the ring is
 * full */
struct io_uring_sqe *uring_prepare(struct uring *ring);

/** uring_nr_free() - how many more operations uring_prepare() has room for */
unsigned int uring_nr_free(const struct uring *ring);

/**
 * uring_submit() - hand over what was prepared, and wait until something has ended
 * @wait_ns: at most so long; 0: do not wait
 * Return: 0: all of it was taken, also if nothing has ended in time; -errno: what was not taken
 * stays prepared
 */
int uring_submit(struct uring *ring, int64_t wait_ns) HF_MUST_CHECK;

/** uring_has_news() - has something ended that uring_submit() has not told yet? No system call.
 * Kernels before 6.1 may tell late, in the next uring_submit() */
bool uring_has_news(const struct uring *ring);

/** uring_take_back() - the newest operation that was prepared and not submitted is none any more
 * @data: its user_data. Return: was there one? */
bool uring_take_back(struct uring *ring, uint64_t *data);

/** uring_reap() - collect one end. @data: user_data of the operation; @res: its result, or -errno
 * Return: was there one? */
bool uring_reap(struct uring *ring, uint64_t *data, int32_t *res);

/** uring_nr_busy() - operations that were prepared and not reaped */
unsigned int uring_nr_busy(const struct uring *ring);

#endif
