// SPDX-License-Identifier: BSD-3-Clause
/*
 * A session: every ioctl and message of the uAPI in any order with any arguments, on a card or a
 * disk, in each mapping style and both modes, with its worker at work. Two clients share the
 * device: one is another process to it. The device may be taken away in the midst.
 *
 * The client is this very process, so a device that translates 1:1 could be sent anywhere in it.
 * Therefore a ring's addresses come from a table, and ring memory has only addresses of the arena.
 *
 * What must hold: a call gives 0 or an errno of the uAPI; a refused one has a reason in words; when
 * the session is over, no page is charged and no descriptor is open that was not before.
 */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/refuse.h"
#include "memory/guard.h"
#include "parents/sim/simblk.h"
#include "parents/sim/simnet.h"
#include "ring/layout.h"
#include "vdpa/mgmt.h"
#include "vhost_vdpa/uapi.h"
#include "vhost_vdpa/vhost_vdpa.h"

#define HOST   0x200000000000ULL
#define LEN    0x100000u
#define PAGE   4096u
#define NR_FDS 4

static const struct vdpa_mgmt_dev *const parents[] = {&simnet_mgmt_dev, &simblk_mgmt_dev};

static const char *const specs[] = {
	"mgmtdev vdpasim_net offer all",
	"mgmtdev vdpasim_net quirks linux-6.12",
	"mgmtdev vdpasim_net mapping dma_map max_vqp 2",
	"mgmtdev vdpasim_net mapping platform",
	"mgmtdev vdpasim_net memory pinned memlock unlimited hold off",
	"mgmtdev vdpasim_net compat_reset on reset_map off",
	"mgmtdev vdpasim_blk capacity 128K offer all num_queues 2",
	"mgmtdev vdpasim_blk quirks linux-6.12",
	"mgmtdev vdpasim_blk memory pinned memlock unlimited hold off mapping dma_map",
	"mgmtdev vdpasim_net max_iotlb_entries 4",
};

static const unsigned int commands[] = {
	VHOST_SET_OWNER,
	VHOST_RESET_OWNER,
	VHOST_GET_FEATURES,
	VHOST_SET_FEATURES,
	VHOST_GET_BACKEND_FEATURES,
	VHOST_SET_BACKEND_FEATURES,
	VHOST_SET_VRING_NUM,
	VHOST_SET_VRING_BASE,
	VHOST_GET_VRING_BASE,
	VHOST_SET_VRING_ADDR,
	VHOST_SET_VRING_KICK,
	VHOST_SET_VRING_CALL,
	VHOST_SET_VRING_ERR,
	VHOST_SET_VRING_BUSYLOOP_TIMEOUT,
	VHOST_GET_VRING_BUSYLOOP_TIMEOUT,
	VHOST_SET_LOG_BASE,
	VHOST_SET_LOG_FD,
	VHOST_SET_MEM_TABLE,
	VHOST_VDPA_GET_DEVICE_ID,
	VHOST_VDPA_GET_STATUS,
	VHOST_VDPA_SET_STATUS,
	VHOST_VDPA_GET_CONFIG,
	VHOST_VDPA_SET_CONFIG,
	VHOST_VDPA_SET_VRING_ENABLE,
	VHOST_VDPA_GET_VRING_NUM,
	VHOST_VDPA_SET_CONFIG_CALL,
	VHOST_VDPA_GET_IOVA_RANGE,
	VHOST_VDPA_GET_CONFIG_SIZE,
	VHOST_VDPA_GET_VQS_COUNT,
	VHOST_VDPA_GET_GROUP_NUM,
	VHOST_VDPA_GET_AS_NUM,
	VHOST_VDPA_GET_VRING_GROUP,
	VHOST_VDPA_SET_GROUP_ASID,
	VHOST_VDPA_SUSPEND,
	VHOST_VDPA_RESUME,
	VHOST_VDPA_GET_VRING_DESC_GROUP,
	VHOST_VDPA_GET_VRING_SIZE,
	VHOST_GET_FORK_FROM_OWNER,
	VHOST_SET_FORK_FROM_OWNER,
	VHOST_NEW_WORKER,
	VHOST_GET_VRING_ENDIAN,
};

