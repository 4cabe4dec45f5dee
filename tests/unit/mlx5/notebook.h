// SPDX-License-Identifier: BSD-3-Clause
/* A device that notes what it is given and answers what it is told, for tests of the encoders. */
#ifndef HOLDFAST_TESTS_MLX5_NOTEBOOK_H
#define HOLDFAST_TESTS_MLX5_NOTEBOOK_H

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "parents/mlx5/cmd.h"

struct notebook {
	struct mlx5_dev dev;
	uint8_t in[1024];
	size_t in_len, out_len;
	struct {
		size_t at;
		uint8_t byte;
	} answer[40];
	size_t nr_answer;
	int err;
};

static inline int notebook_exec(struct mlx5_dev *dev, const void *in, size_t in_len, void *out,
				size_t out_len)
{
	struct notebook *n = container_of(dev, struct notebook, dev);

	assert_true(in_len <= sizeof(n->in));
	memcpy(n->in, in, in_len);
	n->in_len = in_len;
	n->out_len = out_len;
	for (size_t i = 0; i < n->nr_answer && n->answer[i].at < out_len; i++)
		((uint8_t *)out)[n->answer[i].at] = n->answer[i].byte;
	return n->err;
}

static inline void notebook_start(struct notebook *n)
{
	static const struct mlx5_dev_ops ops = {.exec = notebook_exec};

	*n = (struct notebook){.dev = {.ops = &ops, .name = "note"}};
}

static inline void notebook_answer(struct notebook *n, size_t at, uint8_t byte)
{
	n->answer[n->nr_answer].at = at;
	n->answer[n->nr_answer++].byte = byte;
}

/* Exactly these bytes were sent. */
static inline void notebook_expect(const struct notebook *n, const uint8_t *want, size_t len)
{
	assert_int_equal(n->in_len, len);
	for (size_t i = 0; i < len; i++)
		if (n->in[i] != want[i])
			fail_msg("byte %zu: want 0x%02x, is 0x%02x", i, want[i], n->in[i]);
}

#endif
