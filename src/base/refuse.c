// SPDX-License-Identifier: BSD-3-Clause
#include "base/refuse.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static __thread char remarked[256], taken[256];
static __thread char reason[512]; /* the list of known keys is the longest */

int refuse(int err, const char *fmt, ...)
{
	char text[sizeof(reason)] = "";
	int saved = errno;
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	memcpy(reason, text, sizeof(text));
	errno = saved;
	return err;
}

const char *refuse_reason(void)
{
	return reason;
}

const char *refuse_words(int err)
{
	return *reason ? reason : strerror(-err);
}

void refuse_clear(void)
{
	reason[0] = '\0';
}

void remark(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(remarked, sizeof(remarked), fmt, args);
	va_end(args);
}

const char *remark_take(void)
{
	memcpy(taken, remarked, sizeof(taken));
	remarked[0] = '\0';
	return taken;
}
