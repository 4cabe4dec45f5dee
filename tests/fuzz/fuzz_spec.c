// SPDX-License-Identifier: BSD-3-Clause
/*
 * The SPEC parser with any text. What it takes must be within the limits that the parents rely on,
 * and what it refuses must have a reason in words and leave the result alone.
 */
#include "fuzz.h"

#include "base/refuse.h"
#include "parents/sim/simblk.h"
#include "parents/sim/simnet.h"
#include "vdpa/mgmt.h"

#define TEXT_MAX  2048
#define UNTOUCHED 0x5a

static const struct vdpa_mgmt_dev *const parents[] = {&simnet_mgmt_dev, &simblk_mgmt_dev};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

static bool is_text(const char *s, size_t room)
{
	return memchr(s, '\0', room) != NULL;
}

static void check_taken(const struct vdpa_dev_config *c, const struct vdpa_mgmt_dev *mgmt)
{
	fuzz_check(mgmt == parents[0] || mgmt == parents[1]);
	fuzz_check(strcmp(mgmt->name, c->mgmtdev) == 0);
	fuzz_check(!(c->given & ~(mgmt->keys | VDPA_KEY_AS)));
	fuzz_check(is_text(c->name, sizeof(c->name)) && c->name[0]);
	fuzz_check(is_text(c->backend, sizeof(c->backend)));
	fuzz_check(c->mtu >= 68);
	fuzz_check(c->max_vqp >= 1 && c->max_vqp <= 64);
	fuzz_check(c->num_queues >= 1 && c->num_queues <= 64);
	fuzz_check(c->workers >= 1 && c->max_iotlb_entries >= 1);
	fuzz_check(c->vq_size >= 2 && (c->vq_size & (c->vq_size - 1)) == 0);
	fuzz_check(!(c->given & VDPA_KEY_CAPACITY) || c->capacity >= 512);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct vdpa_dev_config config, untouched;
	const struct vdpa_mgmt_dev *mgmt = NULL;
	char text[TEXT_MAX];
	size_t len = size < TEXT_MAX ? size : TEXT_MAX - 1;

	memset(&untouched, UNTOUCHED, sizeof(untouched));
	config = untouched;
	if (len > 0)
		memcpy(text, data, len);
	text[len] = '\0';
	refuse_clear();
	if (vdpa_spec_parse(parents, ARRAY_LEN(parents), text, 0, &config, &mgmt) == 0) {
		check_taken(&config, mgmt);
		return 0;
	}
	fuzz_check(refuse_reason()[0] != '\0');
	fuzz_check(mgmt == NULL && memcmp(&config, &untouched, sizeof(config)) == 0);
	return 0;
}
