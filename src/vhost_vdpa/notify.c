// SPDX-License-Identifier: BSD-3-Clause
/*
 * Eventfds between client and device. The session works on duplicates, so the client may close its
 * own descriptors. Guarantees:
 *
 * 1. If the parent has a worker for the queue, a kick runs on that worker. If not, it runs on one
 *    worker of the session. Nobody reads the eventfd's counter: only its edges count, so the
 *    client may share the eventfd.
 * 2. When SET_VRING_KICK returns, the old eventfd kicks no more. It was unwatched under the
 *    worker's lock.
 * 3. A call eventfd is closed only after the parent has taken its successor. The parent's contract
 *    is that the old callback is not running any more then.
 * 4. A reset makes the parent forget its callbacks, and the client must set them again ([4-8]).
 *    The session keeps its own notifiers until they are replaced. So nothing dangles in a parent
 *    that does not forget.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/fd.h"
#include "base/refuse.h"
#include "vhost_vdpa/session.h"

/*
 * A duplicate of the client's eventfd, or @held again if that is the same file. Clients set the
 * same eventfds at every start, and making a new duplicate costs more than the rest of a reset.
 * @held: [owned by the caller] the eventfd in use now, or -1
 * Return: fd >= 0; -EBADF; -EINVAL; -EMFILE: the client has no number left for the duplicate
 */
static int eventfd_from_client(const struct vhost_vdpa_client *client, int fd, int held)
{
	int own, ret;

	own = fd < 0 ? -EBADF : client->get_fd(client, fd);
	if (own == -EMFILE)
		return refuse(-EMFILE, "no file descriptor left to duplicate %d", fd);
	if (own < 0)
		return refuse(-EBADF, "%d is not an open file descriptor", fd);
	if (held >= 0 && fd_is_same_file(own, held)) {
		fd_close(&own);
		return held;
	}
	ret = fd_is_eventfd(own);
	if (ret == 1)
		return own;
	fd_close(&own);
	return ret < 0 ? refuse(-EBADF, "%d is not an open file descriptor", fd)
		       : refuse(-EINVAL, "file descriptor %d is not an eventfd", fd);
}

/* ---- device to client ---- */

int notifier_from_client(const struct vhost_vdpa_client *client, int fd, struct notifier *held,
			 struct notifier **out)
{
	struct notifier *n;
	int own, flags;

	if (fd == VHOST_FILE_UNBIND) {
		*out = NULL;
		return 0;
	}
	own = eventfd_from_client(client, fd, held ? held->fd : -1);
	if (own < 0)
		return own;
	if (held && own == held->fd) {
		*out = held;
		return 0;
	}
	n = malloc(sizeof(*n));
	if (!n) {
		fd_close(&own);
		return refuse(-ENOMEM, "no memory for a callback");
	}
	flags = fcntl(own, F_GETFL);
	*n = (struct notifier){.fd = own, .may_block = flags < 0 || !(flags & O_NONBLOCK)};
	*out = n;
	return 0;
}

void notifier_destroy(struct notifier *n)
{
	if (!n)
		return;
	fd_close(&n->fd);
	free(n);
}

void notifier_signal(const struct notifier *n)
{
	fd_signal(n->fd, n->may_block);
}

static void notifier_called(void *arg)
{
	notifier_signal(arg);
}

struct vdpa_callback notifier_callback(struct notifier *n)
{
	return n ? (struct vdpa_callback){notifier_called, n} : (struct vdpa_callback){0};
}

int do_set_vring_call(struct vhost_vdpa *s, struct ioctl_call *c)
{
	struct vhost_vring *vr = &s->vrings[c->idx];
	struct vdpa_callback cb;
	struct notifier *n, *old;
	int ret;

	ret = notifier_from_client(c->client, c->u.file.fd, vr->call, &n);
	if (ret)
		return ret;
	old = vr->call;
	vr->call = n;
	cb = notifier_callback(n);
	VDPA_CALL(s->dev, set_vq_cb, (uint16_t)c->idx, &cb);
	if (old != n)
		notifier_destroy(old);
	return 0;
}

