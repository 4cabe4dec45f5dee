/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Steps as text: NAME ARG=VALUE... in the order of random_ops[], all arguments present.
 */
#include "check/random.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const get_words[] = {"features",  "backend",    "device_id",   "status",
					"ring_max",  "iova_range", "config_size", "as_num",
					"group_num", "vqs",        "fork",        NULL};
static const char *const fd_words[] = {"own", "hot", "none", "bad", "pipe", NULL};
static const char *const file_words[] = {"kick", "call", "err", NULL};
static const char *const vring_words[] = {"group", "desc_group", "size", "busyloop", NULL};
static const char *const post_words[] = {"plain",  "multicast", "self",     "other",
					 "turned", "short",     "indirect", NULL};

#define NUM(n)                                                                                     \
	{                                                                                          \
		n, TYPE_NUM, NULL                                                                  \
	}
#define HEX(n)                                                                                     \
	{                                                                                          \
		n, TYPE_HEX, NULL                                                                  \
	}
#define IOVA                                                                                       \
	{                                                                                          \
		"iova", TYPE_IOVA, NULL                                                            \
	}
#define UADDR                                                                                      \
	{                                                                                          \
		"uaddr", TYPE_UADDR, NULL                                                          \
	}
#define WORD(n, w)                                                                                 \
	{                                                                                          \
		n, TYPE_WORD, w                                                                    \
	}

const struct random_op_info random_ops[OP_NR] = {
	[OP_OPEN] = {"open", {{0}}},
	[OP_CLOSE] = {"close", {{0}}},
	[OP_OWNER] = {"owner", {{0}}},
	[OP_GET] = {"get", {WORD("what", get_words)}},
	[OP_SET_FEATURES] = {"set_features", {HEX("mask")}},
	[OP_SET_BACKEND] = {"set_backend", {HEX("mask")}},
	[OP_SET_STATUS] = {"set_status", {HEX("value")}},
	[OP_GET_CONFIG] = {"get_config", {NUM("off"), NUM("len")}},
	[OP_SET_CONFIG] = {"set_config", {NUM("off"), NUM("len"), HEX("fill")}},
	[OP_CONFIG_CALL] = {"config_call", {WORD("fd", fd_words)}},
	[OP_SUSPEND] = {"suspend", {{0}}},
	[OP_RESUME] = {"resume", {{0}}},
	[OP_NUM] = {"vring_num", {NUM("q"), NUM("num")}},
	[OP_BASE] = {"vring_base", {NUM("q"), NUM("num")}},
	[OP_ADDR] = {"vring_addr",
		     {NUM("q"), NUM("slot"), HEX("flags"), NUM("avail"), NUM("used")}},
	[OP_GET_BASE] = {"get_base", {NUM("q")}},
	[OP_ENABLE] = {"enable", {NUM("q"), NUM("on")}},
	[OP_VRING_GET] = {"vring_get", {NUM("q"), WORD("what", vring_words)}},
	[OP_GROUP_ASID] = {"group_asid", {NUM("group"), NUM("asid")}},
	[OP_FILE] = {"vring_file", {NUM("q"), WORD("what", file_words), WORD("fd", fd_words)}},
	[OP_BUSYLOOP] = {"busyloop", {NUM("q"), NUM("us")}},
	[OP_MEM_TABLE] = {"mem_table", {{0}}},
	[OP_SET_FORK] = {"set_fork", {NUM("value")}},
	[OP_IOCTL] = {"ioctl", {HEX("nr"), NUM("size"), NUM("q")}},
	[OP_UPDATE] = {"update", {NUM("v"), NUM("asid"), IOVA, HEX("size"), UADDR, NUM("perm")}},
	[OP_INVALIDATE] = {"invalidate", {NUM("v"), NUM("asid"), IOVA, HEX("size")}},
	[OP_BEGIN] = {"begin", {NUM("v"), NUM("asid")}},
	[OP_END] = {"end", {NUM("v"), NUM("asid")}},
	[OP_MESSAGE] = {"message", {NUM("outer"), NUM("type"), NUM("len")}},
	[OP_MMAP] = {"mmap", {NUM("page"), NUM("len"), NUM("prot")}},
	[OP_RING] = {"ring", {NUM("q"), NUM("num"), NUM("start"), NUM("slot")}},
	[OP_POST] = {"post",
		     {NUM("q"), NUM("buf"), NUM("len"), NUM("parts"), WORD("kind", post_words)}},
	[OP_FLAGS] = {"flags", {NUM("q"), NUM("value")}},
	[OP_KICK] = {"kick", {NUM("q")}},
};

