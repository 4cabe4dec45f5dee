// SPDX-License-Identifier: BSD-3-Clause
/* The peer's side of a stream backend: a Unix socket in a folder of its own, one a program. */
#ifndef HOLDFAST_TEST_SIM_SOCKET_SUPPORT_H
#define HOLDFAST_TEST_SIM_SOCKET_SUPPORT_H

#include <sys/socket.h>
#include <sys/un.h>

extern struct sockaddr_un socket_address;

/** socket_folder_make() - group setup: a new folder, and socket_address in it */
int socket_folder_make(void **state);
/** socket_folder_remove() - group teardown */
int socket_folder_remove(void **state);
/** socket_listen() - in place of whatever has the name */
int socket_listen(void);
/** socket_accept() - waits for a card that connects */
int socket_accept(int listen_fd);
/** socket_connect() - to a card that listens */
int socket_connect(void);

#endif
