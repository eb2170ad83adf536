/* OpenSSH's known_hosts file: which keys a host may show. See ssh_internal.h.
 *
 * libssh2 has a reader of its own, but it knows neither wildcards nor revoked keys, gives up at the
 * first odd line, and takes the key of a host's port 22 for its other ports. It is used here for
 * hashed names alone. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/remote/ssh_internal.h"

/* "host", or "[host]:port" for another port than 22; in lower case, as OpenSSH writes them. */
static void host_text(const char *host, uint16_t port, bool brackets, struct buf *text)
{
    if (brackets)
        buf_add_char(text, '[');
    for (; *host != '\0'; host++)
        buf_add_char(text, (char)tolower((unsigned char)*host));
    if (brackets)
        buf_printf(text, "]:%u", port);
}

static bool pattern_matches(const char *pattern, size_t length, const char *name)
{
    for (; length > 0; pattern++, length--) {
        if (*pattern == '*') {
            for (;; name++) {
                if (pattern_matches(pattern + 1, length - 1, name))
                    return true;
                if (*name == '\0')
                    return false;
            }
        }
        if (*name == '\0' || (*pattern != '?' && tolower((unsigned char)*pattern) != *name))
            return false;
        name++;
    }
    return *name == '\0';
}

/* A comma-separated list; a pattern with "!" in front rules the host out whatever else matches. */
static bool patterns_match(const char *list, const char *name)
{
    bool matched = false;
    while (*list != '\0') {
        size_t length = strcspn(list, ",");
        bool negated = *list == '!';
        if (pattern_matches(list + negated, length - negated, name)) {
            if (negated)
                return false;
            matched = true;
        }
        list += length;
        list += *list == ',';
    }
    return matched;
}

/* "|1|salt|hash": whether it is this name's. Only the name is asked for, so the key is made up. */
static bool hash_matches(LIBSSH2_SESSION *ssh, const char *hashed, const char *name)
{
    static const char made_up[] = "AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    LIBSSH2_KNOWNHOSTS *hosts = ssh != NULL ? libssh2_knownhost_init(ssh) : NULL;
    if (hosts == NULL)
        return false;
    struct buf line = BUF_INIT;
    buf_printf(&line, "%s ssh-ed25519 %s", hashed, made_up);
    bool matches = false;
    if (libssh2_knownhost_readline(hosts, line.data, line.length, LIBSSH2_KNOWNHOST_FILE_OPENSSH) ==
        0)
        matches =
            libssh2_knownhost_check(hosts, name, made_up, strlen(made_up),
                                    LIBSSH2_KNOWNHOST_TYPE_PLAIN | LIBSSH2_KNOWNHOST_KEYENC_BASE64,
                                    NULL) == LIBSSH2_KNOWNHOST_CHECK_MATCH;
    libssh2_knownhost_free(hosts);
    buf_free(&line);
    return matches;
}

static bool names_match(LIBSSH2_SESSION *ssh, const char *field, const char *name)
{
    return *field == '|' ? hash_matches(ssh, field, name) : patterns_match(field, name);
}

static char *copy_text(const char *text)
{
    char *copy = strdup(text);
    if (copy == NULL)
        abort();
    return copy;
}

static void add_key(struct known_hosts *known, const struct known_key *key)
{
    struct known_key *keys = realloc(known->keys, (known->count + 1) * sizeof *keys);
    if (keys == NULL)
        abort();
    known->keys = keys;
    keys[known->count] = *key;
    keys[known->count].algorithm = copy_text(key->algorithm);
    keys[known->count].base64 = copy_text(key->base64);
    known->count++;
}

/* "[@marker] names algorithm base64 [comment]"; lines of another shape are passed over, as OpenSSH
 * does. The keys of certificate authorities do not help: libssh2 cannot check certificates. */
static void take_line(LIBSSH2_SESSION *ssh, char *line, unsigned number, const char *const *names,
                      size_t name_count, struct known_hosts *known)
{
    char *rest = line;
    char *field = strtok_r(rest, " \t\r\n", &rest);
    bool revoked = false;
    if (field != NULL && *field == '@') {
        revoked = strcmp(field, "@revoked") == 0;
        if (!revoked)
            return;
        field = strtok_r(rest, " \t\r\n", &rest);
    }
    char *algorithm = field != NULL ? strtok_r(rest, " \t\r\n", &rest) : NULL;
    char *base64 = algorithm != NULL ? strtok_r(rest, " \t\r\n", &rest) : NULL;
    if (base64 == NULL || *field == '#' || !isalpha((unsigned char)*algorithm))
        return;
    for (size_t i = 0; i < name_count; i++) {
        if (!names_match(ssh, field, names[i]))
            continue;
        add_key(known,
                &(struct known_key){
                    .algorithm = algorithm, .base64 = base64, .line = number, .revoked = revoked});
        return;
    }
}

