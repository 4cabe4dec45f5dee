/* SPDX-License-Identifier: BSD-3-Clause */
#include "check/pointer.h"

#include <string.h>

static void expect_efault(struct check_ctx *t, void *arg)
{
	int fd = t->check->b == POINTER_OWNED ? check_open_owned(t) : check_open(t);

	EXPECT_RC(t, -EFAULT, client_ioctl(fd, t->check->req, arg));
}

void check_null_efault(struct check_ctx *t)
{
	expect_efault(t, NULL);
}

void check_unmapped_efault(struct check_ctx *t)
{
	expect_efault(t, check_unmapped());
}

void check_read_only_efault(struct check_ctx *t)
{
	expect_efault(t, check_read_only(t));
}

void check_truncated_efault(struct check_ctx *t)
{
	size_t len = (size_t)t->check->a - 1;
	uint8_t *arg = check_guarded(t, len);

	memset(arg, 0, len);
	expect_efault(t, arg);
}
