// SPDX-License-Identifier: BSD-3-Clause
/*
 * SPEC: "key value key value ...", as iproute2's `vdpa dev add` takes it. One table says for each
 * key what its value is, which values are allowed, and which of them strict mode allows; the parser
 * knows no key by name but `mgmtdev` and `name`, which decide on the rest. What is wrong comes back
 * as one line with the offending word.
 *
 * `as WORD` is a preset: it stands for a few other words of a SPEC, which one table has. A key that
 * is given beside it must have the preset's value.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/refuse.h"
#include "memory/hold.h"
#include "vdpa/mgmt.h"

#define DEFAULT_MGMTDEV "vdpasim_net"
#define MAX_WORD        256
#define VQ_SIZE_STRICT  256
/* QEMU 10's network card asks for 1024 whatever its options are; QEMU's generic vDPA device takes
 * the number that the device says, and ends the process if it exceeds 1024. */
#define VQ_SIZE_DEFAULT 1024

enum kind {
	KIND_NAME,
	KIND_TEXT,
	KIND_MAC,
	KIND_NUMBER,
	KIND_POWER_OF_TWO,
	KIND_SIZE,
	KIND_BUDGET,
	KIND_CHOICE,
	KIND_BITS /* words with commas between them; each is a bit */
};

struct choice {
	const char *word;
	unsigned int value;
};

struct key {
	const char *name;
	enum vdpa_key bit;
	enum kind kind;
	size_t off, size;             /* of the field in struct vdpa_dev_config */
	uint64_t min, max;            /* inclusive; numbers. Bits: @max is what "all" is */
	uint64_t strict_max;          /* strict mode's largest value; 0: as max */
	uint64_t strict_min;          /* and its smallest */
	const struct choice *choices; /* ends with a NULL word */
};

static const struct choice on_off[] = {{"on", true}, {"off", false}, {NULL, 0}};
static const struct choice dirty_logs[] = {{"on", false}, {"off", true}, {NULL, 0}};
static const struct choice memories[] = {{"va", MEMORY_VA}, {"pinned", MEMORY_PINNED}, {NULL, 0}};
static const struct choice memlocks[] = {{"rlimit", false}, {"unlimited", true}, {NULL, 0}};
static const struct choice mappings[] = {{"set_map", VDPA_MAPPING_SET_MAP},
					 {"dma_map", VDPA_MAPPING_DMA_MAP},
					 {"platform", VDPA_MAPPING_PLATFORM},
					 {NULL, 0}};
static const struct choice quirks[] = {{"none", false}, {"linux-6.12", true}, {NULL, 0}};
static const struct choice offers[] = {{"packed", VIRTIO_F_RING_PACKED},
				       {"in_order", VIRTIO_F_IN_ORDER},
				       {"indirect", VIRTIO_RING_F_INDIRECT_DESC},
				       {"ring_reset", VIRTIO_F_RING_RESET},
				       {NULL, 0}};
/* What "all" stands for. Not RING_RESET: it harms guests of QEMU, which resets queues without a
 * word to the device. */
#define OFFER_ALL                                                                                  \
	(1ULL << VIRTIO_F_RING_PACKED | 1ULL << VIRTIO_F_IN_ORDER |                                \
	 1ULL << VIRTIO_RING_F_INDIRECT_DESC)

enum { PRESET_NONE, PRESET_KERNEL, PRESET_DPDK };

static const struct choice presets[] = {
	{"kernel", PRESET_KERNEL}, {"dpdk", PRESET_DPDK}, {NULL, 0}};
static const char *const preset_specs[] = {
	[PRESET_NONE] = "",
	[PRESET_KERNEL] = "quirks linux-6.12 memory pinned",
	[PRESET_DPDK] = "offer all vq_size 32768",
};

#define FIELD(f) offsetof(struct vdpa_dev_config, f), sizeof(((struct vdpa_dev_config *)0)->f)

