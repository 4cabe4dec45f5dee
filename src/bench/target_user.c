// SPDX-License-Identifier: BSD-3-Clause
/*
 * The wire of a vhost-user daemon: QEMU's storage daemon, DPDK's vhost port. Facts from QEMU's
 * vhost-user specification. A message is a header of three 32-bit words (request, flags, size of
 * what follows) and its body, all in the machine's byte order; descriptors travel beside it.
 *
 * The device's addresses of buffers are ours of a vhost-vdpa node. Those of rings are this
 * process's, which the protocol wants so.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/socket_name.h"
#include "bench/target.h"

#define VERSION     1u
#define CONFIG_MAX  256u
#define F_PROTOCOL  30 /* feature bit: there are protocol features */
#define P_MQ        (1ULL << 0)
#define P_CONFIG    (1ULL << 9)
#define NO_FD       (-1)
#define TIMEOUT_SEC 10

enum request {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	GET_VRING_BASE = 11,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	SET_VRING_ENABLE = 18,
	GET_CONFIG = 24,
};

struct region {
	uint64_t iova, size, address, offset;
};

struct config {
	uint32_t off, len, flags;
	uint8_t bytes[CONFIG_MAX];
};

struct message {
	uint32_t request, flags, size;
	union {
		uint64_t u64;
		struct vhost_vring_state state;
		struct vhost_vring_addr addr;
		struct {
			uint32_t nr, padding;
			struct region region;
		} memory;
		struct config config;
	} __attribute__((packed));
} __attribute__((packed));

#define HEADER offsetof(struct message, u64)

_Static_assert(HEADER == 12, "three words");

static int send_message(int sock, const struct message *m, int fd)
{
	struct iovec iov = {(void *)m, HEADER + m->size};
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (fd != NO_FD) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		control.head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(fd)),
						.cmsg_level = SOL_SOCKET,
						.cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	}
	n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	if (n < 0)
		return -errno;
	return (size_t)n == iov.iov_len ? 0 : -EIO;
}

