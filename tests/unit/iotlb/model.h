// SPDX-License-Identifier: BSD-3-Clause
/*
 * The plain model that the iotlb is held against: a sorted array of entries, and checks of a
 * version against it, of a version's nodes among themselves, and of differences. Test code, one
 * thread.
 */
#ifndef HOLDFAST_TESTS_IOTLB_MODEL_H
#define HOLDFAST_TESTS_IOTLB_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "iotlb/iotlb.h"

struct model {
	struct iotlb_entry *entry; /* by address, no overlaps */
	size_t nr, room;
};

void model_fini(struct model *m);
void model_copy(struct model *dst, const struct model *src);
/* Index of the first entry whose last >= @from; nr if none */
size_t model_next(const struct model *m, iova_t from);
bool model_overlaps(const struct model *m, iova_t first, iova_t last);
/* @e overlaps nothing */
void model_map(struct model *m, const struct iotlb_entry *e);
size_t model_unmap(struct model *m, iova_t first, iova_t last);
/* Pieces of [@iova, @iova + @len - 1] as iotlb_translate() promises them, or its error */
int model_translate(const struct model *m, iova_t iova, uint64_t len, uint8_t perm,
		    struct iovec *iov, int max_iov);

void assert_same_entry(const struct iotlb_entry *a, const struct iotlb_entry *b);
/* All entries of @v by iotlb_version_next(), and the count */
void assert_version_is(const struct iotlb_version *v, const struct model *m);
/* All entries of the editing view of @tlb */
void assert_view_is(const struct iotlb *tlb, const struct model *m);
/* Order, exact keys, levels and counts of the nodes */
void assert_tree_sound(const struct iotlb_version *v);
/* Applying iotlb_diff() to @from's model gives @to's, in order, without an overlap on the way */
void assert_diff_leads(const struct iotlb_version *from, const struct model *m_from,
		       const struct iotlb_version *to, const struct model *m_to);

/* Deterministic random numbers; the seed comes from IOTLB_SEED or the clock and is printed. */
uint64_t rnd_seed(void);
uint64_t rnd(void);
static inline uint64_t rnd_below(uint64_t n)
{
	return rnd() % n;
}

#endif
