// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>

#include "base/refuse.h"
#include "net.h"

static uint64_t load(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

int simnet_stats(struct vdpasim *sim, uint16_t idx, struct vdpa_vq_stat *stats)
{
	const struct simnet *net = simnet_of(sim);
	uint16_t last = 2 * net->nr_pairs;
	const struct simnet_pair *pair = &net->pairs[idx / 2 < net->nr_pairs ? idx / 2 : 0];
	const struct simnet_stats *s;
	int n = 0;

	if (idx > last)
		return refuse(-EINVAL, "%s has no queue %u", net->name, idx);
	if (idx == last) {
		const struct simnet_ctrl_stats *c = &net->ctrl_stats;

		stats[n++] = (struct vdpa_vq_stat){"cvq requests", load(&c->requests)};
		stats[n++] = (struct vdpa_vq_stat){"cvq successes", load(&c->successes)};
		stats[n++] = (struct vdpa_vq_stat){"cvq errors", load(&c->errors)};
		return n;
	}
	s = idx % 2 == 0 ? &pair->rx_stats : &pair->tx_stats;
	stats[n++] =
		(struct vdpa_vq_stat){idx % 2 ? "tx packets" : "rx packets", load(&s->packets)};
	stats[n++] = (struct vdpa_vq_stat){idx % 2 ? "tx bytes" : "rx bytes", load(&s->bytes)};
	stats[n++] = (struct vdpa_vq_stat){idx % 2 ? "tx errors" : "rx errors", load(&s->errors)};
	if (idx % 2 == 0)
		stats[n++] = (struct vdpa_vq_stat){"rx overruns", load(&s->overruns)};
	stats[n++] = (struct vdpa_vq_stat){idx % 2 ? "tx drops" : "rx drops", load(&s->drops)};
	return n;
}
