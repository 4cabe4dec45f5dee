// SPDX-License-Identifier: BSD-3-Clause
/* The work of `holdfast net ping`, between its options and its frames. Thread rule: main thread. */
#ifndef HOLDFAST_CLI_NET_PING_H
#define HOLDFAST_CLI_NET_PING_H

#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>

#include "virtio_vdpa/net.h"

struct net_ping_options {
	bool has_address, has_source, has_gateway;
	struct in_addr address, source, gateway;
	uint32_t count;      /* 0: until interrupted */
	int64_t interval_ns; /* 0: as soon as the last one is back */
	int64_t wait_ns;     /* for an answer */
	uint16_t size;       /* bytes of payload */
	bool quiet;          /* the summary alone */
};

/**
 * net_ping() - send, receive, print
 * @stop: set by a signal: end early, with the summary
 * Return: an exit status: CLI_EXIT_OK if anything came back, and nothing that did was altered
 */
int net_ping(const char *who, struct virtio_net *net, const struct net_ping_options *o,
	     const volatile sig_atomic_t *stop);

#endif
