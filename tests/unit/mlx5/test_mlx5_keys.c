// SPDX-License-Identifier: BSD-3-Clause
/*
 * Memory keys on the firmware model: what they translate is what the map says [I1], what a change
 * costs [I3], and what is left after a refusal [I2, I4].
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../between.h"
#include "../iotlb/model.h"
#include "base/clock.h"
#include "parents/mlx5/keys_internal.h"
#include "parents/mlx5/layout.h"
#include "parents/mlx5/model_internal.h"

#define PAGE 4096ULL
#define GIB  (1ULL << 30)
#define HOUR (3600 * NS_PER_SEC)

struct fixture {
	struct mlx5_model *fw;
	struct mlx5_keys keys;
	struct memory_space *space;
	struct iotlb *tlb;
	struct mlx5_mr *mr; /* of the map now */
};

static void start(struct fixture *f, enum mlx5_rebuild rebuild,
		  const struct mlx5_model_options *opt)
{
	static const struct mlx5_model_options usual;

	memset(f, 0, sizeof(*f));
	assert_int_equal(mlx5_model_create(opt ? opt : &usual, &f->fw), 0);
	assert_int_equal(mlx5_keys_init(&f->keys, mlx5_model_dev(f->fw), rebuild), 0);
	assert_int_equal(memory_space_create_own(&f->space), 0);
	assert_int_equal(iotlb_create(IOTLB_MAX_ENTRIES_DEFAULT, &f->tlb), 0);
}

static void finish(struct fixture *f)
{
	mlx5_mr_put(f->mr);
	mlx5_keys_fini(&f->keys);
	assert_int_equal(mlx5_model_nr_mkeys(f->fw), 0);
	assert_int_equal(mlx5_model_nr_pds(f->fw), 0);
	mlx5_model_destroy(f->fw);
	iotlb_destroy(f->tlb);
	memory_space_put(f->space);
}

/* Memory of any size: the region of all addresses, which nobody reads here. */
static int map(struct fixture *f, iova_t first, uint64_t len, uint64_t host, uint8_t perm)
{
	return iotlb_map(f->tlb, first, first + len - 1, memory_space_identity(f->space), host,
			 perm);
}

static void unmap(struct fixture *f, iova_t first, iova_t last)
{
	assert_int_equal(iotlb_unmap(f->tlb, first, last, NULL), 0);
}

/* As a set_map. */
static int adopt(struct fixture *f)
{
	const struct iotlb_version *v = iotlb_snapshot(f->tlb);
	struct mlx5_mr *mr;
	int err = mlx5_mr_create(&f->keys, v, f->mr, &mr);

	iotlb_version_put(v);
	if (err)
		return err;
	mlx5_mr_put(f->mr);
	f->mr = mr;
	return 0;
}

static void assert_byte(struct fixture *f, iova_t iova)
{
	struct iotlb_entry e;
	bool there = iotlb_lookup(iotlb_load(f->tlb), iova, &e);

	for (int write = 0; write < 2; write++) {
		bool may = there && e.perm & (write ? IOTLB_W : IOTLB_R);
		struct iovec iov = {0};
		int ret = f->mr ? mlx5_model_translate(f->fw, f->mr->mkey, iova, 1, write, &iov, 1)
				: -EFAULT;

		assert_int_equal(ret, may ? 1 : -EFAULT);
		if (may)
			assert_int_equal((uintptr_t)iov.iov_base,
					 (uintptr_t)e.mem->host + e.off + (iova - e.first));
	}
}

/* Every boundary of every entry, and each GiB inside one. */
static void assert_translates_as_mapped(struct fixture *f)
{
	const struct iotlb_version *v = iotlb_load(f->tlb);
	struct iotlb_entry e;

	for (iova_t at = 0; iotlb_version_next(v, at, &e); at = e.last + 1) {
		if (e.first)
			assert_byte(f, e.first - 1);
		assert_byte(f, e.first);
		assert_byte(f, e.last);
		for (iova_t g = (e.first | (GIB - 1)) + 1; g <= e.last; g += GIB) {
			assert_byte(f, g - 1);
			assert_byte(f, g);
		}
		if (e.last == UINT64_MAX)
			return;
		assert_byte(f, e.last + 1);
	}
}

