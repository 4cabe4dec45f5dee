// SPDX-License-Identifier: BSD-3-Clause
/* The SPEC parser: every key right, misspelt, twice, without value, out of range, and in strict
 * mode. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/refuse.h"
#include "memory/hold.h"
#include "vdpa/mgmt.h"

static const struct vdpa_mgmt_dev net = {
	.name = "vdpasim_net", .device_id = 1, .keys = UINT32_MAX, .default_name = "net"};
static const struct vdpa_mgmt_dev blk = {.name = "vdpasim_blk",
					 .device_id = 2,
					 .keys = VDPA_KEY_MEMORY | VDPA_KEY_QUIRKS,
					 .default_name = "blk"};
static const struct vdpa_mgmt_dev *const table[] = {&net, &blk};

static struct vdpa_dev_config config;
static const struct vdpa_mgmt_dev *mgmt;

static int parse(const char *spec)
{
	memset(&config, 0x5a, sizeof(config));
	mgmt = NULL;
	refuse_clear();
	return vdpa_spec_parse(table, ARRAY_LEN(table), spec, 3, &config, &mgmt);
}

/* Refused, nothing written, and the reason names @what. */
static void refused(const char *spec, int err, const char *what)
{
	int ret = parse(spec);

	if (ret != err || !strstr(refuse_reason(), what))
		fail_msg("\"%s\" gave %d, \"%s\"; wanted %d, \"%s\"", spec, ret, refuse_reason(),
			 err, what);
	assert_null(mgmt);
	assert_int_equal(config.name[0], 0x5a);
}

static void empty_spec_is_the_default_device(void **state)
{
	static const char *const specs[] = {"", "   ", "\n\t "};

	for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
		assert_int_equal(parse(specs[i]), 0);
		assert_ptr_equal(mgmt, &net);
		assert_string_equal(config.name, "net3");
		assert_string_equal(config.mgmtdev, "vdpasim_net");
		assert_string_equal(config.backend, "loopback");
		assert_int_equal(config.given, 0);
		assert_int_equal(config.mtu, 1500);
		assert_int_equal(config.max_vqp, 1);
		assert_true(config.features == UINT64_MAX);
		assert_int_equal(config.memory, MEMORY_VA);
		assert_true(config.hold == MEMORY_HOLD_ALL);
		assert_int_equal(config.mapping, VDPA_MAPPING_SET_MAP);
		assert_int_equal(config.profile, PROFILE_DEFAULT);
		assert_false(config.compat_reset);
		assert_true(config.reset_map);
		assert_int_equal(config.max_iotlb_entries, 1048576);
		assert_int_equal(config.workers, 1);
		assert_int_equal(config.vq_size, 1024);
		assert_true(config.offer == 0);
	}
}

static void full_spec_is_taken_word_by_word(void **state)
{
	static const uint8_t mac[] = {0x52, 0x54, 0x00, 0xAB, 0xcd, 0xef};

	assert_int_equal(
		parse("name n0 mgmtdev vdpasim_net mac 52:54:00:AB:cd:ef mtu 9000 max_vqp 64 "
		      "device_features 0x300000000 backend tap,ifname=tap0 memory pinned memlock "
		      "unlimited "
		      "mapping dma_map quirks none compat_reset on reset_map off "
		      "max_iotlb_entries 4096 workers 4 vq_size 1024"),
		0);
	assert_string_equal(config.name, "n0");
	assert_memory_equal(config.mac, mac, 6);
	assert_int_equal(config.mtu, 9000);
	assert_int_equal(config.max_vqp, 64);
	assert_true(config.features == 0x300000000);
	assert_string_equal(config.backend, "tap,ifname=tap0");
	assert_int_equal(config.memory, MEMORY_PINNED);
	assert_int_equal(config.mapping, VDPA_MAPPING_DMA_MAP);
	assert_true(config.compat_reset);
	assert_false(config.reset_map);
	assert_int_equal(config.max_iotlb_entries, 4096);
	assert_int_equal(config.workers, 4);
	assert_int_equal(config.vq_size, 1024);
	assert_int_equal(config.given, 0xffff);
	assert_int_equal(parse("mapping platform"), 0);
	assert_int_equal(config.mapping, VDPA_MAPPING_PLATFORM);
}

