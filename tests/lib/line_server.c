/* A server of lines that answers as it is told: see line_server.h. */
#include "tests/lib/line_server.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/base/text.h"
#include "tests/lib/test.h"

static const char *answer_to(struct line_server *server, const char *request)
{
    const char *answer = "-";
    for (size_t i = 0; server->script[i].request != NULL; i++) {
        if (!text_starts(request, server->script[i].request))
            continue;
        answer = server->script[i].answer;
        if (server->used[i])
            continue;
        server->used[i] = true;
        break;
    }
    return answer;
}

static void remember(struct line_server *server, const char *request)
{
    pthread_mutex_lock(&server->lock);
    if (server->asked_count < LINE_SERVER_REQUESTS)
        snprintf(server->asked[server->asked_count++], sizeof *server->asked, "%s", request);
    pthread_mutex_unlock(&server->lock);
}

static bool has_body(const struct line_server *server, const char *request)
{
    for (const char *const *one = server->bodied; *one != NULL; one++)
        if (text_starts(request, *one))
            return true;
    return false;
}

/* A line, which a NUL ends as well; false: there is no more. */
static bool read_line(FILE *in, char *line, size_t size)
{
    size_t length = 0;
    int c = 0;
    while (length + 1 < size && c != '\n' && (c = getc(in)) != EOF && (c != '\0' || length == 0))
        if (c != '\0')
            line[length++] = (char)c;
    line[length] = '\0';
    return length > 0;
}

static bool write_answer(int fd, const char *text)
{
    char answer[1024];
    size_t length = strlen(text);
    assert_true(length <= sizeof answer);
    for (size_t i = 0; i < length; i++)
        answer[i] = text[i] == LINE_SERVER_NUL[0] ? '\0' : text[i];
    return write(fd, answer, length) == (ssize_t)length;
}

/* The strings of a request of the Redis protocol, a line each, whose first line told how many they
 * are: all that was sent is there before anything is answered. The first goes to `request`. */
static bool read_strings(struct line_server *server, FILE *in, int count, char request[512])
{
    char length[64], text[512];
    for (int i = 0; i < count; i++) {
        size_t size;
        if (!read_line(in, length, sizeof length) || sscanf(length, "$%zu", &size) != 1 ||
            size + 3 > sizeof text || fread(text, 1, size + 2, in) != size + 2)
            return false;
        text[size + 2] = '\0';
        remember(server, text);
        if (i == 0)
            snprintf(request, 512, "%s", text);
    }
    return count > 0;
}

static void talk(struct line_server *server, int fd)
{
    FILE *in = fdopen(fd, "r");
    char request[512];
    int strings;
    while (read_line(in, request, 256)) {
        size_t length = strlen(request);
        if (sscanf(request, "*%d", &strings) == 1) {
            if (!read_strings(server, in, strings, request))
                break;
        } else {
            if (has_body(server, request) && !read_line(in, request + length, 256))
                break;
            remember(server, request);
        }
        const char *answer = answer_to(server, request);
        if (strcmp(answer, "-") == 0 || !write_answer(fd, answer))
            break;
    }
    fclose(in);
}

static void *serve(void *state)
{
    struct line_server *server = state;
    for (;;) {
        int fd = accept(server->listener, NULL, NULL);
        if (fd < 0 || server->over) {
            if (fd >= 0)
                close(fd);
            return NULL;
        }
        atomic_fetch_add(&server->connections, 1);
        talk(server, fd);
    }
}

void line_server_start(struct line_server *server, const struct line_answer *script,
                       const char *const *bodied)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof at;
    *server =
        (struct line_server){.script = script, .bodied = bodied, .lock = PTHREAD_MUTEX_INITIALIZER};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(server->listener, 8), 0);
    getsockname(server->listener, (struct sockaddr *)&at, &size);
    server->port = ntohs(at.sin_port);
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

void line_server_stop(struct line_server *server)
{
    server->over = true;
    shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->listener);
    pthread_mutex_destroy(&server->lock);
}

int line_server_asked(struct line_server *server, const char *request)
{
    int count = 0;
    pthread_mutex_lock(&server->lock);
    for (size_t i = 0; i < server->asked_count; i++)
        count += text_starts(server->asked[i], request);
    pthread_mutex_unlock(&server->lock);
    return count;
}

void line_server_last(struct line_server *server, const char *request, char text[512])
{
    *text = '\0';
    pthread_mutex_lock(&server->lock);
    for (size_t i = 0; i < server->asked_count; i++)
        if (text_starts(server->asked[i], request))
            snprintf(text, 512, "%s", server->asked[i]);
    pthread_mutex_unlock(&server->lock);
}
