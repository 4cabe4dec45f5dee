// SPDX-License-Identifier: BSD-3-Clause
#include "cli/net_frame.h"

#include <string.h>

#define TYPE_IP      0x0800u
#define TYPE_ARP     0x0806u
#define PROTO_ICMP   1u
#define ECHO_REQUEST 8u
#define ECHO_REPLY   0u
#define TTL          64u

static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, unsigned int value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

/* The Internet's checksum: 0 over bytes that contain their own. */
static uint16_t checksum(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += get16(p + i);
	if (len % 2)
		sum += (uint32_t)p[len - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* ---- building ---- */

size_t net_frame_eth(uint8_t *buf, const uint8_t to[6], const uint8_t from[6], uint16_t type)
{
	memcpy(buf, to, 6);
	memcpy(buf + 6, from, 6);
	put16(buf + 12, type);
	return NET_ETH_LEN;
}

size_t net_frame_arp(uint8_t *buf, const struct net_ends *ends, bool reply, bool probe)
{
	uint8_t *arp =
		buf + net_frame_eth(buf, reply ? ends->peer_mac : broadcast, ends->mac, TYPE_ARP);

	put16(arp, 1); /* Ethernet */
	put16(arp + 2, TYPE_IP);
	arp[4] = 6;
	arp[5] = 4;
	put16(arp + 6, reply ? 2 : 1);
	memcpy(arp + 8, ends->mac, 6);
	memset(arp + 14, 0, 4);
	if (!probe)
		memcpy(arp + 14, &ends->ip, 4);
	memset(arp + 18, 0, 6);
	if (reply)
		memcpy(arp + 18, ends->peer_mac, 6);
	memcpy(arp + 24, &ends->peer_ip, 4);
	return NET_ETH_LEN + NET_ARP_LEN;
}

size_t net_frame_echo(uint8_t *buf, const struct net_ends *ends, uint16_t id, uint16_t seq,
		      size_t len)
{
	uint8_t *ip = buf + net_frame_eth(buf, ends->peer_mac, ends->mac, TYPE_IP);
	uint8_t *icmp = ip + NET_IP_LEN;

	memset(ip, 0, NET_IP_LEN);
	ip[0] = 0x45;
	put16(ip + 2, (unsigned int)(NET_IP_LEN + NET_ICMP_LEN + len));
	put16(ip + 4, seq);
	put16(ip + 6, 0x4000); /* not to be fragmented */
	ip[8] = TTL;
	ip[9] = PROTO_ICMP;
	memcpy(ip + 12, &ends->ip, 4);
	memcpy(ip + 16, &ends->peer_ip, 4);
	put16(ip + 10, checksum(ip, NET_IP_LEN));
	icmp[0] = ECHO_REQUEST;
	icmp[1] = 0;
	put16(icmp + 2, 0);
	put16(icmp + 4, id);
	put16(icmp + 6, seq);
	put16(icmp + 2, checksum(icmp, NET_ICMP_LEN + len));
	return NET_ECHO_HEAD + len;
}

/* ---- taking apart ---- */

static void parse_arp(const uint8_t *arp, size_t len, struct net_seen *seen)
{
	uint16_t op;

	if (len < NET_ARP_LEN || get16(arp) != 1 || get16(arp + 2) != TYPE_IP || arp[4] != 6 ||
	    arp[5] != 4)
		return;
	op = get16(arp + 6);
	if (op != 1 && op != 2)
		return;
	seen->kind = op == 1 ? NET_ARP_REQUEST : NET_ARP_REPLY;
	memcpy(seen->mac, arp + 8, 6);
	memcpy(&seen->from, arp + 14, 4);
	memcpy(&seen->wanted, arp + 24, 4);
}

/* An IPv4 packet that is whole and not a fragment. Return: its header's bytes, 0 if it is none;
 * @len: [in] bytes there are, [out] bytes of the packet */
static size_t ip_header(const uint8_t *ip, size_t *len)
{
	size_t head, total;

	if (*len < NET_IP_LEN || ip[0] >> 4 != 4)
		return 0;
	head = (ip[0] & 15u) * 4u;
	total = get16(ip + 2);
	if (head < NET_IP_LEN || total < head || total > *len || checksum(ip, head) != 0 ||
	    (get16(ip + 6) & 0x3fff) != 0)
		return 0;
	*len = total;
	return head;
}

/* The echo of ours that an error message quotes, of which 8 bytes behind its header are enough. */
static void parse_error(const uint8_t *quote, size_t len, struct net_seen *seen)
{
	size_t head;

	if (len < NET_IP_LEN || quote[0] >> 4 != 4)
		return;
	head = (quote[0] & 15u) * 4u;
	if (head < NET_IP_LEN || len < head + NET_ICMP_LEN || quote[9] != PROTO_ICMP ||
	    quote[head] != ECHO_REQUEST)
		return;
	seen->kind = NET_ICMP_ERROR;
	seen->id = get16(quote + head + 4);
	seen->seq = get16(quote + head + 6);
}

static void parse_ip(const uint8_t *ip, size_t len, struct net_seen *seen)
{
	size_t head = ip_header(ip, &len);
	const uint8_t *icmp = ip + head;

	if (head == 0 || ip[9] != PROTO_ICMP)
		return;
	len -= head;
	if (len < NET_ICMP_LEN || checksum(icmp, len) != 0)
		return;
	memcpy(&seen->from, ip + 12, 4);
	memcpy(&seen->wanted, ip + 16, 4);
	seen->ttl = ip[8];
	seen->type = icmp[0];
	seen->code = icmp[1];
	if (icmp[0] == ECHO_REPLY && icmp[1] == 0) {
		seen->kind = NET_ECHO_REPLY;
		seen->id = get16(icmp + 4);
		seen->seq = get16(icmp + 6);
		seen->payload = icmp + NET_ICMP_LEN;
		seen->payload_len = len - NET_ICMP_LEN;
	} else if (icmp[0] == 3 || icmp[0] == 11) { /* unreachable, too many hops */
		parse_error(icmp + NET_ICMP_LEN, len - NET_ICMP_LEN, seen);
	}
}

struct net_seen net_frame_parse(const uint8_t *frame, size_t len)
{
	struct net_seen seen = {.kind = NET_OTHER};

	if (len < NET_ETH_LEN)
		return seen;
	memcpy(seen.mac, frame + 6, 6);
	if (get16(frame + 12) == TYPE_ARP)
		parse_arp(frame + NET_ETH_LEN, len - NET_ETH_LEN, &seen);
	else if (get16(frame + 12) == TYPE_IP)
		parse_ip(frame + NET_ETH_LEN, len - NET_ETH_LEN, &seen);
	return seen;
}
