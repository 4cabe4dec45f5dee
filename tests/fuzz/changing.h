// SPDX-License-Identifier: BSD-3-Clause
/*
 * Put before the ring's sources where they are compiled for fuzz_ring.c: every load and store of
 * shared memory tells the target first. So the target can change memory between any two loads, at
 * the same place each time an input runs, and sees what is touched.
 */
#ifndef HOLDFAST_TESTS_FUZZ_CHANGING_H
#define HOLDFAST_TESTS_FUZZ_CHANGING_H

void fuzz_before_load(const volatile void *p, unsigned long len);
void fuzz_before_store(const volatile void *p, unsigned long len);

#define __atomic_load_n(p, order) (fuzz_before_load(p, sizeof(*(p))), __atomic_load_n(p, order))
#define __atomic_store_n(p, v, order)                                                              \
	(fuzz_before_store(p, sizeof(*(p))), __atomic_store_n(p, v, order))

#endif
