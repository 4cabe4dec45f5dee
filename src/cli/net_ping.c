// SPDX-License-Identifier: BSD-3-Clause
/*
 * Ping through a card. With an address: ARP for it (or for the gateway), then ICMP echo requests;
 * requests for our own address are answered meanwhile, so that the other end learns where to send.
 * Without one: numbered frames of an experimental type, addressed to the card itself, which a
 * loopback gives back.
 *
 * Every answer is compared byte by byte with what was sent. What arrives and is not ours is passed
 * over.
 */
#include "cli/net_ping.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/refuse.h"
#include "cli/cli.h"
#include "cli/net_frame.h"
#include "cli/net_ping_peer.h"
#include "cli/own_device.h"

#define SEQS      65536u
#define LOOP_HEAD (NET_ETH_LEN + 4u) /* Ethernet, our id, the number */

/* ---- one after the other ---- */

static size_t head_len(const struct ping *p)
{
	return p->o->has_address ? NET_ECHO_HEAD : LOOP_HEAD;
}

static void fill_payload(uint8_t *payload, size_t len, uint16_t seq)
{
	for (size_t i = 0; i < len; i++)
		payload[i] = (uint8_t)(i * 7 + seq);
}

static size_t make_request(struct ping *p, uint16_t seq)
{
	/* A card that has no address of its own receives what is for all; this group is
	 * nobody's. */
	static const uint8_t group[6] = {3, 0, 0, 0x88, 0xb5, 0};
	uint8_t *frame = p->frame;

	fill_payload(frame + head_len(p), p->o->size, seq);
	if (p->o->has_address)
		return net_frame_echo(frame, &p->ends, p->id, seq, p->o->size);
	(void)net_frame_eth(frame,
			    ping_mac_is_zero(virtio_net_info(p->net)->mac) ? group : p->ends.mac,
			    p->ends.mac, NET_ETHERTYPE);
	frame[NET_ETH_LEN] = (uint8_t)(p->id >> 8);
	frame[NET_ETH_LEN + 1] = (uint8_t)p->id;
	frame[NET_ETH_LEN + 2] = (uint8_t)(seq >> 8);
	frame[NET_ETH_LEN + 3] = (uint8_t)seq;
	return LOOP_HEAD + p->o->size;
}

static int send_one(struct ping *p)
{
	uint16_t seq = (uint16_t)++p->nr_sent;

	p->sent_ns[seq] = clock_now_ns();
	p->answered[seq] = false;
	return ping_send_frame(p, p->frame, make_request(p, seq));
}

/* Is it an answer to us? Then @seen says so, for loopback frames too. */
static bool is_answer(const struct ping *p, size_t len, struct net_seen *seen)
{
	const uint8_t *f = p->got;

	if (p->o->has_address)
		return (seen->kind == NET_ECHO_REPLY || seen->kind == NET_ICMP_ERROR) &&
		       seen->wanted.s_addr == p->ends.ip.s_addr && seen->id == p->id;
	if (len < LOOP_HEAD || f[12] << 8 != (NET_ETHERTYPE & 0xff00) ||
	    f[13] != (NET_ETHERTYPE & 0xff) || (f[NET_ETH_LEN] << 8 | f[NET_ETH_LEN + 1]) != p->id)
		return false;
	seen->kind = NET_ECHO_REPLY;
	seen->seq = (uint16_t)(f[NET_ETH_LEN + 2] << 8 | f[NET_ETH_LEN + 3]);
	seen->payload = f + LOOP_HEAD;
	seen->payload_len = len - LOOP_HEAD;
	return true;
}

static bool payload_fits(const struct ping *p, const struct net_seen *seen)
{
	/* Short frames may be padded on the way. */
	if (p->o->has_address ? seen->payload_len != p->o->size : seen->payload_len < p->o->size)
		return false;
	fill_payload(p->frame, p->o->size, seen->seq);
	return memcmp(seen->payload, p->frame, p->o->size) == 0;
}

static void print_answer(const struct ping *p, const struct net_seen *seen, int64_t ns,
			 const char *remark)
{
	if (p->o->quiet)
		return;
	if (p->o->has_address)
		printf("%zu bytes from %s: icmp_seq=%u ttl=%u time=%.3f ms%s\n",
		       seen->payload_len + NET_ICMP_LEN, ping_ip_text(seen->from), seen->seq,
		       seen->ttl, (double)ns / NS_PER_MS, remark);
	else
		printf("%zu bytes back: seq=%u time=%.3f ms%s\n", seen->payload_len, seen->seq,
		       (double)ns / NS_PER_MS, remark);
	(void)fflush(stdout);
}

/* Return: is a request answered by it? */
static bool take_answer(struct ping *p, const struct net_seen *seen)
{
	int64_t ns = clock_now_ns() - p->sent_ns[seen->seq];

	if (p->sent_ns[seen->seq] == 0)
		return false; /* never asked */
	if (seen->kind == NET_ICMP_ERROR) {
		p->nr_error++;
		if (!p->o->quiet)
			printf("from %s: icmp_seq=%u %s (type %u, code %u)\n",
			       ping_ip_text(seen->from), seen->seq,
			       seen->type == 3 ? "unreachable" : "too many hops", seen->type,
			       seen->code);
		return true;
	}
	if (!payload_fits(p, seen)) {
		p->nr_bad++;
		print_answer(p, seen, ns, " (ALTERED)");
		return false;
	}
	if (p->answered[seen->seq]) {
		p->nr_dup++;
		print_answer(p, seen, ns, " (DUP!)");
		return false;
	}
	p->answered[seen->seq] = true;
	p->min_ns = p->nr_back == 0 || ns < p->min_ns ? ns : p->min_ns;
	p->max_ns = ns > p->max_ns ? ns : p->max_ns;
	p->sum_ns += ns;
	p->nr_back++;
	print_answer(p, seen, ns, "");
	return true;
}

