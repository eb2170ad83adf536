/* Requests: the one file that meets libmicrohttpd. A thread a connection; GET and HEAD only.
 *
 * Two things keep pages of elsewhere out. Without a token only requests that name a loopback host
 * are answered, so that no other site's name can be made to lead here (DNS rebinding); with one,
 * only those that show it, in the header Authorization, as ?token=, or as the cookie that the first
 * such answer sets. */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/serve.h"
#include "reports/html.h"
#include "reports/serve/live.h"
#include "reports/serve/pages.h"

enum { CONNECTIONS_MAX = 256, IDLE_S = 60, FILES_A_PAGE = 2000 };

static const char policy_page[] = "default-src 'none'; style-src 'self'; script-src 'self'; "
                                  "img-src data:; connect-src 'self'; form-action 'self'; "
                                  "base-uri 'none'; frame-ancestors 'none'";
/* A report brings its own style and, in time, scripts; it reaches nothing, and has no origin. */
static const char policy_report[] = "default-src 'none'; style-src 'unsafe-inline'; script-src "
                                    "'unsafe-inline'; img-src data: blob:; font-src data:; "
                                    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
                                    "sandbox allow-scripts";
static const char policy_file[] = "default-src 'none'; frame-ancestors 'none'; sandbox";

struct serve {
    struct MHD_Daemon *daemon;
    struct runs *runs;
    char *store, *token; /* NULL: none */
    atomic_bool stopping;
};

/* One request on its way through. */
struct request {
    struct serve *serve;
    struct MHD_Connection *connection;
    const char *path; /* decoded, with its first slash */
    struct arena arena;
};

/* ---- Answers ---- */

static const char *argument(const struct request *request, const char *name)
{
    const char *value =
        MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
    return value == NULL ? "" : value;
}

static void add_headers(const struct request *request, struct MHD_Response *response,
                        const char *type, const char *policy)
{
    MHD_add_response_header(response, "Content-Type", type);
    MHD_add_response_header(response, "Content-Security-Policy", policy);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
    MHD_add_response_header(response, "Cache-Control", "no-store");
    if (request->serve->token != NULL && *argument(request, "token") != '\0') {
        struct buf cookie = BUF_INIT;
        buf_printf(&cookie, "ordeal-token=%s; Path=/; HttpOnly; SameSite=Strict",
                   request->serve->token);
        MHD_add_response_header(response, "Set-Cookie", buf_text(&cookie));
        buf_free(&cookie);
    }
}

static enum MHD_Result queue(const struct request *request, unsigned status,
                             struct MHD_Response *response)
{
    enum MHD_Result result =
        response == NULL ? MHD_NO : MHD_queue_response(request->connection, status, response);
    if (response != NULL)
        MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer(const struct request *request, unsigned status, const char *type,
                              struct buf *body)
{
    size_t length = body->length;
    char *data = buf_take(body);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(length, data, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(data);
        return MHD_NO;
    }
    add_headers(request, response, type, policy_page);
    return queue(request, status, response);
}

static enum MHD_Result answer_page(const struct request *request, unsigned status, struct buf *body)
{
    return answer(request, status, "text/html; charset=utf-8", body);
}

static enum MHD_Result refuse(const struct request *request, unsigned status, const char *text)
{
    struct buf body = BUF_INIT;
    pages_problem(status, text, &body);
    return answer_page(request, status, &body);
}

static enum MHD_Result not_found(const struct request *request)
{
    return refuse(request, MHD_HTTP_NOT_FOUND, "There is nothing of that name here.");
}

/* ---- Who may ask ---- */

static bool same_secret(const char *left, const char *right)
{
    size_t length = strlen(left);
    unsigned char differs = strlen(right) != length;
    for (size_t i = 0; i < length && !differs; i++)
        differs |= (unsigned char)(left[i] ^ right[i]);
    return differs == 0;
}

static bool shows_token(const struct request *request)
{
    const char *token = request->serve->token;
    const char *header = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND,
                                                     MHD_HTTP_HEADER_AUTHORIZATION);
    const char *cookie =
        MHD_lookup_connection_value(request->connection, MHD_COOKIE_KIND, "ordeal-token");
    return same_secret(token, argument(request, "token")) ||
           (cookie != NULL && same_secret(token, cookie)) ||
           (header != NULL && strncasecmp(header, "Bearer ", 7) == 0 &&
            same_secret(token, header + 7));
}

