// SPDX-License-Identifier: BSD-3-Clause
/* Requests and replies on a bus with the real simulators: every command, every error of [9-3], any
 * bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/mgmt.h"
#include "parents/sim/simblk.h"
#include "parents/sim/simnet.h"
#include "vhost_vdpa/vhost_vdpa.h"

#define ACKED (1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_F_ACCESS_PLATFORM)

static const struct vdpa_mgmt_dev *const parents[] = {&simnet_mgmt_dev, &simblk_mgmt_dev};
static struct mgmt_env env;

static int setup(void **state)
{
	struct memory_space *space;
	int rc = memory_space_create_own(&space);

	(void)state;
	env = (struct mgmt_env){.parents = parents, .nr_parents = 2, .nr_devices_max = 6};
	if (!rc)
		rc = vdpa_bus_create(space, &env.bus);
	memory_space_put(space);
	return rc ? rc : vdpa_driver_register(env.bus, &vhost_vdpa_driver);
}

static int teardown(void **state)
{
	(void)state;
	vdpa_bus_destroy(env.bus);
	return 0;
}

static json_t *ask_bytes(const char *line, size_t len)
{
	char *text = mgmt_request(&env, line, len);
	json_t *reply;

	assert_non_null(text);
	assert_null(strpbrk(text, "\r\n"));
	reply = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_true(json_is_object(reply));
	assert_int_not_equal(json_object_get(reply, "result") != NULL,
			     json_object_get(reply, "error") != NULL);
	free(text);
	return reply;
}

/* It works, and the result is @expected, or anything if that is NULL. */
static void works(const char *line, const char *expected)
{
	json_t *reply = ask_bytes(line, strlen(line));
	json_t *result = json_object_get(reply, "result");
	char *text = result ? json_dumps(result, JSON_COMPACT) : NULL;

	if (!result)
		fail_msg("%s: refused", line);
	if (expected)
		assert_string_equal(text, expected);
	free(text);
	json_decref(reply);
}

/* It fails with @err, and the message has @text in it. */
static void refused(const char *line, int err, const char *text)
{
	json_t *reply = ask_bytes(line, strlen(line));
	const char *message = NULL, *name = NULL;
	int got = 0;

	if (json_unpack(reply, "{s:{s:s, s:i, s:s}}", "error", "name", &name, "errno", &got,
			"message", &message))
		fail_msg("%s: no error", line);
	if (-got != err)
		fail_msg("%s: error %d, not %d", line, -got, err);
	assert_string_equal(name, strerrorname_np(-err));
	if (!strstr(message, text))
		fail_msg("%s: \"%s\" has no \"%s\"", line, message, text);
	json_decref(reply);
}

static void add(const char *spec)
{
	char line[256];

	snprintf(line, sizeof(line), "{\"command\":\"dev add\",\"spec\":\"%s\"}", spec);
	works(line, NULL);
}

static void add_refused(const char *spec, int err, const char *text)
{
	char line[256];

	snprintf(line, sizeof(line), "{\"command\":\"dev add\",\"spec\":\"%s\"}", spec);
	refused(line, err, text);
}

static void negotiate(const char *name, uint64_t features)
{
	struct vdpa_device *dev = vdpa_bus_find(env.bus, name);

	assert_non_null(dev);
	mutex_lock(&dev->lock);
	VDPA_CALL(dev, set_status, 3);
	assert_int_equal(vdpa_set_features(dev, features), 0);
	VDPA_CALL(dev, set_status, 11);
	mutex_unlock(&dev->lock);
	vdpa_device_put(dev);
}

/* ---- what works ---- */

