// SPDX-License-Identifier: BSD-3-Clause
/* Modules that are wrong in one thing each, chosen by CASE; `good` is right in all of them. */
#include <holdfast/parent.h>

#include <stdlib.h>
#include <string.h>

enum {
	GOOD,
	NO_SYMBOL,
	WRONG_ABI,
	SHORT_MODULE,
	BAD_NAME,
	TAKEN_NAME,
	NO_DEV_ADD,
	NO_PROCESS,
	NO_CONFIG,
	MANY_GROUPS,
	NO_VQS,
	NO_SIZE,
	NO_DESC,
	NO_OPS,
	LACKS_OP,
	HALF_PAIR,
	NOTHING,
	TWICE,
	POSITIVE,
	OWN_WORDS,
	KEEPS,
	WRITES_MORE,
	DAMAGES,
	PUSHES_TWICE,
	GIVES_BACK_OLDER,
	READS_NULL,
	TAKES_ONE
};

/* Two chains: whatever is done wrong to the first one, in the end each is pushed once. */
static bool process_pair(struct hf_soft *soft, uint16_t idx)
{
	struct hf_chain chain[2], first;
	char byte;

	if (!hf->soft_pop(soft, idx, &chain[0]) || !hf->soft_pop(soft, idx, &chain[1]))
		return false;
	first = chain[0];
	for (size_t i = 0; CASE == DAMAGES && i < sizeof(first.own) / sizeof(first.own[0]); i++) {
		first = chain[0];
		first.own[i] ^= 0x5555555555555555;
		first.in_len = UINT64_MAX;
		hf->soft_read(&first, 0, &byte, 1);
		hf->soft_write(&first, 0, &byte, 1);
		if (i < 3)
			hf->soft_push(soft, idx, &first, 1);
	}
	if (CASE == PUSHES_TWICE)
		hf->soft_push(soft, idx, &chain[0], 1);
	if (CASE == GIVES_BACK_OLDER)
		hf->soft_unpop(soft, idx, &chain[0]);
	hf->soft_push(soft, idx, &chain[0], 1);
	hf->soft_push(soft, idx, &chain[1], 2);
	hf->soft_push(soft, idx, &chain[1], 2);
	return true;
}

static void process(void *priv, struct hf_soft *soft, uint16_t idx)
{
	struct hf_chain chain;

	if (CASE == DAMAGES || CASE == PUSHES_TWICE || CASE == GIVES_BACK_OLDER) {
		while (process_pair(soft, idx))
			;
		return;
	}
	while (hf->soft_pop(soft, idx, &chain)) {
		if (CASE == READS_NULL)
			chain.in_len = *(volatile char *)priv;
		if (CASE != KEEPS)
			hf->soft_push(soft, idx, &chain,
				      (uint32_t)chain.in_len + (CASE == WRITES_MORE));
		if (CASE == TAKES_ONE)
			return;
	}
}

static struct hf_soft_desc soft_desc(void)
{
	return (struct hf_soft_desc){
		.size = CASE == NO_SIZE ? 0 : sizeof(struct hf_soft_desc),
		.device_id = 4,
		.nvqs = CASE == NO_VQS ? 0 : 1,
		.config_size = CASE == NO_CONFIG ? 8 : 0,
		.ngroups = CASE == MANY_GROUPS ? 4 : 0,
		.process = CASE == NO_PROCESS ? NULL : process,
	};
}

static int add_device(struct hf_add *add)
{
	static struct vdpa_config_ops ops = {.size = sizeof(ops)};
	const struct hf_device_desc desc = {.size = sizeof(desc),
					    .ops = CASE == NO_OPS ? NULL : &ops,
					    .nvqs = 1,
					    .ngroups = 1,
					    .nas = 1};

	if (CASE == HALF_PAIR) { /* all of them, never called, but for one half of a pair */
		void (*filler)(void) = abort;
		char *p = (char *)&ops;

		for (size_t at = sizeof(ops.size); at < sizeof(ops); at += sizeof(filler))
			memcpy(p + at, &filler, sizeof(filler));
		ops.set_map = NULL;
		ops.dma_unmap = NULL;
	}
	return hf->device_add(add, &desc, NULL);
}

static int dev_add(struct hf_add *add, const struct hf_config *config)
{
	const struct hf_soft_desc desc = soft_desc();
	int err;

	switch (CASE) {
	case NO_OPS:
	case LACKS_OP:
	case HALF_PAIR:
		return add_device(add);
	case NO_DESC:
		return hf->soft_add(add, NULL, NULL);
	case NOTHING:
		return 0;
	case POSITIVE:
		return 5;
	case OWN_WORDS:
		return hf->refuse(-22, "%s: no such thing as %s", config->name, config->backend);
	default:
		err = hf->soft_add(add, &desc, NULL);
		return CASE == TWICE && !err ? hf->soft_add(add, &desc, NULL) : err;
	}
}

#if CASE == 1
const struct hf_api *hf;
int (*const not_an_entry)(struct hf_add *add, const struct hf_config *config) = dev_add;
#else
const struct hf_api *hf;
const struct hf_module holdfast_module = {
	.abi = CASE == WRONG_ABI ? HF_ABI + 1 : HF_ABI,
	.size = CASE == SHORT_MODULE ? 16 : sizeof(struct hf_module),
	.api = &hf,
	.name = CASE == BAD_NAME     ? "bad/name"
		: CASE == TAKEN_NAME ? "vdpasim_net"
				     : "bad",
	.device_id = 4,
	.keys = HF_KEYS_SOFT | HF_KEY_BACKEND,
	.dev_add = CASE == NO_DEV_ADD ? NULL : dev_add,
};
#endif
