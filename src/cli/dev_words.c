// SPDX-License-Identifier: BSD-3-Clause
/* A table knows the words, which may be cut short as iproute2 lets them be. */
#include "cli/dev_words.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "cli/cli.h"

#define DEV_USAGE                                                                                  \
	"usage: holdfast dev [OPTION...] show [DEV]\n"                                             \
	"       holdfast dev [OPTION...] add name NAME mgmtdev MGMTDEV [KEY VALUE]...\n"           \
	"       holdfast dev [OPTION...] del DEV\n"                                                \
	"       holdfast dev [OPTION...] set name DEV mac MAC\n"                                   \
	"       holdfast dev [OPTION...] config show [DEV]\n"                                      \
	"       holdfast dev [OPTION...] vstats show DEV qidx INDEX\n"
#define MGMTDEV_USAGE "usage: holdfast mgmtdev [OPTION...] show [MGMTDEV]\n"

struct word {
	const char *word;
	dev_words_fn fn;
};

int dev_wrong_use(const char *who, const char *what, const char *word)
{
	fprintf(stderr, "%s: %s%s%s%s; see %s --help\n", who, what, word ? " '" : "",
		word ? word : "", word ? "'" : "", who);
	return CLI_EXIT_USAGE;
}

static bool is_short_for(const char *word, const char *full)
{
	return *word && strncmp(word, full, strlen(word)) == 0;
}

static int dispatch(const char *who, const struct word *table, size_t nr, int argc, char **argv,
		    struct dev_wanted *wanted)
{
	if (argc == 0)
		return table[0].fn(who, 0, argv, wanted);
	for (size_t i = 0; i < nr; i++)
		if (is_short_for(argv[0], table[i].word))
			return table[i].fn(who, argc - 1, argv + 1, wanted);
	return dev_wrong_use(who, "unknown command", argv[0]);
}

static int want(const char *who, struct dev_wanted *wanted, const char *command, const char *key,
		const char *member, const char *value)
{
	wanted->key = key;
	wanted->request = value ? json_pack("{s:s, s:s}", "command", command, member, value)
				: json_pack("{s:s}", "command", command);
	if (wanted->request)
		return 0;
	return dev_wrong_use(who, value ? "not text in UTF-8:" : "no memory", value);
}

static int words_show(const char *who, int argc, char **argv, struct dev_wanted *wanted)
{
	if (argc > 1)
		return dev_wrong_use(who, "one word too many:", argv[1]);
	return want(who, wanted, "dev show", "dev", "dev", argc ? argv[0] : NULL);
}

/* iproute2's own keys, which may be cut short, in the order in which it compares them. */
static const char *full_key(const char *word)
{
	static const char *const keys[] = {"mgmtdev", "name",    "mac",
					   "mtu",     "max_vqp", "device_features"};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (is_short_for(word, keys[i]))
			return keys[i];
	return word;
}

static int words_add(const char *who, int argc, char **argv, struct dev_wanted *wanted)
{
	size_t len = 1;
	char *spec, *p;
	int rc;

	for (int i = 0; i < argc; i++)
		len += strlen(i % 2 ? argv[i] : full_key(argv[i])) + 1;
	spec = malloc(len);
	if (!spec)
		return dev_wrong_use(who, "no memory", NULL);
	p = spec;
	*p = '\0';
	for (int i = 0; i < argc; i++)
		p = stpcpy(stpcpy(p, i % 2 ? argv[i] : full_key(argv[i])), " ");
	wanted->change = true;
	rc = want(who, wanted, "dev add", NULL, "spec", spec);
	free(spec);
	return rc;
}

static int words_del(const char *who, int argc, char **argv, struct dev_wanted *wanted)
{
	if (argc != 1)
		return dev_wrong_use(who, argc ? "one word too many:" : "no DEV to delete",
				     argc ? argv[1] : NULL);
	wanted->change = true;
	return want(who, wanted, "dev del", NULL, "dev", argv[0]);
}

