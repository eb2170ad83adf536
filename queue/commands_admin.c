/* Commands about the connection and this node: answered by any node, by itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fnmatch.h>
#include <openssl/crypto.h>

#include "queue/commands.h"
#include "queue/server.h"
#include "queue/tls.h"

static bool finish_ok(struct request *request)
{
    struct resp_writer writer = request_writer(request);
    resp_write_status(&writer, "OK");
    request_finish(request);
    return true;
}

static bool ping(struct request *request, const struct resp_slice *arguments, uint32_t count)
{
    struct resp_writer writer = request_writer(request);
    if (count > 1)
        resp_write_bulk(&writer, arguments[1].data, arguments[1].length);
    else
        resp_write_status(&writer, "PONG");
    request_finish(request);
    return true;
}

static bool password_right(struct client *client, struct resp_slice password)
{
    const char *right = client->server->config.password;
    if (right[0] == '\0' || password.length != strlen(right) ||
        CRYPTO_memcmp(right, password.data, password.length) != 0)
        return false;
    client->authenticated = true;
    return true;
}

static bool auth(struct request *request, const struct resp_slice *arguments, uint32_t count)
{
    struct client *client = request->client;
    if (count > 3)
        commands_syntax(request);
    else if (client->server->config.password[0] == '\0')
        request_error(request, "ERR this server has no password");
    else if (!password_right(client, arguments[count - 1]))
        request_error(request, "WRONGPASS invalid username-password pair or user is disabled.");
    else
        finish_ok(request);
    return true;
}

static void write_hello(struct request *request)
{
    struct client *client = request->client;
    struct resp_writer writer = request_writer(request);
    resp_write_map(&writer, 6);
    resp_write_text(&writer, "server");
    resp_write_text(&writer, "ordeal-queue");
    resp_write_text(&writer, "version");
    resp_write_text(&writer, ORDEAL_VERSION);
    resp_write_text(&writer, "proto");
    resp_write_integer(&writer, client->version);
    resp_write_text(&writer, "id");
    resp_write_integer(&writer, (int64_t)client->number);
    resp_write_text(&writer, "node");
    resp_write_integer(&writer, client->server->config.node);
    resp_write_text(&writer, "role");
    resp_write_text(&writer, client->server->node.leading ? "leader" : "follower");
}

/* In CLIENT LIST a name is one word of one line. */
static void set_name(struct client *client, struct resp_slice name)
{
    size_t length = name.length < sizeof client->name ? name.length : sizeof client->name - 1;
    for (size_t i = 0; i < length; i++)
        client->name[i] = name.data[i] > ' ' && name.data[i] <= '~' ? name.data[i] : '_';
    client->name[length] = '\0';
}

/* HELLO [2|3 [AUTH user password] [SETNAME name] [REDIRECT]] */
static bool hello(struct request *request, const struct resp_slice *arguments, uint32_t count)
{
    struct client *client = request->client;
    uint64_t version = client->version;
    if (count > 1 && (!slice_number(arguments[1], UINT32_MAX, &version) ||
                      (version != RESP_2 && version != RESP_3))) {
        request_error(request, "NOPROTO unsupported protocol version");
        return true;
    }
    for (uint32_t i = 2; i < count; i++) {
        if (slice_is(arguments[i], "AUTH") && i + 2 < count) {
            if (!password_right(client, arguments[i + 2]) &&
                client->server->config.password[0] != '\0') {
                request_error(request, "WRONGPASS invalid username-password pair or user is "
                                       "disabled.");
                return true;
            }
            i += 2;
        } else if (slice_is(arguments[i], "SETNAME") && i + 1 < count) {
            set_name(client, arguments[++i]);
        } else if (slice_is(arguments[i], "REDIRECT")) {
            client->redirect = true;
        } else {
            commands_syntax(request);
            return true;
        }
    }
    if (!client->authenticated) {
        request_error(request, "NOAUTH HELLO must be called with the client already "
                               "authenticated, or with AUTH <user> <pass>");
        return true;
    }
    client->version = (enum resp_version)version;
    write_hello(request);
    request_finish(request);
    return true;
}

/* CLIENT LIST | ID | GETNAME | SETNAME name | REDIRECT on|off | SETINFO ... */
static void client_list(struct request *request)
{
    struct server *server = request_server(request);
    struct buffer text = {0};
    uint64_t now_ms = node_clock_ms();
    for (struct client *client = server->clients; client != NULL; client = client->next) {
        char line[512];
        int length = snprintf(
            line, sizeof line,
            "id=%llu addr=%s name=%s age=%llu cmds=%llu pending=%u qbuf=%zu obl=%zu resp=%d "
            "redirect=%s tls=%s\n",
            (unsigned long long)client->number, client->address, client->name,
            (unsigned long long)(now_ms - client->opened_ms) / 1000,
            (unsigned long long)client->requests, client->count, buffer_length(&client->in),
            buffer_length(&client->out), client->version, client->redirect ? "on" : "off",
            client->tls != NULL ? tls_version(client->tls) : "no");
        buffer_append(&text, line, (size_t)length);
    }
    struct resp_writer writer = request_writer(request);
    resp_write_bulk(&writer, buffer_bytes(&text), buffer_length(&text));
    buffer_free(&text);
    request_finish(request);
}

