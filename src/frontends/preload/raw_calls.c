// SPDX-License-Identifier: BSD-3-Clause
/*
 * The calls that are caught, a row each, with the wrapper that answers. The wrapper finds the
 * device, logs and answers; a call on something else goes through it to libc, as always.
 */
#include "real.h"

#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "frontends/preload/files.h"
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

#if defined(__x86_64__)
const struct raw_call raw_calls[] = {
	{SYS_ioctl, RAW_IOCTL, 0, serve_ioctl},
	{SYS_write, RAW_MESSAGE, 0, serve_write},
	{SYS_pwrite64, RAW_MESSAGE, 0, serve_pwrite64},
	{SYS_writev, RAW_FD, 0, serve_writev},
	{SYS_pwritev, RAW_FD, 0, serve_pwritev},
	{SYS_pwritev2, RAW_FD, 0, serve_pwritev2},
	{SYS_read, RAW_FD, 0, serve_read},
	{SYS_pread64, RAW_FD, 0, serve_pread64},
	{SYS_readv, RAW_FD, 0, serve_readv},
	{SYS_preadv, RAW_FD, 0, serve_preadv},
	{SYS_preadv2, RAW_FD, 0, serve_preadv2},
	{SYS_close, RAW_FD, 0, serve_close},
	{SYS_close_range, RAW_ALWAYS, 0, serve_close_range},
	{SYS_dup, RAW_FD, 0, serve_dup},
	{SYS_dup2, RAW_COPY, 0, serve_dup2},
	{SYS_dup3, RAW_COPY, 0, serve_dup3},
	{SYS_fcntl, RAW_FD, 0, serve_fcntl},
	{SYS_fstat, RAW_FD, 0, serve_fstat},
	{SYS_mmap, RAW_FD, 4, serve_mmap},
};
#else
const struct raw_call raw_calls[1] = {{-1, RAW_ALWAYS, 0, serve_close}};
#endif
const size_t raw_nr_calls = ARRAY_LEN(raw_calls);

const struct raw_call *raw_call_find(int nr)
{
	for (size_t i = 0; i < raw_nr_calls; i++)
		if (raw_calls[i].nr == nr)
			return &raw_calls[i];
	return NULL;
}

bool raw_call_is_ours(const struct raw_call *call, const uint64_t args[RAW_NR_ARGS])
{
	switch (call->when) {
	case RAW_ALWAYS:
		return true;
	case RAW_COPY:
		return files_maybe((int)args[0]) || files_maybe((int)args[1]);
	case RAW_IOCTL:
	case RAW_MESSAGE: /* a descriptor may be taken over by its first call */
		return files_maybe((int)args[0]) || files_is_marked((int)args[0]);
	default:
		return files_maybe((int)args[call->fd_arg]);
	}
}
