/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The descriptor half of the vhost-vdpa client: open, ioctls, IOTLB messages, memory.
 * ring.c drives rings by it, net.c brings up a network device by both.
 *
 * Only libc's wrappers touch the descriptor, never a raw system call, so that whatever
 * stands between the client and the node sees every call.
 */
#include "client/client.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define CONFIG_MAX 1024

int client_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int client_ioctl(int fd, unsigned long req, void *arg)
{
	int rc = ioctl(fd, req, arg);

	return rc < 0 ? -errno : rc;
}

int client_open_owned(const char *path, uint64_t backend)
{
	int fd = client_open(path), rc;

	if (fd < 0)
		return fd;
	rc = client_ioctl(fd, VHOST_SET_OWNER, NULL);
	if (rc == 0)
		rc = client_set_u64(fd, VHOST_SET_BACKEND_FEATURES, backend);
	if (rc == 0)
		return fd;
	close(fd);
	return rc;
}

int client_vring_set(int fd, unsigned long req, uint32_t idx, uint32_t num)
{
	struct vhost_vring_state state = {.index = idx, .num = num};

	return client_ioctl(fd, req, &state);
}

int client_vring_get(int fd, unsigned long req, uint32_t idx, uint32_t *num)
{
	struct vhost_vring_state state = {.index = idx};
	int rc = client_ioctl(fd, req, &state);

	if (rc == 0)
		*num = state.num;
	return rc;
}

int client_vring_file(int fd, unsigned long req, uint32_t idx, int file)
{
	struct vhost_vring_file arg = {.index = idx, .fd = file};

	return client_ioctl(fd, req, &arg);
}

int client_set_status(int fd, uint8_t status)
{
	return client_ioctl(fd, VHOST_VDPA_SET_STATUS, &status);
}

int client_get_status(int fd)
{
	uint8_t status = 0;
	int rc = client_ioctl(fd, VHOST_VDPA_GET_STATUS, &status);

	return rc < 0 ? rc : status;
}

int client_set_u64(int fd, unsigned long req, uint64_t value)
{
	return client_ioctl(fd, req, &value);
}

int client_get_u64(int fd, unsigned long req, uint64_t *value)
{
	uint64_t v = 0;
	int rc = client_ioctl(fd, req, &v);

	if (rc == 0)
		*value = v;
	return rc;
}

/* struct vhost_vdpa_config ends in a flexible array; this one has room. */
union config_arg {
	struct vhost_vdpa_config hdr;
	uint8_t bytes[sizeof(struct vhost_vdpa_config) + CONFIG_MAX];
};

int client_get_config(int fd, uint32_t off, void *buf, uint32_t len)
{
	union config_arg arg = {.hdr = {.off = off, .len = len}};
	int rc;

	if (len > CONFIG_MAX)
		return -EMSGSIZE;
	rc = client_ioctl(fd, VHOST_VDPA_GET_CONFIG, &arg);
	if (rc == 0)
		memcpy(buf, arg.bytes + offsetof(struct vhost_vdpa_config, buf), len);
	return rc;
}

int client_set_config(int fd, uint32_t off, const void *buf, uint32_t len)
{
	union config_arg arg = {.hdr = {.off = off, .len = len}};

	if (len > CONFIG_MAX)
		return -EMSGSIZE;
	memcpy(arg.bytes + offsetof(struct vhost_vdpa_config, buf), buf, len);
	return client_ioctl(fd, VHOST_VDPA_SET_CONFIG, &arg);
}

int client_iotlb_send(int fd, uint32_t asid, uint8_t type, const struct vhost_iotlb_msg *body)
{
	struct vhost_msg_v2 msg = {.type = VHOST_IOTLB_MSG_V2, .asid = asid, .iotlb = *body};
	ssize_t n;

	msg.iotlb.type = type;
	n = write(fd, &msg, sizeof(msg));
	if (n < 0)
		return -errno;
	return n == sizeof(msg) ? 0 : -EPROTO;
}

int client_iotlb_map(int fd, uint32_t asid, uint64_t iova, uint64_t size, const void *uaddr,
		     uint8_t perm)
{
	struct vhost_iotlb_msg body = {
		.iova = iova, .size = size, .uaddr = (uintptr_t)uaddr, .perm = perm};

	return client_iotlb_send(fd, asid, VHOST_IOTLB_UPDATE, &body);
}

int client_iotlb_unmap(int fd, uint32_t asid, uint64_t iova, uint64_t size)
{
	struct vhost_iotlb_msg body = {.iova = iova, .size = size};

	return client_iotlb_send(fd, asid, VHOST_IOTLB_INVALIDATE, &body);
}

int client_iotlb_batch(int fd, uint32_t asid, bool begin)
{
	struct vhost_iotlb_msg body = {0};

	return client_iotlb_send(fd, asid, begin ? VHOST_IOTLB_BATCH_BEGIN : VHOST_IOTLB_BATCH_END,
				 &body);
}

int client_mem_create(struct client_mem *mem, size_t size, enum client_mem_kind kind)
{
	int flags = kind == CLIENT_MEM_PRIVATE ? MAP_PRIVATE : MAP_SHARED;
	int fd = -1;
	int err;
	void *addr;

	if (kind == CLIENT_MEM_MEMFD) {
		fd = memfd_create("client-memory", MFD_CLOEXEC);
		if (fd < 0)
			return -errno;
		if (ftruncate(fd, (off_t)size) < 0)
			goto err_close;
	} else {
		flags |= MAP_ANONYMOUS;
	}
	addr = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_POPULATE, fd, 0);
	if (addr == MAP_FAILED)
		goto err_close;
	*mem = (struct client_mem){.addr = addr, .size = size, .memfd = fd};
	return 0;
err_close:
	err = -errno;
	if (fd >= 0)
		close(fd);
	return err;
}

void client_mem_destroy(struct client_mem *mem)
{
	if (!mem->addr)
		return;
	munmap(mem->addr, mem->size);
	if (mem->memfd >= 0)
		close(mem->memfd);
	*mem = (struct client_mem){.memfd = -1};
}
