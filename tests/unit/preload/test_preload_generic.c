// SPDX-License-Identifier: BSD-3-Clause
/* Descriptors that are none of a device. tests/kernel/file_calls.c has what a device's answers. */
#include "client.h"

/* A descriptor of the path alone neither makes the node busy nor takes calls. */
static void preload_path_alone_opens_no_device(void **state)
{
	int path = open(NODE, O_PATH | O_CLOEXEC), fd = open_node();
	uint8_t status;
	struct stat st;

	assert_true(path >= 0);
	assert_errno(EBADF, ioctl(path, VHOST_VDPA_GET_STATUS, &status));
	assert_int_equal(fstat(path, &st), 0);
	assert_true(S_ISCHR(st.st_mode));
	close(path);
	close(fd);
	assert_closed();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(preload_path_alone_opens_no_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
