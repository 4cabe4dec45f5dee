// SPDX-License-Identifier: BSD-3-Clause
/*
 * The table of deviations. docs/deviations.md is the same list for people; a unit test compares the
 * two.
 */
#include "vdpa/deviations.h"

#include "base/compiler.h"

static const struct vdpa_deviation_info deviations[] = {
	{VDPA_D1_BASE_SURVIVES_RESET, "D1",
	 "a ring's index can be read after SET_STATUS(0) until the next SET_VRING_BASE or "
	 "DRIVER_OK, "
	 "and reading a running ring's base parks the ring for a while",
	 "QEMU up to 7.2 reads the base after the reset, and of all but the last queue pair before "
	 "it"},
	{VDPA_D2_DIRTY_LOG, "D2",
	 "VHOST_F_LOG_ALL is offered and SET_LOG_BASE works: what the device writes is logged",
	 "without it QEMU refuses to migrate a guest unless it shadows all virtqueues"},
	{VDPA_D3_PRIVATE_MEMORY, "D3",
	 "private anonymous memory is mapped for real by a device that uses client addresses",
	 "QEMU's default RAM is private"},
	{VDPA_D4_MANY_ENTRIES, "D4",
	 "an address space holds 1,048,576 entries by default instead of 2,048",
	 "fragmented guest memory and vIOMMU guests need more"},
	{VDPA_D5_NO_COMPAT_RESET, "D5",
	 "a parent has compat_reset only when asked for: no reset drops mappings",
	 "there is no older Holdfast client to stay bug-compatible with"},
	{VDPA_D6_NO_HARMFUL_QUIRKS, "D6",
	 "quirks that lose data or hang are left out: a failing UPDATE at iova 0 changes nothing",
	 "they are bugs"},
	{VDPA_D7_NEWER_CHECKS, "D7",
	 "SET_GROUP_ASID after DRIVER_OK gives EBUSY and an INVALIDATE of size 0 gives EFAULT",
	 "Linux 7.2 refuses the first; the second takes entries that nobody named"},
	{VDPA_D8_UNPIN_LAST, "D8", "memory is unpinned only when the device can no longer reach it",
	 "a device must never see memory that was given back"},
	{VDPA_D9_RICH_DEVICE, "D9",
	 "richer devices: rings of up to 32768 entries, packed rings, event index, indirect "
	 "descriptors, multiqueue",
	 "users expect them"},
	{VDPA_D10_CALLS_END_WITH_RING, "D10",
	 "an INVALIDATE that unmaps a running ring's used area empties its call eventfd; it is "
	 "signalled "
	 "again when the area is mapped again",
	 "QEMU up to 7.2 frees shadow rings so, and crashes on a call that comes afterwards"},
	{VDPA_D11_SETUP_IN_ANY_ORDER, "D11",
	 "a ring starts with what was set last, whatever came before ENABLE or after it; a queue "
	 "whose addresses were not set since the reset is inert",
	 "QEMU 11.1 enables rings before it sets them up; firmware enables rings that it never "
	 "sets up"},
	{VDPA_D12_PACKED_BASE_8000, "D12",
	 "SET_VRING_BASE 0x8000 of a packed ring names a fresh ring, as 0x80008000 does",
	 "DPDK's virtio-user names it so"},
};

const struct vdpa_deviation_info *vdpa_deviation_table(size_t *nr)
{
	*nr = ARRAY_LEN(deviations);
	return deviations;
}
