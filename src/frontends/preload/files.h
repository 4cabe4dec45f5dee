// SPDX-License-Identifier: BSD-3-Clause
/*
 * Which of the client's descriptors are device files: a table from fd number to open file, as the
 * kernel has one for each process. An open file lives as long as a descriptor or a call in progress
 * refers to it; then its release function runs, in whichever thread let go last.
 *
 * Every descriptor is a real one (a memfd), so a number can also change hands behind our back, by a
 * raw system call. Our open file descriptions therefore bear a mark, a file carries the inode of
 * its memfd, and files_get() believes a table entry only after one of the two has confirmed it.
 *
 * Forks: a child has a copy of the table in which all files are foreign (files_is_foreign()): they
 * are counted and never released. A vfork child shares the table and changes nothing in it, and so
 * does a thread that has a table of its own in the kernel (unshare(2), close_range(2)).
 *
 * Owns: the table, the file objects. Thread rule: any thread; nothing here blocks but the release
 * function.
 */
#ifndef HOLDFAST_FRONTENDS_PRELOAD_FILES_H
#define HOLDFAST_FRONTENDS_PRELOAD_FILES_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "vhost_vdpa/vhost_vdpa.h"

#define FILES_CHUNK_LEN 1024u /* descriptors a chunk */
#define FILES_NR_CHUNKS 1024u /* up to descriptor 2^20 - 1, the kernel's default hard limit */

/* One open file. Const after files_install() but for @refs. */
struct preload_file {
	unsigned int refs; /* atomic: one a descriptor, one a call in progress */
	pid_t pid;         /* process that opened it */
	unsigned int minor;
	unsigned int life; /* of the minor's node (node.c) */
	int access;        /* O_RDONLY, O_WRONLY or O_RDWR */
	dev_t st_dev;
	ino_t st_ino;   /* of the memfd behind the descriptors */
	bool inherited; /* over execve(2), and not taken over yet */
	bool marked;    /* its open file description bears the mark of files_mark() */
	struct vhost_vdpa *session;
	void (*release)(struct preload_file *file);
	struct preload_file *next_free;
};

extern struct preload_file **files_chunks[FILES_NR_CHUNKS];

/** files_maybe() - could @fd be one of ours? Two loads; what every wrapper asks first */
static inline bool files_maybe(int fd)
{
	unsigned int n = (unsigned int)fd;
	struct preload_file **chunk;

	if (unlikely(n >= FILES_CHUNK_LEN * FILES_NR_CHUNKS))
		return false;
	chunk = __atomic_load_n(&files_chunks[n / FILES_CHUNK_LEN], __ATOMIC_ACQUIRE);
	return unlikely(chunk != NULL) &&
	       __atomic_load_n(&chunk[n % FILES_CHUNK_LEN], __ATOMIC_RELAXED) != NULL;
}

/** files_any() - was a device ever open here? */
bool files_any(void);

/** files_get() - the file behind @fd with one more reference, or NULL if @fd is not (any more) one
 * of ours */
struct preload_file *files_get(int fd);
/** files_find() - the file of this process whose descriptors lead to the memfd @dev, @ino, with one
 * more reference, or NULL */
struct preload_file *files_find(dev_t dev, ino_t ino);
/** files_put() - NULL is fine; the last one releases */
void files_put(struct preload_file *file);

/** files_mark() - mark the open file description of @fd as ours. Return: could it be marked? */
bool files_mark(int fd);

/** files_is_marked() - does the description of @fd bear the mark? Then it is a node's, opened here
 * or elsewhere. errno changes. */
bool files_is_marked(int fd);

/** files_new() - an empty file with one reference, or NULL without memory */
struct preload_file *files_new(void);

/* Held while a number changes hands in the kernel and in the table, and no longer: nothing is put
 * under it. */
struct files_hold {
	sigset_t signals; /* as before: a handler may close descriptors */
};

void files_lock(struct files_hold *hold);
void files_unlock(struct files_hold *hold);

/**
 * files_install() - make @fd refer to @file, with a reference of its own; locked
 * @old: [out, owned by the caller] what @fd referred to before, or NULL; to be put when unlocked
 * Return: 0; -EMFILE @fd beyond the table; -ENOMEM.
 */
int files_install(int fd, struct preload_file *file, struct preload_file **old) HF_MUST_CHECK;

/** files_remove() - @fd refers to nothing any more; locked. Return: the file with the reference
 * that @fd held, or NULL; to be put when unlocked */
struct preload_file *files_remove(int fd);
/** files_remove_closed() - let go what the numbers in [@first, @last] referred to, unless they
 * still refer to a device: another thread may have opened one there. Not locked. */
void files_remove_closed(unsigned int first, unsigned int last);
/** files_remove_stale() - let go all entries whose descriptor is not the file's any more */
void files_remove_stale(void);

/** files_each() - call @fn for each number in [@first, @last] that the table has an entry for. Not
 * locked */
void files_each(unsigned int first, unsigned int last, void (*fn)(int fd));

/** files_is_free() - has the table nothing of this process's for @fd? Locked or not */
bool files_is_free(int fd);

/** files_is_foreign() - was @file opened by another process than the calling one? */
bool files_is_foreign(const struct preload_file *file);
/** files_in_vfork() - does the calling process run in its parent's memory (or in a copy made
 * without fork(3))? Then the table is not its own. */
bool files_in_vfork(void);

/** files_is_apart() - may the calling thread not change the table? Its closes and copies are not
 * those of the numbers that the table tells of: a vfork child's, or a thread's that has a table of
 * its own in the kernel */
bool files_is_apart(void);
extern __thread bool files_has_own; /* such a thread */

/** files_owner() - the process whose table this is; 0 before the first open */
pid_t files_owner(void);

/** files_start() - note the process; called before anything is installed */
void files_start(void);
/** files_after_fork() - in a fork child: the table is this process's copy */
void files_after_fork(void);

#endif
