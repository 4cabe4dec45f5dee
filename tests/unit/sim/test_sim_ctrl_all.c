// SPDX-License-Identifier: BSD-3-Clause
/*
 * Every control command that a driver can think of: class by command by length by contents by
 * layout, against a table written from the virtio standard 1.3, section 5.1.6.5. What is not in the
 * table is answered with VIRTIO_NET_ERR, and every buffer comes back. The standard leaves the
 * framing to the driver (VERSION_1), and puts the answer into the first writable byte.
 */
#include <string.h>

#include "support.h"

#define PAIRS    2
#define CTRL_IDX (2 * PAIRS)
#define NUM      512
#define ALL                                                                                        \
	(BASE_FEATURES | BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_CTRL_RX) |                   \
	 BIT(VIRTIO_NET_F_CTRL_RX_EXTRA) | BIT(VIRTIO_NET_F_CTRL_VLAN) |                           \
	 BIT(VIRTIO_NET_F_CTRL_MAC_ADDR) | BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_MQ) |          \
	 BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) | BIT(VIRTIO_NET_F_CSUM) |                          \
	 BIT(VIRTIO_NET_F_GUEST_CSUM))

enum { ANY_LEN = SIZE_MAX, DATA_MAX = 16384 };

/* ---- the table ---- */

typedef bool (*valid_fn)(const uint8_t *data, size_t len);

static uint64_t le(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = n; i-- > 0;)
		v = v << 8 | p[i];
	return v;
}

static bool anything(const uint8_t *data, size_t len)
{
	(void)data;
	(void)len;
	return true;
}

/* Two lists, each le32 entries and that many addresses, and nothing behind them. */
static bool two_lists(const uint8_t *data, size_t len)
{
	size_t at = 0;

	for (int list = 0; list < 2; list++) {
		uint64_t entries;

		if (len - at < 4)
			return false;
		entries = le(data + at, 4);
		at += 4;
		if (entries > (len - at) / 6)
			return false;
		at += entries * 6;
	}
	return at == len;
}

static bool vlan_id(const uint8_t *data, size_t len)
{
	return le(data, len) < 4096; /* twelve bits */
}

static bool pairs(const uint8_t *data, size_t len)
{
	return le(data, len) >= 1 && le(data, len) <= PAIRS;
}

static bool offloads(const uint8_t *data, size_t len)
{
	return (le(data, len) & ~BIT(VIRTIO_NET_F_GUEST_CSUM)) == 0;
}

static const struct row {
	uint8_t class, cmd;
	size_t len;
	valid_fn valid;
	uint64_t needs; /* feature bits */
} table[] = {
	{0, 0, 1, anything, BIT(18)},           /* PROMISC: CTRL_RX */
	{0, 1, 1, anything, BIT(18)},           /* ALLMULTI */
	{0, 2, 1, anything, BIT(18) | BIT(20)}, /* ALLUNI: CTRL_RX_EXTRA */
	{0, 3, 1, anything, BIT(18) | BIT(20)}, /* NOMULTI */
	{0, 4, 1, anything, BIT(18) | BIT(20)}, /* NOUNI */
	{0, 5, 1, anything, BIT(18) | BIT(20)}, /* NOBCAST */
	{1, 0, ANY_LEN, two_lists, BIT(18)},    /* MAC TABLE_SET */
	{1, 1, 6, anything, BIT(23)},           /* MAC ADDR_SET: CTRL_MAC_ADDR */
	{2, 0, 2, vlan_id, BIT(19)},            /* VLAN ADD: CTRL_VLAN */
	{2, 1, 2, vlan_id, BIT(19)},            /* VLAN DEL */
	{4, 0, 2, pairs, BIT(22)},              /* VQ_PAIRS_SET: MQ */
	{5, 0, 8, offloads, BIT(2)},            /* OFFLOADS_SET: CTRL_GUEST_OFFLOADS */
	/* Not offered, so never negotiated: 3 ANNOUNCE (21), 4 1 RSS (60), 4 2 hash (57), 6
	 * coalescing (53, 52), 8 statistics
	 * (50). */
};

static uint8_t answer(uint64_t features, uint8_t class, uint8_t cmd, const uint8_t *data,
		      size_t len)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const struct row *r = &table[i];

		if (r->class == class && r->cmd == cmd)
			return (features & r->needs) == r->needs &&
					       (r->len == ANY_LEN || r->len == len) &&
					       r->valid(data, len)
				       ? VIRTIO_NET_OK
				       : VIRTIO_NET_ERR;
	}
	return VIRTIO_NET_ERR;
}

/* ---- layouts ---- */

enum layout {
	APART,        /* header, data, answer: as Linux, FreeBSD and NetKVM */
	TOGETHER,     /* header and data in one piece */
	BYTES,        /* a piece a byte, up to 100 of them */
	SPLIT_HEADER, /* class, then command and data */
	LONG_ANSWER,  /* four writable bytes in two pieces: the first is the answer */
	NO_ANSWER,    /* nothing writable */
	INDIRECT,     /* the pieces of APART in a table */
	LAYOUTS
};

