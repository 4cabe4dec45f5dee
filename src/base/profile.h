// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a device's behaviour is held against: the documented default mode, or a kernel that was
 * measured. The list of these kernels stands here alone; `quirks` and `holdfast check --strict`
 * take their names from it. Which behaviours each one shows is the table of vdpa/deviations.c: a
 * kernel that differs is one line here and one bit in the rows that it shows.
 *
 * Used by src/vdpa/, by parents and by src/check/. Owns nothing. Thread rule: any.
 */
#ifndef HOLDFAST_BASE_PROFILE_H
#define HOLDFAST_BASE_PROFILE_H

#include <stdint.h>

/* X(MAJOR, MINOR, release that was measured), oldest first. */
#define PROFILE_KERNELS(X)                                                                         \
	X(6, 12, "6.12.117")                                                                       \
	X(7, 2, "7.2.13")

#define PROFILE_OF(major, minor) PROFILE_LINUX_##major##_##minor

#define PROFILE_ENUMERATOR(major, minor, release) PROFILE_OF(major, minor),
enum profile { PROFILE_DEFAULT, PROFILE_KERNELS(PROFILE_ENUMERATOR) PROFILE_NR };
#undef PROFILE_ENUMERATOR

/** Sets of profiles. */
#define PROFILE_BIT(profile) (1u << (profile))
#define PROFILE_ALL          (PROFILE_BIT(PROFILE_NR) - 1)
#define PROFILE_ANY_KERNEL   (PROFILE_ALL & ~PROFILE_BIT(PROFILE_DEFAULT))

/** profile_name() - "linux-6.12"; of the default mode "default" */
const char *profile_name(enum profile profile);

/** profile_release() - the kernel that was measured, "6.12.117"; NULL of the default mode */
const char *profile_release(enum profile profile);

/** profile_by_name() - Return: the kernel of that name; PROFILE_DEFAULT if there is none */
enum profile profile_by_name(const char *name);

/**
 * profile_by_release() - which profile a running kernel is expected to show
 * @release: as uname(2) has it, "7.2.13+deb14-amd64"
 * Return: the newest one that is not newer than @release; the oldest if all are newer or if
 * @release is no version
 */
enum profile profile_by_release(const char *release);

#endif
