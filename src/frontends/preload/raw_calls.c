// SPDX-License-Identifier: BSD-3-Clause
/*
 * The wrapper of each call that is caught. The wrapper finds the device, logs and answers; a call
 * on something else goes through it to libc, as always.
 */
#include "real.h"

#include <linux/close_range.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>

#include "frontends/preload/aside.h"
#include "frontends/preload/files.h"
#include "frontends/preload/memfd.h"
#include "frontends/preload/raw.h"

#define ARG_FD(a)     ((int)(a)[0])
#define ARG_PTR(a, i) ((void *)(uintptr_t)(a)[i])

static long serve_ioctl(const uint64_t a[RAW_NR_ARGS])
{
	return ioctl(ARG_FD(a), a[1], ARG_PTR(a, 2));
}

static long serve_write(const uint64_t a[RAW_NR_ARGS])
{
	return write(ARG_FD(a), ARG_PTR(a, 1), a[2]);
}

static long serve_pwrite64(const uint64_t a[RAW_NR_ARGS])
{
	return pwrite64(ARG_FD(a), ARG_PTR(a, 1), a[2], (off64_t)a[3]);
}

static long serve_writev(const uint64_t a[RAW_NR_ARGS])
{
	return writev(ARG_FD(a), ARG_PTR(a, 1), (int)a[2]);
}

static long serve_pwritev(const uint64_t a[RAW_NR_ARGS])
{
	return pwritev64(ARG_FD(a), ARG_PTR(a, 1), (int)a[2], (off64_t)a[3]);
}

static long serve_pwritev2(const uint64_t a[RAW_NR_ARGS])
{
	return pwritev64v2(ARG_FD(a), ARG_PTR(a, 1), (int)a[2], (off64_t)a[3], (int)a[5]);
}

static long serve_read(const uint64_t a[RAW_NR_ARGS])
{
	return read(ARG_FD(a), ARG_PTR(a, 1), a[2]);
}

static long serve_pread64(const uint64_t a[RAW_NR_ARGS])
{
	return pread64(ARG_FD(a), ARG_PTR(a, 1), a[2], (off64_t)a[3]);
}

static long serve_readv(const uint64_t a[RAW_NR_ARGS])
{
	return readv(ARG_FD(a), ARG_PTR(a, 1), (int)a[2]);
}

static long serve_preadv(const uint64_t a[RAW_NR_ARGS])
{
	return preadv64(ARG_FD(a), ARG_PTR(a, 1), (int)a[2], (off64_t)a[3]);
}

static long serve_preadv2(const uint64_t a[RAW_NR_ARGS])
{
	return preadv64v2(ARG_FD(a), ARG_PTR(a, 1), (int)a[2], (off64_t)a[3], (int)a[5]);
}

static long serve_close(const uint64_t a[RAW_NR_ARGS])
{
	return close(ARG_FD(a));
}

static long serve_close_range(const uint64_t a[RAW_NR_ARGS])
{
	return close_range((unsigned int)a[0], (unsigned int)a[1], (int)a[2]);
}

static long serve_dup(const uint64_t a[RAW_NR_ARGS])
{
	return dup(ARG_FD(a));
}

static long serve_dup2(const uint64_t a[RAW_NR_ARGS])
{
	return dup2(ARG_FD(a), (int)a[1]);
}

static long serve_dup3(const uint64_t a[RAW_NR_ARGS])
{
	return dup3(ARG_FD(a), (int)a[1], (int)a[2]);
}

static long serve_fcntl(const uint64_t a[RAW_NR_ARGS])
{
	return fcntl64(ARG_FD(a), (int)a[1], ARG_PTR(a, 2));
}

static long serve_fstat(const uint64_t a[RAW_NR_ARGS])
{
	return fstat64(ARG_FD(a), ARG_PTR(a, 1));
}

static long serve_mmap(const uint64_t a[RAW_NR_ARGS])
{
	return (long)mmap64(ARG_PTR(a, 0), a[1], (int)a[2], (int)a[3], (int)a[4], (off64_t)a[5]);
}

static long serve_lseek(const uint64_t a[RAW_NR_ARGS])
{
	return lseek64(ARG_FD(a), (off64_t)a[1], (int)a[2]);
}

static long serve_fsync(const uint64_t a[RAW_NR_ARGS])
{
	return fsync(ARG_FD(a));
}

static long serve_fdatasync(const uint64_t a[RAW_NR_ARGS])
{
	return fdatasync(ARG_FD(a));
}

static long serve_ftruncate(const uint64_t a[RAW_NR_ARGS])
{
	return ftruncate64(ARG_FD(a), (off64_t)a[1]);
}

