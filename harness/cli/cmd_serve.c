/* ordeal serve: browse stored runs, and watch one that goes on. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "harness/base/text.h"
#include "harness/cli/cli.h"
#include "harness/serve.h"

struct request {
    const char *store, *listen, *token_file;
    char address[64];
    struct buf token;
    struct serve_options options;
};

static const struct cli_option options[] = {
    {"store", "DIR", "where runs are kept; default store"},
    {"listen", "ADDRESS:PORT", "default 127.0.0.1:8080; port 0: any that is free"},
    {"token-file", "FILE",
     "a browser must show what this file holds (one line); made up, and printed, when ADDRESS is "
     "not a loopback one"},
    {.name = NULL},
};

static enum err_code take(void *state, const char *name, const char *value, struct err *err)
{
    struct request *request = state;
    if (name == NULL)
        return err_set(err, ERR_CONFIG,
                       "serve takes no argument such as '%s': --store names the "
                       "store",
                       value);
    if (strcmp(name, "store") == 0)
        request->store = value;
    else if (strcmp(name, "listen") == 0)
        request->listen = value;
    else
        request->token_file = value;
    return ERR_NONE;
}

static int print_help(void)
{
    struct buf out = BUF_INIT;
    buf_add_text(&out, "usage: ordeal serve [--store DIR] [--listen ADDRESS:PORT]\n\n"
                       "Shows the runs of a store to a browser, and those that go on as they go "
                       "on, until Ctrl-C.\n\n");
    cli_print_options(options, &out);
    int status = cli_output(&out, 0);
    buf_free(&out);
    return status;
}

/* "127.0.0.1:8080", "[::1]:8080" */
static enum err_code read_listen(struct request *request, struct err *err)
{
    const char *text = request->listen, *colon = strrchr(text, ':');
    char *end = NULL;
    unsigned long port = colon == NULL ? 0 : strtoul(colon + 1, &end, 10);
    if (colon == NULL || colon[1] == '\0' || *end != '\0' || port > 65535)
        return err_set(err, ERR_CONFIG,
                       "--listen %s: write ADDRESS:PORT, as 127.0.0.1:8080 or "
                       "[::1]:8080",
                       text);
    bool brackets = text[0] == '[' && colon > text + 1 && colon[-1] == ']';
    const char *from = text + (brackets ? 1 : 0);
    size_t length = (size_t)(colon - from) - (brackets ? 1 : 0);
    if (length >= sizeof request->address)
        return err_set(err, ERR_CONFIG, "--listen %s: the address is too long", text);
    memcpy(request->address, from, length);
    request->address[length] = '\0';
    request->options.address = request->address;
    request->options.port = (uint16_t)port;
    return ERR_NONE;
}

static bool is_loopback(const char *address)
{
    struct in_addr v4;
    return strcmp(address, "::1") == 0 ||
           (inet_pton(AF_INET, address, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127);
}

static enum err_code read_token(struct request *request, struct err *err)
{
    unsigned char random[16];
    if (request->token_file != NULL) {
        if (file_read(request->token_file, 4096, &request->token, err) != ERR_NONE)
            return err_wrap(err, "--token-file");
        char *text = request->token.data;
        if (text != NULL)
            text[strcspn(text, "\r\n")] = '\0';
        for (const char *c = buf_text(&request->token); *c != '\0'; c++)
            if (strchr("-._~", *c) == NULL && !(*c >= '0' && *c <= '9') &&
                !((*c | 32) >= 'a' && (*c | 32) <= 'z'))
                return err_set(err, ERR_CONFIG,
                               "--token-file %s: a token is of letters, digits and -._~ only",
                               request->token_file);
        if (strlen(buf_text(&request->token)) < 8)
            return err_set(err, ERR_CONFIG,
                           "--token-file %s: its first line has less than 8 characters",
                           request->token_file);
    } else if (!is_loopback(request->options.address)) {
        if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
            return err_errno(err, errno, "cannot make up a token");
        for (size_t i = 0; i < sizeof random; i++)
            buf_printf(&request->token, "%02x", random[i]);
    } else {
        return ERR_NONE;
    }
    request->options.token = buf_text(&request->token);
    return ERR_NONE;
}

static void announce(const struct request *request, uint16_t port)
{
    bool v6 = strchr(request->options.address, ':') != NULL;
    bool made_up = request->options.token != NULL && request->token_file == NULL;
    fprintf(stderr, "serving %s on http://%s%s%s:%u/%s%s (Ctrl-C ends it)\n",
            request->options.store, v6 ? "[" : "", request->options.address, v6 ? "]" : "", port,
            made_up ? "?token=" : "", made_up ? request->options.token : "");
}

static int serve(struct request *request, struct err *err)
{
    struct serve *server = NULL;
    sigset_t ends;
    int signal;
    uint16_t port;
    /* Blocked before there are threads, so that it is this one that hears of them. */
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    request->options.store = request->store;
    enum err_code code = read_listen(request, err);
    if (code == ERR_NONE)
        code = read_token(request, err);
    if (code == ERR_NONE)
        code = serve_open(&request->options, &server, &port, err);
    if (code == ERR_NONE) {
        announce(request, port);
        sigwait(&ends, &signal);
        serve_close(server);
    }
    buf_free(&request->token);
    return code == ERR_NONE ? 0 : cli_fail(err);
}

int cmd_serve(int argc, char **argv)
{
    struct request request = {.store = "store", .listen = "127.0.0.1:8080", .token = BUF_INIT};
    struct err err = ERR_INIT;
    bool help;
    if (cli_parse(argc, argv, options, take, &request, &help, &err) != ERR_NONE)
        return cli_fail(&err);
    return help ? print_help() : serve(&request, &err);
}
