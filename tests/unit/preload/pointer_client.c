// SPDX-License-Identifier: BSD-3-Clause
/*
 * Makes every wrapped call with every kind of pointer in each of its pointer arguments, and prints
 * one line a case:
 *
 *	stat.1 2:out:unmapped node opened = -1 EFAULT
 *
 * The runs with and without the library are compared by test_preload_pointers.py. Without it,
 * /dev/null stands in for a node; where a device answers otherwise, the line is what the table says
 * (pointer_calls.h) and no call is made.
 *
 * Cases run in children, which open nodes of their own. A child goes on from case to case; if a
 * call kills it, its line says so and the next child goes on behind. Results are kept in shared
 * memory, because some calls close all descriptors.
 *
 * With the word `record` each line ends with the numbers of the system calls that the call has
 * made: the client then runs under a seccomp filter of its own (record.h).
 *
 * Usage: pointer_client library|reference NODE-OR-STAND-IN FILE [record] | pointer_client --names
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <linux/vhost.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pointer_calls.h"
#include "record.h"

#define PAGE          4096u
#define NR_ARGS       6
#define FD_FIRST      200 /* descriptors under test lie here */
#define FD_LAST       320
#define ELEMENT_FIRST 40 /* bytes of a vector's first element: a whole message */
#define ELEMENT_NEXT  32
#define NR_CASES_MAX  20000

/* ---- the table ---- */

enum arg_type {
	ARG_END,
	ARG_NUM,
	ARG_FD,
	ARG_PATH,
	ARG_EMPTY, /* "" */
	ARG_MODE,  /* of fopen */
	ARG_DATA,
	ARG_VEC,
	ARG_ADDR, /* a page, which the kernel takes as a number */
	ARG_STREAM,
	ARG_DIR,
};

enum content { ZEROES, A_MESSAGE, A_LOCK, A_CONFIG, SOME_FEATURES, AN_ATTRIBUTE, A_HOW };

struct arg {
	enum arg_type type;
	long num; /* the number; or the size of what the pointer leads to */
	enum content content;
	bool written; /* what the pointer leads to is written to */
};

enum result {
	RES_INT,
	RES_LONG,
	RES_FD_OUT,
	RES_PTR,
	RES_STREAM_OUT,
	RES_DIR_OUT,
	RES_STRING,
	RES_STRING_OUT,
	RES_HANDLER,
	RES_VOID
};

enum device_kind {
	DEVICE_SAME,   /* as the stand-in */
	DEVICE_NOT,    /* not tried with a node's path */
	DEVICE_IOCTL,  /* 0 or EFAULT */
	DEVICE_WRITE,  /* 72; EINVAL for what cannot be read; EFAULT for what is not the client's */
	DEVICE_VECTOR, /* the same, of a vector */
	DEVICE_MOVE,   /* EINVAL; EFAULT for an offset that cannot be read */
	DEVICE_FIXED,  /* always the same */
};

struct device {
	enum device_kind kind;
	long value;
};

struct call {
	const char *name;
	enum result result;
	struct device device;
	struct arg args[NR_ARGS];
};

/* clang-format off */
#define NUM(n)         {ARG_NUM, (long)(n), ZEROES, false}
#define FD             {ARG_FD, 0, ZEROES, false}
#define PATH           {ARG_PATH, 0, ZEROES, false}
#define EMPTY          {ARG_EMPTY, 1, ZEROES, false}
#define MODE           {ARG_MODE, 2, ZEROES, false}
#define STREAM         {ARG_STREAM, 0, ZEROES, false}
#define ADDR           {ARG_ADDR, PAGE, ZEROES, false}
#define DIRECTORY      {ARG_DIR, 0, ZEROES, false}
#define ATTRIBUTE      {ARG_DATA, 19, AN_ATTRIBUTE, false}
#define ROOM           {ARG_DATA, 4000, ZEROES, true}
#define VEC            {ARG_VEC, 2 * sizeof(struct iovec), ZEROES, false}
#define OUT(n)         {ARG_DATA, (n), ZEROES, true}
#define IN(n)          {ARG_DATA, (n), ZEROES, false}
#define INOUT(n)       {ARG_DATA, (n), ZEROES, true}
#define MESSAGE        {ARG_DATA, 72, A_MESSAGE, false}
#define LOCK           {ARG_DATA, sizeof(struct flock), A_LOCK, true}
#define CONFIG         {ARG_DATA, 16, A_CONFIG, true}
#define HOW            {ARG_DATA, sizeof(struct open_how), A_HOW, false}
#define FEATURES       {ARG_DATA, 8, SOME_FEATURES, false}
#define ACTION         {ARG_DATA, sizeof(struct sigaction), ZEROES, false}
#define ON_SAME        {DEVICE_SAME, 0}
#define ON_NOT_ON_NODE {DEVICE_NOT, 0}
#define ON_IOCTL       {DEVICE_IOCTL, 0}
#define ON_WRITE       {DEVICE_WRITE, 0}
#define ON_VECTOR      {DEVICE_VECTOR, 0}
#define ON_MOVE        {DEVICE_MOVE, 0}
#define ON_FIXED(n)    {DEVICE_FIXED, (n)}
#define ROW(name, result, on, ...) {#name, RES_##result, ON_##on, {__VA_ARGS__}},
/* clang-format on */

