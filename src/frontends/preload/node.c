// SPDX-License-Identifier: BSD-3-Clause
/*
 * Opening a node.
 *
 * A descriptor of a node is a memfd (memfd.h). One memfd a node is kept (node_memfd.h). An open
 * makes a new file description of it.
 *
 * Which nodes there are is a set of minor numbers. Until there is a bus, they are counted in the
 * description of the devices; from then on they are those of the devices that vhost_vdpa has. When
 * a device is deleted, its node gets a new life: the next device of that number finds it closed,
 * with a memfd of its own. An open file remembers in which life of its node it was opened.
 *
 * Forks. A child starts afresh, with its own bus and devices, at its first open or at its first
 * call on a descriptor that it has inherited (adopt.c). The parent's bus, whose locks are in an
 * unknown state, is left behind. If the parent has ever owned a device, there were workers, which
 * the RCU library still knows by memory that is no longer theirs. Such a child gets EBUSY for every
 * open, until it calls execve(2).
 */
#include "real.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/refuse.h"
#include "frontends/preload/aside.h"
#include "frontends/preload/control.h"
#include "frontends/preload/memfd.h"
#include "frontends/preload/node.h"
#include "frontends/preload/node_memfd.h"
#include "frontends/preload/node_set.h"
#include "frontends/preload/preload.h"
#include "frontends/preload/raw.h"
#include "memory/guard.h"

struct node {
	struct node_memfd memfd;
	bool busy;         /* atomic: a session of this process has it */
	unsigned int life; /* atomic; one more for each device that went */
};

static struct mutex node_lock = MUTEX_INIT; /* opening */
static struct node nodes[PRELOAD_NR_NODES_MAX] GUARDED_BY(node_lock);
static struct vdpa_bus *bus GUARDED_BY(node_lock);
static bool was_owned; /* atomic: a client has owned a device, so there may be workers */
static bool is_orphan; /* may not open anything; const between forks */
static struct vhost_vdpa_client client; /* const once the bus is there */

const struct vhost_vdpa_client *node_client(void)
{
	return &client;
}

void node_note_owned(void)
{
	__atomic_store_n(&was_owned, true, __ATOMIC_RELAXED);
}

bool node_is_claimed(void) NO_TSA
{
	bool claimed = __atomic_load_n(&was_owned, __ATOMIC_RELAXED);

	for (unsigned int i = 0; i < PRELOAD_NR_NODES_MAX; i++)
		claimed |= __atomic_load_n(&nodes[i].busy, __ATOMIC_RELAXED);
	return claimed;
}

static int borrow_fd(const struct vhost_vdpa_client *c, int fd)
{
	return fd_dup(fd);
}

/* ---- the bus ---- */

/* The child has one thread, so nothing else runs here; the parent's threads may have held the
 * lock. */
static void after_fork(void) NO_TSA
{
	is_orphan |= was_owned;
	node_memfd_after_fork();
	for (unsigned int i = 0; i < PRELOAD_NR_NODES_MAX; i++) {
		if (!nodes[i].busy)
			node_memfd_drop(&nodes[i].memfd);
		nodes[i].busy = false; /* but its description is held: memfd_is_held() */
	}
	mutex_init(&node_lock);
	bus = NULL;
	node_set_forget();
	control_after_fork();
	files_after_fork();
}

static int note_minor(void *arg, struct vdpa_device *dev)
{
	struct node_set *set = arg;
	int minor = vhost_vdpa_minor(dev);

	if (minor >= 0 && minor < (int)PRELOAD_NR_NODES_MAX)
		node_set_add(set, (unsigned int)minor);
	return 0;
}

static void __refresh(void) REQUIRES(node_lock)
{
	struct node_set now = {0}, old;

	(void)vdpa_bus_for_each(bus, note_minor, &now);
	node_set_replace(&now, &old);
	for (unsigned int i = 0; i < PRELOAD_NR_NODES_MAX; i++) {
		if (!node_set_has(&old, i) || node_set_has(&now, i))
			continue;
		node_memfd_drop(&nodes[i].memfd);
		__atomic_add_fetch(&nodes[i].life, 1, __ATOMIC_RELEASE);
		__atomic_store_n(&nodes[i].busy, false, __ATOMIC_RELEASE);
	}
}

