// SPDX-License-Identifier: BSD-3-Clause
/*
 * One message is one write(2), so that lines of several threads and processes do not mix. Limits: a
 * line holds 512 bytes, what does not fit is cut. The counters of a call site are only estimates
 * under contention: a message too many may be shown in the moment when a second ends.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

enum { LINE_LEN = 512, NR_SHOWN_A_SECOND = 10 };

static const char *const level_names[] = {"err", "warn", "info", "debug"};
static int current_level = -1; /* atomic; -1: the environment was not looked at yet */

static int level_get(void)
{
	int level = __atomic_load_n(&current_level, __ATOMIC_RELAXED);
	const char *env;

	if (likely(level >= 0))
		return level;
	level = LOG_LEVEL_WARN;
	env = getenv("HOLDFAST_LOG_LEVEL");
	for (size_t i = 0; env && i < ARRAY_LEN(level_names); i++) {
		if (strcmp(env, level_names[i]) == 0)
			level = (int)i;
	}
	__atomic_store_n(&current_level, level, __ATOMIC_RELAXED);
	return level;
}

void log_set_level(enum log_level level)
{
	__atomic_store_n(&current_level, (int)level, __ATOMIC_RELAXED);
}

/* May this site speak now? *@nr_left_out: messages dropped in the seconds that ended. */
static bool site_may_show(struct log_site *site, uint32_t *nr_left_out)
{
	int64_t now_ns = clock_now_ns(), start_ns;

	*nr_left_out = 0;
	start_ns = __atomic_load_n(&site->window_ns, __ATOMIC_RELAXED);
	if ((start_ns == 0 || now_ns - start_ns >= NS_PER_SEC) &&
	    __atomic_compare_exchange_n(&site->window_ns, &start_ns, now_ns, false,
					__ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
		__atomic_store_n(&site->nr_shown, 0, __ATOMIC_RELAXED);
		*nr_left_out = __atomic_exchange_n(&site->nr_left_out, 0, __ATOMIC_RELAXED);
	}
	if (__atomic_fetch_add(&site->nr_shown, 1, __ATOMIC_RELAXED) < NR_SHOWN_A_SECOND)
		return true;
	__atomic_fetch_add(&site->nr_left_out, 1, __ATOMIC_RELAXED);
	return false;
}

/*
 * Write one line; @len is what snprintf would have liked, the newline takes the last byte. By
 * number: in the preload library write() is its own, and a client may have a device in the place of
 * stderr, whose lock is taken here. Who has a message to write is not ended by SIGPIPE: it may be a
 * client that writes nothing itself.
 */
static void line_write(char *line, int len)
{
	ssize_t n;

	if (len < 0 || !fd_has_reader(STDERR_FILENO))
		return;
	if (len > LINE_LEN - 2)
		len = LINE_LEN - 2;
	line[len++] = '\n';
	do
		n = syscall(SYS_write, STDERR_FILENO, line, (size_t)len);
	while (n < 0 && errno == EINTR);
}

void log_message(struct log_site *site, enum log_level level, const char *obj, const char *fmt, ...)
{
	char line[LINE_LEN];
	uint32_t nr_left_out;
	int saved = errno, len;
	va_list args;

	if ((int)level > level_get() || !site_may_show(site, &nr_left_out))
		return;
	if (nr_left_out > 0) {
		len = snprintf(line, sizeof(line) - 1,
			       "holdfast: %s: %u messages like the next left out", obj,
			       nr_left_out);
		line_write(line, len);
	}
	len = snprintf(line, sizeof(line) - 1, "holdfast: %s: ", obj);
	if (len >= 0 && len < LINE_LEN - 1) {
		int more;

		va_start(args, fmt);
		more = vsnprintf(line + len, sizeof(line) - 1 - (size_t)len, fmt, args);
		va_end(args);
		len = more < 0 ? more : len + more;
	}
	line_write(line, len);
	errno = saved;
}

void log_escape(char *dst, size_t dst_len, const char *src, size_t src_len)
{
	static const char hex[] = "0123456789abcdef";
	size_t at = 0;

	for (size_t i = 0; i < src_len; i++) {
		unsigned char c = (unsigned char)src[i];
		bool plain = c >= 0x20 && c < 0x7f && c != '\\';

		if (at + (plain ? 1 : 4) >= dst_len)
			break;
		if (plain) {
			dst[at++] = (char)c;
			continue;
		}
		dst[at++] = '\\';
		dst[at++] = 'x';
		dst[at++] = hex[c >> 4];
		dst[at++] = hex[c & 15];
	}
	dst[at] = '\0';
}
