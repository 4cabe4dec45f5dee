// SPDX-License-Identifier: BSD-3-Clause
/*
 * Who owns the name of a listening Unix socket. A name is taken if it is free, or if a dead
 * process's socket has it. Whatever else has the name keeps it: a file, a folder, a link, a socket
 * that somebody listens on. At the end a name is removed only if it still leads to the socket that
 * was made here.
 *
 * Thread rule: any thread; one struct socket_name is one thread's at a time. No descriptor here
 * survives execve(2).
 */
#ifndef HOLDFAST_BASE_SOCKET_NAME_H
#define HOLDFAST_BASE_SOCKET_NAME_H

#include <sys/types.h>

#include "base/compiler.h"

#define SOCKET_NAME_SIZE    108    /* bytes with the NUL: sun_path of struct sockaddr_un */
#define SOCKET_NAME_PASSING ".hf-" /* begins the name that a socket bears on its way */

/** struct socket_name - a name that was taken; all zero: none */
struct socket_name {
	char path[SOCKET_NAME_SIZE]; /* "": none, or no more */
	dev_t dev;                   /* with ino: the socket's file, to know it again */
	ino_t ino;
	pid_t pid; /* a forked child owns nothing */
};

/**
 * socket_name_listen() - a listening stream socket, non-blocking, under a name
 * The name leads to the socket only once somebody can connect to it.
 * @name: [out] filled in on success
 * @path: at most 107 bytes
 * @mode: permission bits of the socket's file; 0: as the umask has them
 * Return: fd; -EADDRINUSE another process listens; -EEXIST something other than a socket has the
 * name; -EBUSY somebody keeps the folder locked; -ENAMETOOLONG; other -errno; the reason by
 * refuse()
 */
int socket_name_listen(struct socket_name *name, const char *path, mode_t mode,
		       int backlog) HF_MUST_CHECK;

/** socket_name_connect() - a stream socket, non-blocking, connected to @path; never waits
 * Return: fd; -ECONNREFUSED nobody listens (or @path is no socket); -EAGAIN its queue is full;
 * other -errno */
int socket_name_connect(const char *path) HF_MUST_CHECK;

/** socket_name_remove() - give the name back, before the socket is closed; does nothing for "none"
 * What has the name by now stays if it is not @name's socket. */
void socket_name_remove(struct socket_name *name);

/** socket_name_remove_dead() - remove @path if it is a dead process's socket, or a link that leads
 * to one or to nothing. Whatever else it is stays. */
void socket_name_remove_dead(const char *path);

#endif