static const struct key keys[] = {
	{"name", VDPA_KEY_NAME, KIND_NAME, FIELD(name), 0, 0, 0, 0, NULL},
	{"mgmtdev", VDPA_KEY_MGMTDEV, KIND_NAME, FIELD(mgmtdev), 0, 0, 0, 0, NULL},
	{"mac", VDPA_KEY_MAC, KIND_MAC, FIELD(mac), 0, 0, 0, 0, NULL},
	{"mtu", VDPA_KEY_MTU, KIND_NUMBER, FIELD(mtu), 68, 65535, 0, 0, NULL},
	{"max_vqp", VDPA_KEY_MAX_VQP, KIND_NUMBER, FIELD(max_vqp), 1, 64, 1, 0, NULL},
	{"device_features", VDPA_KEY_FEATURES, KIND_NUMBER, FIELD(features), 0, UINT64_MAX, 0, 0,
	 NULL},
	{"backend", VDPA_KEY_BACKEND, KIND_TEXT, FIELD(backend), 0, 0, 0, 0, NULL},
	{"memory", VDPA_KEY_MEMORY, KIND_CHOICE, FIELD(memory), 0, 0, 0, 0, memories},
	{"memlock", VDPA_KEY_MEMLOCK, KIND_CHOICE, FIELD(memlock_unlimited), 0, 0, 0, 0, memlocks},
	{"dirty_log", VDPA_KEY_DIRTY_LOG, KIND_CHOICE, FIELD(dirty_log_off), 0, 0, 0, 0,
	 dirty_logs},
	{"hold", VDPA_KEY_HOLD, KIND_BUDGET, FIELD(hold), MEMORY_PAGE_SIZE, 1ULL << 60, 0, 0, NULL},
	{"mapping", VDPA_KEY_MAPPING, KIND_CHOICE, FIELD(mapping), 0, 0, 0, 0, mappings},
	{"quirks", VDPA_KEY_QUIRKS, KIND_CHOICE, FIELD(strict), 0, 0, 0, 0, quirks},
	{"compat_reset", VDPA_KEY_COMPAT_RESET, KIND_CHOICE, FIELD(compat_reset), 0, 0, 0, 0,
	 on_off},
	{"reset_map", VDPA_KEY_RESET_MAP, KIND_CHOICE, FIELD(reset_map), 0, 0, 0, 0, on_off},
	{"max_iotlb_entries", VDPA_KEY_MAX_IOTLB_ENTRIES, KIND_NUMBER, FIELD(max_iotlb_entries), 2,
	 1u << 24, 0, 0, NULL},
	{"workers", VDPA_KEY_WORKERS, KIND_NUMBER, FIELD(workers), 1, 64, 0, 0, NULL},
	{"vq_size", VDPA_KEY_VQ_SIZE, KIND_POWER_OF_TWO, FIELD(vq_size), 2, 32768, 256, 256, NULL},
	{"capacity", VDPA_KEY_CAPACITY, KIND_SIZE, FIELD(capacity), 512, 1ULL << 60, 128ULL << 20,
	 128ULL << 20, NULL},
	{"num_queues", VDPA_KEY_NUM_QUEUES, KIND_NUMBER, FIELD(num_queues), 1, 64, 1, 0, NULL},
	{"read_only", VDPA_KEY_READ_ONLY, KIND_CHOICE, FIELD(read_only), 0, 0, 0, 0, on_off},
	{"offer", VDPA_KEY_OFFER, KIND_BITS, FIELD(offer), 0, OFFER_ALL, 0, 0, offers},
	{"as", VDPA_KEY_AS, KIND_CHOICE, FIELD(preset), 0, 0, 0, 0, presets},
};

/* ---- the value of one key ---- */

static void store(struct vdpa_dev_config *config, const struct key *key, uint64_t value)
{
	void *field = (char *)config + key->off;

	switch (key->size) {
	case 1:
		*(uint8_t *)field = (uint8_t)value;
		break;
	case 2:
		*(uint16_t *)field = (uint16_t)value;
		break;
	case 4:
		*(uint32_t *)field = (uint32_t)value;
		break;
	default:
		*(uint64_t *)field = value;
	}
}

static uint64_t load(const struct vdpa_dev_config *config, const struct key *key)
{
	const void *field = (const char *)config + key->off;

	switch (key->size) {
	case 1:
		return *(const uint8_t *)field;
	case 2:
		return *(const uint16_t *)field;
	case 4:
		return *(const uint32_t *)field;
	default:
		return *(const uint64_t *)field;
	}
}

