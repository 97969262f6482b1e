/* SPDX-License-Identifier: Apache-2.0 */
// Every command and option there is: what is parsed, explained by help and completed by a shell.
#pragma once

#include "cli/cli.h"

#define OPTION(letter) (1u << ((letter) - 'a'))

struct option_entry {
	const char *name;  // "output"
	char letter;	   // its bit in `options`, too
	int is_short;	   // whether -LETTER is accepted
	const char *value; // what it takes; NULL: nothing
	const char *help;
	const char *choices; // what a shell offers; NULL: files
};

struct command {
	const char *name; // "lab up"
	const char *arguments;
	const char *help;
	int least, most;      // words; most -1: any number
	int verbatim;	      // after so many words everything is another command's; 0: nothing is
	unsigned int options; // OPTION(..) of those that it takes, beside the global ones
	const char *complete; // what its first word is: "kind", "cloud", "file", or choices
	int (*run)(struct cli *cli);
};

extern const struct command commands[];		// ends with a name of NULL
extern const struct option_entry option_list[]; // ends with a name of NULL
extern const unsigned int global_options;