/* [9-2] */
static void mgmt_9_2_devices_show_as_in_iproute2(void **state)
{
	(void)state;
	works("{\"command\":\"dev show\"}", "{\"dev\":{}}");
	add("name n0 mgmtdev vdpasim_net max_vqp 2 vq_size 256");
	add("name b0 mgmtdev vdpasim_blk");
	works("{\"command\":\"dev show\"}",
	      "{\"dev\":{\"n0\":{\"type\":\"network\",\"mgmtdev\":\"vdpasim_net\",\"vendor_id\":0,"
	      "\"max_vqs\":5,\"max_vq_size\":256,\"node\":\"/dev/vhost-vdpa-0\"},"
	      "\"b0\":{\"type\":\"block\",\"mgmtdev\":\"vdpasim_blk\",\"vendor_id\":0,"
	      "\"max_vqs\":1,\"max_vq_size\":1024,\"node\":\"/dev/vhost-vdpa-1\"}}}");
	works("{\"command\":\"dev del\",\"dev\":\"n0\"}", "{}");
	/* the lowest free number, [9-4] */
	works("{\"command\":\"dev add\",\"spec\":\"name n1 mgmtdev vdpasim_net\"}",
	      "{\"dev\":{\"n1\":{\"type\":\"network\",\"mgmtdev\":\"vdpasim_net\",\"vendor_id\":0,"
	      "\"max_vqs\":3,\"max_vq_size\":1024,\"node\":\"/dev/vhost-vdpa-0\"}}}");
}

static void mgmtdevs_show_classes_queues_and_features(void **state)
{
	json_t *reply = ask_bytes("{\"command\":\"mgmtdev show\"}", 26);
	json_t *net = json_object_get(json_object_get(json_object_get(reply, "result"), "mgmtdev"),
				      "vdpasim_net");
	json_t *features = json_object_get(net, "dev_features");

	(void)state;
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(net, "supported_classes"), 0)),
		"net");
	assert_int_equal(json_integer_value(json_object_get(net, "max_supported_vqs")), 129);
	assert_string_equal(json_string_value(json_array_get(features, 0)), "CSUM");
	assert_string_equal(json_string_value(json_array_get(features, 3)), "MTU");
	json_decref(reply);
	works("{\"command\":\"mgmtdev show\",\"mgmtdev\":\"vdpasim_blk\"}", NULL);
}

/* [9-2]: 14, only with FEATURES_OK */
static void mgmt_9_2_features_show_once_they_are_negotiated(void **state)
{
	static const char ask[] = "{\"command\":\"dev config show\",\"dev\":\"n\"}";

	(void)state;
	add("name n mgmtdev vdpasim_net mac 52:54:00:12:34:56 mtu 9000 quirks linux-6.12");
	works(ask, "{\"config\":{\"n\":{\"mac\":\"52:54:00:12:34:56\",\"link \":\"up\","
		   "\"link_announce \":false,\"mtu\":9000}}}");
	negotiate("n", ACKED | 1ULL << VIRTIO_NET_F_MAC);
	works(ask, "{\"config\":{\"n\":{\"mac\":\"52:54:00:12:34:56\",\"link \":\"up\","
		   "\"link_announce \":false,\"mtu\":9000,"
		   "\"negotiated_features\":[\"MAC\",\"VERSION_1\",\"ACCESS_PLATFORM\"]}}}");
	add("name b mgmtdev vdpasim_blk capacity 1M num_queues 2 read_only on");
	works("{\"command\":\"dev config show\",\"dev\":\"b\"}",
	      "{\"config\":{\"b\":{\"capacity\":2048,\"blk_size\":512,\"size_max\":262144,"
	      "\"seg_max\":254,\"num_queues\":2,\"read_only\":true}}}");
}

static void looking_at_the_configuration_changes_nothing(void **state)
{
	struct vdpa_device *dev;

	(void)state;
	add("name n mgmtdev vdpasim_net");
	works("{\"command\":\"dev config show\"}", NULL);
	dev = vdpa_bus_find(env.bus, "n");
	assert_false(dev->features_valid);
	vdpa_device_put(dev);
}

