// SPDX-License-Identifier: BSD-3-Clause
/*
 * The host beneath a simulated disk: the file on which the disk lies, and calls that a test holds
 * up, as a slow drive does. A test program wraps such a call (ld's --wrap) and lets it pass
 * host_gate(). There is one file and one gate a program.
 *
 * A file whose requests are to wait lies in the working directory: /tmp may be memory, where no
 * request ever waits.
 */
#ifndef HOLDFAST_TEST_SIM_HOST_SUPPORT_H
#define HOLDFAST_TEST_SIM_HOST_SUPPORT_H

#include <limits.h>
#include <sys/types.h>

#include "support.h"

#define HOST_HOLD_MS 30000    /* then a held call goes on by itself: a device that waits is seen */
#define HOST_ALL     UINT_MAX /* every call */
#define A_WHILE      50       /* ms in which nothing must happen */

struct host_file {
	char path[64];
	int fd;
};
extern struct host_file host_file;

/** host_setup() - a test's setup: a new file, and a gate that holds nothing
 * @name:    as mkstemp() takes it
 * @content: [@len] bytes that are on the drive afterwards; NULL: a hole
 * Return: 0 or -1
 */
int host_setup(const char *name, const void *content, size_t len);
/** host_teardown() - a test's teardown */
int host_teardown(void **state);
/** host_config() - of a disk on the file */
struct vdpa_dev_config host_config(void);
/** host_file_has() - the file has these bytes at @off */
void host_file_has(off_t off, const void *bytes, size_t len);
/** host_why_not() - why no request ever waits here, or NULL. @in_flight: through io_uring */
const char *host_why_not(bool in_flight);

/** host_gate() - in the wrapped call, in any thread: waits if the call is held */
void host_gate(void);
/** host_hold() - the next @nr calls will wait at the gate; what waits there already stays */
void host_hold(unsigned int nr);
/** host_wait_held() - returns when a call has come to the gate and waits */
void host_wait_held(void);
/** host_release() - the call that waits goes on. Fails if none waits: the call has gone on by
 * itself, so somebody has waited for it */
void host_release(void);
/** host_suspend_waits() - suspend() returns after @release(), and not before */
void host_suspend_waits(struct rig *rig, void (*release)(void));

#endif
