// SPDX-License-Identifier: BSD-3-Clause
/*
 * nic: what the test guest and the host side of a test need and busybox does not have.
 *
 *   nic channels IF [N]     show, or set, the number of combined queue pairs
 *   nic stats IF            the driver's own counters, one "NAME VALUE" a line; rx_queue_0_packets
 *                           and its like wherever the kernel keeps them
 *   nic send IF [OPTIONS]   numbered Ethernet frames of known content
 *   nic recv IF [OPTIONS]   receive and compare them byte by byte
 *
 * A frame's content follows from the stream's seed and the frame's number alone, so the receiver
 * knows each byte that it must find, and a lost, repeated, late or altered frame is told apart.
 * recv ends when all frames came or at its deadline, prints one line
 *   received=R missing=M corrupt=C duplicate=D reordered=O gap_us=G
 * where G is the longest time between two frames, and exits 0 only if R is the count and M, C and D
 * are 0. It prints "listening" first, when the socket is open. With --result FIFO it goes to the
 * background at that point and hands that one line to whoever reads FIFO. With --hold FIFO it
 * leaves the frames that come where they are, in the kernel's memory, until somebody writes to
 * FIFO; a frame of its Ethernet type that is none of the stream's counts as corrupt then, for
 * nobody else sends any. The program is static and runs in the guest and on the host alike.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/genetlink.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NIC_ETHERTYPE  0x88b5 /* IEEE 802: local experimental */
#define NIC_MAGIC      0x484f4c44u
#define NIC_FRAME_MAX  65535
#define NIC_COUNT_MAX  1000000
#define NIC_SOCKBUF    (16 << 20)
#define NIC_NS_PER_SEC 1000000000ull
#define NIC_NS_PER_MS  1000000ull

struct nic_options {
	const char *ifname;
	const char *result; /* recv: fifo for the result; NULL: stay in the foreground */
	const char *hold;   /* recv: fifo that says when to begin; NULL: at once */
	uint32_t count;
	uint32_t size;    /* bytes, with the Ethernet header; 0: each frame its own */
	uint32_t seed;    /* names the stream; the receiver ignores other streams */
	uint32_t rate;    /* frames a second; 0: as fast as the socket takes them */
	uint32_t timeout; /* seconds */
	uint32_t idle;    /* recv: ms without a frame that end it, once one came; 0: none do */
	uint32_t corrupt; /* send: number of the frame to damage; UINT32_MAX: none */
	uint8_t dest[ETH_ALEN];
};

struct nic_header {
	struct ether_header eth;
	uint32_t magic;
	uint32_t seed;
	uint32_t number;
} __attribute__((packed));

struct nic_tally {
	uint32_t received, corrupt, duplicate, reordered;
	uint32_t highest;
	uint64_t last_ns, gap_ns; /* time of the last frame; longest time without one */
	uint8_t *seen;            /* one byte a frame */
};

