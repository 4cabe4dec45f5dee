// SPDX-License-Identifier: BSD-3-Clause
#include "flush_support.h"

#include <sys/eventfd.h>

#include "parents/sim/sim.h"
#include "support.h"

static int put_off = FLUSH_NONE; /* queue; atomic */
static int was_put_off = -1;     /* eventfd; made before anything is put off */

void __real_vdpasim_vq_flush(struct vdpasim_vq *vq);
void __wrap_vdpasim_vq_flush(struct vdpasim_vq *vq);
void __wrap_vdpasim_vq_flush(struct vdpasim_vq *vq)
{
	if (vq->idx == __atomic_load_n(&put_off, __ATOMIC_ACQUIRE) &&
	    worker_is_current(vq->sw->worker) && !ring_is_flushed(vq->ring))
		(void)eventfd_write(was_put_off, 1);
	else
		__real_vdpasim_vq_flush(vq);
}

void flush_put_off(int idx)
{
	if (was_put_off < 0)
		was_put_off = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_true(was_put_off >= 0);
	(void)rig_wait_fd(was_put_off, 0);
	__atomic_store_n(&put_off, idx, __ATOMIC_RELEASE);
}

void flush_wait_put_off(void)
{
	assert_true(rig_wait_fd(was_put_off, DEADLINE_MS));
}
