// SPDX-License-Identifier: BSD-3-Clause
/*
 * What population wants to know of a range: is it there, and which of its pages are in the page
 * tables already, so that it need not look at each.
 * Private to this room. Owns a descriptor. Thread rule: open and close by one thread,
 * present_missing() by any number at once.
 */
#ifndef HOLDFAST_MEMORY_PRESENT_H
#define HOLDFAST_MEMORY_PRESENT_H

#include <stdbool.h>

#include "base/compiler.h"
#include "base/types.h"

struct present {
	int fd;         /* /proc/thread-self/pagemap; -1: nothing can be told */
	bool shared;    /* files that are mapped shared, all along */
	bool settles;   /* a page that is not missing needs nothing more */
	bool anonymous; /* ... and must be no file's, nor the page of zeros */
	bool quick;     /* by PAGEMAP_SCAN: a millisecond and a half a GiB */
};

/** present_check() - is all of [@first, @last] mapped, and permitted?
 * Return: 0; -EFAULT; another -errno where the map cannot be read; with a reason */
int present_check(uaddr_t first, uaddr_t last, bool write) HF_MUST_CHECK;

/* Nothing can be told. */
#define PRESENT_UNKNOWN ((struct present){.fd = -1})

/** present_open() - look at the mappings of [@first, @last], page aligned; cannot fail, but may
 * then know nothing */
void present_open(struct present *p, uaddr_t first, uaddr_t last, bool write);
void present_close(struct present *p);

/**
 * present_missing() - the first page of [@first, @last] that must be populated
 * Return: its address, or @last + 1; @first where nothing can be told
 */
uaddr_t present_missing(const struct present *p, uaddr_t first, uaddr_t last);

#endif
