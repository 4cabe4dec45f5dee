// SPDX-License-Identifier: BSD-3-Clause
/*
 * From a line to a reply. A line is looked at in this order: its length, its nesting (before the
 * JSON library, which recurses, sees it), its syntax, its command, its members. One table has all
 * commands and the members that each takes; a member that is not among them is an error, for a word
 * that is misspelt and ignored would do something else than was asked.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/refuse.h"
#include "mgmt/internal.h"

#define MEMBERS_MAX 3

static const struct command {
	const char *name;
	mgmt_command_fn fn;
	const char *members[MEMBERS_MAX]; /* beside "command" */
} commands[] = {
	{"mgmtdev show", mgmt_cmd_mgmtdev_show, {"mgmtdev"}},
	{"dev show", mgmt_cmd_dev_show, {"dev"}},
	{"dev add", mgmt_cmd_dev_add, {"spec"}},
	{"dev del", mgmt_cmd_dev_del, {"dev"}},
	{"dev set", mgmt_cmd_dev_set, {"dev", "mac"}},
	{"dev config show", mgmt_cmd_config_show, {"dev"}},
	{"dev vstats show", mgmt_cmd_vstats_show, {"dev", "qidx"}},
};

/* ---- the line ---- */

/* Strings are skipped; what is not JSON otherwise is for the parser to find. */
static int check_depth(const char *line, size_t len)
{
	bool in_string = false;
	unsigned int depth = 0;

	for (size_t i = 0; i < len; i++) {
		char c = line[i];

		if (in_string && c == '\\')
			i++;
		else if (c == '"')
			in_string = !in_string;
		else if (!in_string && (c == '{' || c == '['))
			depth++;
		else if (!in_string && (c == '}' || c == ']') && depth > 0)
			depth--;
		if (depth > MGMT_DEPTH_MAX)
			return refuse(-EINVAL, "more than %u arrays or objects within one another",
				      MGMT_DEPTH_MAX);
	}
	return 0;
}

static int parse(const char *line, size_t len, json_t **out)
{
	json_error_t error;
	int rc;

	if (len > MGMT_LINE_MAX)
		return refuse(-EMSGSIZE, "a request of more than %u bytes", MGMT_LINE_MAX);
	rc = check_depth(line, len);
	if (rc)
		return rc;
	*out = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
	if (!*out)
		return refuse(-EINVAL, "not JSON: byte %d: %s", error.position, error.text);
	if (json_is_object(*out))
		return 0;
	json_decref(*out);
	return refuse(-EINVAL, "a request is a JSON object");
}

static int refuse_word(const char *what, const char *word)
{
	char shown[80];

	log_escape(shown, sizeof(shown), word, strlen(word));
	return refuse(-EINVAL, "unknown %s \"%s\"", what, shown);
}

static int find_command(const json_t *request, const struct command **out)
{
	const char *name = json_string_value(json_object_get(request, "command"));

	if (!name)
		return refuse(-EINVAL, "no \"command\", which is a string");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (strcmp(commands[i].name, name) != 0)
			continue;
		*out = &commands[i];
		return 0;
	}
	return refuse_word("command", name);
}

static bool takes_member(const struct command *command, const char *key)
{
	if (strcmp(key, "command") == 0)
		return true;
	for (size_t i = 0; i < MEMBERS_MAX && command->members[i]; i++)
		if (strcmp(command->members[i], key) == 0)
			return true;
	return false;
}

static int check_members(const struct command *command, json_t *request)
{
	const char *key;
	json_t *value;

	json_object_foreach(request, key, value)
	{
		if (!takes_member(command, key))
			return refuse_word("member", key);
	}
	return 0;
}

/* ---- the reply ---- */

static json_t *make_reply(const struct mgmt_call *call)
{
	json_t *reply = json_object();

	if (mgmt_add(reply, "result", json_incref(call->result)) == 0 &&
	    (!*call->warning || mgmt_add(reply, "warning", json_string(call->warning)) == 0))
		return reply;
	json_decref(reply);
	return NULL;
}

static json_t *make_error(int err)
{
	const char *reason = *refuse_reason() ? refuse_reason() : "the request failed";
	const char *name = strerrorname_np(-err);
	char message[512];

	log_escape(message, sizeof(message), reason, strlen(reason));
	return json_pack("{s:{s:s, s:i, s:s}}", "error", "name", name ? name : "?", "errno", -err,
			 "message", message);
}

static int run(struct mgmt_call *call, const char *line, size_t len)
{
	const struct command *command = NULL;
	json_t *request = NULL;
	int rc = parse(line, len, &request);

	if (rc)
		return rc;
	rc = find_command(request, &command);
	if (!rc)
		rc = check_members(command, request);
	call->request = request;
	if (!rc)
		rc = command->fn(call);
	json_decref(request);
	return rc;
}

char *mgmt_request(const struct mgmt_env *env, const char *line, size_t len)
{
	struct mgmt_call call = {.env = env, .result = json_object()};
	json_t *reply = NULL;
	char *text;
	int rc;

	if (!call.result)
		return NULL;
	refuse_clear();
	rc = run(&call, line, len);
	reply = rc ? make_error(rc) : make_reply(&call);
	text = reply ? json_dumps(reply, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
	json_decref(reply);
	json_decref(call.result);
	return text;
}