static int words_set(const char *who, int argc, char **argv, struct dev_wanted *wanted)
{
	int rc;

	if (argc > 0 && is_short_for(argv[0], "name")) {
		argc--;
		argv++;
	}
	if (argc == 0)
		return dev_wrong_use(who, "no DEV to set", NULL);
	wanted->change = true;
	rc = want(who, wanted, "dev set", NULL, "dev", argv[0]);
	if (rc || argc == 1)
		return rc;
	if (argc != 3 || !is_short_for(argv[1], "mac"))
		return dev_wrong_use(who, "what can be set is 'mac MAC', not", argv[1]);
	if (json_object_set_new(wanted->request, "mac", json_string(argv[2])))
		return dev_wrong_use(who, "not text in UTF-8:", argv[2]);
	return 0;
}

static int words_config_show(const char *who, int argc, char **argv, struct dev_wanted *wanted)
{
	if (argc > 1)
		return dev_wrong_use(who, "one word too many:", argv[1]);
	return want(who, wanted, "dev config show", "config", "dev", argc ? argv[0] : NULL);
}

static int words_vstats_show(const char *who, int argc, char **argv, struct dev_wanted *wanted)
{
	unsigned long long qidx;
	char *end;
	int rc;

	if (argc == 0)
		return dev_wrong_use(who, "no DEV to show counters of", NULL);
	rc = want(who, wanted, "dev vstats show", "vstats", "dev", argv[0]);
	if (rc || argc == 1)
		return rc; /* the index is missed by who answers, [9-3] */
	if (argc != 3 || !is_short_for(argv[1], "qidx"))
		return dev_wrong_use(who, "what follows DEV is 'qidx INDEX', not", argv[1]);
	errno = 0;
	qidx = strtoull(argv[2], &end, 0);
	if (argv[2][0] < '0' || argv[2][0] > '9' || *end || errno || qidx > INT64_MAX)
		return dev_wrong_use(who, "qidx is a number, not", argv[2]);
	if (json_object_set_new(wanted->request, "qidx", json_integer((json_int_t)qidx)))
		return dev_wrong_use(who, "no memory", NULL);
	return 0;
}

static int words_help(const char *who, int argc, char **argv, struct dev_wanted *wanted)
{
	(void)argc;
	(void)argv;
	(void)wanted;
	fputs(strcmp(who, "holdfast dev") == 0 ? DEV_USAGE : MGMTDEV_USAGE, stdout);
	return 0;
}

static int words_config(const char *who, int argc, char **argv, struct dev_wanted *wanted)
{
	static const struct word table[] = {{"show", words_config_show}, {"help", words_help}};

	return dispatch(who, table, ARRAY_LEN(table), argc, argv, wanted);
}

static int words_vstats(const char *who, int argc, char **argv, struct dev_wanted *wanted)
{
	static const struct word table[] = {{"show", words_vstats_show}, {"help", words_help}};

	return dispatch(who, table, ARRAY_LEN(table), argc, argv, wanted);
}

static int words_mgmtdev_show(const char *who, int argc, char **argv, struct dev_wanted *wanted)
{
	if (argc > 1)
		return dev_wrong_use(who, "one word too many:", argv[1]);
	wanted->local = true;
	return want(who, wanted, "mgmtdev show", "mgmtdev", "mgmtdev", argc ? argv[0] : NULL);
}

/* The first is meant where there is no word. */
static const struct word dev_words[] = {
	{"show", words_show}, {"help", words_help},     {"list", words_show},
	{"add", words_add},   {"del", words_del},       {"config", words_config},
	{"set", words_set},   {"vstats", words_vstats},
};
static const struct word mgmtdev_words[] = {
	{"show", words_mgmtdev_show}, {"help", words_help}, {"list", words_mgmtdev_show}};

void dev_words_help(const char *who)
{
	(void)words_help(who, 0, NULL, NULL);
}

int dev_words_read(const char *who, int argc, char **argv, struct dev_wanted *wanted)
{
	return dispatch(who, dev_words, ARRAY_LEN(dev_words), argc, argv, wanted);
}

int mgmtdev_words_read(const char *who, int argc, char **argv, struct dev_wanted *wanted)
{
	return dispatch(who, mgmtdev_words, ARRAY_LEN(mgmtdev_words), argc, argv, wanted);
}
