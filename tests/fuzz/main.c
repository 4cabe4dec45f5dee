// SPDX-License-Identifier: BSD-3-Clause
/*
 * main() of a fuzz target without libFuzzer: AFL++'s loop, or each file and each folder's files
 * that the command line names, once. Prints how many inputs were run.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

#ifdef __AFL_FUZZ_TESTCASE_LEN
#define LOOPS 10000 /* inputs of one process */
__AFL_FUZZ_INIT();

static int run_files(int nr, char **names)
{
	(void)nr;
	(void)names;
	__AFL_INIT();
	while (__AFL_LOOP(LOOPS))
		(void)LLVMFuzzerTestOneInput(__AFL_FUZZ_TESTCASE_BUF,
					     (size_t)__AFL_FUZZ_TESTCASE_LEN);
	return 0;
}
#else
#define INPUT_MAX (1u << 20) /* bytes */

static unsigned long nr_run;

static int fail(const char *path)
{
	(void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
	return 1;
}

/* The input has just its own size, so that a sanitizer sees a read behind it. */
static int run_file(const char *path)
{
	FILE *f = fopen(path, "re");
	uint8_t *room = malloc(INPUT_MAX), *input;
	size_t len;

	if (!f || !room)
		return fail(path);
	len = fread(room, 1, INPUT_MAX, f);
	(void)fclose(f);
	input = malloc(len ? len : 1);
	if (!input)
		return fail(path);
	memcpy(input, room, len);
	free(room);
	(void)LLVMFuzzerTestOneInput(input, len);
	free(input);
	nr_run++;
	return 0;
}

static int run_folder(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	int ret = 0;

	if (!dir)
		return fail(path);
	while (!ret && (entry = readdir(dir))) {
		char name[PATH_MAX];

		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		ret = run_file(name);
	}
	(void)closedir(dir);
	return ret;
}

static int run_files(int nr, char **names)
{
	for (int i = 0; i < nr; i++) {
		struct stat st;
		int ret;

		if (stat(names[i], &st) < 0)
			return fail(names[i]);
		ret = S_ISDIR(st.st_mode) ? run_folder(names[i]) : run_file(names[i]);
		if (ret)
			return ret;
	}
	(void)printf("%lu inputs\n", nr_run);
	return nr_run > 0 ? 0 : 1;
}
#endif

int main(int argc, char **argv)
{
	int ret = LLVMFuzzerInitialize(&argc, &argv);

	return ret ? ret : run_files(argc - 1, argv + 1);
}
