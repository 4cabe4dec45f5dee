// SPDX-License-Identifier: BSD-3-Clause
/* Taps in namespaces of the test's own, and packet sockets for the other end. */
#ifndef HOLDFAST_TEST_SIM_TAP_SUPPORT_H
#define HOLDFAST_TEST_SIM_TAP_SUPPORT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TAP       "hftap0"
#define TAP_MQ    "hftap1" /* of several queues */
#define ETHERTYPE 0x88b5   /* of frame_make()'s frames, all that a packet socket sees */

/** tap_enter_namespaces() - a user and a network namespace with both taps, up. Return: NULL, or why
 * not */
const char *tap_enter_namespaces(void);
int tap_packet_socket(const char *ifname);
/** tap_wait_up() - a device has attached to the interface: returns when the kernel, which works on
 * that in the background, drops nothing any more that is sent to it */
void tap_wait_up(const char *ifname);
/** tap_receive() - one frame within DEADLINE_MS. Return: bytes, or -1 */
ssize_t tap_receive(int fd, uint8_t *buf, size_t len);

#endif
