// SPDX-License-Identifier: BSD-3-Clause
/*
 * A client of ours that is linked statically, with any libc: it moves data through a card or a disk
 * and compares them. Prints what it did, a line each, or which step failed.
 *
 *	static_client PART
 *
 * The parts are listed at the end; what each does stands at its function. Used by test_agent.py.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/virtio_blk.h>

#include "client/client.h"

#define NODE        "/dev/vhost-vdpa-0"
#define DEADLINE_MS 20000
#define HEADER_LEN  12u
#define FRAME_LEN   600u
#define NR_FRAMES   200u
#define NR_REQUESTS 64u
#define BLOCK_LEN   4096u
#define NR_UPDATES  5000u

static void must(bool ok, const char *step)
{
	if (ok)
		return;
	fprintf(stderr, "%s: %s\n", step, strerror(errno));
	exit(1);
}

static void must_rc(int rc, const char *step)
{
	errno = rc < 0 ? -rc : 0;
	must(rc >= 0, step);
}

/* ---- a card ---- */

static void fill(unsigned char *bytes, size_t len, unsigned int seed)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (unsigned char)(seed * 31 + i * 7 + (i >> 8));
}

static void exchange(struct client_net *net, unsigned int i)
{
	unsigned char *sent = client_net_data(net, 0), *got = client_net_data(net, 8192);
	struct client_buf out = {client_net_iova(net, 0), HEADER_LEN + FRAME_LEN, false};
	struct client_buf in = {client_net_iova(net, 8192), 4096, true};
	uint32_t len;

	memset(sent, 0, HEADER_LEN);
	fill(sent + HEADER_LEN, FRAME_LEN, i);
	memset(sent + HEADER_LEN, 0xff, 6);
	memcpy(sent + HEADER_LEN + 6, "\x52\x54\x00\x00\x00\x01\x88\xb5", 8);
	memset(got, 0, 4096);
	must_rc(client_ring_add(&net->ring[CLIENT_NET_RX], &in, 1, NULL), "add");
	must_rc(client_ring_add(&net->ring[CLIENT_NET_TX], &out, 1, NULL), "add");
	must_rc(client_ring_kick(&net->ring[CLIENT_NET_RX]), "kick");
	must_rc(client_ring_kick(&net->ring[CLIENT_NET_TX]), "kick");
	must_rc(client_ring_wait(&net->ring[CLIENT_NET_RX], DEADLINE_MS), "no frame came back");
	must(client_ring_pop(&net->ring[CLIENT_NET_RX], NULL, &len) == 1, "used ring");
	must(len == HEADER_LEN + FRAME_LEN, "length of a frame");
	must(memcmp(got + HEADER_LEN, sent + HEADER_LEN, FRAME_LEN) == 0, "another frame came");
	must_rc(client_ring_wait(&net->ring[CLIENT_NET_TX], DEADLINE_MS), "not sent");
	must(client_ring_pop(&net->ring[CLIENT_NET_TX], NULL, NULL) == 1, "used ring");
}

/* Sends one to whatever is behind the card. */
static void send_frame(struct client_net *net, unsigned int i)
{
	struct client_buf out = {client_net_iova(net, 0), HEADER_LEN + FRAME_LEN, false};
	unsigned char *sent = client_net_data(net, 0);

	memset(sent, 0, HEADER_LEN);
	fill(sent + HEADER_LEN, FRAME_LEN, i);
	memset(sent + HEADER_LEN, 0xff, 6);
	must_rc(client_ring_add(&net->ring[CLIENT_NET_TX], &out, 1, NULL), "add");
	must_rc(client_ring_kick(&net->ring[CLIENT_NET_TX]), "kick");
	must_rc(client_ring_wait(&net->ring[CLIENT_NET_TX], DEADLINE_MS), "not sent");
	must(client_ring_pop(&net->ring[CLIENT_NET_TX], NULL, NULL) == 1, "used ring");
}

static void do_send(void)
{
	struct client_net_opts opts = {.kind = CLIENT_MEM_PRIVATE};
	struct client_net net = {.fd = -1};

	must_rc(client_net_start(&net, NODE, &opts), "start");
	for (unsigned int i = 0; i < NR_FRAMES; i++)
		send_frame(&net, i);
	client_net_stop(&net);
	puts("all frames were sent");
}

