// SPDX-License-Identifier: BSD-3-Clause
/*
 * Every command, byte by byte. The expected bytes are written by hand from the manual's offsets:
 * neither the encoder nor the model has made them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/refuse.h"
#include "notebook.h"
#include "parents/mlx5/layout.h"
#include "parents/mlx5/trace.h"

static void query_caps_asks_for_the_current_general_ones(void **state)
{
	static const uint8_t want[16] = {0x01, 0x00, [7] = 0x01};
	struct notebook n;
	struct mlx5_caps caps;

	notebook_start(&n);
	notebook_answer(&n, 16 + 0x118 / 8,
			0xc0 | 14); /* two foreign bits above the six of the field */
	notebook_answer(&n, 16 + 0x250 / 8, 0x20);
	assert_int_equal(mlx5_cmd_query_caps(&n.dev, &caps), 0);
	notebook_expect(&n, want, sizeof(want));
	assert_int_equal(n.out_len, 4112);
	assert_int_equal(caps.max_klm, 16384);
	assert_true(caps.umem_uid_0);
	n.answer[1].byte = 0xdf;
	assert_int_equal(mlx5_cmd_query_caps(&n.dev, &caps), 0);
	assert_false(caps.umem_uid_0);
}

static void null_mkey_is_read_from_the_special_contexts(void **state)
{
	static const uint8_t want[16] = {0x02, 0x03};
	struct notebook n;
	uint32_t mkey;

	notebook_start(&n);
	for (size_t i = 0; i < 4; i++)
		notebook_answer(&n, 16 + i, (uint8_t)(0xa1 + i));
	assert_int_equal(mlx5_cmd_null_mkey(&n.dev, &mkey), 0);
	notebook_expect(&n, want, sizeof(want));
	assert_int_equal(n.out_len, 32);
	assert_int_equal(mkey, 0xa1a2a3a4);
}

static void protection_domains_and_keys_are_named_by_24_bits(void **state)
{
	static const uint8_t alloc[16] = {0x08, 0x00};
	static const uint8_t dealloc[16] = {0x08, 0x01, [9] = 0x12, 0x34, 0x56};
	static const uint8_t destroy[16] = {0x02, 0x02, [9] = 0x01, 0x02, 0x03};
	struct notebook n;
	uint32_t pd, key = 0x01020344;
	bool gone;

	notebook_start(&n);
	notebook_answer(&n, 8, 0xff); /* reserved */
	notebook_answer(&n, 9, 0x12);
	notebook_answer(&n, 10, 0x34);
	notebook_answer(&n, 11, 0x56);
	assert_int_equal(mlx5_cmd_alloc_pd(&n.dev, &pd), 0);
	notebook_expect(&n, alloc, sizeof(alloc));
	assert_int_equal(pd, 0x123456);
	assert_int_equal(mlx5_cmd_dealloc_pd(&n.dev, pd), 0);
	notebook_expect(&n, dealloc, sizeof(dealloc));
	assert_int_equal(mlx5_cmd_destroy_mkeys(&n.dev, &key, 1, &gone), 0);
	assert_true(gone);
	notebook_expect(&n, destroy, sizeof(destroy));
}

static const uint8_t three_pages[304] = {
	[0] = 0x02,
	0x00,
	[16 + 2] = 0x0d, /* lw, lr, mode 1 */
	[16 + 4] = 0xff,
	0xff,
	0xff,
	[16 + 13] = 0x00,
	0x00,
	0x2a,
	[16 + 24] = 0,
	0,
	0,
	0,
	0,
	0,
	0x2f,
	0xff,
	[16 + 55] = 2,
	[16 + 59] = 12 << 0,
	[96 + 3] = 2,
	[272] = 0x00,
	0x00,
	0x7f,
	0x00,
	0x11,
	0x22,
	0x30,
	0x00,
	[280] = 0x00,
	0x00,
	0x7f,
	0x00,
	0x11,
	0x22,
	0x60,
	0x00,
	[288] = 0xff,
	0xf0,
	0x00,
	0x00,
	0x00,
	0x00,
	0x10,
	0x00,
};