static long serve_fallocate(const uint64_t a[RAW_NR_ARGS])
{
	return fallocate64(ARG_FD(a), (int)a[1], (off64_t)a[2], (off64_t)a[3]);
}

static long serve_readahead(const uint64_t a[RAW_NR_ARGS])
{
	return readahead(ARG_FD(a), (off64_t)a[1], a[2]);
}

static long serve_sync_file_range(const uint64_t a[RAW_NR_ARGS])
{
	return sync_file_range(ARG_FD(a), (off64_t)a[1], (off64_t)a[2], (unsigned int)a[3]);
}

static long serve_sendfile(const uint64_t a[RAW_NR_ARGS])
{
	return sendfile64(ARG_FD(a), (int)a[1], ARG_PTR(a, 2), a[3]);
}

static long serve_splice(const uint64_t a[RAW_NR_ARGS])
{
	return splice(ARG_FD(a), ARG_PTR(a, 1), (int)a[2], ARG_PTR(a, 3), a[4], (unsigned int)a[5]);
}

static long serve_copy_file_range(const uint64_t a[RAW_NR_ARGS])
{
	return copy_file_range(ARG_FD(a), ARG_PTR(a, 1), (int)a[2], ARG_PTR(a, 3), a[4],
			       (unsigned int)a[5]);
}

#if defined(__x86_64__)
static long (*const wrappers[])(const uint64_t args[RAW_NR_ARGS]) = {
	[SYS_ioctl] = serve_ioctl,
	[SYS_write] = serve_write,
	[SYS_pwrite64] = serve_pwrite64,
	[SYS_writev] = serve_writev,
	[SYS_pwritev] = serve_pwritev,
	[SYS_pwritev2] = serve_pwritev2,
	[SYS_read] = serve_read,
	[SYS_pread64] = serve_pread64,
	[SYS_readv] = serve_readv,
	[SYS_preadv] = serve_preadv,
	[SYS_preadv2] = serve_preadv2,
	[SYS_close] = serve_close,
	[SYS_close_range] = serve_close_range,
	[SYS_dup] = serve_dup,
	[SYS_dup2] = serve_dup2,
	[SYS_dup3] = serve_dup3,
	[SYS_fcntl] = serve_fcntl,
	[SYS_fstat] = serve_fstat,
	[SYS_mmap] = serve_mmap,
	[SYS_lseek] = serve_lseek,
	[SYS_fsync] = serve_fsync,
	[SYS_fdatasync] = serve_fdatasync,
	[SYS_ftruncate] = serve_ftruncate,
	[SYS_fallocate] = serve_fallocate,
	[SYS_readahead] = serve_readahead,
	[SYS_sync_file_range] = serve_sync_file_range,
	[SYS_sendfile] = serve_sendfile,
	[SYS_splice] = serve_splice,
	[SYS_copy_file_range] = serve_copy_file_range,
};
#else
static long (*const wrappers[1])(const uint64_t args[RAW_NR_ARGS]) = {serve_close};
#endif

long raw_call_serve(const struct raw_call *call, const uint64_t args[RAW_NR_ARGS])
{
	if (call->when == RAW_PATH)
		return raw_path_serve(call, args);
	return call->when == RAW_LIST ? raw_list_serve(args) : wrappers[call->nr](args);
}

/* May @fd be a device that was opened elsewhere? A client marks files of its own so, too. */
static bool is_from_elsewhere(int fd)
{
	char path[32];

	if (!files_is_marked(fd))
		return false;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return memfd_minor(path) >= 0;
}

/* A number in the table that is not a device's any more is left to the client's thread: what is
 * there now may block, and whoever answers here answers one call at a time. */
bool raw_call_is_ours(const struct raw_call *call, const uint64_t args[RAW_NR_ARGS])
{
	switch (call->when) {
	case RAW_ALWAYS: /* a thread must take a table of its own by itself */
		return !(args[2] & CLOSE_RANGE_UNSHARE);
	case RAW_PATH:
		return raw_path_is_ours(call, args);
	case RAW_LIST:
		return raw_list_is_ours(args);
	case RAW_TWO:
		return aside_is_device((int)args[call->fd_arg]) ||
		       aside_is_device((int)args[call->other_arg]);
	case RAW_IOCTL:
	case RAW_MESSAGE: /* a descriptor may be taken over by its first call */
		return aside_is_device((int)args[0]) || is_from_elsewhere((int)args[0]);
	default:
		return aside_is_device((int)args[call->fd_arg]);
	}
}