/* Sends frames to a loopback card, and compares what comes back; in all kinds of memory. */
static void do_net(void)
{
	for (int kind = CLIENT_MEM_MEMFD; kind <= CLIENT_MEM_PRIVATE; kind++) {
		struct client_net_opts opts = {.kind = (enum client_mem_kind)kind, .iova = 1 << 20};
		struct client_net net = {.fd = -1};

		must_rc(client_net_start(&net, NODE, &opts), "start");
		for (unsigned int i = 0; i < NR_FRAMES; i++)
			exchange(&net, i);
		client_net_stop(&net);
	}
	printf("%u frames, 3 kinds of memory: the same came back\n", 3 * NR_FRAMES);
}

/* ---- a disk ---- */

struct disk {
	int fd;
	struct client_mem mem;
	struct client_ring ring;
	struct virtio_blk_outhdr *header;
	unsigned char *data, *status;
};

static uint64_t iova_of(const struct disk *d, const void *at)
{
	return (uint64_t)((const unsigned char *)at - (const unsigned char *)d->mem.addr);
}

static void start_disk(struct disk *d)
{
	uint64_t features = CLIENT_FEATURE_VERSION_1 | CLIENT_FEATURE_ACCESS_PLATFORM |
			    CLIENT_BIT(VIRTIO_BLK_F_FLUSH);
	size_t rings = (client_ring_size(64) + 4095) & ~(size_t)4095;

	d->fd = client_open(NODE);
	must_rc(d->fd, "open");
	must_rc(client_ioctl(d->fd, VHOST_SET_OWNER, NULL), "SET_OWNER");
	must_rc(client_set_status(d->fd, CLIENT_STATUS_DRIVER), "status");
	must_rc(client_set_u64(d->fd, VHOST_SET_BACKEND_FEATURES, CLIENT_BACKEND_MSG_V2),
		"backend");
	must_rc(client_set_u64(d->fd, VHOST_SET_FEATURES, features), "features");
	must_rc(client_set_status(d->fd, CLIENT_STATUS_FEATURES), "status");
	must_rc(client_mem_create(&d->mem, rings + 4 * BLOCK_LEN, CLIENT_MEM_PRIVATE), "memory");
	must_rc(client_iotlb_map(d->fd, 0, 0, d->mem.size, d->mem.addr, VHOST_ACCESS_RW), "UPDATE");
	client_ring_init(&d->ring, 0, 64, d->mem.addr, 0, 0);
	d->header = (void *)((unsigned char *)d->mem.addr + rings);
	d->status = (unsigned char *)(d->header + 1);
	d->data = (unsigned char *)d->mem.addr + rings + BLOCK_LEN;
	must_rc(client_ring_attach(&d->ring, d->fd), "ring");
	must_rc(client_vring_set(d->fd, VHOST_VDPA_SET_VRING_ENABLE, 0, 1), "ENABLE");
	must_rc(client_set_status(d->fd, CLIENT_STATUS_RUNNING), "status");
}

static void request(struct disk *d, uint32_t type, uint64_t sector)
{
	struct client_buf bufs[3] = {{iova_of(d, d->header), sizeof(*d->header), false},
				     {iova_of(d, d->data), BLOCK_LEN, type == VIRTIO_BLK_T_IN},
				     {iova_of(d, d->status), 1, true}};

	if (type == VIRTIO_BLK_T_FLUSH)
		bufs[1] = bufs[2];
	*d->header = (struct virtio_blk_outhdr){.type = type, .sector = sector};
	*d->status = 0xff;
	must_rc(client_ring_add(&d->ring, bufs, type == VIRTIO_BLK_T_FLUSH ? 2 : 3, NULL), "add");
	must_rc(client_ring_kick(&d->ring), "kick");
	must_rc(client_ring_wait(&d->ring, DEADLINE_MS), "no answer");
	must(client_ring_pop(&d->ring, NULL, NULL) == 1, "used ring");
	must(*d->status == VIRTIO_BLK_S_OK, "status of a request");
}