static int fail(const char *what, const char *value)
{
	fprintf(stderr, "nic: %s %s: %s\n", what, value, strerror(errno));
	return 1;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NIC_NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* splitmix64: cheap, and each frame starts its own sequence */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static uint32_t frame_len(const struct nic_options *opt, uint64_t *state)
{
	const uint32_t span = ETH_FRAME_LEN - ETH_ZLEN + 1;
	uint32_t own = ETH_ZLEN + (uint32_t)(next_random(state) % span);

	return opt->size ? opt->size : own;
}

/* Writes frame @number but for its addresses, and returns its length. */
static uint32_t frame_fill(const struct nic_options *opt, uint32_t number, uint8_t *frame)
{
	uint64_t state = ((uint64_t)opt->seed << 32) | number;
	uint32_t len = frame_len(opt, &state);
	struct nic_header head = {
		.eth.ether_type = htons(NIC_ETHERTYPE),
		.magic = htonl(NIC_MAGIC),
		.seed = htonl(opt->seed),
		.number = htonl(number),
	};

	memcpy(frame, &head, sizeof(head));
	for (uint32_t i = sizeof(head); i < len; i += 8) {
		uint64_t word = next_random(&state);
		uint32_t left = len - i;

		memcpy(frame + i, &word, left < 8 ? left : 8);
	}
	return len;
}

static int open_packet_socket(const struct nic_options *opt, int protocol)
{
	struct sockaddr_ll addr = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons((uint16_t)protocol),
		.sll_ifindex = (int)if_nametoindex(opt->ifname),
	};
	int size = NIC_SOCKBUF;
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	/* best effort: FORCE needs the initial user namespace */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int read_mac(int fd, const char *ifname, uint8_t *mac)
{
	struct ifreq ifr = {0};

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	if (ioctl(fd, SIOCGIFHWADDR, &ifr) < 0)
		return -1;
	memcpy(mac, ifr.ifr_hwaddr.sa_data, ETH_ALEN);
	return 0;
}

/* A timer that expires @rate times a second, or -1 when no rate was asked for. */
static int open_pace(uint32_t rate)
{
	struct itimerspec spec = {0};
	int fd;

	if (rate == 0)
		return -1;
	spec.it_interval.tv_sec = rate == 1;
	spec.it_interval.tv_nsec = rate == 1 ? 0 : (long)(NIC_NS_PER_SEC / rate);
	spec.it_value = spec.it_interval;
	fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	if (fd >= 0 && timerfd_settime(fd, 0, &spec, NULL) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int send_frame(int fd, const uint8_t *frame, uint32_t len)
{
	struct pollfd pfd = {.fd = fd, .events = POLLOUT};

	for (;;) {
		if (send(fd, frame, len, 0) == (ssize_t)len)
			return 0;
		if (errno == ENOBUFS || errno == EAGAIN)
			(void)poll(&pfd, 1, 1); /* the queue below the socket is full */
		else if (errno != EINTR)
			return -1;
	}
}

static int nic_send(const struct nic_options *opt)
{
	static uint8_t frame[NIC_FRAME_MAX + 8];
	struct ether_header *eth = (struct ether_header *)frame;
	int fd = open_packet_socket(opt, 0);
	int pace = open_pace(opt->rate);
	uint8_t source[ETH_ALEN];

	if (fd < 0 || read_mac(fd, opt->ifname, source) < 0)
		return fail("cannot open interface", opt->ifname);
	for (uint32_t number = 0; number < opt->count; number++) {
		uint32_t len = frame_fill(opt, number, frame);
		uint64_t ticks;

		memcpy(eth->ether_dhost, opt->dest, ETH_ALEN);
		memcpy(eth->ether_shost, source, ETH_ALEN);
		if (number == opt->corrupt)
			frame[len - 1] ^= 1;
		if (pace >= 0 && read(pace, &ticks, sizeof(ticks)) < 0)
			return fail("cannot keep the rate on", opt->ifname);
		if (send_frame(fd, frame, len) < 0)
			return fail("cannot send on", opt->ifname);
	}
	printf("sent=%u\n", opt->count);
	return 0;
}

/* Returns true when @frame belongs to the stream that is being received. */
static int tally_frame(const struct nic_options *opt, const uint8_t *frame, size_t len,
		       struct nic_tally *tally)
{
	static uint8_t expected[NIC_FRAME_MAX + 8];
	struct nic_header head;
	uint32_t number;
	uint64_t now = now_ns();

	if (len < sizeof(head))
		return 0;
	memcpy(&head, frame, sizeof(head));
	number = ntohl(head.number);
	if (ntohl(head.magic) != NIC_MAGIC || ntohl(head.seed) != opt->seed ||
	    number >= opt->count) {
		tally->corrupt += opt->hold != NULL;
		return 0;
	}
	if (tally->last_ns && now - tally->last_ns > tally->gap_ns)
		tally->gap_ns = now - tally->last_ns;
	tally->last_ns = now;
	if (tally->seen[number]++) {
		tally->duplicate++;
		return 1;
	}
	if (number < tally->highest)
		tally->reordered++;
	else
		tally->highest = number;
	if (frame_fill(opt, number, expected) != len ||
	    memcmp(expected + ETHER_HDR_LEN, frame + ETHER_HDR_LEN, len - ETHER_HDR_LEN) != 0)
		tally->corrupt++;
	tally->received++;
	return 1;
}

static int report(const struct nic_options *opt, const struct nic_tally *tally)
{
	uint32_t missing = opt->count - tally->received;

	if (opt->result && !freopen(opt->result, "w", stdout))
		return fail("cannot open", opt->result);
	printf("received=%u missing=%u corrupt=%u duplicate=%u reordered=%u gap_us=%llu\n",
	       tally->received, missing, tally->corrupt, tally->duplicate, tally->reordered,
	       (unsigned long long)(tally->gap_ns / 1000));
	return missing || tally->corrupt || tally->duplicate;
}

/* Tells the caller that no frame will be missed from here on. */
static void announce(const struct nic_options *opt)
{
	puts("listening");
	fflush(stdout);
	if (!opt->result)
		return;
	if (fork() != 0)
		_exit(0);
	setsid();
}

static int nic_recv(const struct nic_options *opt)
{
	static uint8_t frame[NIC_FRAME_MAX];
	struct nic_tally tally = {.seen = calloc(opt->count + 1, 1)};
	int fd = open_packet_socket(opt, NIC_ETHERTYPE);
	uint64_t deadline;

	if (fd < 0 || !tally.seen)
		return fail("cannot open interface", opt->ifname);
	announce(opt);
	if (opt->hold && !fopen(opt->hold, "r"))
		return fail("cannot open", opt->hold);
	deadline = now_ns() + opt->timeout * NIC_NS_PER_SEC;
	while (tally.received < opt->count) {
		struct pollfd pfd = {.fd = fd, .events = POLLIN};
		struct sockaddr_ll from;
		socklen_t from_len = sizeof(from);
		uint64_t now = now_ns();
		ssize_t len;

		if (opt->idle && tally.last_ns)
			deadline = tally.last_ns + opt->idle * NIC_NS_PER_MS;
		if (now >= deadline || poll(&pfd, 1, (int)((deadline - now) / 1000000) + 1) == 0)
			break;
		len = recvfrom(fd, frame, sizeof(frame), MSG_TRUNC | MSG_DONTWAIT,
			       (struct sockaddr *)&from, &from_len);
		if (len > 0 && (size_t)len <= sizeof(frame) && from.sll_pkttype != PACKET_OUTGOING)
			(void)tally_frame(opt, frame, (size_t)len, &tally);
	}
	return report(opt, &tally);
}

static int ethtool(const char *ifname, void *command)
{
	struct ifreq ifr = {.ifr_data = command};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int ret;

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	ret = ioctl(fd, SIOCETHTOOL, &ifr);
	close(fd);
	return ret;
}

static int nic_channels(const char *ifname, const char *wanted)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};

	if (ethtool(ifname, &channels) < 0)
		return fail("cannot read the channels of", ifname);
	if (wanted) {
		channels.cmd = ETHTOOL_SCHANNELS;
		channels.combined_count = (uint32_t)strtoul(wanted, NULL, 10);
		if (ethtool(ifname, &channels) < 0)
			return fail("cannot set the channels of", ifname);
	}
	channels.cmd = ETHTOOL_GCHANNELS;
	if (ethtool(ifname, &channels) < 0)
		return fail("cannot read the channels of", ifname);
	printf("combined=%u max=%u\n", channels.combined_count, channels.max_combined);
	return 0;
}

/*
 * From Linux 6.10 on, virtio_net keeps the packets of each queue out of ethtool's counters. The
 * family "netdev" of generic netlink has them; <linux/netdev.h> of Debian 12 lacks these numbers.
 */
enum { QSTATS_GET = 12, QSTATS_SCOPE_QUEUE = 1 };
enum {
	QSTATS_IFINDEX = 1,
	QSTATS_QUEUE_TYPE = 2, /* 0: receive, 1: transmit */
	QSTATS_QUEUE_ID = 3,
	QSTATS_SCOPE = 4,
	QSTATS_RX_PACKETS = 8,
	QSTATS_TX_PACKETS = 10,
	QSTATS_MAX = 11,
};

struct genl_request {
	struct nlmsghdr head;
	struct genlmsghdr genl;
	uint8_t attributes[64];
};

static void genl_put(struct genl_request *req, uint16_t type, const void *value, uint16_t len)
{
	struct nlattr attr = {.nla_len = (uint16_t)(NLA_HDRLEN + len), .nla_type = type};
	uint8_t *at = (uint8_t *)req + req->head.nlmsg_len;

	memcpy(at, &attr, sizeof(attr));
	memcpy(at + NLA_HDRLEN, value, len);
	req->head.nlmsg_len += NLA_ALIGN(attr.nla_len);
}

/* Finds the attributes up to @max of one message, each a pointer to its header, or NULL. */
static void genl_parse(const struct nlmsghdr *msg, const struct nlattr **attrs, uint16_t max)
{
	const uint8_t *at = (const uint8_t *)msg + NLMSG_HDRLEN + GENL_HDRLEN;
	const uint8_t *end = (const uint8_t *)msg + msg->nlmsg_len;

	memset(attrs, 0, (max + 1u) * sizeof(*attrs));
	while (end - at >= NLA_HDRLEN) {
		const struct nlattr *attr = (const struct nlattr *)at;

		if (attr->nla_len < NLA_HDRLEN || attr->nla_len > end - at)
			return;
		if (attr->nla_type <= max)
			attrs[attr->nla_type] = attr;
		at += NLA_ALIGN(attr->nla_len);
	}
}

static uint64_t genl_value(const struct nlattr *attr)
{
	size_t len = (size_t)attr->nla_len - NLA_HDRLEN;
	uint64_t value = 0; /* 2, 4 or 8 bytes, little-endian */

	memcpy(&value, (const uint8_t *)attr + NLA_HDRLEN,
	       len < sizeof(value) ? len : sizeof(value));
	return value;
}

/* Returns the number of the family "netdev", or 0: this kernel has none. */
static uint16_t find_netdev_family(int fd)
{
	struct genl_request req = {
		.head = {NLMSG_LENGTH(GENL_HDRLEN), GENL_ID_CTRL, NLM_F_REQUEST, 0, 0},
		.genl = {.cmd = CTRL_CMD_GETFAMILY, .version = 1},
	};
	const struct nlattr *attrs[CTRL_ATTR_FAMILY_NAME + 1];
	union {
		struct nlmsghdr msg;
		uint8_t bytes[8192];
	} answer;

	genl_put(&req, CTRL_ATTR_FAMILY_NAME, "netdev", sizeof("netdev"));
	if (send(fd, &req, req.head.nlmsg_len, 0) < 0 ||
	    recv(fd, &answer, sizeof(answer), 0) < (ssize_t)NLMSG_LENGTH(GENL_HDRLEN) ||
	    answer.msg.nlmsg_type != GENL_ID_CTRL)
		return 0;
	genl_parse(&answer.msg, attrs, CTRL_ATTR_FAMILY_NAME);
	return attrs[CTRL_ATTR_FAMILY_ID] ? (uint16_t)genl_value(attrs[CTRL_ATTR_FAMILY_ID]) : 0;
}

static void print_queue(const struct nlmsghdr *msg)
{
	const struct nlattr *attrs[QSTATS_MAX + 1];
	const struct nlattr *packets;
	int sends;

	genl_parse(msg, attrs, QSTATS_MAX);
	if (!attrs[QSTATS_QUEUE_TYPE] || !attrs[QSTATS_QUEUE_ID])
		return;
	sends = genl_value(attrs[QSTATS_QUEUE_TYPE]) == 1;
	packets = attrs[sends ? QSTATS_TX_PACKETS : QSTATS_RX_PACKETS];
	if (packets)
		printf("%s_queue_%llu_packets %llu\n", sends ? "tx" : "rx",
		       (unsigned long long)genl_value(attrs[QSTATS_QUEUE_ID]),
		       (unsigned long long)genl_value(packets));
}

/* Prints the packets of each queue in use. A kernel or driver that does not keep them so is no
 * failure. */
static void print_queues(const char *ifname)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	uint32_t ifindex = if_nametoindex(ifname), scope = QSTATS_SCOPE_QUEUE;
	struct genl_request req = {
		.head = {NLMSG_LENGTH(GENL_HDRLEN), find_netdev_family(fd),
			 NLM_F_REQUEST | NLM_F_DUMP, 0, 0},
		.genl = {.cmd = QSTATS_GET, .version = 1},
	};
	static union {
		struct nlmsghdr msg;
		uint8_t bytes[65536];
	} answer;

	genl_put(&req, QSTATS_IFINDEX, &ifindex, sizeof(ifindex));
	genl_put(&req, QSTATS_SCOPE, &scope, sizeof(scope));
	if (!req.head.nlmsg_type || send(fd, &req, req.head.nlmsg_len, 0) < 0)
		return;
	for (;;) {
		ssize_t left = recv(fd, &answer, sizeof(answer), 0);
		const struct nlmsghdr *msg = &answer.msg;

		if (left <= 0)
			return;
		for (; NLMSG_OK(msg, left); msg = NLMSG_NEXT(msg, left)) {
			if (msg->nlmsg_type != req.head.nlmsg_type)
				return; /* the end, or an error */
			print_queue(msg);
		}
	}
}

