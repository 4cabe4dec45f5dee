// SPDX-License-Identifier: BSD-3-Clause
#include "socket_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support.h"

static char folder[] = "/tmp/hf-sim-XXXXXX";
struct sockaddr_un socket_address = {.sun_family = AF_UNIX};

int socket_folder_make(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(socket_address.sun_path, sizeof(socket_address.sun_path), "%s/s", folder);
	return 0;
}

int socket_folder_remove(void **state)
{
	(void)state;
	(void)unlink(socket_address.sun_path);
	return rmdir(folder);
}

static int new_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	return fd;
}

int socket_listen(void)
{
	int fd = new_socket();

	(void)unlink(socket_address.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&socket_address, sizeof(socket_address)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

int socket_accept(int listen_fd)
{
	int fd;

	assert_true(rig_wait_fd(listen_fd, DEADLINE_MS));
	fd = accept(listen_fd, NULL, NULL);
	assert_true(fd >= 0);
	return fd;
}

int socket_connect(void)
{
	int fd = new_socket();

	assert_int_equal(connect(fd, (struct sockaddr *)&socket_address, sizeof(socket_address)),
			 0);
	return fd;
}
