// SPDX-License-Identifier: BSD-3-Clause
/*
 * Management: any lines, each a request to one bus. Every reply is one line with a JSON object that
 * has a result or an error in words. The devices that requests make are real; a SPEC that names
 * something of the host (a file, a socket, an interface) or much memory is left out.
 */
#include "fuzz.h"

#include <jansson.h>

#include "mgmt/mgmt.h"
#include "parents/sim/simblk.h"
#include "parents/sim/simnet.h"
#include "vhost_vdpa/vhost_vdpa.h"

static const struct vdpa_mgmt_dev *const parents[] = {&simnet_mgmt_dev, &simblk_mgmt_dev};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

static void check_reply(const char *reply)
{
	json_t *json = json_loads(reply, JSON_REJECT_DUPLICATES, NULL), *error;

	fuzz_check(json_is_object(json) && !strpbrk(reply, "\r\n"));
	error = json_object_get(json, "error");
	fuzz_check((json_object_get(json, "result") != NULL) != (error != NULL));
	if (error) {
		const char *message = json_string_value(json_object_get(error, "message"));

		fuzz_check(message && message[0]);
	}
	json_decref(json);
}

static bool has(const char *line, size_t len, const char *word)
{
	return memmem(line, len, word, strlen(word)) != NULL;
}

/* An escape could hide a word. */
static bool is_harmless(const char *line, size_t len)
{
	return !has(line, len, "path=") && !has(line, len, "tap") && !has(line, len, "\\") &&
	       !has(line, len, "capacity");
}

static void ask(const struct mgmt_env *env, const char *line, size_t len)
{
	char *reply;

	if (!is_harmless(line, len))
		return;
	reply = mgmt_request(env, line, len);
	fuzz_check(reply);
	check_reply(reply);
	free(reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mgmt_env env = {.parents = parents, .nr_parents = 2, .nr_devices_max = 4};
	const char *line = (const char *)data;
	struct memory_space *space;

	fuzz_check(memory_space_create_own(&space) == 0);
	fuzz_check(vdpa_bus_create(space, &env.bus) == 0);
	memory_space_put(space);
	fuzz_check(vdpa_driver_register(env.bus, &vhost_vdpa_driver) == 0);
	while (size > 0) {
		const char *end = memchr(line, '\n', size);
		size_t len = end ? (size_t)(end - line) : size;

		ask(&env, line, len);
		len += end ? 1 : 0;
		line += len;
		size -= len;
	}
	vdpa_bus_destroy(env.bus);
	return 0;
}
