// SPDX-License-Identifier: BSD-3-Clause
/*
 * write(2), read(2), mmap(2) and their relatives on a device descriptor. The first three lines of
 * each wrapper are all that other descriptors pay.
 *
 * What the kernel does above a driver is done here: access modes ([1-1]), the gathering of vectors.
 * Foreign files (a forked child's) never reach a session: not its owner.
 */
#include "real.h"

#include <errno.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "frontends/preload/adopt.h"
#include "frontends/preload/aside.h"
#include "frontends/preload/call.h"
#include "frontends/preload/files.h"
#include "frontends/preload/node.h"
#include "frontends/preload/wrap_memory.h"
#include "memory/hold.h"

#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif

#define MESSAGE_LEN 40u         /* a session reads no more of a write ([2-2]) */
#define MAX_RW_LEN  0x7ffff000u /* the kernel cuts longer reads and writes */

/* ---- write ---- */

/* Does the range lie in the half of the addresses that is the client's? The kernel asks no more
 * before it copies. */
static bool is_user_range(const void *at, size_t len)
{
	uintptr_t end;

	return !__builtin_add_overflow((uintptr_t)at, len, &end) && end <= INTPTR_MAX;
}

static ssize_t call_write(struct preload_file *file, uaddr_t buf, size_t len)
{
	if (file->access == O_RDONLY)
		return -EBADF;
	if (!is_user_range((const void *)(uintptr_t)buf, len))
		return -EFAULT;
	if (files_is_foreign(file) && len >= 40 && file->inherited)
		return -EBUSY;
	if (files_is_foreign(file))
		return len < 40 ? -EINVAL : -EFAULT; /* not the owner, in the words of [2-3] */
	return vhost_vdpa_write(file->session, node_client(), buf, len);
}

/* For an UPDATE of pinned memory: where the registration came from. */
static void log_got(FILE *f)
{
	static const char *const names[] = {
		[MEMORY_GOT_NEW] = "pinned",
		[MEMORY_GOT_SHARED] = "pinned already",
		[MEMORY_GOT_HELD] = "held",
	};
	enum memory_got got = memory_got();

	if (got != MEMORY_GOT_NONE)
		fprintf(f, " [%s]", names[got]);
}

static ssize_t write_ours(const char *name, struct preload_file *file, int fd, const void *buf,
			  size_t len)
{
	uaddr_t at = (uaddr_t)(uintptr_t)buf;
	struct call call;
	ssize_t rc;

	call_enter(&call, file->minor);
	if (call.log) {
		fprintf(call.log, "%s(%d, ", name, fd);
		vhost_vdpa_print_write(call.log, node_client(), at, len);
		fprintf(call.log, ", %zu)", len);
		(void)memory_got();
	}
	rc = call_write(file, at, len);
	if (call.log && rc >= 0)
		log_got(call.log);
	files_put(file);
	return call_leave(&call, rc);
}

/* Reads element @i of the client's vector @iov and checks it as readv(2) and writev(2) do. Return:
 * 0; -EFAULT; -EINVAL. */
static int get_element(const struct iovec *iov, int i, struct iovec *piece)
{
	uaddr_t at = (uaddr_t)(uintptr_t)iov + (uaddr_t)i * sizeof(*iov);

	if (memory_copy_from(node_client()->space, piece, at, sizeof(*piece)))
		return -EFAULT;
	return piece->iov_len > SSIZE_MAX ? -EINVAL : 0;
}

/* Adds what is needed of @piece to the @len bytes of @message. Return: could all of it be read? */
static bool gather(char *message, size_t *len, const struct iovec *piece)
{
	size_t part = piece->iov_len < MESSAGE_LEN - *len ? piece->iov_len : MESSAGE_LEN - *len;

	if (memory_copy_from(node_client()->space, message + *len,
			     (uaddr_t)(uintptr_t)piece->iov_base, part))
		return false;
	*len += part;
	return true;
}

/*
 * The pieces of a vector are one message. The kernel looks at the whole vector first: all lengths,
 * then all addresses. A piece that cannot be read afterwards ends the message, as if it were
 * shorter.
 * Return: how long the write is, at most MAX_RW_LEN; -EFAULT; -EINVAL. @message has all that a
 * session reads of it.
 */
