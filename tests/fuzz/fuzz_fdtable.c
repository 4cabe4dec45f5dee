// SPDX-License-Identifier: BSD-3-Clause
/*
 * The wrappers' table of descriptors: opens, copies and closes of all kinds over a run of
 * numbers, and a model that knows which number is the device. The wrappers are linked into this
 * program, so it is their client. Numbers outside of the run belong to whoever runs the target.
 *
 * What must hold: each number is the device, or not, as the model says; the device's status is
 * there for as long as one number is the device, and the node can be opened then only.
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NODE   "/dev/vhost-vdpa-0"
#define FIRST  400
#define NR     24
#define DRIVER 3 /* a status that no open device begins with */

enum what { CLOSED, DEVICE, OTHER };

static enum what model[NR];
static bool model_cloexec[NR];
static uint8_t status;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

static unsigned int nr_of(enum what what)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < NR; i++)
		n += model[i] == what;
	return n;
}

static void set(unsigned int i, enum what what, bool cloexec)
{
	model[i] = what;
	model_cloexec[i] = cloexec;
}

/* A low number that the caller has just got goes to where it belongs. */
static void place(int fd, unsigned int i, enum what what, bool cloexec)
{
	fuzz_check(fd >= 0 && fd < FIRST);
	fuzz_check((cloexec ? dup3(fd, FIRST + (int)i, O_CLOEXEC) : dup2(fd, FIRST + (int)i)) ==
		   FIRST + (int)i);
	fuzz_check(close(fd) == 0);
	set(i, what, cloexec);
}

static void open_device(unsigned int i, bool cloexec)
{
	int fd = open(NODE, O_RDWR | O_CLOEXEC);

	if (nr_of(DEVICE) > 0) {
		fuzz_check(fd == -1 && errno == EBUSY);
		return;
	}
	place(fd, i, DEVICE, cloexec);
	status = 0;
}

static void copy(unsigned int from, unsigned int to, unsigned int how)
{
	int a = FIRST + (int)from, b = FIRST + (int)to, ret;
	bool cloexec = how & 1;

	if (how < 2)
		ret = cloexec ? dup3(a, b, O_CLOEXEC) : dup2(a, b);
	else
		ret = fcntl(a, cloexec ? F_DUPFD_CLOEXEC : F_DUPFD, b);
	if (model[from] == CLOSED) {
		fuzz_check(ret == -1 && (errno == EBADF || (from == to && errno == EINVAL)));
		return;
	}
	if (how < 2 && from == to) {
		fuzz_check(cloexec ? ret == -1 && errno == EINVAL : ret == a);
		return;
	}
	fuzz_check(ret >= FIRST);
	if (ret >= FIRST + NR) { /* no room in the run */
		fuzz_check(how >= 2 && close(ret) == 0);
		return;
	}
	fuzz_check(how < 2 ? ret == b : ret >= b && model[ret - FIRST] == CLOSED);
	set((unsigned int)ret - FIRST, model[from], cloexec);
}

static void close_one(unsigned int i, bool raw)
{
	int ret = raw ? (int)syscall(SYS_close, FIRST + (int)i) : close(FIRST + (int)i);

	fuzz_check(model[i] == CLOSED ? ret == -1 && errno == EBADF : ret == 0);
	set(i, CLOSED, false);
}

static void close_many(unsigned int first, unsigned int nr, bool cloexec)
{
	unsigned int last = first + nr < NR ? first + nr : NR - 1;

	fuzz_check(close_range(FIRST + first, FIRST + last, cloexec ? CLOSE_RANGE_CLOEXEC : 0) ==
		   0);
	for (unsigned int i = first; i <= last; i++) {
		if (!cloexec)
			set(i, CLOSED, false);
		else if (model[i] != CLOSED)
			model_cloexec[i] = true;
	}
}

static void set_status(unsigned int i)
{
	uint8_t value = DRIVER;
	int ret = ioctl(FIRST + (int)i, VHOST_VDPA_SET_STATUS, &value);

	fuzz_check(ret == (model[i] == DEVICE ? 0 : -1));
	if (ret == 0)
		status = value;
}

/* Every number, after every call. */
static void check_all(void)
{
	for (unsigned int i = 0; i < NR; i++) {
		uint8_t got = 0xee;
		int ret = ioctl(FIRST + (int)i, VHOST_VDPA_GET_STATUS, &got), err = errno;
		int flags = fcntl(FIRST + (int)i, F_GETFD);

		fuzz_check((flags >= 0) == (model[i] != CLOSED));
		fuzz_check(flags < 0 || (flags == FD_CLOEXEC) == model_cloexec[i]);
		if (model[i] == DEVICE)
			fuzz_check(ret == 0 && got == status);
		else
			fuzz_check(ret == -1 && err == (model[i] == CLOSED ? EBADF : ENOTTY));
	}
}

static void do_call(struct fuzz_input *in)
{
	uint8_t op = fuzz_u8(in);
	unsigned int a = fuzz_below(in, NR), b = fuzz_below(in, NR);

	switch (op % 8) {
	case 0:
		open_device(a, op & 8);
		break;
	case 1:
		place(open("/dev/null", O_RDWR | O_CLOEXEC), a, OTHER, op & 8);
		break;
	case 2:
	case 3:
		copy(a, b, op >> 3 & 3);
		break;
	case 4:
		close_one(a, false);
		break;
	case 5:
		close_one(a, op & 8);
		break;
	case 6:
		close_many(a, b % 6, op & 8);
		break;
	default:
		set_status(a);
	}
	check_all();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	int fd;

	while (fuzz_more(&in))
		do_call(&in);
	fuzz_check(close_range(FIRST, FIRST + NR - 1, 0) == 0);
	memset(model, 0, sizeof(model));
	memset(model_cloexec, 0, sizeof(model_cloexec));
	fd = open(NODE, O_RDWR | O_CLOEXEC);
	fuzz_check(fd >= 0 && close(fd) == 0);
	return 0;
}
