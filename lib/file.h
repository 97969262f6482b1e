/* SPDX-License-Identifier: Apache-2.0 */
// Reading whole files of a bounded size.
#pragma once

#include <stddef.h>

// The caller frees *text; it ends with a NUL, which *length does not count. length may be NULL.
// Returns 0; -EFBIG: there are more than most bytes; -ENOMEM; what open() or read() say.
int file_read(const char *path, size_t most, char **text, size_t *length);
// The same of an open file, from where it stands.
int open_file_read(int fd, size_t most, char **text, size_t *length);
