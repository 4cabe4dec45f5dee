// SPDX-License-Identifier: BSD-3-Clause
/* Compiler attributes under one set of names. No thread rule. */
#ifndef HOLDFAST_BASE_COMPILER_H
#define HOLDFAST_BASE_COMPILER_H

#include <stddef.h>

#define HF_MUST_CHECK      __attribute__((warn_unused_result))
#define HF_PRINTF(fmt, va) __attribute__((format(printf, fmt, va)))
#define HF_EXPORT          __attribute__((visibility("default")))
#define HF_COLD            __attribute__((cold, noinline))
#define HF_UNUSED          __attribute__((unused))
#define likely(x)          __builtin_expect(!!(x), 1)
#define unlikely(x)        __builtin_expect(!!(x), 0)

/* The line of @p will be written soon: fetched in a state that lets it be. Never faults. */
#if defined(__x86_64__)
#define prefetch_write(p) __asm__ volatile("prefetchw %0" : : "m"(*(const char *)(p)))
#else
#define prefetch_write(p) __builtin_prefetch((p), 1)
#endif

/* In a loop that waits for another thread: leave the processor's resources to others. */
#if defined(__x86_64__)
#define cpu_relax() __builtin_ia32_pause()
#else
#define cpu_relax() ((void)0)
#endif

/* Is ThreadSanitizer built in, or AddressSanitizer? 0 or 1, also in an expression. */
#if defined(__SANITIZE_THREAD__)
#define HF_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HF_TSAN 1
#endif
#endif
#ifndef HF_TSAN
#define HF_TSAN 0
#endif
#if defined(__SANITIZE_ADDRESS__)
#define HF_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HF_ASAN 1
#endif
#endif
#ifndef HF_ASAN
#define HF_ASAN 0
#endif

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Clang's thread-safety analysis; empty elsewhere. */
#if defined(__clang__)
#define HF_TSA(x) __attribute__((x))
#else
#define HF_TSA(x)
#endif
#define CAPABILITY(name)  HF_TSA(capability(name))
#define GUARDED_BY(lock)  HF_TSA(guarded_by(lock))
#define REQUIRES(...)     HF_TSA(requires_capability(__VA_ARGS__))
#define EXCLUDES(...)     HF_TSA(locks_excluded(__VA_ARGS__))
#define ACQUIRES(...)     HF_TSA(acquire_capability(__VA_ARGS__))
#define RELEASES(...)     HF_TSA(release_capability(__VA_ARGS__))
#define TRY_ACQUIRES(...) HF_TSA(try_acquire_capability(__VA_ARGS__))
#define NO_TSA            HF_TSA(no_thread_safety_analysis)

#endif
