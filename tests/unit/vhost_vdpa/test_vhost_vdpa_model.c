// SPDX-License-Identifier: BSD-3-Clause
/*
 * Random sequences of messages, resets, failures and reopenings against a plain model: a list of
 * ranges for what the client has mapped and one for what the device translates with. After every
 * step the result, the account and a sample of the device's translations must agree; the model
 * knows the rules of the specification and nothing of the code. HOLDFAST_TEST_SEED repeats a run,
 * HOLDFAST_TEST_STEPS sets its length.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "env.h"

#define NAS         2
#define MAX_ENTRIES 12
#define IOVA_PAGES  48

struct range {
	uint64_t first, last, uaddr;
	uint8_t perm;
};

struct list {
	size_t nr;
	struct range v[MAX_ENTRIES];
};

struct model {
	const struct recorder_options *opt;
	bool strict;
	bool exists[NAS];
	struct list client[NAS], device[NAS];
	bool one_to_one[NAS];
	bool in_batch;
	uint32_t batch_asid;
	uint64_t acked;
};

static uint64_t rng;

static uint64_t rnd(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng % n;
}

/* ---- the model ---- */

static bool overlaps(const struct list *l, uint64_t first, uint64_t last)
{
	for (size_t i = 0; i < l->nr; i++)
		if (l->v[i].first <= last && first <= l->v[i].last)
			return true;
	return false;
}

static void drop(struct list *l, uint64_t first, uint64_t last)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->nr; i++)
		if (l->v[i].first > last || first > l->v[i].last)
			l->v[kept++] = l->v[i];
	l->nr = kept;
}

static void add(struct list *l, struct range r)
{
	assert_true(l->nr < MAX_ENTRIES);
	l->v[l->nr++] = r;
}

static bool is(const struct model *m, enum vdpa_mapping mapping)
{
	return m->opt->mapping == mapping;
}

/* The parent is given the whole map. */
static void tell_all(struct model *m, uint32_t asid, bool fails)
{
	m->one_to_one[asid] = false;
	m->device[asid] = m->client[asid];
	if (fails)
		m->device[asid].nr = 0;
}

static void model_remove(struct model *m, uint32_t asid, uint64_t first, uint64_t last, bool fails)
{
	bool hit = overlaps(&m->client[asid], first, last);
	struct list before = m->client[asid];

	if (first <= last)
		drop(&m->client[asid], first, last);
	if (is(m, VDPA_MAPPING_SET_MAP)) {
		if (!m->in_batch)
			tell_all(m, asid, fails);
	} else if (hit && first <= last) {
		m->one_to_one[asid] = false;
		/* entry by entry: a device may have other ranges than the client ([4-16]) */
		for (size_t i = 0; i < before.nr; i++)
			if (before.v[i].first <= last && first <= before.v[i].last)
				drop(&m->device[asid], before.v[i].first, before.v[i].last);
	}
}

/* Which address space a message is about, with its side effect. Return: true if it is refused */
static bool model_refuses_as(struct model *m, uint32_t asid, bool makes)
{
	if (asid >= m->opt->nas)
		return true;
	if (makes)
		m->exists[asid] = true;
	return (m->in_batch && m->batch_asid != asid) || !m->exists[asid];
}

/* An UPDATE of one piece. @found: the memory is there; @skipped: there is nothing to map */
static ssize_t model_update(struct model *m, uint32_t asid, struct range r, bool found,
			    bool skipped, bool parent_fails, bool *parent_asked)
{
	struct list *c = &m->client[asid];

	*parent_asked = false;
	if (overlaps(c, r.first, r.last))
		return -EFAULT;
	if (found && skipped)
		return 72;
	if (!found || c->nr == MAX_ENTRIES)
		goto failed;
	*parent_asked =
		!is(m, VDPA_MAPPING_PLATFORM) && !(is(m, VDPA_MAPPING_SET_MAP) && m->in_batch);
	if (*parent_asked && parent_fails) {
		if (is(m, VDPA_MAPPING_SET_MAP))
			tell_all(m, asid, false);
		else
			m->one_to_one[asid] = false;
		goto failed;
	}
	add(c, r);
	if (is(m, VDPA_MAPPING_SET_MAP)) {
		if (!m->in_batch)
			tell_all(m, asid, false);
	} else {
		m->one_to_one[asid] = false;
		add(&m->device[asid], r);
	}
	return 72;
failed:
	if ((m->strict || (found && c->nr == MAX_ENTRIES)) && is(m, VDPA_MAPPING_SET_MAP) &&
	    !m->in_batch)
		tell_all(m, asid, parent_fails && !*parent_asked); /* taken back, and told */
	if (m->strict && m->opt->memory == MEMORY_VA && r.first == 0)
		model_remove(m, asid, 0, UINT64_MAX, false);
	return -EFAULT;
}

