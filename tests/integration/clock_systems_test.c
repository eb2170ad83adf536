/* Real servers with wrong clocks: etcd and nats-server (static Go), Redis (whose allocator
 * libfaketime deadlocks), a JVM, Erlang. Each goes on working while its clock is a minute ahead, a
 * minute behind and a twentieth fast, says so itself, and tells the truth again when it is undone,
 * also by the guardian of an agent that was killed. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "harness/agent/vdso.h"
#include "tests/lib/agent_process.h"

struct fixture;

/* A server: how it is started and how it says what time it is. */
struct subject {
    const char *program;
    const char *arguments[24]; /* %d: the first port, %D: its directory, %e: the second port */
    bool (*told)(struct fixture *fixture, int64_t *told_ns); /* false: it does not answer (yet) */
    int64_t resolution_ns; /* what it says is so much too early, at most */
};

struct fixture {
    const struct subject *subject;
    struct agent_process agent;
    char directory[200];
    int ports[2];
    struct agentd_process daemon;
};

/* By how much it is off: between the two. */
struct bounds {
    int64_t least_ns, most_ns;
};

/* ---- Talking ---- */

static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    close(fd);
    return ntohs(address.sin_port);
}

/* What it answers within a second, until `end` is in it; false when nobody listens. */
static bool ask(int port, const char *request, const char *end, char *answer, size_t size)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = 1};
    size_t length = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    answer[0] = '\0';
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        send(fd, request, strlen(request), MSG_NOSIGNAL) > 0) {
        ssize_t more;
        while (length + 1 < size && strstr(answer, end) == NULL &&
               (more = recv(fd, answer + length, size - 1 - length, 0)) > 0) {
            length += (size_t)more;
            answer[length] = '\0';
        }
    }
    close(fd);
    return strstr(answer, end) != NULL;
}

static bool etcd_told(struct fixture *fixture, int64_t *told_ns)
{
    char answer[4096];
    struct tm parts = {.tm_sec = 0};
    if (!ask(fixture->ports[0], "GET /health HTTP/1.0\r\n\r\n", "\"health\":\"true\"", answer,
             sizeof answer))
        return false;
    const char *date = strstr(answer, "Date: ");
    if (date == NULL || strptime(date + 6, "%a, %d %b %Y %H:%M:%S GMT", &parts) == NULL)
        return false;
    *told_ns = timegm(&parts) * NS_PER_SECOND;
    return true;
}

static bool redis_told(struct fixture *fixture, int64_t *told_ns)
{
    char answer[256];
    long long seconds = 0, micros = 0;
    if (!ask(fixture->ports[0], "SET a b\r\nTIME\r\nPING\r\n", "+PONG", answer, sizeof answer) ||
        sscanf(answer, "+OK *2 $10 %lld $%*d %lld", &seconds, &micros) != 2)
        return false;
    *told_ns = seconds * NS_PER_SECOND + micros * NS_PER_US;
    return true;
}

static bool nats_told(struct fixture *fixture, int64_t *told_ns)
{
    char answer[16384];
    struct tm parts = {.tm_sec = 0};
    if (!ask(fixture->ports[0], "PING\r\n", "PONG", answer, sizeof answer) ||
        !ask(fixture->ports[1], "GET /varz HTTP/1.0\r\n\r\n", "\"uptime\"", answer, sizeof answer))
        return false;
    const char *now = strstr(answer, "\"now\": \"");
    const char *rest = now == NULL ? NULL : strptime(now + 8, "%Y-%m-%dT%H:%M:%S", &parts);
    if (rest == NULL)
        return false;
    *told_ns = timegm(&parts) * NS_PER_SECOND + (int64_t)(strtod(rest, NULL) * 1e9);
    return true;
}

/* The last whole line of what it writes all the time: the time in nanoseconds, and how long a wait
 * of 20 ms took, measured by its monotonic clock. It writes on, so the next line is awaited. */