/* One key after the other, with a value that it takes. */
static const char *const good[][2] = {
	{"name", "x"},
	{"mgmtdev", "vdpasim_net"},
	{"mac", "52:54:00:12:34:56"},
	{"mtu", "1500"},
	{"max_vqp", "1"},
	{"device_features", "0"},
	{"backend", "loopback"},
	{"memory", "va"},
	{"memlock", "rlimit"},
	{"mapping", "set_map"},
	{"quirks", "linux-6.12"},
	{"compat_reset", "off"},
	{"reset_map", "on"},
	{"max_iotlb_entries", "2"},
	{"workers", "1"},
	{"vq_size", "256"},
	{"capacity", "128M"},
	{"num_queues", "1"},
	{"read_only", "off"},
	{"hold", "off"},
	{"dirty_log", "off"},
	{"offer", "all"},
	{"as", "dpdk"},
};

static void every_key_misspelt_is_named_with_the_known_ones(void **state)
{
	char spec[128], named[128];

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		size_t len = strlen(good[i][0]);

		/* each letter left out, changed, and one added */
		for (size_t at = 0; at <= len; at++)
			for (int how = 0; how < 3; how++) {
				char word[64];

				if (how < 2 && at == len)
					continue;
				snprintf(word, sizeof(word), "%.*s%s%s", (int)at, good[i][0],
					 how ? "Q" : "", good[i][0] + at + (how == 2 ? 0 : 1));
				snprintf(spec, sizeof(spec), "%s %s", word, good[i][1]);
				snprintf(named, sizeof(named), "unknown key '%.32s':", word);
				refused(spec, -EINVAL, named);
				for (size_t k = 0; k < ARRAY_LEN(good); k++)
					assert_non_null(strstr(refuse_reason(), good[k][0]));
			}
	}
}

static void hold_takes_a_size_a_share_or_a_word(void **state)
{
	static const struct {
		const char *word;
		uint64_t bytes;
	} good_words[] = {
		{"off", MEMORY_HOLD_OFF},
		{"memlock", MEMORY_HOLD_ALL},
		{"100%", MEMORY_HOLD_ALL},
		{"1%", MEMORY_HOLD_PERCENT(1)},
		{"4096", 4096},
		{"64M", UINT64_C(64) << 20},
		{"4G", UINT64_C(4) << 30},
	};
	static const char *const bad_words[] = {"on",  "0",    "0%", "101%",     "-1%", "4095",
						"1%%", "50%G", "4X", "2000000T", "%"};
	char spec[64];

	for (size_t i = 0; i < ARRAY_LEN(good_words); i++) {
		snprintf(spec, sizeof(spec), "hold %s", good_words[i].word);
		assert_int_equal(parse(spec), 0);
		assert_true(config.hold == good_words[i].bytes);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad_words); i++) {
		snprintf(spec, sizeof(spec), "hold %s", bad_words[i]);
		refused(spec, -ERANGE, "off, memlock, a share of it (1% to 100%), a size");
		assert_non_null(strstr(refuse_reason(), bad_words[i]));
	}
}

static void every_key_twice_or_without_value_is_named(void **state)
{
	char spec[128], named[128];

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		snprintf(spec, sizeof(spec), "%s %s", good[i][0], good[i][1]);
		assert_int_equal(parse(spec), 0);
		snprintf(spec, sizeof(spec), "%s %s %s %s", good[i][0], good[i][1], good[i][0],
			 good[i][1]);
		snprintf(named, sizeof(named), "key '%s' is given twice", good[i][0]);
		refused(spec, -EINVAL, named);
		snprintf(spec, sizeof(spec), "%s", good[i][0]);
		snprintf(named, sizeof(named), "key '%s' has no value", good[i][0]);
		refused(spec, -EINVAL, named);
	}
}

