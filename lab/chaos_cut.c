// SPDX-License-Identifier: Apache-2.0
// Cuts cables of this network namespace, one direction each, until its standard input ends: who
// started it may die, and the cables are whole again.
//
//   chaos_cut [-p PORT] [-s MAC] from|to INTERFACE..    from: what comes in there; to: what goes
//   out
//
// Prints a line when it is done. -p: only what is for this UDP port is lost; -s: only what this
// machine sent.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "lib/log.h"
#include "lib/own.h"
#include "chaos_cut.skel.h"

// enum bpf_attach_type of Linux 6.6, which libbpf 1.1 does not know.
#define TCX_INGRESS 46
#define TCX_EGRESS 47

// The link lives as long as this process.
static void attach(int program, const char *interface, int where)
{
	union bpf_attr attr = {
		.link_create.prog_fd = (__u32)program,
		.link_create.target_ifindex = if_nametoindex(interface),
		.link_create.attach_type = (__u32)where,
	};

	if (!attr.link_create.target_ifindex)
		fatal("no interface %s", interface);
	if (syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr.link_create)) < 0)
		fatal("cannot cut %s", interface);
}

static void read_mac(const char *text, volatile __u8 mac[6])
{
	unsigned int byte[6];

	if (sscanf(text, "%x:%x:%x:%x:%x:%x", &byte[0], &byte[1], &byte[2], &byte[3], &byte[4],
		   &byte[5]) != 6)
		fatalx("%s is no MAC address", text);
	for (int i = 0; i < 6; i++)
		mac[i] = (__u8)byte[i];
}

int main(int argc, char **argv)
{
	struct chaos_cut *cut = chaos_cut__open();
	int i, option;
	char byte;

	if (!cut)
		fatal("cannot open the program");
	while ((option = getopt(argc, argv, "p:s:")) != -1) {
		if (option == 'p')
			cut->rodata->port = (__u16)strtoul(optarg, NULL, 10);
		else if (option == 's')
			read_mac(optarg, cut->rodata->sender);
		else
			return 2;
	}
	if (optind == argc || (argc - optind) % 2)
		fatalx("usage: chaos_cut [-p PORT] [-s MAC] from|to INTERFACE..");
	if (chaos_cut__load(cut))
		fatal("cannot load the program");
	for (i = optind; i < argc; i += 2)
		attach(bpf_program__fd(cut->progs.cut), argv[i + 1],
		       strcmp(argv[i], "to") ? TCX_INGRESS : TCX_EGRESS);
	puts("cut");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	chaos_cut__destroy(cut);
	return 0;
}