static const struct call calls[] = {POINTER_CALLS(ROW)};

#define NR_CALLS (sizeof(calls) / sizeof(calls[0]))

/* ---- pointers ---- */

enum kind {
	GOOD,
	TIGHT, /* ends where its page ends, and nothing follows */
	NONE,
	LOW,
	UNMAPPED,
	NOACCESS,
	READONLY,
	CROSS_FIRST, /* the first byte is the last of its page, and nothing follows */
	CROSS_HALF,
	CROSS_LAST, /* all but the last byte are there */
	BEYOND,     /* a file's mapping beyond its end */
	KERNELS,
	WRAPPING,
	LEN_NEGATIVE, /* of a vector: its second length */
	LEN_HUGE,     /* both lengths, which have no sum */
	NR_KINDS,
};

static const char *const kind_names[NR_KINDS] = {
	"good",       "tight",    "null",        "low",        "unmapped",
	"noaccess",   "readonly", "cross-first", "cross-half", "cross-last",
	"beyond-eof", "kernel",   "wrapping",    "negative",   "huge",
};

/* Places for arguments and the elements of vectors. Fixed, and far from where the kernel puts
 * mappings by itself. */
#define AREA(i)       ((char *)0x100000000000 + (size_t)(i)*0x100000)
#define AREA_READONLY 0x10000
#define AREA_NOACCESS 0x20000
#define AREA_UNMAPPED 0x30000
#define AREA_BEYOND   0x40000
#define AREA_PAGE     0x50000
#define NR_AREAS      (NR_ARGS + 2)

static void fail(const char *what)
{
	perror(what);
	exit(2);
}

static void map_at(char *at, int prot, int flags, int fd)
{
	if (syscall(SYS_mmap, at, PAGE, prot, flags | MAP_FIXED, fd, 0) != (long)at)
		fail("mmap");
}

