// SPDX-License-Identifier: BSD-3-Clause
/*
 * The network card as a device: its features, configuration space, groups, and which queue does
 * what. Queues 2i and 2i+1 are receive and transmit of pair i. The control queue is the one behind
 * the last pair that the driver may use: 2 without multiqueue, 2 * max_vqp with it.
 */
#include "net.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "base/refuse.h"

#define MTU_DEFAULT 1500

enum { GROUP_DATA, GROUP_CVQ, GROUP_DESC };

uint64_t simnet_features(const struct simnet *net, const struct vdpa_dev_config *config)
{
	uint64_t features = SIMNET_FEATURES_STRICT;

	if (!vdpa_config_is_strict(config)) {
		features |= SIMNET_FEATURES_RICH | (net->backend->offloads & SIMNET_OFFLOADS);
		if (net->backend->offloads)
			features |= F(CTRL_GUEST_OFFLOADS);
		if (net->max_pairs > 1)
			features |= F(MQ);
	}
	return features;
}

/* ---- configuration space ---- */

static void net_get_config(struct vdpasim *sim, size_t off, void *buf, size_t len)
{
	struct simnet *net = simnet_of(sim);
	struct virtio_net_config config;

	mutex_lock(&net->lock);
	config = net->config;
	mutex_unlock(&net->lock);
	config.status |= htole16(VIRTIO_NET_S_LINK_UP); /* whatever was written there */
	memcpy(buf, (const char *)&config + off, len);
}

/* Batches end first, so that what is sent behind it meets the new address. */
static void net_set_config(struct vdpasim *sim, size_t off, const void *buf, size_t len)
{
	struct simnet *net = simnet_of(sim);

	vdpasim_lock_all(sim);
	mutex_lock(&net->lock);
	memcpy((char *)&net->config + off, buf, len);
	memcpy(net->filter.mac, net->config.mac, sizeof(net->filter.mac));
	simnet_filter_changed(net);
	mutex_unlock(&net->lock);
	vdpasim_unlock_all(sim);
}

/* ---- queues ---- */

static bool is_ctrl(const struct simnet *net, uint16_t idx)
{
	return idx == (net->cvq == SIMNET_NO_CVQ ? 2 * net->max_pairs : net->cvq);
}

static uint32_t net_vq_group(struct vdpasim *sim, uint16_t idx)
{
	return is_ctrl(simnet_of(sim), idx) ? GROUP_CVQ : GROUP_DATA;
}

static uint32_t net_vq_desc_group(struct vdpasim *sim, uint16_t idx)
{
	return is_ctrl(simnet_of(sim), idx) ? GROUP_CVQ : GROUP_DESC;
}

static uint16_t net_vq_worker(struct vdpasim *sim, uint16_t idx)
{
	return idx == sim->dev.nvqs - 1 ? 0 : (uint16_t)(idx / 2 % sim->nr_workers);
}

static void net_features_changed(struct vdpasim *sim)
{
	struct simnet *net = simnet_of(sim);
	bool mq = vdpasim_acked(sim, VIRTIO_NET_F_MQ);

	mutex_lock(&net->tell);
	net->mergeable = vdpasim_acked(sim, VIRTIO_NET_F_MRG_RXBUF);
	net->hdr_len = net->mergeable || vdpasim_acked(sim, VIRTIO_F_VERSION_1)
			       ? sizeof(struct virtio_net_hdr_mrg_rxbuf)
			       : sizeof(struct virtio_net_hdr);
	net->nr_pairs = mq ? net->max_pairs : 1;
	net->cvq = SIMNET_NO_CVQ;
	if (vdpasim_acked(sim, VIRTIO_NET_F_CTRL_VQ))
		net->cvq = 2 * net->nr_pairs;
	simnet_tell_features(net);
	mutex_unlock(&net->tell);
	simnet_filter_reset(net);
}

static void net_reset(struct vdpasim *sim)
{
	struct simnet *net = simnet_of(sim);

	for (uint16_t i = 0; i < net->max_pairs; i++) {
		simnet_rx_forget_held(&net->pairs[i]);
		net->pairs[i].tx_blocked = net->pairs[i].tx_waits = false;
	}
}

/*
 * The first pair is in use until the driver says otherwise. QEMU 7.2 passes the control queue
 * through, and repeats no command when it stops and continues a device. The only sign that a pair
 * was in use is then a ring that starts in its middle.
 */
