// SPDX-License-Identifier: BSD-3-Clause
/*
 * SPEC: "key value key value ...", as iproute2's `vdpa dev add` takes it. One table
 * (spec_value.c) says for each key what its value is, which values are allowed, and which of them
 * strict mode allows; the parser knows no key by name but `mgmtdev` and `name`, which decide on the
 * rest. What is wrong comes back as one line with the offending word.
 *
 * `as WORD` is a preset: it stands for a few other words of a SPEC, which one table has. A key that
 * is given beside it must have the preset's value.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/refuse.h"
#include "memory/hold.h"
#include "vdpa/spec_value.h"

#define DEFAULT_MGMTDEV "vdpasim_net"
#define MAX_WORD        256
#define VQ_SIZE_STRICT  256
/* QEMU 10's network card asks for 1024 whatever its options are; QEMU's generic vDPA device takes
 * the number that the device says, and ends the process if it exceeds 1024. */
#define VQ_SIZE_DEFAULT 1024

static const char *const preset_specs[] = {
	[SPEC_PRESET_NONE] = "",
	[SPEC_PRESET_KERNEL] = "quirks linux-6.12 memory pinned",
	[SPEC_PRESET_DPDK] = "offer all vq_size 32768",
};

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

	for (size_t i = 0; i < NR_SPEC_KEYS && len < sizeof(known); i++)
		len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s", i ? ", " : "",
					spec_keys[i].name);
	log_escape(shown, sizeof(shown), spec, strlen(spec));
	/* What does not fit is cut at the end, so what helps most comes first. */
	return refuse(-EINVAL, "unknown key '%.32s': known keys: %s; in \"%s\"", word, known,
		      shown);
}

static const struct spec_key *find_key(const char *word)
{
	for (size_t i = 0; i < NR_SPEC_KEYS; i++)
		if (strcmp(spec_keys[i].name, word) == 0)
			return &spec_keys[i];
	return NULL;
}

static int parse_words(const char *spec, struct vdpa_dev_config *config)
{
	char word[MAX_WORD], value[MAX_WORD];
	const char *p = spec;
	int ret;

	while ((ret = next_word(&p, word)) > 0) {
		const struct spec_key *key = find_key(word);

		if (!key)
			return unknown_key(word, spec);
		if (config->given & key->bit)
			return refuse(-EINVAL, "key '%s' is given twice", word);
		ret = next_word(&p, value);
		if (ret < 0)
			return ret;
		if (ret == 0)
			return refuse(-EINVAL, "key '%s' has no value", word);
		ret = spec_value_parse(key, value, config);
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
		.parallel = 8,
		.defer = "2s",
	};
	memcpy(config->mgmtdev, DEFAULT_MGMTDEV, sizeof(DEFAULT_MGMTDEV));
}

/* A preset's words count as given, so that all checks of them are made. */
static int apply_preset(struct vdpa_dev_config *config)
{
	const char *words = preset_specs[config->preset];
	struct vdpa_dev_config preset = {0};
	int ret = parse_words(words, &preset);

	for (size_t i = 0; !ret && i < NR_SPEC_KEYS; i++) {
		const struct spec_key *key = &spec_keys[i];

		if (!(preset.given & key->bit))
			continue;
		if ((config->given & key->bit) &&
		    spec_value_load(config, key) != spec_value_load(&preset, key))
			return refuse(-EINVAL, "key '%s' conflicts with as %s, which is: %s",
				      key->name, spec_presets[config->preset - 1].word, words);
		spec_value_store(config, key, spec_value_load(&preset, key));
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

	for (size_t i = 0; i < NR_SPEC_KEYS; i++)
		if (config->given & spec_keys[i].bit & ~taken)
			return refuse(-EOPNOTSUPP, "%s takes no key '%s'", mgmt->name,
				      spec_keys[i].name);
	return 0;
}

static int check_strict(const struct vdpa_dev_config *config)
{
	const char *quirks = profile_name(config->profile);

	if ((config->given & VDPA_KEY_DIRTY_LOG) && !config->dirty_log_off)
		return refuse(-EINVAL, "dirty_log on: with quirks %s the only value is off",
			      quirks);
	if ((config->given & VDPA_KEY_HOLD) && config->hold != MEMORY_HOLD_OFF)
		return refuse(-EINVAL, "hold conflicts with quirks %s, whose only value is off",
			      quirks);
	if (config->given & VDPA_KEY_OFFER)
		return refuse(-EINVAL,
			      "offer conflicts with quirks %s: that device offers what the "
			      "kernel's does",
			      quirks);
	for (size_t i = 0; i < NR_SPEC_KEYS; i++) {
		const struct spec_key *key = &spec_keys[i];
		uint64_t value;

		if (!(config->given & key->bit) || key->strict_max == 0)
			continue;
		value = spec_value_load(config, key);
		if (value > key->strict_max || value < key->strict_min)
			return refuse(-EINVAL,
				      "%s %llu conflicts with quirks %s, whose only value is %llu",
				      key->name, (unsigned long long)value, quirks,
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
	bool strict;
	int ret;

	set_defaults(&c);
	ret = parse_words(spec, &c);
	if (!ret)
		ret = apply_preset(&c);
	if (!ret)
		ret = find_mgmt(mgmt, nr_mgmt, c.mgmtdev, &found);
	if (!ret)
		ret = check_keys_taken(found, &c);
	strict = vdpa_config_is_strict(&c);
	if (!ret && strict)
		ret = check_strict(&c);
	if (!ret && found->check)
		ret = found->check(&c);
	if (ret)
		return ret;
	if (!(c.given & VDPA_KEY_NAME))
		snprintf(c.name, sizeof(c.name), "%.16s%u", found->default_name, nth);
	if (strict)
		c.hold = MEMORY_HOLD_OFF;
	if (!(c.given & VDPA_KEY_COMPAT_RESET))
		c.compat_reset = strict;
	if (!(c.given & VDPA_KEY_MAX_IOTLB_ENTRIES))
		c.max_iotlb_entries = strict ? 2048 : IOTLB_MAX_ENTRIES_DEFAULT;
	if (!(c.given & VDPA_KEY_VQ_SIZE))
		c.vq_size = strict ? VQ_SIZE_STRICT : VQ_SIZE_DEFAULT;
	*config = c;
	*out_mgmt = found;
	return 0;
}