/* Writes blocks to a disk, and compares what it reads. */
static void do_blk(void)
{
	struct disk d = {.fd = -1};
	unsigned char expected[BLOCK_LEN];

	start_disk(&d);
	for (unsigned int i = 0; i < NR_REQUESTS; i++) {
		fill(d.data, BLOCK_LEN, i);
		request(&d, VIRTIO_BLK_T_OUT, i * 8);
	}
	request(&d, VIRTIO_BLK_T_FLUSH, 0);
	for (unsigned int i = 0; i < NR_REQUESTS; i++) {
		fill(expected, BLOCK_LEN, i);
		memset(d.data, 0, BLOCK_LEN);
		request(&d, VIRTIO_BLK_T_IN, i * 8);
		must(memcmp(d.data, expected, BLOCK_LEN) == 0, "other bytes were read");
	}
	must_rc(client_set_status(d.fd, 0), "reset");
	client_ring_fini(&d.ring);
	must(close(d.fd) == 0, "close");
	client_mem_destroy(&d.mem);
	printf("%u blocks: what was written was read\n", NR_REQUESTS);
}

/* ---- descriptors ---- */

static bool is_device(int fd)
{
	uint32_t id;

	return client_ioctl(fd, VHOST_VDPA_GET_DEVICE_ID, &id) == 0;
}

/* What a kernel's node does: stat, a second open, copies, and the ways to close them. */
static void do_files(void)
{
	struct stat st;
	int fd, copy;

	must(stat(NODE, &st) == 0 && S_ISCHR(st.st_mode), "stat");
	must(access(NODE, R_OK | W_OK) == 0, "access");
	fd = open(NODE, O_RDWR | O_CLOEXEC);
	must(fd >= 0 && is_device(fd), "open");
	must(fstat(fd, &st) == 0 && S_ISCHR(st.st_mode), "fstat");
	must(open(NODE, O_RDWR) < 0 && errno == EBUSY, "second open");
	copy = dup(fd);
	must(copy >= 0 && is_device(copy), "dup");
	must(close(fd) == 0 && !is_device(fd), "close");
	must(is_device(copy), "the copy");
	must(dup2(copy, 100) == 100 && is_device(100), "dup2");
	must(close(copy) == 0 && dup2(0, 100) == 100, "close by dup2");
	fd = open(NODE, O_RDWR);
	must(fd >= 0, "open after the last close");
	must(lseek(fd, 0, SEEK_SET) < 0 || true, "lseek");
	must(read(fd, &st, sizeof(st)) < 0 && errno == EINVAL, "read");
	must(open("/dev/vhost-vdpa-7", O_RDWR) < 0 && errno == ENOENT, "a node that is not there");
	must(chdir("/dev") == 0 && close(fd) == 0, "chdir");
	fd = open("vhost-vdpa-0", O_RDWR);
	must(fd >= 0 && is_device(fd), "a relative path");
	puts("descriptors behave");
}

static void must_lead_to_node(int dirfd, const char *path)
{
	struct stat st;
	int fd;

	must(fstatat(dirfd, path, &st, 0) == 0 && S_ISCHR(st.st_mode), path);
	fd = openat(dirfd, path, O_RDWR);
	must(fd >= 0 && is_device(fd) && close(fd) == 0, path);
}

/* The node by other names than that of /dev. */
static void do_names(void)
{
	int dev = open("/dev", O_RDONLY | O_DIRECTORY), root = open("/", O_RDONLY | O_DIRECTORY);

	must(dev >= 0 && root >= 0, "folders");
	must_lead_to_node(AT_FDCWD, "/dev//vhost-vdpa-0");
	must_lead_to_node(AT_FDCWD, "//dev/./vhost-vdpa-0");
	must_lead_to_node(AT_FDCWD, "/proc/../dev/vhost-vdpa-0");
	must_lead_to_node(dev, "vhost-vdpa-0");
	must_lead_to_node(dev, "../dev/vhost-vdpa-0");
	must_lead_to_node(root, "dev/vhost-vdpa-0");
	must(chdir("/dev") == 0, "chdir");
	must_lead_to_node(AT_FDCWD, "./vhost-vdpa-0");
	must(chdir("/") == 0, "chdir");
	must_lead_to_node(AT_FDCWD, "dev/vhost-vdpa-0");
	must(open("./vhost-vdpa-0", O_RDWR) < 0 && errno == ENOENT, "a name in another folder");
	puts("each name leads to the node");
}

/* ---- threads ---- */

static void *race(void *arg)
{
	unsigned int *nr_open = arg;
	uint64_t features;

	for (int i = 0; i < 100; i++) {
		int fd = open(NODE, O_RDWR);

		if (fd < 0) {
			must(errno == EBUSY, "open");
			continue;
		}
		must_rc(client_get_u64(fd, VHOST_GET_FEATURES, &features), "GET_FEATURES");
		__atomic_add_fetch(nr_open, 1, __ATOMIC_RELAXED);
		must(close(fd) == 0, "close");
	}
	return NULL;
}

