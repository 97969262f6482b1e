// SPDX-License-Identifier: Apache-2.0
// P-256 keys and X.509 by libcrypto: a certificate costs about a millisecond, a run of the openssl
// command fifty.
#include "cli/lab_certificate.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "lib/own.h"

#define VALID_S (365L * 24 * 3600)

struct authority {
	EVP_PKEY *key;
	X509 *certificate;
	char *dir;
};

static void key_freep(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}

static void certificate_freep(X509 **certificate)
{
	X509_free(*certificate);
}

static void file_closep(FILE **file)
{
	if (*file)
		fclose(*file);
}

static int extend(X509 *certificate, X509 *issuer, int what, const char *value)
{
	X509_EXTENSION *extension;
	X509V3_CTX context;
	int ok;

	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, what, value);
	if (!extension)
		return -EIO;
	ok = X509_add_ext(certificate, extension, -1);
	X509_EXTENSION_free(extension);
	return ok ? 0 : -EIO;
}

// A certificate for key, signed by nobody yet.
static X509 *draft(EVP_PKEY *key, const char *name)
{
	X509 *certificate = X509_new();
	unsigned char serial[16];
	BIGNUM *number;
	int ok;

	if (!certificate)
		return NULL;
	ok = RAND_bytes(serial, sizeof(serial)) == 1;
	serial[0] &= 0x7F; // a serial number is positive
	number = BN_bin2bn(serial, sizeof(serial), NULL);
	// An hour ago: clocks of machines differ.
	ok = ok && number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) &&
	     X509_set_version(certificate, 2) &&
	     X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) &&
	     X509_gmtime_adj(X509_getm_notAfter(certificate), VALID_S) &&
	     X509_set_pubkey(certificate, key) &&
	     X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
					(const unsigned char *)name, -1, -1, 0);
	BN_free(number);
	if (ok)
		return certificate;
	X509_free(certificate);
	return NULL;
}

static FILE *create(const char *dir, const char *name, const char *suffix, mode_t mode)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s.%s", dir, name, suffix);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	return fd < 0 ? NULL : fdopen(fd, "w");
}

static int write_certificate(const char *dir, const char *name, X509 *certificate)
{
	auto_(file_closep) FILE *file = create(dir, name, "crt", 0644);

	if (!file)
		return -errno;
	return PEM_write_X509(file, certificate) ? 0 : -EIO;
}

static int write_key(const char *dir, const char *name, EVP_PKEY *key)
{
	auto_(file_closep) FILE *file = create(dir, name, "key", 0600);

	if (!file)
		return -errno;
	return PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) ? 0 : -EIO;
}

// Fills in what authority_freep() frees. Returns 0 or -errno.
static int found(struct authority *authority, const char *dir)
{
	X509 *own;

	authority->dir = strdup(dir);
	authority->key = EVP_EC_gen("P-256");
	if (!authority->dir || !authority->key)
		return -ENOMEM;
	own = authority->certificate = draft(authority->key, "zeta lab");
	if (!own || !X509_set_issuer_name(own, X509_get_subject_name(own)) ||
	    extend(own, own, NID_basic_constraints, "critical,CA:TRUE") ||
	    extend(own, own, NID_key_usage, "critical,keyCertSign,cRLSign") ||
	    extend(own, own, NID_subject_key_identifier, "hash") ||
	    !X509_sign(own, authority->key, EVP_sha256()))
		return -EIO;
	return write_certificate(dir, "ca", own);
}

int authority_new(struct authority **out, const char *dir)
{
	struct authority *authority = calloc(1, sizeof(*authority));
	int err = authority ? found(authority, dir) : -ENOMEM;

	if (err)
		authority_freep(&authority);
	else
		*out = authority;
	return err;
}

void authority_freep(struct authority **authority)
{
	if (!*authority)
		return;
	EVP_PKEY_free((*authority)->key);
	X509_free((*authority)->certificate);
	free((*authority)->dir);
	free(*authority);
	*authority = NULL;
}

int authority_issue(struct authority *authority, const char *name, const char *address)
{
	auto_(key_freep) EVP_PKEY *key = EVP_EC_gen("P-256");
	auto_(certificate_freep) X509 *own = key ? draft(key, name) : NULL;
	X509 *ca = authority->certificate;
	char names[512];
	int err;

	snprintf(names, sizeof(names), "DNS:%s,DNS:localhost,IP:127.0.0.1%s%s", name,
		 address ? ",IP:" : "", address ? address : "");
	if (!own || !X509_set_issuer_name(own, X509_get_subject_name(ca)) ||
	    extend(own, ca, NID_basic_constraints, "critical,CA:FALSE") ||
	    extend(own, ca, NID_key_usage, "critical,digitalSignature") ||
	    extend(own, ca, NID_ext_key_usage, "serverAuth,clientAuth") ||
	    extend(own, ca, NID_subject_alt_name, names) ||
	    extend(own, ca, NID_authority_key_identifier, "keyid") ||
	    !X509_sign(own, authority->key, EVP_sha256()))
		return -EIO;
	err = write_certificate(authority->dir, name, own);
	return err ? err : write_key(authority->dir, name, key);
}
