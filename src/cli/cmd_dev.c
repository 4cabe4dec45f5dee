// SPDX-License-Identifier: BSD-3-Clause
/*
 * `holdfast dev` and `holdfast mgmtdev`: iproute2's `vdpa` for the devices of running programs. A
 * command's words become one request (docs/management.md); what comes back is printed as it is for
 * -j, or as iproute2 prints it for people. A table knows the words, which may be cut short as
 * iproute2 lets them be.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/instances.h"
#include "cli/parents.h"
#include "mgmt/mgmt.h"

#define DEV_USAGE                                                                                  \
	"usage: holdfast dev [OPTION...] show [DEV]\n"                                             \
	"       holdfast dev [OPTION...] add name NAME mgmtdev MGMTDEV [KEY VALUE]...\n"           \
	"       holdfast dev [OPTION...] del DEV\n"                                                \
	"       holdfast dev [OPTION...] set name DEV mac MAC\n"                                   \
	"       holdfast dev [OPTION...] config show [DEV]\n"                                      \
	"       holdfast dev [OPTION...] vstats show DEV qidx INDEX\n"
#define MGMTDEV_USAGE "usage: holdfast mgmtdev [OPTION...] show [MGMTDEV]\n"

struct options {
	struct instance_choice choice;
	bool json, pretty, help;
};

/* What a command's words say. */
struct wanted {
	json_t *request;
	const char *key; /* of the result to print, or NULL: nothing but with -j */
	bool change;
	bool local; /* can be answered without any program */
};

/* Return: 0 or exit status, the error was printed */
typedef int (*words_fn)(const char *who, int argc, char **argv, struct wanted *wanted);

struct word {
	const char *word;
	words_fn fn;
};

/* ---- words ---- */

static int usage(const char *who, const char *what, const char *word)
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
		    struct wanted *wanted)
{
	if (argc == 0)
		return table[0].fn(who, 0, argv, wanted);
	for (size_t i = 0; i < nr; i++)
		if (is_short_for(argv[0], table[i].word))
			return table[i].fn(who, argc - 1, argv + 1, wanted);
	return usage(who, "unknown command", argv[0]);
}

static int want(const char *who, struct wanted *wanted, const char *command, const char *key,
		const char *member, const char *value)
{
	wanted->key = key;
	wanted->request = value ? json_pack("{s:s, s:s}", "command", command, member, value)
				: json_pack("{s:s}", "command", command);
	if (wanted->request)
		return 0;
	return usage(who, value ? "not text in UTF-8:" : "no memory", value);
}