static bool last_line(struct fixture *fixture, long long *told, long long *waited)
{
    char path[300], text[4096];
    snprintf(path, sizeof path, "%s/out", fixture->directory);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    fseek(file, -200, SEEK_END);
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = '\0';
    char *end = strrchr(text, '\n');
    if (end == NULL)
        return false;
    *end = '\0';
    char *line = strrchr(text, '\n');
    return line != NULL && sscanf(line, "\ntime %lld %lld", told, waited) == 2;
}

static bool line_told(struct fixture *fixture, int64_t *told_ns)
{
    long long before = 0, told = 0, waited = 0;
    if (!last_line(fixture, &before, &waited))
        return false;
    for (int tries = 0; tries < 2000; tries++) {
        if (last_line(fixture, &told, &waited) && told != before)
            break;
        clock_sleep_ns(NS_PER_MS);
    }
    *told_ns = told;
    if (waited < 19 * NS_PER_MS || waited > 2000 * NS_PER_MS)
        fail_msg("a wait of 20 ms took %lld ns", waited);
    return told != before;
}

static const char java_source[] =
    "public class Clock { public static void main(String[] a) throws Exception { Object o = new "
    "Object();\n"
    "for (;;) { long b = System.nanoTime(); synchronized (o) { o.wait(10); }\n"
    "java.util.concurrent.locks.LockSupport.parkNanos(5000000); Thread.sleep(6);\n"
    "long w = System.nanoTime() - b; java.time.Instant i = java.time.Instant.now();\n"
    "System.out.println(\"time \" + (i.getEpochSecond() * 1000000000L + i.getNano()) + \" \" + "
    "w);\n"
    "System.out.flush(); } } }\n";

#define ERLANG_LOOP                                                                                \
    "F = fun(G) -> B = erlang:monotonic_time(nanosecond), receive after 20 -> ok end, "            \
    "W = erlang:monotonic_time(nanosecond) - B, "                                                  \
    "io:format(\"time ~B ~B~n\", [os:system_time(nanosecond), W]), G(G) end, F(F)."

static const struct subject etcd = {
    .program = "etcd",
    .arguments = {"etcd", "--data-dir", "%D/data", "--listen-client-urls", "http://127.0.0.1:%d",
                  "--advertise-client-urls", "http://127.0.0.1:%d", "--listen-peer-urls",
                  "http://127.0.0.1:%e", "--initial-advertise-peer-urls", "http://127.0.0.1:%e",
                  "--initial-cluster", "default=http://127.0.0.1:%e"},
    .told = etcd_told,
    .resolution_ns = NS_PER_SECOND,
};
static const struct subject redis = {
    .program = "redis-server",
    .arguments = {"redis-server", "--port", "%d", "--bind", "127.0.0.1", "--dir", "%D", "--save",
                  "", "--appendonly", "yes"},
    .told = redis_told,
    .resolution_ns = NS_PER_US,
};
static const struct subject nats = {
    .program = "nats-server",
    .arguments = {"nats-server", "-a", "127.0.0.1", "-p", "%d", "-m", "%e", "-js", "-sd", "%D"},
    .told = nats_told,
    .resolution_ns = NS_PER_US,
};
static const struct subject jvm = {
    .program = "java",
    .arguments = {"java", "-XX:TieredStopAtLevel=1", "%D/Clock.java"},
    .told = line_told,
    .resolution_ns = NS_PER_US,
};
static const struct subject erlang = {
    .program = "erl",
    .arguments = {"erl", "-noshell", "-eval", ERLANG_LOOP},
    .told = line_told,
    .resolution_ns = NS_PER_US,
};

/* ---- Starting ---- */

static bool is_installed(const char *program)
{
    char command[200];
    snprintf(command, sizeof command, "command -v %s >/dev/null", program);
    return system(command) == 0;
}

