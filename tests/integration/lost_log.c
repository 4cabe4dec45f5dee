// SPDX-License-Identifier: BSD-3-Clause
/*
 * A client whose dirty log is lost: this library, ahead of Holdfast's in LD_PRELOAD, gives the
 * device a log of its own instead of the client's. The device sets its bits there, and the client
 * finds its own log clean. A test that migrates so must notice stale memory.
 */
#include <dlfcn.h>
#include <linux/vhost.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define LOG_LEN (1ULL << 32) /* bytes: a bit for each page of all 2^47 addresses of a client */

int ioctl(int fd, unsigned long request, ...);

int ioctl(int fd, unsigned long request, ...)
{
	int (*next)(int fd, unsigned long request, void *arg);
	void *symbol = dlsym(RTLD_NEXT, "ioctl"), *arg;
	static void *lost = MAP_FAILED;
	uint64_t base;
	va_list ap;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	memcpy(&next, &symbol, sizeof(next));
	if (request != VHOST_SET_LOG_BASE)
		return next(fd, request, arg);
	if (lost == MAP_FAILED)
		lost = mmap(NULL, LOG_LEN, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (lost == MAP_FAILED)
		return -1;
	fputs("lost_log: the device gets another log than the client's\n", stderr);
	base = (uintptr_t)lost;
	return next(fd, request, &base);
}
