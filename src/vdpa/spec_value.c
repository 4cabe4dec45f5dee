// SPDX-License-Identifier: BSD-3-Clause
#include "vdpa/spec_value.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/refuse.h"
#include "base/size.h"
#include "memory/hold.h"

static const struct spec_choice on_off[] = {{"on", true}, {"off", false}, {NULL, 0}};
/* Of a field whose name ends in _off. */
static const struct spec_choice off_on[] = {{"on", false}, {"off", true}, {NULL, 0}};
static const struct spec_choice memories[] = {
	{"va", MEMORY_VA}, {"pinned", MEMORY_PINNED}, {NULL, 0}};
static const struct spec_choice memlocks[] = {{"rlimit", false}, {"unlimited", true}, {NULL, 0}};
static const struct spec_choice mappings[] = {{"set_map", VDPA_MAPPING_SET_MAP},
					      {"dma_map", VDPA_MAPPING_DMA_MAP},
					      {"platform", VDPA_MAPPING_PLATFORM},
					      {NULL, 0}};
#define KERNEL_CHOICE(major, minor, release) {"linux-" #major "." #minor, PROFILE_OF(major, minor)},
static const struct spec_choice quirks[] = {{"none", PROFILE_DEFAULT},
					    PROFILE_KERNELS(KERNEL_CHOICE){NULL, 0}};
static const struct spec_choice offers[] = {{"packed", VIRTIO_F_RING_PACKED},
					    {"in_order", VIRTIO_F_IN_ORDER},
					    {"indirect", VIRTIO_RING_F_INDIRECT_DESC},
					    {"ring_reset", VIRTIO_F_RING_RESET},
					    {NULL, 0}};
static const struct spec_choice rebuilds[] = {{"changed", 0}, {"full", 1}, {NULL, 0}};
/* What "all" stands for. Not RING_RESET: it harms guests of QEMU, which resets queues without a
 * word to the device. */
#define OFFER_ALL                                                                                  \
	(1ULL << VIRTIO_F_RING_PACKED | 1ULL << VIRTIO_F_IN_ORDER |                                \
	 1ULL << VIRTIO_RING_F_INDIRECT_DESC)

const struct spec_choice spec_presets[] = {
	{"kernel", SPEC_PRESET_KERNEL}, {"dpdk", SPEC_PRESET_DPDK}, {NULL, 0}};

#define FIELD(f) offsetof(struct vdpa_dev_config, f), sizeof(((struct vdpa_dev_config *)0)->f)

const struct spec_key spec_keys[NR_SPEC_KEYS] = {
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
	{"dirty_log", VDPA_KEY_DIRTY_LOG, KIND_CHOICE, FIELD(dirty_log_off), 0, 0, 0, 0, off_on},
	{"hold", VDPA_KEY_HOLD, KIND_BUDGET, FIELD(hold), MEMORY_PAGE_SIZE, 1ULL << 60, 0, 0, NULL},
	{"mapping", VDPA_KEY_MAPPING, KIND_CHOICE, FIELD(mapping), 0, 0, 0, 0, mappings},
	{"quirks", VDPA_KEY_QUIRKS, KIND_CHOICE, FIELD(profile), 0, 0, 0, 0, quirks},
	{"compat_reset", VDPA_KEY_COMPAT_RESET, KIND_CHOICE, FIELD(compat_reset), 0, 0, 0, 0,
	 on_off},
	{"reset_map", VDPA_KEY_RESET_MAP, KIND_CHOICE, FIELD(reset_map), 0, 0, 0, 0, on_off},
	{"max_iotlb_entries", VDPA_KEY_MAX_IOTLB_ENTRIES, KIND_NUMBER, FIELD(max_iotlb_entries), 2,
	 1u << 24, 0, 0, NULL},
	{"workers", VDPA_KEY_WORKERS, KIND_NUMBER, FIELD(workers), 1, 64, 0, 0, NULL},
	{"vq_size", VDPA_KEY_VQ_SIZE, KIND_POWER_OF_TWO, FIELD(vq_size), 2, 32768, 256, 256, NULL},
	{"capacity", VDPA_KEY_CAPACITY, KIND_SIZE, FIELD(capacity), 512, 1ULL << 60, 128ULL << 20,
	 128ULL << 20, NULL},
	{"num_queues", VDPA_KEY_NUM_QUEUES, KIND_NUMBER, FIELD(num_queues), 1, 256, 1, 0, NULL},
	{"read_only", VDPA_KEY_READ_ONLY, KIND_CHOICE, FIELD(read_only), 0, 0, 0, 0, on_off},
	{"direct", VDPA_KEY_DIRECT, KIND_CHOICE, FIELD(direct), 0, 0, 0, 0, on_off},
	{"io_uring", VDPA_KEY_IO_URING, KIND_CHOICE, FIELD(io_uring_off), 0, 0, 0, 0, off_on},
	{"offer", VDPA_KEY_OFFER, KIND_BITS, FIELD(offer), 0, OFFER_ALL, 0, 0, offers},
	{"model", VDPA_KEY_MODEL, KIND_CHOICE, FIELD(model), 0, 0, 0, 0, on_off},
	{"pci", VDPA_KEY_PCI, KIND_PCI, FIELD(pci), 0, 0, 0, 0, NULL},
	{"rebuild", VDPA_KEY_REBUILD, KIND_CHOICE, FIELD(rebuild), 0, 0, 0, 0, rebuilds},
	{"latency", VDPA_KEY_LATENCY, KIND_TEXT, FIELD(latency), 0, 0, 0, 0, NULL},
	{"parallel", VDPA_KEY_PARALLEL, KIND_NUMBER, FIELD(parallel), 1, 64, 0, 0, NULL},
	{"defer", VDPA_KEY_DEFER, KIND_TEXT, FIELD(defer), 0, 0, 0, 0, NULL},
	{"trace", VDPA_KEY_TRACE, KIND_TEXT, FIELD(trace), 0, 0, 0, 0, NULL},
	{"as", VDPA_KEY_AS, KIND_CHOICE, FIELD(preset), 0, 0, 0, 0, spec_presets},
};

