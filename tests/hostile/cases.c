// SPDX-License-Identifier: BSD-3-Clause
#include "cases.h"

#include <linux/virtio_blk.h>
#include <linux/virtio_net.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

#define LEN(a)   (sizeof(a) / sizeof((a)[0]))
#define INDIRECT (1ULL << 28)
#define CTRL_ALL                                                                                   \
	(1ULL << VIRTIO_NET_F_CTRL_VQ | 1ULL << VIRTIO_NET_F_CTRL_RX |                             \
	 1ULL << VIRTIO_NET_F_CTRL_VLAN | 1ULL << VIRTIO_NET_F_CTRL_RX_EXTRA |                     \
	 1ULL << VIRTIO_NET_F_CTRL_MAC_ADDR | 1ULL << VIRTIO_NET_F_CTRL_GUEST_OFFLOADS |           \
	 1ULL << VIRTIO_NET_F_MQ)
#define OFFLOADS                                                                                   \
	(1ULL << VIRTIO_NET_F_CSUM | 1ULL << VIRTIO_NET_F_GUEST_CSUM |                             \
	 1ULL << VIRTIO_NET_F_GUEST_TSO4 | 1ULL << VIRTIO_NET_F_GUEST_TSO6 |                       \
	 1ULL << VIRTIO_NET_F_HOST_TSO4 | 1ULL << VIRTIO_NET_F_HOST_TSO6)
#define DISK (1ULL << VIRTIO_BLK_F_DISCARD | 1ULL << VIRTIO_BLK_F_WRITE_ZEROES)

#define D (IOVA + DATA)
#define A                                                                                          \
	{                                                                                          \
		IOVA + ANSWER, 1, F_WRITE                                                          \
	}
#define T (IOVA + TABLE)

/* ---- what a chain cannot say ---- */

static void next_to_itself(struct guest *g, unsigned int q)
{
	guest_desc(g, q, 0, D, 16, F_NEXT, 0);
}

static void next_beyond(struct guest *g, unsigned int q)
{
	guest_desc(g, q, 0, D, 16, F_NEXT, NUM);
}

static void head_beyond(struct guest *g, unsigned int q)
{
	guest_avail(g, q, 0, NUM);
}

static void head_most(struct guest *g, unsigned int q)
{
	guest_avail(g, q, 0, 0xffff);
}

static void one_too_many(struct guest *g, unsigned int q)
{
	guest_publish(g, q, NUM + 1);
}

static void half_the_numbers_ahead(struct guest *g, unsigned int q)
{
	guest_publish(g, q, 0x8000);
}

static void index_goes_back(struct guest *g, unsigned int q)
{
	guest_publish(g, q, 0xffff);
}

static void all_linked(struct guest *g, unsigned int q)
{
	for (unsigned int i = 0; i < NUM; i++)
		guest_desc(g, q, i, D, 16, F_NEXT, (uint16_t)i);
}

static void second_not_available(struct guest *g, unsigned int q)
{
	guest_desc(g, q, 1, D, 16, F_RAW, 0);
	guest_desc(g, q, 0, D, 16, F_NEXT, 0);
}

static void second_used_already(struct guest *g, unsigned int q)
{
	guest_desc(g, q, 1, D, 16, F_RAW | 0x8080, 0);
	guest_desc(g, q, 0, D, 16, F_NEXT, 0);
}

static void id_beyond(struct guest *g, unsigned int q)
{
	guest_desc(g, q, 0, D, 16, 0, 0xffff);
}

static void table_nested(struct guest *g, unsigned int q)
{
	guest_table(g, 0, T, 32, F_INDIRECT, 0);
}

static void table_next_beyond(struct guest *g, unsigned int q)
{
	guest_table(g, 0, D, 16, F_NEXT, 2);
}

static void table_loops(struct guest *g, unsigned int q)
{
	guest_table(g, 0, D, 16, F_NEXT, 1);
	guest_table(g, 1, D, 16, F_NEXT, 0);
}