static void numbers_out_of_range_name_value_and_range(void **state)
{
	static const struct {
		const char *key;
		uint64_t min, max;
	} numbers[] = {
		{"mtu", 68, 65535}, {"max_vqp", 1, 64},    {"max_iotlb_entries", 2, 1 << 24},
		{"workers", 1, 64}, {"vq_size", 2, 32768}, {"num_queues", 1, 256},
	};
	static const char *const never[] = {"-1",
					    "+1",
					    "x",
					    "1x",
					    "0x",
					    "1.5",
					    "18446744073709551616",
					    "99999999999999999999999"};
	char spec[128], range[64];

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		snprintf(range, sizeof(range), "from %llu to %llu",
			 (unsigned long long)numbers[i].min, (unsigned long long)numbers[i].max);
		snprintf(spec, sizeof(spec), "%s %llu", numbers[i].key,
			 (unsigned long long)numbers[i].min);
		assert_int_equal(parse(spec), 0);
		snprintf(spec, sizeof(spec), "%s %#llx", numbers[i].key,
			 (unsigned long long)numbers[i].max);
		assert_int_equal(parse(spec), 0);
		snprintf(spec, sizeof(spec), "%s %llu", numbers[i].key,
			 (unsigned long long)numbers[i].min - 1);
		/* none of what there must be one of: [9-3], max_vqp 0 */
		refused(spec, numbers[i].min == 1 ? -EINVAL : -ERANGE, range);
		snprintf(spec, sizeof(spec), "%s %llu", numbers[i].key,
			 (unsigned long long)numbers[i].max + 1);
		refused(spec, -ERANGE, range);
		for (size_t k = 0; k < ARRAY_LEN(never); k++) {
			snprintf(spec, sizeof(spec), "%s %s", numbers[i].key, never[k]);
			refused(spec, -ERANGE, never[k]);
		}
	}
	refused("vq_size 300", -ERANGE, "power of two");
	assert_int_equal(parse("device_features 0xffffffffffffffff"), 0);
	refused("device_features 0x10000000000000000", -ERANGE, "0x10000000000000000");
}

static void words_out_of_the_list_name_the_list(void **state)
{
	refused("memory Va", -EINVAL, "memory \"Va\" is none of: va, pinned");
	refused("mapping both", -EINVAL, "set_map, dma_map, platform");
	refused("quirks linux", -EINVAL, "is none of: none, linux-6.12, linux-7.2");
	refused("compat_reset yes", -EINVAL, "on, off");
	refused("reset_map 1", -EINVAL, "on, off");
}

static void offer_takes_words_with_commas(void **state)
{
	static const struct {
		const char *words;
		uint64_t bits;
	} lists[] = {
		{"packed", 1ULL << 34},
		{"in_order", 1ULL << 35},
		{"indirect", 1ULL << 28},
		{"packed,indirect", 1ULL << 34 | 1ULL << 28},
		{"indirect,in_order,packed", 1ULL << 34 | 1ULL << 35 | 1ULL << 28},
		{"all", 1ULL << 34 | 1ULL << 35 | 1ULL << 28},
		{"ring_reset", 1ULL << 40},
		{"all,ring_reset", 1ULL << 34 | 1ULL << 35 | 1ULL << 28 | 1ULL << 40},
	};
	static const char *const bad[] = {
		"none",           "packed,", ",packed", "packed,,indirect", "Packed",
		"packed,inorder", "pack",    "allx",    "packed;",          "packed,in_order,"};
	char spec[64];

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		snprintf(spec, sizeof(spec), "offer %s", lists[i].words);
		assert_int_equal(parse(spec), 0);
		assert_true(config.offer == lists[i].bits);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(spec, sizeof(spec), "offer %s", bad[i]);
		refused(spec, -EINVAL, bad[i]);
		refused(spec, -EINVAL, "packed, in_order, indirect, ring_reset, all");
	}
}