union argument {
	struct vhost_vring_state state;
	struct vhost_vring_file file;
	struct vhost_vring_addr addr;
	struct {
		uint32_t off, len;
		uint8_t buf[300];
	} config;
	uint64_t u64;
	uint8_t u8;
	int fd;
	uint8_t bytes[PAGE]; /* SET_MEM_TABLE reads as much as its head says */
};

static struct {
	char *mem;
	union argument *arg;
	struct memory_space *space;
	struct vdpa_bus *bus;
	struct vdpa_device *dev; /* NULL: taken away */
	struct vhost_vdpa *s;
	struct vhost_vdpa_client client[2];
	int fds[NR_FDS]; /* eventfds */
	unsigned int nr_fds;
} f;

static int get_fd(const struct vhost_vdpa_client *client, int fd)
{
	(void)client;
	return fd_dup(fd);
}

static unsigned int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (dir && readdir(dir))
		n++;
	(void)closedir(dir);
	return n;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	f.mem = mmap((void *)(uintptr_t)HOST, LEN, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	f.arg = malloc(sizeof(*f.arg));
	for (int i = 0; i < NR_FDS; i++)
		f.fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return (uintptr_t)f.mem == HOST && f.arg ? 0 : 1;
}

static int first_piece(void *arg, const struct memory_piece *piece)
{
	(void)arg;
	(void)piece;
	return 1;
}

static void begin(struct fuzz_input *in)
{
	const char *spec = specs[fuzz_below(in, ARRAY_LEN(specs))];
	struct vdpa_dev_config config;
	const struct vdpa_mgmt_dev *mgmt;

	/* not earlier: an engine that finds a handler there installs none of its own */
	fuzz_check(memory_guard_install() == 0);
	memset(f.mem, 0, LEN);
	fuzz_check(memory_space_create_own(&f.space) == 0);
	/* the process's map is opened once and stays */
	fuzz_check(memory_space_walk(f.space, HOST, HOST + LEN - 1, first_piece, NULL) == 1);
	f.nr_fds = count_fds();
	fuzz_check(vdpa_bus_create(f.space, &f.bus) == 0);
	fuzz_check(vdpa_driver_register(f.bus, &vhost_vdpa_driver) == 0);
	if (vdpa_spec_parse(parents, ARRAY_LEN(parents), spec, 0, &config, &mgmt)) {
		(void)fprintf(stderr, "%s: %s\n", spec, refuse_reason());
		abort();
	}
	fuzz_check(mgmt->dev_add(mgmt, f.bus, &config) == 0);
	f.dev = vdpa_bus_find(f.bus, config.name);
	fuzz_check(f.dev && vhost_vdpa_open(f.dev, &f.s) == 0);
	for (unsigned int i = 0; i < 2; i++)
		f.client[i] = (struct vhost_vdpa_client){
			.mm_id = 1 + i, .space = f.space, .get_fd = get_fd};
}

static void take_away(void)
{
	if (!f.dev)
		return;
	vdpa_device_unregister(f.dev);
	vdpa_device_put(f.dev);
	f.dev = NULL;
}

static void end(void)
{
	vhost_vdpa_release(f.s);
	fuzz_check(memory_charged_pages(f.space) == 0);
	take_away();
	vdpa_bus_destroy(f.bus);
	memory_space_put(f.space);
	fuzz_check(count_fds() == f.nr_fds);
}

/* ---- arguments ---- */

