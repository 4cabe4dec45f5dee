// SPDX-License-Identifier: BSD-3-Clause
/*
 * A client whose threads live under filters: each may make the calls of a list, and no other. It
 * does what a VMM does with a card or a disk: open, set up, map, move data, suspend, reset, unmap,
 * close, twice. The first round's mappings are unmapped in the second one, so that held memory is
 * looked at, too.
 *
 * Usage: filter_client kill|trap|allow|record
 *
 *	kill      another call ends the process at once
 *	trap      another call is named on stderr first
 *	allow     every call is allowed: for sanitizers, whose runtimes call what they like
 *	record    the lists do not count: what the client does not call by itself, but for futex(2),
 *	          is named and fails the test
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/virtio_blk.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "client/client.h"
#include "filter_lists.h"
#include "record.h"

#define NODE     "/dev/vhost-vdpa-0"
#define SIZE     (4u << 20) /* of the memory: more than one page table */
#define DATA     0x10000u   /* offset of the buffers */
#define DATA_LEN 4096u
#define IOVA     0x100000u
#define WAIT_MS  20000

static void __attribute__((format(printf, 1, 2), noreturn)) fail(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	_exit(1);
}

static void check(long rc, const char *what)
{
	if (rc < 0)
		fail("%s: %s", what, strerror(rc == -1 ? errno : (int)-rc));
}

/* ---- threads that do one step after another ---- */

enum { VMM, VCPU, DEVICE, NR_THREADS };

static struct thread {
	const char *name;
	const int *list;
	size_t nr;
	pthread_t thread;
	pthread_cond_t changed;
	void (*step)(void); /* NULL: none to do */
	bool is_ready;
} threads[NR_THREADS] = {
	[VMM] = {"vmm", vmm_list, sizeof(vmm_list) / sizeof(int),
		 .changed = PTHREAD_COND_INITIALIZER},
	[VCPU] = {"vcpu", vcpu_list, sizeof(vcpu_list) / sizeof(int),
		  .changed = PTHREAD_COND_INITIALIZER},
	[DEVICE] = {"device", device_list, sizeof(device_list) / sizeof(int),
		    .changed = PTHREAD_COND_INITIALIZER},
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;
enum how { KILL, TRAP, ALLOW, RECORD, NR_HOWS };
static const char *const how_names[] = {"kill", "trap", "allow", "record"};
static enum how how;

/* What the client calls in its steps, and futex(2), by which the library's wrappers wait. */
static const int own_list[] = {
	SYS_openat, SYS_ioctl, SYS_write, SYS_read,       SYS_mmap,     SYS_munmap, SYS_madvise,
	SYS_close,  SYS_dup,   SYS_fstat, SYS_newfstatat, SYS_eventfd2, SYS_futex,
};
static struct recorded made;

static void check_made(void)
{
	for (size_t i = 0; i < sizeof(own_list) / sizeof(own_list[0]); i++)
		made.bits[own_list[i] / 64] &= ~(UINT64_C(1) << own_list[i] % 64);
	for (unsigned int nr = 0; nr < RECORD_NR; nr++)
		if (recorded_has(&made, nr))
			fail("beyond the client's own: system call %u", nr);
}

static void install_list(const struct thread *t)
{
	struct sock_filter insns[300];
	struct sock_fprog program = {.filter = insns};
	unsigned short n = 0;

	insns[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						  offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < t->nr; i++) {
		insns[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
							  (unsigned int)t->list[i], 0, 1);
		insns[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	insns[n++] =
		(struct sock_filter)BPF_STMT(BPF_RET | BPF_K, how == KILL ? SECCOMP_RET_KILL_PROCESS
							      : how == ALLOW ? SECCOMP_RET_ALLOW
									     : SECCOMP_RET_TRAP);
	program.len = n;
	check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "NO_NEW_PRIVS");
	/* one by each of the two calls that install filters */
	if (t == &threads[VMM])
		check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0), "prctl");
	else
		check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), "seccomp");
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;

	if (how == RECORD)
		record_start();
	else
		install_list(t);
	pthread_mutex_lock(&lock);
	t->is_ready = true;
	pthread_cond_signal(&done);
	for (;;) {
		void (*step)(void);

		while (!t->step)
			pthread_cond_wait(&t->changed, &lock);
		step = t->step;
		pthread_mutex_unlock(&lock);
		record_into(&made);
		step();
		record_into(NULL);
		pthread_mutex_lock(&lock);
		t->step = NULL;
		pthread_cond_signal(&done);
	}
	return NULL;
}

static void do_step(int which, void (*step)(void))
{
	struct thread *t = &threads[which];

	pthread_mutex_lock(&lock);
	t->step = step;
	pthread_cond_signal(&t->changed);
	while (t->step)
		pthread_cond_wait(&done, &lock);
	pthread_mutex_unlock(&lock);
}