static void create_mkey_of_three_pages_pads_its_list_to_four(void **state)
{
	static const uint64_t mtt[] = {0x7f0011223000, 0x7f0011226000, 0xfff0000000001000};
	struct mlx5_mkey_desc desc = {.mode = 1,
				      .read = true,
				      .write = true,
				      .log_page = 12,
				      .pd = 0x2a,
				      .len = 0x2fff,
				      .mtt = mtt,
				      .nr = 3};
	struct notebook n;
	uint32_t mkey;

	notebook_start(&n);
	notebook_answer(&n, 9, 0x00);
	notebook_answer(&n, 10, 0x01);
	notebook_answer(&n, 11, 0x07);
	assert_int_equal(mlx5_cmd_create_mkey(&n.dev, &desc, &mkey), 0);
	notebook_expect(&n, three_pages, sizeof(three_pages));
	assert_int_equal(mkey, 0x10700);
}

static const uint8_t over_keys[336] = {
	[0] = 0x02,
	0x00,
	[16 + 2] = 0x0e,
	[16 + 4] = 0xff,
	0xff,
	0xff,
	[16 + 15] = 0x2a,
	[16 + 16] = 0x00,
	0x00,
	0x00,
	0x01,
	0x00,
	0x00,
	0x00,
	0x00,
	[16 + 24] = 0x00,
	0x00,
	0x00,
	0x00,
	0x40,
	0x00,
	0x20,
	0x00,
	[16 + 55] = 4,
	[96 + 3] = 4,
	[272] = 0x40,
	0,
	0,
	0,
	0x00,
	0x01,
	0x07,
	0x00,
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	[288] = 0,
	0,
	0x20,
	0,
	0x00,
	0x00,
	0x01,
	0x00,
	0,
	0,
	0,
	0,
	0,
	0,
	0x80,
	0,
};

static void create_mkey_over_keys_lists_length_key_and_address(void **state)
{
	static const struct mlx5_klm klm[] = {{0x40000000, 0x10700, 0}, {0x2000, 0x100, 0x8000}};
	struct mlx5_mkey_desc desc = {.mode = 2,
				      .read = true,
				      .write = true,
				      .pd = 0x2a,
				      .start = 0x100000000,
				      .len = 0x40002000,
				      .klm = klm,
				      .nr = 2};
	struct notebook n;
	uint32_t mkey;

	notebook_start(&n);
	assert_int_equal(mlx5_cmd_create_mkey(&n.dev, &desc, &mkey), 0);
	notebook_expect(&n, over_keys, sizeof(over_keys));
}

static void create_mkey_one_to_one_reaches_all_and_read_only_does_not_write(void **state)
{
	static const uint8_t want[272] = {
		[0] = 0x02, 0x00, [16 + 2] = 0x04,  [16 + 4] = 0xff,
		0xff,       0xff, [16 + 12] = 0x80, [16 + 15] = 0x2a,
	};
	struct mlx5_mkey_desc desc = {.mode = 0, .read = true, .pd = 0x2a};
	struct notebook n;
	uint32_t mkey;

	notebook_start(&n);
	assert_int_equal(mlx5_cmd_create_mkey(&n.dev, &desc, &mkey), 0);
	notebook_expect(&n, want, sizeof(want));
}

