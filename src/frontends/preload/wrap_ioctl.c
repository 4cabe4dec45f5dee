// SPDX-License-Identifier: BSD-3-Clause
/*
 * ioctl(2) on a device descriptor. What the kernel does above a driver is done here: the ioctls
 * that any descriptor has. Foreign files (a forked child's) never reach a session: not its owner.
 */
#include "real.h"

#include <errno.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/vhost.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "base/refuse.h"
#include "frontends/preload/adopt.h"
#include "frontends/preload/aside.h"
#include "frontends/preload/call.h"
#include "frontends/preload/node.h"
#include "frontends/preload/raw.h"

/* The kernel answers these itself, for any file, and for a memfd as for a device. */
static bool is_generic_ioctl(unsigned int cmd)
{
	switch (cmd) {
	case FIOCLEX:
	case FIONCLEX:
	case FIONBIO:
	case FIOASYNC:
	case FIGETBSZ:
	case FIFREEZE:
	case FITHAW:
	case FS_IOC_FIEMAP:
	case FICLONE:
	case FICLONERANGE:
	case FIDEDUPERANGE:
		return true;
	default:
		return false;
	}
}

static void log_ioctl_before(FILE *f, int fd, unsigned int cmd, uaddr_t arg)
{
	const char *name = vhost_vdpa_ioctl_name(cmd);

	fprintf(f, "ioctl(%d, ", fd);
	if (name)
		fputs(name, f);
	else
		fprintf(f, "%#x", cmd);
	if (_IOC_DIR(cmd) & _IOC_WRITE || !name) {
		fputs(", ", f);
		vhost_vdpa_print_ioctl(f, node_client(), cmd, arg, false);
	}
}

static void log_ioctl_after(FILE *f, unsigned int cmd, uaddr_t arg, int rc)
{
	if (_IOC_DIR(cmd) & _IOC_READ && vhost_vdpa_ioctl_name(cmd)) {
		fputs(_IOC_DIR(cmd) & _IOC_WRITE ? " => " : ", ", f);
		vhost_vdpa_print_ioctl(f, node_client(), cmd, arg, rc >= 0);
	}
	fputc(')', f);
}

/* Of a call that succeeds, but perhaps not as the client thinks. */
static void log_remark(FILE *f)
{
	const char *text = remark_take();

	if (*text)
		fprintf(f, " [%s]", text);
}

static int call_ioctl(struct preload_file *file, unsigned int cmd, uaddr_t arg)
{
	int rc;

	if (cmd == FIOQSIZE)
		return -ENOTTY; /* the kernel says so of all but files and folders */
	if (files_is_foreign(file))
		return cmd == VHOST_SET_OWNER || file->inherited ? -EBUSY : -EPERM;
	if (cmd == VHOST_SET_OWNER || cmd == VHOST_VDPA_SET_STATUS)
		raw_start(); /* more code may have been loaded since the open */
	refuse_clear();
	rc = cmd == VHOST_SET_OWNER ? node_take_ownership(file) : 0;
	if (rc)
		return rc;
	rc = vhost_vdpa_ioctl(file->session, node_client(), cmd, arg);
	if (cmd == VHOST_SET_OWNER && rc == 0)
		node_note_owned();
	return rc;
}

static int ioctl_ours(struct preload_file *file, int fd, unsigned int cmd, uaddr_t arg)
{
	struct call call;
	int rc;

	call_enter(&call, file->minor);
	if (call.log)
		log_ioctl_before(call.log, fd, cmd, arg);
	(void)remark_take();
	rc = call_ioctl(file, cmd, arg);
	if (call.log)
		log_ioctl_after(call.log, cmd, arg, rc);
	if (call.log && rc >= 0)
		log_remark(call.log);
	files_put(file);
	return (int)call_leave(&call, rc);
}

HF_EXPORT int ioctl(int fd, unsigned long cmd, ...)
{
	struct preload_file *file = NULL;
	int saved = errno, rc;
	va_list ap;
	void *arg;
	long done;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (files_maybe(fd) && !is_generic_ioctl((unsigned int)cmd)) {
		if (ASIDE_CALL(&done, SYS_ioctl, fd, cmd, (uintptr_t)arg))
			return (int)done;
		file = adopt_get(fd);
	}
	if (!file) {
		rc = real()->ioctl(fd, cmd, arg);
		if (likely(rc >= 0 || errno != ENOTTY || _IOC_TYPE(cmd) != VHOST_VIRTIO))
			return rc;
		if (ASIDE_CALL(&done, SYS_ioctl, fd, cmd, (uintptr_t)arg))
			return (int)done;
		file = adopt(fd);
		if (!file)
			return rc;
		errno = saved;
	}
	return ioctl_ours(file, fd, (unsigned int)cmd, (uaddr_t)(uintptr_t)arg);
}