static uint8_t cmd_buf[2 + DATA_MAX], ack[4];

static unsigned int add_out(struct rig *rig, struct ring_driver_seg *segs, unsigned int n,
			    size_t from, size_t len)
{
	if (len == 0)
		return n;
	segs[n] = (struct ring_driver_seg){rig_iova(rig, cmd_buf + from), (uint32_t)len};
	return n + 1;
}

static unsigned int fill_out(struct rig *rig, enum layout layout, size_t len,
			     struct ring_driver_seg *segs)
{
	unsigned int n = 0;
	size_t at = 0;

	switch (layout) {
	case TOGETHER:
		return add_out(rig, segs, 0, 0, 2 + len);
	case BYTES:
		while (at < 2 + len && n < 100)
			n = add_out(rig, segs, n, at++, 1);
		return add_out(rig, segs, n, at, 2 + len - at);
	case SPLIT_HEADER:
		n = add_out(rig, segs, 0, 0, 1);
		return add_out(rig, segs, n, 1, 1 + len);
	default:
		n = add_out(rig, segs, 0, 0, 2);
		return add_out(rig, segs, n, 2, len);
	}
}

/* Returns with the buffer back; ack[] is what the device has written, 0x55 where nothing. */
static void command(struct rig *rig, enum layout layout, uint16_t q, size_t len)
{
	static uint8_t indirect[16 * 8] __attribute__((aligned(16)));
	struct ring_driver_seg segs[110];
	unsigned int out = fill_out(rig, layout, len, segs), in = 1;
	uint32_t n;

	memset(ack, 0x55, sizeof(ack));
	segs[out] = (struct ring_driver_seg){rig_iova(rig, ack), 1};
	if (layout == LONG_ANSWER) {
		segs[out + 1] = (struct ring_driver_seg){rig_iova(rig, ack + 1), 3};
		in = 2;
	} else if (layout == NO_ANSWER) {
		in = 0;
	}
	assert_int_equal(ring_driver_add(rig->vq[q].drv, segs, out, in, cmd_buf,
					 layout == INDIRECT ? indirect : NULL,
					 layout == INDIRECT ? rig_iova(rig, indirect) : 0),
			 0);
	rig_publish(rig, q);
	assert_ptr_equal(rig_get(rig, q, &n), cmd_buf);
	assert_int_equal(n, in ? 1 : 0);
	assert_true(ack[1] == 0x55 && ack[2] == 0x55 && ack[3] == 0x55);
}

static void expect(struct rig *rig, enum layout layout, uint16_t q, uint8_t class, uint8_t cmd,
		   const uint8_t *data, size_t len)
{
	uint8_t want = layout == NO_ANSWER ? 0x55 : answer(rig->features, class, cmd, data, len);

	cmd_buf[0] = class;
	cmd_buf[1] = cmd;
	memcpy(cmd_buf + 2, data, len);
	command(rig, layout, q, len);
	if (ack[0] != want)
		fail_msg("class %u command %u with %zu bytes %02x %02x .., layout %d: %u, not %u",
			 class, cmd, len, len ? data[0] : 0, len > 1 ? data[1] : 0, layout, ack[0],
			 want);
}

/* ---- tests ---- */

static void start(struct rig *rig, uint64_t features)
{
	struct vdpa_dev_config config = rig_config();

	config.max_vqp = PAIRS;
	config.vq_size = NUM;
	rig_make(rig, &config);
	rig_start(rig, features, CTRL_IDX + 1, NUM);
}

static void every_command(struct rig *rig, uint16_t q)
{
	static const uint8_t classes[] = {0,  1,  2,  3,  4,  5,  6,   7,   8,   9,   10,
					  11, 12, 13, 15, 16, 31, 127, 128, 200, 254, 255};
	static const uint8_t cmds[] = {0, 1, 2, 3, 4, 5, 6, 7, 127, 255};
	static const uint8_t firsts[] = {0, 1, 2, 3, 0xff};
	static const size_t lens[] = {0,  1,  2,  3,  4,  5,  6,  7,  8,   9,
				      10, 13, 14, 15, 16, 17, 40, 64, 260, 4000};
	static uint8_t data[4000];

	for (size_t c = 0; c < sizeof(classes); c++)
		for (size_t m = 0; m < sizeof(cmds); m++)
			for (size_t l = 0; l < sizeof(lens) / sizeof(lens[0]); l++)
				for (size_t f = 0; f < sizeof(firsts); f++) {
					/* every layout is met by every class, command and length */
					enum layout layout = (c + m + l + f) % LAYOUTS;

					memset(data, firsts[f] == 0xff ? 0xff : 0, sizeof(data));
					data[0] = firsts[f];
					expect(rig, layout, q, classes[c], cmds[m], data, lens[l]);
				}
}

