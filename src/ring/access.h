// SPDX-License-Identifier: BSD-3-Clause
/*
 * The one way to touch memory that is shared with the other side of a ring: little-endian wrapper
 * types, and relaxed, acquire and release accesses to them. A value is loaded once, into a local,
 * and only the local is used from then on. Owns nothing. Used by both sides of the ring; any
 * thread.
 */
#ifndef HOLDFAST_RING_ACCESS_H
#define HOLDFAST_RING_ACCESS_H

#include <endian.h>
#include <stdint.h>

#include "base/compiler.h"

typedef struct {
	uint16_t raw;
} le16;
typedef struct {
	uint32_t raw;
} le32;
typedef struct {
	uint64_t raw;
} le64;

static inline uint16_t le16_load(const le16 *p)
{
	return le16toh(__atomic_load_n(&p->raw, __ATOMIC_RELAXED));
}

static inline uint16_t le16_load_acquire(const le16 *p)
{
	return le16toh(__atomic_load_n(&p->raw, __ATOMIC_ACQUIRE));
}

static inline void le16_store(le16 *p, uint16_t v)
{
	__atomic_store_n(&p->raw, htole16(v), __ATOMIC_RELAXED);
}

static inline void le16_store_release(le16 *p, uint16_t v)
{
	__atomic_store_n(&p->raw, htole16(v), __ATOMIC_RELEASE);
}

static inline uint32_t le32_load(const le32 *p)
{
	return le32toh(__atomic_load_n(&p->raw, __ATOMIC_RELAXED));
}

static inline uint32_t le32_load_acquire(const le32 *p)
{
	return le32toh(__atomic_load_n(&p->raw, __ATOMIC_ACQUIRE));
}

static inline void le32_store(le32 *p, uint32_t v)
{
	__atomic_store_n(&p->raw, htole32(v), __ATOMIC_RELAXED);
}

static inline void le32_store_release(le32 *p, uint32_t v)
{
	__atomic_store_n(&p->raw, htole32(v), __ATOMIC_RELEASE);
}

static inline uint64_t le64_load(const le64 *p)
{
	return le64toh(__atomic_load_n(&p->raw, __ATOMIC_RELAXED));
}

static inline void le64_store(le64 *p, uint64_t v)
{
	__atomic_store_n(&p->raw, htole64(v), __ATOMIC_RELAXED);
}

/* Copy bytes that may be unaligned, each loaded once. */
static inline void access_copy_bytes(void *dst, const void *src, unsigned int len)
{
	const unsigned char *from = src;
	unsigned char *to = dst;

	for (unsigned int i = 0; i < len; i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

/*
 * Orders an earlier store before a later load, which acquire and release do not (R3, R4). The
 * thread sanitizer does not model fences and gcc refuses them there; a read-modify-write of a
 * private word is as strong on the processor, and all that the sanitizer must know is in the loads
 * and stores.
 */
static inline void access_full_fence(void)
{
#if HF_TSAN
	uint32_t word = 0;

	(void)__atomic_fetch_add(&word, 1, __ATOMIC_SEQ_CST);
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

#endif
