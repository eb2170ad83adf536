/* From a connected socket to a session that may run commands: handshake, host key, keys, password.
 * See ssh_internal.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/remote/ssh_internal.h"

/* ---- What libssh2 cannot do with RSA keys ---- */

/* Before 1.11 it signs with RSA and SHA-1 only. */
static bool rsa_is_old(void)
{
    return libssh2_version(0x010b00) == NULL;
}

static const char *library_version(void)
{
    const char *version = libssh2_version(0);
    return version != NULL ? version : "?";
}

/* ---- Handshake ---- */

static char *copy_text(const char *text)
{
    char *copy = strdup(text);
    if (copy == NULL)
        abort();
    return copy;
}

static void add_key_file(struct remote_session *session, const char *path, bool must_exist)
{
    struct buf expanded = BUF_INIT;
    ssh_expand_home(path, &expanded);
    if (must_exist || access(expanded.data, F_OK) == 0)
        session->key_files[session->key_count++] = copy_text(expanded.data);
    buf_free(&expanded);
}

static void collect_key_files(struct remote_session *session)
{
    static const char *const defaults[] = {"~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa",
                                           NULL};
    const char *const *files = session->node->key_files;
    if (files == NULL)
        files = session->options->key_files;
    bool named = files != NULL;
    if (!named)
        files = defaults;
    size_t count = 0;
    while (files[count] != NULL)
        count++;
    session->key_files = calloc(count + 1, sizeof *session->key_files);
    if (session->key_files == NULL)
        abort();
    for (size_t i = 0; i < count; i++)
        add_key_file(session, files[i], named);
}

/* A server shows one of its keys. Unless those that known_hosts has are asked for first, it may
 * show another, and a host that is known well would be called unknown. Names that libssh2 does not
 * have are left out here: taking them out itself, 1.10 copies overlapping memory. */
static enum err_code ask_for_known_types(struct remote_session *session, struct err *err)
{
    const char **supported = NULL;
    int count = libssh2_session_supported_algs(session->ssh, LIBSSH2_METHOD_HOSTKEY, &supported);
    struct buf wanted = BUF_INIT, list = BUF_INIT;
    known_hosts_preference(&session->known, &wanted);
    char *rest = wanted.data;
    for (char *name = strsep(&rest, ","); name != NULL; name = strsep(&rest, ","))
        for (int i = 0; i < count; i++)
            if (strcmp(supported[i], name) == 0)
                buf_printf(&list, "%s%s", list.length > 0 ? "," : "", name);
    if (count > 0)
        libssh2_free(session->ssh, supported);
    int status = -1;
    if (list.length > 0)
        status = libssh2_session_method_pref(session->ssh, LIBSSH2_METHOD_HOSTKEY, list.data);
    buf_free(&wanted);
    buf_free(&list);
    if (status != 0)
        return err_set(err, ERR_REMOTE, "libssh2 %s knows no usable host key algorithm",
                       library_version());
    return ERR_NONE;
}

enum err_code ssh_login_begin(struct remote_session *session, struct err *err)
{
    const char *path = session->options->known_hosts;
    ssh_expand_home(path != NULL ? path : "~/.ssh/known_hosts", &session->known_hosts_path);
    enum err_code code =
        known_hosts_load(session->ssh, session->known_hosts_path.data, node_address(session->node),
                         node_port(session->node), &session->known, err);
    if (code != ERR_NONE)
        return code;
    code = ask_for_known_types(session, err);
    if (code == ERR_NONE)
        collect_key_files(session);
    return code;
}

void ssh_login_end(struct remote_session *session)
{
    if (session->agent != NULL) {
        libssh2_agent_disconnect(session->agent);
        libssh2_agent_free(session->agent);
        session->agent = NULL;
    }
    known_hosts_free(&session->known);
    for (size_t i = 0; i < session->key_count; i++)
        free(session->key_files[i]);
    free(session->key_files);
    session->key_files = NULL;
    session->key_count = 0;
    buf_free(&session->known_hosts_path);
    buf_free(&session->methods);
    buf_free(&session->tried);
}