static void pair_goes_on(struct simnet_pair *pair, const struct vdpasim_vq *vq)
{
	struct simnet *net = pair->net;
	struct vdpa_vq_state state = vdpasim_vq_state(vq);
	uint16_t fresh = vdpasim_acked(vq->sim, VIRTIO_F_RING_PACKED) ? 0x8000 : 0;
	bool goes_on;

	if (pair->idx == 0 || state.last_avail == fresh)
		return;
	mutex_lock(&net->lock);
	goes_on = !net->filter.pairs_said && pair->idx >= net->filter.pairs;
	mutex_unlock(&net->lock);
	if (!goes_on)
		return;
	simnet_tell_pairs(net, pair->idx + 1);
	mutex_lock(&net->lock);
	simnet_set_pairs(net, pair->idx + 1, false);
	mutex_unlock(&net->lock);
}

static void net_vq_started(struct vdpasim_vq *vq)
{
	struct simnet *net = simnet_of(vq->sim);
	struct simnet_pair *pair;

	if (vq->idx >= 2 * net->nr_pairs)
		return;
	pair = &net->pairs[vq->idx / 2];
	pair_goes_on(pair, vq);
	if (net->nr_pairs == 1) /* the driver has no way to ask for more */
		simnet_tell_pairs(net, 1);
	if (vq == pair->rx) {
		pair->tx->pending |= pair->tx_waits;
		pair->tx_waits = false;
		vq->pending |= pair->readable || pair->held_len;
	}
}

static void net_vq_stopping(struct vdpasim_vq *vq)
{
	struct simnet *net = simnet_of(vq->sim);

	vdpasim_vq_publish_late(vq);
	if (vq->idx < 2 * net->nr_pairs && vq->idx % 2 == 0)
		simnet_rx_stopping(&net->pairs[vq->idx / 2]);
}

static bool net_process(struct vdpasim_vq *vq)
{
	struct simnet *net = simnet_of(vq->sim);
	struct simnet_pair *pair;

	if (net->strict)
		return simnet_strict_process(net, vq);
	if (vq->idx == net->cvq)
		return simnet_ctrl_batch(net, vq);
	if (vq->idx >= 2 * net->nr_pairs)
		return false;
	pair = &net->pairs[vq->idx / 2];
	if (!simnet_pair_is_on(pair))
		return false;
	if (net->backend == &simnet_loopback && vq == pair->rx) {
		pair->tx->pending |=
			pair->tx_waits; /* the receive queue was parked, and is not now */
		pair->tx_waits = false;
		simnet_rx_flush(pair);
		return false;
	}
	if (net->backend == &simnet_loopback)
		return simnet_loopback_batch(pair);
	return vq == pair->tx ? simnet_tx_batch(pair) : simnet_rx_batch(pair);
}

/* ---- life ---- */

static int net_worker_started(struct vdpasim *sim, struct vdpasim_worker *sw)
{
	struct simnet *net = simnet_of(sim);

	return net->backend->worker_started ? net->backend->worker_started(net, sw) : 0;
}

static void net_worker_stopping(struct vdpasim *sim, struct vdpasim_worker *sw)
{
	struct simnet *net = simnet_of(sim);

	if (net->backend->worker_stopping)
		net->backend->worker_stopping(net, sw);
}

static void net_batch_begin(struct vdpasim *sim, struct vdpasim_worker *sw)
{
	simnet_filter_refresh(simnet_of(sim), sw);
}

static void net_created(struct vdpasim *sim)
{
	struct simnet *net = simnet_of(sim);

	net->sim = sim;
	for (uint16_t i = 0; i < net->max_pairs; i++) {
		net->pairs[i].rx = &sim->vqs[2 * i];
		net->pairs[i].tx = &sim->vqs[2 * i + 1];
	}
	net_reset(sim);
	net_features_changed(sim);
}

static void net_destroy(struct vdpasim *sim)
{
	simnet_destroy(simnet_of(sim));
}

const struct vdpasim_type simnet_type = {
	.name = "vdpasim_net",
	.device_id = 1,
	.config_size = sizeof(struct virtio_net_config), /* 24, [1-18] */
	.get_config = net_get_config,
	.set_config = net_set_config,
	.vq_group = net_vq_group,
	.vq_desc_group = net_vq_desc_group,
	.vq_worker = net_vq_worker,
	.features_changed = net_features_changed,
	.reset = net_reset,
	.worker_started = net_worker_started,
	.worker_stopping = net_worker_stopping,
	.batch_begin = net_batch_begin,
	.batch_end = simnet_grant,
	.process = net_process,
	.vq_stopping = net_vq_stopping,
	.vq_started = net_vq_started,
	.created = net_created,
	.stats = simnet_stats,
	.strict_stats = true,
	.destroy = net_destroy,
};

static const struct simnet_backend_ops *const backends[] = {
	&simnet_loopback,
	&simnet_tap,
	&simnet_stream,
};

