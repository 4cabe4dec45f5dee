/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The conformance suite as a program of its own, to run where the holdfast command is not:
 * inside a virtual machine with a kernel's vhost-vdpa.
 */
int cmd_check(int argc, char **argv);

int main(int argc, char **argv)
{
	return cmd_check(argc, argv);
}
