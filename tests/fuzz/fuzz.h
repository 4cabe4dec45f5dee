// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the fuzz targets share. A target is one source with LLVMFuzzerTestOneInput(). libFuzzer
 * brings a main() of its own; main.c is the one for AFL++ and for replaying a corpus. The same
 * bytes lead to the same calls, so an input that failed once can be kept and replayed.
 *
 * A target reads its input as a row of numbers. Behind the end of the input all numbers are 0, and
 * fuzz_more() is false.
 */
#ifndef HOLDFAST_TESTS_FUZZ_H
#define HOLDFAST_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

/* Run one input. Return: 0 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Once, before the first input; what a target cannot do without is checked here. Return: 0 */
int LLVMFuzzerInitialize(int *argc, char ***argv);

struct fuzz_input {
	const uint8_t *at; /* [left] */
	size_t left;       /* bytes */
};

/* A condition that no input may break. */
#define fuzz_check(cond)                                                                           \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			(void)fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #cond); \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static inline bool fuzz_more(const struct fuzz_input *in)
{
	return in->left > 0;
}

/* The next @len bytes, little-endian. */
static inline uint64_t fuzz_number(struct fuzz_input *in, unsigned int len)
{
	uint64_t v = 0;

	for (unsigned int i = 0; i < len && in->left > 0; i++, in->left--)
		v |= (uint64_t)*in->at++ << (8 * i);
	return v;
}

static inline uint8_t fuzz_u8(struct fuzz_input *in)
{
	return (uint8_t)fuzz_number(in, 1);
}

static inline uint16_t fuzz_u16(struct fuzz_input *in)
{
	return (uint16_t)fuzz_number(in, 2);
}

static inline uint32_t fuzz_u32(struct fuzz_input *in)
{
	return (uint32_t)fuzz_number(in, 4);
}

static inline uint64_t fuzz_u64(struct fuzz_input *in)
{
	return fuzz_number(in, 8);
}

/* 0 .. @n - 1, from one byte up to 256 and from two above. */
static inline uint32_t fuzz_below(struct fuzz_input *in, uint32_t n)
{
	return (uint32_t)fuzz_number(in, n > 256 ? 2 : 1) % n;
}

/* Copies up to @len bytes. Return: bytes copied */
static inline size_t fuzz_bytes(struct fuzz_input *in, void *dst, size_t len)
{
	size_t n = len < in->left ? len : in->left;

	if (n > 0)
		memcpy(dst, in->at, n);
	in->at += n;
	in->left -= n;
	return n;
}

#endif