static uint64_t choose_address(struct fuzz_input *in)
{
	static const uint64_t few[] = {0, 1, 0x1000, 0x10000, HOST + LEN, UINT64_MAX, 1ULL << 47};

	if (fuzz_below(in, 4) == 0)
		return few[fuzz_below(in, ARRAY_LEN(few))] + fuzz_below(in, 4) * PAGE;
	return HOST + fuzz_below(in, LEN / PAGE) * PAGE + (fuzz_below(in, 8) ? 0 : fuzz_u8(in));
}

static uint64_t choose_size(struct fuzz_input *in)
{
	static const uint64_t few[] = {0,   1,          PAGE,       16 * PAGE,
				       LEN, UINT64_MAX, 1ULL << 63, PAGE - 1};

	return few[fuzz_below(in, ARRAY_LEN(few))];
}

static uint64_t choose_features(struct fuzz_input *in)
{
	static const uint64_t few[] = {0,           0x300000000, 0x300000020,
				       0x330000020, 0x704000000, 0xb00000000,
				       UINT64_MAX,  1ULL << 26,  0x7c0000300006200};

	return few[fuzz_below(in, ARRAY_LEN(few))] ^ (fuzz_below(in, 4) ? 0 : fuzz_u64(in));
}

static uint32_t choose_num(struct fuzz_input *in)
{
	static const uint32_t few[] = {0,    1,     2,      16,         256,
				       1024, 65535, 0x8000, 0x80008000, 0xffff0000};

	return few[fuzz_below(in, ARRAY_LEN(few))] ^ (fuzz_below(in, 4) ? 0 : fuzz_u8(in));
}

static int choose_fd(struct fuzz_input *in)
{
	uint32_t i = fuzz_below(in, NR_FDS + 3);

	return i < NR_FDS ? f.fds[i] : i == NR_FDS ? -1 : i == NR_FDS + 1 ? 0 : 100000;
}

static void fill(struct fuzz_input *in, unsigned int cmd, union argument *arg)
{
	uint32_t index = fuzz_below(in, 8) < 7 ? fuzz_below(in, 4) : fuzz_u32(in);

	switch (cmd) {
	case VHOST_SET_FEATURES:
	case VHOST_SET_BACKEND_FEATURES:
		arg->u64 = choose_features(in);
		break;
	case VHOST_SET_LOG_BASE:
		arg->u64 = choose_address(in);
		break;
	case VHOST_SET_VRING_ADDR:
		arg->addr = (struct vhost_vring_addr){.index = index,
						      .flags = fuzz_below(in, 3),
						      .desc_user_addr = choose_address(in),
						      .avail_user_addr = choose_address(in),
						      .used_user_addr = choose_address(in),
						      .log_guest_addr = choose_address(in)};
		break;
	case VHOST_SET_VRING_KICK:
	case VHOST_SET_VRING_CALL:
	case VHOST_SET_VRING_ERR:
		arg->file = (struct vhost_vring_file){index, choose_fd(in)};
		break;
	case VHOST_SET_LOG_FD:
	case VHOST_VDPA_SET_CONFIG_CALL:
		arg->fd = choose_fd(in);
		break;
	case VHOST_VDPA_SET_STATUS:
		arg->u8 = (uint8_t)(fuzz_below(in, 4) ? (const uint8_t[]){0, 3, 11, 15}[index % 4]
						      : fuzz_u8(in));
		break;
	case VHOST_VDPA_GET_CONFIG:
	case VHOST_VDPA_SET_CONFIG:
		arg->config.off = fuzz_below(in, 4) ? fuzz_u8(in) : fuzz_u32(in);
		arg->config.len = fuzz_below(in, 4) ? fuzz_u8(in) : fuzz_u32(in);
		(void)fuzz_bytes(in, arg->config.buf, 8);
		break;
	default:
		arg->state = (struct vhost_vring_state){index, choose_num(in)};
	}
}

/* ---- calls ---- */

static void check_result(int64_t ret)
{
	fuzz_check(ret > -200);
	if (ret < 0)
		fuzz_check(refuse_reason()[0] != '\0' || ret == -ENODEV || ret == -ENOTTY ||
			   ret == -EFAULT || ret == -ENOMEM || ret == -EBADF);
}