/* Four threads want the device at once. */
static void do_threads(void)
{
	pthread_t threads[4];
	unsigned int nr_open = 0;

	for (int i = 0; i < 4; i++)
		must(pthread_create(&threads[i], NULL, race, &nr_open) == 0, "thread");
	for (int i = 0; i < 4; i++)
		must(pthread_join(threads[i], NULL) == 0, "join");
	must(nr_open > 0, "no thread got the device");
	puts("threads share the device");
}

static void *keep_opening(void *arg)
{
	(void)arg;
	for (;;)
		(void)close(open(NODE, O_RDWR));
	return NULL;
}

/* The process ends while the first calls of its threads bring the agent in. */
static void do_leave(void)
{
	pthread_t thread;

	for (int i = 0; i < 4; i++)
		must(pthread_create(&thread, NULL, keep_opening, NULL) == 0, "thread");
	for (int i = getpid() % 31 * 300; i > 0; i--)
		(void)sched_yield();
	puts("leaves in the middle");
	(void)fflush(stdout);
	_exit(0);
}

/* ---- calls that wait ---- */

static void *ask_status(void *arg)
{
	int *answer = arg; /* atomic; the descriptor until then */
	int status = client_get_status(__atomic_load_n(answer, __ATOMIC_RELAXED));

	__atomic_store_n(answer, -1 - (status >= 0), __ATOMIC_RELEASE);
	return NULL;
}

/* Is a call on the device answered, while another thread's waits? */
static bool is_answered(int fd)
{
	static int answer;
	pthread_t thread;

	answer = fd;
	must(pthread_create(&thread, NULL, ask_status, &answer) == 0, "thread");
	for (int ms = 0; ms < DEADLINE_MS && __atomic_load_n(&answer, __ATOMIC_ACQUIRE) >= 0; ms++)
		(void)poll(NULL, 0, 1);
	return __atomic_load_n(&answer, __ATOMIC_ACQUIRE) == -2;
}

static int full_pipe(int *read_end)
{
	static char bytes[4096];
	int ends[2];

	must(pipe(ends) == 0 && fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0, "pipe");
	while (write(ends[1], bytes, sizeof(bytes)) > 0)
		;
	must(fcntl(ends[1], F_SETFL, 0) == 0, "pipe");
	*read_end = ends[0];
	return ends[1];
}

/* As many bytes as a message for a device has. */
static void *write_message(void *arg)
{
	char message[64] = "";

	must(write(*(int *)arg, message, sizeof(message)) == sizeof(message), "write to a pipe");
	return NULL;
}

static void must_be_answered_while_pipe_is_full(int fd, int write_end, int read_end)
{
	static char bytes[1 << 16];
	pthread_t thread;

	must(pthread_create(&thread, NULL, write_message, &write_end) == 0, "thread");
	for (int i = 0; i < 100; i++)
		must(is_answered(fd), "a call while another thread's waits");
	must(read(read_end, bytes, sizeof(bytes)) > 0 && pthread_join(thread, NULL) == 0, "read");
	close(write_end);
	close(read_end);
}

/* A number that was a device's is a pipe's now, and one that a client has marked as the library
 * marks devices. Writing to them may take for ever. */
static void do_reuse(void)
{
	int fd = open(NODE, O_RDWR), other, end;

	must(fd >= 0 && dup2(fd, 50) == 50 && is_device(50), "a copy at a number of one's own");
	must(close(50) == 0, "close");
	other = full_pipe(&end);
	must(dup2(other, 50) == 50 && close(other) == 0, "the number again");
	must_be_answered_while_pipe_is_full(fd, 50, end);
	other = full_pipe(&end);
	must(fcntl(other, F_SETSIG, 63) == 0, "F_SETSIG");
	must_be_answered_while_pipe_is_full(fd, other, end);
	puts("nobody waits for a pipe but who writes to it");
}

static void *lock_all(void *arg)
{
	struct flock all = {.l_type = F_WRLCK};

	must(fcntl(*(int *)arg, F_SETLKW, &all) == 0, "the lock");
	return NULL;
}