/* [7-11] */
static void mgmt_7_11_counters_show_with_the_kind_of_queue(void **state)
{
	(void)state;
	add("name n mgmtdev vdpasim_net max_vqp 2");
	negotiate("n", ACKED | 1ULL << VIRTIO_NET_F_CTRL_VQ);
	works("{\"command\":\"dev vstats show\",\"dev\":\"n\",\"qidx\":2}",
	      "{\"vstats\":{\"n\":{\"queue_type\":\"control_vq\",\"cvq requests\":0,"
	      "\"cvq successes\":0,\"cvq errors\":0}}}");
	negotiate("n", ACKED | 1ULL << VIRTIO_NET_F_CTRL_VQ | 1ULL << VIRTIO_NET_F_MQ);
	works("{\"command\":\"dev vstats show\",\"dev\":\"n\",\"qidx\":2}",
	      "{\"vstats\":{\"n\":{\"queue_type\":\"rx\",\"rx packets\":0,\"rx bytes\":0,"
	      "\"rx errors\":0,\"rx overruns\":0,\"rx drops\":0}}}");
	works("{\"command\":\"dev vstats show\",\"dev\":\"n\",\"qidx\":3}",
	      "{\"vstats\":{\"n\":{\"queue_type\":\"tx\",\"tx packets\":0,\"tx bytes\":0,"
	      "\"tx errors\":0,\"tx drops\":0}}}");
	add("name b mgmtdev vdpasim_blk");
	negotiate("b", ACKED);
	works("{\"command\":\"dev vstats show\",\"dev\":\"b\",\"qidx\":0}",
	      "{\"vstats\":{\"b\":{\"queue_type\":\"request\",\"requests\":0,\"errors\":0,"
	      "\"read bytes\":0,\"written bytes\":0}}}");
}

/* ---- what does not, [9-3] ---- */

static void mgmt_9_3_dev_new_errors(void **state)
{
	(void)state;
	add_refused("mgmtdev vdpasim_net", -EINVAL, "no 'name'");
	add_refused("name n", -EINVAL, "no 'mgmtdev'");
	refused("{\"command\":\"dev add\"}", -EINVAL, "no \"spec\"");
	add_refused("name n mgmtdev nosuch", -ENODEV, "nosuch");
	add_refused("name n mgmtdev pci/vdpasim_net", -EINVAL, "pci/vdpasim_net");
	add("name n mgmtdev vdpasim_net");
	add_refused("name n mgmtdev vdpasim_net", -EEXIST, "\"n\"");
	add_refused("name m mgmtdev vdpasim_net mtu 67", -ERANGE, "67");
	add_refused("name m mgmtdev vdpasim_net mac 52:54:00:12:34", -ERANGE, "52:54:00:12:34");
	add_refused("name m mgmtdev vdpasim_net max_vqp 0", -EINVAL, "max_vqp");
	add_refused("name m mgmtdev vdpasim_net mac 52:54:00:12:34:56 device_features 0x300000000",
		    -EINVAL, "mac");
	add_refused("name m mgmtdev vdpasim_net mtu 1500 device_features 0x300000000", -EINVAL,
		    "mtu");
	add_refused("name m mgmtdev vdpasim_net max_vqp 2 device_features 0x300000000", -EINVAL,
		    "max_vqp");
	add_refused("name m mgmtdev vdpasim_net device_features 0x8000000000000000", -EINVAL,
		    "0x8000000000000000");
	add_refused("name m mgmtdev vdpasim_blk mac 52:54:00:12:34:56", -EOPNOTSUPP, "mac");
	add_refused("name m mgmtdev vdpasim_net quirks linux-6.12 max_vqp 1", -EOPNOTSUPP,
		    "max_vqp");
	add_refused("name m mgmtdev vdpasim_blk quirks linux-6.12 device_features 0x300000000",
		    -EOPNOTSUPP, "device_features");
	add("name m mgmtdev vdpasim_net quirks linux-6.12 mac 52:54:00:12:34:56 mtu 1500 "
	    "device_features 0x300000028");
	for (int i = 0; i < 4; i++) {
		char spec[64];

		snprintf(spec, sizeof(spec), "name more%d mgmtdev vdpasim_blk capacity 1M", i);
		add(spec);
	}
	add_refused("name one2many mgmtdev vdpasim_net", -ENOSPC, "6");
}