static int parse_name(const struct key *key, const char *word, struct vdpa_dev_config *config)
{
	size_t len = strlen(word);

	if (len >= key->size)
		return refuse(-ERANGE, "%s \"%s\" is %zu bytes long, at most %zu fit", key->name,
			      word, len, key->size - 1);
	if (key->kind == KIND_NAME)
		for (size_t i = 0; i < len; i++)
			if (word[i] == '/' || word[i] == '"')
				return refuse(-EINVAL, "%s \"%s\" must not contain '%c'", key->name,
					      word, word[i]);
	memcpy((char *)config + key->off, word, len + 1);
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool vdpa_mac_parse(const char *word, uint8_t mac[6])
{
	uint8_t got[6];

	if (strlen(word) != 17)
		return false;
	for (int i = 0; i < 6; i++) {
		int hi = hex_digit(word[3 * i]), lo = hex_digit(word[3 * i + 1]);

		if (hi < 0 || lo < 0 || (i < 5 && word[3 * i + 2] != ':'))
			return false;
		got[i] = (uint8_t)(hi << 4 | lo);
	}
	memcpy(mac, got, sizeof(got));
	return true;
}

static int parse_mac(const struct key *key, const char *word, struct vdpa_dev_config *config)
{
	if (!vdpa_mac_parse(word, (uint8_t *)config + key->off))
		return refuse(-ERANGE, "%s \"%s\" is not six bytes like 52:54:00:12:34:56",
			      key->name, word);
	return 0;
}

/* None of what there must be one of is EINVAL, as the kernel has it for max_vqp 0 ([9-3]). */
static int out_of_range(const struct key *key, const char *word)
{
	int err = key->min == 1 && strcmp(word, "0") == 0 ? -EINVAL : -ERANGE;

	return refuse(err, "%s \"%s\" is not a %s from %llu to %llu", key->name, word,
		      key->kind == KIND_POWER_OF_TWO ? "power of two"
		      : key->kind == KIND_SIZE       ? "size (512, 4K, 128M, 1G ...)"
						     : "number",
		      (unsigned long long)key->min, (unsigned long long)key->max);
}

/* Take a suffix K, M, G or T off *@end into the value. Return: false if it overflows */
static bool scale(unsigned long long *value, char **end)
{
	static const char suffixes[] = "KMGT";
	const char *found = **end ? strchr(suffixes, **end) : NULL;

	if (!found)
		return true;
	(*end)++;
	return !__builtin_mul_overflow(*value, 1ULL << (10 * (found - suffixes + 1)), value);
}

static int parse_number(const struct key *key, const char *word, struct vdpa_dev_config *config)
{
	unsigned long long value;
	char *end;

	if (word[0] < '0' || word[0] > '9')
		return out_of_range(key, word);
	errno = 0;
	value = strtoull(word, &end, 0);
	if (key->kind >= KIND_SIZE && !scale(&value, &end))
		return out_of_range(key, word);
	if (errno || *end != '\0' || value < key->min || value > key->max)
		return out_of_range(key, word);
	if (key->kind == KIND_POWER_OF_TWO && (value & (value - 1)) != 0)
		return out_of_range(key, word);
	store(config, key, value);
	return 0;
}

/* "off", "memlock", parts of RLIMIT_MEMLOCK in a hundred, or a size. */
static int parse_budget(const struct key *key, const char *word, struct vdpa_dev_config *config)
{
	char *end;
	unsigned long percent = strtoul(word, &end, 10);
	bool is_percent = word[0] >= '1' && word[0] <= '9' && strcmp(end, "%") == 0;

	if (strcmp(word, "off") == 0)
		store(config, key, MEMORY_HOLD_OFF);
	else if (strcmp(word, "memlock") == 0)
		store(config, key, MEMORY_HOLD_ALL);
	else if (is_percent && percent <= 100)
		store(config, key, MEMORY_HOLD_PERCENT(percent));
	else if (is_percent || parse_number(key, word, config))
		return refuse(-ERANGE,
			      "%s \"%s\" is none of: off, memlock, a share of it (1%% to 100%%), a "
			      "size (4K, 64M, 4G ...)",
			      key->name, word);
	return 0;
}

static int parse_choice(const struct key *key, const char *word, struct vdpa_dev_config *config)
{
	char words[128] = "";
	size_t len = 0;

	for (const struct choice *c = key->choices; c->word; c++) {
		if (strcmp(c->word, word) == 0) {
			store(config, key, c->value);
			return 0;
		}
		len += (size_t)snprintf(words + len, sizeof(words) - len, "%s%s", len ? ", " : "",
					c->word);
	}
	return refuse(-EINVAL, "%s \"%s\" is none of: %s", key->name, word, words);
}

/* Return: the mask of one word, 0 if it is none of them */
static uint64_t bits_of(const struct key *key, const char *word, size_t len)
{
	if (len == 3 && memcmp(word, "all", 3) == 0)
		return key->max;
	for (const struct choice *c = key->choices; c->word; c++)
		if (strlen(c->word) == len && memcmp(c->word, word, len) == 0)
			return 1ULL << c->value;
	return 0;
}

static int parse_bits(const struct key *key, const char *word, struct vdpa_dev_config *config)
{
	uint64_t bits = 0, one;
	const char *p = word;
	char words[128] = "";
	size_t used = 0;

	while (true) {
		size_t len = strcspn(p, ",");

		one = bits_of(key, p, len);
		bits |= one;
		p += len;
		if (!one || *p == '\0')
			break;
		p++;
	}
	if (one) {
		store(config, key, bits);
		return 0;
	}
	for (const struct choice *c = key->choices; c->word; c++)
		used += (size_t)snprintf(words + used, sizeof(words) - used, "%s, ", c->word);
	return refuse(-EINVAL, "%s \"%s\" is no list, with commas, of: %sall", key->name, word,
		      words);
}

static int parse_value(const struct key *key, const char *word, struct vdpa_dev_config *config)
{
	switch (key->kind) {
	case KIND_NAME:
	case KIND_TEXT:
		return parse_name(key, word, config);
	case KIND_MAC:
		return parse_mac(key, word, config);
	case KIND_NUMBER:
	case KIND_POWER_OF_TWO:
	case KIND_SIZE:
		return parse_number(key, word, config);
	case KIND_BUDGET:
		return parse_budget(key, word, config);
	case KIND_CHOICE:
		return parse_choice(key, word, config);
	case KIND_BITS:
		return parse_bits(key, word, config);
	}
	return -EINVAL;
}

/* ---- words ---- */

/* Next word of *@p into @word, escaped so that it can be printed. Return: 1; 0 at the end; -ERANGE
 * too long. */
static int next_word(const char **p, char word[MAX_WORD])
{
	size_t len;

	*p += strspn(*p, " \t\n");
	len = strcspn(*p, " \t\n");
	if (len == 0)
		return 0;
	if (len >= MAX_WORD)
		return refuse(-ERANGE, "a word of %zu bytes in the device description, at most %d",
			      len, MAX_WORD - 1);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)(*p)[i] < 0x21 || (unsigned char)(*p)[i] > 0x7e)
			return refuse(-EINVAL,
				      "byte 0x%02x in the device description: words are ASCII",
				      (unsigned char)(*p)[i]);
	memcpy(word, *p, len);
	word[len] = '\0';
	*p += len;
	return 1;
}