/* ---- Host key ---- */

static void key_algorithm(const char *key, size_t length, char *algorithm, size_t size)
{
    const unsigned char *b = (const unsigned char *)key;
    size_t name =
        length < 4 ? 0 : (size_t)b[0] << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];
    if (name > length - 4 || name >= size)
        name = 0;
    memcpy(algorithm, key + 4, name);
    algorithm[name] = '\0';
}

static void fingerprint(struct remote_session *session, const char *algorithm, struct buf *text)
{
    buf_add_text(text, ssh_key_type_short(algorithm));
    const char *hash = libssh2_hostkey_hash(session->ssh, LIBSSH2_HOSTKEY_HASH_SHA256);
    if (hash == NULL)
        return;
    buf_add_text(text, " SHA256:");
    ssh_base64(hash, 32, text);
    while (text->length > 0 && text->data[text->length - 1] == '=')
        text->data[--text->length] = '\0';
}

/* Other sessions may have added the key since this one began, so the file is read again. */
static enum ssh_step accept_new(struct remote_session *session, const char *algorithm,
                                const char *base64)
{
    struct known_hosts known;
    const struct known_key *match;
    const char *path = session->known_hosts_path.data;
    const char *host = node_address(session->node);
    uint16_t port = node_port(session->node);
    struct err err = ERR_INIT;
    if (known_hosts_load(session->ssh, path, host, port, &known, &err) != ERR_NONE)
        return ssh_fail(session, false, err.code, "%s", err.message);
    enum host_key_status status = known_hosts_check(&known, algorithm, base64, &match);
    known_hosts_free(&known);
    if (status == HOST_KEY_KNOWN)
        return SSH_STEP_MOVED;
    if (known_hosts_append(path, host, port, algorithm, base64, &err) != ERR_NONE)
        return ssh_fail(session, false, err.code, "%s", err.message);
    return SSH_STEP_MOVED;
}

static enum ssh_step refuse_unknown(struct remote_session *session, const char *shown)
{
    const char *path = session->known_hosts_path.data;
    const struct known_key *other = NULL;
    for (size_t i = 0; i < session->known.count && other == NULL; i++)
        if (!session->known.keys[i].revoked)
            other = &session->known.keys[i];
    const char *flag = node_port(session->node) != 22 ? "-p PORT " : "";
    if (other == NULL)
        return ssh_fail(session, false, ERR_REMOTE,
                        "host key of %s is unknown (%s): add it with `ssh-keyscan %s%s >> %s` "
                        "after checking it, or pass --accept-new-host-keys",
                        session->place, shown, flag, node_address(session->node), path);
    bool rsa = strcmp(other->algorithm, "ssh-rsa") == 0 && rsa_is_old();
    return ssh_fail(session, false, ERR_REMOTE,
                    "host key of %s is unknown (%s): %s line %u has only its %s key%s%s; add this "
                    "one with `ssh-keyscan %s%s >> %s` after checking it",
                    session->place, shown, path, other->line, ssh_key_type_short(other->algorithm),
                    rsa ? ", which libssh2 cannot ask OpenSSH 8.8 and later for, version "
                        : ", which it does not show",
                    rsa ? library_version() : "", flag, node_address(session->node), path);
}