/* Mostly pages around multiples of 1 GiB, where pieces are cut; at times gigabytes, and at times
 * what begins or ends inside a page. */
static void random_change(struct fixture *f)
{
	uint64_t base = (1 + rnd_below(5)) * GIB, len, first, host = rnd_below(1ULL << 34) * PAGE;

	if (rnd_below(64) == 0) {
		first = base + rnd_below(16) * (GIB / 16);
		len = (1 + rnd_below(24)) * (GIB / 16);
	} else {
		first = base + (rnd_below(64) - 32) * PAGE;
		len = (1 + rnd_below(rnd_below(4) ? 4 : 24)) * PAGE;
	}
	if (rnd_below(6) == 0) {
		first += rnd_below(PAGE);
		len -= rnd_below(PAGE);
		host += rnd_below(2) ? rnd_below(PAGE) : 0;
	}
	if (rnd_below(100) < 45)
		unmap(f, first, first + len - 1);
	else
		(void)!map(f, first, len, host, (uint8_t)(rnd_below(8) ? IOTLB_RW : rnd_below(4)));
}

static void random_maps(enum mlx5_rebuild rebuild, unsigned long rounds)
{
	struct fixture f;

	(void)rnd_seed();
	start(&f, rebuild,
	      &(struct mlx5_model_options){.max_mkeys = 8192, .klm_update = rnd_below(2)});
	for (unsigned long i = 0; i < rounds; i++) {
		if (rnd_below(64) == 0) {
			f.keys.parallel = (unsigned int)rnd_below(10);
			f.keys.defer_ns = rnd_below(2) ? HOUR : 0;
		}
		for (uint64_t n = rnd_below(16) ? 0 : rnd_below(40); n; n--)
			(void)mlx5_keys_bury(&f.keys, clock_now_ns() + 2 * HOUR);
		for (uint64_t n = rnd_below(8) ? 1 : rnd_below(6); n; n--)
			random_change(&f);
		assert_int_equal(adopt(&f), 0);
		assert_translates_as_mapped(&f);
		iotlb_synchronize(f.tlb);
	}
	finish(&f);
}

/* Other bytes at the same addresses: a piece, and no indirect key. */
static void list_is_changed_in_place_where_the_device_allows_it(void **state)
{
	for (int allowed = 0; allowed < 2; allowed++) {
		struct fixture f;
		uint32_t mkey;

		start(&f, MLX5_REBUILD_CHANGED,
		      &(struct mlx5_model_options){.klm_update = allowed});
		assert_int_equal(map(&f, GIB, 64 * PAGE, 1ULL << 40, IOTLB_RW), 0);
		assert_int_equal(map(&f, 3 * GIB, GIB, 1ULL << 41, IOTLB_R), 0);
		assert_int_equal(adopt(&f), 0);
		mkey = f.mr->mkey;
		for (uint64_t i = 0; i < 5; i++) {
			uint64_t made = mlx5_model_nr_commands(f.fw, MODEL_CREATE_MKEY);

			unmap(&f, GIB, GIB);
			assert_int_equal(map(&f, GIB, 64 * PAGE, (i + 1) << 30, IOTLB_RW), 0);
			assert_int_equal(adopt(&f), 0);
			assert_translates_as_mapped(&f);
			made = mlx5_model_nr_commands(f.fw, MODEL_CREATE_MKEY) - made;
			assert_int_equal(made, allowed ? 1 : 2);
			assert_int_equal(f.mr->mkey == mkey, allowed);
			assert_int_equal(mlx5_model_nr_mkeys(f.fw), 3);
		}
		assert_int_equal(map(&f, 2 * GIB, PAGE, PAGE, IOTLB_RW), 0); /* another length */
		assert_int_equal(adopt(&f), 0);
		assert_translates_as_mapped(&f);
		assert_int_not_equal(f.mr->mkey, mkey);
		finish(&f);
	}
}

static unsigned long rounds(unsigned long usual)
{
	const char *text = getenv("HOLDFAST_TEST_ROUNDS");

	return text ? strtoul(text, NULL, 10) : usual;
}

static void keys_of_random_maps_translate_as_mapped(void **state)
{
	random_maps(MLX5_REBUILD_CHANGED, rounds(20000));
	random_maps(MLX5_REBUILD_FULL, rounds(20000) / 10);
}