static void table_turns_back(struct guest *g, unsigned int q)
{
	guest_table(g, 0, D, 16, F_WRITE | (g->packed ? 0 : F_NEXT), 1);
	guest_table(g, 1, D, 16, 0, 0);
}

static void table_empty_ones(struct guest *g, unsigned int q)
{
	for (unsigned int i = 0; i < 1024; i++)
		guest_table(g, i, D, 0, i < 1023 && !g->packed ? F_NEXT : 0, (uint16_t)(i + 1));
}

static void table_tiny_ones(struct guest *g, unsigned int q)
{
	for (unsigned int i = 0; i < 1024; i++)
		guest_table(g, i, D + i % 2 * 8, 1, i < 1023 && !g->packed ? F_NEXT : 0,
			    (uint16_t)(i + 1));
}

static void table_flag(struct guest *g, unsigned int q)
{
	guest_table(g, 0, D, 16, 0x8000, 0);
}

/* Every entry of the ring is a table of as many empty ones as there may be. */
static void full_of_tables(struct guest *g, unsigned int q)
{
	table_empty_ones(g, q);
	for (unsigned int i = 0; i < NUM; i++) {
		guest_avail(g, q, i, (uint16_t)i);
		guest_desc(g, q, i, T, 1024 * 16, F_INDIRECT, (uint16_t)i);
	}
	guest_publish(g, q, NUM);
}

/* A thread that writes anything into the areas and the table for a while. */
static void *scribble(void *arg)
{
	struct guest *g = arg;
	uint64_t x = 88172645463325252ULL;

	for (unsigned int i = 0; i < 200000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		g->mem[x % (x & 1 << 20 ? QUEUE_LEN : DATA)] = (uint8_t)(x >> 32);
		if (i % 1000 == 0)
			guest_publish(g, (unsigned int)(x >> 40) % g->nr_queues,
				      (uint16_t)(x >> 48));
	}
	return NULL;
}

static void scribbles(struct guest *g, unsigned int q)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, scribble, g))
		return;
	(void)scribble(g);
	pthread_join(thread, NULL);
}

static void kicks_without_end(struct guest *g, unsigned int q)
{
	for (unsigned int i = 0; i < 20000; i++)
		guest_publish(g, q, 0);
}

/* ---- what is set up wrongly ---- */

#define SET_AREA(name, which, iova)                                                                \
	static void name(struct guest *g)                                                          \
	{                                                                                          \
		for (unsigned int q = 0; q < NQUEUES; q++)                                         \
			g->area[q][which] = iova;                                                  \
	}
SET_AREA(desc_nowhere, 0, IOVA_NONE)
SET_AREA(driver_nowhere, 1, IOVA_NONE)
SET_AREA(device_nowhere, 2, IOVA_NONE)
SET_AREA(device_read_only, 2, IOVA_RO + DATA)
SET_AREA(desc_write_only, 0, IOVA_WO)
SET_AREA(driver_write_only, 1, IOVA_WO)
SET_AREA(desc_over_the_end, 0, IOVA + GUEST_LEN - 16)
SET_AREA(desc_wraps, 0, UINT64_MAX - 15)
SET_AREA(desc_in_two_places, 0, IOVA_TWO + 4096 - 512)
SET_AREA(desc_unaligned, 0, IOVA + DATA + 1)
SET_AREA(device_unaligned, 2, IOVA + DATA + 2)
SET_AREA(device_is_desc, 2, IOVA)
SET_AREA(driver_is_device, 1, IOVA + AREA_DEVICE)

static void no_entries(struct guest *g)
{
	g->num[0] = 0;
}

static void no_power_of_two(struct guest *g)
{
	g->num[0] = 3;
}

static void most_entries(struct guest *g)
{
	g->num[0] = 0xffff;
}

/* ---- the table ---- */

