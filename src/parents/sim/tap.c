// SPDX-License-Identifier: BSD-3-Clause
/*
 * The backend that is a tap interface of the host. The interface exists beforehand (`ip tuntap
 * add`), so its owner needs no privilege. Each queue pair has a queue of its own. Frames keep
 * their virtio-net header, because that is the kernel's own format for checksum and segmentation
 * offload. The kernel checks headers that come from the guest. A frame that it refuses is dropped.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/refuse.h"
#include "net.h"

/* What attaching answers, in words. */
static int refuse_attach(const char *ifname, int err, bool multi)
{
	switch (err) {
	case EBUSY:
		return refuse(-err, "tap '%s': another process has it", ifname);
	case EPERM:
		return refuse(-err, "tap '%s': it belongs to another user (ip tuntap add ... user)",
			      ifname);
	case EINVAL:
		return refuse(-err, "tap '%s': not a tap%s (it must be made %s multi_queue)",
			      ifname, multi ? " with several queues" : " with one queue",
			      multi ? "with" : "without");
	default:
		return refuse(-err, "tap '%s': attaching failed: %s", ifname, strerror(err));
	}
}

static int attach_queue(const char *ifname, bool multi, int *out)
{
	struct ifreq req = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int fd = fd_move_up(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
	int one = 1, err;

	if (fd < 0)
		return refuse(-errno, "tap '%s': /dev/net/tun: %s", ifname, strerror(errno));
	if (multi)
		req.ifr_flags |= IFF_MULTI_QUEUE;
	memcpy(req.ifr_name, ifname, strlen(ifname));
	if (ioctl(fd, TUNSETIFF, &req) < 0) {
		err = refuse_attach(ifname, errno, multi);
		fd_close(&fd);
		return err;
	}
	if (ioctl(fd, TUNSETVNETLE, &one) < 0) {
		err = refuse(-errno, "tap '%s': no little-endian headers: %s", ifname,
			     strerror(errno));
		fd_close(&fd);
		return err;
	}
	*out = fd;
	return 0;
}

static void tap_close(struct simnet *net)
{
	for (uint16_t i = 0; i < net->max_pairs; i++)
		fd_close(&net->pairs[i].fd);
}

static int parse_ifname(const char *args, char *ifname)
{
	static const char key[] = "ifname=";
	size_t len = strcspn(args, ",");

	if (strncmp(args, key, strlen(key)) != 0 || args[len] == ',')
		return refuse(-EINVAL, "backend tap takes ifname=NAME and nothing else, got '%s'",
			      args);
	args += strlen(key);
	len = strlen(args);
	if (len == 0 || len >= IFNAMSIZ)
		return refuse(-EINVAL, "tap '%s': an interface name has 1 to %d characters", args,
			      IFNAMSIZ - 1);
	memcpy(ifname, args, len + 1);
	return 0;
}

static int tap_open(struct simnet *net, const char *args)
{
	bool multi = net->max_pairs > 1;
	char ifname[IFNAMSIZ];
	int err = parse_ifname(args, ifname);

	if (err)
		return err;
	/* Attaching to a name that does not exist would make an interface that dies with us. */
	if (if_nametoindex(ifname) == 0)
		return refuse(-ENODEV,
			      "tap '%s': no such interface (create it with: ip tuntap add dev %s "
			      "mode tap%s)",
			      ifname, ifname, multi ? " multi_queue" : "");
	for (uint16_t i = 0; !err && i < net->max_pairs; i++)
		err = attach_queue(ifname, multi, &net->pairs[i].fd);
	if (err)
		tap_close(net);
	return err;
}

static int tap_worker_started(struct simnet *net, struct vdpasim_worker *sw)
{
	int err = 0;

	for (uint16_t i = 0; !err && i < net->max_pairs; i++)
		if (net->pairs[i].rx->sw == sw)
			err = worker_watch(sw->worker, net->pairs[i].fd,
					   EPOLLIN | EPOLLOUT | EPOLLET, simnet_fd_ready,
					   &net->pairs[i], &net->pairs[i].wfd);
	return err;
}

static void NO_TSA tap_worker_stopping(struct simnet *net, struct vdpasim_worker *sw)
{
	for (uint16_t i = 0; i < net->max_pairs; i++) {
		if (net->pairs[i].rx->sw != sw)
			continue;
		worker_unwatch(sw->worker, net->pairs[i].wfd);
		net->pairs[i].wfd = NULL;
	}
}

static int tap_send(struct simnet_pair *pair, const struct iovec *iov, unsigned int n)
{
	if (writev(pair->fd, iov, (int)n) >= 0)
		return 0;
	if (errno == EAGAIN)
		pair->tx_blocked = true;
	return -errno;
}

static ssize_t tap_recv(struct simnet_pair *pair, const struct iovec *iov, unsigned int n)
{
	ssize_t len = readv(pair->fd, iov, (int)n);

	if (len >= 0)
		return len;
	if (errno == EFAULT)
		return -EFAULT;
	pair->readable = false; /* the next frame, or a new state of the interface, is an edge */
	return errno == EAGAIN ? 0 : -errno;
}

static int tap_configure(struct simnet *net)
{
	uint64_t offloads = __atomic_load_n(&net->guest_offloads, __ATOMIC_RELAXED);
	int hdr_len = net->hdr_len, fd = net->pairs[0].fd;
	unsigned int flags = 0;
	int err = 0;

	if (offloads & F(GUEST_CSUM)) {
		flags = TUN_F_CSUM;
		flags |= offloads & F(GUEST_TSO4) ? TUN_F_TSO4 : 0;
		flags |= offloads & F(GUEST_TSO6) ? TUN_F_TSO6 : 0;
		if ((offloads & F(GUEST_ECN)) && (flags & (TUN_F_TSO4 | TUN_F_TSO6)))
			flags |= TUN_F_TSO_ECN;
	}
	if (ioctl(fd, TUNSETVNETHDRSZ, &hdr_len) < 0 || ioctl(fd, TUNSETOFFLOAD, flags) < 0) {
		err = -errno;
		hf_err(net->name, "tap: header length %d and offloads 0x%x not taken: %s", hdr_len,
		       flags, strerror(-err));
	}
	return err;
}

/* Queues that the driver does not serve must not get frames. */
static int tap_set_pairs(struct simnet *net, uint16_t pairs)
{
	int err = 0;

	for (uint16_t i = 1; i < net->max_pairs; i++) {
		struct ifreq req = {.ifr_flags = i < pairs ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE};

		/* EINVAL: it is in that state already */
		if (ioctl(net->pairs[i].fd, TUNSETQUEUE, &req) == 0 || errno == EINVAL)
			continue;
		err = -errno;
		hf_err(net->name, "tap: queue %u not %s: %s", i,
		       i < pairs ? "attached" : "detached", strerror(-err));
	}
	return err;
}

const struct simnet_backend_ops simnet_tap = {
	.name = "tap",
	.words = "tap,ifname=NAME",
	.offloads = SIMNET_OFFLOADS,
	.max_pairs = 64,
	.outside = true,
	.open = tap_open,
	.close = tap_close,
	.worker_started = tap_worker_started,
	.worker_stopping = tap_worker_stopping,
	.send = tap_send,
	.recv = tap_recv,
	.configure = tap_configure,
	.set_pairs = tap_set_pairs,
};