void node_refresh(void)
{
	mutex_lock(&node_lock);
	if (bus)
		__refresh();
	mutex_unlock(&node_lock);
}

static int __watch_forks(void) REQUIRES(node_lock)
{
	static bool watched;
	int err;

	if (watched)
		return 0;
	err = pthread_atfork(NULL, NULL, after_fork);
	if (err)
		return -err;
	for (unsigned int i = 0; i < PRELOAD_NR_NODES_MAX; i++)
		nodes[i].memfd.fd = -1;
	files_start();
	watched = true;
	return 0;
}

int node_watch_forks(void)
{
	int rc;

	mutex_lock(&node_lock);
	rc = __watch_forks();
	mutex_unlock(&node_lock);
	return rc;
}

static int start_bus(void) REQUIRES(node_lock)
{
	struct vdpa_bus *made;
	int rc;

	if (bus)
		return 0;
	rc = __watch_forks();
	if (rc)
		return rc;
	rc = memory_guard_install();
	if (rc)
		return refuse(rc, "cannot take over SIGSEGV and SIGBUS");
	rc = preload_provide_bus(&made);
	if (rc) {
		hf_err("preload", "cannot make the devices: %s", refuse_words(rc));
		return rc;
	}
	client = (struct vhost_vdpa_client){
		.mm_id = (uint64_t)getpid(), .space = vdpa_bus_space(made), .get_fd = borrow_fd};
	bus = made;
	__refresh();
	control_start(bus);
	return 0;
}

/* ---- open and release ---- */

int node_take_ownership(const struct preload_file *file) NO_TSA
{
	int rc = node_memfd_lock_owner(&nodes[file->minor].memfd, file, F_WRLCK);

	return rc == -EAGAIN ? refuse(-EBUSY, "another process owns the device") : 0;
}

static void release(struct preload_file *file) NO_TSA
{
	struct node *node = &nodes[file->minor];

	vhost_vdpa_release(file->session);
	(void)node_memfd_lock_owner(&node->memfd, file, F_UNLCK);
	if (__atomic_load_n(&node->life, __ATOMIC_ACQUIRE) == file->life)
		__atomic_store_n(&node->busy, false, __ATOMIC_RELEASE);
}

/* If raw calls are caught, a filter knows a device by its number alone. Return: the new number, or
 * @fd if there is none left. */
static int move_to_window(int fd, int flags)
{
	const struct raw_window *window = raw_window();
	int moved;

	if (!window)
		return fd;
	moved = real()->fcntl(fd, flags & O_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, window->first);
	if (moved < 0)
		return fd;
	real()->close(fd);
	return moved;
}

/* Puts @fd into the table. @old: as of files_install(). Return: @fd or -errno; the session is the
 * caller's again on error */
static int register_file(int fd, unsigned int minor, int flags, struct vhost_vdpa *session,
			 struct preload_file **old) REQUIRES(node_lock)
{
	struct preload_file *file = files_new();
	struct stat st;
	int rc = -ENOMEM;

	if (!file || real()->fstat(fd, &st) < 0)
		goto err_put;
	file->minor = minor;
	file->life = __atomic_load_n(&nodes[minor].life, __ATOMIC_RELAXED);
	file->access = flags & O_ACCMODE;
	file->st_dev = st.st_dev;
	file->st_ino = st.st_ino;
	file->marked = files_mark(fd);
	file->session = session;
	rc = files_install(fd, file, old);
	if (rc)
		goto err_put;
	file->release = release; /* from here on the last reference ends the session */
	rc = fd;
err_put:
	files_put(file);
	return rc;
}

/* The same of a descriptor that was made for it: on error @fd is closed. */
static int install(int fd, unsigned int minor, int flags, struct vhost_vdpa *session,
		   struct preload_file **old) REQUIRES(node_lock)
{
	int rc = register_file(fd, minor, flags, session, old);

	if (rc < 0)
		real()->close(fd);
	return rc;
}

/* The number and its entry come into being as one. */
static int make_descriptor(const struct node *node, unsigned int minor, int flags,
			   struct vhost_vdpa *session) REQUIRES(node_lock)
{
	struct preload_file *old = NULL;
	struct files_hold hold;
	int rc;

