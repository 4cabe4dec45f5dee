// SPDX-License-Identifier: BSD-3-Clause
/*
 * Management: what `vdpa` of iproute2 asks of a kernel, asked of a bus. One request and one reply
 * are a line of JSON each (docs/management.md); how they travel is the business of others
 * (mgmt/server.h). The members of a reply are those of iproute2's JSON, so that its consumers read
 * ours; the errors are those of spec section 9.
 *
 * Owns nothing. Thread rule: control threads; requests for one bus one at a time.
 */
#ifndef HOLDFAST_MGMT_MGMT_H
#define HOLDFAST_MGMT_MGMT_H

#include <stddef.h>

#include "base/compiler.h"
#include "vdpa/mgmt.h"

#define MGMT_LINE_MAX  16384u /* bytes of a request, without its line end */
#define MGMT_DEPTH_MAX 4u     /* arrays and objects within one another; requests are flat */

/* What requests are about. All lent. */
struct mgmt_env {
	struct vdpa_bus *bus;
	const struct vdpa_mgmt_dev *const *parents;
	size_t nr_parents;
	unsigned int nr_devices_max; /* as many nodes as there can be */
};

/**
 * mgmt_request() - carry out one request
 * @line: [lent] @len bytes from whoever, not terminated; anything at all is answered
 * Return: [owned] the reply as a line of JSON without line end; NULL without memory
 */
char *mgmt_request(const struct mgmt_env *env, const char *line, size_t len) HF_MUST_CHECK;

#endif
