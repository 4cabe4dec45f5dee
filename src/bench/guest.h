// SPDX-License-Identifier: BSD-3-Clause
/*
 * Memory of a guest as the benches need it: of any size on a small machine, and locked where this
 * process may. Owns nothing. Used by the benches of devices. Thread rule: any.
 */
#ifndef HOLDFAST_BENCH_GUEST_H
#define HOLDFAST_BENCH_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

/**
 * bench_guest_map() - @size bytes of address space, one file mapped again and again behind one
 * another
 * @fd:       [borrowed] a file of @file_len bytes
 * @out:      munmap() of @size bytes takes it away
 *
 * For a device, the IOTLB and the page tables that is the full size; only the pages themselves are
 * shared. Return: 0; -ENOMEM
 */
int bench_guest_map(int fd, uint64_t file_len, uint64_t size, char **out) HF_MUST_CHECK;

/**
 * bench_may_pin() - may this process lock @bytes, with its limit as far up as it goes?
 * @bench: name of the bench. Where the answer is no, one line tells that memory stays unpinned.
 */
bool bench_may_pin(const char *bench, uint64_t bytes);

#endif
