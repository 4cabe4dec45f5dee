// SPDX-License-Identifier: BSD-3-Clause
/*
 * All that a client may do to a device at once, from a thread each, under traffic that never rests:
 * map and unmap, reset and start, suspend and resume, change eventfds, switch the dirty log, read
 * and write registers, and add, ask and remove devices by the management's socket. The calls may be
 * refused. What must hold, besides ThreadSanitizer's word: nothing hangs, the device works after a
 * last reset, each thread got somewhere, and no descriptor is left.
 *
 *   races PATH SECONDS [--peer tap:NAME|stream:SOCKET] [--ring RING]
 *
 * RING as late's. HOLDFAST_CONTROL is the socket
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/client.h"
#include "traffic.h"

#define LEN(a)   (sizeof(a) / sizeof((a)[0]))
#define NODE_MAX 8
#define HALF     (TRAFFIC_LEN / 2) /* what the mapper takes away */
#define RESET_NS 1500000           /* between two resets */
#define LINE_LEN 8192

static struct traffic t;
static bool over; /* atomic */

struct racer {
	const char *name;
	void (*step)(unsigned int *seed);
	pthread_t thread;
	unsigned long steps;
};

/* ---- what the threads do ---- */

static void map_step(unsigned int *seed)
{
	size_t off = rand_r(seed) % 4 ? HALF : 0;
	bool batch = rand_r(seed) % 2;

	if (batch)
		(void)client_iotlb_batch(t.fd, 0, true);
	(void)traffic_unmap(&t, off, TRAFFIC_LEN - off);
	if (off == 0)
		(void)traffic_map(&t, 0, HALF);
	(void)traffic_map(&t, HALF, TRAFFIC_LEN - HALF);
	if (batch)
		(void)client_iotlb_batch(t.fd, 0, false);
}

static void reset_step(unsigned int *seed)
{
	int64_t until = traffic_now_ns() + rand_r(seed) % RESET_NS;

	while (traffic_now_ns() < until && !__atomic_load_n(&over, __ATOMIC_RELAXED))
		sched_yield();
	(void)client_set_status(t.fd, 0);
	(void)traffic_start(&t, rand_r(seed) % 2 ? TRAFFIC_LOG_ALL : TRAFFIC_NO_LOG);
}

static void suspend_step(unsigned int *seed)
{
	uint32_t base;

	(void)client_ioctl(t.fd, VHOST_VDPA_SUSPEND, NULL);
	(void)client_vring_get(t.fd, VHOST_GET_VRING_BASE, (uint32_t)rand_r(seed) % t.nr_queues,
			       &base);
	(void)client_ioctl(t.fd, VHOST_VDPA_RESUME, NULL);
}

/* By number: the library's close() goes to libc, so ThreadSanitizer would never hear that the
 * descriptor is free again. */
static int new_eventfd(void)
{
	return (int)syscall(SYS_eventfd2, 0, EFD_NONBLOCK | EFD_CLOEXEC);
}

/* Another eventfd, which is closed while the device has it, or none; then the feeder's again. */
static void eventfd_step(unsigned int *seed)
{
	uint32_t q = (uint32_t)rand_r(seed) % t.nr_queues;
	int fd = new_eventfd(), none = -1;
	uint64_t one = 1;

	(void)client_vring_file(t.fd, VHOST_SET_VRING_CALL, q, fd);
	(void)client_vring_file(t.fd, VHOST_SET_VRING_KICK, q, rand_r(seed) % 4 ? fd : -1);
	(void)client_ioctl(t.fd, VHOST_VDPA_SET_CONFIG_CALL, rand_r(seed) % 2 ? &fd : &none);
	(void)!syscall(SYS_write, fd, &one, sizeof(one)); /* as new_eventfd() */
	close(fd);
	(void)client_vring_file(t.fd, VHOST_SET_VRING_KICK, q, t.kick[q]);
	(void)client_vring_file(t.fd, VHOST_SET_VRING_CALL, q, t.call[q]);
	(void)client_ioctl(t.fd, VHOST_VDPA_SET_CONFIG_CALL, &t.config);
}

