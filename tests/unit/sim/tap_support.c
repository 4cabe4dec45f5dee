// SPDX-License-Identifier: BSD-3-Clause
#include "tap_support.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!write(fd, text, strlen(text));
	close(fd);
}

/* Return: NULL, or why not */
static const char *make_tap(const char *name, short flags)
{
	struct ifreq req = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | flags)};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC), s;

	if (fd < 0)
		return "/dev/net/tun cannot be opened";
	strcpy(req.ifr_name, name);
	if (ioctl(fd, TUNSETIFF, &req) < 0 || ioctl(fd, TUNSETPERSIST, 1) < 0) {
		close(fd);
		return "no tap can be made";
	}
	/* While it has a carrier: without one it is not made ready, and tap_wait_up() could not
	 * tell. */
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	req.ifr_flags = IFF_UP;
	(void)ioctl(s, SIOCSIFFLAGS, &req);
	close(s);
	close(fd);
	return NULL;
}

const char *tap_enter_namespaces(void)
{
	unsigned int uid = getuid(), gid = getgid();
	char map[64];
	const char *why;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return "no user and network namespaces";
	write_file("/proc/self/setgroups", "deny");
	(void)snprintf(map, sizeof(map), "0 %u 1", uid);
	write_file("/proc/self/uid_map", map);
	(void)snprintf(map, sizeof(map), "0 %u 1", gid);
	write_file("/proc/self/gid_map", map);
	/* Nothing but our own frames on these interfaces. */
	write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	why = make_tap(TAP, 0);
	return why ? why : make_tap(TAP_MQ, IFF_MULTI_QUEUE);
}

/* Carrier and queueing discipline, as they are when the kernel's work on the interface is done. */
static bool is_up(int s, struct ifreq *req)
{
	assert_int_equal(ioctl(s, SIOCGIFFLAGS, req), 0);
	return req->ifr_flags & IFF_RUNNING;
}

void tap_wait_up(const char *ifname)
{
	struct sockaddr_nl addr = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	int nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct pollfd p = {nl, POLLIN, 0};
	struct ifreq req = {0};
	char news[8192];

	strcpy(req.ifr_name, ifname);
	assert_true(nl >= 0 && s >= 0);
	assert_int_equal(bind(nl, (struct sockaddr *)&addr, sizeof(addr)), 0);
	while (!is_up(s, &req)) {
		assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
		(void)!recv(nl, news, sizeof(news), 0);
	}
	/* The flag is there before the queue is; setting what is set already waits for the one who
	 * is at it. */
	assert_int_equal(ioctl(s, SIOCSIFFLAGS, &req), 0);
	close(nl);
	close(s);
}

int tap_packet_socket(const char *ifname)
{
	struct sockaddr_ll addr = {.sll_family = AF_PACKET,
				   .sll_protocol = htons(ETHERTYPE),
				   .sll_ifindex = (int)if_nametoindex(ifname)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETHERTYPE));

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

ssize_t tap_receive(int fd, uint8_t *buf, size_t len)
{
	struct pollfd p = {fd, POLLIN, 0};

	return poll(&p, 1, DEADLINE_MS) > 0 ? recv(fd, buf, len, 0) : -1;
}
