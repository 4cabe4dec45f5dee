// SPDX-License-Identifier: BSD-3-Clause
/*
 * A ping's state, and its way to the other end: frames out and in, ARP, addresses.
 * Used by net_ping.c. Thread rule: main thread.
 */
#ifndef HOLDFAST_CLI_NET_PING_PEER_H
#define HOLDFAST_CLI_NET_PING_PEER_H

#include "cli/net_frame.h"
#include "cli/net_ping.h"

struct ping {
	const char *who;
	struct virtio_net *net;
	const struct net_ping_options *o;
	const volatile sig_atomic_t *stop;
	struct net_ends ends;
	uint16_t id;
	bool looped;          /* a frame of our own has come back while we asked for an address */
	uint8_t *frame, *got; /* [virtio_net_frame_max()] */
	size_t frame_max;

	int64_t *sent_ns; /* [SEQS] 0: never, or answered */
	bool *answered;   /* [SEQS] */
	uint64_t nr_sent, nr_back, nr_dup, nr_bad, nr_error;
	int64_t began_ns, min_ns, max_ns, sum_ns;
};

const char *ping_ip_text(struct in_addr ip);
bool ping_mac_is_zero(const uint8_t mac[6]);
int ping_send_frame(struct ping *p, const uint8_t *frame, size_t len) HF_MUST_CHECK;
/** ping_next_frame() - the next frame that is none of ARP's questions
 * Return: 0 with @seen; -ETIMEDOUT; -EINTR; else -errno */
int ping_next_frame(struct ping *p, int64_t deadline, size_t *len,
		    struct net_seen *seen) HF_MUST_CHECK;
/** ping_choose_mac() - our own MAC address. Return: 0; -EIO with its reason */
int ping_choose_mac(struct ping *p) HF_MUST_CHECK;
/** ping_find_peer() - our own IP address, and where to send. Return: 0; -errno with its reason */
int ping_find_peer(struct ping *p) HF_MUST_CHECK;

#endif
