// SPDX-License-Identifier: BSD-3-Clause
/*
 * The client of `holdfast bench downtime`: a VMM that stops its devices and starts them again.
 * Owns its devices. Used by downtime.c. Thread rule: main thread.
 */
#ifndef HOLDFAST_BENCH_DOWNTIME_CLIENT_H
#define HOLDFAST_BENCH_DOWNTIME_CLIENT_H

#include "bench/downtime_device.h"

/** dt_client_open() - devices up to their owner; memory is mapped unless the client is a late one.
 * Return: 0 or -errno, and one line was printed; dt_client_close() on any outcome */
int dt_client_open(struct dt_client *c) HF_MUST_CHECK;
void dt_client_close(struct dt_client *c);
/** dt_client_start() - @shadow: on shadow rings. Return: 0 or -errno, and one line was printed */
int dt_client_start(struct dt_client *c, bool shadow) HF_MUST_CHECK;
/** dt_client_map() - map guest memory to the devices that lack it */
int dt_client_map(struct dt_client *c) HF_MUST_CHECK;
/** dt_client_stop() - and unmap what this kind unmaps */
int dt_client_stop(struct dt_client *c) HF_MUST_CHECK;
/** dt_client_load() - leave work behind in every queue, under way */
int dt_client_load(struct dt_client *c) HF_MUST_CHECK;

#endif