static uint64_t model_where(const struct model *m, uint32_t asid, uint64_t iova, uint8_t perm)
{
	const struct list *d = &m->device[asid];

	if (m->one_to_one[asid])
		return iova;
	for (size_t i = 0; i < d->nr; i++)
		if (d->v[i].first <= iova && iova <= d->v[i].last)
			return (d->v[i].perm & perm) == perm
				       ? d->v[i].uaddr + (iova - d->v[i].first)
				       : 0;
	return 0;
}

/* ---- steps: do it to both ---- */

static uint32_t random_asid(struct model *m)
{
	uint32_t asid = (uint32_t)rnd(m->opt->nas + (rnd(20) == 0));

	return asid;
}

static void step_update(struct env *env, struct model *m)
{
	uint32_t asid = random_asid(m), used = m->acked & BACKEND_ASID ? asid : 0;
	uint64_t iova = rnd(IOVA_PAGES) * PAGE * (rnd(8) != 0), size = (1 + rnd(6)) * PAGE;
	bool pinned = m->opt->memory == MEMORY_PINNED, private = rnd(4) == 0, found = rnd(10) != 0;
	bool fails = rnd(12) == 0, asked = false, refused;
	uint8_t perm = (uint8_t)rnd(256);
	char *at = (private ? env->private : env->shared) + rnd(32) * PAGE;
	struct range r;
	ssize_t got;

	if (rnd(3) == 0) {
		iova += rnd(PAGE);
		size -= rnd(PAGE);
		at += rnd(PAGE);
	}
	if (!found)
		at = (char *)0x7ffffffff000;
	r = (struct range){iova, iova + size - 1, (uintptr_t)at, perm & 3};
	if (pinned)
		r = (struct range){iova & ~(PAGE - 1), (iova + size - 1) | (PAGE - 1),
				   (uintptr_t)at & ~(PAGE - 1), perm & 3};
	if (fails)
		recorder_fail(env->rec, is(m, VDPA_MAPPING_SET_MAP) ? "set_map" : "dma_map", 1,
			      -EIO);
	got = env_msg(env, asid, VHOST_IOTLB_UPDATE, iova, size, at, perm);
	env->rec->fail_op = NULL;
	refused = model_refuses_as(m, used, true);
	if (refused)
		assert_int_equal(got, -EFAULT);
	else
		assert_int_equal(got, model_update(m, used, r, found,
						   private && m->strict && !pinned, fails, &asked));
}

static void step_invalidate(struct env *env, struct model *m)
{
	uint32_t asid = random_asid(m), used = m->acked & BACKEND_ASID ? asid : 0;
	uint64_t iova = rnd(IOVA_PAGES * PAGE), size = rnd(20 * PAGE);
	bool fails = rnd(12) == 0;
	ssize_t got;

	switch (rnd(12)) {
	case 0:
		iova = 0;
		size = UINT64_MAX;
		break;
	case 1:
		size = 0;
		break;
	case 2:
		size = UINT64_MAX - rnd(2 * PAGE);
		break;
	case 3:
		iova = 0;
		size = 0;
		break;
	}
	if (fails)
		recorder_fail(env->rec, "set_map", 1, -EIO);
	got = env_msg(env, asid, VHOST_IOTLB_INVALIDATE, iova, size, NULL, 0);
	env->rec->fail_op = NULL;
	if (model_refuses_as(m, used, false) || (size == 0 && !m->strict)) {
		assert_int_equal(got, -EFAULT);
		return;
	}
	assert_int_equal(got, 72);
	if (iova + size - 1 >= iova) {
		model_remove(m, used, iova, iova + size - 1, fails);
	} else {
		/* strict mode: the entry that holds the first byte and the wrapped last one */
		struct list *c = &m->client[used];
		uint64_t first = 1, last = 0; /* nothing */

		for (size_t i = 0; i < c->nr && m->strict; i++)
			if (c->v[i].first <= iova + size - 1 && c->v[i].last >= iova) {
				first = c->v[i].first;
				last = c->v[i].last;
			}
		model_remove(m, used, first, last, fails);
	}
}

static void step_batch(struct env *env, struct model *m, bool begin)
{
	uint32_t asid = random_asid(m), used = m->acked & BACKEND_ASID ? asid : 0;
	bool fails = rnd(12) == 0;
	ssize_t got;

	if (fails)
		recorder_fail(env->rec, "set_map", 1, -EIO);
	got = env_msg(env, asid, begin ? VHOST_IOTLB_BATCH_BEGIN : VHOST_IOTLB_BATCH_END, 0, 0,
		      NULL, 0);
	env->rec->fail_op = NULL;
	if (model_refuses_as(m, used, begin)) {
		assert_int_equal(got, -EFAULT);
		return;
	}
	assert_int_equal(got, 72);
	if (begin) {
		m->in_batch = true;
		m->batch_asid = used;
		return;
	}
	if (m->in_batch && is(m, VDPA_MAPPING_SET_MAP))
		tell_all(m, used, fails);
	m->in_batch = false;
}