static int receive(int sock, void *buf, size_t len)
{
	ssize_t n = recv(sock, buf, len, MSG_WAITALL);

	if (n < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return (size_t)n == len ? 0 : -ECONNRESET;
}

static int ask(int sock, struct message *m)
{
	uint32_t request = m->request;
	int err = send_message(sock, m, NO_FD);

	if (!err)
		err = receive(sock, m, HEADER);
	if (err)
		return err;
	if (m->request != request || m->size > sizeof(*m) - HEADER)
		return -EPROTO;
	return receive(sock, (char *)m + HEADER, m->size);
}

static int set_u64(int sock, enum request request, uint64_t value, int fd)
{
	struct message m = {.request = request, .flags = VERSION, .size = sizeof(m.u64)};

	m.u64 = value;
	return send_message(sock, &m, fd);
}

static int get_u64(int sock, enum request request, uint64_t *value)
{
	struct message m = {.request = request, .flags = VERSION};
	int err = ask(sock, &m);

	if (!err && m.size != sizeof(m.u64))
		err = -EPROTO;
	if (!err)
		*value = m.u64;
	return err;
}

static int set_state(int sock, enum request request, uint32_t idx, uint32_t num)
{
	struct message m = {.request = request, .flags = VERSION, .size = sizeof(m.state)};

	m.state = (struct vhost_vring_state){idx, num};
	return send_message(sock, &m, NO_FD);
}

static int user_open(struct bench_target *t, const char *path)
{
	struct timeval patience = {.tv_sec = TIMEOUT_SEC};
	int flags;

	t->fd = socket_name_connect(path);
	if (t->fd < 0)
		return t->fd;
	flags = fcntl(t->fd, F_GETFL);
	if (flags < 0 || fcntl(t->fd, F_SETFL, flags & ~O_NONBLOCK) < 0 ||
	    setsockopt(t->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		return -errno;
	return 0;
}

static int user_get_features(struct bench_target *t, uint64_t *offered)
{
	return get_u64(t->fd, GET_FEATURES, offered);
}

static int set_protocol_features(struct bench_target *t)
{
	uint64_t offered;
	int err = get_u64(t->fd, GET_PROTOCOL_FEATURES, &offered);

	if (err)
		return err;
	return set_u64(t->fd, SET_PROTOCOL_FEATURES, offered & (P_MQ | P_CONFIG), NO_FD);
}

static int user_set_features(struct bench_target *t)
{
	uint64_t offered;
	int err = get_u64(t->fd, GET_FEATURES, &offered);

	if (!err && !(offered >> F_PROTOCOL & 1))
		err = -ENOTSUP;
	if (!err)
		err = set_protocol_features(t);
	if (!err)
		err = send_message(t->fd, &(struct message){.request = SET_OWNER, .flags = VERSION},
				   NO_FD);
	return err ? err : set_u64(t->fd, SET_FEATURES, t->features | 1ULL << F_PROTOCOL, NO_FD);
}

static int user_map(struct bench_target *t)
{
	struct message m = {.request = SET_MEM_TABLE, .flags = VERSION, .size = sizeof(m.memory)};

	m.memory.nr = 1;
	m.memory.padding = 0;
	m.memory.region = (struct region){.iova = bench_target_iova(t, 0) - t->data_off,
					  .size = t->mem.size,
					  .address = (uintptr_t)t->mem.addr};
	return send_message(t->fd, &m, t->mem.memfd);
}

static int user_set_up(struct bench_target *t, const struct bench_vq *vq)
{
	struct message m = {.request = SET_VRING_ADDR, .flags = VERSION, .size = sizeof(m.addr)};
	int err = set_state(t->fd, SET_VRING_NUM, vq->idx, t->num);

	m.addr = bench_vring_addr(vq, (uintptr_t)t->mem.addr);
	if (!err)
		err = set_state(t->fd, SET_VRING_BASE, vq->idx, bench_vring_base(t));
	if (!err)
		err = send_message(t->fd, &m, NO_FD);
	if (!err)
		err = set_u64(t->fd, SET_VRING_CALL, vq->idx, vq->call);
	return err ? err : set_u64(t->fd, SET_VRING_KICK, vq->idx, vq->kick);
}

static int user_start(struct bench_target *t)
{
	int err = 0;

	for (unsigned int i = 0; !err && i < t->nr_vqs; i++)
		err = set_state(t->fd, SET_VRING_ENABLE, i, 1);
	return err;
}

static int user_get_config(struct bench_target *t, uint32_t off, void *buf, uint32_t len)
{
	size_t head = offsetof(struct config, bytes);
	struct message m = {
		.request = GET_CONFIG, .flags = VERSION, .size = (uint32_t)head + off + len};
	int err;

	if (off + len > CONFIG_MAX)
		return -EINVAL;
	m.config = (struct config){.len = off + len};
	err = ask(t->fd, &m);
	if (!err && m.size != head + off + len)
		err = -EPROTO;
	if (!err)
		memcpy(buf, m.config.bytes + off, len);
	return err;
}

/* The answer says that the daemon has let the ring go. */
static void user_stop(struct bench_target *t)
{
	for (unsigned int i = 0; i < t->nr_vqs; i++) {
		struct message m = {
			.request = GET_VRING_BASE, .flags = VERSION, .size = sizeof(m.state)};

		m.state = (struct vhost_vring_state){.index = i};
		if (t->vqs[i].drv && ask(t->fd, &m))
			return;
	}
}

const struct bench_wire bench_wire_user = {
	.name = "vhost-user",
	.open = user_open,
	.get_features = user_get_features,
	.set_features = user_set_features,
	.map = user_map,
	.set_up = user_set_up,
	.start = user_start,
	.get_config = user_get_config,
	.stop = user_stop,
};
