/* SPDX-License-Identifier: Apache-2.0 */
// For tests that speak TLS: authorities and certificates in a directory, made by openssl(1).
#pragma once

#include <fcntl.h>
#include <ftw.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define CERT_PATH 256

// Runs a program in silence. Returns its exit status, or -1.
static inline int run_silent(char *const argv[])
{
	posix_spawn_file_actions_t actions;
	int status = -1;
	pid_t pid;
	int err;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	err = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (err || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

// directory/name.suffix into the caller's path, which is returned.
static inline char *cert_path(char path[CERT_PATH], const char *directory, const char *name,
			      const char *suffix)
{
	snprintf(path, CERT_PATH, "%s/%s.%s", directory, name, suffix);
	return path;
}

// Makes name.pem and name.key: signed by signer, or by itself where signer is NULL. Servers and
// clients alike are at 127.0.0.1, or between network namespaces at 198.18.0.1. Returns 0, or what
// openssl returned.
static inline int cert_make(const char *directory, const char *name, const char *signer)
{
	char cert[CERT_PATH], key[CERT_PATH], ca[CERT_PATH], ca_key[CERT_PATH], subject[CERT_PATH];
	char *argv[] = {"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
			"ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", subject, "-out",
			cert_path(cert, directory, name, "pem"), "-keyout",
			cert_path(key, directory, name, "key"), "-addext",
			"subjectAltName=IP:127.0.0.1,IP:198.18.0.1",
			// Of a self-signed one, the list ends here.
			signer ? "-CA" : NULL, cert_path(ca, directory, signer ?: "", "pem"),
			"-CAkey", cert_path(ca_key, directory, signer ?: "", "key"), "-addext",
			"basicConstraints=critical,CA:FALSE", NULL};

	int status;

	snprintf(subject, sizeof(subject), "/CN=%s", name);
	status = run_silent(argv);
	if (status)
		fprintf(stderr, "no certificate for %s: openssl ended with %d\n", name, status);
	return status;
}

static inline int remove_entry(const char *path, const struct stat *status, int type,
			       struct FTW *where)
{
	return remove(path);
}

static inline void directory_remove(const char *directory)
{
	nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}