/* Another process has a lock. */
static void do_lock(void)
{
	int fd = open(NODE, O_RDWR), ready[2], end[2];
	struct flock some = {.l_type = F_WRLCK, .l_len = 100};
	pthread_t thread;
	pid_t pid;
	char byte = 0;

	must(fd >= 0 && pipe(ready) == 0 && pipe(end) == 0, "open");
	pid = fork();
	if (pid == 0) {
		close(end[1]);
		must(fcntl(fd, F_SETLK, &some) == 0 && write(ready[1], &byte, 1) == 1, "lock");
		_exit(read(end[0], &byte, 1) == 0 ? 0 : 1);
	}
	must(read(ready[0], &byte, 1) == 1, "the child's lock");
	must(pthread_create(&thread, NULL, lock_all, &fd) == 0, "thread");
	for (int i = 0; i < 100; i++)
		must(is_answered(fd), "a call while another thread's waits");
	close(end[1]);
	must(waitpid(pid, NULL, 0) == pid && pthread_join(thread, NULL) == 0, "join");
	must(is_answered(fd) && close(fd) == 0, "close");
	puts("nobody waits for a lock but who asks for it");
}

/* A socket whose close waits until its peer has read all. */
static int slow_to_close(void)
{
	static char bytes[1 << 16];
	const struct linger linger = {.l_onoff = 1, .l_linger = 60};
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t len = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0), s = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0 &&
		     listen(listener, 1) == 0 &&
		     getsockname(listener, (struct sockaddr *)&address, &len) == 0 &&
		     connect(s, (struct sockaddr *)&address, sizeof(address)) == 0,
	     "sockets");
	must(setsockopt(s, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0 &&
		     fcntl(s, F_SETFL, O_NONBLOCK) == 0,
	     "a socket");
	while (write(s, bytes, sizeof(bytes)) > 0)
		;
	must(fcntl(s, F_SETFL, 0) == 0, "a socket");
	return s;
}

static void *close_one(void *arg)
{
	unsigned int fd = *(unsigned int *)arg;

	must(syscall(SYS_close_range, fd, fd, 0) == 0, "close_range");
	return NULL;
}

static void do_linger(void)
{
	int fd = open(NODE, O_RDWR), s = slow_to_close();
	pthread_t thread;

	must(fd >= 0 && is_device(fd), "open");
	must(pthread_create(&thread, NULL, close_one, &s) == 0, "thread");
	for (int i = 0; i < 100; i++)
		must(is_answered(fd), "a call while another thread's waits");
	must(syscall(SYS_close_range, fd, fd, 0) == 0 && !is_device(fd), "close_range");
	fd = open(NODE, O_RDWR);
	must(fd >= 0 && is_device(fd), "open after close_range");
	puts("nobody waits for a socket but who closes it");
	(void)fflush(stdout);
	_exit(0);
}

/* ---- a table of descriptors of its own ---- */

struct apart {
	int fd, other;
};

static void *use_own_table(void *arg)
{
	const struct apart *a = arg;

	must(unshare(CLONE_FILES) == 0, "unshare");
	must(open(NODE, O_RDWR) < 0 && errno == EBUSY, "open");
	must(close(a->fd) == 0 && dup2(a->other, a->fd) == a->fd, "a number of its own");
	must(write(a->fd, "x", 1) == 1, "write");
	must(syscall(SYS_close_range, 3, ~0u, 0) == 0, "close_range");
	return NULL;
}

/* A thread has one, and closes and copies in it. */
static void do_apart(void)
{
	struct apart a = {open(NODE, O_RDWR), open("/dev/null", O_RDWR)};
	pthread_t thread;

	must_rc(client_ioctl(a.fd, VHOST_SET_OWNER, NULL), "SET_OWNER");
	must_rc(client_set_status(a.fd, CLIENT_STATUS_DRIVER), "status");
	must(pthread_create(&thread, NULL, use_own_table, &a) == 0, "thread");
	must(pthread_join(thread, NULL) == 0, "join");
	must(fcntl(a.other, F_GETFD) >= 0, "another file");
	must(client_get_status(a.fd) == CLIENT_STATUS_DRIVER, "the device");
	must(close(a.fd) == 0, "close");
	puts("a thread's own table is its own");
}

/* ---- processes ---- */

static void must_end_well(pid_t pid)
{
	int status;

	must(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, "child");
}

