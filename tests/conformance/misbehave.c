// SPDX-License-Identifier: BSD-3-Clause
/*
 * A device that misbehaves, for test_misbehaviour.py: preloaded over Holdfast's own library, it
 * passes on what a client calls and spoils it as MISBEHAVE says. Which node a descriptor is does
 * not matter: the one program under it has but one.
 *
 *	hang=NAME   that ioctl, or open, never returns
 *	lie=NAME    that ioctl fills its answer with ones
 *	agree=NAME  that ioctl does nothing and succeeds
 *	die=NAME    that ioctl kills its caller
 *	gone=N      after so many ioctls of a process each one fails with ENODEV
 *	keep=FILE   the network address that a client writes outlives it, in that file
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static const struct {
	const char *name;
	unsigned long req;
} names[] = {
	{"device_id", VHOST_VDPA_GET_DEVICE_ID},
	{"vqs_count", VHOST_VDPA_GET_VQS_COUNT},
	{"config_size", VHOST_VDPA_GET_CONFIG_SIZE},
	{"as_num", VHOST_VDPA_GET_AS_NUM},
	{"vring_num", VHOST_VDPA_GET_VRING_NUM},
	{"suspend", VHOST_VDPA_SUSPEND},
	{"set_owner", VHOST_SET_OWNER},
	{"get_base", VHOST_GET_VRING_BASE},
	{"set_group_asid", VHOST_VDPA_SET_GROUP_ASID},
	{"enable", VHOST_VDPA_SET_VRING_ENABLE},
	{"set_status", VHOST_VDPA_SET_STATUS},
};

/* What stands behind "WORD=" in MISBEHAVE, or NULL */
static const char *order(const char *word)
{
	const char *text = getenv("MISBEHAVE");
	size_t len = strlen(word);

	return text && !strncmp(text, word, len) && text[len] == '=' ? text + len + 1 : NULL;
}

static int is_ordered(const char *word, unsigned long req)
{
	const char *name = order(word);

	for (size_t i = 0; name && i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(names[i].name, name))
			return (unsigned int)req == (unsigned int)names[i].req;
	return 0;
}

/* The address of a real device outlives its clients: the last one written is kept in a file. */
static void keep_address(const char *path, const struct vhost_vdpa_config *config, size_t len)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

	if (fd >= 0 && config->off == 0 && config->len == len)
		(void)!write(fd, config->buf, len);
	if (fd >= 0)
		close(fd);
}

static void find_address(const char *path, struct vhost_vdpa_config *config, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);

	if (end >= (off_t)len && config->off == 0 && config->len == len)
		(void)!pread(fd, config->buf, len, end - (off_t)len);
	if (fd >= 0)
		close(fd);
}

EXPORT int ioctl(int fd, unsigned long req, ...)
{
	static int (*real)(int, unsigned long, ...);
	static int nr;
	va_list ap;
	void *arg;
	int rc;

	va_start(ap, req);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "ioctl");
	if (_IOC_TYPE(req) != VHOST_VIRTIO)
		return real(fd, req, arg);
	if (order("gone") && ++nr > atoi(order("gone"))) {
		errno = ENODEV;
		return -1;
	}
	while (is_ordered("hang", req))
		pause();
	if (is_ordered("die", req))
		raise(SIGSEGV);
	if (is_ordered("agree", req))
		return 0;
	rc = real(fd, req, arg);
	if (rc == 0 && order("keep") && (unsigned int)req == (unsigned int)VHOST_VDPA_SET_CONFIG)
		keep_address(order("keep"), arg, 6);
	if (rc == 0 && order("keep") && (unsigned int)req == (unsigned int)VHOST_VDPA_GET_CONFIG)
		find_address(order("keep"), arg, 6);
	if (rc == 0 && is_ordered("lie", req))
		memset(arg, 0xff, _IOC_SIZE(req));
	return rc;
}

EXPORT int open64(const char *path, int flags, ...)
{
	static int (*real)(const char *, int, ...);
	va_list ap;
	int mode;

	va_start(ap, flags);
	mode = va_arg(ap, int);
	va_end(ap);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "open64");
	while (order("hang") && !strcmp(order("hang"), "open") && strstr(path, "vhost-vdpa"))
		pause();
	return real(path, flags, mode);
}