#define CHAIN(name_, on_, q_, expect_, words_, ...)                                                \
	{                                                                                          \
		.name = name_, .on = on_, .q = q_, .expect = expect_, .words = words_,             \
		.answer = -1, .chain = {                                                           \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}
#define RAW(name_, on_, expect_, words_, fn)                                                       \
	{                                                                                          \
		.name = name_, .on = on_, .expect = expect_, .words = words_, .answer = -1,        \
		.chain = {{D, 16, 0}}, .write = fn                                                 \
	}
#define TABLE_OF(name_, on_, expect_, words_, len, flags_, fn)                                     \
	{                                                                                          \
		.name = name_, .on = on_, .expect = expect_, .words = words_, .answer = -1,        \
		.features = INDIRECT, .chain = {{T, len, F_INDIRECT | (flags_)}}, .write = fn      \
	}
#define SETUP(name_, on_, expect_, fn)                                                             \
	{                                                                                          \
		.name = name_, .on = on_, .expect = expect_, .answer = -1, .chain = {{D, 16, 0}},  \
		.set = fn                                                                          \
	}
/* A control command: its bytes, and the answer. */
#define COMMAND(name_, bytes_, answer_)                                                            \
	{                                                                                          \
		.name = name_, .on = NET | SPLIT | PACKED, .q = 2, .expect = COMPLETES,            \
		.features = CTRL_ALL | OFFLOADS, .chain = {{D, sizeof(bytes_) - 1, 0}, A},         \
		.bytes = bytes_, .nr_bytes = sizeof(bytes_) - 1, .answer = answer_                 \
	}
/* A frame with this header. */
#define HEADER(name_, bytes_)                                                                      \
	{                                                                                          \
		.name = name_, .on = NET | SPLIT | PACKED, .q = 1, .expect = COMPLETES,            \
		.features = OFFLOADS, .chain = {{D, 12 + 60, 0}}, .bytes = bytes_,                 \
		.nr_bytes = sizeof(bytes_) - 1, .answer = -1                                       \
	}
/* A disk's request: the bytes of its readable part, up to 3 pieces behind, the status. */
#define REQUEST(name_, len, bytes_, status, ...)                                                   \
	{                                                                                          \
		.name = name_, .on = BLK | SPLIT | PACKED, .expect = COMPLETES, .features = DISK,  \
		.chain = {{D, len, 0}, __VA_ARGS__}, .bytes = bytes_,                              \
		.nr_bytes = sizeof(bytes_) - 1, .answer = status                                   \
	}
#define TYPE(t)   t "\0\0\0\0\0\0\0"
#define SECTOR(s) s
#define S0        "\0\0\0\0\0\0\0\0"
#define S_MOST    "\xff\xff\xff\xff\xff\xff\xff\xff"

const struct hostile hostile_cases[] = {
	/* chains */
	CHAIN("nothing to read", NET | SPLIT | PACKED, 1, COMPLETES, NULL, {D, 64, F_WRITE}),
	CHAIN("readable behind writable", ALL, 0, BREAKS,
	      "readable descriptor after a writable one", {D, 16, F_WRITE}, {D, 16, 0}),
	CHAIN("empty readable behind empty writable", ALL, 0, BREAKS,
	      "readable descriptor after a writable one", {D, 0, F_WRITE}, {D, 0, 0}),
	CHAIN("flag that nobody knows", ALL, 0, BREAKS, "unknown descriptor flag", {D, 16, 0x8}),
	CHAIN("all flags", ALL, 0, BREAKS, "unknown descriptor flag", {D, 16, 0x7f78}),
	CHAIN("table without the feature", ALL, 0, BREAKS,
	      "indirect descriptor without the feature", {T, 16, F_INDIRECT}),
	CHAIN("4 GiB in two", ALL, 0, BREAKS, "chain is longer than 4 GiB", {D, 0x80000000, 0},
	      {D, 0x80000000, 0}),
	CHAIN("4 GiB in one, less a byte", ALL, 0, COMPLETES, NULL, {D, 0xffffffff, 0}),
	CHAIN("not mapped", ALL, 0, COMPLETES, NULL, {IOVA_NONE, 64, 0}),
	CHAIN("wraps around", ALL, 0, COMPLETES, NULL, {UINT64_MAX - 10, 64, 0}),
	CHAIN("address 0", ALL, 0, COMPLETES, NULL, {0, 64, 0}),
	CHAIN("over the end of memory", ALL, 0, COMPLETES, NULL, {IOVA + GUEST_LEN - 8, 64, 0}),
	CHAIN("may not be read", ALL, 0, COMPLETES, NULL, {IOVA_WO + DATA, 64, 0}),
	CHAIN("may not be written", ALL, 0, COMPLETES, NULL, {D, 16, 0},
	      {IOVA_RO + DATA, 64, F_WRITE}),
	CHAIN("empty", ALL, 0, COMPLETES, NULL, {D, 0, 0}),
	CHAIN("empty and nowhere", ALL, 0, COMPLETES, NULL, {IOVA_NONE, 0, 0}),
	RAW("next is itself", BOTH | SPLIT, BREAKS, "chain has a loop", next_to_itself),
	RAW("next is beyond the ring", BOTH | SPLIT, BREAKS, "descriptor index out of range",
	    next_beyond),
	RAW("head is beyond the ring", BOTH | SPLIT, BREAKS, "descriptor index out of range",
	    head_beyond),
	RAW("head is 65535", BOTH | SPLIT, BREAKS, "descriptor index out of range", head_most),
	RAW("one more than entries", BOTH | SPLIT, BREAKS, "available index is too far ahead",
	    one_too_many),
	RAW("index 32768 ahead", BOTH | SPLIT, BREAKS, "available index is too far ahead",
	    half_the_numbers_ahead),
	RAW("index goes back", BOTH | SPLIT, BREAKS, "available index is too far ahead",
	    index_goes_back),
	RAW("all entries linked", BOTH | PACKED, BREAKS, "more descriptors than entries",
	    all_linked),
	RAW("chain goes on unavailable", BOTH | PACKED, BREAKS,
	    "chain runs into a descriptor that is not available", second_not_available),
	RAW("chain goes on used", BOTH | PACKED, BREAKS,
	    "chain runs into a descriptor that is not available", second_used_already),
	RAW("id beyond the ring", BOTH | PACKED, COMPLETES, NULL, id_beyond),
	RAW("kicks without end", ALL, WAITS, NULL, kicks_without_end),
	RAW("areas that change all the time", ALL, ANY, NULL, scribbles),
	/* indirect tables */
	TABLE_OF("table of 0 bytes", ALL, BREAKS, "indirect table length is not a multiple of 16",
		 0, 0, NULL),
	TABLE_OF("table of 17 bytes", ALL, BREAKS, "indirect table length is not a multiple of 16",
		 17, 0, NULL),
	TABLE_OF("table of 4 GiB", ALL, BREAKS, "indirect table is too long", 0xfffffff0, 0, NULL),
	TABLE_OF("table of 1025 entries", ALL, BREAKS, "indirect table is too long", 1025 * 16, 0,
		 NULL),
	TABLE_OF("table with a next", ALL, BREAKS, "indirect descriptor with a next one", 16,
		 F_NEXT, NULL),
	TABLE_OF("table in a table", ALL, BREAKS, "nested indirect table", 32, 0, table_nested),
	TABLE_OF("next is beyond the table", BOTH | SPLIT, BREAKS,
		 "descriptor index out of range in an indirect table", 32, 0, table_next_beyond),
	TABLE_OF("table with a loop", BOTH | SPLIT, BREAKS, "indirect table has a loop", 32, 0,
		 table_loops),
	TABLE_OF("flag that nobody knows in a table", BOTH | SPLIT, BREAKS,
		 "unknown descriptor flag", 16, 0, table_flag),
	TABLE_OF("readable behind writable in a table", ALL, BREAKS,
		 "readable descriptor after a writable one", 32, 0, table_turns_back),
	TABLE_OF("table of 1024 empty ones", ALL, COMPLETES, NULL, 1024 * 16, 0, table_empty_ones),
	TABLE_OF("table of 1024 bytes in 1024 pieces", ALL, COMPLETES, NULL, 1024 * 16, 0,
		 table_tiny_ones),
	TABLE_OF("ring full of tables full of nothing", ALL, COMPLETES, NULL, 1024 * 16, 0,
		 full_of_tables),
	{.name = "table is not mapped",
	 .on = ALL,
	 .expect = COMPLETES,
	 .features = INDIRECT,
	 .chain = {{IOVA_NONE, 16, F_INDIRECT}},
	 .answer = -1},
	{.name = "table may not be read",
	 .on = ALL,
	 .expect = COMPLETES,
	 .features = INDIRECT,
	 .chain = {{IOVA_WO + TABLE, 16, F_INDIRECT}},
	 .answer = -1},
	{.name = "table wraps around",
	 .on = ALL,
	 .expect = COMPLETES,
	 .features = INDIRECT,
	 .chain = {{UINT64_MAX - 7, 16, F_INDIRECT}},
	 .answer = -1},
	/* areas and sizes */
	SETUP("descriptors are not mapped", ALL, WAITS, desc_nowhere),
	SETUP("driver area is not mapped", ALL, WAITS, driver_nowhere),
	SETUP("device area is not mapped", ALL, WAITS, device_nowhere),
	SETUP("device area may not be written", ALL, WAITS, device_read_only),
	SETUP("descriptors may not be read", ALL, WAITS, desc_write_only),
	SETUP("driver area may not be read", ALL, WAITS, driver_write_only),
	SETUP("descriptors go over the end of memory", ALL, WAITS, desc_over_the_end),
	SETUP("descriptors wrap around", ALL, ANY, desc_wraps),
	SETUP("descriptors lie in two places", ALL, WAITS, desc_in_two_places),
	SETUP("descriptors are not aligned", ALL, ANY, desc_unaligned),
	SETUP("device area is not aligned", ALL, ANY, device_unaligned),
	SETUP("device area is the descriptors", ALL, ANY, device_is_desc),
	SETUP("driver area is the device area", ALL, ANY, driver_is_device),
	SETUP("no entries", ALL, REFUSED, no_entries),
	SETUP("3 entries", BOTH | SPLIT, REFUSED, no_power_of_two),
	SETUP("65535 entries", ALL, REFUSED, most_entries),
	/* receive buffers: each is to be completed by a frame, or is not */
	CHAIN("frame of a header", NET | SPLIT | PACKED, 1, COMPLETES, NULL, {D, 12, 0}),
	CHAIN("frame of 11 bytes", NET | SPLIT | PACKED, 1, COMPLETES, NULL, {D, 11, 0}),
	CHAIN("frame of 1 MiB", NET | SPLIT | PACKED, 1, COMPLETES, NULL, {D, 0x100000, 0}),
	CHAIN("frame with a writable part", NET | SPLIT | PACKED, 1, COMPLETES, NULL, {D, 72, 0},
	      {D, 72, F_WRITE}),
	/* offload headers */
	HEADER("all ones", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
	HEADER("checksum behind the frame", "\1\0\0\0\0\0\x30\0\x30\0\0\0"),
	HEADER("checksum at 65535 + 65535", "\1\0\0\0\0\0\xff\xff\xff\xff\0\0"),
	HEADER("segments without a checksum", "\0\1\0\0\x10\0\0\0\0\0\0\0"),
	HEADER("segments of 0 bytes", "\1\1\x36\0\0\0\x22\0\x10\0\0\0"),
	HEADER("header longer than the frame", "\1\1\xff\xff\x10\0\x22\0\x10\0\0\0"),
	HEADER("segments of UDP", "\1\3\x36\0\x10\0\x22\0\x6\0\0\0"),
	HEADER("segments of a kind that nobody knows", "\1\x7f\x36\0\x10\0\x22\0\x10\0\0\0"),
	HEADER("ECN alone", "\1\x80\x36\0\x10\0\x22\0\x10\0\0\0"),
	/* control commands */
	COMMAND("command of one byte", "\0", 1),
	COMMAND("class that nobody knows", "\xff\0\0", 1),
	COMMAND("receive mode that nobody knows", "\0\xff\1", 1),
	COMMAND("receive mode without a value", "\0\0", 1),
	COMMAND("receive mode with too much", "\0\0\1\1", 1),
	COMMAND("address of 5 bytes", "\1\1\2\2\2\2\2", 1),
	COMMAND("address of 7 bytes", "\1\1\2\2\2\2\2\2\2", 1),
	COMMAND("address table without a count", "\1\0", 1),
	COMMAND("address table of 4294967295", "\1\0\xff\xff\xff\xff\0\0\0\0", 1),
	COMMAND("address table of 715827883", "\1\0\xab\xaa\xaa\x2a\0\0\0\0", 1),
	COMMAND("address table that lacks the second list", "\1\0\0\0\0\0", 1),
	COMMAND("address table with bytes behind", "\1\0\0\0\0\0\0\0\0\0\1", 1),
	COMMAND("VLAN 4096", "\2\0\0\x10", 1),
	COMMAND("VLAN command that nobody knows", "\2\2\1\0", 1),
	COMMAND("0 queue pairs", "\4\0\0\0", 1),
	COMMAND("65535 queue pairs", "\4\0\xff\xff", 1),
	COMMAND("offloads that were not negotiated", "\5\0\0\0\0\0\0\0\0\x80", 1),
	COMMAND("offloads of 7 bytes", "\5\0\0\0\0\0\0\0\0", 1),
	CHAIN("command without room for an answer", NET | SPLIT | PACKED, 2, COMPLETES, NULL,
	      {D, 8, 0}),
	CHAIN("command that is not mapped", NET | SPLIT | PACKED, 2, COMPLETES, NULL,
	      {IOVA_NONE, 8, 0}, A),
	CHAIN("answer that may not be written", NET | SPLIT | PACKED, 2, COMPLETES, NULL, {D, 8, 0},
	      {IOVA_RO + ANSWER, 1, F_WRITE}),
	CHAIN("command of 1 MiB", NET | SPLIT | PACKED, 2, COMPLETES, NULL, {D, 0x100000, 0}, A),
	CHAIN("command of nothing", NET | SPLIT | PACKED, 2, COMPLETES, NULL, A),
	/* requests */
	REQUEST("header of 15 bytes", 15, TYPE("\0") S0, 1, {D + 512, 512, F_WRITE}, A),
	REQUEST("header of nothing", 0, "", 1, {D + 512, 512, F_WRITE}, A),
	REQUEST("type that nobody knows", 16, TYPE("\x7f") S0, 2, A),
	REQUEST("type of all ones", 16, S_MOST S_MOST, 2, A),
	REQUEST("read of the last sector there can be", 16, TYPE("\0") S_MOST, 1,
		{D + 512, 512, F_WRITE}, A),
	REQUEST("read of 511 bytes", 16, TYPE("\0") S0, 1, {D + 512, 511, F_WRITE}, A),
	REQUEST("read to nowhere", 16, TYPE("\0") S0, 1, {IOVA_NONE, 512, F_WRITE}, A),
	REQUEST("read to what may not be written", 16, TYPE("\0") S0, 1,
		{IOVA_RO + DATA, 512, F_WRITE}, A),
	REQUEST("write of 511 bytes", 16 + 511, TYPE("\1") S0, 1, A),
	REQUEST("write from nowhere", 16, TYPE("\1") S0, 1, {IOVA_NONE, 512, 0}, A),
	REQUEST("write behind the end", 16 + 512, TYPE("\1") "\0\0\0\x7f\0\0\0\0", 1, A),
	REQUEST("discard of half a range", 16 + 8, TYPE("\xb") S0 S0, 1, A),
	REQUEST("discard of no range", 16, TYPE("\xb") S0, 1, A),
	REQUEST("discard of 17 ranges", 16 + 17 * 16, TYPE("\xb") S0, 1, A),
	REQUEST("discard behind the end", 16 + 16, TYPE("\xb") S0 S_MOST "\1\0\0\0\0\0\0\0", 1, A),
	REQUEST("discard of 4294967295 sectors", 16 + 16,
		TYPE("\xb") S0 S0 "\xff\xff\xff\xff\0\0\0\0", 1, A),
	REQUEST("discard with a flag that nobody knows", 16 + 16,
		TYPE("\xb") S0 S0 "\1\0\0\0\0\0\0\x80", 2, A),
	REQUEST("zeroes in two ranges", 16 + 32, TYPE("\xd") S0 S0, 1, A),
	REQUEST("zeroes of 4294967295 sectors", 16 + 16,
		TYPE("\xd") S0 S0 "\xff\xff\xff\xff\0\0\0\0", 1, A),
	REQUEST("zeroes from nowhere", 16, TYPE("\xd") S0, 1, {IOVA_NONE, 16, 0}, A),
	REQUEST("identity into 3 bytes", 16, TYPE("\x8") S0, 0, {D + 512, 3, F_WRITE}, A),
	CHAIN("request without a status", BLK | SPLIT | PACKED, 0, COMPLETES, NULL, {D, 16, 0}),
	CHAIN("status that is not mapped", BLK | SPLIT | PACKED, 0, COMPLETES, NULL, {D, 16, 0},
	      {D + 512, 512, F_WRITE}, {IOVA_NONE, 1, F_WRITE}),
	CHAIN("header that is not mapped", BLK | SPLIT | PACKED, 0, COMPLETES, NULL,
	      {IOVA_NONE, 16, 0}, {D + 512, 512, F_WRITE}, A),
	CHAIN("all writable", BLK | SPLIT | PACKED, 0, COMPLETES, NULL, {D, 16, F_WRITE}, A),
};

const unsigned int nr_hostile_cases = LEN(hostile_cases);

/* ---- one case ---- */

unsigned int hostile_queue(const struct guest *g, const struct hostile *h)
{
	return !g->blk && (h->on & BLK) ? 1 : h->q;
}

static void write_chain(struct guest *g, const struct hostile *h)
{
	unsigned int n = 0;

	while (n < CHAINS_MAX && (h->chain[n].addr || h->chain[n].len || n == 0))
		n++;
	for (unsigned int i = n; i-- > 0;)
		guest_desc(g, hostile_queue(g, h), i, h->chain[i].addr, h->chain[i].len,
			   h->chain[i].flags | (i + 1 < n ? F_NEXT : 0),
			   g->packed ? 0 : (uint16_t)(i + 1));
}

void hostile_provoke(struct guest *g, const struct hostile *h)
{
	if (h->bytes)
		memcpy(g->mem + DATA, h->bytes, h->nr_bytes);
	g->mem[ANSWER] = 0xee;
	if (hostile_queue(g, h) == 1) { /* somewhere for a frame to go */
		guest_desc(g, 0, 0, D + 0x1000, 2048, F_WRITE, 0);
		guest_avail(g, 0, 0, 0);
		guest_publish(g, 0, 1);
	}
	if (h->write != kicks_without_end)
		write_chain(g, h);
	guest_avail(g, hostile_queue(g, h), 0, 0);
	if (h->write)
		h->write(g, hostile_queue(g, h));
	if (h->write != one_too_many && h->write != half_the_numbers_ahead &&
	    h->write != index_goes_back && h->write != full_of_tables &&
	    h->write != kicks_without_end && h->write != scribbles)
		guest_publish(g, hostile_queue(g, h), 1);
}

bool hostile_fits(const struct guest *g, const struct hostile *h)
{
	unsigned int need = (g->blk ? BLK : NET) | (g->packed ? PACKED : SPLIT);

	if ((h->on & need) != need || h->q >= g->nr_queues)
		return false;
	return !(h->features & ~g->features & INDIRECT);
}

bool hostile_scribbles(const struct hostile *h)
{
	return h->write == scribbles;
}

uint64_t hostile_features(const struct hostile *h)
{
	return h->features | (h->q == 2 ? CTRL_ALL : 0);
}