/* A child with the device open, and one that has none; no child that nobody made is seen. */
static void do_fork(void)
{
	int fd = open(NODE, O_RDWR);
	pid_t pid;

	must(fd >= 0 && client_ioctl(fd, VHOST_SET_OWNER, NULL) == 0, "open");
	must(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "a child that nobody made");
	pid = fork();
	if (pid == 0) {
		must(client_ioctl(fd, VHOST_SET_OWNER, NULL) == -EBUSY, "SET_OWNER in a child");
		must(client_get_status(fd) == -EPERM, "GET_STATUS in a child");
		must(lseek(fd, 0, SEEK_SET) < 0 && errno == ESPIPE, "lseek in a child");
		must(read(fd, &pid, sizeof(pid)) < 0 && errno == EINVAL, "read in a child");
		must(open(NODE, O_RDWR) < 0 && errno == EBUSY, "open in a child");
		must(open("/proc/devices", O_RDONLY) >= 0, "/proc/devices in a child");
		must(open("/tmp/vhost-vdpa-0", O_RDWR) < 0 && errno == ENOENT, "another folder");
		must(creat(NODE, 0600) < 0 && errno == EBUSY, "creat in a child");
		must(close(fd) == 0, "close in a child");
		_exit(0);
	}
	must_end_well(pid);
	must(client_get_status(fd) == 0, "the parent's device");
	must(close(fd) == 0, "close");
	must(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "a child that nobody made");
	puts("a child has what a kernel gives it");
}

/* Many children, each a client of its own. */
static void do_children(void)
{
	for (int i = 0; i < 8; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			do_net();
			exit(0);
		}
		must_end_well(pid);
	}
	puts("each child has its own devices");
}

/* Becomes another program, with the device open. */
static void do_exec(char **argv)
{
	int fd = open(NODE, O_RDWR);
	char number[16];

	must(fd >= 0 && is_device(fd), "open");
	snprintf(number, sizeof(number), "%d", fd);
	execl(argv[0], argv[0], "inherited", number, (char *)NULL);
	must(false, "exec");
}

static void do_inherited(const char *number)
{
	int fd = atoi(number);

	must_rc(client_ioctl(fd, VHOST_SET_OWNER, NULL), "SET_OWNER");
	must(open(NODE, O_RDWR) < 0 && errno == EBUSY, "open of what was inherited");
	must(close(fd) == 0, "close");
	do_net();
	puts("the device outlived exec");
}

/* ---- what clients do besides ---- */

static volatile sig_atomic_t nr_signals;

static void count_signal(int sig)
{
	(void)sig;
	nr_signals++;
}

/* A timer interrupts calls. None is made twice: a second UPDATE of the same range fails. */
static void do_timer(void)
{
	const struct itimerval often = {{0, 100}, {0, 100}}, never = {{0, 0}, {0, 0}};
	struct sigaction action = {.sa_handler = count_signal, .sa_flags = SA_RESTART};
	static unsigned char page[4096] __attribute__((aligned(4096)));
	int fd = open(NODE, O_RDWR);

	must(fd >= 0 && client_ioctl(fd, VHOST_SET_OWNER, NULL) == 0, "open");
	must_rc(client_set_u64(fd, VHOST_SET_BACKEND_FEATURES, CLIENT_BACKEND_MSG_V2), "backend");
	must(sigaction(SIGALRM, &action, NULL) == 0, "sigaction");
	must(setitimer(ITIMER_REAL, &often, NULL) == 0, "timer");
	for (uint64_t i = 0; i < NR_UPDATES; i++)
		must_rc(client_iotlb_map(fd, 0, i * 4096, 4096, page, VHOST_ACCESS_RW), "UPDATE");
	must(setitimer(ITIMER_REAL, &never, NULL) == 0, "timer");
	must(nr_signals > 0, "no signal came");
	must(close(fd) == 0, "close");
	puts("no call was made twice");
}

/* Closes all descriptors, those that it does not know of too, and begins again. */
static void do_close_all(void)
{
	for (int i = 0; i < 2; i++) {
		int fd = open(NODE, O_RDWR);

		must(fd >= 0 && is_device(fd), "open");
		for (int other = 3; other < 1024; other++)
			(void)close(other);
		must(!is_device(fd), "the device was closed");
	}
	do_net();
	puts("all can be closed");
}

/* Raises its own limit, as Go's runtime does, and lowers it. */
static void do_limits(void)
{
	struct rlimit limit = {.rlim_cur = 64, .rlim_max = 64};
	int fd;

	must(setrlimit(RLIMIT_NOFILE, &limit) == 0, "limit");
	fd = open(NODE, O_RDWR);
	must(fd >= 0 && is_device(fd), "open");
	must(close(fd) == 0 && !is_device(fd), "close");
	puts("a low limit does no harm");
}

