// SPDX-License-Identifier: BSD-3-Clause
/*
 * Why a call was refused, in words. The uAPI can only say EFAULT or EINVAL; the code that takes the
 * decision states the reason with its values where it returns the error, and a frontend's call log
 * or a command prints it. One reason a thread, valid until that thread's next refuse().
 *
 * A call that succeeds, but perhaps not as its caller thinks, leaves a remark instead.
 */
#ifndef HOLDFAST_BASE_REFUSE_H
#define HOLDFAST_BASE_REFUSE_H

#include "base/compiler.h"

/**
 * refuse() - note the reason and hand the error on
 * @err: negative errno
 * @fmt: one line, no full stop, naming the offending value; its arguments may hold refuse_reason(),
 *   to say more
 * Return: @err, so that `return refuse(-EINVAL, "...")` reads well.
 */
int refuse(int err, const char *fmt, ...) HF_PRINTF(2, 3) HF_COLD;

/** refuse_reason() - this thread's last reason, "" if none since refuse_clear() */
const char *refuse_reason(void);
/** refuse_words() - the same, and what errno @err (negative) means where nobody said a reason: for
 * a line to a person, which must not end in nothing */
const char *refuse_words(int err);
void refuse_clear(void);

/**
 * remark() - what the person who reads a log of calls should know of a call that succeeds
 * @fmt: one line, no full stop; one remark a thread, valid until it is taken
 */
void remark(const char *fmt, ...) HF_PRINTF(1, 2) HF_COLD;

/** remark_take() - this thread's remark, which it then has no more; "" if there is none */
const char *remark_take(void);

#endif