static const char region_letter[] = "ATWMRPH";

static int print_arg(char *line, size_t room, const struct random_arg *arg, uint64_t value)
{
	switch (arg->type) {
	case TYPE_NUM:
		return snprintf(line, room, " %s=%" PRIu64, arg->name, value);
	case TYPE_HEX:
		return snprintf(line, room, " %s=%#" PRIx64, arg->name, value);
	case TYPE_WORD:
		return snprintf(line, room, " %s=%s", arg->name, arg->words[value]);
	default:
		return snprintf(line, room, " %s=%c%c%#" PRIx64, arg->name,
				region_letter[random_region_of(value)],
				random_region_of(value) == AT_TOP ? '-' : '+',
				random_off_of(value));
	}
}

void random_print(const struct random_step *step, char *line)
{
	const struct random_op_info *info = &random_ops[step->op];
	int n = snprintf(line, RANDOM_LINE, "%s", info->name);

	for (unsigned i = 0; i < RANDOM_ARGS && info->arg[i].type != TYPE_NONE; i++)
		n += print_arg(line + n, RANDOM_LINE - (size_t)n, &info->arg[i], step->arg[i]);
}

static int parse_number(const char *text, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	return errno || *end || end == text || *text == '-' ? -EINVAL : 0;
}

static int parse_word(const char *text, const struct random_arg *arg, uint64_t *value)
{
	for (*value = 0; arg->words[*value]; ++*value)
		if (!strcmp(text, arg->words[*value]))
			return 0;
	return -EINVAL;
}

/* A device address is A, T or W; client memory the others, or A. */
static int parse_address(const char *text, enum random_type type, uint64_t *value)
{
	const char *letter = *text ? strchr(region_letter, *text) : NULL;
	enum random_region region = letter ? (enum random_region)(letter - region_letter) : AT_NR;
	bool device = region == AT_TOP || region == AT_WINDOW;

	if (!letter || text[1] != (region == AT_TOP ? '-' : '+') || parse_number(text + 2, value))
		return -EINVAL;
	if (*value >> 56 || (region != AT_ABS && device != (type == TYPE_IOVA)))
		return -EINVAL;
	*value = random_at(region, *value);
	return 0;
}

static int parse_arg(char *word, const struct random_arg *arg, uint64_t *value)
{
	size_t len = strlen(arg->name);

	if (!word || strncmp(word, arg->name, len) || word[len] != '=')
		return -EINVAL;
	word += len + 1;
	switch (arg->type) {
	case TYPE_NUM:
	case TYPE_HEX:
		return parse_number(word, value);
	case TYPE_WORD:
		return parse_word(word, arg, value);
	default:
		return parse_address(word, arg->type, value);
	}
}

static int find_op(const char *name, enum random_op *op)
{
	for (*op = 0; *op < OP_NR; ++*op)
		if (name && !strcmp(name, random_ops[*op].name))
			return 0;
	return -EINVAL;
}

int random_parse(const char *line, struct random_step *step, char *why)
{
	char copy[RANDOM_LINE], *save = NULL, *word;
	const char *end = strstr(line, " ="); /* what it did, which may be nothing */

	snprintf(copy, sizeof(copy), "%.*s", end ? (int)(end - line) : (int)strlen(line), line);
	word = strtok_r(copy, " \t\r\n", &save);
	if (find_op(word, &step->op)) {
		snprintf(why, RANDOM_LINE, "no step '%.40s'", word ? word : "");
		return -EINVAL;
	}
	for (unsigned i = 0; i < RANDOM_ARGS; i++) {
		const struct random_arg *arg = &random_ops[step->op].arg[i];

		if (arg->type == TYPE_NONE)
			break;
		word = strtok_r(NULL, " \t\r\n", &save);
		if (parse_arg(word, arg, &step->arg[i])) {
			snprintf(why, RANDOM_LINE, "%s: not a value for %s: '%.60s'",
				 random_ops[step->op].name, arg->name, word ? word : "");
			return -EINVAL;
		}
	}
	word = strtok_r(NULL, " \t\r\n", &save);
	if (word)
		snprintf(why, RANDOM_LINE, "%s: too much: '%.60s'", random_ops[step->op].name,
			 word);
	return word ? -EINVAL : 0;
}