static void step_reset(struct env *env, struct model *m)
{
	assert_int_equal(env_status(env, 0), 0);
	if (!m->opt->compat_reset || (m->acked & BACKEND_PERSIST) || is(m, VDPA_MAPPING_PLATFORM))
		return;
	for (uint32_t asid = 0; asid < m->opt->nas; asid++) {
		m->one_to_one[asid] = true;
		m->device[asid].nr = 0;
	}
}

static void step_ack(struct env *env, struct model *m)
{
	uint64_t mask = (rnd(2) ? BACKEND_ASID : 0) | (rnd(2) ? BACKEND_PERSIST : 0);

	assert_int_equal(env_u64(env, VHOST_SET_BACKEND_FEATURES, mask), 0);
	m->acked = mask;
}

static void step_reopen(struct env *env, struct model *m)
{
	const struct recorder_options *opt = m->opt;

	vhost_vdpa_release(env->s);
	assert_int_equal(memory_charged_pages(env->space), 0);
	assert_int_equal(vhost_vdpa_open(&env->rec->dev, &env->s), 0);
	assert_int_equal(env_ioctl(env, VHOST_SET_OWNER, NULL), 0);
	*m = (struct model){.opt = opt, .strict = m->strict};
	for (uint32_t asid = 0; asid < opt->nas; asid++)
		m->one_to_one[asid] = opt->mapping != VDPA_MAPPING_PLATFORM;
}

static void step(struct env *env, struct model *m)
{
	uint64_t dice = rnd(1000);

	if (dice < 480)
		step_update(env, m);
	else if (dice < 800)
		step_invalidate(env, m);
	else if (dice < 870)
		step_batch(env, m, true);
	else if (dice < 950)
		step_batch(env, m, false);
	else if (dice < 970)
		step_reset(env, m);
	else if (dice < 995)
		step_ack(env, m);
	else
		step_reopen(env, m);
}

static void compare(struct env *env, const struct model *m)
{
	uint64_t pages = 0;

	for (uint32_t asid = 0; asid < m->opt->nas; asid++) {
		size_t nr = m->one_to_one[asid] ? 1 : m->device[asid].nr;

		assert_int_equal(recorder_nr_entries(env->rec, asid), nr);
		for (int i = 0; i < 8; i++) {
			uint64_t iova = rnd((IOVA_PAGES + 8) * PAGE);
			uint8_t perm = (uint8_t)(1 + rnd(3));

			assert_true(recorder_where(env->rec, asid, iova, perm) ==
				    model_where(m, asid, iova, perm));
		}
		for (size_t i = 0; i < m->client[asid].nr; i++)
			pages +=
				(m->client[asid].v[i].last - m->client[asid].v[i].first) / PAGE + 1;
	}
	if (m->opt->memory == MEMORY_VA)
		pages = 0;
	assert_true(memory_charged_pages(env->space) == pages);
}

static uint64_t env_number(const char *name, uint64_t otherwise)
{
	const char *value = getenv(name);

	return value ? strtoull(value, NULL, 0) : otherwise;
}

static void run_one(enum vdpa_mapping mapping, enum memory_mode memory, bool strict, bool compat)
{
	struct recorder_options opt = {.mapping = mapping,
				       .memory = memory,
				       .deviations = strict ? STRICT : DEFAULT,
				       .compat_reset = compat,
				       .max_entries = MAX_ENTRIES,
				       .nas = mapping == VDPA_MAPPING_PLATFORM ? 1 : NAS};
	struct model m = {.opt = &opt, .strict = strict};
	uint64_t steps = env_number("HOLDFAST_TEST_STEPS", 4000), i = 0;
	struct env env;

	rng = env_number("HOLDFAST_TEST_SEED", 88172645463325252ULL);
	env_open(&env, &opt);
	env.rec->quiet = true;
	step_reopen(&env, &m);
	for (; i < steps; i++) {
		step(&env, &m);
		compare(&env, &m);
	}
	env_fini(&env);
}

static void random_steps_agree_with_the_model(void **state)
{
	for (int mapping = 0; mapping < 3; mapping++)
		for (int bits = 0; bits < 8; bits++)
			run_one((enum vdpa_mapping)mapping, bits & 1 ? MEMORY_PINNED : MEMORY_VA,
				bits & 2, bits & 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_steps_agree_with_the_model),
	};

	return cmocka_run_group_tests_name("vhost_vdpa-model", tests, NULL, NULL);
}
