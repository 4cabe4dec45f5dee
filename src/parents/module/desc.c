// SPDX-License-Identifier: BSD-3-Clause
/* Structures that a module gives: each begins with its size, by which older modules are known. */
#include <errno.h>
#include <string.h>

#include "base/refuse.h"
#include "parents/module/module.h"

#define SIZE_SANE 65536 /* bytes; a structure that says more did not set its size */

int module_copy_sized(void *dst, size_t dst_len, const void *src, const char *what)
{
	size_t size;

	if (!src)
		return refuse(-EINVAL, "the parent gives no %s", what);
	memcpy(&size, src, sizeof(size));
	if (size < sizeof(size) || size > SIZE_SANE)
		return refuse(-EINVAL, "the parent's %s says it has %zu bytes", what, size);
	memset(dst, 0, dst_len);
	memcpy(dst, src, size < dst_len ? size : dst_len);
	memcpy(dst, &dst_len, sizeof(dst_len));
	return 0;
}

int module_begin_add(const struct hf_add *add, void *desc, size_t size, const void *given,
		     const char *what)
{
	if (add->used)
		return refuse(-EINVAL, "parent '%s' makes a second device in one dev_add()",
			      add->module->name);
	return module_copy_sized(desc, size, given, what);
}