static void fill_in(const struct fixture *fixture, const char *argument, struct buf *out)
{
    for (const char *c = argument; *c != '\0'; c++) {
        if (c[0] != '%' || strchr("dDe", c[1]) == NULL)
            buf_add_char(out, *c);
        else if (*++c == 'D')
            buf_add_text(out, fixture->directory);
        else
            buf_printf(out, "%d", fixture->ports[*c == 'e']);
    }
}

static void start_daemon(struct fixture *fixture)
{
    const char *words[40] = {"daemon-start", "name=it", "env=HOME=/root"};
    struct arena arena = ARENA_INIT;
    int count = 3;
    words[count++] = arena_printf(&arena, "log=%s/out", fixture->directory);
    for (const char *const *argument = fixture->subject->arguments; *argument != NULL; argument++) {
        struct buf text = BUF_INIT;
        buf_add_text(&text, "arg=");
        fill_in(fixture, *argument, &text);
        words[count++] = arena_strdup(&arena, buf_text(&text));
        buf_free(&text);
    }
    struct line reply = agent_do_list(&fixture->agent, words);
    assert_true(agentd_process_read((pid_t)line_get_int(&reply, "pid", 0), &fixture->daemon));
    arena_free(&arena);
}

static void write_source(const struct fixture *fixture)
{
    char path[300];
    snprintf(path, sizeof path, "%s/Clock.java", fixture->directory);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(java_source, file);
    fclose(file);
}

static int begin(void **state)
{
    static struct fixture fixture;
    const struct subject *subject = *state;
    fixture = (struct fixture){.subject = subject, .agent = {.network = -1}};
    *state = &fixture;
    if (geteuid() != 0 || !is_installed(subject->program))
        return 0;
    agent_make_directory(fixture.directory, sizeof fixture.directory);
    fixture.ports[0] = free_port();
    fixture.ports[1] = free_port();
    write_source(&fixture);
    agent_serve(&fixture.agent, fixture.directory, "--firewall", "none", "--keep-daemons");
    start_daemon(&fixture);
    return 0;
}

static int finish(void **state)
{
    struct fixture *fixture = *state;
    if (fixture->daemon.pid == 0)
        return 0;
    int status = fixture->agent.pid == 0 ? 0 : agent_end(&fixture->agent);
    bool lived = agentd_process_signal(fixture->daemon.pid, fixture->daemon.start, SIGKILL);
    return status == 0 && lived ? 0 : -1;
}

/* ---- Looking ---- */

static bool look(struct fixture *fixture, struct bounds *bounds)
{
    int64_t told_ns, before_ns = clock_wall_ns();
    if (!fixture->subject->told(fixture, &told_ns))
        return false;
    bounds->least_ns = told_ns - clock_wall_ns();
    bounds->most_ns = told_ns + fixture->subject->resolution_ns - before_ns;
    return true;
}

/* To about a hundredth of a second: what tells whole seconds is looked at until it goes on to the
 * next. */
static struct bounds look_closely(struct fixture *fixture)
{
    struct bounds now = {0, 0}, narrow = {INT64_MIN, INT64_MAX};
    int64_t deadline_ns = clock_monotonic_ns() + AGENT_WAIT_NS;
    do {
        if (clock_monotonic_ns() > deadline_ns)
            fail_msg("%s does not say what time it is", fixture->subject->program);
        if (!look(fixture, &now)) {
            clock_sleep_ns(10 * NS_PER_MS);
            continue;
        }
        narrow.least_ns = now.least_ns > narrow.least_ns ? now.least_ns : narrow.least_ns;
        narrow.most_ns = now.most_ns < narrow.most_ns ? now.most_ns : narrow.most_ns;
    } while (narrow.least_ns == INT64_MIN || narrow.most_ns - narrow.least_ns > 60 * NS_PER_MS);
    return narrow;
}

/* It is off by the same all the time. */
static void assert_off_by(struct fixture *fixture, int64_t offset_ns)
{
    struct bounds seen = look_closely(fixture);
    if (offset_ns < seen.least_ns - NS_PER_MS || offset_ns > seen.most_ns + NS_PER_MS)
        fail_msg("%s is off by %.3f to %.3f s, not by %.3f", fixture->subject->program,
                 (double)seen.least_ns / 1e9, (double)seen.most_ns / 1e9, (double)offset_ns / 1e9);
}

