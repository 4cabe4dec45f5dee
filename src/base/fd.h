// SPDX-License-Identifier: BSD-3-Clause
/* File descriptors: closing once, duplicating, eventfds. Any thread. */
#ifndef HOLDFAST_BASE_FD_H
#define HOLDFAST_BASE_FD_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/compiler.h"

/** fd_close() - close *@fd if it is open (>= 0) and set it to -1; errno is kept */
void fd_close(int *fd);

/** fd_dup() - duplicate with close-on-exec, to a high number as of fd_move_up(). Return: the new fd
 * or -errno (-EBADF, -EMFILE) */
int fd_dup(int fd) HF_MUST_CHECK;

/**
 * fd_move_up() - move a descriptor of our own out of the way of the process's low numbers
 * A program may count on the lowest number that is free. Sets close-on-exec.
 * @fd: an open fd, consumed; or -1, and errno is kept
 * Return: the new number; @fd where the limit allows none, or none is left
 */
int fd_move_up(int fd);

/**
 * fd_lengthen_table() - have the kernel make room for the numbers of fd_move_up()
 * While threads share the table, the kernel waits for an RCU grace period, some 10 ms, before it
 * makes the table longer. So this comes while there is one thread. errno is kept. Nothing happens
 * in a process whose first three descriptors are closed.
 */
void fd_lengthen_table(void);

/** fd_empty() - let a file that was opened for writing begin anew, unless it is in use as a disk
 * What is no file stays as it is. Return: 0; -EBUSY it is locked; other -errno */
int fd_empty(int fd) HF_MUST_CHECK;

/** fd_open_output() - a file that is written afresh: made, or emptied; never waits for a pipe's
 * reader
 * @mode: permission bits of a new file, before the umask
 * Return: a blocking fd; -ENXIO a pipe that nobody reads, or a socket; -EISDIR; as fd_empty() */
int fd_open_output(const char *path, mode_t mode) HF_MUST_CHECK;

/** fd_has_reader() - is there somebody to write for? False of a pipe or a socket whose other end is
 * gone: a write would raise SIGPIPE. errno is kept */
bool fd_has_reader(int fd);

/** fd_is_eventfd() - Return: 1 yes, 0 no, -EBADF not an open fd */
int fd_is_eventfd(int fd) HF_MUST_CHECK;

/** fd_is_same_file() - do two descriptors of this process share one open file description? False
 * also where the system cannot tell (no kcmp(2), or a sandbox forbids it). errno is kept. */
bool fd_is_same_file(int a, int b);

/** fd_shares_table() - do two threads, of any process, have one table of descriptors? True also
 * where the system cannot tell, or one of them has ended. errno is kept. */
bool fd_shares_table(pid_t a, pid_t b);

/** fd_is_file() - does @fd, which others may close and use again, still lead to the file that was
 * seen as @dev and @ino? The preload library's own check calls libc past its wrappers. */
bool fd_is_file(int fd, dev_t dev, ino_t ino);

/** fd_set_nonblock() - Return: 0 or -errno */
int fd_set_nonblock(int fd) HF_MUST_CHECK;

/**
 * fd_signal() - add 1 to an eventfd, never blocking A counter at its maximum is a signal already
 * given; a blocking eventfd is polled before the write.
 * @may_block: the eventfd is known to lack O_NONBLOCK
 */
void fd_signal(int fd, bool may_block);

#endif
