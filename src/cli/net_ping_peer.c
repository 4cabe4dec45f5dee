// SPDX-License-Identifier: BSD-3-Clause
#include "cli/net_ping_peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/refuse.h"

#define ARP_TRY_NS  (250 * NS_PER_MS)
#define ARP_TRIES   12 /* 3 s: a stream's other end may need a moment */
#define PROBE_TRIES 2

const char *ping_ip_text(struct in_addr ip)
{
	static char text[4][INET_ADDRSTRLEN];
	static unsigned int turn;
	char *t = text[turn++ % 4];

	return inet_ntop(AF_INET, &ip, t, INET_ADDRSTRLEN) ? t : "?";
}

bool ping_mac_is_zero(const uint8_t mac[6])
{
	static const uint8_t none[6];

	return memcmp(mac, none, 6) == 0;
}

/* ---- sending and receiving ---- */

/* A full queue is a card that is slow: what it does not take is lost, as on any wire. */
int ping_send_frame(struct ping *p, const uint8_t *frame, size_t len)
{
	int rc = virtio_net_send(p->net, frame, len);

	return rc == -EAGAIN ? 0 : rc;
}

static int answer_arp(struct ping *p, const struct net_seen *seen)
{
	struct net_ends ends = p->ends;
	uint8_t reply[NET_ETH_LEN + NET_ARP_LEN];

	memcpy(ends.peer_mac, seen->mac, 6);
	ends.peer_ip = seen->from;
	return ping_send_frame(p, reply, net_frame_arp(reply, &ends, true, false));
}

int ping_next_frame(struct ping *p, int64_t deadline, size_t *len, struct net_seen *seen)
{
	int rc;

	for (;;) {
		*len = p->frame_max;
		rc = virtio_net_recv(p->net, p->got, len, deadline);
		if (rc)
			return rc;
		*seen = net_frame_parse(p->got, *len);
		if (seen->kind != NET_ARP_REQUEST)
			return 0;
		if (memcmp(seen->mac, p->ends.mac, 6) == 0)
			p->looped = true;
		else if (p->ends.ip.s_addr && seen->wanted.s_addr == p->ends.ip.s_addr)
			rc = answer_arp(p, seen);
		if (rc)
			return rc;
	}
}

/* Who has @ip? Return: 1 with @mac; 0 nobody said so; -errno */
static int resolve(struct ping *p, struct in_addr ip, bool probe, int tries, uint8_t mac[6])
{
	struct net_ends ends = p->ends;
	uint8_t request[NET_ETH_LEN + NET_ARP_LEN];
	struct net_seen seen;
	size_t len;
	int rc;

	ends.peer_ip = ip;
	for (int i = 0; i < tries && !*p->stop; i++) {
		int64_t deadline = clock_now_ns() + ARP_TRY_NS;

		rc = ping_send_frame(p, request, net_frame_arp(request, &ends, false, probe));
		while (!rc) {
			rc = ping_next_frame(p, deadline, &len, &seen);
			if (rc || seen.kind != NET_ARP_REPLY || seen.from.s_addr != ip.s_addr)
				continue;
			memcpy(mac, seen.mac, 6);
			return 1;
		}
		if (rc != -ETIMEDOUT && rc != -EINTR)
			return rc;
	}
	return 0;
}

/* ---- addresses ---- */

int ping_choose_mac(struct ping *p)
{
	memcpy(p->ends.mac, virtio_net_info(p->net)->mac, 6);
	if (!ping_mac_is_zero(p->ends.mac))
		return 0;
	/* A card without an address is given one, as a guest gives it one. */
	if (getrandom(p->ends.mac, 6, 0) != 6)
		return refuse(-EIO, "no random numbers for a MAC address");
	p->ends.mac[0] = (uint8_t)((p->ends.mac[0] & 0xfe) | 2);
	return 0;
}

/* The address of ours: as told, or one near the destination that nobody has. */
static int choose_source(struct ping *p)
{
	struct in_addr near = p->o->has_gateway ? p->o->gateway : p->o->address;
	uint32_t host = ntohl(near.s_addr);
	uint8_t mac[6];
	int rc;

	p->ends.ip = p->o->source;
	if (p->o->has_source)
		return 0;
	host = (host & ~0xffu) | ((host & 0xff) == 254 ? 253 : 254);
	rc = resolve(p, (struct in_addr){htonl(host)}, true, PROBE_TRIES, mac);
	if (rc < 0)
		return rc;
	if (rc)
		return refuse(-EADDRINUSE,
			      "%s, which would be our address, is in use: say one with --source",
			      ping_ip_text((struct in_addr){htonl(host)}));
	p->ends.ip.s_addr = htonl(host);
	return 0;
}

int ping_find_peer(struct ping *p)
{
	struct in_addr hop = p->o->has_gateway ? p->o->gateway : p->o->address;
	int rc = choose_source(p);

	if (!rc)
		rc = resolve(p, hop, false, ARP_TRIES, p->ends.peer_mac);
	if (rc < 0)
		return rc;
	p->ends.peer_ip = p->o->address;
	if (rc || *p->stop)
		return 0;
	if (p->looped)
		return refuse(-EHOSTUNREACH,
			      "nobody has %s: %s gives our own frames back (a loopback? without "
			      "ADDRESS they are counted)",
			      ping_ip_text(hop), virtio_net_name(p->net));
	return refuse(-EHOSTUNREACH, "nobody has %s: no answer to %d ARP requests from %s",
		      ping_ip_text(hop), ARP_TRIES, ping_ip_text(p->ends.ip));
}
