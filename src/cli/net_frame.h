// SPDX-License-Identifier: BSD-3-Clause
/*
 * The frames of `holdfast net ping`: ARP and ICMP echo over IPv4 are built and taken apart here,
 * and nothing else is known. What comes from the network is checked: lengths, checksums, addresses.
 * Pure functions; any thread.
 */
#ifndef HOLDFAST_CLI_NET_FRAME_H
#define HOLDFAST_CLI_NET_FRAME_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define NET_ETH_LEN   14u
#define NET_ARP_LEN   28u
#define NET_IP_LEN    20u
#define NET_ICMP_LEN  8u
#define NET_ECHO_HEAD (NET_ETH_LEN + NET_IP_LEN + NET_ICMP_LEN) /* bytes before the payload */
#define NET_ETHERTYPE 0x88b5u /* for experiments: the loopback test's own frames */

/* Addresses of the two ends; IPv4 in network order. */
struct net_ends {
	uint8_t mac[6], peer_mac[6];
	struct in_addr ip, peer_ip;
};

enum net_kind {
	NET_OTHER,       /* not for us, or broken */
	NET_ARP_REQUEST, /* somebody wants our MAC address: @from, @mac say who */
	NET_ARP_REPLY,   /* @from has the address @mac */
	NET_ECHO_REPLY,  /* @id, @seq, @ttl, @payload */
	NET_ICMP_ERROR,  /* about an echo of ours: @type, @code, @from, @seq */
};

/* A frame, taken apart. */
struct net_seen {
	enum net_kind kind;
	struct in_addr from, wanted; /* wanted: ARP's target address */
	uint8_t mac[6];              /* of the sender */
	uint16_t id, seq;
	uint8_t ttl, type, code;
	const uint8_t *payload; /* in the frame */
	size_t payload_len;
};

/** net_frame_parse() - @frame: [lent] @len bytes from anywhere */
struct net_seen net_frame_parse(const uint8_t *frame, size_t len);

/** net_frame_arp() - a request (to all) or a reply (to @ends->peer_mac). @buf: at least 42 bytes.
 * A request with @probe has no sender address, so that nobody remembers it. Return: bytes */
size_t net_frame_arp(uint8_t *buf, const struct net_ends *ends, bool reply, bool probe);
/** net_frame_echo() - an echo request. @buf: NET_ECHO_HEAD + @len bytes, the payload filled by the
 * caller
 * Return: bytes */
size_t net_frame_echo(uint8_t *buf, const struct net_ends *ends, uint16_t id, uint16_t seq,
		      size_t len);
/** net_frame_eth() - the Ethernet header alone. Return: its bytes */
size_t net_frame_eth(uint8_t *buf, const uint8_t to[6], const uint8_t from[6], uint16_t type);

#endif
