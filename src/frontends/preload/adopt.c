// SPDX-License-Identifier: BSD-3-Clause
/*
 * A descriptor of a node is a memfd, so it can be inherited and sent. Its description bears our
 * mark (files.c), its name has the minor number, and its bytes are the description of the devices
 * that its opener had: the receiver may have been started without it (libvirt passes LD_PRELOAD on
 * and no other variable). The receiver makes these devices, its own ones, and a session.
 *
 * All copies of the description that the process has are taken over at once, so that the session
 * lasts until the last of them is closed.
 */
#include "real.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/refuse.h"
#include "frontends/preload/adopt.h"
#include "frontends/preload/aside.h"
#include "frontends/preload/call.h"
#include "frontends/preload/memfd.h"
#include "frontends/preload/node.h"
#include "frontends/preload/preload.h"
#include "frontends/preload/raw.h"

#define TEXT_MAX   0x100000 /* bytes; no environment variable is as long */
#define NO_PROCESS (-1)     /* opened the file: it is foreign to all */

/* Return: does @fd lead to a memfd of a node's name? @minor written only if so */
static bool has_name(int fd, unsigned int *minor)
{
	char path[32];
	int found;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	found = memfd_minor(path);
	if (found >= 0)
		*minor = (unsigned int)found;
	return found >= 0;
}

/* Whoever has made a memfd of this kind says which devices this process makes, files and all. So it
 * must be somebody who may do so anyway, and nobody can change it afterwards. Return: 0 or
 * refuse() */
static int check_maker(int fd, const struct stat *st)
{
	int seals = real()->fcntl(fd, F_GET_SEALS);

	if (st->st_uid != 0 && st->st_uid != geteuid())
		return refuse(-EPERM, "user %u has made it, and this process is of user %u",
			      st->st_uid, geteuid());
	if (seals < 0 || (seals & MEMFD_SEALS) != MEMFD_SEALS)
		return refuse(-EPERM, "it lacks the seals of a device");
	if (st->st_size > TEXT_MAX)
		return refuse(-E2BIG, "a description of %lld bytes", (long long)st->st_size);
	return 0;
}

/* Return: 0 or -errno. @text: [owned] [out] what the memfd says of its devices */
static int read_text(int fd, char **text)
{
	struct stat st;
	char path[32];
	int own, err;

	*text = NULL;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = real()->open(path, O_RDONLY | O_CLOEXEC); /* @fd may be write-only */
	if (own < 0)
		return -errno;
	err = real()->fstat(own, &st) < 0 ? -errno : check_maker(own, &st);
	if (!err)
		*text = calloc(1, (size_t)st.st_size + 1);
	if (!err && (!*text || real()->pread(own, *text, (size_t)st.st_size, 0) != st.st_size))
		err = -ENOMEM;
	real()->close(own);
	return err;
}

/* The other descriptors of the same description. */
static void adopt_copies(int fd, struct preload_file *file)
{
	DIR *folder = real()->opendir("/proc/self/fd");
	struct dirent *entry;

	while (folder && (entry = real()->readdir(folder))) {
		int other = atoi(entry->d_name);

		if (isdigit(entry->d_name[0]) && other != fd && files_is_free(other) &&
		    files_is_marked(other) && node_fd_is(other, file->st_dev, file->st_ino))
			node_adopt_copy(other, file);
	}
	if (folder)
		real()->closedir(folder);
}

/* Is @fd a node's that this process does not have in its table? Asked while no other thread opens
 * or closes: in between, a number of this process's own looks like one from elsewhere. */
static bool is_from_elsewhere(int fd)
{
	struct files_hold hold;
	bool is;

	files_lock(&hold);
	is = files_is_free(fd) && files_is_marked(fd);
	files_unlock(&hold);
	return is;
}

/* A copy of a description that this process has open, made past the table: sent by the process to
 * itself, or by pidfd_getfd(2). Of one memfd there is one description at a time. Return: is it one,
 * and the device's from now on? */
static bool join_own(int fd)
{
	struct preload_file *file = NULL;
	struct stat st;

	if (real()->fstat(fd, &st) == 0)
		file = files_find(st.st_dev, st.st_ino);
	if (!file)
		return false;
	node_adopt_copy(fd, file);
	files_put(file);
	return true;
}

static int take_over(int fd, unsigned int minor)
{
	char *text;
	int rc;

	if (join_own(fd))
		return 0;
	rc = read_text(fd, &text);
	if (!rc)
		rc = node_adopt(fd, minor, text);
	free(text);
	if (rc && !is_from_elsewhere(fd))
		rc = -EBADF; /* another thread of the client has closed it since */
	else if (rc)
		hf_err("preload", "descriptor %d of vhost-vdpa-%u is not taken over: %s", fd, minor,
		       *refuse_reason() ? refuse_reason() : strerror(-rc));
	return rc;
}

/* Handlers are put off afterwards, too, until call_leave() or call_unhold(): references to files
 * are about to be taken. */
static int try_adopt(int fd, unsigned int minor)
{
	struct preload_file *file;
	struct call call;
	int rc;

	call_enter(&call, minor);
	if (call.log)
		fprintf(call.log, "(take over %d)", fd);
	refuse_clear();
	rc = take_over(fd, minor);
	(void)call_leave(&call, rc);
	call_hold();
	file = files_get(fd);
	if (file && !files_is_foreign(file))
		adopt_copies(fd, file);
	files_put(file);
	return rc;
}

struct preload_file *adopt(int fd)
{
	struct preload_file *file;
	int saved = errno;
	unsigned int minor;

	if (aside_is_needed() || files_is_apart() || !files_is_marked(fd)) {
		errno = saved;
		return NULL;
	}
	if (is_from_elsewhere(fd) && has_name(fd, &minor) && try_adopt(fd, minor) == -EBUSY)
		saved = EBUSY;
	call_hold();
	file = files_get(fd);
	if (!file)
		call_unhold();
	errno = saved;
	return file;
}

struct preload_file *adopt_inherited(int fd, struct preload_file *file)
{
	struct preload_file *taken;
	int saved = errno;

	if (files_is_apart() || !node_may_open())
		return file;
	(void)try_adopt(fd, file->minor);
	errno = saved;
	taken = files_get(fd);
	if (!taken)
		return file;
	files_put(file);
	return taken;
}

static void note_inherited(int fd)
{
	struct preload_file *file, *old = NULL;
	struct files_hold hold;
	unsigned int minor;
	struct stat st;

	if (!has_name(fd, &minor) || real()->fstat(fd, &st) < 0 || node_watch_forks() ||
	    !(file = files_new()))
		return;
	file->pid = NO_PROCESS;
	file->inherited = true;
	file->minor = minor;
	file->access = real()->fcntl(fd, F_GETFL) & O_ACCMODE;
	file->st_dev = st.st_dev;
	file->st_ino = st.st_ino;
	file->marked = true;
	files_lock(&hold);
	(void)!files_install(fd, file, &old);
	files_unlock(&hold);
	files_put(file);
}

static void note_inherited_from(int fd)
{
	for (int gap = 0; gap < ADOPT_GAP; fd++) {
		errno = 0;
		if (files_is_marked(fd))
			note_inherited(fd);
		gap = errno == EBADF ? gap + 1 : 0;
	}
}

void adopt_note_inherited(void)
{
	struct raw_window window;
	int saved = errno;

	raw_window_choose(&window);
	note_inherited_from(STDERR_FILENO + 1);
	note_inherited_from(window.first);
	errno = saved;
}
