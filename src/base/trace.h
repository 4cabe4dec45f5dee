// SPDX-License-Identifier: BSD-3-Clause
/*
 * Static user-space trace points (USDT), provider "holdfast", listed in docs/trace.md. With the
 * build option off, or without sys/sdt.h, each is nothing; on and not attached, each is one nop.
 */
#ifndef HOLDFAST_BASE_TRACE_H
#define HOLDFAST_BASE_TRACE_H

#ifdef HF_HAVE_SDT
#include <sys/sdt.h>
#define HF_TRACE1(name, a)          STAP_PROBE1(holdfast, name, a)
#define HF_TRACE2(name, a, b)       STAP_PROBE2(holdfast, name, a, b)
#define HF_TRACE3(name, a, b, c)    STAP_PROBE3(holdfast, name, a, b, c)
#define HF_TRACE4(name, a, b, c, d) STAP_PROBE4(holdfast, name, a, b, c, d)
#else
#define HF_TRACE1(name, a)          ((void)(a))
#define HF_TRACE2(name, a, b)       ((void)(a), (void)(b))
#define HF_TRACE3(name, a, b, c)    ((void)(a), (void)(b), (void)(c))
#define HF_TRACE4(name, a, b, c, d) ((void)(a), (void)(b), (void)(c), (void)(d))
#endif

#endif