/* `as` is what its words are, and no word beside it may say otherwise. */
static void presets_stand_for_words(void **state)
{
	struct vdpa_dev_config words;

	assert_int_equal(parse("quirks linux-6.12 memory pinned"), 0);
	words = config;
	assert_int_equal(parse("as kernel"), 0);
	assert_int_equal(config.profile, PROFILE_LINUX_6_12);
	assert_int_equal(config.memory, MEMORY_PINNED);
	assert_true(config.compat_reset == words.compat_reset && config.hold == words.hold &&
		    config.max_iotlb_entries == words.max_iotlb_entries &&
		    config.vq_size == words.vq_size && config.offer == words.offer);
	assert_int_equal(config.given, words.given | VDPA_KEY_AS);
	assert_int_equal(parse("memory pinned as kernel mac 52:54:00:12:34:56"), 0);
	refused("memory va as kernel", -EINVAL, "key 'memory' conflicts with as kernel");
	refused("as kernel quirks none", -EINVAL, "quirks linux-6.12 memory pinned");
	refused("as kernel vq_size 1024", -EINVAL, "vq_size 1024 conflicts");
	refused("as kernel offer packed", -EINVAL, "offer conflicts with quirks linux-6.12");

	assert_int_equal(parse("as dpdk"), 0);
	assert_true(config.offer == (1ULL << 34 | 1ULL << 35 | 1ULL << 28));
	assert_int_equal(config.vq_size, 32768);
	refused("offer packed as dpdk", -EINVAL, "key 'offer' conflicts with as dpdk");
	refused("as dpdk quirks linux-6.12", -EINVAL, "offer conflicts with quirks linux-6.12");
	refused("as qemu", -EINVAL, "as \"qemu\" is none of: kernel, dpdk");
	refused("mgmtdev vdpasim_blk as dpdk", -EOPNOTSUPP, "vdpasim_blk takes no key");
	assert_int_equal(parse("mgmtdev vdpasim_blk as kernel"), 0);
}

static void sizes_take_one_suffix(void **state)
{
	static const struct {
		const char *word;
		uint64_t bytes;
	} good_sizes[] = {
		{"512", 512},       {"0x400", 1024},    {"1K", 1024}, {"128M", 128 << 20},
		{"3G", 3ULL << 30}, {"1T", 1ULL << 40}, {"1k", 1024},
	};
	static const char *const bad[] = {"511", "0K", "1MB", "1KK",      "K",
					  "1 M", "1P", "-1M", "2097152T", "18446744073709551615K"};
	char spec[64];

	for (size_t i = 0; i < ARRAY_LEN(good_sizes); i++) {
		snprintf(spec, sizeof(spec), "capacity %s", good_sizes[i].word);
		assert_int_equal(parse(spec), 0);
		assert_true(config.capacity == good_sizes[i].bytes);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(spec, sizeof(spec), "capacity %s", bad[i]);
		if (strcmp(bad[i], "1 M") == 0)
			refused(spec, -ERANGE, "capacity \"1\"");
		else
			refused(spec, -ERANGE, "is not a size (512, 4K, 128M, 1G ...)");
	}
	refused("mtu 1K", -ERANGE, "is not a number");
	assert_int_equal(parse("num_queues 4 read_only on"), 0);
	assert_int_equal(config.num_queues, 4);
	assert_true(config.read_only);
}

static void macs_are_six_bytes(void **state)
{
	static const char *const bad[] = {"52:54:00:12:34",       "52:54:00:12:34:5",
					  "52:54:00:12:34:56:78", "52-54-00-12-34-56",
					  "5g:54:00:12:34:56",    "525400123456",
					  "52:54:00:12:34:5 6",   ":::::::::::::::::"};
	char spec[64];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(spec, sizeof(spec), "mac %s", bad[i]);
		refused(spec, -ERANGE, "six bytes");
	}
}

static void names_are_bounded(void **state)
{
	char spec[600], word[512];

	assert_int_equal(parse("name 1234567890123456789012345678901"), 0); /* 31 */
	refused("name 12345678901234567890123456789012", -ERANGE, "32 bytes");
	refused("name a/b", -EINVAL, "'/'");
	memset(word, 'x', sizeof(word));
	word[255] = '\0';
	snprintf(spec, sizeof(spec), "backend %s", word);
	assert_int_equal(parse(spec), 0);
	word[255] = 'x';
	word[256] = '\0';
	snprintf(spec, sizeof(spec), "backend %s", word);
	refused(spec, -ERANGE, "256 bytes");
	refused("name \x01", -EINVAL, "byte 0x01");
	refused("\xff name", -EINVAL, "byte 0xff");
}

static void mgmtdev_decides_on_the_keys(void **state)
{
	refused("mgmtdev vdpasim_nett", -ENODEV,
		"unknown mgmtdev 'vdpasim_nett': there is vdpasim_net, "
		"vdpasim_blk");
	refused("mgmtdev vdpasim_blk mac 52:54:00:12:34:56", -EOPNOTSUPP,
		"vdpasim_blk takes no key 'mac'");
	refused("mtu 1500 mgmtdev vdpasim_blk", -EOPNOTSUPP, "'mtu'");
	assert_int_equal(parse("mgmtdev vdpasim_blk memory pinned name b"), 0);
	assert_ptr_equal(mgmt, &blk);
	assert_int_equal(parse("mgmtdev vdpasim_blk"), 0);
	assert_string_equal(config.name, "blk3");
}