static void handle_sigsys(int sig, siginfo_t *info, void *context)
{
	char text[64];
	int len = snprintf(text, sizeof(text), "forbidden: system call %d\n", info->si_syscall);

	(void)sig;
	(void)context;
	(void)!write(STDERR_FILENO, text, (size_t)len);
	_exit(3);
}

static void start_threads(void)
{
	struct sigaction act = {.sa_sigaction = handle_sigsys, .sa_flags = SA_SIGINFO};

	check(sigaction(SIGSYS, &act, NULL), "sigaction");
	for (int i = 0; i < NR_THREADS; i++) {
		struct thread *t = &threads[i];

		check(-pthread_create(&t->thread, NULL, thread_main, t), "pthread_create");
		pthread_mutex_lock(&lock);
		while (!t->is_ready)
			pthread_cond_wait(&done, &lock);
		pthread_mutex_unlock(&lock);
	}
}

/* ---- the client ---- */

static int fd = -1;
static bool is_disk;
static struct client_mem memory = {.memfd = -1};
static struct client_ring rings[2]; /* a disk has one */
static unsigned int nr_rings;
static uint64_t backend;
static int round_nr;

/* What is by rights any client's: to ask what a path and a descriptor are. */
static void look(void)
{
	struct stat st;
	FILE *f;

	check(stat(NODE, &st), "stat");
	if (!S_ISCHR(st.st_mode))
		fail("the node is no character device");
	f = fopen("/proc/devices", "r");
	if (!f)
		fail("/proc/devices");
	fclose(f);
}

static void open_device(void)
{
	uint32_t id = 0;

	fd = client_open(NODE);
	check(fd, "open");
	check(client_ioctl(fd, VHOST_VDPA_GET_DEVICE_ID, &id), "GET_DEVICE_ID");
	is_disk = id == VIRTIO_ID_BLOCK;
	nr_rings = is_disk ? 1 : 2;
	check(client_ioctl(fd, VHOST_SET_OWNER, NULL), "SET_OWNER");
	check(client_get_u64(fd, VHOST_GET_BACKEND_FEATURES, &backend), "GET_BACKEND_FEATURES");
	check(client_set_u64(fd, VHOST_SET_BACKEND_FEATURES, backend), "SET_BACKEND_FEATURES");
}

static void map_memory(void)
{
	check(client_iotlb_batch(fd, 0, true), "BATCH_BEGIN");
	check(client_iotlb_map(fd, 0, IOVA, memory.size, memory.addr, VHOST_ACCESS_RW), "UPDATE");
	check(client_iotlb_batch(fd, 0, false), "BATCH_END");
}

static void negotiate(void)
{
	uint64_t features;

	check(client_set_status(fd, 0), "reset");
	check(client_set_status(fd, CLIENT_STATUS_DRIVER), "DRIVER");
	check(client_get_u64(fd, VHOST_GET_FEATURES, &features), "GET_FEATURES");
	features &= CLIENT_FEATURE_VERSION_1 | CLIENT_FEATURE_ACCESS_PLATFORM;
	check(client_set_u64(fd, VHOST_SET_FEATURES, features), "SET_FEATURES");
	check(client_set_status(fd, CLIENT_STATUS_FEATURES), "FEATURES_OK");
}

static void set_up_rings(void)
{
	for (unsigned int i = 0; i < nr_rings; i++) {
		client_ring_init(&rings[i], i, 64, (char *)memory.addr + i * 0x4000,
				 IOVA + i * 0x4000, 0);
		check(client_ring_attach(&rings[i], fd), "rings");
	}
}

static void start_device(void)
{
	uint8_t config[8];

	for (unsigned int i = 0; i < nr_rings; i++)
		check(client_vring_set(fd, VHOST_VDPA_SET_VRING_ENABLE, i, 1), "ENABLE");
	check(client_set_status(fd, CLIENT_STATUS_RUNNING), "DRIVER_OK");
	check(client_get_config(fd, 0, config, sizeof(config)), "GET_CONFIG");
	if (client_get_status(fd) != CLIENT_STATUS_RUNNING)
		fail("the device does not run");
}

static void kick(void)
{
	check(client_ring_kick(&rings[nr_rings - 1]), "kick");
}

static char *data_at(size_t off)
{
	return (char *)memory.addr + DATA + off;
}

static struct client_buf buffer(size_t off, uint32_t len, bool device_writes)
{
	return (struct client_buf){
		.iova = IOVA + DATA + off, .len = len, .device_writes = device_writes};
}

static void add(unsigned int ring, const struct client_buf *bufs, unsigned int nr)
{
	check(client_ring_add(&rings[ring], bufs, nr, NULL), "a chain");
}

static void expect_used(unsigned int ring)
{
	check(client_ring_wait(&rings[ring], WAIT_MS), "the device's answer");
	if (client_ring_pop(&rings[ring], NULL, NULL) != 1)
		fail("no chain comes back");
}

