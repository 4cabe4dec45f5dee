// SPDX-License-Identifier: BSD-3-Clause
/*
 * The slots of a worker's watched fds. What epoll reports names a slot and the slot's generation:
 * guarantee (3) of worker.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/worker_internal.h"

/* A free slot; lock held. Return: 0 or -ENOMEM */
static int slot_find(struct worker *w, uint32_t *out)
{
	struct worker_slot *slots;
	uint32_t nr;

	for (uint32_t i = 0; i < w->nr_slots; i++) {
		if (!w->slots[i].wfd) {
			*out = i;
			return 0;
		}
	}
	nr = w->nr_slots ? w->nr_slots * 2 : 8;
	slots = reallocarray(w->slots, nr, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	memset(slots + w->nr_slots, 0, (nr - w->nr_slots) * sizeof(*slots));
	*out = w->nr_slots;
	w->slots = slots;
	w->nr_slots = nr;
	return 0;
}

static int slot_control(struct worker *w, int op, const struct worker_fd *wfd, uint32_t events)
{
	struct epoll_event event = {.events = events};

	event.data.u64 = (uint64_t)w->slots[wfd->slot].generation << 32 | wfd->slot;
	return epoll_ctl(w->epoll_fd, op, wfd->fd, &event) < 0 ? -errno : 0;
}

/* worker_watch() with the lock held */
static int watch_locked(struct worker *w, struct worker_fd *wfd, uint32_t events)
{
	int err = slot_find(w, &wfd->slot);

	if (err)
		return err;
	err = slot_control(w, EPOLL_CTL_ADD, wfd, events);
	if (!err)
		w->slots[wfd->slot].wfd = wfd;
	return err;
}

int worker_watch(struct worker *w, int fd, uint32_t events, worker_fd_fn fn, void *arg,
		 struct worker_fd **out) NO_TSA
{
	struct worker_fd *wfd = malloc(sizeof(*wfd));
	bool mine = worker_lock_is_mine(w);
	int err;

	if (!wfd)
		return -ENOMEM;
	*wfd = (struct worker_fd){.fn = fn, .arg = arg, .fd = fd};
	if (!mine)
		worker_lock(w);
	err = watch_locked(w, wfd, events);
	if (!err)
		*out = wfd; /* before the first callback can look at it */
	if (!mine)
		worker_unlock(w);
	if (err)
		free(wfd);
	return err;
}

int worker_rewatch(struct worker *w, struct worker_fd *wfd, uint32_t events)
{
	return slot_control(w, EPOLL_CTL_MOD, wfd, events);
}

void worker_unwatch(struct worker *w, struct worker_fd *wfd)
{
	if (!wfd)
		return;
	(void)epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, wfd->fd, NULL);
	w->slots[wfd->slot].wfd = NULL;
	w->slots[wfd->slot].generation++;
	free(wfd);
}