static bool client_command(struct request *request, const struct resp_slice *arguments,
                           uint32_t count)
{
    struct client *client = request->client;
    struct resp_writer writer = request_writer(request);
    if (slice_is(arguments[1], "LIST")) {
        client_list(request);
    } else if (slice_is(arguments[1], "ID")) {
        resp_write_integer(&writer, (int64_t)client->number);
        request_finish(request);
    } else if (slice_is(arguments[1], "GETNAME")) {
        resp_write_text(&writer, client->name);
        request_finish(request);
    } else if (slice_is(arguments[1], "SETNAME") && count == 3) {
        set_name(client, arguments[2]);
        finish_ok(request);
    } else if (slice_is(arguments[1], "REDIRECT") && count == 3 &&
               (slice_is(arguments[2], "on") || slice_is(arguments[2], "off"))) {
        client->redirect = slice_is(arguments[2], "on");
        finish_ok(request);
    } else if (slice_is(arguments[1], "SETINFO")) {
        finish_ok(request); /* client libraries introduce themselves */
    } else {
        commands_syntax(request);
    }
    return true;
}

static bool info(struct request *request, const struct resp_slice *arguments, uint32_t count)
{
    (void)arguments;
    (void)count;
    struct buffer text = {0};
    metrics_info(request_server(request), &text);
    struct resp_writer writer = request_writer(request);
    resp_write_bulk(&writer, buffer_bytes(&text), buffer_length(&text));
    buffer_free(&text);
    request_finish(request);
    return true;
}

static void lower_name(const struct command_entry *entry, char name[32])
{
    snprintf(name, 32, "%s", entry->name);
    for (char *at = name; *at; at++)
        *at |= 0x20;
}

static void write_command(struct resp_writer *writer, const struct command_entry *entry)
{
    char name[32];
    if (entry == NULL) {
        resp_write_null_array(writer);
        return;
    }
    lower_name(entry, name);
    resp_write_array(writer, 6);
    resp_write_text(writer, name);
    resp_write_integer(writer, entry->arity);
    resp_write_array(writer, 1);
    resp_write_status(writer, entry->flags & COMMAND_WRITE ? "write" : "readonly");
    for (int key = 0; key < 3; key++)
        resp_write_integer(writer, 0);
}

static const struct command_entry *find_public(struct resp_slice name, uint32_t commands)
{
    for (uint32_t i = 0; i < commands; i++) {
        if (slice_is(name, commands_at(i)->name))
            return commands_at(i);
    }
    return NULL;
}

/* COMMAND | COUNT | LIST | INFO [name ...]; DOCS and the like: nothing to tell. */
static bool command(struct request *request, const struct resp_slice *arguments, uint32_t count)
{
    struct resp_writer writer = request_writer(request);
    uint32_t commands = 0;
    while (commands_at(commands) != NULL && !(commands_at(commands)->flags & COMMAND_INTERNAL))
        commands++; /* those for servers only are the last */
    if (count > 1 && slice_is(arguments[1], "COUNT")) {
        resp_write_integer(&writer, commands);
    } else if (count > 2 && slice_is(arguments[1], "INFO")) {
        resp_write_array(&writer, count - 2);
        for (uint32_t i = 2; i < count; i++)
            write_command(&writer, find_public(arguments[i], commands));
    } else if (count > 1 && slice_is(arguments[1], "LIST")) {
        resp_write_array(&writer, commands);
        for (uint32_t i = 0; i < commands; i++) {
            char name[32];
            lower_name(commands_at(i), name);
            resp_write_text(&writer, name);
        }
    } else if (count > 1 && !slice_is(arguments[1], "INFO")) {
        resp_write_array(&writer, 0);
    } else {
        resp_write_array(&writer, commands);
        for (uint32_t i = 0; i < commands; i++)
            write_command(&writer, commands_at(i));
    }
    request_finish(request);
    return true;
}

static bool quit(struct request *request, const struct resp_slice *arguments, uint32_t count)
{
    (void)arguments;
    (void)count;
    request->client->closing = true; /* once this is sent */
    return finish_ok(request);
}

/* CONFIG GET name | SET name value: of this node; or, by the names that `state_config_name` has, of
 * the cluster, through the log. */
static enum state_config cluster_setting(struct resp_slice name)
{
    enum state_config key = 0;
    while (key < CONFIG_COUNT && !slice_is(name, state_config_name(key)))
        key++;
    return key;
}

static bool config_local(const struct resp_slice *arguments, uint32_t count)
{
    return count < 4 || cluster_setting(arguments[2]) == CONFIG_COUNT;
}

