// SPDX-License-Identifier: BSD-3-Clause
/* The firmware model: what its keys translate, and what it refuses, as the driver sees it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/refuse.h"
#include "parents/mlx5/model.h"

#define GIB (1ULL << 30)

struct fixture {
	struct mlx5_model *model;
	struct mlx5_dev *dev;
	uint32_t pd;
};

static void start(struct fixture *f, const struct mlx5_model_options *opt)
{
	static const struct mlx5_model_options usual;

	assert_int_equal(mlx5_model_create(opt ? opt : &usual, &f->model), 0);
	f->dev = mlx5_model_dev(f->model);
	assert_int_equal(mlx5_cmd_alloc_pd(f->dev, &f->pd), 0);
}

static int create(struct fixture *f, struct mlx5_mkey_desc desc, uint32_t *mkey)
{
	if (desc.pd == 0)
		desc.pd = f->pd;
	return mlx5_cmd_create_mkey(f->dev, &desc, mkey);
}

static int destroy(struct fixture *f, uint32_t mkey)
{
	bool gone;

	return mlx5_cmd_destroy_mkeys(f->dev, &mkey, 1, &gone);
}

static void assert_reaches(struct fixture *f, uint32_t mkey, uint64_t addr, uint64_t len,
			   uint64_t host)
{
	struct iovec iov[4];

	assert_int_equal(mlx5_model_translate(f->model, mkey, addr, len, false, iov, 4), 1);
	assert_int_equal((uintptr_t)iov[0].iov_base, host);
	assert_int_equal(iov[0].iov_len, len);
}

static int try_access(struct fixture *f, uint32_t mkey, uint64_t addr, uint64_t len, bool write)
{
	struct iovec iov[4];

	return mlx5_model_translate(f->model, mkey, addr, len, write, iov, 4);
}

static void a_direct_key_translates_inside_its_bounds_and_permissions(void **state)
{
	static const uint64_t mtt[] = {0x10000, 0x50000};
	struct fixture f;
	uint32_t mkey;

	start(&f, NULL);
	assert_int_equal(create(&f,
				(struct mlx5_mkey_desc){.mode = 1,
							.read = true,
							.log_page = 13,
							.start = 0x1000,
							.len = 0x3000,
							.mtt = mtt,
							.nr = 2},
				&mkey),
			 0);
	assert_reaches(&f, mkey, 0x1000, 1, 0x10000);
	assert_reaches(&f, mkey, 0x2fff, 1, 0x11fff);
	assert_reaches(&f, mkey, 0x3000, 0x1000, 0x50000);
	assert_int_equal(try_access(&f, mkey, 0x2fff, 2, false), 2);
	assert_int_equal(try_access(&f, mkey, 0xfff, 1, false), -EFAULT);
	assert_int_equal(try_access(&f, mkey, 0x3fff, 2, false), -EFAULT);
	assert_int_equal(try_access(&f, mkey, 0x4000, 1, false), -EFAULT);
	assert_int_equal(try_access(&f, mkey, 0x1000, 1, true), -EFAULT);
	assert_int_equal(try_access(&f, mkey | 1, 0x1000, 1, false), -EFAULT);
	assert_int_equal(destroy(&f, mkey), 0);
	assert_int_equal(try_access(&f, mkey, 0x1000, 1, false), -EFAULT);
	mlx5_model_destroy(f.model);
}

static void an_indirect_key_goes_through_its_list_and_sees_a_stale_key(void **state)
{
	static const uint64_t mtt[] = {0x10000};
	struct fixture f;
	uint32_t null, direct, mkey;

	start(&f, NULL);
	assert_int_equal(mlx5_cmd_null_mkey(f.dev, &null), 0);
	assert_int_equal(create(&f,
				(struct mlx5_mkey_desc){.mode = 1,
							.read = true,
							.write = true,
							.log_page = 12,
							.len = 0x1000,
							.mtt = mtt,
							.nr = 1},
				&direct),
			 0);
	struct mlx5_klm klm[] = {{0x1000, direct, 0}, {0x2000, null, 0}, {0x800, direct, 0x800}};
	assert_int_equal(create(&f,
				(struct mlx5_mkey_desc){.mode = 2,
							.read = true,
							.write = true,
							.start = 4 * GIB,
							.len = 0x3800,
							.klm = klm,
							.nr = 3},
				&mkey),
			 0);
	assert_reaches(&f, mkey, 4 * GIB + 0xfff, 1, 0x10fff);
	assert_reaches(&f, mkey, 4 * GIB + 0x3000, 0x800, 0x10800);
	assert_int_equal(try_access(&f, mkey, 4 * GIB + 0x1000, 1, false), -EFAULT);
	assert_int_equal(try_access(&f, mkey, 4 * GIB + 0xfff, 2, false), -EFAULT);
	assert_int_equal(try_access(&f, mkey, 4 * GIB + 0x3800, 1, false), -EFAULT);
	assert_int_equal(destroy(&f, direct), 0);
	assert_int_equal(try_access(&f, mkey, 4 * GIB, 1, false), -EFAULT);
	mlx5_model_destroy(f.model);
}

static void the_one_to_one_key_reaches_everything(void **state)
{
	struct fixture f;
	uint32_t mkey;

	start(&f, NULL);
	assert_int_equal(create(&f, (struct mlx5_mkey_desc){.read = true, .write = true}, &mkey),
			 0);
	assert_reaches(&f, mkey, 0, 1, 0);
	assert_reaches(&f, mkey, UINT64_MAX - 4095, 4096, UINT64_MAX - 4095);
	mlx5_model_destroy(f.model);
}

struct refusal {
	struct mlx5_mkey_desc desc;
	int err;
	uint32_t syndrome;
};

static void a_bad_key_is_refused_with_its_syndrome(void **state)
{
	static const uint64_t mtt[] = {0x10000, 0x20000}, odd[] = {0x10200};
	static const struct mlx5_klm klm[20] = {{0x1000, 0x200, 0}};
	const struct refusal refusals[] = {
		{{.mode = 1, .log_page = 11, .len = 0x800, .mtt = mtt, .nr = 1}, -EINVAL, 0x20001},
		{{.mode = 1, .log_page = 12, .len = 0x2001, .mtt = mtt, .nr = 2}, -EINVAL, 0x20001},
		{{.mode = 1, .log_page = 12, .len = 0, .mtt = mtt, .nr = 2}, -EINVAL, 0x20001},
		{{.mode = 1, .log_page = 12, .len = 0x1000, .mtt = odd, .nr = 1}, -EINVAL, 0x20002},
		{{.mode = 2, .len = 0x1000, .klm = klm, .nr = 17}, -ENOMEM, 0x20003},
		{{.mode = 2, .len = 0x1001, .klm = klm, .nr = 1}, -EINVAL, 0x20004},
		{{.mode = 3, .len = 0x1000, .klm = klm, .nr = 1}, -EINVAL, 0x20005},
		{{.mode = 0, .pd = 0x999}, -EINVAL, 0x20007},
	};
	struct fixture f;
	uint32_t mkey;
	char text[32];

	start(&f, &(struct mlx5_model_options){.log_max_klm = 4, .max_mkeys = 1});
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		assert_int_equal(create(&f, refusals[i].desc, &mkey), refusals[i].err);
		(void)snprintf(text, sizeof(text), "syndrome 0x%x", refusals[i].syndrome);
		assert_non_null(strstr(refuse_reason(), text));
	}
	assert_int_equal(create(&f, (struct mlx5_mkey_desc){.read = true}, &mkey), 0);
	assert_int_equal(mlx5_cmd_dealloc_pd(f.dev, f.pd), -EBUSY);
	assert_int_equal(create(&f, (struct mlx5_mkey_desc){.read = true}, &mkey), -EAGAIN);
	assert_int_equal(destroy(&f, mkey), 0);
	assert_int_equal(destroy(&f, mkey), -EINVAL);
	assert_int_equal(mlx5_cmd_dealloc_pd(f.dev, f.pd), 0);
	assert_int_equal(mlx5_cmd_dealloc_pd(f.dev, f.pd), -EINVAL);
	assert_int_equal(mlx5_model_nr_pds(f.model), 0);
	mlx5_model_destroy(f.model);
}

static void a_command_of_a_wrong_form_is_refused(void **state)
{
	static const struct {
		uint8_t in[24];
		size_t in_len, out_len;
		uint8_t status;
	} cases[] = {
		{{0x0a, 0x01}, 16, 16, 0x02}, /* an opcode that the model has not */
		{{0x01, 0x00, [7] = 0x01}, 16, 16, 0x51},
		{{0x01, 0x00, [7] = 0x03}, 16, 4112, 0x03}, /* capabilities of another kind */
		{{0x08, 0x00}, 24, 16, 0x50},
		{{0x02, 0x00}, 16, 16, 0x50},
	};
	uint8_t out[4112];
	struct fixture f;

	start(&f, NULL);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(f.dev->ops->exec(f.dev, cases[i].in, cases[i].in_len, out,
						  cases[i].out_len),
				 0);
		assert_int_equal(out[0], cases[i].status);
	}
	assert_int_equal(f.dev->ops->exec(f.dev, cases[0].in, 8, out, 16), -EIO);
	mlx5_model_destroy(f.model);
}

