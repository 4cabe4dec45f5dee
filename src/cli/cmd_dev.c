// SPDX-License-Identifier: BSD-3-Clause
/*
 * `holdfast dev` and `holdfast mgmtdev`: iproute2's `vdpa` for the devices of running programs. A
 * command's words become one request (dev_words.c); what comes back is printed as it is for -j, or
 * as iproute2 prints it for people.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/dev_words.h"
#include "cli/instances.h"
#include "cli/parents.h"
#include "mgmt/mgmt.h"

struct options {
	struct instance_choice choice;
	bool json, pretty, help;
};

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

static int ask_here(const struct options *o, const struct dev_wanted *wanted, json_t **result)
{
	const struct mgmt_env env = {.parents = cli_parents.devs, .nr_parents = cli_parents.nr};
	char *line = json_dumps(wanted->request, JSON_COMPACT);
	char *text = line ? mgmt_request(&env, line, strlen(line)) : NULL;
	json_t *reply = text ? json_loads(text, 0, NULL) : NULL;

	free(line);
	free(text);
	return reply_take(o->choice.who, reply, result, NULL);
}

/* Who it is from is said, too. @result: [consumed] */
static void add_answer(const struct options *o, const struct dev_wanted *wanted,
		       const struct instance *one, json_t *result, json_t *list)
{
	if (!o->json) {
		printf("process %d (%s)\n", (int)one->pid, one->command);
		print_text(result, wanted->key);
	}
	json_object_set_new(result, "pid", json_integer(one->pid));
	json_object_set_new(result, "command", json_string(one->command));
	json_array_append_new(list, result);
}

/* Several programs, and no choice. A device that is asked for by name is in one of them, so the
 * others' "no device" is an error only if all say so. */
static int ask_all(const struct options *o, const struct dev_wanted *wanted, struct instances *all)
{
	char absent[INSTANCE_WORDS_LEN], words[INSTANCE_WORDS_LEN] = "";
	size_t nr_absent = 0, nr_ended = 0;
	json_t *list = json_array();
	int rc = 0;

	for (size_t i = 0; i < all->nr; i++) {
		const struct instance *one = &all->list[i];
		json_t *result = NULL;
		int status = instance_ask(o->choice.who, one, wanted->request, &result, absent);

		nr_ended += !status && !result;
		nr_absent += absent[0] != '\0';
		if (absent[0])
			memcpy(words, absent, sizeof(words));
		else if (status)
			rc = status;
		if (result)
			add_answer(o, wanted, one, result, list);
	}
	if (nr_absent && nr_absent + nr_ended == all->nr) {
		fprintf(stderr, "%s: %s in any of %zu processes: %s\n", o->choice.who, words,
			all->nr, strerror(ENODEV));
		rc = CLI_EXIT_FAILED;
	} else if (o->json) {
		print_json(list, o->pretty);
	}
	json_decref(list);
	return rc;
}

static int ask(struct options *o, const struct dev_wanted *wanted)
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
			rc = instance_ask(o->choice.who, &all.list[0], wanted->request, &result,
					  NULL);
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
		return dev_wrong_use(o->choice.who, "--pid is the number of a process, not",
				     optarg);
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
	return dev_wrong_use(o->choice.who, c == ':' ? "no value for" : "unknown option",
			     cli_refused_option(c, argv, long_options));
}

static int command(const char *who, dev_words_fn read, int argc, char **argv)
{
	struct options o = {.choice.who = who};
	struct dev_wanted wanted = {0};
	int rc = 0;
	int c;

	opterr = 0;
	optind = 0; /* from the start, and forget "posixly correct" state */
	while (!rc && (c = getopt_long(argc, argv, ":jph", long_options, NULL)) != -1)
		rc = take_option(&o, c, argv);
	if (!rc && o.help) {
		dev_words_help(who);
		printf("\n"
		       "  -j, --json       JSON, as iproute2's vdpa prints it\n"
		       "  -p, --pretty     the same on many lines, with -j\n"
		       "      --pid PID    of this process, started by 'holdfast run'\n"
		       "      --control PATH\n"
		       "                   by this socket ('holdfast run --control PATH')\n\n"
		       "See holdfast-dev(1).\n");
		return 0;
	}
	if (!rc)
		rc = read(who, argc - optind, argv + optind, &wanted);
	if (!rc && wanted.request)
		rc = ask(&o, &wanted);
	json_decref(wanted.request);
	return rc;
}

int cmd_dev(int argc, char **argv)
{
	return command("holdfast dev", dev_words_read, argc, argv);
}

int cmd_mgmtdev(int argc, char **argv)
{
	return command("holdfast mgmtdev", mgmtdev_words_read, argc, argv);
}
