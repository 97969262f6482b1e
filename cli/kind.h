/* SPDX-License-Identifier: Apache-2.0 */
// The kinds of objects that the API knows, as people name and see them.
#pragma once

#include <stddef.h>

#define KIND_FIELDS 16
#define KIND_COLUMNS 12

struct field {
	const char *name;
	const char *refers; // the path of the kind that its value, or each of its values, names
	const char *api;    // what the API calls it, where that is another name
};

struct column {
	const char *title;
	const char *field; // "ips", "status.connected"
	int wide;	   // only with -o wide
};

struct kind {
	const char *name; // in YAML: "Vpc"
	const char *word; // in commands and messages: "vpc"
	const char *path; // in the API: "vpcs"
	int per_vpc;	  // names are unique within a VPC, not everywhere
	int read_only;
	struct field field[KIND_FIELDS]; // what people may set
	struct column column[KIND_COLUMNS];
};

// All of them, what others refer to first; ends with a name of NULL.
extern const struct kind kinds[];

// By "Vpc", "vpc" or "vpcs", any case. NULL: there is none.
const struct kind *kind_find(const char *word);
// By "vpcs". There must be one.
const struct kind *kind_of_path(const char *path);
const struct field *kind_field(const struct kind *kind, const char *name);
const char *field_api(const struct field *field); // what the API calls it
