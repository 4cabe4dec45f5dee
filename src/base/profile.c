// SPDX-License-Identifier: BSD-3-Clause
#include "base/profile.h"

#include <stdio.h>
#include <string.h>

#define ROW(major_, minor_, release_)                                                              \
	[PROFILE_OF(major_, minor_)] = {"linux-" #major_ "." #minor_, release_, major_, minor_},
static const struct {
	const char *name, *release;
	unsigned int major, minor;
} profiles[PROFILE_NR] = {[PROFILE_DEFAULT] = {.name = "default"}, PROFILE_KERNELS(ROW)};

const char *profile_name(enum profile profile)
{
	return profiles[profile].name;
}

const char *profile_release(enum profile profile)
{
	return profiles[profile].release;
}

enum profile profile_by_name(const char *name)
{
	for (unsigned int i = PROFILE_DEFAULT + 1; i < PROFILE_NR; i++)
		if (strcmp(profiles[i].name, name) == 0)
			return (enum profile)i;
	return PROFILE_DEFAULT;
}

enum profile profile_by_release(const char *release)
{
	unsigned int major, minor, found = PROFILE_DEFAULT + 1;

	if (sscanf(release, "%u.%u", &major, &minor) != 2)
		return (enum profile)found;
	for (unsigned int i = found; i < PROFILE_NR; i++)
		if (profiles[i].major < major ||
		    (profiles[i].major == major && profiles[i].minor <= minor))
			found = i;
	return (enum profile)found;
}