static void every_layout_of_what_is_taken(struct rig *rig, uint16_t q)
{
	static const uint8_t data[20] = {1};

	for (enum layout layout = 0; layout < LAYOUTS; layout++)
		for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
			for (size_t len = 0; len <= sizeof(data); len++)
				expect(rig, layout, q, table[i].class, table[i].cmd, data, len);
}

static void every_command_is_answered_as_the_standard_says(void **state)
{
	static const uint64_t rings[] = {0, BIT(VIRTIO_F_RING_PACKED),
					 BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_RING_F_EVENT_IDX)};
	struct rig rig;

	(void)state;
	for (size_t r = 0; r < sizeof(rings) / sizeof(rings[0]); r++) {
		start(&rig, ALL | rings[r] | BIT(VIRTIO_RING_F_INDIRECT_DESC));
		every_command(&rig, CTRL_IDX);
		every_layout_of_what_is_taken(&rig, CTRL_IDX);
		assert_int_equal(rig_op(&rig, get_status), 0xf);
		rig_destroy(&rig);
	}
}

/* One feature of those that commands need left out at a time, and all of them. */
static void commands_need_their_feature(void **state)
{
	static const unsigned int bits[] = {2, 18, 19, 20, 22, 23};
	const uint64_t base =
		BASE_FEATURES | BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_RING_F_INDIRECT_DESC);
	struct rig rig;

	(void)state;
	for (size_t i = 0; i <= sizeof(bits) / sizeof(bits[0]); i++) {
		bool none = i == sizeof(bits) / sizeof(bits[0]);
		uint64_t features = none ? base : (ALL | base) & ~BIT(bits[i]);

		start(&rig, features);
		every_layout_of_what_is_taken(&rig, features & BIT(VIRTIO_NET_F_MQ) ? CTRL_IDX : 2);
		rig_destroy(&rig);
	}
}

static void chains_without_a_whole_header_come_back(void **state)
{
	struct ring_driver_seg segs[2];
	struct rig rig;
	uint32_t n;

	(void)state;
	start(&rig, ALL);
	for (size_t len = 0; len < 2; len++)
		for (int writable = 0; writable < 2; writable++) {
			unsigned int out = len ? 1 : 0;

			if (!out && !writable)
				continue; /* no chain at all */
			ack[0] = 0x55;
			segs[0] = (struct ring_driver_seg){rig_iova(&rig, cmd_buf), (uint32_t)len};
			segs[out] = (struct ring_driver_seg){rig_iova(&rig, ack), 1};
			assert_int_equal(ring_driver_add(rig.vq[CTRL_IDX].drv, segs, out,
							 writable ? 1 : 0, cmd_buf, NULL, 0),
					 0);
			rig_publish(&rig, CTRL_IDX);
			assert_ptr_equal(rig_get(&rig, CTRL_IDX, &n), cmd_buf);
			assert_int_equal(ack[0], writable ? VIRTIO_NET_ERR : 0x55);
		}
	rig_destroy(&rig);
}

/* Linux sends what its interface has, whatever its number. */
static void mac_tables_of_any_size_are_taken(void **state)
{
	static const size_t sizes[] = {0, 1, 2, 63, 64, 65, 100, 255, 256, 500, 1000};
	static uint8_t data[DATA_MAX];
	const size_t nr = sizeof(sizes) / sizeof(sizes[0]);
	struct rig rig;

	(void)state;
	start(&rig, ALL | BIT(VIRTIO_RING_F_INDIRECT_DESC));
	for (size_t u = 0; u < nr; u++)
		for (size_t m = 0; m < nr; m++) {
			size_t multi = 4 + 6 * sizes[u], len = multi + 4 + 6 * sizes[m];

			memset(data, 2, sizeof(data));
			for (int b = 0; b < 4; b++) {
				data[b] = (uint8_t)(sizes[u] >> (8 * b));
				data[multi + (size_t)b] = (uint8_t)(sizes[m] >> (8 * b));
			}
			for (enum layout layout = 0; layout < LAYOUTS; layout++)
				expect(&rig, layout, CTRL_IDX, 1, 0, data, len);
			/* one byte less, one more */
			expect(&rig, APART, CTRL_IDX, 1, 0, data, len - 1);
			expect(&rig, APART, CTRL_IDX, 1, 0, data, len + 1);
		}
	rig_destroy(&rig);
}

static void vlan_ids_have_twelve_bits(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, ALL);
	for (unsigned int id = 0; id < 65536; id += id < 4200 ? 1 : 97)
		for (uint8_t cmd = 0; cmd < 2; cmd++) {
			const uint8_t data[2] = {(uint8_t)id, (uint8_t)(id >> 8)};

			expect(&rig, APART, CTRL_IDX, 2, cmd, data, 2);
		}
	rig_destroy(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_command_is_answered_as_the_standard_says),
		cmocka_unit_test(commands_need_their_feature),
		cmocka_unit_test(chains_without_a_whole_header_come_back),
		cmocka_unit_test(mac_tables_of_any_size_are_taken),
		cmocka_unit_test(vlan_ids_have_twelve_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