static enum ssh_step check_host_key(struct remote_session *session)
{
    size_t length;
    int type;
    const char *key = libssh2_session_hostkey(session->ssh, &length, &type);
    if (key == NULL)
        return ssh_fail_library(session, "reading the host key");
    char algorithm[64];
    key_algorithm(key, length, algorithm, sizeof algorithm);
    struct buf base64 = BUF_INIT, shown = BUF_INIT;
    ssh_base64(key, length, &base64);
    fingerprint(session, algorithm, &shown);
    const struct known_key *match;
    enum ssh_step step = SSH_STEP_MOVED;
    switch (known_hosts_check(&session->known, algorithm, base64.data, &match)) {
    case HOST_KEY_KNOWN:
        break;
    case HOST_KEY_UNKNOWN:
        if (session->options->accept_new_host_keys && session->known.count == 0)
            step = accept_new(session, algorithm, base64.data);
        else
            step = refuse_unknown(session, shown.data);
        break;
    case HOST_KEY_CHANGED:
        step = ssh_fail(session, false, ERR_REMOTE,
                        "HOST KEY OF %s HAS CHANGED (now %s, %s line %u has another): somebody may "
                        "be in between, or the node was installed anew; if it was, remove the old "
                        "key with ssh-keygen -R",
                        session->place, shown.data, session->known_hosts_path.data, match->line);
        break;
    case HOST_KEY_REVOKED:
        step = ssh_fail(session, false, ERR_REMOTE,
                        "host key of %s (%s) is marked as revoked in %s line %u", session->place,
                        shown.data, session->known_hosts_path.data, match->line);
        break;
    }
    buf_free(&base64);
    buf_free(&shown);
    return step;
}

static enum ssh_step handshake(struct remote_session *session)
{
    int status = libssh2_session_handshake(session->ssh, session->fd);
    if (status == LIBSSH2_ERROR_EAGAIN)
        return SSH_STEP_WAIT;
    if (status == LIBSSH2_ERROR_KEX_FAILURE || status == LIBSSH2_ERROR_KEY_EXCHANGE_FAILURE ||
        status == LIBSSH2_ERROR_METHOD_NONE)
        return ssh_fail(session, false, ERR_REMOTE, "%s and libssh2 %s share no algorithm%s",
                        session->place, library_version(),
                        rsa_is_old() ? " (a server with only an RSA host key needs libssh2 1.11: "
                                       "give it an ed25519 host key)"
                                     : "");
    if (status != 0)
        return ssh_fail_library(session, "the SSH handshake");
    enum ssh_step step = check_host_key(session);
    if (step == SSH_STEP_MOVED)
        session->phase = SSH_METHODS;
    return step;
}

/* ---- Logging in ---- */

static void tried(struct remote_session *session, const char *what, const char *how)
{
    buf_printf(&session->tried, "%s%s (%s)", session->tried.length > 0 ? ", " : "", what, how);
}

static enum ssh_step logged_in(struct remote_session *session)
{
    session->phase = SSH_READY;
    ssh_login_end(session);
    return SSH_STEP_MOVED;
}

static bool offers(const struct remote_session *session, const char *method)
{
    return strstr(buf_text(&session->methods), method) != NULL;
}

static enum ssh_step ask_methods(struct remote_session *session)
{
    const char *user = ssh_user(session);
    const char *list = libssh2_userauth_list(session->ssh, user, (unsigned)strlen(user));
    if (list == NULL) {
        if (libssh2_userauth_authenticated(session->ssh))
            return logged_in(session); /* the server asks for nothing */
        if (libssh2_session_last_errno(session->ssh) == LIBSSH2_ERROR_EAGAIN)
            return SSH_STEP_WAIT;
        return ssh_fail_library(session, "asking how to log in");
    }
    buf_add_text(&session->methods, list);
    session->phase = SSH_KEY_FILES;
    return SSH_STEP_MOVED;
}

/* Whether a failed attempt means that the next may be made, rather than the end of the session. */
static bool was_refused(int status)
{
    return status == LIBSSH2_ERROR_AUTHENTICATION_FAILED ||
           status == LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED || status == LIBSSH2_ERROR_FILE ||
           status == LIBSSH2_ERROR_KEYFILE_AUTH_FAILED ||
           status == LIBSSH2_ERROR_METHOD_NOT_SUPPORTED || status == LIBSSH2_ERROR_METHOD_NONE ||
           status == LIBSSH2_ERROR_AGENT_PROTOCOL;
}

