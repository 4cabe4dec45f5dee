// SPDX-License-Identifier: BSD-3-Clause
/*
 * Sizes as people write them: 4096, 0x200, 64K, 1G.
 *
 * Thread rule: any thread; nothing is kept.
 */
#ifndef HOLDFAST_BASE_SIZE_H
#define HOLDFAST_BASE_SIZE_H

#include <stdint.h>

#include "base/compiler.h"

/** size_parse() - read a number with an optional K, M, G or T (or k, m, g, t) for powers of 1024
 *
 * @text: begins with a digit; decimal, 0x... or 0...
 * @end: [out] [borrowed] the first character behind it, for the caller to look at
 * @out: [out] bytes; as it was after an error
 *
 * Return: 0; -EINVAL: no digit; -ERANGE: 2^64 or more
 */
int size_parse(const char *text, const char **end, uint64_t *out) HF_MUST_CHECK;

/** size_parse_bare() - the same, without suffix */
int size_parse_bare(const char *text, const char **end, uint64_t *out) HF_MUST_CHECK;

#endif