static int words_show(const char *who, int argc, char **argv, struct wanted *wanted)
{
	if (argc > 1)
		return usage(who, "one word too many:", argv[1]);
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

static int words_add(const char *who, int argc, char **argv, struct wanted *wanted)
{
	size_t len = 1;
	char *spec, *p;
	int rc;

	for (int i = 0; i < argc; i++)
		len += strlen(i % 2 ? argv[i] : full_key(argv[i])) + 1;
	spec = malloc(len);
	if (!spec)
		return usage(who, "no memory", NULL);
	p = spec;
	*p = '\0';
	for (int i = 0; i < argc; i++)
		p = stpcpy(stpcpy(p, i % 2 ? argv[i] : full_key(argv[i])), " ");
	wanted->change = true;
	rc = want(who, wanted, "dev add", NULL, "spec", spec);
	free(spec);
	return rc;
}

static int words_del(const char *who, int argc, char **argv, struct wanted *wanted)
{
	if (argc != 1)
		return usage(who, argc ? "one word too many:" : "no DEV to delete",
			     argc ? argv[1] : NULL);
	wanted->change = true;
	return want(who, wanted, "dev del", NULL, "dev", argv[0]);
}

static int words_set(const char *who, int argc, char **argv, struct wanted *wanted)
{
	int rc;

	if (argc > 0 && is_short_for(argv[0], "name")) {
		argc--;
		argv++;
	}
	if (argc == 0)
		return usage(who, "no DEV to set", NULL);
	wanted->change = true;
	rc = want(who, wanted, "dev set", NULL, "dev", argv[0]);
	if (rc || argc == 1)
		return rc;
	if (argc != 3 || !is_short_for(argv[1], "mac"))
		return usage(who, "what can be set is 'mac MAC', not", argv[1]);
	if (json_object_set_new(wanted->request, "mac", json_string(argv[2])))
		return usage(who, "not text in UTF-8:", argv[2]);
	return 0;
}

static int words_config_show(const char *who, int argc, char **argv, struct wanted *wanted)
{
	if (argc > 1)
		return usage(who, "one word too many:", argv[1]);
	return want(who, wanted, "dev config show", "config", "dev", argc ? argv[0] : NULL);
}

static int words_vstats_show(const char *who, int argc, char **argv, struct wanted *wanted)
{
	unsigned long long qidx;
	char *end;
	int rc;

	if (argc == 0)
		return usage(who, "no DEV to show counters of", NULL);
	rc = want(who, wanted, "dev vstats show", "vstats", "dev", argv[0]);
	if (rc || argc == 1)
		return rc; /* the index is missed by who answers, [9-3] */
	if (argc != 3 || !is_short_for(argv[1], "qidx"))
		return usage(who, "what follows DEV is 'qidx INDEX', not", argv[1]);
	errno = 0;
	qidx = strtoull(argv[2], &end, 0);
	if (argv[2][0] < '0' || argv[2][0] > '9' || *end || errno || qidx > INT64_MAX)
		return usage(who, "qidx is a number, not", argv[2]);
	if (json_object_set_new(wanted->request, "qidx", json_integer((json_int_t)qidx)))
		return usage(who, "no memory", NULL);
	return 0;
}

static int words_help(const char *who, int argc, char **argv, struct wanted *wanted)
{
	(void)argc;
	(void)argv;
	(void)wanted;
	fputs(strcmp(who, "holdfast dev") == 0 ? DEV_USAGE : MGMTDEV_USAGE, stdout);
	return 0;
}

static int words_config(const char *who, int argc, char **argv, struct wanted *wanted)
{
	static const struct word table[] = {{"show", words_config_show}, {"help", words_help}};

	return dispatch(who, table, ARRAY_LEN(table), argc, argv, wanted);
}

static int words_vstats(const char *who, int argc, char **argv, struct wanted *wanted)
{
	static const struct word table[] = {{"show", words_vstats_show}, {"help", words_help}};

	return dispatch(who, table, ARRAY_LEN(table), argc, argv, wanted);
}

static int words_mgmtdev_show(const char *who, int argc, char **argv, struct wanted *wanted)
{
	if (argc > 1)
		return usage(who, "one word too many:", argv[1]);
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

/* ---- printing ---- */

/* Some of iproute2's JSON names end in a blank. */
static void print_name(const char *name)
{
	int len = (int)strlen(name);

	while (len > 0 && name[len - 1] == ' ')
		len--;
	printf("%.*s", len, name);
}

static void print_value(const json_t *value)
{
	size_t i;
	json_t *one;

	if (json_is_string(value))
		printf(" %s", json_string_value(value));
	else if (json_is_integer(value))
		printf(" %lld", (long long)json_integer_value(value));
	else if (json_is_boolean(value))
		printf(" %s", json_is_true(value) ? "true" : "false");
	json_array_foreach(value, i, one)
	{
		if (json_is_string(one))
			printf(" %s", json_string_value(one));
	}
}

/* @lines: a line for each member; else only for lists. */
static void print_object(const char *name, json_t *object, bool lines)
{
	const char *key;
	json_t *value;

	printf("%s:", name);
	json_object_foreach(object, key, value)
	{
		fputs(lines || json_is_array(value) ? "\n  " : " ", stdout);
		print_name(key);
		print_value(value);
	}
	putchar('\n');
}

static void print_text(const json_t *result, const char *key)
{
	json_t *all = key ? json_object_get(result, key) : NULL;
	const char *name;
	json_t *object;

	json_object_foreach(all, name, object)
		print_object(name, object, strcmp(key, "mgmtdev") == 0);
}

static void print_json(const json_t *value, bool pretty)
{
	json_dumpf(value, stdout, pretty ? JSON_INDENT(4) : JSON_COMPACT);
	putchar('\n');
}

/* ---- asking ---- */

static int ask_here(const struct options *o, const struct wanted *wanted, json_t **result)
{
	const struct mgmt_env env = {.parents = cli_parents.devs, .nr_parents = cli_parents.nr};
	char *line = json_dumps(wanted->request, JSON_COMPACT);
	char *text = line ? mgmt_request(&env, line, strlen(line)) : NULL;
	json_t *reply = text ? json_loads(text, 0, NULL) : NULL;

	free(line);
	free(text);
	return reply_take(o->choice.who, reply, result);
}

/* Several programs, and no choice: who each answer is from is said, too. */
static int ask_all(const struct options *o, const struct wanted *wanted, struct instances *all)
{
	json_t *list = json_array();
	int rc = 0;

	for (size_t i = 0; i < all->nr; i++) {
		const struct instance *one = &all->list[i];
		json_t *result = NULL;
		int status = instance_ask(o->choice.who, one, wanted->request, &result);

		rc = rc ? rc : status;
		if (status)
			continue;
		if (!o->json) {
			printf("process %d (%s)\n", (int)one->pid, one->command);
			print_text(result, wanted->key);
		}
		json_object_set_new(result, "pid", json_integer(one->pid));
		json_object_set_new(result, "command", json_string(one->command));
		json_array_append_new(list, result);
	}
	if (o->json)
		print_json(list, o->pretty);
	json_decref(list);
	return rc;
}

static int ask(struct options *o, const struct wanted *wanted)
{
	bool chosen = o->choice.control || o->choice.pid;
	struct instances all;
	json_t *result = NULL;
	int rc;

	if (wanted->local && !chosen) {
		rc = ask_here(o, wanted, &result);
	} else {
		o->choice.change = wanted->change;
		rc = instances_find(&o->choice, &all);
		if (rc)
			return rc;
		if (all.nr > 1)
			rc = ask_all(o, wanted, &all);
		else
			rc = instance_ask(o->choice.who, &all.list[0], wanted->request, &result);
		instances_close(&all);
	}
	if (result && o->json)
		print_json(result, o->pretty);
	else if (result)
		print_text(result, wanted->key);
	json_decref(result);
	return rc;
}

/* ---- options ---- */

static const struct option long_options[] = {
	{"json", no_argument, NULL, 'j'},      {"pretty", no_argument, NULL, 'p'},
	{"help", no_argument, NULL, 'h'},      {"control", required_argument, NULL, 'c'},
	{"pid", required_argument, NULL, 'i'}, {NULL, 0, NULL, 0}};

static int take_pid(struct options *o)
{
	char *end;
	long pid = strtol(optarg, &end, 10);

	if (*end || pid < 1 || pid > INT32_MAX)
		return usage(o->choice.who, "--pid is the number of a process, not", optarg);
	o->choice.pid = (pid_t)pid;
	return 0;
}

static int take_option(struct options *o, int c, char **argv)
{
	switch (c) {
	case 'j':
		o->json = true;
		return 0;
	case 'p':
		o->pretty = true;
		return 0;
	case 'h':
		o->help = true;
		return 0;
	case 'c':
		o->choice.control = optarg;
		return 0;
	case 'i':
		return take_pid(o);
	}
	return usage(o->choice.who, c == ':' ? "no value for" : "unknown option", argv[optind - 1]);
}

static int command(const char *who, const struct word *table, size_t nr, int argc, char **argv)
{
	struct options o = {.choice.who = who};
	struct wanted wanted = {0};
	int rc = 0;
	int c;

	opterr = 0;
	optind = 0; /* from the start, and forget "posixly correct" state */
	while (!rc && (c = getopt_long(argc, argv, ":jph", long_options, NULL)) != -1)
		rc = take_option(&o, c, argv);
	if (!rc && o.help) {
		rc = words_help(who, 0, NULL, NULL);
		printf("\n"
		       "  -j, --json       JSON, as iproute2's vdpa prints it\n"
		       "  -p, --pretty     the same on many lines, with -j\n"
		       "      --pid PID    of this process, started by 'holdfast run'\n"
		       "      --control PATH\n"
		       "                   by this socket ('holdfast run --control PATH')\n\n"
		       "See holdfast-dev(1).\n");
		return rc;
	}
	if (!rc)
		rc = dispatch(who, table, nr, argc - optind, argv + optind, &wanted);
	if (!rc && wanted.request)
		rc = ask(&o, &wanted);
	json_decref(wanted.request);
	return rc;
}

int cmd_dev(int argc, char **argv)
{
	return command("holdfast dev", dev_words, ARRAY_LEN(dev_words), argc, argv);
}

int cmd_mgmtdev(int argc, char **argv)
{
	return command("holdfast mgmtdev", mgmtdev_words, ARRAY_LEN(mgmtdev_words), argc, argv);
}
