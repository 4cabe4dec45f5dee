// SPDX-License-Identifier: BSD-3-Clause
/*
 * The table of deviations, and of what kernels do otherwise. docs/deviations.md and docs/kernels.md
 * are the same for people: a unit test compares the first, tests/kernel/profiles.py makes the
 * second.
 */
#include "vdpa/deviations.h"

#include "base/compiler.h"

#define SHOWN_BY(major, minor) PROFILE_BIT(PROFILE_OF(major, minor))

static const struct vdpa_deviation_info deviations[] = {
	{
		.bit = VDPA_D1_BASE_SURVIVES_RESET,
		.id = "D1",
		.clause = "4-8",
		.what = "a ring's index can be read after SET_STATUS(0) until the next "
			"SET_VRING_BASE or DRIVER_OK, and reading a running ring's base parks the "
			"ring for a while",
		.others = "the index is 0 after SET_STATUS(0); a ring runs on while its base is "
			  "read",
		.reason = "QEMU up to 7.2 reads the base after the reset, and of all but the last "
			  "queue pair before it",
	},
	{
		.bit = VDPA_D2_DIRTY_LOG,
		.id = "D2",
		.clause = "1-6",
		.what = "VHOST_F_LOG_ALL is offered and SET_LOG_BASE works: what the device writes "
			"is logged",
		.others = "VHOST_F_LOG_ALL is not offered; SET_LOG_BASE gives ENOTTY",
		.reason = "without it QEMU refuses to migrate a guest unless it shadows all "
			  "virtqueues",
	},
	{
		.bit = VDPA_D3_PRIVATE_MEMORY,
		.id = "D3",
		.clause = "2-13",
		.what = "private anonymous memory is mapped for real by a device that uses client "
			"addresses",
		.others = "an UPDATE of it succeeds and maps nothing",
		.reason = "QEMU's default RAM is private",
	},
	{
		.bit = VDPA_D4_MANY_ENTRIES,
		.id = "D4",
		.clause = "2-15",
		.what = "an address space holds 1,048,576 entries by default instead of 2,048",
		.others = "2,048 entries",
		.reason = "fragmented guest memory and vIOMMU guests need more",
	},
	{
		.bit = VDPA_D5_NO_COMPAT_RESET,
		.id = "D5",
		.clause = "7-4",
		.what = "a parent has compat_reset only when asked for: no reset drops mappings",
		.others = "without IOTLB_PERSIST a reset drops the simulator's mappings",
		.reason = "there is no older Holdfast client to stay bug-compatible with",
	},
	{
		.bit = VDPA_D6_NO_HARMFUL_QUIRKS,
		.id = "D6",
		.clause = "2-14",
		.what = "quirks that lose data or hang are left out: a failing UPDATE at iova 0 "
			"changes nothing",
		.others = "such an UPDATE removes every mapping of its address space",
		.reason = "they are bugs",
	},
	{
		.bit = VDPA_D7_GROUP_STAYS,
		.id = "D7",
		.clause = "1-39",
		.what = "SET_GROUP_ASID while DRIVER_OK is set gives EBUSY",
		.others = "it succeeds and takes effect at once",
		.reason = "a group that moves while its rings run changes what their addresses "
			  "mean, in the middle of a request; Linux refuses it since 7.2",
		.kernels = SHOWN_BY(7, 2),
	},
	{
		.bit = VDPA_D8_UNPIN_LAST,
		.id = "D8",
		.clause = "2-18",
		.what = "memory is unpinned only when the device can no longer reach it",
		.others = "memory is unpinned before the device hears of it",
		.reason = "a device must never see memory that was given back",
	},
	{
		.bit = VDPA_D9_RICH_DEVICE,
		.id = "D9",
		.clause = "7-10",
		.what = "richer devices: rings of up to 32768 entries, packed rings, event index, "
			"indirect descriptors, multiqueue",
		.others = "one queue pair of split rings with up to 256 entries",
		.reason = "users expect them",
	},
	{
		.bit = VDPA_D10_CALLS_END_WITH_RING,
		.id = "D10",
		.clause = "2-17",
		.what = "an INVALIDATE that unmaps a running ring's used area empties its call "
			"eventfd; it is signalled again when the area is mapped again",
		.others = "an INVALIDATE leaves call eventfds alone",
		.reason = "QEMU up to 7.2 frees shadow rings so, and crashes on a call that comes "
			  "afterwards",
	},
	{
		.bit = VDPA_D11_SETUP_IN_ANY_ORDER,
		.id = "D11",
		.clause = "6-2",
		.what = "a ring starts with what was set last, whatever came before ENABLE or "
			"after it; a queue whose addresses were not set since the reset is inert",
		.others = "a ring runs with what was set when it was enabled: enabled before its "
			  "setup it takes nothing, and never set up it is at I/O address 0",
		.reason = "QEMU 11.1 enables rings before it sets them up; firmware enables rings "
			  "that it never sets up",
	},
	{
		.bit = VDPA_D12_PACKED_BASE_8000,
		.id = "D12",
		.clause = "1-30",
		.what = "SET_VRING_BASE 0x8000 of a packed ring names a fresh ring, as 0x80008000 "
			"does",
		.others = "0x8000 names a ring of which all is in flight",
		.reason = "DPDK's virtio-user names it so",
	},
	{
		.bit = VDPA_D13_INVALIDATE_EXACT,
		.id = "D13",
		.clause = "2-17",
		.what = "an INVALIDATE of size 0 gives EFAULT, and one whose range wraps removes "
			"nothing",
		.others = "either succeeds and removes entries that it does not name",
		.reason = "a client's slip would cost it memory without an error",
	},
};

const struct vdpa_deviation_info *vdpa_deviation_table(size_t *nr)
{
	*nr = ARRAY_LEN(deviations);
	return deviations;
}

uint32_t vdpa_profile_deviations(enum profile profile)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < ARRAY_LEN(deviations); i++)
		if (profile == PROFILE_DEFAULT || deviations[i].kernels & PROFILE_BIT(profile))
			bits |= deviations[i].bit;
	return bits;
}
