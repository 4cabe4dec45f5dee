// SPDX-License-Identifier: BSD-3-Clause
/* Listings of /dev, and names that begin in a folder that is open. */
#include "client.h"

#include <dirent.h>
#include <glob.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/xattr.h>

#define NAME     "vhost-vdpa-0"
#define CHILD_NO 77 /* exit code of a child that may not do what it should */

static DIR *open_dev(void)
{
	DIR *dir = opendir("/dev");

	assert_non_null(dir);
	return dir;
}

/* Entries of @dir from where it is; the node's in *@node, if it is not NULL. Return: how many
 * entries were the node's. */
static unsigned int count(DIR *dir, unsigned int *all, struct dirent *node)
{
	unsigned int nr = 0;
	struct dirent *entry;

	*all = 0;
	while ((entry = readdir(dir))) {
		++*all;
		if (strcmp(entry->d_name, NAME) != 0)
			continue;
		nr++;
		if (node)
			*node = *entry;
	}
	return nr;
}

/* What the kernel has, without the library. */
static unsigned int kernels_count(const char *path)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
	static char buf[65536];
	unsigned int nr = 0;
	long len;

	assert_true(fd >= 0);
	while ((len = getdents64(fd, buf, sizeof(buf))) > 0) /* of libc: it shows no nodes */
		for (long at = 0; at < len; at += ((struct dirent64 *)(buf + at))->d_reclen)
			nr++;
	close(fd);
	return nr;
}

/* Other programs make and remove files, so the count that holds is one between two that agree. */
static void count_like_the_kernel(DIR *dir, const char *path, unsigned int nr_nodes)
{
	unsigned int before, all;

	for (int i = 0; i < 1000; i++) {
		rewinddir(dir);
		before = kernels_count(path);
		assert_int_equal(count(dir, &all, NULL), nr_nodes);
		if (before == kernels_count(path) && all == before + nr_nodes)
			return;
	}
	fail_msg("%s: %u entries, %u of the kernel's", path, all, before);
}

static void preload_list_shows_the_node_once(void **state)
{
	DIR *dir = open_dev();
	struct dirent node;
	unsigned int all;
	struct stat st;

	errno = ENOTNAM;
	assert_int_equal(count(dir, &all, &node), 1);
	assert_int_equal(errno, ENOTNAM);
	count_like_the_kernel(dir, "/dev", 1);
	assert_int_equal(node.d_type, DT_CHR);
	assert_int_equal(stat(NODE, &st), 0);
	assert_int_equal(node.d_ino, st.st_ino);
	assert_null(readdir(dir));
	assert_null(readdir64(dir));
	closedir(dir);
}

static void preload_list_of_another_folder_is_the_kernels(void **state)
{
	static const char *const paths[] = {"/", "/etc", "/sys", "/dev/pts"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		DIR *dir = opendir(paths[i]);

		if (!dir)
			continue;
		count_like_the_kernel(dir, paths[i], 0);
		assert_null(readdir(dir));
		closedir(dir);
	}
}

static void preload_list_can_be_rewound_and_sought(void **state)
{
	DIR *dir = open_dev();
	long start = telldir(dir), before = -1, at;
	unsigned int again;
	struct dirent *entry;

	count_like_the_kernel(dir, "/dev", 1);
	seekdir(dir, start);
	do {
		at = telldir(dir);
		entry = readdir(dir);
		if (entry && strcmp(entry->d_name, NAME) == 0)
			before = at;
	} while (entry);
	at = telldir(dir);
	assert_int_equal(count(dir, &again, NULL), 0);
	seekdir(dir, before);
	assert_int_equal(count(dir, &again, NULL), 1);
	seekdir(dir, at);
	assert_int_equal(count(dir, &again, NULL), 0);
	assert_int_equal(again, 0);
	closedir(dir);
}

/* Deprecated, and still called. */
static void preload_list_reentrant_shows_the_node(void **state)
{
	struct dirent64 entry, *result;
	DIR *dir = open_dev();
	unsigned int nr = 0;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
	while (readdir64_r(dir, &entry, &result) == 0 && result)
		nr += strcmp(result->d_name, NAME) == 0;
#pragma GCC diagnostic pop
	assert_null(result);
	assert_int_equal(nr, 1);
	closedir(dir);
}

static int is_ours(const struct dirent *entry)
{
	return strncmp(entry->d_name, "vhost-vdpa-", 11) == 0 || strcmp(entry->d_name, "null") == 0;
}

static void preload_list_scandir_and_glob_show_the_node(void **state)
{
	struct dirent **list;
	glob_t found;

	assert_int_equal(scandir("/dev/", &list, is_ours, alphasort), 2);
	assert_string_equal(list[0]->d_name, "null");
	assert_string_equal(list[1]->d_name, NAME);
	free(list[0]);
	free(list[1]);
	free(list);
	assert_int_equal(glob("/dev/vhost-vdpa-*", 0, NULL, &found), 0);
	assert_int_equal(found.gl_pathc, 1);
	assert_string_equal(found.gl_pathv[0], NODE);
	assert_int_equal(glob("/dev/nul[l]", GLOB_APPEND, NULL, &found), 0);
	assert_int_equal(found.gl_pathc, 2);
	globfree(&found);
	assert_int_equal(glob("/de[v]/null", 0, NULL, &found), 0);
	globfree(&found);
}