/* Commands and time of one 8 KiB mapping more, and of taking it away. */
static void cost_of_a_small_change(uint64_t gib, enum mlx5_rebuild rebuild, iova_t at, int rep,
				   uint64_t *cmds, int64_t *ns)
{
	struct fixture f;

	start(&f, rebuild, NULL);
	assert_int_equal(map(&f, 0, gib * GIB, 1ULL << 40, IOTLB_RW), 0);
	assert_int_equal(adopt(&f), 0);
	*cmds = 0;
	*ns = INT64_MAX;
	for (int i = 0; i < rep; i++) {
		for (int add = 1; add >= 0; add--) {
			uint64_t before = mlx5_model_nr_commands_all(f.fw);
			int64_t t;

			if (add)
				assert_int_equal(map(&f, at, 2 * PAGE, 1ULL << 41, IOTLB_RW), 0);
			else
				unmap(&f, at, at);
			t = clock_now_ns();
			assert_int_equal(adopt(&f), 0);
			t = clock_now_ns() - t;
			before = mlx5_model_nr_commands_all(f.fw) - before;
			*cmds = before > *cmds ? before : *cmds;
			*ns = t < *ns ? t : *ns;
			assert_byte(&f, at);
			assert_byte(&f, at - 1);
		}
	}
	finish(&f);
}

static void a_small_change_costs_three_commands_at_any_size(void **state)
{
	static const uint64_t sizes[] = {1, 128};

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		for (int far = 0; far < 2; far++) {
			iova_t at = sizes[i] * GIB + (far ? 5 * GIB + 64 * PAGE : 0);
			uint64_t cmds, full;
			int64_t ns, full_ns;

			cost_of_a_small_change(sizes[i], MLX5_REBUILD_CHANGED, at, 20, &cmds, &ns);
			cost_of_a_small_change(sizes[i], MLX5_REBUILD_FULL, at, 3, &full, &full_ns);
			print_message("%llu GiB, 8 KiB %s: changed %llu commands %lld us, "
				      "full %llu commands %lld us\n",
				      (unsigned long long)sizes[i], far ? "apart" : "touching",
				      (unsigned long long)cmds, (long long)(ns / NS_PER_US),
				      (unsigned long long)full, (long long)(full_ns / NS_PER_US));
			assert_between(cmds, 1, 3);
			assert_true(full >= 2 * sizes[i]);
		}
	}
}

static void a_small_mapping_inside_the_window_leaves_the_large_piece(void **state)
{
	uint64_t cmds;
	struct fixture f;

	start(&f, MLX5_REBUILD_CHANGED, NULL);
	assert_int_equal(map(&f, 0, GIB / 2, 1ULL << 40, IOTLB_RW), 0);
	assert_int_equal(adopt(&f), 0);
	cmds = mlx5_model_nr_commands_all(f.fw);
	assert_int_equal(map(&f, GIB / 2, 2 * PAGE, 1ULL << 41, IOTLB_RW), 0);
	assert_int_equal(adopt(&f), 0);
	assert_int_equal(mlx5_model_nr_commands_all(f.fw) - cmds, 3);
	assert_translates_as_mapped(&f);
	finish(&f);
}

static void a_run_that_grows_page_by_page_has_few_pieces(void **state)
{
	struct fixture f;

	start(&f, MLX5_REBUILD_CHANGED, NULL);
	for (uint64_t i = 0; i < 1000; i++) {
		assert_int_equal(map(&f, GIB + i * PAGE, PAGE, (i * 7 % 1000 + 1) * PAGE, IOTLB_RW),
				 0);
		assert_int_equal(adopt(&f), 0);
		assert_between(f.mr->nr, 1, 10);
	}
	assert_translates_as_mapped(&f);
	assert_between(mlx5_model_nr_commands(f.fw, MODEL_CREATE_MKEY), 1000, 2001);
	finish(&f);
}

