// SPDX-License-Identifier: BSD-3-Clause
/*
 * Arithmetic on numbers that come from guests and clients. Ranges are inclusive, [first, last], so
 * that the last byte of the 64-bit space can be named. Pure functions; any thread.
 */
#ifndef HOLDFAST_BASE_OVERFLOW_H
#define HOLDFAST_BASE_OVERFLOW_H

#include <stdbool.h>
#include <stdint.h>

/**
 * range_last() - inclusive end of a range given by its length
 * @first: first byte
 * @len:   bytes, at least 1
 * @last:  [out] first + len - 1; written only on success
 * Return: false if @len is 0 or the end does not fit in 64 bits.
 */
static inline bool range_last(uint64_t first, uint64_t len, uint64_t *last)
{
	uint64_t end;

	if (len == 0 || __builtin_add_overflow(first, len - 1, &end))
		return false;
	*last = end;
	return true;
}

/** range_overlaps() - do two inclusive ranges share a byte? */
static inline bool range_overlaps(uint64_t a_first, uint64_t a_last, uint64_t b_first,
				  uint64_t b_last)
{
	return a_first <= b_last && b_first <= a_last;
}

/** range_contains() - does [first, last] contain [in_first, in_last]? */
static inline bool range_contains(uint64_t first, uint64_t last, uint64_t in_first,
				  uint64_t in_last)
{
	return first <= in_first && in_first <= in_last && in_last <= last;
}

#endif
