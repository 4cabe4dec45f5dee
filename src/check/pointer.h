/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rows that give an ioctl an argument where no argument can be. Shared by the files of the ioctls:
 * ioctl_device.c (no owner needed) and vring.c (an owner needed).
 */
#ifndef HOLDFAST_CHECK_POINTER_H
#define HOLDFAST_CHECK_POINTER_H

#include "check/check.h"

#define POINTER_OWNED 1 /* a row's b: the session has an owner */

/* One row of the ioctl @req_, whose argument has @len_ bytes. */
#define CHECK_IOCTL_ROW(name_, what_, clause_, fn_, needs_, req_, len_, owned_)                    \
	{                                                                                          \
		"ioctl." name_ "." what_, clause_, fn_, needs_, req_, len_, owned_                 \
	}

void check_null_efault(struct check_ctx *t);
void check_unmapped_efault(struct check_ctx *t);
/** check_read_only_efault() - of commands that answer: the answer cannot be written */
void check_read_only_efault(struct check_ctx *t);
/** check_truncated_efault() - all but the argument's last byte is mapped */
void check_truncated_efault(struct check_ctx *t);

#endif