static ssize_t gather_vector(const struct iovec *iov, int nr, char *message)
{
	bool whole = true, in_range = true;
	size_t len = 0, total = 0;
	struct iovec piece;
	int rc;

	if (nr < 0 || nr > IOV_MAX)
		return -EINVAL;
	for (int i = 0; i < nr; i++) {
		rc = get_element(iov, i, &piece);
		if (rc)
			return rc;
		total += piece.iov_len < MAX_RW_LEN - total ? piece.iov_len : MAX_RW_LEN - total;
		in_range = in_range && is_user_range(piece.iov_base, piece.iov_len);
		whole = whole && gather(message, &len, &piece);
	}
	if (!in_range)
		return -EFAULT;
	/* shorter than a message, and not empty, is what no device takes */
	return (ssize_t)(whole || len == MESSAGE_LEN ? total : len ? len : 1);
}

static ssize_t writev_ours(const char *name, struct preload_file *file, int fd,
			   const struct iovec *iov, int nr)
{
	char message[MESSAGE_LEN];
	int saved = errno;
	ssize_t rc = file->access == O_RDONLY ? -EBADF : gather_vector(iov, nr, message);

	errno = rc < 0 ? (int)-rc : saved;
	if (rc > 0)
		return write_ours(name, file, fd, message, (size_t)rc);
	files_put(file);
	call_unhold();
	return rc ? -1 : 0;
}

HF_EXPORT ssize_t write(int fd, const void *buf, size_t len)
{
	struct preload_file *file;
	int saved = errno;
	ssize_t rc;
	long done;

	if (files_maybe(fd) && ASIDE_CALL(&done, SYS_write, fd, (uintptr_t)buf, len))
		return done;
	file = adopt_get(fd);
	if (!file) {
		rc = real()->write(fd, buf, len);
		if (likely(rc >= 0 || errno != EPERM))
			return rc; /* a node's memfd is sealed */
		if (ASIDE_CALL(&done, SYS_write, fd, (uintptr_t)buf, len))
			return done;
		file = adopt(fd);
		if (!file)
			return rc;
		errno = saved;
	}
	return write_ours("write", file, fd, buf, len);
}
HF_ALIAS(__write, write);

HF_EXPORT ssize_t writev(int fd, const struct iovec *iov, int nr)
{
	struct preload_file *file;
	long done;

	if (files_maybe(fd) && ASIDE_CALL(&done, SYS_writev, fd, (uintptr_t)iov, nr))
		return done;
	if (!files_maybe(fd) || !(file = adopt_get(fd)))
		return real()->writev(fd, iov, nr);
	return writev_ours("writev", file, fd, iov, nr);
}

/* A device has no position, so the offset counts for nothing; the kernel refuses a negative one for
 * any file. */
#define WRAP_PWRITE(name, shown, off_type)                                                         \
	HF_EXPORT ssize_t name(int fd, const void *buf, size_t len, off_type off)                  \
	{                                                                                          \
		struct preload_file *file;                                                         \
		long done;                                                                         \
                                                                                                   \
		if (files_maybe(fd) &&                                                             \
		    ASIDE_CALL(&done, SYS_pwrite64, fd, (uintptr_t)buf, len, (uint64_t)off))       \
			return done;                                                               \
		if (!files_maybe(fd) || off < 0 || !(file = adopt_get(fd)))                        \
			return real()->name(fd, buf, len, off);                                    \
		return write_ours(shown, file, fd, buf, len);                                      \
	}
WRAP_PWRITE(pwrite, "pwrite", off_t)
WRAP_PWRITE(pwrite64, "pwrite", off64_t)
HF_ALIAS(__pwrite64, pwrite64);

#define WRAP_PWRITEV(name, shown, off_type)                                                        \
	HF_EXPORT ssize_t name(int fd, const struct iovec *iov, int nr, off_type off)              \
	{                                                                                          \
		struct preload_file *file;                                                         \
		long done;                                                                         \
                                                                                                   \
		if (files_maybe(fd) && ASIDE_CALL(&done, SYS_pwritev, fd, (uintptr_t)iov,          \
						  (uint64_t)nr, (uint64_t)off))                    \
			return done;                                                               \
		if (!files_maybe(fd) || off < 0 || !(file = adopt_get(fd)))                        \
			return real()->name(fd, iov, nr, off);                                     \
		return writev_ours(shown, file, fd, iov, nr);                                      \
	}
