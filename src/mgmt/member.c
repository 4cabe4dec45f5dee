// SPDX-License-Identifier: BSD-3-Clause
/* Members of a request and of a reply. */
#include <errno.h>

#include "base/refuse.h"
#include "mgmt/internal.h"

int mgmt_add(json_t *object, const char *key, json_t *value)
{
	if (!value || json_object_set_new(object, key, value))
		return refuse(-ENOMEM, "no memory for a reply");
	return 0;
}

int mgmt_string(const struct mgmt_call *call, const char *member, const char **out)
{
	const json_t *value = json_object_get(call->request, member);

	if (value && !json_is_string(value))
		return refuse(-EINVAL, "\"%s\" is not a string", member);
	*out = json_string_value(value);
	return 0;
}
