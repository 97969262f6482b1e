// SPDX-License-Identifier: Apache-2.0
// Help, version and the shells' completions, all made from the table of commands.
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/command.h"
#include "cli/kind.h"
#include "cli/output.h"

int command_version(struct cli *cli)
{
	puts("zetactl " ZETA_VERSION);
	return DONE;
}

int command_help(struct cli *cli)
{
	const struct option_entry *option;
	const struct command *command;
	const struct kind *kind;
	struct table *table;

	puts("usage: zetactl COMMAND [OPTIONS]\n\ncommands:");
	table = table_new();
	for (command = commands; command->name; command++) {
		table_row(table);
		table_cell(table, "%s%s%s", command->name, *command->arguments ? " " : "",
			   command->arguments);
		table_cell(table, "%s", command->help);
	}
	table_print(&table, stdout, 2);
	puts("\noptions:");
	table = table_new();
	for (option = option_list; option->name; option++) {
		table_row(table);
		if (option->is_short)
			table_cell(table, "-%c, --%s %s", option->letter, option->name,
				   option->value ? option->value : "");
		else
			table_cell(table, "    --%s %s", option->name,
				   option->value ? option->value : "");
		table_cell(table, "%s", option->help);
	}
	table_print(&table, stdout, 2);
	fputs("\nkinds:", stdout);
	for (kind = kinds; kind->name; kind++)
		printf(" %s", kind->path);
	puts("\n\nThe environment may have ZETA_CONTROLLER and ZETA_TOKEN_FILE. See zetactl(1).");
	return DONE;
}

static void print_kinds(const char *separator)
{
	const struct kind *kind;

	for (kind = kinds; kind->name; kind++)
		printf("%s%s", kind == kinds ? "" : separator, kind->path);
}

// The words that may follow "zetactl", "zetactl lab", "zetactl nf" or "zetactl node".
static void print_words(const char *group)
{
	size_t length = strlen(group), i;
	const struct command *command;
	const char *last = "", *name;

	for (command = commands; command->name; command++) {
		name = command->name;
		if (strncmp(name, group, length) != 0)
			continue;
		name += length;
		i = strcspn(name, " ");
		if (strlen(last) >= i && !strncmp(last, name, i) && (!last[i] || last[i] == ' '))
			continue;
		printf("%.*s ", (int)i, name);
		last = name;
	}
}

static void print_options(unsigned int options)
{
	const struct option_entry *option;

	for (option = option_list; option->name; option++) {
		if (!(options & OPTION(option->letter)))
			continue;
		if (option->is_short)
			printf("-%c ", option->letter);
		printf("--%s ", option->name);
	}
}

static void print_choices(const char *what)
{
	if (!strcmp(what, "kind"))
		print_kinds(" ");
	else if (!strcmp(what, "cloud"))
		fputs("$(zetactl lab list 2>/dev/null | sed '1d;s/ .*//')", stdout);
	else if (strcmp(what, "file") != 0)
		fputs(what, stdout);
}

// What follows an option. Where nothing is offered the shell itself offers files.
static void print_values(void)
{
	const struct option_entry *option;

	puts("	case ${COMP_WORDS[COMP_CWORD-1]} in");
	for (option = option_list; option->name; option++) {
		if (!option->value)
			continue;
		printf("	--%s", option->name);
		if (option->is_short)
			printf("|-%c", option->letter);
		fputs(") words=\"", stdout);
		print_choices(option->choices ? option->choices : "file");
		puts("\"; COMPREPLY=($(compgen -W \"$words\" -- \"$now\")); return;;");
	}
	puts("	esac");
}

// The words before this one without the options and what those take: an option may stand anywhere.
static void print_split(void)
{
	const struct option_entry *option;

	puts("	for ((i = 1; i < COMP_CWORD; i++)); do\n"
	     "		case ${COMP_WORDS[i]} in");
	for (option = option_list; option->name; option++) {
		if (!option->value)
			continue;
		printf("		--%s", option->name);
		if (option->is_short)
			printf("|-%c", option->letter);
		puts(") i=$((i + 1));;");
	}
	puts("		-*) ;;\n"
	     "		*) plain+=(\"${COMP_WORDS[i]}\");;\n"
	     "		esac\n	done");
}

// One function serves both shells: zsh has bash's way of completing as a module of its own.
static void print_completion(void)
{
	const struct command *command;

	puts("_zetactl()\n{\n"
	     "	local now=${COMP_WORDS[COMP_CWORD]} plain=() words= options= at=1 i\n"
	     "	COMPREPLY=()");
	print_values();
	print_split();
	puts("	local command=${plain[0]-}\n"
	     "	case $command in lab|nf|node) command=\"$command ${plain[1]-}\" at=2;; esac");
	fputs("	if [ ${#plain[@]} = 0 ]; then\n		words=\"", stdout);
	print_words("");
	fputs("\" options=\"", stdout);
	print_options(~0u);
	fputs("\"\n	elif [ ${#plain[@]} -lt $at ]; then\n		case $command in\n"
	      "		lab*) words=\"",
	      stdout);
	print_words("lab ");
	fputs("\";;\n		nf*) words=\"", stdout);
	print_words("nf ");
	fputs("\";;\n		*) words=\"", stdout);
	print_words("node ");
	fputs("\";;\n		esac", stdout);
	puts("\n	else\n		case $command in");
	for (command = commands; command->name; command++) {
		printf("		\"%s\") options=\"", command->name);
		print_options(command->options | global_options);
		fputs("\" words=\"", stdout);
		if (command->complete)
			print_choices(command->complete);
		puts("\";;");
	}
	puts("		esac\n"
	     "		[ ${#plain[@]} = $at ] || words=\n"
	     "	fi\n"
	     "	[[ $now != -* ]] || words=$options\n"
	     "	COMPREPLY=($(compgen -W \"$words\" -- \"$now\"))\n}\n"
	     "complete -o default -F _zetactl zetactl");
}

int command_completion(struct cli *cli)
{
	if (!strcmp(cli->argv[0], "zsh")) {
		puts("#compdef zetactl\nautoload -U +X bashcompinit && bashcompinit");
	} else if (strcmp(cli->argv[0], "bash") != 0) {
		complain("there is no completion for %s, but for bash and zsh", cli->argv[0]);
		return USAGE;
	}
	print_completion();
	return DONE;
}
