// SPDX-License-Identifier: BSD-3-Clause
/*
 * Descriptors of nodes that another process has opened: inherited over fork(2) or execve(2), or
 * received from a socket. Thread rule: any thread, no lock held.
 */
#ifndef HOLDFAST_FRONTENDS_PRELOAD_ADOPT_H
#define HOLDFAST_FRONTENDS_PRELOAD_ADOPT_H

#include "frontends/preload/aside.h"
#include "frontends/preload/call.h"
#include "frontends/preload/files.h"

/**
 * adopt() - take over @fd, if it is a node's
 * Called for descriptors that are not in the table, when a call on one has failed as it does on a
 * memfd. NULL if the calling thread must leave devices alone (aside.h).
 * Return: its file with a reference, or NULL. errno is kept, or is EBUSY: another process has what
 * lies behind the device. With a file handlers are put off until call_leave(), or call_unhold().
 */
struct preload_file *adopt(int fd);

/**
 * adopt_inherited() - in a forked child: take over @fd, which the parent had open
 * A parent that has owned a device leaves locks of the library's behind that nobody unlocks; its
 * children take over nothing.
 * @file: consumed; the parent's entry. Return: the file of this process, with a reference; or @file
 */
struct preload_file *adopt_inherited(int fd, struct preload_file *file);

/**
 * adopt_note_inherited() - when the program begins: enter what it has inherited over execve(2)
 * As a forked child's entries: calls that any file takes are answered as a device's, and the first
 * one that is for the driver takes the descriptor over. Looked at are the first numbers and those
 * of raw.h's window, each up to ADOPT_GAP closed ones in a row.
 */
void adopt_note_inherited(void);
#define ADOPT_GAP 16

/** adopt_get() - the file of @fd, with a reference, or NULL. With a file handlers are put off until
 * call_leave(), or call_unhold(). A forked child's may be the parent's:
 * then the child makes it its own if it can */
static inline struct preload_file *adopt_get(int fd)
{
	struct preload_file *file;

	if (!files_maybe(fd))
		return NULL;
	call_hold();
	file = aside_get(fd);
	if (unlikely(file && files_is_foreign(file)))
		file = adopt_inherited(fd, file);
	if (!file)
		call_unhold();
	return file;
}

#endif