static enum ssh_step login_failed(struct remote_session *session)
{
    const char *what = session->tried.length > 0 ? session->tried.data
                                                 : "nothing, as there is no "
                                                   "key in ~/.ssh, no "
                                                   "ssh-agent and no "
                                                   "password";
    return ssh_fail(session, false, ERR_REMOTE,
                    "%s does not let user '%s' in: tried %s; it would take %s", session->place,
                    ssh_user(session), what, buf_text(&session->methods));
}

/* A server that counts attempts (MaxAuthTries) hangs up: what was tried explains that best. */
static enum ssh_step login_broken(struct remote_session *session, const char *what)
{
    if (session->peer_closed && session->tried.length > 0)
        return ssh_fail(session, false, ERR_REMOTE,
                        "%s hung up on user '%s' during the login: tried %s", session->place,
                        ssh_user(session), session->tried.data);
    return ssh_fail_library(session, what);
}

static void explain_key(struct remote_session *session, const char *path,
                        const struct ssh_key_info *info, int status)
{
    char *message = NULL;
    struct buf how = BUF_INIT;
    libssh2_session_last_error(session->ssh, &message, NULL, 0);
    if (status == LIBSSH2_ERROR_FILE || status == LIBSSH2_ERROR_METHOD_NONE ||
        status == LIBSSH2_ERROR_METHOD_NOT_SUPPORTED)
        buf_printf(&how, "%s: libssh2 cannot use it: %s", info->type,
                   message != NULL ? message : "");
    else if (strcmp(info->type, "RSA") == 0 && rsa_is_old())
        buf_printf(&how,
                   "RSA: refused; libssh2 %s signs RSA keys with SHA-1, which OpenSSH 8.8 and "
                   "later refuse: use an ed25519 key",
                   library_version());
    else
        buf_printf(&how, "%s: refused", info->type);
    tried(session, path, how.data);
    buf_free(&how);
}

static enum ssh_step try_key_files(struct remote_session *session)
{
    if (session->key_next == session->key_count || !offers(session, "publickey")) {
        session->phase = SSH_AGENT_CONNECT;
        return SSH_STEP_MOVED;
    }
    const char *path = session->key_files[session->key_next];
    struct ssh_key_info info = ssh_key_describe(path);
    if (!info.readable || info.encrypted) {
        tried(session, path,
              info.encrypted ? "has a passphrase: add it to ssh-agent" : "cannot be read");
        session->key_next++;
        return SSH_STEP_MOVED;
    }
    const char *user = ssh_user(session);
    int status = libssh2_userauth_publickey_fromfile_ex(session->ssh, user, (unsigned)strlen(user),
                                                        NULL, path, NULL);
    if (status == LIBSSH2_ERROR_EAGAIN)
        return SSH_STEP_WAIT;
    if (status == 0)
        return logged_in(session);
    explain_key(session, path, &info, status);
    if (!was_refused(status))
        return login_broken(session, "trying a key");
    session->key_next++;
    return SSH_STEP_MOVED;
}

static enum ssh_step connect_agent(struct remote_session *session)
{
    const char *socket_path = getenv("SSH_AUTH_SOCK");
    session->phase = SSH_PASSWORD;
    if (session->options->no_agent || socket_path == NULL || *socket_path == '\0' ||
        !offers(session, "publickey"))
        return SSH_STEP_MOVED;
    session->agent = libssh2_agent_init(session->ssh);
    if (session->agent == NULL)
        return ssh_fail_library(session, "meeting the ssh-agent");
    if (libssh2_agent_connect(session->agent) != 0 ||
        libssh2_agent_list_identities(session->agent) != 0) {
        tried(session, "the ssh-agent", "it does not answer");
        return SSH_STEP_MOVED;
    }
    session->identity = NULL;
    if (libssh2_agent_get_identity(session->agent, &session->identity, NULL) != 0) {
        tried(session, "the ssh-agent", "it has no keys");
        return SSH_STEP_MOVED;
    }
    session->phase = SSH_AGENT_KEYS;
    return SSH_STEP_MOVED;
}