/* A folder has more than one name. */
static void preload_list_scandir_shows_the_node_by_any_name_of_dev(void **state)
{
	static const char *const names[] = {"/dev", "/dev/.", "/dev/../dev", "//dev"};
	int dev = open("/dev", O_RDONLY | O_DIRECTORY);
	struct dirent **list;

	for (size_t i = 0; i <= sizeof(names) / sizeof(names[0]); i++) {
		int nr = i ? scandirat(-1, names[i - 1], &list, is_ours, alphasort)
			   : scandirat(dev, ".", &list, is_ours, alphasort);

		assert_int_equal(nr, 2);
		assert_string_equal(list[1]->d_name, NAME);
		free(list[0]);
		free(list[1]);
		free(list);
	}
	assert_int_equal(scandirat(dev, NAME, &list, is_ours, NULL), -1);
	assert_int_equal(errno, ENOTDIR);
	assert_int_equal(scandirat(dev, "no-such", &list, is_ours, NULL), -1);
	assert_int_equal(errno, ENOENT);
	close(dev);
}

static void preload_list_more_streams_than_slots_come_to_their_end(void **state)
{
	DIR *dirs[100];
	unsigned int all, nr = 0;

	for (int i = 0; i < 100; i++) {
		dirs[i] = open_dev();
		nr += count(dirs[i], &all, NULL);
		assert_null(readdir(dirs[i]));
	}
	assert_true(nr >= 1 && nr <= 100);
	for (int i = 0; i < 100; i++)
		closedir(dirs[i]);
	dirs[0] = open_dev();
	assert_int_equal(count(dirs[0], &all, NULL), 1);
	closedir(dirs[0]);
}

/* In a child: a /dev whose folder has a file of the node's name. */
static int list_with_a_file_of_that_name(void)
{
	unsigned int all, nr;
	DIR *dir;

	if ((unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/dev", "tmpfs", 0, "mode=0755") < 0)
		return CHILD_NO;
	if (mknod(NODE, S_IFREG | 0600, 0) < 0)
		return CHILD_NO;
	dir = opendir("/dev");
	nr = dir ? count(dir, &all, NULL) : 0;
	if (nr != 1 || all != 3)
		return 1;
	/* and the node is ours all the same */
	return get_status(open(NODE, O_RDWR)) == 0 ? 0 : 2;
}

static void preload_list_does_not_repeat_what_the_folder_has(void **state)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(list_with_a_file_of_that_name());
	status = child_status(pid);
	if (status == CHILD_NO)
		skip();
	assert_int_equal(status, 0);
}

static void preload_name_relative_to_dev_is_the_node(void **state)
{
	int dev = open("/dev", O_RDONLY | O_DIRECTORY), root = open("/", O_RDONLY | O_DIRECTORY);
	struct stat st, by_path;
	struct statx stx;
	int fd;

	assert_int_equal(stat(NODE, &by_path), 0);
	assert_int_equal(fstatat(dev, NAME, &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_memory_equal(&st, &by_path, sizeof(st));
	assert_int_equal(statx(dev, NAME, 0, STATX_BASIC_STATS, &stx), 0);
	assert_int_equal(faccessat(dev, NAME, R_OK, 0), 0);
	assert_errno(ENOENT, fstatat(root, NAME, &st, 0));
	assert_errno(ENOENT, stat(NAME, &st));
	assert_errno(ENOENT, openat(root, NAME, O_RDWR));
	fd = openat(dev, NAME, O_RDWR);
	assert_int_equal(get_status(fd), 0);
	close(fd);
	close(dev);
	close(root);
}

static void preload_path_questions_have_a_character_devices_answers(void **state)
{
	char buf[PATH_MAX];

	assert_errno(ENODATA, getxattr(NODE, "user.some-own-name", buf, sizeof(buf)));
	assert_int_equal(llistxattr(NODE, buf, sizeof(buf)),
			 llistxattr("/dev/null", buf, sizeof(buf)));
	assert_errno(EINVAL, readlink(NODE, buf, sizeof(buf)));
	assert_string_equal(realpath(NODE, buf), NODE);
	errno = 0;
	assert_null(opendir(NODE));
	assert_int_equal(errno, ENOTDIR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(preload_list_does_not_repeat_what_the_folder_has),
		cmocka_unit_test(preload_list_shows_the_node_once),
		cmocka_unit_test(preload_list_of_another_folder_is_the_kernels),
		cmocka_unit_test(preload_list_can_be_rewound_and_sought),
		cmocka_unit_test(preload_list_reentrant_shows_the_node),
		cmocka_unit_test(preload_list_scandir_and_glob_show_the_node),
		cmocka_unit_test(preload_list_scandir_shows_the_node_by_any_name_of_dev),
		cmocka_unit_test(preload_list_more_streams_than_slots_come_to_their_end),
		cmocka_unit_test(preload_name_relative_to_dev_is_the_node),
		cmocka_unit_test(preload_path_questions_have_a_character_devices_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
