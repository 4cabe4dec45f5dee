/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What many checks need: an open device, client memory of every awkward kind, identity
 * addresses. Nothing is freed: the child that runs the check ends.
 */
#include "check/check.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

int check_open(struct check_ctx *t)
{
	int fd = client_open(t->dev->path);

	/* A daemon may learn of the previous client's end a moment after we did. */
	for (int i = 0; fd == -EBUSY && !t->opened && i < 50; i++) {
		poll(NULL, 0, 20);
		fd = client_open(t->dev->path);
	}
	t->opened = true;
	if (fd < 0)
		FAIL(t, "open %s: %s", t->dev->path, strerror(-fd));
	return fd;
}

int check_open_owned(struct check_ctx *t)
{
	int fd = check_open(t);

	EXPECT_RC(t, 0, client_ioctl(fd, VHOST_SET_OWNER, NULL));
	return fd;
}

void check_close(struct check_ctx *t, int fd)
{
	EXPECT_RC(t, 0, close(fd) ? -errno : 0);
}

uint8_t *check_pages(struct check_ctx *t, size_t nr)
{
	struct client_mem mem;

	EXPECT_RC(t, 0, client_mem_create(&mem, nr * CHECK_PAGE, CLIENT_MEM_MEMFD));
	return mem.addr;
}

uint8_t *check_guarded(struct check_ctx *t, size_t len)
{
	uint8_t *p = mmap(NULL, 2 * CHECK_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);

	EXPECT(t, p != MAP_FAILED);
	/* Not a hole: whoever maps memory next would fill it. */
	EXPECT(t, mprotect(p + CHECK_PAGE, CHECK_PAGE, PROT_NONE) == 0);
	return p + CHECK_PAGE - len;
}

uint8_t *check_read_only(struct check_ctx *t)
{
	uint8_t *p = mmap(NULL, CHECK_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	EXPECT(t, p != MAP_FAILED);
	return p;
}

void *check_unmapped(void)
{
	return (void *)0x1000; /* below mmap_min_addr */
}

int check_eventfd(struct check_ctx *t, unsigned initial)
{
	int fd = eventfd(initial, EFD_NONBLOCK | EFD_CLOEXEC);

	EXPECT(t, fd >= 0);
	return fd;
}

static uint64_t physical(struct check_ctx *t, const void *addr)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;
	uint64_t frame;

	EXPECT(t, fd >= 0);
	EXPECT(t, pread(fd, &entry, sizeof(entry),
			(off_t)((uintptr_t)addr / CHECK_PAGE * sizeof(entry))) == sizeof(entry));
	close(fd);
	frame = entry & (CLIENT_BIT(55) - 1);
	if (!(entry >> 63) || !frame)
		check_skip(t, "physical addresses are not visible, run as root");
	return frame * CHECK_PAGE + (uintptr_t)addr % CHECK_PAGE;
}

uint64_t check_identity(struct check_ctx *t, const void *addr)
{
	if (t->dev->holdfast || !t->dev->pinned)
		return (uintptr_t)addr;
	return physical(t, addr);
}

long check_pinned_kb(struct check_ctx *t)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	long kb = -1;

	EXPECT(t, f != NULL);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "VmPin: %ld", &kb) == 1)
			break;
	fclose(f);
	EXPECT(t, kb >= 0);
	return kb;
}

uint64_t check_features(const struct check_ctx *t)
{
	uint64_t want = CLIENT_FEATURE_VERSION_1 | CLIENT_FEATURE_ACCESS_PLATFORM |
			CLIENT_BIT(VIRTIO_NET_F_MAC) | CLIENT_BIT(VIRTIO_NET_F_CTRL_VQ) |
			CLIENT_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR);

	if (t->dev->device_id == VIRTIO_ID_BLOCK)
		want = CLIENT_FEATURE_VERSION_1 | CLIENT_FEATURE_ACCESS_PLATFORM;
	return want & t->dev->features;
}

void check_ack_backend(struct check_ctx *t, int fd, uint64_t mask)
{
	EXPECT_RC(t, 0, client_set_u64(fd, VHOST_SET_BACKEND_FEATURES, mask));
}

int check_map(int fd, uint32_t asid, uint64_t iova, uint64_t size, const void *addr)
{
	return client_iotlb_map(fd, asid, iova, size, addr, VHOST_ACCESS_RW);
}

long check_msg(int fd, uint32_t outer, uint32_t asid, const struct vhost_iotlb_msg *body,
	       size_t len)
{
	union {
		struct vhost_msg_v2 v2;
		uint8_t bytes[256];
	} msg = {.v2 = {.type = outer, .asid = asid, .iotlb = *body}};
	ssize_t n = write(fd, &msg, len);

	return n < 0 ? -errno : n;
}

void check_expect_taken(struct check_ctx *t, int fd, uint32_t asid, uint64_t iova)
{
	EXPECT_RC(t, -EFAULT, check_map(fd, asid, iova, 1, check_pages(t, 1)));
}

void check_expect_free(struct check_ctx *t, int fd, uint32_t asid, uint64_t iova)
{
	EXPECT_RC(t, 0, check_map(fd, asid, iova, 1, check_pages(t, 1)));
}