WRAP_PWRITEV(pwritev, "pwritev", off_t)
WRAP_PWRITEV(pwritev64, "pwritev", off64_t)

/* Flags that ask a device for nothing it could refuse. */
#define RWF_HARMLESS (RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_APPEND | RWF_NOAPPEND)

static ssize_t pwritev2_ours(struct preload_file *file, int fd, const struct iovec *iov, int nr,
			     int flags)
{
	char message[MESSAGE_LEN];
	ssize_t rc;

	if (!(flags & ~RWF_HARMLESS))
		return writev_ours("pwritev2", file, fd, iov, nr);
	rc = file->access == O_RDONLY ? -EBADF : gather_vector(iov, nr, message);
	files_put(file);
	call_unhold();
	if (rc == 0)
		return 0;
	errno = rc < 0 ? (int)-rc : EOPNOTSUPP;
	return -1;
}

/* Offset -1 stands for the position. */
#define WRAP_PWRITEV2(name, off_type)                                                              \
	HF_EXPORT ssize_t name(int fd, const struct iovec *iov, int nr, off_type off, int flags)   \
	{                                                                                          \
		struct preload_file *file;                                                         \
		long done;                                                                         \
                                                                                                   \
		if (files_maybe(fd) &&                                                             \
		    ASIDE_CALL(&done, SYS_pwritev2, fd, (uintptr_t)iov, (uint64_t)nr,              \
			       (uint64_t)off, 0, (uint64_t)flags))                                 \
			return done;                                                               \
		if (!files_maybe(fd) || off < -1 || !(file = adopt_get(fd)))                       \
			return real()->name(fd, iov, nr, off, flags);                              \
		return pwritev2_ours(file, fd, iov, nr, flags);                                    \
	}
WRAP_PWRITEV2(pwritev2, off_t)
WRAP_PWRITEV2(pwritev64v2, off64_t)

/* ---- read: there is none ---- */

static ssize_t read_ours(const char *name, struct preload_file *file, int fd)
{
	struct call call;
	ssize_t rc = file->access == O_WRONLY ? -EBADF : -EINVAL;

	call_enter(&call, file->minor);
	if (call.log)
		fprintf(call.log, "%s(%d)", name, fd);
	files_put(file);
	return call_leave(&call, rc);
}

#define WRAP_READ(name, shown, params, args)                                                       \
	HF_EXPORT ssize_t name params                                                              \
	{                                                                                          \
		struct preload_file *file;                                                         \
		long done;                                                                         \
                                                                                                   \
		/* read(2) serves for all of them: none reads a byte */                            \
		if (files_maybe(fd) && ASIDE_CALL(&done, SYS_read, fd))                            \
			return done;                                                               \
		if (!files_maybe(fd) || !(file = adopt_get(fd)))                                   \
			return real()->name args;                                                  \
		return read_ours(shown, file, fd);                                                 \
	}
ssize_t __read_chk(int fd, void *buf, size_t len, size_t room);
ssize_t __pread_chk(int fd, void *buf, size_t len, off_t off, size_t room);
ssize_t __pread64_chk(int fd, void *buf, size_t len, off64_t off, size_t room);

WRAP_READ(read, "read", (int fd, void *buf, size_t len), (fd, buf, len))
WRAP_READ(__read_chk, "read", (int fd, void *buf, size_t len, size_t room), (fd, buf, len, room))
WRAP_READ(readv, "readv", (int fd, const struct iovec *iov, int nr), (fd, iov, nr))
WRAP_READ(pread, "pread", (int fd, void *buf, size_t len, off_t off), (fd, buf, len, off))
WRAP_READ(pread64, "pread", (int fd, void *buf, size_t len, off64_t off), (fd, buf, len, off))
WRAP_READ(__pread_chk, "pread", (int fd, void *buf, size_t len, off_t off, size_t room),
	  (fd, buf, len, off, room))
