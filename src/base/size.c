// SPDX-License-Identifier: BSD-3-Clause
#include "base/size.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Return: how many powers of two @suffix stands for, 0 if it is none. */
static unsigned int shift_of(char suffix)
{
	static const char suffixes[] = "KkMmGgTt";
	const char *found = suffix ? strchr(suffixes, suffix) : NULL;

	return found ? 10 * ((unsigned int)(found - suffixes) / 2 + 1) : 0;
}

int size_parse_bare(const char *text, const char **end, uint64_t *out)
{
	uint64_t value;

	if (text[0] < '0' || text[0] > '9') /* strtoull takes signs and blanks */
		return -EINVAL;
	errno = 0;
	value = strtoull(text, (char **)end, 0);
	if (errno)
		return -ERANGE;
	*out = value;
	return 0;
}

int size_parse(const char *text, const char **end, uint64_t *out)
{
	uint64_t value;
	unsigned int shift;
	int err = size_parse_bare(text, end, &value);

	if (err)
		return err;
	shift = shift_of(**end);
	if (value > UINT64_MAX >> shift)
		return -ERANGE;
	*end += shift > 0;
	*out = value << shift;
	return 0;
}