static int unknown_key(const char *word, const char *spec)
{
	char known[512];
	char shown[160];
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_LEN(keys) && len < sizeof(known); i++)
		len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s", i ? ", " : "",
					keys[i].name);
	log_escape(shown, sizeof(shown), spec, strlen(spec));
	/* What does not fit is cut at the end, so what helps most comes first. */
	return refuse(-EINVAL, "unknown key '%.32s': known keys: %s; in \"%s\"", word, known,
		      shown);
}

static const struct key *find_key(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (strcmp(keys[i].name, word) == 0)
			return &keys[i];
	return NULL;
}

static int parse_words(const char *spec, struct vdpa_dev_config *config)
{
	char word[MAX_WORD], value[MAX_WORD];
	const char *p = spec;
	int ret;

	while ((ret = next_word(&p, word)) > 0) {
		const struct key *key = find_key(word);

		if (!key)
			return unknown_key(word, spec);
		if (config->given & key->bit)
			return refuse(-EINVAL, "key '%s' is given twice", word);
		ret = next_word(&p, value);
		if (ret < 0)
			return ret;
		if (ret == 0)
			return refuse(-EINVAL, "key '%s' has no value", word);
		ret = parse_value(key, value, config);
		if (ret)
			return ret;
		config->given |= key->bit;
	}
	return ret;
}

/* ---- the whole ---- */

static void set_defaults(struct vdpa_dev_config *config)
{
	*config = (struct vdpa_dev_config){
		.mtu = 1500,
		.max_vqp = 1,
		.features = UINT64_MAX,
		.backend = "loopback",
		.memory = MEMORY_VA,
		.hold = MEMORY_HOLD_ALL,
		.mapping = VDPA_MAPPING_SET_MAP,
		.reset_map = true,
		.workers = 1,
		.num_queues = 1,
	};
	memcpy(config->mgmtdev, DEFAULT_MGMTDEV, sizeof(DEFAULT_MGMTDEV));
}