static void mgmt_9_3_unknown_names_are_enodev(void **state)
{
	(void)state;
	refused("{\"command\":\"mgmtdev show\",\"mgmtdev\":\"x\"}", -ENODEV, "x");
	refused("{\"command\":\"dev show\",\"dev\":\"x\"}", -ENODEV, "\"x\"");
	refused("{\"command\":\"dev del\",\"dev\":\"x\"}", -ENODEV, "\"x\"");
	refused("{\"command\":\"dev set\",\"dev\":\"x\",\"mac\":\"52:54:00:12:34:56\"}", -ENODEV,
		"\"x\"");
	refused("{\"command\":\"dev config show\",\"dev\":\"x\"}", -ENODEV, "\"x\"");
	refused("{\"command\":\"dev vstats show\",\"dev\":\"x\",\"qidx\":0}", -ENODEV, "\"x\"");
	refused("{\"command\":\"dev del\"}", -EINVAL, "dev");
}

static void mgmt_9_3_vstats_errors(void **state)
{
	(void)state;
	add("name n mgmtdev vdpasim_net");
	add("name s mgmtdev vdpasim_blk quirks linux-6.12");
	refused("{\"command\":\"dev vstats show\",\"dev\":\"n\"}", -EINVAL, "qidx");
	refused("{\"command\":\"dev vstats show\",\"dev\":\"n\",\"qidx\":\"0\"}", -EINVAL, "qidx");
	refused("{\"command\":\"dev vstats show\",\"dev\":\"n\",\"qidx\":32769}", -ERANGE, "32769");
	refused("{\"command\":\"dev vstats show\",\"dev\":\"n\",\"qidx\":-1}", -ERANGE, "-1");
	refused("{\"command\":\"dev vstats show\",\"dev\":\"n\",\"qidx\":0}", -EAGAIN, "features");
	refused("{\"command\":\"dev vstats show\",\"dev\":\"s\",\"qidx\":0}", -EOPNOTSUPP, "s");
	negotiate("n", ACKED | 1ULL << VIRTIO_NET_F_CTRL_VQ);
	refused("{\"command\":\"dev vstats show\",\"dev\":\"n\",\"qidx\":32768}", -EINVAL, "32768");
	refused("{\"command\":\"dev vstats show\",\"dev\":\"n\",\"qidx\":3}", -EINVAL, "3");
	works("{\"command\":\"dev vstats show\",\"dev\":\"n\",\"qidx\":2}", NULL);
}

#define SET(dev, mac) "{\"command\":\"dev set\",\"dev\":\"" dev "\",\"mac\":\"" mac "\"}"

static void mgmt_9_3_attr_set(void **state)
{
	json_t *reply;

	(void)state;
	add("name n mgmtdev vdpasim_net mac 52:54:00:12:34:56");
	add("name b mgmtdev vdpasim_blk");
	add("name s mgmtdev vdpasim_blk quirks linux-6.12");
	works(SET("n", "52:54:00:00:00:99"), "{}");
	works("{\"command\":\"dev config show\",\"dev\":\"n\"}",
	      "{\"config\":{\"n\":{\"mac\":\"52:54:00:00:00:99\",\"link \":\"up\","
	      "\"link_announce \":false,\"mtu\":1500}}}");
	refused(SET("n", "01:00:5e:00:00:01"), -EOPNOTSUPP, "01:00:5e:00:00:01");
	refused(SET("n", "00:00:00:00:00:00"), -EOPNOTSUPP, "00:00:00:00:00:00");
	refused("{\"command\":\"dev set\",\"dev\":\"n\"}", -EOPNOTSUPP, "mac");
	refused(SET("n", "52:54:00:12:34"), -ERANGE, "52:54:00:12:34");
	refused(SET("n", "1 mtu 1500 mac 2"), -ERANGE, "mac");
	refused(SET("b", "52:54:00:12:34:56"), -EOPNOTSUPP, "b"); /* D6 */
	reply = ask_bytes(SET("s", "52:54:00:12:34:56"), strlen(SET("s", "52:54:00:12:34:56")));
	assert_non_null(json_object_get(reply, "result"));
	assert_non_null(json_string_value(json_object_get(reply, "warning")));
	json_decref(reply);
}

