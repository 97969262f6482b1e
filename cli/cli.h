/* SPDX-License-Identifier: Apache-2.0 */
// What every command of zetactl gets: the options that were given and the words that follow them.
#pragma once

#include <jansson.h>

enum output {
	OUTPUT_TABLE = 0,
	OUTPUT_WIDE,
	OUTPUT_JSON,
	OUTPUT_YAML,
};

struct cli {
	const char
		*controller; // --controller or $ZETA_CONTROLLER; NULL: the default, or the cloud's
	const char *token_file; // --token-file or $ZETA_TOKEN_FILE; NULL: no token
	const char *lab;	// --lab: the cloud whose controller is meant
	const char *file;	// -f
	const char *name;	// --name
	const char *bpf;	// --bpf
	const char *cluster;	// --cluster
	int no_wait;		// --no-wait
	enum output output;	// -o
	int argc;		// the words after the command's own name
	char **argv;
};

// Exit statuses. Commands return one of them.
#define DONE 0
#define FAILED 1
#define USAGE 2

// One sentence on standard error, after the program's name.
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

// The same, and the value is err: a function says what was wrong and gives up in one line; who gets
// that value has nothing to add. A macro, so that a compiler sees that -EINVAL is not 0.
#define sorry(err, ...)                                                                            \
	({                                                                                         \
		int err_ = (err);                                                                  \
		complain(__VA_ARGS__);                                                             \
		err_;                                                                              \
	})

// The commands. Each says what was wrong itself.
int command_apply(struct cli *cli);
int command_get(struct cli *cli);
int command_describe(struct cli *cli);
int command_delete(struct cli *cli);
int command_node_drain(struct cli *cli);
int command_node_undrain(struct cli *cli);
int command_node_delete(struct cli *cli);
int command_nf_build(struct cli *cli);
int command_nf_push(struct cli *cli);
int command_nf_list(struct cli *cli);
int command_nf_rollout(struct cli *cli);
int command_nf_rollback(struct cli *cli);
int command_nf_top(struct cli *cli);
int command_status(struct cli *cli);
int command_sessions(struct cli *cli);
int command_completion(struct cli *cli);
int command_version(struct cli *cli);
int command_help(struct cli *cli);
int command_lab_up(struct cli *cli);
int command_lab_down(struct cli *cli);
int command_lab_exec(struct cli *cli);
int command_lab_restart(struct cli *cli);
int command_lab_list(struct cli *cli);