/* Stored and never signalled, as in the kernel ([1-34]). */
int do_set_vring_err(struct vhost_vdpa *s, struct ioctl_call *c)
{
	struct vhost_vring *vr = &s->vrings[c->idx];
	int own = -1;

	if (c->u.file.fd != VHOST_FILE_UNBIND) {
		own = eventfd_from_client(c->client, c->u.file.fd, -1);
		if (own < 0)
			return own;
	}
	fd_close(&vr->err_fd);
	vr->err_fd = own;
	return 0;
}

/* ---- client to device ---- */

/* Worker thread, its lock held. */
static void kick_ready(void *arg, uint32_t events)
{
	struct kick *k = arg;

	if (events & EPOLLIN)
		k->dev->ops->kick_vq(k->dev, k->idx);
}

static void kick_drop(struct kick *k)
{
	struct worker *w = k->worker;

	if (k->watch) {
		worker_lock(w);
		worker_unwatch(w, k->watch);
		worker_unlock(w);
	}
	k->watch = NULL;
	k->worker = NULL;
	fd_close(&k->fd);
}

/* The worker that polls kicks of queue @idx. */
static int kick_worker(struct vhost_vdpa *s, uint16_t idx, struct worker **out)
	REQUIRES(s->dev->lock)
{
	int ret;

	if (s->dev->ops->get_vq_worker) {
		*out = VDPA_CALL(s->dev, get_vq_worker, idx);
		if (*out)
			return 0;
	}
	if (!s->kicker) {
		ret = worker_create(s->dev->name, NULL, NULL, &s->kicker);
		if (ret)
			return refuse(ret, "device %s: no thread to poll kicks", s->dev->name);
	}
	*out = s->kicker;
	return 0;
}

static int kick_start(struct vhost_vdpa *s, struct kick *k) REQUIRES(s->dev->lock)
{
	int ret = kick_worker(s, k->idx, &k->worker);

	if (ret)
		return ret;
	ret = worker_watch(k->worker, k->fd, EPOLLIN | EPOLLET, kick_ready, k, &k->watch);
	if (ret) {
		k->worker = NULL;
		return refuse(ret, "device %s cannot poll the kick eventfd of ring %u",
			      s->dev->name, k->idx);
	}
	return 0;
}

/* What poll(2) says of an eventfd now: POLLIN it was signalled, POLLERR its counter is at its
 * maximum. */
static short eventfd_state(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	return poll(&pfd, 1, 0) > 0 ? pfd.revents : 0;
}

int do_set_vring_kick(struct vhost_vdpa *s, struct ioctl_call *c)
{
	struct kick *k = &s->vrings[c->idx].kick;
	short state;
	bool held;
	int own;

	if (c->u.file.fd == VHOST_FILE_UNBIND) {
		kick_drop(k);
		return 0;
	}
	own = eventfd_from_client(c->client, c->u.file.fd, k->watch ? k->fd : -1);
	if (own < 0)
		return own;
	held = own == k->fd;
	if (!held) {
		kick_drop(k);
		k->fd = own;
	}
	/* An eventfd whose counter is at its maximum shows an error for ever and never an edge. */
	state = eventfd_state(own);
	if (state & POLLERR) {
		kick_drop(k);
		return refuse(-EINVAL, "the kick eventfd of ring %u is in error", c->idx);
	}
	if (!held)
		return kick_start(s, k);
	/* Watched already; a fresh watch would report a signal that is there ([1-32]). */
	if (state & POLLIN)
		s->dev->ops->kick_vq(s->dev, k->idx);
	return 0;
}

/* ---- the end ---- */

void kicks_stop(struct vhost_vdpa *s)
{
	for (uint32_t i = 0; i < s->dev->nvqs; i++)
		kick_drop(&s->vrings[i].kick);
	worker_destroy(s->kicker);
	s->kicker = NULL;
}

void notify_cleanup(struct vhost_vdpa *s)
{
	const struct vdpa_callback none = {0};

	for (uint32_t i = 0; i < s->dev->nvqs; i++) {
		struct vhost_vring *vr = &s->vrings[i];

		if (vr->call)
			VDPA_CALL(s->dev, set_vq_cb, (uint16_t)i, &none);
		notifier_destroy(vr->call);
		vr->call = NULL;
		fd_close(&vr->err_fd);
	}
}