enum err_code known_hosts_load(LIBSSH2_SESSION *ssh, const char *path, const char *host,
                               uint16_t port, struct known_hosts *known, struct err *err)
{
    *known = (struct known_hosts){.keys = NULL};
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return errno == ENOENT ? ERR_NONE : err_errno(err, errno, "read %s", path);
    struct buf plain = BUF_INIT, bracketed = BUF_INIT;
    host_text(host, port, false, &plain);
    host_text(host, port, true, &bracketed);
    const char *names[] = {buf_text(&bracketed), buf_text(&plain)};
    char *line = NULL;
    size_t capacity = 0;
    for (unsigned number = 1; getline(&line, &capacity, file) >= 0; number++)
        take_line(ssh, line, number, names, port == 22 ? 2 : 1, known);
    enum err_code code = ferror(file) ? err_errno(err, errno, "read %s", path) : ERR_NONE;
    if (code != ERR_NONE)
        known_hosts_free(known);
    free(line);
    buf_free(&plain);
    buf_free(&bracketed);
    fclose(file);
    return code;
}

void known_hosts_free(struct known_hosts *known)
{
    for (size_t i = 0; i < known->count; i++) {
        free(known->keys[i].algorithm);
        free(known->keys[i].base64);
    }
    free(known->keys);
    *known = (struct known_hosts){.keys = NULL};
}

static const struct {
    const char *algorithm; /* as known_hosts names the key */
    const char *offers;    /* as the handshake names its signatures */
} host_algorithms[] = {
    {"ssh-ed25519", "ssh-ed25519"},
    {"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"},
    {"ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384"},
    {"ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521"},
    {"ssh-rsa", "rsa-sha2-512,rsa-sha2-256,ssh-rsa"},
};

static bool is_known(const struct known_hosts *known, const char *algorithm)
{
    for (size_t i = 0; i < known->count; i++)
        if (!known->keys[i].revoked && strcmp(known->keys[i].algorithm, algorithm) == 0)
            return true;
    return false;
}

void known_hosts_preference(const struct known_hosts *known, struct buf *list)
{
    for (int wanted = 1; wanted >= 0; wanted--)
        for (size_t i = 0; i < sizeof host_algorithms / sizeof host_algorithms[0]; i++)
            if (is_known(known, host_algorithms[i].algorithm) == (wanted == 1))
                buf_printf(list, "%s%s", list->length > 0 ? "," : "", host_algorithms[i].offers);
}

enum host_key_status known_hosts_check(const struct known_hosts *known, const char *algorithm,
                                       const char *base64, const struct known_key **match)
{
    enum host_key_status status = HOST_KEY_UNKNOWN;
    *match = NULL;
    for (size_t i = 0; i < known->count; i++) {
        const struct known_key *key = &known->keys[i];
        bool same = strcmp(key->base64, base64) == 0;
        if (key->revoked && same) {
            *match = key;
            return HOST_KEY_REVOKED;
        }
        if (key->revoked || strcmp(key->algorithm, algorithm) != 0 || status == HOST_KEY_KNOWN)
            continue;
        if (same || *match == NULL)
            *match = key;
        status = same ? HOST_KEY_KNOWN : HOST_KEY_CHANGED;
    }
    return status;
}

/* The directory of a first known_hosts is made as ssh makes it. */
static void make_parent(const char *path)
{
    struct buf parent = BUF_INIT;
    buf_add_text(&parent, path);
    char *slash = strrchr(parent.data, '/');
    if (slash != NULL && slash != parent.data) {
        *slash = '\0';
        (void)!mkdir(parent.data, 0700);
    }
    buf_free(&parent);
}

/* A file edited by hand may lack its last newline. */
static bool ends_within_a_line(int fd)
{
    off_t end = lseek(fd, 0, SEEK_END);
    char last = '\n';
    return end > 0 && pread(fd, &last, 1, end - 1) == 1 && last != '\n';
}

enum err_code known_hosts_append(const char *path, const char *host, uint16_t port,
                                 const char *algorithm, const char *base64, struct err *err)
{
    make_parent(path);
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, errno, "add a host key to %s", path);
    struct buf line = BUF_INIT;
    if (ends_within_a_line(fd))
        buf_add_char(&line, '\n');
    host_text(host, port, port != 22, &line);
    buf_printf(&line, " %s %s\n", algorithm, base64);
    ssize_t written = write(fd, line.data, line.length);
    enum err_code code = ERR_NONE;
    if (written != (ssize_t)line.length)
        code = err_errno(err, written < 0 ? errno : ENOSPC, "add a host key to %s", path);
    close(fd);
    buf_free(&line);
    return code;
}
