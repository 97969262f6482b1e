/* SPDX-License-Identifier: Apache-2.0 */
// The lab's own certificate authority: each daemon of a cloud gets a name that it can prove.
#pragma once

// Makes a new authority and writes DIR/ca.crt; its key is never written. The caller frees it with
// authority_freep(). Returns 0; -EIO: libcrypto refused; -errno of a file.
struct authority;

int authority_new(struct authority **out, const char *dir);
void authority_freep(struct authority **authority);

// Writes DIR/NAME.crt (common name NAME, for servers and clients; valid for NAME, "localhost",
// 127.0.0.1 and address) and DIR/NAME.key (mode 0600). address may be NULL.
int authority_issue(struct authority *authority, const char *name, const char *address);
