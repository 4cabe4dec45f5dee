// SPDX-License-Identifier: BSD-3-Clause
/* The client of `holdfast bench attach`: what system calls and requests take in it. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/virtio_blk.h>

#include "base/clock.h"
#include "bench/attach.h"
#include "bench/bench.h"
#include "cli/cli.h"
#include "client/client.h"

#define NODE        "/dev/vhost-vdpa-0"
#define NR_SAMPLES  200
#define NR_IN_ONE   20 /* calls a sample: one alone is hardly longer than the clock's own call */
#define RING_LEN    16u
#define BLOCK_LEN   4096u
#define DEADLINE_MS 10000
#define WARM_UP_MS  250

struct probe {
	long (*raw)(long nr, long a, long b, long c);
	int event, device;
	struct client_mem mem;
	struct client_ring ring;
	struct virtio_blk_outhdr *header; /* a block behind it, then the status */
};

static long do_getppid(struct probe *p)
{
	return p->raw ? p->raw(SYS_getppid, 0, 0, 0) : getppid();
}

static long do_write(struct probe *p)
{
	const uint64_t one = 1;

	return p->raw ? p->raw(SYS_write, p->event, (long)&one, sizeof(one))
		      : write(p->event, &one, sizeof(one));
}

static long do_open(struct probe *p)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -1 : close(fd);
}

static long do_stat(struct probe *p)
{
	struct stat st;

	return stat("/", &st);
}

static long do_ioctl(struct probe *p)
{
	uint32_t id;

	return p->raw ? p->raw(SYS_ioctl, p->device, VHOST_VDPA_GET_DEVICE_ID, (long)&id)
		      : ioctl(p->device, VHOST_VDPA_GET_DEVICE_ID, &id);
}

static uint64_t iova_of(const struct probe *p, const void *at)
{
	return (uint64_t)((const char *)at - (const char *)p->mem.addr);
}

static long do_request(struct probe *p)
{
	char *block = (char *)p->header + BLOCK_LEN;
	const struct client_buf bufs[] = {{iova_of(p, p->header), sizeof(*p->header), false},
					  {iova_of(p, block), BLOCK_LEN, true},
					  {iova_of(p, block + BLOCK_LEN), 1, true}};
	int rc = client_ring_add(&p->ring, bufs, ARRAY_LEN(bufs), NULL);

	if (rc == 0)
		rc = client_ring_kick(&p->ring);
	if (rc == 0)
		rc = client_ring_wait(&p->ring, DEADLINE_MS);
	return rc == 0 && client_ring_pop(&p->ring, NULL, NULL) == 1 ? 0 : -1;
}

static int start_disk(struct probe *p)
{
	size_t rings = (client_ring_size(RING_LEN) + 4095) & ~(size_t)4095;
	int rc = client_ioctl(p->device, VHOST_SET_OWNER, NULL);

	if (rc == 0)
		rc = client_set_status(p->device, CLIENT_STATUS_DRIVER);
	if (rc == 0)
		rc = client_set_u64(p->device, VHOST_SET_BACKEND_FEATURES, CLIENT_BACKEND_MSG_V2);
	if (rc == 0)
		rc = client_set_u64(p->device, VHOST_SET_FEATURES,
				    CLIENT_FEATURE_VERSION_1 | CLIENT_FEATURE_ACCESS_PLATFORM);
	if (rc == 0)
		rc = client_set_status(p->device, CLIENT_STATUS_FEATURES);
	if (rc == 0)
		rc = client_mem_create(&p->mem, rings + 3 * BLOCK_LEN, CLIENT_MEM_PRIVATE);
	if (rc)
		return rc;
	client_ring_init(&p->ring, 0, RING_LEN, p->mem.addr, 0, 0);
	p->header = (void *)((char *)p->mem.addr + rings); /* type 0: read, sector 0 */
	rc = client_iotlb_map(p->device, 0, 0, p->mem.size, p->mem.addr, VHOST_ACCESS_RW);
	if (rc == 0)
		rc = client_ring_attach(&p->ring, p->device);
	if (rc == 0)
		rc = client_vring_set(p->device, VHOST_VDPA_SET_VRING_ENABLE, 0, 1);
	return rc ? rc : client_set_status(p->device, CLIENT_STATUS_RUNNING);
}

static int measure(struct probe *p, enum attach_case which, long (*call)(struct probe *))
{
	struct bench_samples samples = {.nr = 0};
	int err = 0;

	for (int i = 0; i < NR_SAMPLES && !err; i++) {
		int64_t start = clock_now_ns();

		for (int j = 0; j < NR_IN_ONE && !err; j++)
			err = call(p) < 0 ? -EIO : 0;
		if (!err)
			err = bench_samples_add(&samples,
						(double)(clock_now_ns() - start) / NR_IN_ONE);
	}
	if (!err)
		printf("%d %.0f\n", which, bench_percentile(&samples, 50));
	bench_samples_fini(&samples);
	return err;
}

/* A disk's worker that was kept from its processor, as by a start, sleeps at once for the next
 * 100 ms, and each request wakes it. */
static int warm_up(struct probe *p)
{
	int64_t until = clock_now_ns() + WARM_UP_MS * NS_PER_MS;

	while (clock_now_ns() < until)
		if (do_request(p) < 0)
			return -EIO;
	return 0;
}

static int measure_device(struct probe *p)
{
	int64_t start = clock_now_ns();
	int err;

	p->device = client_open(NODE);
	if (p->device < 0)
		return p->device;
	printf("%d %lld\n", ATTACH_FIRST_OPEN, (long long)(clock_now_ns() - start));
	err = measure(p, ATTACH_IOCTL, do_ioctl);
	if (!err)
		err = start_disk(p);
	if (!err)
		err = warm_up(p);
	return err ? err : measure(p, ATTACH_REQUEST, do_request);
}

static int load_raw(struct probe *p, const char *raw)
{
	void *object = dlopen(raw, RTLD_NOW), *function;

	function = object ? dlsym(object, "raw_call") : NULL;
	if (!function) {
		fprintf(stderr, "holdfast bench attach: %s\n", dlerror());
		return CLI_EXIT_FAILED;
	}
	memcpy(&p->raw, &function, sizeof(p->raw));
	return 0;
}

static void *idle(void *arg)
{
	(void)pause();
	return arg;
}

int attach_probe(const char *what, const char *raw)
{
	struct probe p = {.device = -1};
	pthread_t thread;
	int err = 0;

	if (strcmp(what, "nothing") == 0)
		return 0;
	if (raw && load_raw(&p, raw))
		return CLI_EXIT_FAILED;
	p.event = eventfd(0, EFD_CLOEXEC);
	(void)bench_pin(0);
	/* As clients have: libc and the kernel do more for a call in a process with two threads,
	 * and a device, which has a worker, would seem to cost that. */
	err = -pthread_create(&thread, NULL, idle, NULL);
	if (!err && strcmp(what, "all") == 0)
		err = measure_device(&p); /* first, so that a filter is there */
	if (!err)
		err = measure(&p, ATTACH_GETPPID, do_getppid);
	if (!err)
		err = measure(&p, ATTACH_WRITE, do_write);
	if (!err)
		err = measure(&p, ATTACH_OPEN, do_open);
	if (!err)
		err = measure(&p, ATTACH_STAT, do_stat);
	if (err)
		fprintf(stderr, "holdfast bench attach: %s\n", strerror(-err));
	return err ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}