static void lengths_that_are_no_power_of_two_translate(void **state)
{
	struct fixture f;

	for (int full = 0; full < 2; full++) {
		start(&f, full ? MLX5_REBUILD_FULL : MLX5_REBUILD_CHANGED, NULL);
		assert_int_equal(map(&f, GIB, 3 * PAGE, 64 * PAGE, IOTLB_RW), 0);
		assert_int_equal(map(&f, GIB + 3 * PAGE, 3 * PAGE, 16 * PAGE, IOTLB_RW), 0);
		assert_int_equal(adopt(&f), 0);
		assert_int_equal(f.mr->nr, 1);
		for (iova_t at = GIB - PAGE; at < GIB + 8 * PAGE; at += PAGE / 2)
			assert_byte(&f, at);
		finish(&f);
	}
}

static void what_does_not_fit_is_refused_and_the_old_keys_stay(void **state)
{
	struct fixture f;

	start(&f, MLX5_REBUILD_CHANGED, &(struct mlx5_model_options){.log_max_klm = 4});
	assert_int_equal(map(&f, GIB, PAGE, PAGE, IOTLB_RW), 0);
	assert_int_equal(adopt(&f), 0);
	assert_int_equal(map(&f, 1000 * GIB, PAGE, PAGE, IOTLB_RW), 0);
	assert_int_equal(adopt(&f), -ENOSPC);
	assert_int_equal(mlx5_model_nr_mkeys(f.fw), 2);
	unmap(&f, 1000 * GIB, 1000 * GIB);
	assert_translates_as_mapped(&f);
	unmap(&f, 0, UINT64_MAX);
	assert_int_equal(adopt(&f), 0);
	assert_null(f.mr);
	assert_int_equal(mlx5_model_nr_mkeys(f.fw), 0);
	finish(&f);
}

static void too_many_pieces_are_cut_anew(void **state)
{
	struct fixture f;

	/* Each half is smaller than the one before it, so the pieces stay apart. */
	start(&f, MLX5_REBUILD_CHANGED, &(struct mlx5_model_options){.log_max_klm = 2});
	for (uint64_t at = 0, len = 64; len; at += len, len /= 2) {
		assert_int_equal(map(&f, GIB + at * PAGE, len * PAGE, (at + 1) * PAGE, IOTLB_RW),
				 0);
		assert_int_equal(adopt(&f), 0);
		assert_between(f.mr->nr, 1, 4);
		assert_translates_as_mapped(&f);
	}
	finish(&f);
}

/* [I5] and [I6] at once: the old pieces with the new ones are too many, and keys that wait to be
 * destroyed take the room of those that are cut anew. */
static void too_many_pieces_are_cut_anew_if_the_device_is_full_too(void **state)
{
	struct fixture f;

	/* four pieces and their list; a fifth; one piece that is cut anew, and its list */
	for (uint32_t room = 8; room < 16; room++) {
		start(&f, MLX5_REBUILD_CHANGED,
		      &(struct mlx5_model_options){.log_max_klm = 2, .max_mkeys = room});
		f.keys.defer_ns = HOUR;
		for (uint64_t at = 0, len = 64; len; at += len, len /= 2) {
			assert_int_equal(
				map(&f, GIB + at * PAGE, len * PAGE, (at + 1) * PAGE, IOTLB_RW), 0);
			assert_int_equal(adopt(&f), 0);
			assert_translates_as_mapped(&f);
		}
		finish(&f);
	}
}

static void the_one_to_one_key_needs_the_capability(void **state)
{
	struct mlx5_mr *mr;
	struct iovec iov;
	struct fixture f;

	start(&f, MLX5_REBUILD_CHANGED, NULL);
	assert_int_equal(mlx5_mr_create_one_to_one(&f.keys, &f.mr), 0);
	assert_int_equal(mlx5_model_translate(f.fw, f.mr->mkey, 0x123456, 7, true, &iov, 1), 1);
	assert_int_equal((uintptr_t)iov.iov_base, 0x123456);
	assert_int_equal(map(&f, GIB, PAGE, PAGE, IOTLB_RW), 0);
	assert_int_equal(adopt(&f), 0);
	assert_translates_as_mapped(&f);
	finish(&f);
	start(&f, MLX5_REBUILD_CHANGED, &(struct mlx5_model_options){.no_umem_uid_0 = true});
	assert_int_equal(mlx5_mr_create_one_to_one(&f.keys, &mr), -EOPNOTSUPP);
	finish(&f);
}