static void log_step(unsigned int *seed)
{
	uint64_t log = (uintptr_t)t.log, none = 0, features;
	int fd = new_eventfd(), unbind = -1;

	(void)client_ioctl(t.fd, VHOST_SET_LOG_BASE, &log);
	(void)client_ioctl(t.fd, VHOST_SET_LOG_FD, rand_r(seed) % 2 ? &fd : &unbind);
	features = traffic_features(&t);
	(void)client_set_u64(t.fd, VHOST_SET_FEATURES, (features | TRAFFIC_LOG_ALL) & t.offered);
	(void)client_set_u64(t.fd, VHOST_SET_FEATURES, features & t.offered);
	if (rand_r(seed) % 4 == 0)
		(void)client_ioctl(t.fd, VHOST_SET_LOG_BASE, &none);
	close(fd);
}

static void register_step(unsigned int *seed)
{
	uint32_t q = (uint32_t)rand_r(seed) % t.nr_queues, value;
	uint8_t config[6] = {0x52, 0x54, 0, 0, 0, (uint8_t)rand_r(seed)};

	(void)client_get_config(t.fd, 0, config, sizeof(config));
	if (!t.blk)
		(void)client_set_config(t.fd, 0, config, sizeof(config));
	(void)client_get_status(t.fd);
	(void)client_vring_get(t.fd, VHOST_VDPA_GET_VRING_GROUP, q, &value);
	(void)client_vring_set(t.fd, VHOST_VDPA_SET_GROUP_ASID, 0, 0);
	(void)client_vring_set(t.fd, VHOST_VDPA_SET_VRING_ENABLE, q, 0);
	(void)client_vring_get(t.fd, VHOST_GET_VRING_BASE, q, &value);
	(void)client_vring_set(t.fd, VHOST_VDPA_SET_VRING_ENABLE, q, 1);
}

/* ---- devices that come and go ---- */

static int control_fd = -1;

static int control_connect(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const char *path = getenv("HOLDFAST_CONTROL");
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path ? path : "");
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	return fd;
}

/* Return: was it granted? */
static bool ask(const char *line)
{
	char answer[LINE_LEN];
	size_t len = 0;
	ssize_t n;

	if (write(control_fd, line, strlen(line)) != (ssize_t)strlen(line))
		return false;
	do {
		n = read(control_fd, answer + len, sizeof(answer) - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0 && answer[len - 1] != '\n' && len < sizeof(answer) - 1);
	answer[len] = '\0';
	return strstr(answer, "\"result\"") != NULL;
}

/* The node of the device that was just added; some other process's may be among them. */
static int open_any_node(void)
{
	char path[40];

	for (int i = 1; i < NODE_MAX; i++) {
		int fd;

		(void)snprintf(path, sizeof(path), "/dev/vhost-vdpa-%d", i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd >= 0)
			return fd;
	}
	return -1;
}

static void device_step(unsigned int *seed)
{
	bool blk = rand_r(seed) % 2;
	char line[128];
	int fd;

	if (control_fd < 0)
		control_fd = control_connect();
	(void)snprintf(line, sizeof(line),
		       "{\"command\":\"dev add\",\"spec\":\"name more0 mgmtdev vdpasim_%s\"}\n",
		       blk ? "blk" : "net");
	if (!ask(line))
		return;
	fd = open_any_node();
	(void)ask("{\"command\":\"dev config show\"}\n");
	if (fd >= 0) {
		(void)client_ioctl(fd, VHOST_SET_OWNER, NULL);
		(void)client_iotlb_map(fd, 0, 0, HALF, t.mem, VHOST_ACCESS_RW);
		(void)client_set_status(fd, CLIENT_STATUS_DRIVER);
	}
	(void)ask("{\"command\":\"dev vstats show\",\"dev\":\"dev0\",\"qidx\":0}\n");
	if (rand_r(seed) % 2 && fd >= 0) {
		close(fd);
		fd = -1;
	}
	(void)ask("{\"command\":\"dev del\",\"dev\":\"more0\"}\n");
	if (fd >= 0) {
		(void)client_iotlb_unmap(fd, 0, 0, HALF);
		close(fd);
	}
}

static struct racer racers[] = {
	{.name = "map, unmap", .step = map_step},
	{.name = "reset, start", .step = reset_step},
	{.name = "suspend, resume", .step = suspend_step},
	{.name = "eventfds", .step = eventfd_step},
	{.name = "dirty log", .step = log_step},
	{.name = "registers, enable", .step = register_step},
	{.name = "devices", .step = device_step},
};

/* ---- the race ---- */

static void *race(void *arg)
{
	struct racer *r = arg;
	unsigned int seed = (unsigned int)(r - racers) + 1;

	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) {
		r->step(&seed);
		__atomic_add_fetch(&r->steps, 1, __ATOMIC_RELAXED);
		sched_yield();
	}
	return NULL;
}