/* ---- lines ---- */

static void lines_that_are_no_requests_are_told_why(void **state)
{
	char *line = malloc(MGMT_LINE_MAX + 2);
	json_t *reply;

	(void)state;
	refused("", -EINVAL, "not JSON");
	refused("{", -EINVAL, "not JSON");
	refused("[1,2]", -EINVAL, "object");
	refused("{}", -EINVAL, "command");
	refused("{\"command\":7}", -EINVAL, "command");
	refused("{\"command\":\"dev shoot\"}", -EINVAL, "dev shoot");
	refused("{\"command\":\"dev show\",\"devv\":\"n\"}", -EINVAL, "devv");
	refused("{\"command\":\"dev show\",\"dev\":7}", -EINVAL, "dev");
	refused("{\"command\":\"dev show\",\"command\":\"dev del\"}", -EINVAL, "not JSON");
	refused("{\"command\":\"dev show\"} x", -EINVAL, "not JSON");
	refused("{\"a\":[[[[1]]]]}", -EINVAL, "more than 4");
	refused("{\"a\":\"[[[[[[[[[[\"}", -EINVAL, "command"); /* no nesting: a string */
	refused("{\"command\":\"\\u001b[2J\"}", -EINVAL, "x1b");
	memset(line, '[', MGMT_LINE_MAX + 1);
	reply = ask_bytes(line, MGMT_LINE_MAX + 1);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(reply, "error"), "errno")),
		EMSGSIZE);
	json_decref(reply);
	json_decref(ask_bytes(line, MGMT_LINE_MAX));
	free(line);
}

static uint32_t next(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	return *x ^= *x << 5;
}

static void any_bytes_at_all_are_answered(void **state)
{
	static const char *const seeds[] = {
		"{\"command\":\"dev add\",\"spec\":\"name f mgmtdev vdpasim_net mtu 1500\"}",
		"{\"command\":\"dev del\",\"dev\":\"f\"}",
		"{\"command\":\"dev set\",\"dev\":\"f\",\"mac\":\"52:54:00:12:34:56\"}",
		"{\"command\":\"dev vstats show\",\"dev\":\"f\",\"qidx\":1}",
		"{\"command\":\"dev config show\"}"};
	uint32_t x = 2463534242u;
	char line[128];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		const char *seed = seeds[next(&x) % ARRAY_LEN(seeds)];
		size_t len = strlen(seed);

		memcpy(line, seed, len);
		for (uint32_t n = next(&x) % 4; n > 0; n--)
			line[next(&x) % len] = (char)next(&x);
		if (next(&x) % 8 == 0)
			len = next(&x) % len;
		json_decref(ask_bytes(line, len));
	}
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(mgmt_9_2_devices_show_as_in_iproute2),
		TEST(mgmtdevs_show_classes_queues_and_features),
		TEST(mgmt_9_2_features_show_once_they_are_negotiated),
		TEST(looking_at_the_configuration_changes_nothing),
		TEST(mgmt_7_11_counters_show_with_the_kind_of_queue),
		TEST(mgmt_9_3_dev_new_errors),
		TEST(mgmt_9_3_unknown_names_are_enodev),
		TEST(mgmt_9_3_vstats_errors),
		TEST(mgmt_9_3_attr_set),
		TEST(lines_that_are_no_requests_are_told_why),
		TEST(any_bytes_at_all_are_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
