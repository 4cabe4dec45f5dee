/* SPDX-License-Identifier: BSD-3-Clause */
/* The bring-up of a network device, with its rings in memory that is mapped in one piece. */
#include "client/client.h"

#include <errno.h>
#include <unistd.h>

static int net_negotiate(struct client_net *net, const struct client_net_opts *opts)
{
	uint64_t features = opts->features;
	uint64_t backend = opts->backend_features;
	uint64_t back;
	int rc;

	if (!features)
		features = CLIENT_FEATURE_VERSION_1 | CLIENT_FEATURE_ACCESS_PLATFORM |
			   (opts->ctrl ? CLIENT_BIT(VIRTIO_NET_F_CTRL_VQ) : 0);
	if (!backend)
		backend = CLIENT_BACKEND_MSG_V2 | CLIENT_BACKEND_BATCH;
	rc = client_set_status(net->fd, CLIENT_STATUS_DRIVER);
	if (rc == 0)
		rc = client_ioctl(net->fd, VHOST_SET_OWNER, NULL);
	if (rc == 0)
		rc = client_set_u64(net->fd, VHOST_SET_BACKEND_FEATURES, backend);
	if (rc == 0)
		rc = client_get_u64(net->fd, VHOST_GET_FEATURES, &back);
	if (rc == 0)
		rc = client_set_u64(net->fd, VHOST_SET_FEATURES, features & back);
	if (rc == 0)
		rc = client_set_status(net->fd, CLIENT_STATUS_FEATURES);
	if (rc == 0 && client_get_status(net->fd) != CLIENT_STATUS_FEATURES)
		rc = -EPROTO;
	return rc;
}

static int net_map(struct client_net *net, const struct client_net_opts *opts, uint32_t num)
{
	size_t ring_len = (client_ring_size(num) + 4095) & ~(size_t)4095;
	size_t data = opts->data_size ? opts->data_size : 1 << 20;
	int rc;

	net->iova = opts->iova;
	net->data_off = ring_len * net->nr_rings;
	rc = client_mem_create(&net->mem, (net->data_off + data + 4095) & ~(size_t)4095,
			       opts->kind);
	if (rc)
		return rc;
	for (unsigned i = 0; i < net->nr_rings; i++)
		client_ring_init(&net->ring[i], i, num, (uint8_t *)net->mem.addr + i * ring_len,
				 net->iova + i * ring_len, 0);
	rc = client_iotlb_batch(net->fd, 0, true);
	if (rc == 0)
		rc = client_iotlb_map(net->fd, 0, net->iova, net->mem.size, net->mem.addr,
				      VHOST_ACCESS_RW);
	if (rc == 0)
		rc = client_iotlb_batch(net->fd, 0, false);
	return rc;
}

int client_net_start(struct client_net *net, const char *path, const struct client_net_opts *opts)
{
	uint32_t num = opts->ring_size ? opts->ring_size : 256;
	uint16_t max = 0;
	int rc;

	*net = (struct client_net){.mem = {.memfd = -1}, .nr_rings = opts->ctrl ? 3 : 2};
	for (unsigned i = 0; i < CLIENT_NET_NR; i++)
		net->ring[i].kick_fd = net->ring[i].call_fd = -1;
	net->fd = client_open(path);
	if (net->fd < 0)
		return net->fd;
	rc = net_negotiate(net, opts);
	if (rc == 0)
		rc = client_ioctl(net->fd, VHOST_VDPA_GET_VRING_NUM, &max);
	if (rc == 0)
		rc = net_map(net, opts, num < max || opts->ring_size ? num : max);
	for (unsigned i = 0; rc == 0 && i < net->nr_rings; i++)
		rc = client_ring_attach(&net->ring[i], net->fd);
	for (unsigned i = 0; rc == 0 && i < net->nr_rings; i++)
		rc = client_vring_set(net->fd, VHOST_VDPA_SET_VRING_ENABLE, i, 1);
	if (rc == 0)
		rc = client_set_status(net->fd, CLIENT_STATUS_RUNNING);
	if (rc)
		client_net_stop(net);
	return rc;
}

void client_net_stop(struct client_net *net)
{
	if (net->nr_rings == 0 || net->fd < 0)
		return;
	(void)client_set_status(net->fd, 0);
	close(net->fd);
	net->fd = -1;
	for (unsigned i = 0; i < CLIENT_NET_NR; i++)
		client_ring_fini(&net->ring[i]);
	client_mem_destroy(&net->mem);
}

uint64_t client_net_iova(const struct client_net *net, size_t off)
{
	return net->iova + net->data_off + off;
}

void *client_net_data(const struct client_net *net, size_t off)
{
	return (uint8_t *)net->mem.addr + net->data_off + off;
}