static int nic_stats(const char *ifname)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	struct ethtool_gstrings *names;
	struct ethtool_stats *values;

	if (ethtool(ifname, &info) < 0)
		return fail("cannot ask the driver of", ifname);
	names = calloc(1, sizeof(*names) + (size_t)info.n_stats * ETH_GSTRING_LEN);
	values = calloc(1, sizeof(*values) + (size_t)info.n_stats * sizeof(uint64_t));
	if (!names || !values)
		return fail("no memory for the counters of", ifname);
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_STATS;
	names->len = info.n_stats;
	values->cmd = ETHTOOL_GSTATS;
	values->n_stats = info.n_stats;
	if (ethtool(ifname, names) < 0 || ethtool(ifname, values) < 0)
		return fail("cannot read the counters of", ifname);
	for (uint32_t i = 0; i < info.n_stats; i++)
		printf("%.*s %llu\n", ETH_GSTRING_LEN, (char *)names->data + i * ETH_GSTRING_LEN,
		       (unsigned long long)values->data[i]);
	print_queues(ifname);
	return 0;
}

static int parse_mac(const char *text, uint8_t *mac)
{
	unsigned int b[ETH_ALEN];

	if (sscanf(text, "%x:%x:%x:%x:%x:%x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]) != ETH_ALEN)
		return -1;
	for (int i = 0; i < ETH_ALEN; i++)
		mac[i] = (uint8_t)b[i];
	return 0;
}

/* Options are --NAME VALUE; the first one that makes no sense is returned. */
static const char *parse_options(char **argv, struct nic_options *opt)
{
	const struct {
		const char *name;
		uint32_t *value;
	} numbers[] = {
		{"--count", &opt->count},     {"--size", &opt->size},
		{"--seed", &opt->seed},       {"--rate", &opt->rate},
		{"--timeout", &opt->timeout}, {"--corrupt", &opt->corrupt},
		{"--idle", &opt->idle},
	};

	for (; *argv; argv += 2) {
		size_t i;

		if (!argv[1])
			return *argv;
		for (i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
			if (strcmp(*argv, numbers[i].name) == 0)
				break;
		}
		if (strcmp(*argv, "--result") == 0)
			opt->result = argv[1];
		else if (strcmp(*argv, "--hold") == 0)
			opt->hold = argv[1];
		else if (i < sizeof(numbers) / sizeof(*numbers))
			*numbers[i].value = (uint32_t)strtoul(argv[1], NULL, 10);
		else if (strcmp(*argv, "--dest") != 0 || parse_mac(argv[1], opt->dest) < 0)
			return *argv;
	}
	if (opt->count > NIC_COUNT_MAX)
		return "--count";
	return opt->size && (opt->size < ETH_ZLEN || opt->size > NIC_FRAME_MAX) ? "--size" : NULL;
}

int main(int argc, char **argv)
{
	struct nic_options opt = {
		.count = 100,
		.seed = 1,
		.timeout = 30,
		.corrupt = UINT32_MAX,
		.dest = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	};
	const char *bad;

	if (argc < 3) {
		fprintf(stderr, "usage: nic channels|stats|send|recv IF [OPTIONS]\n");
		return 2;
	}
	if (strcmp(argv[1], "channels") == 0)
		return nic_channels(argv[2], argv[3]);
	if (strcmp(argv[1], "stats") == 0)
		return nic_stats(argv[2]);
	opt.ifname = argv[2];
	bad = parse_options(argv + 3, &opt);
	if (bad) {
		fprintf(stderr, "nic: bad option: %s\n", bad);
		return 2;
	}
	return strcmp(argv[1], "send") == 0 ? nic_send(&opt) : nic_recv(&opt);
}