/* Take answers until @deadline, or, if @all, until every request has one. */
static int collect(struct ping *p, int64_t deadline, bool all)
{
	struct net_seen seen;
	size_t len;
	int rc;

	while (!*p->stop && !(all && p->nr_back + p->nr_error >= p->nr_sent)) {
		rc = ping_next_frame(p, deadline, &len, &seen);
		if (rc)
			return rc == -ETIMEDOUT || rc == -EINTR ? 0 : rc;
		if (is_answer(p, len, &seen))
			(void)take_answer(p, &seen);
	}
	return 0;
}

static int exchange(struct ping *p)
{
	uint32_t count = p->o->count;
	int64_t next = clock_now_ns(), interval = p->o->interval_ns;
	int rc = 0;

	p->began_ns = next;
	while (!rc && !*p->stop && (count == 0 || p->nr_sent < count)) {
		bool last = count && p->nr_sent + 1 == count;

		rc = send_one(p);
		/* As fast as they come back, or one an interval; the last has all the time there
		 * is. */
		next = last || interval == 0 ? clock_now_ns() + p->o->wait_ns : next + interval;
		while (!rc && !*p->stop && clock_now_ns() < next) {
			rc = collect(p, next, last || interval == 0);
			if (last || interval == 0)
				break;
		}
	}
	return rc;
}

/* ---- the whole ---- */

static void print_head(const struct ping *p)
{
	const uint8_t *m = p->ends.mac;

	if (p->o->has_address)
		printf("PING %s from %s", ping_ip_text(p->o->address), ping_ip_text(p->ends.ip));
	else
		printf("LOOP");
	printf(" through %s (%02x:%02x:%02x:%02x:%02x:%02x): %u bytes of data\n",
	       virtio_net_name(p->net), m[0], m[1], m[2], m[3], m[4], m[5], p->o->size);
	(void)fflush(stdout);
}

static void print_summary(const struct ping *p)
{
	uint64_t lost = p->nr_sent - (p->nr_back < p->nr_sent ? p->nr_back : p->nr_sent);

	printf("\n--- %s statistics ---\n",
	       p->o->has_address ? ping_ip_text(p->o->address) : virtio_net_name(p->net));
	printf("%llu %s transmitted, %llu %s, ", (unsigned long long)p->nr_sent,
	       p->o->has_address ? "packets" : "frames", (unsigned long long)p->nr_back,
	       p->o->has_address ? "received" : "returned");
	if (p->nr_dup)
		printf("+%llu duplicates, ", (unsigned long long)p->nr_dup);
	if (p->nr_bad)
		printf("+%llu altered, ", (unsigned long long)p->nr_bad);
	if (p->nr_error)
		printf("+%llu errors, ", (unsigned long long)p->nr_error);
	printf("%llu%% loss, time %lld ms\n",
	       (unsigned long long)(p->nr_sent ? lost * 100 / p->nr_sent : 0),
	       (long long)((clock_now_ns() - p->began_ns) / NS_PER_MS));
	if (p->nr_back)
		printf("rtt min/avg/max = %.3f/%.3f/%.3f ms\n", (double)p->min_ns / NS_PER_MS,
		       (double)p->sum_ns / (double)p->nr_back / NS_PER_MS,
		       (double)p->max_ns / NS_PER_MS);
}

static int prepare(struct ping *p)
{
	size_t need = head_len(p) + p->o->size;
	int rc = 0;

	p->frame_max = virtio_net_frame_max(p->net);
	if (need > p->frame_max)
		return refuse(-EMSGSIZE,
			      "%u bytes of data do not fit: %zu do, by the card's MTU of %u",
			      p->o->size, p->frame_max - head_len(p), virtio_net_info(p->net)->mtu);
	p->frame = malloc(p->frame_max);
	p->got = malloc(p->frame_max);
	p->sent_ns = calloc(SEQS, sizeof(*p->sent_ns));
	p->answered = calloc(SEQS, sizeof(*p->answered));
	if (!p->frame || !p->got || !p->sent_ns || !p->answered)
		return refuse(-ENOMEM, "no memory");
	if (getrandom(&p->id, sizeof(p->id), 0) != sizeof(p->id))
		return refuse(-EIO, "no random numbers for an id");
	rc = ping_choose_mac(p);
	if (!rc && p->o->has_address)
		rc = ping_find_peer(p);
	return rc;
}

static int verdict(const struct ping *p)
{
	if (p->nr_sent && p->nr_back == 0 && !p->o->has_address)
		fprintf(stderr,
			"%s: no frame came back: is the backend a loopback? To ping what is behind "
			"it, name an "
			"ADDRESS\n",
			p->who);
	return p->nr_back > 0 && p->nr_bad == 0 ? CLI_EXIT_OK : CLI_EXIT_FAILED;
}

int net_ping(const char *who, struct virtio_net *net, const struct net_ping_options *o,
	     const volatile sig_atomic_t *stop)
{
	struct ping p = {.who = who, .net = net, .o = o, .stop = stop};
	int rc = prepare(&p);

	if (!rc && !*stop) {
		print_head(&p);
		rc = exchange(&p);
		print_summary(&p);
	}
	rc = rc ? own_device_failed(who, rc) : verdict(&p);
	free(p.frame);
	free(p.got);
	free(p.sent_ns);
	free(p.answered);
	return rc;
}
