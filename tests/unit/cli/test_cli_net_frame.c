// SPDX-License-Identifier: BSD-3-Clause
/* Frames of `holdfast net ping`: what is built is taken apart again, and what is broken is not. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/net_frame.h"

#define DATA 57 /* bytes, odd on purpose */

static const struct net_ends ends = {
	.mac = {2, 0, 0, 0, 0, 1},
	.peer_mac = {2, 0, 0, 0, 0, 2},
	.ip = {0x0100000a},
	.peer_ip = {0x0200000a},
};

/* The Internet's checksum, in the plainest way. */
static void put_checksum(uint8_t *at, const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	at[0] = at[1] = 0;
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	at[0] = (uint8_t)(~sum >> 8);
	at[1] = (uint8_t)~sum;
}

/* An echo request becomes the reply that its receiver would give. */
static size_t make_reply(uint8_t *f)
{
	size_t len;

	for (size_t i = 0; i < DATA; i++)
		f[NET_ECHO_HEAD + i] = (uint8_t)i;
	len = net_frame_echo(f, &ends, 0x1234, 0xfedc, DATA);
	assert_int_equal(len, NET_ECHO_HEAD + DATA);
	assert_memory_equal(f, ends.peer_mac, 6);
	assert_memory_equal(f + 6, ends.mac, 6);
	memcpy(f + NET_ETH_LEN + 12, &ends.peer_ip, 4);
	memcpy(f + NET_ETH_LEN + 16, &ends.ip, 4);
	f[NET_ETH_LEN + NET_IP_LEN] = 0;
	put_checksum(f + 36, f + 34, len - 34);
	return len;
}

static void echo_reply_is_taken_apart(void **state)
{
	uint8_t f[NET_ECHO_HEAD + DATA + 20] = {0};
	struct net_seen seen;
	size_t len = make_reply(f);

	for (size_t pad = 0; pad <= 20; pad++) { /* padding behind the packet is no payload */
		seen = net_frame_parse(f, len + pad);
		assert_int_equal(seen.kind, NET_ECHO_REPLY);
		assert_int_equal(seen.id, 0x1234);
		assert_int_equal(seen.seq, 0xfedc);
		assert_int_equal(seen.ttl, 64);
		assert_int_equal(seen.from.s_addr, ends.peer_ip.s_addr);
		assert_int_equal(seen.wanted.s_addr, ends.ip.s_addr);
		assert_int_equal(seen.payload_len, DATA);
		assert_ptr_equal(seen.payload, f + NET_ECHO_HEAD);
	}
}

static void requests_are_correct_and_no_replies(void **state)
{
	uint8_t f[NET_ECHO_HEAD + DATA], sum[2];

	memset(f, 0x5a, sizeof(f));
	(void)net_frame_echo(f, &ends, 1, 2, DATA);
	assert_int_equal(net_frame_parse(f, sizeof(f)).kind, NET_OTHER);
	memcpy(sum, f + 24, 2);
	put_checksum(f + 24, f + 14, 20);
	assert_memory_equal(sum, f + 24, 2);
	memcpy(sum, f + 36, 2);
	put_checksum(f + 36, f + 34, sizeof(f) - 34);
	assert_memory_equal(sum, f + 36, 2);
}