static bool names_loopback(const struct request *request)
{
    const char *host =
        MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
    char name[128];
    if (host == NULL || strlen(host) >= sizeof name)
        return false;
    strcpy(name, host);
    char *colon = strrchr(name, ':');
    if (colon != NULL && strchr(colon, ']') == NULL)
        *colon = '\0';
    struct in_addr address;
    return strcasecmp(name, "localhost") == 0 || strcmp(name, "[::1]") == 0 ||
           (inet_pton(AF_INET, name, &address) == 1 && ntohl(address.s_addr) >> 24 == 127);
}

/* ---- The list ---- */

static struct page_query query_of(const struct request *request)
{
    struct page_query query = {.search = argument(request, "q"),
                               .system = argument(request, "system"),
                               .workload = argument(request, "workload"),
                               .nemesis = argument(request, "nemesis"),
                               .verdict = argument(request, "verdict"),
                               .since = argument(request, "since"),
                               .until = argument(request, "until"),
                               .sort = argument(request, "sort")};
    unsigned long page = strtoul(argument(request, "page"), NULL, 10);
    query.page = page < 1000000 ? page : 0;
    return query;
}

static enum MHD_Result get_list(struct request *request)
{
    struct run_list all, selected;
    struct err err = ERR_INIT;
    if (runs_list(request->serve->runs, &request->arena, &all, &err) != ERR_NONE)
        return refuse(request, MHD_HTTP_INTERNAL_SERVER_ERROR, err.message);
    struct page_query query = query_of(request);
    selected = all;
    selected.items = arena_alloc(&request->arena, (all.count + 1) * sizeof *all.items);
    memcpy(selected.items, all.items, all.count * sizeof *all.items);
    pages_select(&selected, &query);
    struct buf body = BUF_INIT;
    pages_list(&all, &selected, &query, &body);
    return answer_page(request, MHD_HTTP_OK, &body);
}

/* ---- One run ---- */

/* Finds "test/time" at the beginning of `path`; *rest is what follows, without its slash. */
static const struct run_entry *find_run(struct request *request, const char *path,
                                        const char **rest)
{
    const char *slash = strchr(path, '/');
    struct run_list list;
    if (slash == NULL || runs_list(request->serve->runs, &request->arena, &list, NULL) != ERR_NONE)
        return NULL;
    size_t test = (size_t)(slash - path), time = strcspn(slash + 1, "/");
    for (size_t i = 0; i < list.count; i++) {
        const struct run_entry *entry = list.items[i];
        if (strlen(entry->test) == test && strncmp(entry->test, path, test) == 0 &&
            strlen(entry->time) == time && strncmp(entry->time, slash + 1, time) == 0) {
            *rest = slash + 1 + time;
            *rest += **rest == '/';
            return entry;
        }
    }
    return NULL;
}

static const char *directory_of(struct request *request, const struct run_entry *entry)
{
    return arena_printf(&request->arena, "%s/%s", entry->test, entry->time);
}

static enum MHD_Result get_run(struct request *request, const struct run_entry *entry,
                               const char *rest)
{
    if (*rest != '\0')
        return not_found(request);
    struct file_entry *files;
    size_t count = files_list(request->serve->store, directory_of(request, entry), FILES_A_PAGE,
                              &request->arena, &files);
    struct buf body = BUF_INIT;
    pages_run(entry, files, count, &body);
    return answer_page(request, MHD_HTTP_OK, &body);
}

