// SPDX-License-Identifier: Apache-2.0
// zetactl: finds the command, reads its options, runs it.
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/command.h"
#include "lib/own.h"

void complain(const char *format, ...)
{
	va_list args;

	fputs("zetactl: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

static int misused(const struct command *command, const char *what, const char *word)
{
	complain("%s%s%s", what, word ? ": " : "", word ? word : "");
	if (command)
		fprintf(stderr, "usage: zetactl %s %s\n", command->name, command->arguments);
	else
		fprintf(stderr, "`zetactl help` lists the commands\n");
	return USAGE;
}

// The command that the words begin with: two words ("lab up") or one. *used: how many.
static const struct command *find(char **words, int count, int *used)
{
	const struct command *command;
	size_t length;

	for (command = commands; command->name; command++) {
		const char *second = strchr(command->name, ' ');

		length = second ? (size_t)(second - command->name) : strlen(command->name);
		if (count < (second ? 2 : 1) || strlen(words[0]) != length ||
		    strncmp(words[0], command->name, length) != 0)
			continue;
		if (second && strcmp(words[1], second + 1) != 0)
			continue;
		*used = second ? 2 : 1;
		return command;
	}
	return NULL;
}

static int set_output(struct cli *cli, const char *text)
{
	static const char *const names[] = {"table", "wide", "json", "yaml"};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(text, names[i])) {
			cli->output = (enum output)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int set(struct cli *cli, char letter, const char *value)
{
	switch (letter) {
	case 'c':
		cli->controller = value;
		return 0;
	case 't':
		cli->token_file = value;
		return 0;
	case 'l':
		cli->lab = value;
		return 0;
	case 'f':
		cli->file = value;
		return 0;
	case 'n':
		cli->name = value;
		return 0;
	case 'b':
		cli->bpf = value;
		return 0;
	case 'k':
		cli->cluster = value;
		return 0;
	case 'w':
		cli->no_wait = 1;
		return 0;
	default:
		return set_output(cli, value);
	}
}

// Words and options in any order; but what follows "--", or the words of a command that runs
// another, is not ours.
struct parsed {
	char **word;
	int words;
	unsigned int options; // OPTION(..) of those given
};

static int parse(int argc, char **argv, struct cli *cli, struct parsed *parsed)
{
	struct option options[sizeof(unsigned int) * 8] = {};
	const struct command *command;
	int i, letter, used;

	for (i = 0; option_list[i].name; i++)
		options[i] = (struct option){option_list[i].name, option_list[i].value != NULL,
					     NULL, option_list[i].letter};
	while (optind < argc) {
		letter = getopt_long(argc, argv, "+:f:o:h", options, NULL);
		if (letter == ':' || letter == '?')
			return misused(NULL,
				       letter == ':' ? "this option takes a value"
						     : "no such option",
				       argv[optind - 1]);
		if (letter == -1 && !strcmp(argv[optind - 1], "--")) {
			while (optind < argc)
				parsed->word[parsed->words++] = argv[optind++];
			break;
		}
		if (letter == -1) {
			parsed->word[parsed->words++] = argv[optind++];
			command = find(parsed->word, parsed->words, &used);
			if (command && command->verbatim &&
			    parsed->words == used + command->verbatim) {
				if (optind < argc && !strcmp(argv[optind], "--"))
					optind++;
				while (optind < argc)
					parsed->word[parsed->words++] = argv[optind++];
			}
			continue;
		}
		parsed->options |= OPTION(letter);
		if (letter != 'h' && letter != 'v' && set(cli, (char)letter, optarg))
			return misused(NULL, "no such output format", optarg);
	}
	return 0;
}

// The first word may still be that of a group ("lab"): then these are the commands there are.
static int no_command(const struct parsed *parsed)
{
	const struct command *command;
	size_t length;
	int shown = 0;

	if (!parsed->words)
		return misused(NULL, "what shall be done?", NULL);
	length = strlen(parsed->word[0]);
	for (command = commands; command->name; command++) {
		if (strncmp(command->name, parsed->word[0], length) || command->name[length] != ' ')
			continue;
		if (!shown++)
			complain("%s: what of these?", parsed->word[0]);
		fprintf(stderr, "       zetactl %s %s\n", command->name, command->arguments);
	}
	return shown ? USAGE : misused(NULL, "no such command", parsed->word[0]);
}

static int run(struct cli *cli, const struct parsed *parsed)
{
	const struct command *command;
	unsigned int foreign;
	int used, i;

	command = parsed->words ? find(parsed->word, parsed->words, &used) : NULL;
	if (parsed->options & OPTION('h') && !command)
		return command_help(cli);
	if (parsed->options & OPTION('v'))
		return command_version(cli);
	if (!command)
		return no_command(parsed);
	if (parsed->options & OPTION('h')) {
		printf("usage: zetactl %s %s\n%s\n", command->name, command->arguments,
		       command->help);
		return DONE;
	}
	foreign = parsed->options & ~(command->options | global_options);
	for (i = 0; option_list[i].name; i++)
		if (foreign & OPTION(option_list[i].letter))
			return misused(command, "this command has no option", option_list[i].name);
	cli->argv = parsed->word + used;
	cli->argc = parsed->words - used;
	if (cli->argc < command->least)
		return misused(command, "a word is missing", NULL);
	if (command->most >= 0 && cli->argc > command->most)
		return misused(command, "one word too many", cli->argv[command->most]);
	return command->run(cli);
}

int main(int argc, char **argv)
{
	struct cli cli = {
		.controller = getenv("ZETA_CONTROLLER"),
		.token_file = getenv("ZETA_TOKEN_FILE"),
	};
	struct parsed parsed = {.word = calloc((size_t)argc + 1, sizeof(char *))};
	int status;

	if (!parsed.word) {
		complain("out of memory");
		return FAILED;
	}
	status = parse(argc, argv, &cli, &parsed);
	if (!status)
		status = run(&cli, &parsed);
	free(parsed.word);
	// A full disk or a closed pipe is found out when the buffer is written.
	if (fflush(stdout) && status == DONE)
		status = sorry(FAILED, "cannot write the output: %s", strerror(errno));
	return status;
}