/* [I6] A client has gone, and the next driver has no map. */
static void the_one_to_one_key_gets_the_room_of_keys_that_wait(void **state)
{
	struct fixture f;

	start(&f, MLX5_REBUILD_CHANGED, &(struct mlx5_model_options){.max_mkeys = 2});
	f.keys.defer_ns = HOUR;
	assert_int_equal(map(&f, GIB, PAGE, PAGE, IOTLB_RW), 0);
	assert_int_equal(adopt(&f), 0);
	mlx5_mr_put(f.mr);
	f.mr = NULL;
	assert_int_equal(mlx5_model_nr_mkeys(f.fw), 2);
	assert_int_equal(mlx5_mr_create_one_to_one(&f.keys, &f.mr), 0);
	finish(&f);
}

/* Adopt; if it was refused, the old keys must still do what they did, and a second try works. */
static void adopt_with_a_failure(struct fixture *f, iova_t old_iova, uint64_t old_host)
{
	struct iovec iov;

	if (adopt(f) == 0)
		return;
	if (f->mr) {
		assert_int_equal(
			mlx5_model_translate(f->fw, f->mr->mkey, old_iova, 1, true, &iov, 1), 1);
		assert_int_equal((uintptr_t)iov.iov_base, old_host);
	}
	assert_int_equal(adopt(f), 0);
}

static bool scenario_with_a_failure(uint64_t nth, int64_t defer_ns)
{
	static char memory[8 * PAGE] __attribute__((aligned(4096)));
	struct memory_region *region;
	struct fixture f;
	uint64_t before;
	bool reached;

	start(&f, MLX5_REBUILD_CHANGED, NULL);
	assert_int_equal(memory_region_create(f.space, (uaddr_t)(uintptr_t)memory, sizeof(memory),
					      true, MEMORY_VA, &region),
			 0);
	f.keys.parallel = 4;
	f.keys.defer_ns = defer_ns;
	before = mlx5_model_nr_commands_all(f.fw);
	mlx5_model_fail_at(f.fw, nth, 0x0f);
	assert_int_equal(iotlb_map(f.tlb, GIB, GIB + 4 * PAGE - 1, region, 0, IOTLB_RW), 0);
	adopt_with_a_failure(&f, 0, 0);
	assert_int_equal(iotlb_map(f.tlb, 3 * GIB, 3 * GIB + PAGE - 1, region, 5 * PAGE, IOTLB_R),
			 0);
	adopt_with_a_failure(&f, GIB, (uintptr_t)memory);
	assert_translates_as_mapped(&f);
	unmap(&f, GIB, GIB);
	assert_int_equal(iotlb_map(f.tlb, GIB, GIB + PAGE - 1, region, PAGE, IOTLB_RW), 0);
	adopt_with_a_failure(&f, GIB, (uintptr_t)memory);
	assert_translates_as_mapped(&f);
	mlx5_mr_put(f.mr);
	f.mr = NULL;
	unmap(&f, 0, UINT64_MAX);
	while (mlx5_keys_bury(&f.keys, INT64_MAX) >= 0)
		;
	reached = mlx5_model_nr_commands_all(f.fw) - before >= nth;
	mlx5_keys_fini(&f.keys);
	assert_int_equal(mlx5_model_nr_mkeys(f.fw), 0);
	iotlb_destroy(f.tlb);
	assert_int_equal(region->refs, 1);
	memory_region_put(region);
	mlx5_model_destroy(f.fw);
	memory_space_put(f.space);
	return reached;
}

static void a_failure_at_any_command_leaves_old_keys_and_nothing_else(void **state)
{
	for (int deferred = 0; deferred < 2; deferred++) {
		uint64_t nth = 1;

		while (scenario_with_a_failure(nth, deferred ? HOUR : 0))
			nth++;
		print_message("a failure at each of %llu commands\n", (unsigned long long)nth - 1);
		assert_true(nth > 12);
	}
}

/* Keys of @nr pieces, as far apart as pages can be. */
static void map_pieces(struct fixture *f, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		assert_int_equal(map(f, GIB + i * 4 * PAGE, PAGE, (i + 1) * PAGE, IOTLB_RW), 0);
}