/* The card's backend sends back what it gets. */
static void move_frame(void)
{
	struct client_buf to = buffer(0x4000, 2048, true), from = buffer(0, 12 + 100, false);

	memset(data_at(0x4000), 0, 2048);
	for (unsigned int i = 0; i < 100; i++)
		data_at(12)[i] = (char)(i + (unsigned int)round_nr);
	memcpy(data_at(12), "\377\377\377\377\377\377", 6);
	add(0, &to, 1);
	do_step(VCPU, kick);
	add(1, &from, 1);
	do_step(VCPU, kick);
	expect_used(1);
	expect_used(0);
	if (memcmp(data_at(0x4000 + 12), data_at(12), 100) != 0)
		fail("the frame has changed");
}

static void request(uint32_t type, size_t off, bool device_writes)
{
	struct virtio_blk_outhdr head = {.type = type, .sector = 8};
	struct client_buf bufs[] = {buffer(0, sizeof(head), false),
				    buffer(off, DATA_LEN, device_writes), buffer(64, 1, true)};

	memcpy(data_at(0), &head, sizeof(head));
	*data_at(64) = 0x55;
	add(0, bufs, 3);
	do_step(DEVICE, kick);
	expect_used(0);
	if (*data_at(64) != VIRTIO_BLK_S_OK)
		fail("request %u ends with status %d", type, *data_at(64));
}

static void move_block(void)
{
	for (unsigned int i = 0; i < DATA_LEN; i++)
		data_at(0x1000)[i] = (char)(i * 7 + (unsigned int)round_nr);
	memset(data_at(0x4000), 0, DATA_LEN);
	request(VIRTIO_BLK_T_OUT, 0x1000, false);
	request(VIRTIO_BLK_T_IN, 0x4000, true);
	if (memcmp(data_at(0x1000), data_at(0x4000), DATA_LEN) != 0)
		fail("the block has changed");
}

static void suspend(void)
{
	uint32_t base;

	if (!(backend & CLIENT_BACKEND_SUSPEND))
		return;
	check(client_ioctl(fd, VHOST_VDPA_SUSPEND, NULL), "SUSPEND");
	for (unsigned int i = 0; i < nr_rings; i++)
		check(client_vring_get(fd, VHOST_GET_VRING_BASE, i, &base), "GET_VRING_BASE");
	check(client_ioctl(fd, VHOST_VDPA_RESUME, NULL), "RESUME");
}

static void reset(void)
{
	check(client_set_status(fd, 0), "reset");
}

static void unmap_memory(void)
{
	check(client_iotlb_unmap(fd, 0, IOVA, memory.size), "INVALIDATE");
}

/* Of memory that may be held. */
static void change_memory(void)
{
	check(madvise((char *)memory.addr + SIZE / 2, SIZE / 2, MADV_DONTNEED), "madvise");
	if (mmap(memory.addr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memory.memfd,
		 0) == MAP_FAILED)
		fail("mmap");
	if (mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED)
		fail("the device gives a doorbell");
}

static void copy_and_close(void)
{
	int copy = dup(fd);
	struct stat st;

	check(copy, "dup");
	check(fstat(copy, &st), "fstat");
	if (!S_ISCHR(st.st_mode))
		fail("a copy is no character device");
	check(close(fd), "close");
	if (client_get_status(copy) != 0)
		fail("a copy cannot be called");
	check(close(copy), "close");
}

static void one_round(void)
{
	do_step(VMM, look);
	do_step(VMM, open_device);
	do_step(VMM, map_memory);
	do_step(VMM, negotiate);
	do_step(VMM, set_up_rings);
	do_step(VCPU, start_device);
	for (unsigned int i = 0; i < 3; i++)
		is_disk ? move_block() : move_frame();
	do_step(VMM, suspend);
	is_disk ? move_block() : move_frame();
	do_step(VCPU, reset);
	do_step(VMM, unmap_memory);
	do_step(VMM, change_memory);
	do_step(VMM, map_memory);
	do_step(VMM, unmap_memory);
	do_step(VMM, copy_and_close);
	for (unsigned int i = 0; i < nr_rings; i++)
		client_ring_fini(&rings[i]);
}

int main(int argc, char **argv)
{
	while (argc == 2 && how < NR_HOWS && strcmp(argv[1], how_names[how]) != 0)
		how++;
	if (argc != 2 || how == NR_HOWS)
		fail("usage: filter_client kill|trap|allow|record");
	alarm(600);
	check(client_mem_create(&memory, SIZE, CLIENT_MEM_MEMFD), "memory");
	for (unsigned int i = 0; i < 2; i++)
		rings[i].kick_fd = rings[i].call_fd = -1;
	start_threads();
	for (round_nr = 0; round_nr < 2; round_nr++)
		one_round();
	check_made();
	client_mem_destroy(&memory);
	printf("two rounds with a %s\n", is_disk ? "disk" : "card");
	return 0;
}
