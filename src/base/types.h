// SPDX-License-Identifier: BSD-3-Clause
/*
 * The two kinds of address that a vDPA device deals with. They are integers on purpose: neither may
 * be dereferenced. Only memory/ turns them into pointers. Used by every room; no thread rule.
 */
#ifndef HOLDFAST_BASE_TYPES_H
#define HOLDFAST_BASE_TYPES_H

#include <stdint.h>

typedef uint64_t iova_t;  /* address as the device sees it */
typedef uint64_t uaddr_t; /* address in the client's address space */

#endif