void spec_value_store(struct vdpa_dev_config *config, const struct spec_key *key, uint64_t value)
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

uint64_t spec_value_load(const struct vdpa_dev_config *config, const struct spec_key *key)
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

static int parse_name(const struct spec_key *key, const char *word, struct vdpa_dev_config *config)
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

static int parse_mac(const struct spec_key *key, const char *word, struct vdpa_dev_config *config)
{
	if (!vdpa_mac_parse(word, (uint8_t *)config + key->off))
		return refuse(-ERANGE, "%s \"%s\" is not six bytes like 52:54:00:12:34:56",
			      key->name, word);
	return 0;
}

/* None of what there must be one of is EINVAL, as the kernel has it for max_vqp 0 ([9-3]). */
static int out_of_range(const struct spec_key *key, const char *word)
{
	int err = key->min == 1 && strcmp(word, "0") == 0 ? -EINVAL : -ERANGE;

	return refuse(err, "%s \"%s\" is not a %s from %llu to %llu", key->name, word,
		      key->kind == KIND_POWER_OF_TWO ? "power of two"
		      : key->kind == KIND_SIZE       ? "size (512, 4K, 128M, 1G ...)"
						     : "number",
		      (unsigned long long)key->min, (unsigned long long)key->max);
}

static int parse_number(const struct spec_key *key, const char *word,
			struct vdpa_dev_config *config)
{
	const char *end;
	uint64_t value;

	int err = key->kind >= KIND_SIZE ? size_parse(word, &end, &value)
					 : size_parse_bare(word, &end, &value);

	if (err || *end || value < key->min || value > key->max)
		return out_of_range(key, word);
	if (key->kind == KIND_POWER_OF_TWO && (value & (value - 1)) != 0)
		return out_of_range(key, word);
	spec_value_store(config, key, value);
	return 0;
}

/* "off", "memlock", parts of RLIMIT_MEMLOCK in a hundred, or a size. */
static int parse_budget(const struct spec_key *key, const char *word,
			struct vdpa_dev_config *config)
{
	char *end;
	unsigned long percent = strtoul(word, &end, 10);
	bool is_percent = word[0] >= '1' && word[0] <= '9' && strcmp(end, "%") == 0;

	if (strcmp(word, "off") == 0)
		spec_value_store(config, key, MEMORY_HOLD_OFF);
	else if (strcmp(word, "memlock") == 0)
		spec_value_store(config, key, MEMORY_HOLD_ALL);
	else if (is_percent && percent <= 100)
		spec_value_store(config, key, MEMORY_HOLD_PERCENT(percent));
	else if (is_percent || parse_number(key, word, config))
		return refuse(-ERANGE,
			      "%s \"%s\" is none of: off, memlock, a share of it (1%% to 100%%), a "
			      "size (4K, 64M, 4G ...)",
			      key->name, word);
	return 0;
}

static int parse_choice(const struct spec_key *key, const char *word,
			struct vdpa_dev_config *config)
{
	char words[128] = "";
	size_t len = 0;

	for (const struct spec_choice *c = key->choices; c->word; c++) {
		if (strcmp(c->word, word) == 0) {
			spec_value_store(config, key, c->value);
			return 0;
		}
		len += (size_t)snprintf(words + len, sizeof(words) - len, "%s%s", len ? ", " : "",
					c->word);
	}
	return refuse(-EINVAL, "%s \"%s\" is none of: %s", key->name, word, words);
}

/* Return: the mask of one word, 0 if it is none of them */
static uint64_t bits_of(const struct spec_key *key, const char *word, size_t len)
{
	if (len == 3 && memcmp(word, "all", 3) == 0)
		return key->max;
	for (const struct spec_choice *c = key->choices; c->word; c++)
		if (strlen(c->word) == len && memcmp(c->word, word, len) == 0)
			return 1ULL << c->value;
	return 0;
}

static int parse_bits(const struct spec_key *key, const char *word, struct vdpa_dev_config *config)
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
		spec_value_store(config, key, bits);
		return 0;
	}
	for (const struct spec_choice *c = key->choices; c->word; c++)
		used += (size_t)snprintf(words + used, sizeof(words) - used, "%s, ", c->word);
	return refuse(-EINVAL, "%s \"%s\" is no list, with commas, of: %sall", key->name, word,
		      words);
}

/* Domain, bus, device, function: 0000:3b:00.2 */
static int parse_pci(const struct spec_key *key, const char *word, struct vdpa_dev_config *config)
{
	static const char form[] = "xxxx:xx:xx.o";
	bool fits = strlen(word) == sizeof(form) - 1;

	for (size_t i = 0; fits && form[i]; i++) {
		if (form[i] == 'x')
			fits = hex_digit(word[i]) >= 0;
		else if (form[i] == 'o')
			fits = word[i] >= '0' && word[i] <= '7';
		else
			fits = word[i] == form[i];
	}
	if (!fits)
		return refuse(-EINVAL, "%s \"%s\" is no address like 0000:3b:00.2", key->name,
			      word);
	memcpy((char *)config + key->off, word, sizeof(form));
	return 0;
}

int spec_value_parse(const struct spec_key *key, const char *word, struct vdpa_dev_config *config)
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
	case KIND_PCI:
		return parse_pci(key, word, config);
	}
	return -EINVAL;
}
