// SPDX-License-Identifier: BSD-3-Clause
/*
 * The worker's flush of a queue is put off, as it is while the used area is not mapped: what was
 * pushed stays unpublished. A test program wraps vdpasim_vq_flush() for this (ld's --wrap).
 */
#ifndef HOLDFAST_TEST_SIM_FLUSH_SUPPORT_H
#define HOLDFAST_TEST_SIM_FLUSH_SUPPORT_H

#define FLUSH_NONE (-1)

/** flush_put_off() - from now on, of queue @idx alone; FLUSH_NONE: of none. What was put off before
 * does not count for flush_wait_put_off() */
void flush_put_off(int idx);
/** flush_wait_put_off() - returns when the worker has put off something to publish since the last
 * time */
void flush_wait_put_off(void);

#endif
