// SPDX-License-Identifier: BSD-3-Clause
/*
 * Where the sockets of running programs are, so that a command finds them without being told:
 * PID.sock in $XDG_RUNTIME_DIR/holdfast, or else in /tmp/holdfast-UID. Such a folder belongs to one
 * user alone, with mode 0700, or it is not used. A socket appears under its name only once it can
 * be connected to, so one that refuses is a dead process's and may be removed.
 *
 * Thread rule: any thread. No descriptor here survives execve(2).
 */
#ifndef HOLDFAST_MGMT_SOCKET_H
#define HOLDFAST_MGMT_SOCKET_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "base/socket_name.h"

#define MGMT_SOCKET_ENV     "HOLDFAST_CONTROL" /* a path of the user's own; "none": no socket */
#define MGMT_SOCKET_NR_DIRS 2u
#define MGMT_SOCKET_SUFFIX  ".sock"

/** mgmt_socket_dir() - the @nth folder to look into. Return: 0; -ENOENT there is no such;
 * -ENAMETOOLONG */
int mgmt_socket_dir(unsigned int nth, char dir[PATH_MAX]) HF_MUST_CHECK;

/** mgmt_socket_check_dir() - is it a folder that only this user can put anything into?
 * @create: make it if it is not there. Return: 0; -ENOENT; -EPERM it is somebody's; other -errno;
 *   refuse() */
int mgmt_socket_check_dir(const char *dir, bool create) HF_MUST_CHECK;

/** mgmt_socket_listen() - socket_name_listen(), with a file that only this user may connect to */
int mgmt_socket_listen(struct socket_name *name, const char *path) HF_MUST_CHECK;

/** mgmt_socket_listen_default() - under this process's name in the first folder that can be had
 * @name: [out] where. Return: as above */
int mgmt_socket_listen_default(struct socket_name *name) HF_MUST_CHECK;

/** mgmt_socket_announce() - have a socket elsewhere found under the usual name, too, by a symbolic
 * link
 * @link: [out] the link, or "" if there can be none */
void mgmt_socket_announce(const char *path, char link[PATH_MAX]);

/** mgmt_socket_withdraw() - remove the link that announces @path, if it still does; @link may be
 * "" */
void mgmt_socket_withdraw(const char *path, const char *link);

/** mgmt_socket_connect() - never waits. @pid: [out] who listens
 * Return: fd; -ECONNREFUSED nobody does; -EAGAIN it has too many to talk to; -ENOENT; other -errno;
 * refuse() */
int mgmt_socket_connect(const char *path, pid_t *pid) HF_MUST_CHECK;

#endif