static void keys_that_nobody_uses_wait_for_their_time(void **state)
{
	struct fixture f;

	start(&f, MLX5_REBUILD_FULL, NULL);
	f.keys.parallel = 8;
	f.keys.defer_ns = HOUR;
	map_pieces(&f, 20);
	assert_int_equal(adopt(&f), 0);
	assert_int_equal(mlx5_keys_bury(&f.keys, clock_now_ns()), -1);
	assert_int_equal(adopt(&f), 0);
	assert_int_equal(mlx5_model_nr_commands(f.fw, MODEL_DESTROY_MKEY), 0);
	assert_int_equal(mlx5_model_nr_mkeys(f.fw), 42);
	assert_between(mlx5_keys_bury(&f.keys, clock_now_ns()), HOUR / 2, HOUR);
	assert_int_equal(mlx5_model_nr_mkeys(f.fw), 42);
	/* the indirect key alone, then waves of eight */
	assert_int_equal(mlx5_keys_bury(&f.keys, INT64_MAX), 0);
	assert_int_equal(mlx5_model_nr_mkeys(f.fw), 41);
	assert_int_equal(mlx5_keys_bury(&f.keys, INT64_MAX), 0);
	assert_int_equal(mlx5_model_nr_mkeys(f.fw), 33);
	assert_int_equal(mlx5_keys_bury(&f.keys, INT64_MAX), 0);
	assert_int_equal(mlx5_keys_bury(&f.keys, INT64_MAX), -1);
	assert_int_equal(mlx5_model_nr_mkeys(f.fw), 21);
	assert_translates_as_mapped(&f);
	finish(&f);
}

static void a_device_without_room_gets_it_from_keys_that_wait(void **state)
{
	struct fixture f;

	start(&f, MLX5_REBUILD_FULL, &(struct mlx5_model_options){.max_mkeys = 60});
	f.keys.parallel = 8;
	f.keys.defer_ns = HOUR;
	map_pieces(&f, 20);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(adopt(&f), 0);
		assert_translates_as_mapped(&f);
	}
	assert_true(mlx5_model_nr_mkeys(f.fw) <= 60);
	finish(&f);
}

/* A device that counts its waves. */
static unsigned int waves, alone;
static const struct mlx5_dev_ops *uncounted; /* the model's own */

static int count_one(struct mlx5_dev *dev, const void *in, size_t in_len, void *out, size_t out_len)
{
	alone++;
	return uncounted->exec(dev, in, in_len, out, out_len);
}

static void count_many(struct mlx5_dev *dev, struct mlx5_exec *cmd, size_t nr)
{
	waves++;
	uncounted->exec_many(dev, cmd, nr);
}

static void commands_go_to_the_device_in_waves_that_take_the_time_of_one(void **state)
{
	static const struct mlx5_dev_ops ops = {.exec = count_one, .exec_many = count_many};
	struct mlx5_model_options opt = {0};
	struct fixture f;
	int64_t took;

	opt.latency_ns[MODEL_CREATE_MKEY] = 2 * NS_PER_MS;
	start(&f, MLX5_REBUILD_FULL, &opt);
	uncounted = f.keys.dev->ops;
	f.keys.dev->ops = &ops;
	map_pieces(&f, 32);
	for (unsigned int parallel = 1; parallel <= 8; parallel *= 8) {
		f.keys.parallel = parallel;
		waves = alone = 0;
		took = clock_now_ns();
		assert_int_equal(adopt(&f), 0);
		took = clock_now_ns() - took;
		/* 32 direct keys and the indirect one; the second map destroys as many */
		assert_int_equal(waves, parallel == 1 ? 0 : 8);
		assert_int_equal(alone, parallel == 1 ? 33 : 2);
		assert_true(took >= (parallel == 1 ? 33 : 5) * 2 * NS_PER_MS);
	}
	finish(&f);
}

/* Ends that register memory by themselves: a piece is one run of it. */
static bool is_one_run(const struct fixture *f, const struct mlx5_range *r)
{
	struct iotlb_entry e, first;
	const struct iotlb_version *v = iotlb_load(f->tlb);

	if (!iotlb_version_next(v, r->first, &first) || first.first > r->first)
		return false;
	for (iova_t at = first.last; at < r->last; at = e.last) {
		if (!iotlb_version_next(v, at + 1, &e) || e.first != at + 1)
			return false;
		if (mlx5_host_of(&e, e.first) !=
		    mlx5_host_of(&first, first.first) + (e.first - first.first))
			return false;
	}
	return true;
}

