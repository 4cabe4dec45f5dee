// SPDX-License-Identifier: BSD-3-Clause
/* A short session whose call log test_preload_log.py reads. */
#include <fcntl.h>
#include <linux/vhost.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static int fd;

static void *query(void *arg)
{
	uint64_t features;

	for (int i = 0; i < 200; i++)
		(void)ioctl(fd, VHOST_GET_FEATURES, &features);
	return NULL;
}

static void send(uint8_t type, void *page)
{
	struct vhost_msg_v2 msg = {.type = VHOST_IOTLB_MSG_V2};

	msg.iotlb.iova = 0x10000;
	msg.iotlb.size = 4096;
	msg.iotlb.uaddr = (uintptr_t)page;
	msg.iotlb.perm = VHOST_ACCESS_RW;
	msg.iotlb.type = type;
	(void)!write(fd, &msg, sizeof(msg));
}

int main(int argc, char **argv)
{
	struct vhost_vring_state num = {.index = 1, .num = 3};
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_t threads[2];
	/* bits 32 and 33, which a device wants, and 40, RING_RESET */
	uint64_t features = 1ULL << 32 | 1ULL << 33 | 1ULL << 40;
	uint8_t status = 3;
	uint32_t id;
	int copy;

	fd = open(argc > 1 ? argv[1] : "/dev/vhost-vdpa-0", O_RDWR | O_CLOEXEC);
	(void)!open("/dev/vhost-vdpa-0", O_RDONLY);
	(void)ioctl(fd, VHOST_SET_OWNER);
	(void)ioctl(fd, VHOST_VDPA_GET_DEVICE_ID, &id);
	(void)ioctl(fd, VHOST_VDPA_SET_STATUS, &status);
	(void)ioctl(fd, VHOST_SET_FEATURES, &features);
	(void)ioctl(fd, VHOST_SET_VRING_NUM, &num);
	send(VHOST_IOTLB_UPDATE, page);
	send(VHOST_IOTLB_UPDATE, page);
	(void)!mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0);
	copy = dup(fd);
	close(fd);
	fd = copy;
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, query, NULL);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	close(fd);
	return 0;
}