static bool matches(const char *pattern, const char *name)
{
    return fnmatch(pattern, name, FNM_CASEFOLD) == 0;
}

static void config_get(struct request *request, struct resp_slice glob)
{
    struct server *server = request_server(request);
    struct resp_writer writer = request_writer(request);
    char pattern[64], value[4096];
    uint32_t settings, found = 0;
    const struct config_setting *table = config_settings(&settings);
    snprintf(pattern, sizeof pattern, "%.*s", (int)(glob.length < 64 ? glob.length : 63),
             glob.data);
    for (uint32_t i = 0; i < settings; i++)
        found += matches(pattern, table[i].name);
    for (enum state_config key = 0; key < CONFIG_COUNT; key++)
        found += matches(pattern, state_config_name(key));
    resp_write_map(&writer, found);
    for (uint32_t i = 0; i < settings; i++) {
        if (!matches(pattern, table[i].name))
            continue;
        config_text(&server->config, table[i].name, value, sizeof value);
        resp_write_text(&writer, table[i].name);
        resp_write_text(&writer, value);
    }
    for (enum state_config key = 0; key < CONFIG_COUNT; key++) {
        if (!matches(pattern, state_config_name(key)))
            continue;
        resp_write_text(&writer, state_config_name(key));
        resp_write_format(&writer, "%llu",
                          (unsigned long long)state_config(server->node.state, key));
    }
    request_finish(request);
}

static void config_set_here(struct request *request, const struct resp_slice *arguments)
{
    struct server *server = request_server(request);
    struct config changed = server->config;
    struct queue_error error;
    uint32_t settings;
    const struct config_setting *table = config_settings(&settings);
    for (uint32_t i = 0; i < settings; i++) {
        if (!slice_is(arguments[2], table[i].name))
            continue;
        char value[512];
        snprintf(value, sizeof value, "%.*s", (int)arguments[3].length, arguments[3].data);
        if (memchr(arguments[3].data, 0, arguments[3].length) != NULL) {
            request_error(request, "ERR a setting's value has no byte 0 in it");
        } else if (!table[i].running) {
            request_error(request, "ERR %s cannot be changed while the server runs", table[i].name);
        } else if (!config_set(&changed, table[i].name, value, &error)) {
            request_error(request, "ERR %s", error.message);
        } else {
            server->config = changed;
            journal_level_set(changed.level);
            finish_ok(request);
        }
        return;
    }
    request_error(request, "ERR there is no such setting");
}

static bool config_command(struct request *request, const struct resp_slice *arguments,
                           uint32_t count)
{
    if (slice_is(arguments[1], "GET") && count == 3) {
        config_get(request, arguments[2]);
    } else if (slice_is(arguments[1], "SET") && count == 4) {
        struct command set = {.type = COMMAND_CONFIG};
        set.config.key = cluster_setting(arguments[2]);
        if (set.config.key == CONFIG_COUNT)
            config_set_here(request, arguments);
        else if (!slice_number(arguments[3], UINT64_MAX, &set.config.value))
            commands_syntax(request);
        else
            commands_submit(request, &set);
    } else {
        commands_syntax(request);
    }
    return true;
}

static void config_result(struct request *request, const struct state_result *result)
{
    if (result->status == STATE_OK)
        finish_ok(request);
    else
        commands_refuse(request, result);
}

static bool shutdown_command(struct request *request, const struct resp_slice *arguments,
                             uint32_t count)
{
    (void)arguments;
    (void)count;
    server_stop(request_server(request));
    return finish_ok(request);
}

#define LOCAL(NAME, USAGE, ARITY, FLAGS, FUNCTION)                                                 \
    {                                                                                              \
        .name = NAME, .usage = USAGE, .arity = ARITY, .flags = COMMAND_LOCAL | (FLAGS),            \
        .start = FUNCTION                                                                          \
    }
const struct command_entry commands_admin[] = {
    LOCAL("PING", "[text]", -1, 0, ping),
    LOCAL("AUTH", "[user] password", -2, COMMAND_OPEN, auth),
    LOCAL("HELLO", "[2|3 [AUTH user password] [SETNAME name] [REDIRECT]]", -1,
          COMMAND_OPEN | COMMAND_ALONE, hello),
    LOCAL("INFO", "", -1, 0, info),
    LOCAL("CLIENT", "LIST | ID | GETNAME | SETNAME name | REDIRECT on|off", -2, 0, client_command),
    LOCAL("COMMAND", "[COUNT | LIST | INFO [name ...]]", -1, 0, command),
    LOCAL("QUIT", "", -1, COMMAND_OPEN | COMMAND_ALONE, quit),
    {.name = "CONFIG",
     .usage = "GET name|* | SET name value",
     .arity = -3,
     .flags = COMMAND_WRITE,
     .start = config_command,
     .result = config_result,
     .local = config_local},
    LOCAL("SHUTDOWN", "", -1, 0, shutdown_command),
    {.name = NULL},
};