static void pieces_of_one_run_each_cover_the_map(void **state)
{
	const struct iotlb_version *v;
	struct mlx5_plan plan;
	struct fixture f;

	(void)rnd_seed();
	start(&f, MLX5_REBUILD_CHANGED, NULL);
	for (int i = 0; i < 500; i++) {
		uint64_t mapped = 0, planned = 0;
		struct iotlb_entry e;

		random_change(&f);
		v = iotlb_snapshot(f.tlb);
		assert_int_equal(mlx5_plan_init(&plan, v, NULL, MLX5_REBUILD_CHANGED, true), 0);
		for (iova_t at = 0; iotlb_version_next(v, at, &e); at = e.last + 1)
			mapped += e.last - e.first + 1;
		for (size_t n = 0; n < plan.nr_make; n++) {
			assert_true(is_one_run(&f, &plan.make[n]));
			assert_true(n == 0 || plan.make[n - 1].last < plan.make[n].first);
			planned += plan.make[n].last - plan.make[n].first + 1;
		}
		assert_int_equal(planned, mapped);
		mlx5_plan_fini(&plan);
		iotlb_version_put(v);
		iotlb_synchronize(f.tlb);
	}
	finish(&f);
}

/* A device that destroys no key as long as @refuses. */
static bool refuses;

static int refuse_to_destroy(struct mlx5_dev *dev, const void *in, size_t in_len, void *out,
			     size_t out_len)
{
	if (refuses && mlx5_get(in, MLX5_IN_OPCODE) == MLX5_OP_DESTROY_MKEY)
		mlx5_model_fail_at(container_of(dev, struct mlx5_model, dev), 1, 0x06);
	return uncounted->exec(dev, in, in_len, out, out_len);
}

/* [I6] What it would not destroy takes the room of new keys. Once it would, it is asked again. */
static void a_device_without_room_is_asked_again_to_destroy_keys(void **state)
{
	static const struct mlx5_dev_ops ops = {.exec = refuse_to_destroy};

	for (int one_to_one = 0; one_to_one < 2; one_to_one++) {
		struct fixture f;

		start(&f, MLX5_REBUILD_CHANGED, &(struct mlx5_model_options){.max_mkeys = 4});
		uncounted = f.keys.dev->ops;
		f.keys.dev->ops = &ops;
		refuses = true;
		for (uint64_t i = 0; i < 2; i++) {
			unmap(&f, 0, UINT64_MAX);
			assert_int_equal(map(&f, GIB, PAGE, (i + 1) * PAGE, IOTLB_RW), 0);
			assert_int_equal(adopt(&f), 0);
		}
		assert_int_equal(mlx5_model_nr_mkeys(f.fw), 4); /* two of them are nobody's */
		assert_int_equal(map(&f, 3 * GIB, PAGE, 3 * PAGE, IOTLB_RW), 0);
		assert_int_equal(adopt(&f), -EAGAIN);
		refuses = false;
		if (one_to_one) {
			struct mlx5_mr *mr;

			assert_int_equal(mlx5_mr_create_one_to_one(&f.keys, &mr), 0);
			mlx5_mr_put(mr);
		} else {
			assert_int_equal(adopt(&f), 0);
			assert_translates_as_mapped(&f);
		}
		f.keys.dev->ops = uncounted;
		finish(&f);
	}
}

void *__real_calloc(size_t nr, size_t size);
void *__wrap_calloc(size_t nr, size_t size);
static bool no_memory;

void *__wrap_calloc(size_t nr, size_t size)
{
	return no_memory ? NULL : __real_calloc(nr, size);
}

/* [I4] Without memory, too: no key's number is lost. */
static void key_that_is_not_destroyed_without_memory_is_tried_again(void **state)
{
	for (int one_to_one = 0; one_to_one < 2; one_to_one++) {
		struct fixture f;

		start(&f, MLX5_REBUILD_CHANGED, NULL);
		assert_int_equal(map(&f, GIB, PAGE, PAGE, IOTLB_RW), 0);
		if (one_to_one)
			assert_int_equal(mlx5_mr_create_one_to_one(&f.keys, &f.mr), 0);
		else
			assert_int_equal(adopt(&f), 0);
		mlx5_model_fail_at(f.fw, 1, 0x06);
		no_memory = true;
		mlx5_mr_put(f.mr);
		no_memory = false;
		f.mr = NULL;
		assert_int_equal(mlx5_model_nr_mkeys(f.fw), 1);
		assert_int_equal(mlx5_mr_create_one_to_one(&f.keys, &f.mr), 0);
		mlx5_mr_put(f.mr); /* asks again */
		f.mr = NULL;
		assert_int_equal(mlx5_model_nr_mkeys(f.fw), 0);
		finish(&f);
	}
}