static void every_status_is_an_error_that_says_what_was_refused(void **state)
{
	static const struct {
		uint8_t status;
		int err;
	} cases[] = {{0x01, -EIO},    {0x02, -EINVAL}, {0x03, -EINVAL}, {0x04, -EIO},
		     {0x05, -EINVAL}, {0x06, -EBUSY},  {0x07, -EAGAIN}, {0x08, -ENOMEM},
		     {0x09, -EINVAL}, {0x0a, -EINVAL}, {0x0f, -EAGAIN}, {0x50, -EIO},
		     {0x51, -EIO},    {0x77, -EIO}};
	struct notebook n;
	uint32_t pd = 77;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		notebook_start(&n);
		notebook_answer(&n, 0, cases[i].status);
		notebook_answer(&n, 6, 0x5e);
		notebook_answer(&n, 7, 0xed);
		assert_int_equal(mlx5_cmd_alloc_pd(&n.dev, &pd), cases[i].err);
		assert_non_null(strstr(refuse_reason(), "ALLOC_PD"));
		assert_non_null(strstr(refuse_reason(), "syndrome 0x5eed"));
		assert_int_equal(pd, 77);
	}
	n.err = -EIO;
	assert_int_equal(mlx5_cmd_alloc_pd(&n.dev, &pd), -EIO);
	assert_non_null(strstr(refuse_reason(), "did not answer ALLOC_PD"));
}

static size_t read_trace(const char *path, char *text, size_t len)
{
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, len - 1, f);
	(void)fclose(f);
	text[n] = '\0';
	return n;
}

/* But for the times, which stand first and last. */
static void trace_has_a_line_for_each_command_with_names_and_fields(void **state)
{
	static const uint64_t pages[] = {0x1000, 0x5000};
	const struct mlx5_mkey_desc desc = {.mode = MLX5_ACCESS_MTT,
					    .read = true,
					    .log_page = 12,
					    .pd = 0x77,
					    .len = 0x2000,
					    .mtt = pages,
					    .nr = 2};
	char path[] = "/tmp/holdfast-trace-XXXXXX", text[4096];
	const uint32_t keys[2] = {0x100, 0x200};
	bool gone[2];
	struct notebook n;
	uint32_t mkey;
	int fd = mkstemp(path), nr_lines = 0;

	assert_true(fd >= 0);
	close(fd);
	notebook_start(&n);
	assert_int_equal(mlx5_trace_open("/no/such/folder/x", &n.dev.trace), -ENOENT);
	assert_non_null(strstr(refuse_reason(), "trace '/no/such/folder/x' cannot be written"));
	assert_int_equal(mlx5_trace_open(path, &n.dev.trace), 0);
	notebook_answer(&n, 11, 0x21);
	assert_int_equal(mlx5_cmd_create_mkey(&n.dev, &desc, &mkey), 0);
	n.err = -EIO;
	assert_int_equal(mlx5_cmd_destroy_mkeys(&n.dev, keys, 2, gone), -EIO);
	n.err = 0;
	n.answer[0].at = 0;
	n.answer[0].byte = 5;
	assert_int_equal(mlx5_cmd_dealloc_pd(&n.dev, 0x77), -EINVAL);
	assert_true(read_trace(path, text, sizeof(text)) > 0);
	assert_non_null(strstr(
		text, " CREATE_MKEY lr=0x1 access_mode_1_0=0x1 qpn=0xffffff pd=0x77 len=0x2000 "
		      "translations_octword_size=0x1 log_page_size=0xc bytes=272+16 -> ok "
		      "index=0x21 "));
	assert_non_null(strstr(text, "DESTROY_MKEY index=0x2 bytes=16 -> no answer: "));
	assert_non_null(
		strstr(text, " DEALLOC_PD index=0x77 bytes=16 -> status=0x5 syndrome=0x0 "));
	for (char *line = text, *end; *line; line = end + 1, nr_lines++)
		end = strchr(line, '\n');
	assert_int_equal(nr_lines, 4);
	mlx5_trace_close(n.dev.trace);
	(void)unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(query_caps_asks_for_the_current_general_ones),
		cmocka_unit_test(null_mkey_is_read_from_the_special_contexts),
		cmocka_unit_test(protection_domains_and_keys_are_named_by_24_bits),
		cmocka_unit_test(create_mkey_of_three_pages_pads_its_list_to_four),
		cmocka_unit_test(create_mkey_over_keys_lists_length_key_and_address),
		cmocka_unit_test(create_mkey_one_to_one_reaches_all_and_read_only_does_not_write),
		cmocka_unit_test(trace_has_a_line_for_each_command_with_names_and_fields),
		cmocka_unit_test(every_status_is_an_error_that_says_what_was_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