static void strict_mode_is_the_kernels_device(void **state)
{
	assert_int_equal(parse("quirks linux-6.12"), 0);
	assert_int_equal(config.profile, PROFILE_LINUX_6_12);
	assert_true(config.compat_reset);
	assert_int_equal(config.max_iotlb_entries, 2048);
	assert_int_equal(config.vq_size, 256);
	assert_int_equal(parse("compat_reset off quirks linux-6.12 max_iotlb_entries 9"), 0);
	assert_false(config.compat_reset);
	assert_int_equal(config.max_iotlb_entries, 9);
	assert_int_equal(parse("quirks linux-6.12 max_vqp 1 vq_size 256"), 0);
	assert_int_equal(parse("quirks linux-6.12 hold off"), 0);
	assert_true(config.hold == MEMORY_HOLD_OFF);
	assert_int_equal(parse("quirks linux-6.12 dirty_log off"), 0);
	refused("dirty_log on quirks linux-6.12", -EINVAL, "only value is off");
	refused("dirty_log maybe", -EINVAL, "maybe");
	refused("hold 4G quirks linux-6.12", -EINVAL, "only value is off");
	refused("quirks linux-6.12 max_vqp 2", -EINVAL,
		"max_vqp 2 conflicts with quirks linux-6.12");
	refused("vq_size 512 quirks linux-6.12", -EINVAL, "vq_size 512 conflicts");
	refused("vq_size 128 quirks linux-6.12", -EINVAL, "vq_size 128 conflicts");
	assert_int_equal(parse("quirks none max_vqp 2 vq_size 512"), 0);
	assert_int_equal(parse("quirks linux-6.12 capacity 128M num_queues 1"), 0);
	refused("quirks linux-6.12 capacity 64M", -EINVAL, "capacity 67108864 conflicts");
	refused("quirks linux-6.12 num_queues 2", -EINVAL, "num_queues 2 conflicts");
}

/* Every kernel's device has the same limits, and the words of a refusal name the kernel. */
static void every_kernel_of_the_list_is_a_strict_mode(void **state)
{
	char spec[64], words[64];

	for (unsigned int i = PROFILE_DEFAULT + 1; i < PROFILE_NR; i++) {
		const char *name = profile_name((enum profile)i);

		snprintf(spec, sizeof(spec), "quirks %s", name);
		assert_int_equal(parse(spec), 0);
		assert_int_equal(config.profile, i);
		assert_true(config.compat_reset && config.hold == MEMORY_HOLD_OFF);
		assert_int_equal(config.max_iotlb_entries, 2048);
		assert_int_equal(config.vq_size, 256);
		snprintf(words, sizeof(words), "conflicts with quirks %s", name);
		snprintf(spec, sizeof(spec), "max_vqp 2 quirks %s", name);
		refused(spec, -EINVAL, words);
		snprintf(spec, sizeof(spec), "offer all quirks %s", name);
		refused(spec, -EINVAL, words);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_spec_is_the_default_device),
		cmocka_unit_test(full_spec_is_taken_word_by_word),
		cmocka_unit_test(hold_takes_a_size_a_share_or_a_word),
		cmocka_unit_test(every_key_misspelt_is_named_with_the_known_ones),
		cmocka_unit_test(every_key_twice_or_without_value_is_named),
		cmocka_unit_test(numbers_out_of_range_name_value_and_range),
		cmocka_unit_test(words_out_of_the_list_name_the_list),
		cmocka_unit_test(offer_takes_words_with_commas),
		cmocka_unit_test(presets_stand_for_words),
		cmocka_unit_test(sizes_take_one_suffix),
		cmocka_unit_test(macs_are_six_bytes),
		cmocka_unit_test(names_are_bounded),
		cmocka_unit_test(mgmtdev_decides_on_the_keys),
		cmocka_unit_test(strict_mode_is_the_kernels_device),
		cmocka_unit_test(every_kernel_of_the_list_is_a_strict_mode),
	};

	return cmocka_run_group_tests_name("vdpa-spec", tests, NULL, NULL);
}
