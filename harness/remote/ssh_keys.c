/* What private key files hold, for choosing and for explaining. See ssh_internal.h. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/remote/ssh_internal.h"

void ssh_base64(const void *data, size_t length, struct buf *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *bytes = data;
    for (size_t i = 0; i < length; i += 3) {
        uint32_t group = (uint32_t)bytes[i] << 16;
        if (i + 1 < length)
            group |= (uint32_t)bytes[i + 1] << 8;
        if (i + 2 < length)
            group |= bytes[i + 2];
        buf_add_char(text, digits[group >> 18]);
        buf_add_char(text, digits[group >> 12 & 63]);
        buf_add_char(text, i + 1 < length ? digits[group >> 6 & 63] : '=');
        buf_add_char(text, i + 2 < length ? digits[group & 63] : '=');
    }
}

static int digit_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decodes up to `size` bytes of base64 spread over lines; returns how many there were. */
static size_t decode_base64(const char *text, unsigned char *bytes, size_t size)
{
    size_t length = 0;
    uint32_t group = 0;
    unsigned bits = 0;
    for (; *text != '\0' && *text != '-' && length < size; text++) {
        int value = digit_value(*text);
        if (value < 0)
            continue;
        group = group << 6 | (uint32_t)value;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes[length++] = (unsigned char)(group >> bits);
        }
    }
    return length;
}

const char *ssh_key_type_short(const char *algorithm)
{
    if (strcmp(algorithm, "ssh-ed25519") == 0)
        return "ED25519";
    if (strncmp(algorithm, "ecdsa-", 6) == 0)
        return "ECDSA";
    if (strcmp(algorithm, "ssh-rsa") == 0 || strncmp(algorithm, "rsa-", 4) == 0)
        return "RSA";
    if (strcmp(algorithm, "ssh-dss") == 0)
        return "DSA";
    if (strncmp(algorithm, "sk-", 3) == 0)
        return "hardware";
    return "key";
}

/* Takes a length-prefixed string out of an SSH blob; false when it does not fit. */
static bool take_string(const unsigned char **bytes, size_t *left, const unsigned char **string,
                        size_t *length)
{
    if (*left < 4)
        return false;
    const unsigned char *b = *bytes;
    *length = (size_t)b[0] << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];
    if (*length > *left - 4)
        return false;
    *string = b + 4;
    *bytes += 4 + *length;
    *left -= 4 + *length;
    return true;
}

/* "openssh-key-v1", cipher, key derivation, its options, number of keys, public key ... */
static void describe_openssh(const char *text, struct ssh_key_info *info)
{
    unsigned char blob[1024];
    size_t left = decode_base64(text, blob, sizeof blob);
    const unsigned char *bytes = blob, *cipher, *string;
    size_t cipher_length, length;
    if (left < 15 || memcmp(bytes, "openssh-key-v1", 15) != 0)
        return;
    bytes += 15;
    left -= 15;
    if (!take_string(&bytes, &left, &cipher, &cipher_length))
        return;
    info->encrypted = cipher_length != 4 || memcmp(cipher, "none", 4) != 0;
    if (!take_string(&bytes, &left, &string, &length) ||
        !take_string(&bytes, &left, &string, &length) || left < 8)
        return;
    bytes += 8; /* the number of keys, and the length of the public one */
    left -= 8;
    char algorithm[64];
    if (!take_string(&bytes, &left, &string, &length) || length >= sizeof algorithm)
        return;
    memcpy(algorithm, string, length);
    algorithm[length] = '\0';
    snprintf(info->type, sizeof info->type, "%s", ssh_key_type_short(algorithm));
}

struct ssh_key_info ssh_key_describe_text(const char *text)
{
    struct ssh_key_info info = {.type = "key", .readable = true};
    const char *openssh = strstr(text, "-----BEGIN OPENSSH PRIVATE KEY-----");
    if (openssh != NULL)
        describe_openssh(openssh + 35, &info);
    else if (strstr(text, "-----BEGIN RSA PRIVATE KEY-----") != NULL)
        snprintf(info.type, sizeof info.type, "RSA");
    else if (strstr(text, "-----BEGIN EC PRIVATE KEY-----") != NULL)
        snprintf(info.type, sizeof info.type, "ECDSA");
    else if (strstr(text, "-----BEGIN DSA PRIVATE KEY-----") != NULL)
        snprintf(info.type, sizeof info.type, "DSA");
    if (openssh == NULL)
        info.encrypted = strstr(text, "ENCRYPTED") != NULL;
    return info;
}

struct ssh_key_info ssh_key_describe(const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return (struct ssh_key_info){.type = "key"};
    char text[4096];
    size_t length = fread(text, 1, sizeof text - 1, file);
    text[length] = '\0';
    fclose(file);
    struct ssh_key_info info = ssh_key_describe_text(text);
    explicit_bzero(text, sizeof text);
    return info;
}

void ssh_expand_home(const char *path, struct buf *expanded)
{
    if (path[0] == '~' && (path[1] == '/' || path[1] == '\0')) {
        const char *home = getenv("HOME");
        if (home == NULL || *home == '\0') {
            const struct passwd *entry = getpwuid(getuid());
            home = entry != NULL ? entry->pw_dir : "/";
        }
        buf_add_text(expanded, home);
        path++;
    }
    buf_add_text(expanded, path);
}