/* All but the keeper's of held registrations, which its thread opens when it comes to that. */
static unsigned int count_fds(bool show)
{
	static const char pressure[] = "/proc/pressure/memory";
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	unsigned int n = 0;

	while (dir && (entry = readdir(dir))) {
		char target[128] = "";

		(void)!readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
		n += strcmp(target, pressure) != 0;
		if (show)
			printf("  %s: %s\n", entry->d_name, target);
	}
	closedir(dir);
	return n;
}

/* Wait until there are no more than @most. Return: how many there are at the deadline */
static unsigned int settled_fds(unsigned int most)
{
	int64_t until = traffic_now_ns() + TRAFFIC_DEADLINE * 1000000LL;
	unsigned int n;

	do {
		n = count_fds(false);
		sched_yield();
	} while (n > most && traffic_now_ns() < until);
	return n;
}

static int fail(const char *what)
{
	printf("%s\n", what);
	return 1;
}

/* On a busy machine a thread may need long for its first step. */
static bool all_move(void)
{
	for (size_t i = 0; i < LEN(racers); i++)
		if (__atomic_load_n(&racers[i].steps, __ATOMIC_RELAXED) == 0)
			return false;
	return true;
}

static int run(int64_t ns)
{
	int64_t until = traffic_now_ns() + ns, last = until + TRAFFIC_DEADLINE * 1000000LL;
	int ret = 0;

	for (size_t i = 0; i < LEN(racers); i++)
		if (pthread_create(&racers[i].thread, NULL, race, &racers[i]))
			return fail("no thread");
	while (traffic_now_ns() < until || (!all_move() && traffic_now_ns() < last))
		traffic_pause(&t, 10);
	__atomic_store_n(&over, true, __ATOMIC_RELEASE);
	for (size_t i = 0; i < LEN(racers); i++) {
		pthread_join(racers[i].thread, NULL);
		printf("%-20s %9lu steps\n", racers[i].name, racers[i].steps);
		if (racers[i].steps == 0)
			ret = fail("this thread got nowhere");
	}
	printf("%-20s %9llu chains\n", "traffic", (unsigned long long)traffic_done(&t));
	return ret;
}

/* Nobody else is there: all calls must work now. */
static int last_reset(void)
{
	int err = client_set_status(t.fd, 0);

	if (!err)
		err = client_iotlb_batch(t.fd, 0, true);
	if (!err)
		err = traffic_unmap(&t, 0, TRAFFIC_LEN);
	if (!err)
		err = traffic_map(&t, 0, TRAFFIC_LEN);
	if (!err)
		err = client_iotlb_batch(t.fd, 0, false);
	if (!err)
		err = traffic_start(&t, TRAFFIC_NO_LOG);
	if (err)
		return fail("the last reset or start was refused");
	return traffic_moves(&t) ? 0 : fail("the device stands still after the last reset");
}

int main(int argc, char **argv)
{
	const char *peer = NULL;
	uint64_t ring = 0;
	unsigned int before, after;
	int ret;

	if (argc < 3)
		return 2;
	for (int i = 3; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--peer") == 0)
			peer = argv[i + 1];
		else
			ring = traffic_ring(argv[i + 1]);
	}
	/* what a process keeps once it has used a device is not counted: workers, the map */
	if (traffic_open(&t, argv[1], peer, ring) || traffic_start(&t, TRAFFIC_NO_LOG) ||
	    traffic_unmap(&t, 0, TRAFFIC_LEN))
		return fail("the device does not start");
	traffic_close(&t);
	before = count_fds(false);
	if (traffic_open(&t, argv[1], peer, ring) || traffic_start(&t, TRAFFIC_NO_LOG))
		return fail("the device does not start");
	ret = run(strtoll(argv[2], NULL, 10) * 1000000000LL);
	if (!ret)
		ret = last_reset();
	traffic_close(&t);
	if (control_fd >= 0)
		close(control_fd);
	/* the management's thread closes its end when it hears of that */
	after = settled_fds(before);
	if (!ret && after > before) {
		printf("descriptors: %u before, %u after\n", before, after);
		(void)count_fds(true);
		ret = 1;
	}
	return ret;
}
