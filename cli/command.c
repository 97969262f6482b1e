// SPDX-License-Identifier: Apache-2.0
// The table of commands. The manual page zetactl(1) has a paragraph for each line of it.
#include "cli/command.h"

#include <stddef.h>

#define CONTROLLER (OPTION('c') | OPTION('t') | OPTION('l'))

const struct option_entry option_list[] = {
	{"controller", 'c', 0, "URL", "the controller's REST API (default http://127.0.0.1:8080)",
	 ""},
	{"token-file", 't', 0, "FILE", "file with the token that the controller asks for", NULL},
	{"lab", 'l', 0, "CLOUD", "the controller of this cloud of the lab", "cloud"},
	{"file", 'f', 1, "FILE", "YAML documents; - is standard input", NULL},
	{"output", 'o', 1, "FORMAT", "table, wide, json or yaml", "table wide json yaml"},
	{"name", 'n', 0, "CLOUD", "the cloud's name, instead of the topology's", ""},
	{"bpf", 'b', 0, "DIR", "where a node's maps are pinned", NULL},
	{"cluster", 'k', 0, "CLUSTER", "of a new function, where there are several", NULL},
	{"no-wait", 'w', 0, NULL, "do not wait until it is done", NULL},
	{"version", 'v', 0, NULL, "print the version", NULL},
	{"help", 'h', 1, NULL, "what there is to say", NULL},
	{},
};

const unsigned int global_options = OPTION('h') | OPTION('v');

const struct command commands[] = {
	{"apply", "-f FILE", "create or update what YAML documents describe", 0, 0, 0,
	 CONTROLLER | OPTION('f'), NULL, command_apply},
	{"get", "KIND [NAME]", "list objects", 1, 2, 0, CONTROLLER | OPTION('o'), "kind",
	 command_get},
	{"describe", "KIND NAME", "show all of one object", 2, 2, 0, CONTROLLER, "kind",
	 command_describe},
	{"delete", "KIND NAME | -f FILE", "delete objects", 0, 2, 0, CONTROLLER | OPTION('f'),
	 "kind", command_delete},
	{"node drain", "NODE", "move everything off a node, and wait until it has nothing", 1, 1, 0,
	 CONTROLLER | OPTION('w'), NULL, command_node_drain},
	{"node undrain", "NODE", "let a node have things again", 1, 1, 0, CONTROLLER, NULL,
	 command_node_undrain},
	{"node delete", "NODE", "drain a node, then delete it", 1, 1, 0, CONTROLLER, NULL,
	 command_node_delete},
	{"nf build", "FILE.c", "make a network function's object of its source", 1, 1, 0, 0, "file",
	 command_nf_build},
	{"nf push", "NAME VERSION FILE.o", "have all nodes load a version of a function", 3, 3, 0,
	 CONTROLLER | OPTION('w') | OPTION('k'), NULL, command_nf_push},
	{"nf list", "", "list functions and their versions", 0, 0, 0, CONTROLLER | OPTION('o'),
	 NULL, command_nf_list},
	{"nf rollout", "NAME VERSION", "have a version run", 2, 2, 0, CONTROLLER | OPTION('w'),
	 NULL, command_nf_rollout},
	{"nf rollback", "NAME", "have the other version run", 1, 1, 0, CONTROLLER | OPTION('w'),
	 NULL, command_nf_rollback},
	{"nf top", "", "show how often functions ran, and how long that took", 0, 0, 0,
	 CONTROLLER | OPTION('o'), NULL, command_nf_top},
	{"status", "", "show the cluster: alarms, nodes, chains, sessions, verdicts", 0, 0, 0,
	 CONTROLLER | OPTION('o'), NULL, command_status},
	{"sessions", "--bpf DIR", "show the session table of a node of this machine", 0, 0, 0,
	 OPTION('b') | OPTION('o'), NULL, command_sessions},
	{"lab up", "FILE", "bring up the cloud that a topology file describes", 1, 1, 0,
	 OPTION('n'), "file", command_lab_up},
	{"lab down", "CLOUD", "take a cloud down", 1, 1, 0, 0, "cloud", command_lab_down},
	{"lab exec", "CLOUD MACHINE|ENDPOINT [--] COMMAND", "run a command in its network", 3, -1,
	 2, 0, "cloud", command_lab_exec},
	{"lab restart", "CLOUD [DAEMON..]", "restart daemons of a cloud", 1, -1, 0, 0, "cloud",
	 command_lab_restart},
	{"lab list", "", "list clouds", 0, 0, 0, OPTION('o'), NULL, command_lab_list},
	{"completion", "SHELL", "print the completion of a shell, bash or zsh", 1, 1, 0, 0,
	 "bash zsh", command_completion},
	{"version", "", "print the version", 0, 0, 0, 0, NULL, command_version},
	{"help", "", "list commands and options", 0, 0, 0, 0, NULL, command_help},
	{},
};