/* Goes on in the background. */
static void do_daemon(void)
{
	must(daemon(1, 1) == 0, "daemon");
	do_net();
}

/* Does not let itself be looked at. */
static void do_hide(void)
{
	must(prctl(PR_SET_DUMPABLE, 0) == 0, "prctl");
	must(open(NODE, O_RDWR) < 0, "a device");
	puts("no device");
}

static void list_dev(void)
{
	DIR *dev = opendir("/dev");
	struct dirent *entry;
	int nr = 0, nr_null = 0;

	must(dev != NULL, "opendir");
	for (int i = 0; i < 2; i++, rewinddir(dev))
		while ((entry = readdir(dev))) {
			nr += strcmp(entry->d_name, "vhost-vdpa-0") == 0 && entry->d_type == DT_CHR;
			nr_null += strcmp(entry->d_name, "null") == 0;
		}
	must(closedir(dev) == 0 && nr == 2 && nr_null == 2, "a listing of /dev");
}

/* Lists /dev before it has a device, and with one. */
static void do_list(void)
{
	int fd;

	list_dev();
	fd = open(NODE, O_RDWR);
	must(fd >= 0 && is_device(fd), "open");
	list_dev();
	must(close(fd) == 0, "close");
	puts("/dev lists the node");
}

/* From now on the calls that would make an agent get @action. */
static void forbid_agents(uint32_t action)
{
	struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_memfd_create, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, action),
	};
	struct sock_fprog prog = {sizeof(insns) / sizeof(insns[0]), insns};

	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
		     prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0,
	     "filter");
}

/* Under a filter of its own, which ends it for what its agent does. */
static void do_filter(void)
{
	struct client_net_opts opts = {.kind = CLIENT_MEM_PRIVATE};
	struct client_net net = {.fd = -1};

	forbid_agents(SECCOMP_RET_KILL_PROCESS);
	must_rc(client_net_start(&net, NODE, &opts), "start");
	for (unsigned int i = 0; i < NR_FRAMES; i++)
		exchange(&net, i);
	client_net_stop(&net);
	puts("the client's own filter is the client's alone");
}

/* Begins under such a filter, so that it can have no agent. */
static void do_begin_filtered(char **argv)
{
	forbid_agents(SECCOMP_RET_ERRNO | EPERM);
	execl(argv[0], argv[0], "no_device", (char *)NULL);
	must(false, "exec");
}

static void do_no_device(void)
{
	must(open(NODE, O_RDWR) < 0 && errno == ENODEV, "open");
	must(open("/dev/null", O_RDWR) >= 0, "open of another file");
	puts("no device");
}

/* ---- ends ---- */

/* Says that it has the device, and waits to be killed. */
static void do_wait(void)
{
	struct client_net_opts opts = {.kind = CLIENT_MEM_PRIVATE};
	struct client_net net = {.fd = -1};

	must_rc(client_net_start(&net, NODE, &opts), "start");
	exchange(&net, 1);
	puts("ready");
	fflush(stdout);
	for (unsigned int i = 0;; i++)
		exchange(&net, i);
}

static const struct {
	const char *name;
	void (*run)(void);
} parts[] = {
	{"linger", do_linger}, {"lock", do_lock},
	{"names", do_names},   {"apart", do_apart},
	{"net", do_net},       {"blk", do_blk},
	{"files", do_files},   {"threads", do_threads},
	{"leave", do_leave},   {"reuse", do_reuse},
	{"fork", do_fork},     {"children", do_children},
	{"timer", do_timer},   {"close_all", do_close_all},
	{"limits", do_limits}, {"daemon", do_daemon},
	{"hide", do_hide},     {"wait", do_wait},
	{"list", do_list},     {"send", do_send},
	{"filter", do_filter}, {"no_device", do_no_device},
};

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "exec") == 0)
		do_exec(argv);
	if (strcmp(what, "begin_filtered") == 0)
		do_begin_filtered(argv);
	if (strcmp(what, "inherited") == 0 && argc > 2) {
		do_inherited(argv[2]);
		return 0;
	}
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (strcmp(what, parts[i].name) != 0)
			continue;
		parts[i].run();
		return 0;
	}
	must(false, "no such part");
}