static void make_areas(void)
{
	int empty = memfd_create("empty", MFD_CLOEXEC);

	for (int i = 0; i < NR_AREAS; i++) {
		map_at(AREA(i), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
		map_at(AREA(i) + AREA_READONLY, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1);
		map_at(AREA(i) + AREA_NOACCESS, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
		map_at(AREA(i) + AREA_BEYOND, PROT_READ | PROT_WRITE, MAP_SHARED, empty);
	}
	close(empty);
}

static void *put_readonly(char *at, const void *content, size_t len)
{
	if (mprotect(at, PAGE, PROT_READ | PROT_WRITE) < 0)
		fail("mprotect");
	memcpy(at, content, len);
	if (mprotect(at, PAGE, PROT_READ) < 0)
		fail("mprotect");
	return at;
}

/* Return: a pointer of @kind to the @len bytes of @content, as far as they can be there. */
static void *put(enum kind kind, char *area, const void *content, size_t len)
{
	size_t there = kind == CROSS_FIRST ? 1 : kind == CROSS_HALF ? len / 2 : len - 1;

	switch (kind) {
	case NONE:
		return NULL;
	case LOW:
		return (void *)8;
	case UNMAPPED:
		return area + AREA_UNMAPPED;
	case NOACCESS:
		return area + AREA_NOACCESS;
	case READONLY:
		return put_readonly(area + AREA_READONLY, content, len);
	case TIGHT:
		return memcpy(area + PAGE - len, content, len);
	case CROSS_FIRST:
	case CROSS_HALF:
	case CROSS_LAST:
		return memcpy(area + PAGE - there, content, there);
	case BEYOND:
		return area + AREA_BEYOND;
	case KERNELS:
		return (void *)(INTPTR_MIN + 0x7fffffff);
	case WRAPPING:
		return (void *)(UINTPTR_MAX - 3);
	default:
		return memcpy(area + 64, content, len);
	}
}

/* ---- cases ---- */

enum target { ON_FILE, ON_NODE, ON_PROC, NR_TARGETS };

static const char *const target_names[NR_TARGETS] = {"file", "node", "proc"};

struct test {
	size_t call;
	int arg;     /* whose pointer is of @kind; -1: none, all are good */
	int element; /* of a vector: -1 its array, or which element's base */
	enum kind kind;
	enum target target;
	bool opened; /* a node is open in the process */
};

struct outcome {
	struct recorded made; /* with a recording filter: the system calls of the call */
	bool done;
	int killed_by;
	long ret;
	int err;
};

static struct test tests[NR_CASES_MAX];
static size_t nr_tests;
static struct outcome *outcomes; /* [nr_tests], shared with the children */
static const char *paths[NR_TARGETS];
static bool is_reference, is_recording;

static bool has(const struct call *call, enum arg_type type)
{
	for (int i = 0; i < NR_ARGS; i++)
		if (call->args[i].type == type)
			return true;
	return false;
}

static bool kind_fits(const struct arg *arg, int element, enum kind kind)
{
	bool crosses = kind == CROSS_FIRST || kind == CROSS_HALF || kind == CROSS_LAST;

	switch (arg->type) {
	case ARG_STREAM:
	case ARG_DIR:
		return kind == NONE || kind == LOW;
	case ARG_ADDR:
		return !crosses && kind != NOACCESS && kind != BEYOND && kind < LEN_NEGATIVE;
	case ARG_VEC:
		return kind < LEN_NEGATIVE || element < 0;
	default:
		return kind < LEN_NEGATIVE && !(crosses && arg->num == 1) && kind != GOOD;
	}
}

static void add(struct test test)
{
	if (nr_tests == NR_CASES_MAX) {
		fputs("too many cases\n", stderr);
		exit(2);
	}
	tests[nr_tests++] = test;
}

static void add_kinds(struct test test)
{
	const struct arg *arg = &calls[test.call].args[test.arg];

	for (int kind = GOOD + 1; kind < NR_KINDS; kind++) {
		test.kind = (enum kind)kind;
		if (kind_fits(arg, test.element, test.kind))
			add(test);
	}
}

static void add_args(struct test test)
{
	const struct call *call = &calls[test.call];

	test.arg = test.element = -1;
	add(test);
	for (test.arg = 0; test.arg < NR_ARGS; test.arg++) {
		enum arg_type type = call->args[test.arg].type;

		if (type == ARG_END || type == ARG_NUM || type == ARG_FD)
			continue;
		for (test.element = -1; test.element < (type == ARG_VEC ? 2 : 0); test.element++)
			add_kinds(test);
	}
}

static void add_call(size_t i)
{
	const struct call *call = &calls[i];
	bool by_path = has(call, ARG_PATH), by_fd = has(call, ARG_FD) || has(call, ARG_STREAM);

	for (int opened = 0; opened < 2; opened++) {
		for (int target = 0; target < NR_TARGETS; target++) {
			bool fits = target == ON_FILE ||
				    (target == ON_NODE && (by_path || by_fd)) ||
				    (target == ON_PROC && by_path);

			if (target == ON_NODE &&
			    ((by_path && call->device.kind == DEVICE_NOT) || (!by_path && !opened)))
				continue;
			if (fits)
				add_args((struct test){.call = i,
						       .target = (enum target)target,
						       .opened = opened});
		}
	}
}

/* ---- one case ---- */

static void fill(char *bytes, const struct arg *arg)
{
	static const uint32_t batch_begin[10] = {VHOST_IOTLB_MSG_V2, [8] = 5 << 8};
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct vhost_vdpa_config config = {.off = 0, .len = 8};
	uint64_t features = 1ULL << 32 | 1ULL << 33;
	struct open_how how = {.flags = O_RDWR | O_CLOEXEC};

	memset(bytes, 0, PAGE);
	if (arg->content == A_MESSAGE)
		memcpy(bytes, batch_begin, sizeof(batch_begin));
	else if (arg->content == A_LOCK)
		memcpy(bytes, &lock, sizeof(lock));
	else if (arg->content == A_CONFIG)
		memcpy(bytes, &config, sizeof(config));
	else if (arg->content == AN_ATTRIBUTE)
		strcpy(bytes, "user.some-own-name");
	else if (arg->content == A_HOW)
		memcpy(bytes, &how, sizeof(how));
	else if (arg->content == SOME_FEATURES)
		memcpy(bytes, &features, sizeof(features));
}

static long put_vector(const struct test *test, bool is_it)
{
	const struct arg message = MESSAGE;
	struct iovec iov[2];
	char bytes[PAGE];

	fill(bytes, &message);
	for (int i = 0; i < 2; i++) {
		size_t len = i ? ELEMENT_NEXT : ELEMENT_FIRST;
		bool bad = is_it && test->element == i;

		iov[i].iov_base = put(bad ? test->kind : GOOD, AREA(NR_ARGS + i),
				      bytes + (i ? ELEMENT_FIRST : 0), len);
		iov[i].iov_len = len;
		if (is_it && test->element < 0 && test->kind == LEN_HUGE)
			iov[i].iov_len = SSIZE_MAX;
	}
	if (is_it && test->element < 0 && test->kind == LEN_NEGATIVE)
		iov[1].iov_len = SIZE_MAX;
	return (long)put(is_it && test->element < 0 ? test->kind : GOOD, AREA(0), iov, sizeof(iov));
}

/* A page that may be taken away. */
static long put_page(enum kind kind, char *area)
{
	int prot = kind == READONLY ? PROT_READ : PROT_READ | PROT_WRITE;

	if (kind != GOOD && kind != TIGHT && kind != READONLY)
		return (long)put(kind, area, "", 1);
	map_at(area + AREA_PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	return (long)area + AREA_PAGE;
}

static long put_arg(const struct test *test, int i, int fd)
{
	const struct arg *arg = &calls[test->call].args[i];
	enum kind kind = test->arg == i ? test->kind : GOOD;
	const char *path = paths[test->target];
	char bytes[PAGE];

	switch (arg->type) {
	case ARG_FD:
		return fd;
	case ARG_PATH:
		return (long)put(kind, AREA(i), path, strlen(path) + 1);
	case ARG_EMPTY:
		return (long)put(kind, AREA(i), "", 1);
	case ARG_MODE:
		return (long)put(kind, AREA(i), "r", 2);
	case ARG_DATA:
		fill(bytes, arg);
		return (long)put(kind, AREA(i), bytes, (size_t)arg->num);
	case ARG_VEC:
		return put_vector(test, test->arg == i);
	case ARG_ADDR:
		return put_page(kind, AREA(i));
	case ARG_STREAM:
		return (long)(kind == GOOD ? (void *)fdopen(fd, "r+") : put(kind, AREA(i), "", 1));
	case ARG_DIR:
		return (long)(kind == GOOD ? (void *)opendir("/dev") : put(kind, AREA(i), "", 1));
	default:
		return arg->num;
	}
}

/* The descriptor under test; a file has bytes to read. */
static int open_target(const struct test *test)
{
	static const char text[2 * PAGE] = "text";
	int fd = open(paths[test->target == ON_NODE ? ON_NODE : ON_FILE], O_RDWR);
	int high = fcntl(fd, F_DUPFD, FD_FIRST);

	if (fd < 0 || high < 0)
		fail("open");
	close(fd);
	if (test->target != ON_NODE && (syscall(SYS_ftruncate, high, 0) < 0 ||
					syscall(SYS_pwrite64, high, text, sizeof(text), 0) < 0))
		fail("pwrite");
	if (test->target == ON_NODE && !is_reference)
		(void)ioctl(high, VHOST_SET_OWNER);
	return high;
}

static bool is_failure(enum result result, long ret)
{
	switch (result) {
	case RES_INT:
	case RES_FD_OUT:
		return (int)ret == -1;
	case RES_STREAM_OUT:
	case RES_DIR_OUT:
	case RES_STRING:
	case RES_STRING_OUT:
		return ret == 0;
	case RES_VOID:
		return false;
	default:
		return ret == -1;
	}
}

static void note(struct outcome *out, enum result result, long ret, int err)
{
	bool failed = is_failure(result, ret);

	out->ret = failed ? -1 : result == RES_LONG ? ret : result == RES_INT ? (int)ret : 1;
	out->err = failed ? err : 0;
	out->done = true;
	if (result == RES_FD_OUT && !failed)
		close((int)ret);
	if (result == RES_STREAM_OUT && !failed)
		fclose((FILE *)ret);
	if (result == RES_DIR_OUT && !failed)
		closedir((DIR *)ret);
	if (result == RES_STRING_OUT)
		free((void *)ret);
}

static void clean_up(void)
{
	for (int fd = FD_FIRST; fd <= FD_LAST; fd++)
		close(fd);
	syscall(SYS_munmap, NULL, PAGE);
	for (int i = 0; i < NR_ARGS; i++) {
		syscall(SYS_munmap, AREA(i) + AREA_UNMAPPED, PAGE);
		syscall(SYS_munmap, AREA(i) + AREA_PAGE, 2 * PAGE);
	}
}

/* glibc has openat2 since 2.43. */
static long openat2_by_hand(long dirfd, ...)
{
	long args[3];
	va_list ap;

	va_start(ap, dirfd);
	for (int i = 0; i < 3; i++)
		args[i] = va_arg(ap, long);
	va_end(ap);
	return syscall(SYS_openat2, dirfd, args[0], args[1], args[2]);
}

/* variadic, because some are: integers and pointers are passed alike */
static long (*find_call(const char *name))(long, ...)
{
	long (*fn)(long, ...) = (long (*)(long, ...))dlsym(RTLD_DEFAULT, name);

	return !fn && strcmp(name, "openat2") == 0 ? openat2_by_hand : fn;
}

#define CHILD_SECS 600

static void ignore(int sig)
{
}

/* A call that waits for a signal, or for ever, finds one. */
static void let_signal_wait(const struct call *call, const struct test *test)
{
	const struct itimerval every = {{0, 50000}, {0, 50000}};
	struct sigaction act = {.sa_handler = ignore, .sa_flags = SA_RESTART};
	sigset_t set;

	if (test->kind == NONE && call->args[test->arg].num == sizeof(struct timespec) &&
	    (strstr(call->name, "poll") || strstr(call->name, "pselect"))) {
		sigaction(SIGALRM, &act, NULL);
		setitimer(ITIMER_REAL, &every, NULL);
	}
	if (!strstr(call->name, "sigsuspend") && !strstr(call->name, "sigpause"))
		return;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaction(SIGUSR1, &act, NULL);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGUSR1);
}

static void run_test(const struct test *test, struct outcome *out)
{
	const struct call *call = &calls[test->call];
	long (*fn)(long, ...) = find_call(call->name);
	bool needs_fd = has(call, ARG_FD) || has(call, ARG_STREAM);
	bool node_open = test->opened && !(needs_fd && test->target == ON_NODE) &&
			 !(test->target == ON_NODE && call->result == RES_FD_OUT);
	int other = node_open ? open(paths[ON_NODE], O_RDWR) : -1;
	int fd = needs_fd ? open_target(test) : -1;
	long args[NR_ARGS];
	long ret;
	int err;

	for (int i = 0; i < NR_ARGS; i++)
		args[i] = put_arg(test, i, fd);
	let_signal_wait(call, test);
	record_into(&out->made);
	errno = 0;
	ret = fn(args[0], args[1], args[2], args[3], args[4], args[5]);
	err = errno;
	record_into(NULL);
	alarm(CHILD_SECS); /* in the place of a timer that was to interrupt this call alone */
	note(out, call->result, ret, err);
	if (other >= 0)
		close(other);
	clean_up();
}

/* ---- what a device answers ---- */

static bool is_range(enum kind kind)
{
	return kind != KERNELS && kind != WRAPPING;
}

static bool is_readable(enum kind kind)
{
	return kind == GOOD || kind == TIGHT || kind == READONLY;
}

static long expected_write(const struct test *test)
{
	if (test->arg < 0 || is_readable(test->kind))
		return 72;
	if (!is_range(test->kind))
		return -EFAULT;
	/* the first 40 bytes are the message */
	return test->kind == CROSS_LAST ? 72 : -EINVAL;
}

static long expected_vector(const struct test *test)
{
	if (test->arg < 0 || is_readable(test->kind))
		return 72;
	if (test->kind == LEN_NEGATIVE)
		return -EINVAL;
	if (test->element < 0 || !is_range(test->kind))
		return -EFAULT;
	return test->element == 0 ? -EINVAL : 72;
}

static long expected_ioctl(const struct test *test)
{
	bool written = test->arg >= 0 && calls[test->call].args[test->arg].written;

	if (test->arg < 0 || test->kind == TIGHT || (test->kind == READONLY && !written))
		return 0;
	return -EFAULT;
}

/* No offset is an offset, too. */
static long expected_move(const struct test *test)
{
	return test->arg < 0 || is_readable(test->kind) || test->kind == NONE ? -EINVAL : -EFAULT;
}

/* Return: is there an answer of a device's own? */
static bool expect(const struct test *test, struct outcome *out)
{
	const struct call *call = &calls[test->call];
	long ret;

	if (test->target != ON_NODE)
		return false;
	switch (call->device.kind) {
	case DEVICE_IOCTL:
		ret = expected_ioctl(test);
		break;
	case DEVICE_WRITE:
		ret = expected_write(test);
		break;
	case DEVICE_VECTOR:
		ret = expected_vector(test);
		break;
	case DEVICE_MOVE:
		ret = expected_move(test);
		break;
	case DEVICE_FIXED:
		ret = call->device.value;
		break;
	default:
		return false;
	}
	*out = (struct outcome){.made = out->made,
				.done = true,
				.ret = ret < 0 ? -1 : ret,
				.err = ret < 0 ? (int)-ret : 0};
	return true;
}

/* ---- all cases ---- */

/* Cases that can share a process: the same call, with or without a node open. Closing all
 * descriptors ends one. */
static bool may_share(const struct test *one, const struct test *other)
{
	return one->call == other->call && one->opened == other->opened &&
	       strncmp(calls[one->call].name, "close", 5) != 0;
}

static void child(size_t first)
{
	static const struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
	alarm(CHILD_SECS);
	if (is_recording)
		record_start();
	for (size_t i = first; i < nr_tests && (i == first || may_share(&tests[first], &tests[i]));
	     i++) {
		if (!is_reference || is_recording || !expect(&tests[i], &outcomes[i]))
			run_test(&tests[i], &outcomes[i]);
		if (is_reference && is_recording)
			(void)expect(&tests[i], &outcomes[i]);
	}
	_exit(0);
}

static void run_all(void)
{
	for (size_t i = 0; i < nr_tests;) {
		pid_t pid = fork();
		int status;

		if (pid < 0)
			fail("fork");
		if (pid == 0)
			child(i);
		if (waitpid(pid, &status, 0) != pid)
			fail("waitpid");
		while (i < nr_tests && outcomes[i].done)
			i++;
		if (i < nr_tests && WIFSIGNALED(status))
			outcomes[i++].killed_by = WTERMSIG(status);
		else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			exit(2);
	}
}

static void print(const struct test *test, const struct outcome *out)
{
	const struct call *call = &calls[test->call];
	size_t row = 1;

	while (row <= test->call && strcmp(calls[test->call - row].name, call->name) == 0)
		row++;
	printf("%s.%zu ", call->name, row);
	if (test->arg < 0)
		fputs("good", stdout);
	else if (test->element < 0)
		printf("%d:%s", test->arg + 1, kind_names[test->kind]);
	else
		printf("%d[%d]:%s", test->arg + 1, test->element, kind_names[test->kind]);
	printf(" %s%s = ", target_names[test->target], test->opened ? " opened" : "");
	if (out->killed_by)
		printf("killed by SIG%s", sigabbrev_np(out->killed_by));
	else if (out->err)
		printf("%ld %s", out->ret,
		       strerrorname_np(out->err) ? strerrorname_np(out->err) : "ENOTSUPP");
	else
		printf("%ld", out->ret);
	for (unsigned int nr = 0; is_recording && nr < RECORD_NR; nr++)
		if (recorded_has(&out->made, nr))
			printf(" %u", nr);
	putchar('\n');
}

static int print_names(void)
{
	for (size_t i = 0; i < NR_CALLS; i++)
		puts(calls[i].name);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--names") == 0)
		return print_names();
	if (argc != 4 && argc != 5)
		return 2;
	is_reference = strcmp(argv[1], "reference") == 0;
	is_recording = argc == 5;
	paths[ON_NODE] = argv[2];
	paths[ON_FILE] = argv[3];
	paths[ON_PROC] = "/proc/devices";
	for (size_t i = 0; i < NR_CALLS; i++)
		add_call(i);
	outcomes = mmap(NULL, nr_tests * sizeof(*outcomes), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (outcomes == MAP_FAILED)
		fail("mmap");
	make_areas();
	run_all();
	for (size_t i = 0; i < nr_tests; i++)
		print(&tests[i], &outcomes[i]);
	return 0;
}