/* Commands that the driver's encoder cannot make, by the byte that is wrong. */
static void expect_raw(struct fixture *f, const uint8_t *in, size_t len, size_t out_len,
		       uint32_t syndrome)
{
	uint8_t out[4112] = {0};
	uint32_t got;

	assert_int_equal(f->dev->ops->exec(f->dev, in, len, out, out_len), 0);
	got = (uint32_t)out[4] << 24 | (uint32_t)out[5] << 16 | (uint32_t)out[6] << 8 | out[7];
	if (got != syndrome)
		fail_msg("want syndrome 0x%x, got 0x%x", syndrome, got);
	assert_int_not_equal(out[0], 0);
}

static void what_no_encoder_sends_is_refused_by_its_syndrome(void **state)
{
	uint8_t key[288] = {0x02, 0x00, [18] = 1 << 2 | 1, [20] = 0xff, 0xff, 0xff};
	const uint8_t opcode[16] = {0x0a, 0x77}, cap[16] = {0x01, 0x00, [7] = 0x03};
	const uint8_t pd[24] = {0x08, 0x00};
	struct fixture f;

	start(&f, NULL);
	expect_raw(&f, opcode, sizeof(opcode), 16, 0x10005);
	expect_raw(&f, pd, sizeof(pd), 16, 0x10007);
	expect_raw(&f, cap, sizeof(cap), 16, 0x10008);   /* no room for the reply */
	expect_raw(&f, cap, sizeof(cap), 4112, 0x10004); /* of another kind */
	key[31] = (uint8_t)f.pd;
	expect_raw(&f, key, 272, 16, 0x20001); /* no length */
	key[20] = 0;
	expect_raw(&f, key, 272, 16, 0x20006); /* for one queue alone */
	key[20] = 0xff;
	key[99] = 1;
	expect_raw(&f, key, 288, 16, 0x20006); /* two lengths of the list */
	mlx5_model_destroy(f.model);
}

