// SPDX-License-Identifier: BSD-3-Clause
/*
 * A client that needs libc alone: it finds the node in /dev, sends a frame to a loopback NIC and
 * gets it back. Prints what it did, or which step failed. Used by test_preload_bare_root.py in a
 * root that has nothing but it, libc and the library.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define NODE        "/dev/vhost-vdpa-0"
#define IOVA        0x100000ULL
#define RING_NUM    8u
#define HEADER_LEN  12u
#define FRAME_LEN   60u
#define DEADLINE_MS 20000

/* One queue's share of the mapped memory. */
struct queue {
	struct vring_desc desc[RING_NUM];
	struct {
		uint16_t flags, idx, ring[RING_NUM];
	} avail;
	struct {
		_Alignas(4) uint16_t flags;
		uint16_t idx;
		struct vring_used_elem ring[RING_NUM];
	} used;
	unsigned char buffer[2048];
};

static struct queue *queues; /* receive, send */
static int fd, kicks[2], calls[2];

static void must(bool ok, const char *step)
{
	if (ok)
		return;
	perror(step);
	exit(1);
}

static uint64_t iova_of(const void *p)
{
	return IOVA + (uint64_t)((const char *)p - (const char *)queues);
}

static bool is_listed(void)
{
	DIR *dir = opendir("/dev");
	bool found = false;
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		found = found || strcmp(entry->d_name, "vhost-vdpa-0") == 0;
	if (dir)
		closedir(dir);
	return found;
}

static void set_status(uint8_t status)
{
	must(ioctl(fd, VHOST_VDPA_SET_STATUS, &status) == 0, "SET_STATUS");
}

static void start_queue(unsigned int i)
{
	struct queue *q = &queues[i];
	struct vhost_vring_state num = {i, RING_NUM}, base = {i, 0}, on = {i, 1};
	struct vhost_vring_addr addr = {.index = i,
					.desc_user_addr = iova_of(q->desc),
					.avail_user_addr = iova_of(&q->avail),
					.used_user_addr = iova_of(&q->used)};
	struct vhost_vring_file kick = {i, kicks[i] = eventfd(0, EFD_NONBLOCK)};
	struct vhost_vring_file call = {i, calls[i] = eventfd(0, EFD_NONBLOCK)};

	must(ioctl(fd, VHOST_SET_VRING_NUM, &num) == 0, "SET_VRING_NUM");
	must(ioctl(fd, VHOST_SET_VRING_BASE, &base) == 0, "SET_VRING_BASE");
	must(ioctl(fd, VHOST_SET_VRING_ADDR, &addr) == 0, "SET_VRING_ADDR");
	must(ioctl(fd, VHOST_SET_VRING_KICK, &kick) == 0, "SET_VRING_KICK");
	must(ioctl(fd, VHOST_SET_VRING_CALL, &call) == 0, "SET_VRING_CALL");
	must(ioctl(fd, VHOST_VDPA_SET_VRING_ENABLE, &on) == 0, "SET_VRING_ENABLE");
}

static void map_queues(void)
{
	size_t len = (2 * sizeof(*queues) + 4095) / 4096 * 4096;
	struct vhost_msg_v2 msg = {.type = VHOST_IOTLB_MSG_V2};

	queues = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(queues != MAP_FAILED, "mmap");
	msg.iotlb.iova = IOVA;
	msg.iotlb.size = len;
	msg.iotlb.uaddr = (uintptr_t)queues;
	msg.iotlb.perm = VHOST_ACCESS_RW;
	msg.iotlb.type = VHOST_IOTLB_UPDATE;
	must(write(fd, &msg, sizeof(msg)) == sizeof(msg), "UPDATE");
}

static void start_device(void)
{
	uint64_t features = 1ULL << 32 | 1ULL << 33; /* VERSION_1, ACCESS_PLATFORM */

	must(ioctl(fd, VHOST_SET_OWNER) == 0, "SET_OWNER");
	set_status(3);
	must(ioctl(fd, VHOST_SET_FEATURES, &features) == 0, "SET_FEATURES");
	set_status(0xb);
	map_queues();
	start_queue(0);
	start_queue(1);
	set_status(0xf);
}

static void give_buffer(unsigned int i, uint32_t len, uint16_t flags)
{
	struct queue *q = &queues[i];
	uint64_t one = 1;

	q->desc[0] = (struct vring_desc){iova_of(q->buffer), len, flags, 0};
	q->avail.ring[0] = 0;
	__atomic_store_n(&q->avail.idx, 1, __ATOMIC_SEQ_CST);
	must(write(kicks[i], &one, sizeof(one)) == sizeof(one), "kick");
}

static void exchange_frame(void)
{
	static const char text[] = "nothing but libc";
	struct pollfd call = {.events = POLLIN};
	unsigned char *frame = queues[1].buffer + HEADER_LEN;

	memset(frame, 0xff, 6);
	memcpy(frame + 6, "\x52\x54\x00\x00\x00\x01\x88\xb5", 8);
	memcpy(frame + 14, text, sizeof(text));
	give_buffer(0, sizeof(queues[0].buffer), VRING_DESC_F_WRITE);
	give_buffer(1, HEADER_LEN + FRAME_LEN, 0);
	call.fd = calls[0];
	must(poll(&call, 1, DEADLINE_MS) == 1, "no frame came back");
	must(__atomic_load_n(&queues[0].used.idx, __ATOMIC_ACQUIRE) == 1, "used index");
	must(memcmp(queues[0].buffer + HEADER_LEN, frame, FRAME_LEN) == 0, "another frame came");
}

int main(void)
{
	struct stat st;

	must(stat(NODE, &st) == 0 && S_ISCHR(st.st_mode), "stat");
	must(is_listed(), "listing of /dev");
	fd = open(NODE, O_RDWR | O_CLOEXEC);
	must(fd >= 0, "open");
	start_device();
	exchange_frame();
	set_status(0);
	must(close(fd) == 0, "close");
	puts("a frame went out and came back");
	return 0;
}