static void cut_or_changed_frames_are_no_replies(void **state)
{
	uint8_t f[NET_ECHO_HEAD + DATA];
	size_t len = make_reply(f);

	for (size_t cut = 0; cut < len; cut++) {
		/* in memory of its own size, so that a sanitizer sees a byte too far */
		uint8_t *copy = malloc(cut ? cut : 1);

		assert_non_null(copy);
		memcpy(copy, f, cut);
		assert_int_equal(net_frame_parse(copy, cut).kind, NET_OTHER);
		free(copy);
	}
	for (size_t bit = NET_ETH_LEN * 8; bit < len * 8; bit++) {
		f[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(net_frame_parse(f, len).kind, NET_OTHER);
		f[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	f[20] = 0x20; /* more fragments */
	put_checksum(f + 24, f + 14, 20);
	assert_int_equal(net_frame_parse(f, len).kind, NET_OTHER);
	f[20] = 0x40;
	f[14] = 0x4f; /* a header of 60 bytes, longer than the rest is right */
	put_checksum(f + 24, f + 14, 60);
	assert_int_equal(net_frame_parse(f, len).kind, NET_OTHER);
	f[14] = 0x44; /* and one that is too short */
	put_checksum(f + 24, f + 14, 20);
	assert_int_equal(net_frame_parse(f, len).kind, NET_OTHER);
}

static void arp_is_taken_apart(void **state)
{
	uint8_t f[NET_ETH_LEN + NET_ARP_LEN];
	struct net_seen seen;

	assert_int_equal(net_frame_arp(f, &ends, false, false), sizeof(f));
	assert_memory_equal(f, "\xff\xff\xff\xff\xff\xff", 6);
	seen = net_frame_parse(f, sizeof(f));
	assert_int_equal(seen.kind, NET_ARP_REQUEST);
	assert_memory_equal(seen.mac, ends.mac, 6);
	assert_int_equal(seen.from.s_addr, ends.ip.s_addr);
	assert_int_equal(seen.wanted.s_addr, ends.peer_ip.s_addr);
	(void)net_frame_arp(f, &ends, false, true);
	assert_int_equal(net_frame_parse(f, sizeof(f)).from.s_addr, 0);
	(void)net_frame_arp(f, &ends, true, false);
	assert_memory_equal(f, ends.peer_mac, 6);
	seen = net_frame_parse(f, sizeof(f));
	assert_int_equal(seen.kind, NET_ARP_REPLY);
	assert_int_equal(seen.from.s_addr, ends.ip.s_addr);
	for (size_t len = 0; len < sizeof(f); len++)
		assert_int_equal(net_frame_parse(f, len).kind, NET_OTHER);
	for (size_t at = NET_ETH_LEN; at < NET_ETH_LEN + 8; at++) { /* other kinds of address */
		f[at] ^= 0x10;
		assert_int_equal(net_frame_parse(f, sizeof(f)).kind, NET_OTHER);
		f[at] ^= 0x10;
	}
}

static void errors_name_the_echo_that_they_are_about(void **state)
{
	uint8_t f[128] = {0}, quote[NET_ECHO_HEAD];
	struct net_seen seen;
	size_t len = NET_ECHO_HEAD + 28;

	(void)net_frame_echo(quote, &ends, 0x1234, 77, 0);
	(void)net_frame_echo(f, &ends, 0, 0, 28); /* the outer header */
	memcpy(f + 42, quote + 14, 28);
	f[34] = 3;
	f[35] = 1;
	put_checksum(f + 36, f + 34, len - 34);
	seen = net_frame_parse(f, len);
	assert_int_equal(seen.kind, NET_ICMP_ERROR);
	assert_int_equal(seen.type, 3);
	assert_int_equal(seen.code, 1);
	assert_int_equal(seen.id, 0x1234);
	assert_int_equal(seen.seq, 77);
	f[42] = 0x4f; /* the quoted header claims more than there is */
	put_checksum(f + 36, f + 34, len - 34);
	assert_int_equal(net_frame_parse(f, len).kind, NET_OTHER);
}

/* Any bytes at all, with checksums made right so that they come further. */
static void noise_does_no_harm(void **state)
{
	uint32_t seed = 1;

	for (int round = 0; round < 50000; round++) {
		size_t len = seed % 100;
		uint8_t *f = malloc(len + 1);

		assert_non_null(f);
		for (size_t i = 0; i < len; i++) {
			seed = seed * 1664525 + 1013904223;
			f[i] = (uint8_t)(seed >> 24);
		}
		seed = seed * 1664525 + 1013904223;
		if (len > 40) {
			f[12] = 8;
			f[13] = round % 8 == 7 ? 6 : 0;
			f[14] = (uint8_t)(0x40 | (f[14] & 7) | 4);
			f[16] = 0;
			f[20] = f[21] = 0;
			f[23] = 1;
			f[34] = (uint8_t)(round % 3 == 0 ? 3 : round % 3 == 1 ? 0 : 11);
			put_checksum(f + 24, f + 14, 20);
		}
		f = realloc(f, len ? len : 1);
		(void)net_frame_parse(f, len);
		free(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(echo_reply_is_taken_apart),
		cmocka_unit_test(requests_are_correct_and_no_replies),
		cmocka_unit_test(cut_or_changed_frames_are_no_replies),
		cmocka_unit_test(arp_is_taken_apart),
		cmocka_unit_test(errors_name_the_echo_that_they_are_about),
		cmocka_unit_test(noise_does_no_harm),
	};

	return cmocka_run_group_tests_name("cli-net_frame", tests, NULL, NULL);
}