static void keys_and_domains_that_are_none_are_refused_by_their_syndrome(void **state)
{
	struct fixture f;
	uint32_t mkey;

	start(&f, &(struct mlx5_model_options){.max_mkeys = 1});
	assert_int_equal(create(&f, (struct mlx5_mkey_desc){.read = true}, &mkey), 0);
	assert_int_equal(create(&f, (struct mlx5_mkey_desc){.read = true}, &mkey), -EAGAIN);
	assert_non_null(strstr(refuse_reason(), "syndrome 0x20008"));
	assert_int_equal(mlx5_cmd_dealloc_pd(f.dev, f.pd), -EBUSY);
	assert_non_null(strstr(refuse_reason(), "syndrome 0x10003"));
	assert_int_equal(destroy(&f, mkey), 0);
	assert_int_equal(destroy(&f, mkey), -EINVAL);
	assert_non_null(strstr(refuse_reason(), "syndrome 0x20009"));
	assert_int_equal(mlx5_cmd_dealloc_pd(f.dev, f.pd), 0);
	assert_int_equal(mlx5_cmd_dealloc_pd(f.dev, f.pd), -EINVAL);
	assert_non_null(strstr(refuse_reason(), "syndrome 0x10002"));
	mlx5_model_fail_at(f.model, 1, 0x0f);
	assert_int_equal(mlx5_cmd_alloc_pd(f.dev, &f.pd), -EAGAIN);
	assert_non_null(strstr(refuse_reason(), "syndrome 0x10006"));
	mlx5_model_destroy(f.model);
}

static void a_command_fails_where_a_test_wants_it_and_all_when_fatal(void **state)
{
	struct fixture f;
	uint32_t mkey;

	start(&f, NULL);
	mlx5_model_fail_at(f.model, 2, 0x0f);
	assert_int_equal(create(&f, (struct mlx5_mkey_desc){.read = true}, &mkey), 0);
	assert_int_equal(destroy(&f, mkey), -EAGAIN);
	assert_int_equal(destroy(&f, mkey), 0);
	assert_int_equal(mlx5_model_nr_commands(f.model, MODEL_DESTROY_MKEY), 2);
	mlx5_model_set_fatal(f.model);
	assert_int_equal(create(&f, (struct mlx5_mkey_desc){.read = true}, &mkey), -EIO);
	mlx5_model_destroy(f.model);
}

static void capabilities_are_those_of_the_options(void **state)
{
	struct mlx5_caps caps;
	struct fixture f;

	start(&f, &(struct mlx5_model_options){.no_umem_uid_0 = true, .log_max_klm = 9});
	assert_int_equal(mlx5_cmd_query_caps(f.dev, &caps), 0);
	assert_int_equal(caps.max_klm, 512);
	assert_false(caps.umem_uid_0);
	mlx5_model_destroy(f.model);
	start(&f, NULL);
	assert_int_equal(mlx5_cmd_query_caps(f.dev, &caps), 0);
	assert_int_equal(caps.max_klm, 65536);
	assert_true(caps.umem_uid_0);
	mlx5_model_destroy(f.model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_direct_key_translates_inside_its_bounds_and_permissions),
		cmocka_unit_test(an_indirect_key_goes_through_its_list_and_sees_a_stale_key),
		cmocka_unit_test(the_one_to_one_key_reaches_everything),
		cmocka_unit_test(a_bad_key_is_refused_with_its_syndrome),
		cmocka_unit_test(a_command_of_a_wrong_form_is_refused),
		cmocka_unit_test(what_no_encoder_sends_is_refused_by_its_syndrome),
		cmocka_unit_test(keys_and_domains_that_are_none_are_refused_by_their_syndrome),
		cmocka_unit_test(a_command_fails_where_a_test_wants_it_and_all_when_fatal),
		cmocka_unit_test(capabilities_are_those_of_the_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