static void a_failure_while_starting_is_returned(void **state)
{
	static const struct mlx5_model_options usual;

	for (uint64_t nth = 1; nth <= 3; nth++) {
		struct mlx5_keys keys;
		struct mlx5_model *fw;

		assert_int_equal(mlx5_model_create(&usual, &fw), 0);
		mlx5_model_fail_at(fw, nth, 0x01);
		assert_int_equal(mlx5_keys_init(&keys, mlx5_model_dev(fw), MLX5_REBUILD_CHANGED),
				 -EIO);
		assert_int_equal(mlx5_model_nr_pds(fw), 0);
		mlx5_model_destroy(fw);
	}
}

static void memory_stays_in_use_until_the_device_destroys_its_key(void **state)
{
	static char memory[PAGE] __attribute__((aligned(4096)));
	struct memory_region *region;
	struct fixture f;

	start(&f, MLX5_REBUILD_CHANGED, NULL);
	assert_int_equal(memory_region_create(f.space, (uaddr_t)(uintptr_t)memory, sizeof(memory),
					      true, MEMORY_VA, &region),
			 0);
	assert_int_equal(iotlb_map(f.tlb, GIB, GIB + PAGE - 1, region, 0, IOTLB_RW), 0);
	assert_int_equal(adopt(&f), 0);
	unmap(&f, GIB, GIB);
	iotlb_synchronize(f.tlb);
	mlx5_model_fail_at(f.fw, 2, 0x06); /* the direct key, after the indirect one */
	assert_int_equal(adopt(&f), 0);
	assert_int_equal(mlx5_model_nr_mkeys(f.fw), 1);
	assert_int_equal(region->refs, 2);
	mlx5_keys_fini(&f.keys);
	assert_int_equal(region->refs, 1);
	memory_region_put(region);
	assert_int_equal(mlx5_model_nr_mkeys(f.fw), 0);
	mlx5_model_destroy(f.fw);
	iotlb_destroy(f.tlb);
	memory_space_put(f.space);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_of_random_maps_translate_as_mapped),
		cmocka_unit_test(list_is_changed_in_place_where_the_device_allows_it),
		cmocka_unit_test(a_small_change_costs_three_commands_at_any_size),
		cmocka_unit_test(a_small_mapping_inside_the_window_leaves_the_large_piece),
		cmocka_unit_test(a_run_that_grows_page_by_page_has_few_pieces),
		cmocka_unit_test(lengths_that_are_no_power_of_two_translate),
		cmocka_unit_test(what_does_not_fit_is_refused_and_the_old_keys_stay),
		cmocka_unit_test(too_many_pieces_are_cut_anew),
		cmocka_unit_test(too_many_pieces_are_cut_anew_if_the_device_is_full_too),
		cmocka_unit_test(the_one_to_one_key_needs_the_capability),
		cmocka_unit_test(the_one_to_one_key_gets_the_room_of_keys_that_wait),
		cmocka_unit_test(a_failure_at_any_command_leaves_old_keys_and_nothing_else),
		cmocka_unit_test(keys_that_nobody_uses_wait_for_their_time),
		cmocka_unit_test(a_device_without_room_gets_it_from_keys_that_wait),
		cmocka_unit_test(a_device_without_room_is_asked_again_to_destroy_keys),
		cmocka_unit_test(commands_go_to_the_device_in_waves_that_take_the_time_of_one),
		cmocka_unit_test(pieces_of_one_run_each_cover_the_map),
		cmocka_unit_test(key_that_is_not_destroyed_without_memory_is_tried_again),
		cmocka_unit_test(a_failure_while_starting_is_returned),
		cmocka_unit_test(memory_stays_in_use_until_the_device_destroys_its_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
