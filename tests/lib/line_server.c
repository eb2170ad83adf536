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

static void talk(struct line_server *server, int fd)
{
    FILE *in = fdopen(fd, "r");
    char request[512];
    while (fgets(request, 256, in) != NULL) {
        size_t length = strlen(request);
        if (has_body(server, request) && fgets(request + length, 256, in) == NULL)
            break;
        remember(server, request);
        const char *answer = answer_to(server, request);
        if (strcmp(answer, "-") == 0 || write(fd, answer, strlen(answer)) < 0)
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
