// SPDX-License-Identifier: BSD-3-Clause
/*
 * Messages for people, on stderr: "holdfast: OBJECT: text". The object is a device or module name.
 * HOLDFAST_LOG_LEVEL=err|warn|info|debug chooses what is shown (default warn). A message that a
 * peer can trigger is rate-limited per call site (10 a second, then one line with the number left
 * out). Never called on the data path. Any thread.
 */
#ifndef HOLDFAST_BASE_LOG_H
#define HOLDFAST_BASE_LOG_H

#include <stdint.h>

#include "base/compiler.h"

enum log_level { LOG_LEVEL_ERR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

struct log_site {
	int64_t window_ns; /* start of the running second, CLOCK_MONOTONIC; atomic */
	uint32_t nr_shown; /* messages in this second; atomic */
	uint32_t nr_left_out;
};

void log_set_level(enum log_level level);
void log_message(struct log_site *site, enum log_level level, const char *obj, const char *fmt, ...)
	HF_PRINTF(4, 5) HF_COLD;

#define HF_LOG(level, obj, ...)                                                                    \
	do {                                                                                       \
		static struct log_site log_site_;                                                  \
		log_message(&log_site_, (level), (obj), __VA_ARGS__);                              \
	} while (0)
#define hf_err(obj, ...)  HF_LOG(LOG_LEVEL_ERR, (obj), __VA_ARGS__)
#define hf_warn(obj, ...) HF_LOG(LOG_LEVEL_WARN, (obj), __VA_ARGS__)
#define hf_info(obj, ...) HF_LOG(LOG_LEVEL_INFO, (obj), __VA_ARGS__)
#define hf_dbg(obj, ...)  HF_LOG(LOG_LEVEL_DEBUG, (obj), __VA_ARGS__)

/**
 * log_escape() - make a peer's string fit for one printed line
 * @dst: [out] always terminated; bytes outside printable ASCII become \xNN
 * @dst_len: bytes of @dst, at least 1
 */
void log_escape(char *dst, size_t dst_len, const char *src, size_t src_len);

#endif