	files_lock(&hold);
	rc = memfd_open(node->memfd.fd, minor, flags);
	if (rc >= 0)
		rc = install(move_to_window(rc, flags), minor, flags, session, &old);
	files_unlock(&hold);
	files_put(old);
	return rc;
}

static int open_session(unsigned int minor, struct vhost_vdpa **session) REQUIRES(node_lock)
{
	struct vdpa_device *dev = vhost_vdpa_find(bus, minor);
	int rc;

	if (!dev)
		return refuse(-ENODEV, "no device with minor %u", minor);
	rc = vhost_vdpa_open(dev, session);
	vdpa_device_put(dev);
	return rc;
}

static int __open_node(unsigned int minor, int flags) REQUIRES(node_lock)
{
	struct node *node = &nodes[minor];
	struct vhost_vdpa *session;
	int rc;

	if (is_orphan)
		return refuse(-EBUSY, "this process is a fork of one that has used its devices");
	rc = start_bus();
	if (!rc)
		rc = node_memfd_start(&node->memfd, minor);
	if (rc)
		return rc;
	if (__atomic_load_n(&node->busy, __ATOMIC_ACQUIRE) || memfd_is_held(node->memfd.fd))
		return refuse(-EBUSY, "open already");
	if (flags & O_DIRECT) /* the kernel asks for it last */
		return refuse(-EINVAL, "O_DIRECT is for files");
	__atomic_store_n(&node->busy, true, __ATOMIC_RELAXED);
	rc = open_session(minor, &session);
	if (rc)
		goto err_idle;
	rc = make_descriptor(node, minor, flags, session);
	if (rc >= 0)
		return rc;
	vhost_vdpa_release(session);
err_idle:
	__atomic_store_n(&node->busy, false, __ATOMIC_RELEASE);
	return rc;
}

static int check_flags(int flags)
{
	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return -EEXIST;
	if (flags & O_DIRECTORY)
		return -ENOTDIR;
	return (flags & O_ACCMODE) == O_ACCMODE ? -EINVAL : 0;
}

int node_open(unsigned int minor, int flags)
{
	int rc = check_flags(flags);

	if (rc)
		return rc;
	if (files_in_vfork())
		return refuse(-EBUSY, "this process shares the memory of a client");
	if (files_has_own)
		return refuse(-EBUSY, "this thread has a table of descriptors of its own");
	raw_start();
	/* a descriptor closed by a raw system call is noticed here at the latest */
	files_remove_stale();
	mutex_lock(&node_lock);
	rc = __open_node(minor, flags);
	mutex_unlock(&node_lock);
	return rc;
}

/* ---- descriptors that were opened elsewhere ---- */

static int __adopt(int fd, unsigned int minor) REQUIRES(node_lock)
{
	int flags = real()->fcntl(fd, F_GETFL);
	struct node *node = &nodes[minor];
	struct preload_file *old = NULL;
	struct vhost_vdpa *session;
	int rc;

	if (__atomic_exchange_n(&node->busy, true, __ATOMIC_ACQ_REL))
		return refuse(-EBUSY, "this process has the node open");
	rc = node_memfd_adopt(&node->memfd, fd);
	if (!rc)
		rc = open_session(minor, &session);
	if (rc)
		goto err_idle;
	rc = register_file(fd, minor, flags, session, &old);
	files_put(old);
	if (rc >= 0)
		return 0;
	vhost_vdpa_release(session);
err_idle:
	__atomic_store_n(&node->busy, false, __ATOMIC_RELEASE);
	return rc;
}

bool node_may_open(void)
{
	return !is_orphan;
}

int node_adopt(int fd, unsigned int minor, const char *text)
{
	int rc = preload_provide_text_from(text);

	if (rc)
		return rc;
	raw_start();
	files_remove_stale();
	mutex_lock(&node_lock);
	rc = is_orphan ? refuse(-EBUSY, "this process is a fork of one that has used its devices")
		       : start_bus();
	if (!rc && files_is_free(fd)) /* another thread may have been here */
		rc = __adopt(fd, minor);
	mutex_unlock(&node_lock);
	return rc;
}

void node_adopt_copy(int fd, struct preload_file *file)
{
	struct preload_file *old = NULL;
	struct files_hold hold;

	files_lock(&hold);
	if (files_is_free(fd))
		(void)!files_install(fd, file, &old);
	files_unlock(&hold);
	files_put(old);
}