static enum ssh_step try_agent_keys(struct remote_session *session)
{
    int status = libssh2_agent_userauth(session->agent, ssh_user(session), session->identity);
    if (status == LIBSSH2_ERROR_EAGAIN)
        return SSH_STEP_WAIT;
    if (status == 0)
        return logged_in(session);
    char algorithm[64];
    key_algorithm((const char *)session->identity->blob, session->identity->blob_len, algorithm,
                  sizeof algorithm);
    struct ssh_key_info info = {.readable = true};
    snprintf(info.type, sizeof info.type, "%s", ssh_key_type_short(algorithm));
    struct buf what = BUF_INIT;
    buf_printf(&what, "the ssh-agent's %s", session->identity->comment);
    explain_key(session, what.data, &info, status);
    buf_free(&what);
    if (!was_refused(status))
        return login_broken(session, "trying a key of the ssh-agent");
    if (libssh2_agent_get_identity(session->agent, &session->identity, session->identity) != 0)
        session->phase = SSH_PASSWORD;
    return SSH_STEP_MOVED;
}

static const char *password_of(const struct remote_session *session)
{
    return session->node->password != NULL ? session->node->password : session->options->password;
}

static enum ssh_step try_password(struct remote_session *session)
{
    const char *user = ssh_user(session), *password = password_of(session);
    if (password == NULL || !offers(session, "password")) {
        session->phase = SSH_INTERACTIVE;
        return SSH_STEP_MOVED;
    }
    int status = libssh2_userauth_password_ex(session->ssh, user, (unsigned)strlen(user), password,
                                              (unsigned)strlen(password), NULL);
    if (status == LIBSSH2_ERROR_EAGAIN)
        return SSH_STEP_WAIT;
    if (status == 0)
        return logged_in(session);
    tried(session, "the password", "refused");
    if (!was_refused(status))
        return login_broken(session, "trying the password");
    session->phase = SSH_INTERACTIVE;
    return SSH_STEP_MOVED;
}

/* Many servers ask for a password only this way. Every prompt gets the password. */
static LIBSSH2_USERAUTH_KBDINT_RESPONSE_FUNC(answer_prompts)
{
    (void)name, (void)name_len, (void)instruction, (void)instruction_len, (void)prompts;
    const struct remote_session *session = *abstract;
    for (int i = 0; i < num_prompts; i++) {
        responses[i].text = copy_text(password_of(session)); /* libssh2 frees it */
        responses[i].length = (unsigned)strlen(responses[i].text);
    }
}

static enum ssh_step try_interactive(struct remote_session *session)
{
    const char *user = ssh_user(session);
    if (password_of(session) == NULL || !offers(session, "keyboard-interactive"))
        return login_failed(session);
    int status = libssh2_userauth_keyboard_interactive_ex(session->ssh, user,
                                                          (unsigned)strlen(user), answer_prompts);
    if (status == LIBSSH2_ERROR_EAGAIN)
        return SSH_STEP_WAIT;
    if (status == 0)
        return logged_in(session);
    tried(session, "the password at the prompt", "refused");
    return was_refused(status) ? login_failed(session)
                               : login_broken(session, "answering the password prompt");
}

enum ssh_step ssh_login_step(struct remote_session *session)
{
    switch (session->phase) {
    case SSH_HANDSHAKE:
        return handshake(session);
    case SSH_METHODS:
        return ask_methods(session);
    case SSH_KEY_FILES:
        return try_key_files(session);
    case SSH_AGENT_CONNECT:
        return connect_agent(session);
    case SSH_AGENT_KEYS:
        return try_agent_keys(session);
    case SSH_PASSWORD:
        return try_password(session);
    case SSH_INTERACTIVE:
        return try_interactive(session);
    case SSH_CONNECT:
    case SSH_TUNNEL:
    case SSH_READY:
    case SSH_FAILED:
        break;
    }
    return SSH_STEP_WAIT;
}
