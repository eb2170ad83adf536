/* Elliptic keys, good for a day. */
#include "tests/queue/lib/certificates.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

static FILE *open_file(const char *directory, const char *name, const char *kind, const char *how)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s.%s", directory, name, kind);
    FILE *file = fopen(path, how);
    assert_non_null(file);
    return file;
}

static void add_extension(X509 *certificate, int kind, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, kind, value);
    assert_non_null(extension);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

static X509 *describe(const char *name, EVP_PKEY *key, int is_authority)
{
    static long serial = 1;
    X509 *certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    add_extension(certificate, NID_basic_constraints,
                  is_authority ? "critical,CA:TRUE" : "CA:FALSE");
    if (!is_authority)
        add_extension(certificate, NID_subject_alt_name, "IP:127.0.0.1,DNS:localhost");
    return certificate;
}

void certificate_make(const char *directory, const char *name, const char *authority)
{
    EVP_PKEY *key = EVP_EC_gen("P-256"), *signer = key;
    assert_non_null(key);
    X509 *certificate = describe(name, key, authority == NULL), *issuer = certificate;
    if (authority != NULL) {
        FILE *file = open_file(directory, authority, "crt", "re");
        issuer = PEM_read_X509(file, NULL, NULL, NULL);
        fclose(file);
        file = open_file(directory, authority, "key", "re");
        signer = PEM_read_PrivateKey(file, NULL, NULL, NULL);
        fclose(file);
    }
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
    assert_true(X509_sign(certificate, signer, EVP_sha256()) > 0);
    FILE *file = open_file(directory, name, "crt", "we");
    assert_int_equal(PEM_write_X509(file, certificate), 1);
    fclose(file);
    file = open_file(directory, name, "key", "we");
    assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
    if (authority != NULL) {
        X509_free(issuer);
        EVP_PKEY_free(signer);
    }
    X509_free(certificate);
    EVP_PKEY_free(key);
}