/* "tap,ifname=tap0" is the backend tap with the arguments "ifname=tap0". */
static int open_backend(struct simnet *net, const char *spec)
{
	size_t len = strcspn(spec, ",");
	const char *args = spec[len] ? spec + len + 1 : "";

	for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
		const struct simnet_backend_ops *b = backends[i];

		if (strlen(b->name) != len || memcmp(b->name, spec, len) != 0)
			continue;
		if (net->max_pairs > b->max_pairs)
			return refuse(-EINVAL, "backend %s has %u queue pair, max_vqp %u was asked",
				      b->name, b->max_pairs, net->max_pairs);
		net->backend = b;
		(void)snprintf(net->backend_args, sizeof(net->backend_args), "%s", args);
		return b->open(net, args);
	}
	return refuse(-EINVAL, "backend '%.*s' is not known (loopback, tap, stream)", (int)len,
		      spec);
}

/* The features are those of the last driver, or none. */
int simnet_claim(struct simnet *net)
{
	int err;

	if (!net->idle)
		return 0;
	err = net->backend->open(net, net->backend_args);
	if (err)
		return err;
	net->idle = false;
	mutex_lock(&net->tell);
	if (net->backend->configure && net->hdr_len)
		(void)net->backend->configure(net);
	/* what it would have been told while it was closed */
	if (net->backend->set_pairs && net->told_pairs)
		(void)net->backend->set_pairs(net, net->told_pairs);
	mutex_unlock(&net->tell);
	return 0;
}

void simnet_yield(struct simnet *net)
{
	if (!net->backend->outside || net->idle)
		return;
	net->backend->close(net);
	net->idle = true;
	mutex_lock(&net->tell);
	net->told_pairs = 0; /* a fresh one knows of all */
	mutex_unlock(&net->tell);
	for (uint16_t i = 0; i < net->max_pairs; i++)
		net->pairs[i].readable = false;
}

static int alloc_pairs(struct simnet *net, uint16_t workers)
{
	net->pairs = calloc(net->max_pairs, sizeof(*net->pairs));
	net->copies = calloc(workers, sizeof(*net->copies));
	net->wishes = calloc(workers, sizeof(*net->wishes));
	if (!net->pairs || !net->copies || !net->wishes)
		return -ENOMEM;
	for (uint16_t i = 0; i < net->max_pairs; i++) {
		struct simnet_pair *pair = &net->pairs[i];

		pair->net = net;
		pair->idx = i;
		pair->fd = -1;
		pair->held = malloc(SIMNET_HELD_LEN);
		pair->iov = calloc(SIMNET_IOV_MAX, sizeof(*pair->iov));
		if (!pair->held || !pair->iov)
			return -ENOMEM;
	}
	return 0;
}

static void NO_TSA fill_config(struct simnet *net, const struct vdpa_dev_config *config)
{
	bool mtu_given = config->given & VDPA_KEY_MTU;

	net->mtu = mtu_given ? config->mtu : MTU_DEFAULT;
	if (config->given & VDPA_KEY_MAC)
		memcpy(net->config.mac, config->mac, sizeof(net->config.mac));
	net->config.mtu = htole16(net->mtu);
	net->config.status = htole16(VIRTIO_NET_S_LINK_UP);
	if (!vdpa_config_is_strict(config))
		net->config.max_virtqueue_pairs = htole16(net->max_pairs);
}

int simnet_create(const struct vdpa_dev_config *config, struct simnet **out)
{
	struct simnet *net = calloc(1, sizeof(*net));
	const char *backend = config->given & VDPA_KEY_BACKEND ? config->backend : "loopback";
	int err;

	if (!net)
		return -ENOMEM;
	mutex_init(&net->tell);
	mutex_init(&net->lock);
	memcpy(net->name, config->name, sizeof(net->name));
	net->max_pairs = config->max_vqp;
	net->cvq = SIMNET_NO_CVQ;
	fill_config(net, config);
	err = alloc_pairs(net, config->workers);
	if (!err)
		err = open_backend(net, backend);
	if (err) {
		net->backend = NULL; /* a failed open leaves nothing */
		simnet_destroy(net);
		return err;
	}
	net->strict = vdpa_config_is_strict(config) && net->backend == &simnet_loopback;
	*out = net;
	return 0;
}

void simnet_destroy(struct simnet *net)
{
	if (net->backend && net->backend->close && !net->idle)
		net->backend->close(net);
	for (uint16_t i = 0; net->pairs && i < net->max_pairs; i++) {
		free(net->pairs[i].held);
		free(net->pairs[i].iov);
	}
	free(net->pairs);
	free(net->copies);
	free(net->wishes);
	mutex_fini(&net->lock);
	mutex_fini(&net->tell);
	free(net);
}
