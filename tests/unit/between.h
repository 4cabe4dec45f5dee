// SPDX-License-Identifier: BSD-3-Clause
/*
 * assert_between(): cmocka 2 deprecates the name assert_in_range, and its new names are not in 1.1.
 * For the tests; after cmocka.h.
 */
#ifndef HOLDFAST_TESTS_BETWEEN_H
#define HOLDFAST_TESTS_BETWEEN_H

#include <inttypes.h>
#include <stdint.h>

/* Fails the test unless @least <= @value <= @most; all three are unsigned. */
#define assert_between(value, least, most)                                                         \
	do {                                                                                       \
		uint64_t between_got = (value), between_from = (least), between_to = (most);       \
		if (between_got < between_from || between_got > between_to)                        \
			fail_msg("%s is %" PRIu64 ", not within %" PRIu64 " to %" PRIu64, #value,  \
				 between_got, between_from, between_to);                           \
	} while (0)

#endif