static void skew(struct fixture *fixture, const char *offset, const char *rate)
{
    struct line reply = agent_do(&fixture->agent, "clock-skew", "id=c", "daemon=it", offset, rate);
    assert_string_equal(line_get(&reply, "means"), "vdso");
    assert_string_equal(line_get(&reply, "verified"), "1");
    print_message("# %s: %s %s in %.2f ms, %s process(es)\n", fixture->subject->program, offset,
                  rate, (double)line_get_int(&reply, "elapsed_ns", 0) / 1e6,
                  line_get(&reply, "count"));
}

/* One look while it runs fast: what it gained since it was set, at least. */
static void assert_runs_fast(struct fixture *fixture)
{
    int64_t before_ns = clock_monotonic_ns();
    skew(fixture, "offset_ns=0", "rate_ppm=50000");
    int64_t set_ns = clock_monotonic_ns();
    clock_sleep_ns(2 * NS_PER_SECOND);
    struct bounds seen = {INT64_MIN, INT64_MAX};
    while (seen.most_ns - seen.least_ns > 60 * NS_PER_MS || seen.most_ns == INT64_MAX) {
        /* It drifts while it is looked at: bounds of different moments do not narrow each other by
         * more than that, and only an edge of a second counts. */
        int64_t began_ns = clock_monotonic_ns();
        seen = look_closely(fixture);
        int64_t ended_ns = clock_monotonic_ns();
        int64_t least_ns = (began_ns - set_ns) / 20, most_ns = (ended_ns - before_ns) / 20;
        if (seen.most_ns < least_ns - NS_PER_MS || seen.least_ns > most_ns + NS_PER_MS)
            fail_msg("%s gained %.3f to %.3f s, not %.3f to %.3f", fixture->subject->program,
                     (double)seen.least_ns / 1e9, (double)seen.most_ns / 1e9,
                     (double)least_ns / 1e9, (double)most_ns / 1e9);
    }
    assert_true(seen.least_ns > 30 * NS_PER_MS); /* a true clock would fail here */
}

static void works_with_a_wrong_clock(void **state)
{
    struct fixture *fixture = *state;
    if (geteuid() != 0)
        test_skip("needs root");
    if (!is_installed(fixture->subject->program))
        test_skip("it is not installed");
    if (agentd_vdso_image()->reason[0] != '\0')
        test_skip(agentd_vdso_image()->reason);
    assert_off_by(fixture, 0);
    skew(fixture, "offset_ns=60000000000", "rate_ppm=0");
    assert_off_by(fixture, 60 * NS_PER_SECOND);
    skew(fixture, "offset_ns=-60000000000", "rate_ppm=0");
    assert_off_by(fixture, -60 * NS_PER_SECOND);
    assert_runs_fast(fixture);
    agent_do(&fixture->agent, "fault-undo", "id=c");
    assert_int_equal(agentd_vdso_look(fixture->daemon.pid, NULL, NULL), AGENTD_VDSO_CLEAN);
    assert_off_by(fixture, 0);
    skew(fixture, "offset_ns=60000000000", "rate_ppm=0");
    assert_off_by(fixture, 60 * NS_PER_SECOND);
    int64_t killed_ns = clock_monotonic_ns();
    kill(fixture->agent.serving, SIGKILL);
    assert_int_equal(agent_wait(&fixture->agent), 1);
    fixture->agent.pid = 0;
    assert_true(clock_monotonic_ns() - killed_ns < 5 * NS_PER_SECOND);
    assert_off_by(fixture, 0);
}

#define OF(name)                                                                                   \
    {                                                                                              \
#name, works_with_a_wrong_clock, begin, finish, (void *)(uintptr_t)&name                   \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {OF(etcd), OF(redis), OF(nats), OF(jvm), OF(erlang)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