/* A preset's words count as given, so that all checks of them are made. */
static int apply_preset(struct vdpa_dev_config *config)
{
	const char *words = preset_specs[config->preset];
	struct vdpa_dev_config preset = {0};
	int ret = parse_words(words, &preset);

	for (size_t i = 0; !ret && i < ARRAY_LEN(keys); i++) {
		const struct key *key = &keys[i];

		if (!(preset.given & key->bit))
			continue;
		if ((config->given & key->bit) && load(config, key) != load(&preset, key))
			return refuse(-EINVAL, "key '%s' conflicts with as %s, which is: %s",
				      key->name, presets[config->preset - 1].word, words);
		store(config, key, load(&preset, key));
		config->given |= key->bit;
	}
	return ret;
}

static int find_mgmt(const struct vdpa_mgmt_dev *const *mgmt, size_t nr_mgmt, const char *name,
		     const struct vdpa_mgmt_dev **out)
{
	char known[160] = "";
	size_t len = 0;

	for (size_t i = 0; i < nr_mgmt; i++) {
		if (strcmp(mgmt[i]->name, name) == 0) {
			*out = mgmt[i];
			return 0;
		}
		if (len < sizeof(known))
			len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s",
						i ? ", " : "", mgmt[i]->name);
	}
	return refuse(-ENODEV, "unknown mgmtdev '%s': there is %s", name, nr_mgmt ? known : "none");
}

static int check_keys_taken(const struct vdpa_mgmt_dev *mgmt, const struct vdpa_dev_config *config)
{
	uint32_t taken = mgmt->keys | VDPA_KEY_NAME | VDPA_KEY_MGMTDEV | VDPA_KEY_AS;

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (config->given & keys[i].bit & ~taken)
			return refuse(-EOPNOTSUPP, "%s takes no key '%s'", mgmt->name,
				      keys[i].name);
	return 0;
}

static int check_strict(const struct vdpa_dev_config *config)
{
	if ((config->given & VDPA_KEY_DIRTY_LOG) && !config->dirty_log_off)
		return refuse(-EINVAL,
			      "dirty_log on: with quirks linux-6.12 the only value is off");
	if ((config->given & VDPA_KEY_HOLD) && config->hold != MEMORY_HOLD_OFF)
		return refuse(-EINVAL, "hold conflicts with quirks linux-6.12, whose only value "
				       "is off");
	if (config->given & VDPA_KEY_OFFER)
		return refuse(-EINVAL, "offer conflicts with quirks linux-6.12: that device offers "
				       "what the kernel's does");
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const struct key *key = &keys[i];
		uint64_t value;

		if (!(config->given & key->bit) || key->strict_max == 0)
			continue;
		value = load(config, key);
		if (value > key->strict_max || value < key->strict_min)
			return refuse(-EINVAL,
				      "%s %llu conflicts with quirks linux-6.12, whose only value "
				      "is %llu",
				      key->name, (unsigned long long)value,
				      (unsigned long long)key->strict_max);
	}
	return 0;
}

int vdpa_spec_parse(const struct vdpa_mgmt_dev *const *mgmt, size_t nr_mgmt, const char *spec,
		    unsigned int nth, struct vdpa_dev_config *config,
		    const struct vdpa_mgmt_dev **out_mgmt)
{
	const struct vdpa_mgmt_dev *found = NULL;
	struct vdpa_dev_config c;
	int ret;

	set_defaults(&c);
	ret = parse_words(spec, &c);
	if (!ret)
		ret = apply_preset(&c);
	if (!ret)
		ret = find_mgmt(mgmt, nr_mgmt, c.mgmtdev, &found);
	if (!ret)
		ret = check_keys_taken(found, &c);
	if (!ret && c.strict)
		ret = check_strict(&c);
	if (ret)
		return ret;
	if (!(c.given & VDPA_KEY_NAME))
		snprintf(c.name, sizeof(c.name), "%.16s%u", found->default_name, nth);
	if (c.strict)
		c.hold = MEMORY_HOLD_OFF;
	if (!(c.given & VDPA_KEY_COMPAT_RESET))
		c.compat_reset = c.strict;
	if (!(c.given & VDPA_KEY_MAX_IOTLB_ENTRIES))
		c.max_iotlb_entries = c.strict ? 2048 : IOTLB_MAX_ENTRIES_DEFAULT;
	if (!(c.given & VDPA_KEY_VQ_SIZE))
		c.vq_size = c.strict ? VQ_SIZE_STRICT : VQ_SIZE_DEFAULT;
	*config = c;
	*out_mgmt = found;
	return 0;
}