static const struct vhost_vdpa_client *caller(struct fuzz_input *in)
{
	return &f.client[fuzz_below(in, 16) == 15];
}

static void do_ioctl(struct fuzz_input *in)
{
	unsigned int cmd = commands[fuzz_below(in, ARRAY_LEN(commands))];
	const struct vhost_vdpa_client *client = caller(in);
	uaddr_t at = (uintptr_t)f.arg;

	memset(f.arg, 0, sizeof(*f.arg));
	fill(in, cmd, f.arg);
	if (fuzz_below(in, 32) == 31)
		at = fuzz_below(in, 2) ? 0 : 0x8000000000000000;
	if (fuzz_below(in, 32) == 31)
		cmd = fuzz_u32(in);
	refuse_clear();
	check_result(vhost_vdpa_ioctl(f.s, client, cmd, at));
}

static void do_message(struct fuzz_input *in)
{
	const struct vhost_vdpa_client *client = caller(in);
	struct vhost_msg_v2 msg = {.type = VHOST_IOTLB_MSG_V2};
	size_t len = sizeof(msg);

	msg.iotlb.type = (uint8_t)(1 + fuzz_below(in, 7));
	msg.asid = fuzz_below(in, 8) < 7 ? fuzz_below(in, 2) : fuzz_u32(in);
	msg.iotlb.iova = choose_address(in);
	msg.iotlb.size = choose_size(in);
	msg.iotlb.uaddr = HOST + fuzz_below(in, LEN / PAGE) * PAGE;
	if (fuzz_below(in, 16) == 15)
		msg.iotlb.uaddr = fuzz_below(in, 2) ? 0x1000 : UINT64_MAX - PAGE + 1;
	/* what is mapped must be the arena's: the device writes to it */
	if (msg.iotlb.uaddr - HOST < LEN && msg.iotlb.size > LEN - (msg.iotlb.uaddr - HOST))
		msg.iotlb.size = LEN - (msg.iotlb.uaddr - HOST);
	msg.iotlb.perm = (uint8_t)fuzz_below(in, 5);
	if (fuzz_below(in, 32) == 31)
		len = fuzz_u8(in) % (sizeof(msg) + 8);
	if (fuzz_below(in, 32) == 31)
		msg.type = fuzz_u8(in);
	refuse_clear();
	check_result(vhost_vdpa_write(f.s, client, (uintptr_t)&msg,
				      len < sizeof(msg) ? len : sizeof(msg)));
}

/* One buffer of the arena in a split ring at the start of a page, and a kick. */
static void offer(struct fuzz_input *in)
{
	char *ring = f.mem + fuzz_below(in, LEN / PAGE) * PAGE;
	struct split_desc *d = (void *)ring;
	struct split_avail *avail = (void *)(f.mem + fuzz_below(in, LEN / PAGE) * PAGE);

	le64_store(&d->addr, HOST + fuzz_below(in, LEN / PAGE) * PAGE);
	le32_store(&d->len, fuzz_u16(in));
	le16_store(&d->flags, fuzz_below(in, 8));
	le16_store(&d->next, fuzz_below(in, 3));
	le16_store(&avail->ring[0], 0);
	le16_store(&avail->idx, fuzz_below(in, 4));
	eventfd_write(f.fds[fuzz_below(in, NR_FDS)], 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};

	begin(&in);
	if (fuzz_below(&in, 8) < 7)
		fuzz_check(vhost_vdpa_ioctl(f.s, &f.client[0], VHOST_SET_OWNER, 0) == 0);
	while (fuzz_more(&in)) {
		uint8_t op = fuzz_u8(&in);

		if (op < 150)
			do_ioctl(&in);
		else if (op < 210)
			do_message(&in);
		else if (op < 254)
			offer(&in);
		else if (op == 255)
			take_away();
	}
	end();
	return 0;
}