static enum MHD_Result get_live(struct request *request, const struct run_entry *entry,
                                const char *rest)
{
    if (*rest != '\0')
        return not_found(request);
    struct buf body = BUF_INIT;
    pages_live(entry, &body);
    return answer_page(request, MHD_HTTP_OK, &body);
}

static enum MHD_Result get_file(struct request *request, const struct run_entry *entry,
                                const char *rest)
{
    const char *path = arena_printf(&request->arena, "%s/%s", directory_of(request, entry), rest);
    off_t bytes;
    int fd = files_open(request->serve->store, path, &bytes);
    if (fd < 0)
        return not_found(request);
    /* The response closes the descriptor. Files that grow are sent as long as they are now. */
    struct MHD_Response *response = MHD_create_response_from_fd64((uint64_t)bytes, fd);
    if (response == NULL) {
        close(fd);
        return MHD_NO;
    }
    const char *type = files_content_type(path);
    add_headers(request, response, type,
                strncmp(type, "text/html", 9) == 0 ? policy_report : policy_file);
    return queue(request, MHD_HTTP_OK, response);
}

static enum MHD_Result get_archive(struct request *request, const struct run_entry *entry,
                                   const char *rest)
{
    if (*rest != '\0')
        return not_found(request);
    int fd = files_archive(request->serve->store, directory_of(request, entry));
    struct MHD_Response *response = fd < 0 ? NULL : MHD_create_response_from_pipe(fd);
    if (response == NULL) {
        if (fd >= 0)
            close(fd);
        return refuse(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "The archive cannot be made.");
    }
    add_headers(request, response, "application/gzip", policy_file);
    struct buf name = BUF_INIT;
    buf_printf(&name, "attachment; filename=\"%s.tar.gz\"", entry->time);
    MHD_add_response_header(response, "Content-Disposition", buf_text(&name));
    buf_free(&name);
    return queue(request, MHD_HTTP_OK, response);
}

/* ---- A stream of events ---- */

struct stream {
    struct serve *serve;
    struct live *live;
    struct buf pending;
    int64_t next_ns;
    bool ended;
};

static ssize_t stream_read(void *state, uint64_t position, char *data, size_t limit)
{
    struct stream *stream = state;
    (void)position;
    while (stream->pending.length == 0) {
        if (stream->ended || atomic_load(&stream->serve->stopping))
            return MHD_CONTENT_READER_END_OF_STREAM;
        int64_t now_ns = clock_monotonic_ns();
        if (now_ns < stream->next_ns) { /* in pieces, so that an end is heard of */
            int64_t wait_ns = stream->next_ns - now_ns;
            clock_sleep_ns(wait_ns < 100 * NS_PER_MS ? wait_ns : 100 * NS_PER_MS);
            continue;
        }
        buf_add_text(&stream->pending, "data: ");
        live_step(stream->live, &stream->pending, &stream->ended);
        buf_add_text(&stream->pending, "\n\n");
        stream->next_ns = now_ns + NS_PER_SECOND;
    }
    size_t length = stream->pending.length < limit ? stream->pending.length : limit;
    memcpy(data, stream->pending.data, length);
    buf_consume(&stream->pending, length);
    return (ssize_t)length;
}

static void stream_free(void *state)
{
    struct stream *stream = state;
    live_close(stream->live);
    buf_free(&stream->pending);
    free(stream);
}

static enum MHD_Result get_events(struct request *request, const struct run_entry *entry,
                                  const char *rest)
{
    struct live *live =
        *rest != '\0' ? NULL : live_open(request->serve->store, directory_of(request, entry));
    if (live == NULL)
        return not_found(request);
    struct stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        abort();
    *stream = (struct stream){.serve = request->serve, .live = live};
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, stream_read, stream, stream_free);
    if (response == NULL) {
        stream_free(stream);
        return MHD_NO;
    }
    add_headers(request, response, "text/event-stream", policy_file);
    return queue(request, MHD_HTTP_OK, response);
}

