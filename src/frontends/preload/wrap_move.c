// SPDX-License-Identifier: BSD-3-Clause
/*
 * Calls by which the kernel moves bytes between files: sendfile(2), splice(2), copy_file_range(2).
 * A device's driver takes part in none of them, so the kernel says EINVAL, after what it finds
 * wrong with the arguments. A memfd's bytes it would move. tee(2) and vmsplice(2) refuse both.
 */
#include "real.h"

#include <errno.h>
#include <sys/sendfile.h>

#include "frontends/preload/aside.h"
#include "frontends/preload/node.h"
#include "memory/memory.h"

#define SPLICE_FLAGS (SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT)

struct move {
	enum { SENDFILE, SPLICE, COPY } kind;
	int in, out;
	const void *off_in, *off_out; /* the client's, of 64 bits, or NULL */
	bool is_device;
	int err;
};

static bool allows(int fd, int forbidden)
{
	int flags = real()->fcntl(fd, F_GETFL);

	return flags >= 0 && !(flags & O_PATH) && (flags & O_ACCMODE) != forbidden;
}

static bool is_pipe(int fd)
{
	return real()->fcntl(fd, F_GETPIPE_SZ) >= 0;
}

static bool is_readable(const void *offset)
{
	int64_t value;

	return !offset || memory_copy_from(node_client()->space, &value, (uaddr_t)(uintptr_t)offset,
					   sizeof(value)) == 0;
}

static bool is_open(int fd)
{
	return real()->fcntl(fd, F_GETFD) >= 0;
}

/* In the kernel's order. A pipe has no offset; copy_file_range(2) looks at what kind of files they
 * are before it asks for what they were opened. */
static int judge(const struct move *m)
{
	if (m->kind != SENDFILE && (!is_open(m->in) || !is_open(m->out)))
		return EBADF;
	if (m->kind == SPLICE && ((m->off_in && is_pipe(m->in)) || (m->off_out && is_pipe(m->out))))
		return ESPIPE;
	if (!is_readable(m->off_in) || !is_readable(m->off_out))
		return EFAULT;
	return m->kind == COPY || (allows(m->in, O_WRONLY) && allows(m->out, O_RDONLY)) ? EINVAL
											: EBADF;
}

static void look_at_move(void *arg)
{
	struct move *m = arg;

	m->is_device = aside_is_device(m->in) || aside_is_device(m->out);
	if (m->is_device)
		m->err = judge(m);
}

/* Return: is the answer about a device? Then errno has it. */
static bool refuses(struct move m)
{
	int saved = errno;

	if (likely(!files_maybe(m.in) && !files_maybe(m.out)))
		return false;
	aside_run(look_at_move, &m, sizeof(m));
	errno = m.is_device ? m.err : saved;
	return m.is_device;
}

#define WRAP_SENDFILE(name, off_type)                                                              \
	HF_EXPORT ssize_t name(int out, int in, off_type *offset, size_t len)                      \
	{                                                                                          \
		if (refuses((struct move){                                                         \
			    .kind = SENDFILE, .in = in, .out = out, .off_in = offset}))            \
			return -1;                                                                 \
		return real()->name(out, in, offset, len);                                         \
	}
WRAP_SENDFILE(sendfile, off_t)
WRAP_SENDFILE(sendfile64, off64_t)

HF_EXPORT ssize_t splice(int in, off64_t *off_in, int out, off64_t *off_out, size_t len,
			 unsigned int flags)
{
	const struct move m = {
		.kind = SPLICE, .in = in, .out = out, .off_in = off_in, .off_out = off_out};

	if (len > 0 && !(flags & ~SPLICE_FLAGS) && refuses(m))
		return -1;
	return real()->splice(in, off_in, out, off_out, len, flags);
}

HF_EXPORT ssize_t copy_file_range(int in, off64_t *off_in, int out, off64_t *off_out, size_t len,
				  unsigned int flags)
{
	const struct move m = {
		.kind = COPY, .in = in, .out = out, .off_in = off_in, .off_out = off_out};

	return refuses(m) ? -1 : real()->copy_file_range(in, off_in, out, off_out, len, flags);
}