WRAP_READ(__pread64_chk, "pread", (int fd, void *buf, size_t len, off64_t off, size_t room),
	  (fd, buf, len, off, room))
WRAP_READ(preadv, "preadv", (int fd, const struct iovec *iov, int nr, off_t off),
	  (fd, iov, nr, off))
WRAP_READ(preadv64, "preadv", (int fd, const struct iovec *iov, int nr, off64_t off),
	  (fd, iov, nr, off))
WRAP_READ(preadv2, "preadv2", (int fd, const struct iovec *iov, int nr, off_t off, int flags),
	  (fd, iov, nr, off, flags))
WRAP_READ(preadv64v2, "preadv2", (int fd, const struct iovec *iov, int nr, off64_t off, int flags),
	  (fd, iov, nr, off, flags))
HF_ALIAS(__read, read);
HF_ALIAS(__pread64, pread64);

/* ---- mmap ---- */

#define PAGE_LEN 4096u

/* What mmap(2) checks before it asks a driver: 0, or -errno. The length is in whole pages
 * afterwards. */
static int check_mmap(const struct preload_file *file, size_t *len, int prot, int flags,
		      uint64_t off)
{
	bool shared = (flags & MAP_TYPE) == MAP_SHARED || (flags & MAP_TYPE) == MAP_SHARED_VALIDATE;

	if (*len == 0 || off % PAGE_LEN != 0 || (!shared && (flags & MAP_TYPE) != MAP_PRIVATE))
		return -EINVAL;
	if (*len > SIZE_MAX - PAGE_LEN)
		return -ENOMEM;
	if (file->access == O_WRONLY || (shared && (prot & PROT_WRITE) && file->access == O_RDONLY))
		return -EACCES;
	*len = (*len + PAGE_LEN - 1) / PAGE_LEN * PAGE_LEN;
	return files_is_foreign(file) ? -EPERM : 0;
}

static void *mmap_ours(struct preload_file *file, int fd, size_t len, int prot, int flags,
		       uint64_t off)
{
	struct call call;
	int rc;

	call_enter(&call, file->minor);
	if (call.log)
		fprintf(call.log, "mmap(%zu, %#x, %#x, %d, %#llx)", len, (unsigned int)prot,
			(unsigned int)flags, fd, (unsigned long long)off);
	rc = check_mmap(file, &len, prot, flags, off);
	if (!rc)
		rc = vhost_vdpa_mmap(file->session, len, prot, flags, off);
	files_put(file);
	(void)call_leave(&call, rc < 0 ? rc : -EINVAL);
	return MAP_FAILED;
}

#define WRAP_MMAP(name, off_type)                                                                  \
	HF_EXPORT void *name(void *addr, size_t len, int prot, int flags, int fd, off_type off)    \
	{                                                                                          \
		struct preload_file *file;                                                         \
		int saved = errno;                                                                 \
		void *ret;                                                                         \
		long done;                                                                         \
                                                                                                   \
		if (files_maybe(fd) && !(flags & MAP_ANONYMOUS) &&                                 \
		    ASIDE_CALL(&done, SYS_mmap, (uintptr_t)addr, len, (uint64_t)prot,              \
			       (uint64_t)flags, (uint64_t)fd, (uint64_t)off))                      \
			return (void *)done;                                                       \
		if (files_maybe(fd) && !(flags & MAP_ANONYMOUS) && (file = adopt_get(fd)))         \
			return mmap_ours(file, fd, len, prot, flags, (uint64_t)off);               \
		if (flags & MAP_FIXED)                                                             \
			wrap_memory_forget(addr, len);                                             \
		ret = real()->name(addr, len, prot, flags, fd, off);                               \
		if (ret == MAP_FAILED && errno == EAGAIN && wrap_memory_give_way(errno))           \
			ret = real()->name(addr, len, prot, flags, fd, off);                       \
		if (ret == MAP_FAILED)                                                             \
			return ret;                                                                \
		errno = saved;                                                                     \
		wrap_memory_mapped(ret, len, flags);                                               \
		return ret;                                                                        \
	}
WRAP_MMAP(mmap, off_t)
WRAP_MMAP(mmap64, off64_t)