/* ---- Two runs ---- */

static struct json *read_json(struct request *request, const struct run_entry *entry,
                              const char *name)
{
    struct json *root;
    files_read_json(request->serve->store,
                    arena_printf(&request->arena, "%s/%s", directory_of(request, entry), name),
                    &root);
    return root;
}

struct two {
    struct request *request;
    const struct run_entry *entries[2];
    int count;
};

static enum MHD_Result take_run(void *state, enum MHD_ValueKind kind, const char *key,
                                const char *value)
{
    struct two *two = state;
    (void)kind;
    if (strcmp(key, "run") != 0 || value == NULL || two->count > 2)
        return MHD_YES;
    char *decoded = arena_strdup(&two->request->arena, value); /* the form's own encoding */
    MHD_http_unescape(decoded);
    const char *rest;
    const struct run_entry *entry = find_run(two->request, decoded, &rest);
    if (two->count < 2)
        two->entries[two->count] = entry;
    two->count++;
    return MHD_YES;
}

static enum MHD_Result get_compare(struct request *request)
{
    struct two two = {.request = request};
    MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, take_run, &two);
    if (two.count != 2)
        return refuse(request, MHD_HTTP_BAD_REQUEST, "Tick two runs in the list to compare them.");
    if (two.entries[0] == NULL || two.entries[1] == NULL)
        return not_found(request);
    struct json *owned[4];
    struct page_side sides[2];
    for (int i = 0; i < 2; i++) {
        owned[2 * i] = read_json(request, two.entries[i], "plan.json");
        owned[2 * i + 1] = read_json(request, two.entries[i], "results.json");
        sides[i] = (struct page_side){two.entries[i], owned[2 * i], owned[2 * i + 1]};
    }
    struct buf body = BUF_INIT;
    pages_compare(sides, &body);
    for (int i = 0; i < 4; i++)
        json_free(owned[i]);
    return answer_page(request, MHD_HTTP_OK, &body);
}

/* ---- Routing ---- */

static enum MHD_Result get_text(const struct request *request, const char *type, const char *first,
                                const char *second)
{
    struct buf body = BUF_INIT;
    buf_add_text(&body, first);
    buf_add_text(&body, second);
    return answer(request, MHD_HTTP_OK, type, &body);
}

static enum MHD_Result route(struct request *request)
{
    static const struct {
        const char *prefix;
        enum MHD_Result (*get)(struct request *request, const struct run_entry *entry,
                               const char *rest);
    } kinds[] = {{"/run/", get_run},
                 {"/file/", get_file},
                 {"/archive/", get_archive},
                 {"/live/", get_live},
                 {"/events/", get_events}};
    if (strcmp(request->path, "/") == 0)
        return get_list(request);
    if (strcmp(request->path, "/compare") == 0)
        return get_compare(request);
    if (strcmp(request->path, "/style.css") == 0)
        return get_text(request, "text/css; charset=utf-8", html_style, pages_style);
    if (strcmp(request->path, "/live.js") == 0)
        return get_text(request, "text/javascript; charset=utf-8", pages_script, "");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t length = strlen(kinds[i].prefix);
        if (strncmp(request->path, kinds[i].prefix, length) != 0)
            continue;
        const char *rest = NULL;
        const struct run_entry *entry = find_run(request, request->path + length, &rest);
        return entry == NULL ? not_found(request) : kinds[i].get(request, entry, rest);
    }
    return not_found(request);
}

