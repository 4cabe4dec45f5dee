// SPDX-License-Identifier: BSD-3-Clause
/* The table of src/vdpa/deviations.c as JSON, for profiles.py. No string of it needs an escape. */
#include <stdio.h>

#include "vdpa/deviations.h"

static void print_kernels(unsigned int set)
{
	const char *between = "";

	for (unsigned int i = PROFILE_DEFAULT + 1; i < PROFILE_NR; i++)
		if (set & PROFILE_BIT(i)) {
			printf("%s\"%s\"", between, profile_name((enum profile)i));
			between = ", ";
		}
}

int main(void)
{
	const struct vdpa_deviation_info *rows;
	const char *between = "";
	size_t nr;

	printf("{\"kernels\": {");
	for (unsigned int i = PROFILE_DEFAULT + 1; i < PROFILE_NR; i++) {
		printf("%s\"%s\": \"%s\"", between, profile_name((enum profile)i),
		       profile_release((enum profile)i));
		between = ", ";
	}
	printf("},\n\"rows\": [");
	rows = vdpa_deviation_table(&nr);
	for (size_t i = 0; i < nr; i++) {
		printf("%s\n{\"id\": \"%s\", \"clause\": \"%s\", \"what\": \"%s\", \"others\": "
		       "\"%s\", \"kernels\": [",
		       i ? "," : "", rows[i].id, rows[i].clause, rows[i].what, rows[i].others);
		print_kernels(rows[i].kernels);
		printf("]}");
	}
	printf("\n]}\n");
	return 0;
}
