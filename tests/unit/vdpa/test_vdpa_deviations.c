// SPDX-License-Identifier: BSD-3-Clause
/* docs/deviations.md says what the table in the code says, row by row. argv[1]: the page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "vdpa/deviations.h"

static const char *page_path;

static void page_has_every_row_and_no_other(void **state)
{
	const struct vdpa_deviation_info *rows;
	static char page[65536];
	char row[1024];
	size_t nr, len, found = 0;
	FILE *f = fopen(page_path, "r");

	assert_non_null(f);
	len = fread(page, 1, sizeof(page) - 1, f);
	fclose(f);
	page[len] = '\0';
	rows = vdpa_deviation_table(&nr);
	for (size_t i = 0; i < nr; i++) {
		snprintf(row, sizeof(row), "\n| %s | %s | %s |\n", rows[i].id, rows[i].what,
			 rows[i].reason);
		if (!strstr(page, row))
			fail_msg("%s lacks the row%s", page_path, row);
	}
	for (const char *p = page; (p = strstr(p, "\n| D")) != NULL; p++)
		found++;
	assert_int_equal(found, nr);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(page_has_every_row_and_no_other),
	};

	page_path = argc > 1 ? argv[1] : "docs/deviations.md";
	return cmocka_run_group_tests_name("vdpa-deviations", tests, NULL, NULL);
}