static enum MHD_Result handle(void *state, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_length, void **request_state)
{
    (void)version, (void)upload;
    static int seen;              /* any address that is not NULL */
    if (*request_state == NULL) { /* headers only; the answer is given at the second call */
        *request_state = &seen;
        return MHD_YES;
    }
    if (*upload_length > 0) { /* thrown away: nothing is taken here */
        *upload_length = 0;
        return MHD_YES;
    }
    struct request request = {
        .serve = state, .connection = connection, .path = path, .arena = ARENA_INIT};
    enum MHD_Result result;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        result = refuse(&request, MHD_HTTP_METHOD_NOT_ALLOWED, "Runs are read here, not written.");
    else if (request.serve->token != NULL && !shows_token(&request))
        result = refuse(&request, MHD_HTTP_UNAUTHORIZED,
                        "This needs the token that ordeal serve printed: add ?token=... to the "
                        "address.");
    else if (request.serve->token == NULL && !names_loopback(&request))
        result = refuse(&request, MHD_HTTP_FORBIDDEN,
                        "Without a token only localhost is answered under its own name.");
    else
        result = route(&request);
    arena_free(&request.arena);
    return result;
}

/* A path with a NUL in it would be cut there, and name another file: it is emptied instead. */
static size_t unescape(void *state, struct MHD_Connection *connection, char *text)
{
    (void)state, (void)connection;
    size_t length = MHD_http_unescape(text);
    if (strlen(text) != length)
        text[length = 0] = '\0';
    return length;
}

/* ---- Opening and closing ---- */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static enum err_code parse_address(const struct serve_options *options, union address *address,
                                   struct err *err)
{
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, options->address, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons(options->port);
    } else if (inet_pton(AF_INET6, options->address, &address->v6.sin6_addr) == 1) {
        address->v6.sin6_family = AF_INET6;
        address->v6.sin6_port = htons(options->port);
    } else {
        return err_set(err, ERR_CONFIG, "'%s' is no IPv4 or IPv6 address to listen on",
                       options->address);
    }
    return ERR_NONE;
}

static enum err_code listen_on(struct serve *serve, const struct serve_options *options,
                               uint16_t *port, struct err *err)
{
    union address address;
    enum err_code code = parse_address(options, &address, err);
    if (code != ERR_NONE)
        return code;
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
                     MHD_USE_POLL | (address.any.sa_family == AF_INET6 ? MHD_USE_IPv6 : 0);
    serve->daemon = MHD_start_daemon(
        flags, options->port, NULL, NULL, handle, serve, MHD_OPTION_SOCK_ADDR, &address.any,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_S, MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL, MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        serve->daemon == NULL ? NULL
                              : MHD_get_daemon_info(serve->daemon, MHD_DAEMON_INFO_BIND_PORT);
    if (info == NULL)
        return err_set(err, ERR_IO,
                       "cannot listen on %s port %u: in use, or not an address of this machine",
                       options->address, options->port);
    *port = info->port;
    return ERR_NONE;
}

enum err_code serve_open(const struct serve_options *options, struct serve **result, uint16_t *port,
                         struct err *err)
{
    struct stat status;
    if (stat(options->store, &status) != 0 || !S_ISDIR(status.st_mode))
        return err_set(err, ERR_CONFIG,
                       "there is no store %s: ordeal run makes one, --store names "
                       "another",
                       options->store);
    struct serve *serve = calloc(1, sizeof *serve);
    if (serve == NULL)
        abort();
    serve->store = strdup(options->store);
    serve->token = options->token == NULL ? NULL : strdup(options->token);
    serve->runs = runs_open(options->store);
    struct arena arena = ARENA_INIT;
    struct run_list list; /* read now, so that the first page is quick */
    enum err_code code = runs_list(serve->runs, &arena, &list, err);
    arena_free(&arena);
    if (code == ERR_NONE)
        code = listen_on(serve, options, port, err);
    if (code == ERR_NONE)
        *result = serve;
    else
        serve_close(serve);
    return code;
}

void serve_close(struct serve *serve)
{
    if (serve == NULL)
        return;
    atomic_store(&serve->stopping, true);
    if (serve->daemon != NULL)
        MHD_stop_daemon(serve->daemon);
    runs_close(serve->runs);
    free(serve->store);
    free(serve->token);
    free(serve);
}
