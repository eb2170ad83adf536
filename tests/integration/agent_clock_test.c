/* Clocks of running processes: set off, fast, slow and to and fro through their vDSO; seen by the
 * processes themselves, in every function that tells the time, and gone when it is undone, also by
 * the guardian of an agent that was killed. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "harness/agent/vdso.h"
#include "tests/lib/agent_process.h"

/* What a process thinks: offsets from the true time, which it takes from a system call. */
struct views {
    atomic_long round; /* grows with every look */
    atomic_long gettime, coarse, tai, timeofday, seconds, monotonic, wait_ns;
    atomic_long backwards; /* times that the monotonic clock went back */
    atomic_bool end;
};

struct fixture {
    struct agent_process agent;
    char directory[200], comm[16], comm_field[32];
    struct views *views;
    pid_t victim;
};

/* ---- The victim ---- */

static int64_t true_ns(clockid_t id)
{
    struct timespec now;
    syscall(SYS_clock_gettime, id, &now);
    return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

static int64_t told_ns(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

static void look_once(struct views *views)
{
    static _Thread_local int64_t last_ns;
    struct timeval day;
    atomic_store(&views->gettime, told_ns(CLOCK_REALTIME) - true_ns(CLOCK_REALTIME));
    atomic_store(&views->coarse, told_ns(CLOCK_REALTIME_COARSE) - true_ns(CLOCK_REALTIME_COARSE));
    atomic_store(&views->tai, told_ns(CLOCK_TAI) - true_ns(CLOCK_TAI));
    gettimeofday(&day, NULL);
    atomic_store(&views->timeofday,
                 day.tv_sec * NS_PER_SECOND + day.tv_usec * 1000 - true_ns(CLOCK_REALTIME));
    atomic_store(&views->seconds, time(NULL) - true_ns(CLOCK_REALTIME) / NS_PER_SECOND);
    int64_t now_ns = told_ns(CLOCK_MONOTONIC);
    atomic_store(&views->monotonic, now_ns - true_ns(CLOCK_MONOTONIC));
    if (now_ns < last_ns)
        atomic_fetch_add(&views->backwards, 1);
    last_ns = now_ns;
    atomic_fetch_add(&views->round, 1);
}

static _Noreturn void be_victim(struct views *views, const char *comm)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, comm);
    while (!atomic_load(&views->end)) {
        int64_t before_ns = true_ns(CLOCK_MONOTONIC);
        usleep(2000);
        atomic_store(&views->wait_ns, true_ns(CLOCK_MONOTONIC) - before_ns);
        look_once(views);
    }
    _exit(0);
}

static struct views *new_views(void)
{
    struct views *views =
        mmap(NULL, sizeof *views, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(views, MAP_FAILED);
    return views;
}

/* Two more looks: the second began after this was called. */
static void look_again(struct views *views)
{
    long round = atomic_load(&views->round);
    wait_until(atomic_load(&views->round) >= round + 2);
}

static int begin(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.agent = {.network = -1}};
    *state = &fixture;
    if (geteuid() != 0)
        return 0;
    agent_make_directory(fixture.directory, sizeof fixture.directory);
    snprintf(fixture.comm, sizeof fixture.comm, "clk%d", (int)getpid());
    snprintf(fixture.comm_field, sizeof fixture.comm_field, "comm=%s", fixture.comm);
    fixture.views = new_views();
    fixture.victim = fork();
    if (fixture.victim == 0)
        be_victim(fixture.views, fixture.comm);
    agent_serve(&fixture.agent, fixture.directory, "--firewall", "none", "--keep-daemons");
    look_again(fixture.views);
    return 0;
}

/* The victim must have lived to the end, and well. */
static int finish(void **state)
{
    struct fixture *fixture = *state;
    int wait_status = 0;
    if (geteuid() != 0)
        return 0;
    int status = fixture->agent.pid == 0 ? 0 : agent_end(&fixture->agent);
    atomic_store(&fixture->views->end, true);
    bool well = fixture->victim == 0 || (waitpid(fixture->victim, &wait_status, 0) > 0 &&
                                         WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0);
    return status == 0 && well ? 0 : -1;
}

#define need_root_and_vdso()                                                                       \
    do {                                                                                           \
        if (geteuid() != 0)                                                                        \
            test_skip("needs root");                                                               \
        if (agentd_vdso_image()->reason[0] != '\0')                                                \
            test_skip(agentd_vdso_image()->reason);                                                \
    } while (0)

/* ---- Checks ---- */

static void assert_near(int64_t value, int64_t wanted, int64_t tolerance)
{
    if (value < wanted - tolerance || value > wanted + tolerance)
        fail_msg("%lld is not within %lld of %lld", (long long)value, (long long)tolerance,
                 (long long)wanted);
}

/* The victim may be put aside between its two looks, on a busy machine. */
#define NEAR_NS (200 * NS_PER_MS)

static void assert_off_by(struct views *views, int64_t offset_ns)
{
    look_again(views);
    assert_near(atomic_load(&views->gettime), offset_ns, NEAR_NS);
    assert_near(atomic_load(&views->coarse), offset_ns, NEAR_NS);
    assert_near(atomic_load(&views->tai), offset_ns, NEAR_NS);
    assert_near(atomic_load(&views->timeofday), offset_ns, NEAR_NS);
    assert_near(atomic_load(&views->seconds), offset_ns / NS_PER_SECOND, 1);
    assert_near(atomic_load(&views->wait_ns), 2 * NS_PER_MS, 500 * NS_PER_MS);
}

static int64_t get_int(const struct line *line, const char *key)
{
    return line_get_int(line, key, INT64_MIN);
}

static struct line skew(struct fixture *fixture, const char *offset, const char *more)
{
    if (more == NULL)
        return agent_do(&fixture->agent, "clock-skew", "id=c", fixture->comm_field, offset);
    return agent_do(&fixture->agent, "clock-skew", "id=c", fixture->comm_field, offset, more);
}

/* The bytes of the victim's vDSO are what the kernel made them. */
static bool is_clean(pid_t pid)
{
    return agentd_vdso_look(pid, NULL, NULL) == AGENTD_VDSO_CLEAN;
}

/* ---- Tests ---- */

static void every_function_tells_the_skewed_time_and_changes_live(void **state)
{
    struct fixture *fixture = *state;
    need_root_and_vdso();
    assert_off_by(fixture->views, 0);
    struct line reply = skew(fixture, "offset_ns=60000000000", NULL);
    assert_int_equal(get_int(&reply, "count"), 1);
    assert_string_equal(line_get(&reply, "means"), "vdso");
    assert_off_by(fixture->views, 60 * NS_PER_SECOND);
    assert_near(atomic_load(&fixture->views->monotonic), 0, NEAR_NS);
    assert_false(is_clean(fixture->victim));
    skew(fixture, "offset_ns=-60000000000", NULL);
    assert_off_by(fixture->views, -60 * NS_PER_SECOND);
    struct line view = agent_do(&fixture->agent, "clock-view", fixture->comm_field);
    assert_string_equal(line_get(&view, "means"), "vdso");
    assert_int_equal(get_int(&view, "offset_ns"), -60 * NS_PER_SECOND);
    struct line list = agent_do(&fixture->agent, "fault-list");
    assert_string_equal(line_get(&list, "kind"), "clock");
    agent_do(&fixture->agent, "fault-undo", "id=c");
    assert_true(is_clean(fixture->victim));
    assert_off_by(fixture->views, 0);
    view = agent_do(&fixture->agent, "clock-view", fixture->comm_field);
    assert_string_equal(line_get(&view, "means"), "none");
    agent_refused(&fixture->agent, "not-found", "fault-undo", "id=c");
}

static void a_rate_adds_up(void **state)
{
    struct fixture *fixture = *state;
    need_root_and_vdso();
    int64_t began_ns = clock_monotonic_ns();
    skew(fixture, "offset_ns=0", "rate_ppm=1000000"); /* twice as fast */
    clock_sleep_ns(500 * NS_PER_MS);
    look_again(fixture->views);
    int64_t least_ns = 500 * NS_PER_MS, most_ns = clock_monotonic_ns() - began_ns;
    assert_in_range(atomic_load(&fixture->views->gettime), least_ns - NS_PER_MS, most_ns + NEAR_NS);
    began_ns = clock_monotonic_ns();
    skew(fixture, "offset_ns=0", "rate_ppm=-500000"); /* half as fast */
    clock_sleep_ns(500 * NS_PER_MS);
    look_again(fixture->views);
    most_ns = clock_monotonic_ns() - began_ns;
    assert_in_range(-atomic_load(&fixture->views->gettime), least_ns / 2 - NS_PER_MS,
                    most_ns / 2 + NEAR_NS);
    assert_near(atomic_load(&fixture->views->monotonic), 0, NEAR_NS);
}

static void the_monotonic_clock_runs_slow_only_where_asked_and_never_back(void **state)
{
    struct fixture *fixture = *state;
    need_root_and_vdso();
    const char *why = agent_refused(&fixture->agent, "bad-request", "clock-skew", "id=c",
                                    fixture->comm_field, "rate_ppm=50000", "clocks=all");
    assert_contains(why, "backwards");
    assert_true(is_clean(fixture->victim));
    agent_do(&fixture->agent, "clock-skew", "id=c", fixture->comm_field, "rate_ppm=-500000",
             "clocks=all");
    clock_sleep_ns(300 * NS_PER_MS);
    look_again(fixture->views);
    assert_true(atomic_load(&fixture->views->monotonic) < -149 * NS_PER_MS);
    skew(fixture, "offset_ns=0", NULL);
    look_again(fixture->views);
    assert_near(atomic_load(&fixture->views->monotonic), 0, NEAR_NS);
    agent_do(&fixture->agent, "fault-undo", "id=c");
    look_again(fixture->views);
    assert_int_equal(atomic_load(&fixture->views->backwards), 0);
}

static void a_strobe_jumps_to_and_fro(void **state)
{
    struct fixture *fixture = *state;
    int off = 0, back = 0, jumps = 0;
    need_root_and_vdso();
    skew(fixture, "offset_ns=5000000000", "strobe_ms=20");
    bool was_off = true;
    for (int64_t end_ns = clock_monotonic_ns() + NS_PER_SECOND; clock_monotonic_ns() < end_ns;) {
        look_again(fixture->views);
        bool is_off = atomic_load(&fixture->views->gettime) > 2 * NS_PER_SECOND;
        off += is_off;
        back += !is_off;
        jumps += is_off != was_off;
        was_off = is_off;
    }
    assert_true(off > 5 && back > 5);
    assert_in_range(jumps, 8, 51); /* 50 at best; a busy machine makes fewer */
    agent_do(&fixture->agent, "fault-undo", "id=c");
    assert_off_by(fixture->views, 0);
    clock_sleep_ns(100 * NS_PER_MS);
    assert_off_by(fixture->views, 0);
}

static void what_is_forked_is_reached_and_what_is_started_later_too(void **state)
{
    struct fixture *fixture = *state;
    need_root_and_vdso();
    skew(fixture, "offset_ns=3600000000000", NULL);
    struct views *views = new_views();
    pid_t later = fork(); /* of this test: it is not patched */
    if (later == 0)
        be_victim(views, fixture->comm);
    wait_until(atomic_load(&views->gettime) > 3599 * NS_PER_SECOND); /* found by itself */
    agent_do(&fixture->agent, "fault-undo", "id=c");
    assert_true(is_clean(later) && is_clean(fixture->victim));
    assert_off_by(views, 0);
    assert_off_by(fixture->views, 0);
    kill(later, SIGKILL);
    waitpid(later, NULL, 0);
}

static void a_paused_process_is_reached_and_stays_paused(void **state)
{
    struct fixture *fixture = *state;
    need_root_and_vdso();
    kill(fixture->victim, SIGSTOP);
    wait_until(agentd_process_stopped(fixture->victim) == AGENTD_STOPPED_ALL);
    skew(fixture, "offset_ns=60000000000", NULL);
    wait_until(agentd_process_stopped(fixture->victim) == AGENTD_STOPPED_ALL);
    long round = atomic_load(&fixture->views->round);
    clock_sleep_ns(50 * NS_PER_MS);
    assert_int_equal(atomic_load(&fixture->views->round), round);
    kill(fixture->victim, SIGCONT);
    assert_off_by(fixture->views, 60 * NS_PER_SECOND);
    kill(fixture->victim, SIGSTOP);
    wait_until(agentd_process_stopped(fixture->victim) == AGENTD_STOPPED_ALL);
    agent_do(&fixture->agent, "fault-undo", "id=c");
    assert_true(is_clean(fixture->victim));
    kill(fixture->victim, SIGCONT);
    assert_off_by(fixture->views, 0);
}

/* A daemon that dies and is started anew while its clock is wrong finds it wrong. */
static void a_daemon_that_is_started_anew_is_reached_too(void **state)
{
    struct fixture *fixture = *state;
    struct agent_process *agent = &fixture->agent;
    need_root_and_vdso();
    for (int i = 0; i < 2; i++) {
        struct line view, reply = agent_do(agent, "daemon-start", "name=d", "arg=sleep", "arg=600");
        int64_t pid = get_int(&reply, "pid");
        if (i == 0)
            agent_do(agent, "clock-skew", "id=d", "daemon=d", "offset_ns=60000000000");
        wait_until((view = agent_do(agent, "clock-view", "daemon=d"),
                    get_int(&view, "offset_ns") == 60 * NS_PER_SECOND));
        assert_int_equal(get_int(&view, "pid"), pid);
        assert_null(line_get(&view, "problem"));
        if (i == 0)
            agent_do(agent, "daemon-signal", "name=d", "signal=KILL");
    }
    agent_do(agent, "fault-undo", "id=d");
    struct line view = agent_do(agent, "clock-view", "daemon=d");
    assert_string_equal(line_get(&view, "means"), "none");
    agent_do(agent, "daemon-signal", "name=d", "signal=KILL");
}

static _Noreturn void be_without_vdso(const char *comm)
{
    unsigned long from = 0, to = 0;
    char line[512];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
        if (strstr(line, "[vdso]") != NULL)
            sscanf(line, "%lx-%lx", &from, &to);
    if (from == 0 || munmap((void *)from, to - from) != 0)
        _exit(1);
    prctl(PR_SET_NAME, comm); /* from here on it can be seen */
    for (;;)
        pause();
}

static void a_process_without_a_vdso_is_told(void **state)
{
    struct fixture *fixture = *state;
    char comm[16], field[32];
    struct agentd_process now;
    need_root_and_vdso();
    snprintf(comm, sizeof comm, "none%d", (int)getpid());
    snprintf(field, sizeof field, "comm=%s", comm);
    pid_t pid = fork();
    if (pid == 0)
        be_without_vdso(comm);
    wait_until(agentd_process_read(pid, &now) && strcmp(now.comm, comm) == 0);
    assert_contains(agent_refused(&fixture->agent, "unsupported", "clock-skew", "id=n", field),
                    "has no vDSO");
    struct line list = agent_do(&fixture->agent, "fault-list");
    assert_null(line_get(&list, "id"));
    assert_true(process_lives(pid));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* ---- Many threads that do nothing but look, through many patches ---- */

static void *look_for_ever(void *views)
{
    while (!atomic_load(&((struct views *)views)->end))
        look_once(views);
    return NULL;
}

static atomic_long alarms;

static void count_alarm(int signal)
{
    (void)signal;
    atomic_fetch_add(&alarms, 1);
}

static _Noreturn void be_busy(struct views *views, const char *comm)
{
    pthread_t threads[6];
    struct itimerval often = {.it_interval = {.tv_usec = 500}, .it_value = {.tv_usec = 500}};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, comm);
    signal(SIGALRM, count_alarm);
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < 6; i++)
        if (pthread_create(&threads[i], NULL, look_for_ever, views) != 0)
            _exit(2);
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    _exit(atomic_load(&alarms) > 20 && atomic_load(&views->backwards) == 0 ? 0 : 3);
}

static void threads_signals_and_many_patches_break_nothing(void **state)
{
    struct fixture *fixture = *state;
    int wait_status;
    char comm[16], field[32];
    need_root_and_vdso();
    snprintf(comm, sizeof comm, "busy%d", (int)getpid());
    snprintf(field, sizeof field, "comm=%s", comm);
    struct views *views = new_views();
    pid_t busy = fork();
    if (busy == 0)
        be_busy(views, comm);
    wait_until(atomic_load(&views->round) > 100);
    for (int i = 0; i < 40; i++) {
        agent_do(&fixture->agent, "clock-skew", "id=busy", field, "offset_ns=86400000000000");
        wait_until(atomic_load(&views->gettime) > 86399 * NS_PER_SECOND);
        agent_do(&fixture->agent, "fault-undo", "id=busy");
        assert_true(is_clean(busy));
    }
    look_again(views);
    assert_true(process_lives(busy));
    atomic_store(&views->end, true);
    assert_int_equal(waitpid(busy, &wait_status, 0), busy);
    if (!WIFEXITED(wait_status) || WEXITSTATUS(wait_status) != 0)
        fail_msg("it ended with status %x", (unsigned)wait_status);
}

static void killing_the_agent_undoes_it_within_five_seconds(void **state)
{
    struct fixture *fixture = *state;
    need_root_and_vdso();
    skew(fixture, "offset_ns=60000000000", "rate_ppm=50000");
    look_again(fixture->views);
    assert_true(atomic_load(&fixture->views->gettime) > 59 * NS_PER_SECOND);
    int64_t killed_ns = clock_monotonic_ns();
    kill(fixture->agent.serving, SIGKILL);
    wait_until(is_clean(fixture->victim));
    assert_true(clock_monotonic_ns() - killed_ns < 5 * NS_PER_SECOND);
    assert_off_by(fixture->views, 0);
    assert_int_equal(agent_wait(&fixture->agent), 1);
    fixture->agent.pid = 0;
}

static void the_end_of_the_controller_undoes_it(void **state)
{
    struct fixture *fixture = *state;
    need_root_and_vdso();
    skew(fixture, "offset_ns=60000000000", NULL);
    assert_int_equal(agent_end(&fixture->agent), 0);
    fixture->agent.pid = 0;
    assert_true(is_clean(fixture->victim));
    assert_off_by(fixture->views, 0);
}

/* ---- libfaketime ---- */

/* What the daemon wrote last, less the true time; it writes on, so that it is of now. */
static int64_t written_offset(const struct fixture *fixture)
{
    char path[300], text[256] = "";
    snprintf(path, sizeof path, "%s/out", fixture->directory);
    long began = 0;
    for (int64_t end_ns = clock_monotonic_ns() + AGENT_WAIT_NS; clock_monotonic_ns() < end_ns;) {
        FILE *file = fopen(path, "re");
        if (file != NULL) {
            fseek(file, 0, SEEK_END);
            long size = ftell(file);
            began = began == 0 ? size : began;
            if (size >= began + 80) { /* four lines: all of the last one was after we began */
                fseek(file, size - 20, SEEK_SET);
                bool whole = fgets(text, sizeof text, file) != NULL && strlen(text) == 20;
                fclose(file);
                if (whole)
                    return strtoll(text, NULL, 10) - clock_wall_ns();
                continue;
            }
            fclose(file);
        }
        clock_sleep_ns(NS_PER_MS);
    }
    fail_msg("the daemon writes nothing");
    return 0;
}

static void a_daemon_that_has_libfaketime_reads_the_file(void **state)
{
    struct fixture *fixture = *state;
    struct agent_process *agent = &fixture->agent;
    char library[512], log[300], file[300], from[340];
    need_root_and_vdso();
    FILE *found = popen("ls /usr/lib/*/faketime/libfaketimeMT.so.1 2>/dev/null", "r");
    bool any = found != NULL && fgets(library, sizeof library - 100, found) != NULL;
    pclose(found);
    if (!any)
        test_skip("libfaketime is not installed");
    library[strcspn(library, "\n")] = '\0';
    memmove(library + 15, library, strlen(library) + 1);
    memcpy(library, "env=LD_PRELOAD=", 15);
    snprintf(log, sizeof log, "log=%s/out", fixture->directory);
    snprintf(file, sizeof file, "file=%s/offset", fixture->directory);
    snprintf(from, sizeof from, "env=FAKETIME_TIMESTAMP_FILE=%s", file + 5);
    struct line reply =
        agent_do(agent, "daemon-start", "name=d", library, from, log, "env=FAKETIME_NO_CACHE=1",
                 "env=FAKETIME_DONT_FAKE_MONOTONIC=1", "arg=sh", "arg=-c",
                 "arg=for i in $(seq 2000); do sleep 0.01; date +%s%N; done");
    struct agentd_process daemon;
    assert_true(agentd_process_read((pid_t)get_int(&reply, "pid"), &daemon));
    static const char *const offsets[] = {"offset_ns=60000000000", "offset_ns=-60000000000"};
    for (int i = 0; i < 2; i++) {
        reply =
            agent_do(agent, "clock-skew", "id=f", "daemon=d", "means=faketime", file, offsets[i]);
        assert_string_equal(line_get(&reply, "means"), "faketime");
        assert_near(written_offset(fixture), (i == 0 ? 60 : -60) * NS_PER_SECOND, NEAR_NS);
    }
    int64_t before_ns = clock_monotonic_ns();
    agent_do(agent, "clock-skew", "id=f", "daemon=d", "means=faketime", file, "rate_ppm=1000000");
    clock_sleep_ns(800 * NS_PER_MS);
    int64_t gained_ns = written_offset(fixture);
    assert_in_range(gained_ns, 700 * NS_PER_MS, clock_monotonic_ns() - before_ns);
    struct line view = agent_do(agent, "clock-view", "daemon=d");
    assert_string_equal(line_get(&view, "means"), "faketime");
    assert_true(get_int(&view, "offset_ns") >= gained_ns);
    kill(agent->serving, SIGKILL);
    assert_int_equal(agent_wait(agent), 1);
    agent->pid = 0;
    assert_near(written_offset(fixture), 0, NEAR_NS); /* it was told to keep its daemons */
    kill(-daemon.pid, SIGKILL);
}

static void what_cannot_be_is_refused_with_a_reason(void **state)
{
    struct fixture *fixture = *state;
    struct agent_process *agent = &fixture->agent;
    need_root_and_vdso();
    assert_contains(agent_refused(agent, "not-running", "clock-skew", "id=c", "comm=nobody-here"),
                    "no process of nobody-here runs");
    agent_refused(agent, "bad-request", "clock-skew", "id=c", "offset_ns=1");
    agent_refused(agent, "bad-request", "clock-skew", "id=c", fixture->comm_field, "daemon=x");
    agent_refused(agent, "bad-request", "clock-skew", "id=c", fixture->comm_field, "means=magic");
    agent_refused(agent, "bad-request", "clock-skew", "id=c", fixture->comm_field, "clocks=some");
    assert_contains(agent_refused(agent, "unsupported", "clock-skew", "id=c", fixture->comm_field,
                                  "means=faketime", "file=/run/ordeal-test/offset"),
                    "has not loaded libfaketime");
    skew(fixture, "offset_ns=60000000000", NULL);
    assert_contains(agent_refused(agent, "bad-request", "clock-skew", "id=d", fixture->comm_field),
                    "under another fault");
    assert_contains(agent_refused(agent, "bad-request", "clock-skew", "id=c", fixture->comm_field,
                                  "means=faketime", "file=/run/ordeal-test/offset"),
                    "is about something else");
    assert_off_by(fixture->views, 60 * NS_PER_SECOND); /* that which was refused changed nothing */
    struct line list = agent_do(agent, "fault-list");
    assert_string_equal(line_get(&list, "id"), "c");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_function_tells_the_skewed_time_and_changes_live,
                                        begin, finish),
        cmocka_unit_test_setup_teardown(a_rate_adds_up, begin, finish),
        cmocka_unit_test_setup_teardown(
            the_monotonic_clock_runs_slow_only_where_asked_and_never_back, begin, finish),
        cmocka_unit_test_setup_teardown(a_strobe_jumps_to_and_fro, begin, finish),
        cmocka_unit_test_setup_teardown(what_is_forked_is_reached_and_what_is_started_later_too,
                                        begin, finish),
        cmocka_unit_test_setup_teardown(a_paused_process_is_reached_and_stays_paused, begin,
                                        finish),
        cmocka_unit_test_setup_teardown(a_daemon_that_is_started_anew_is_reached_too, begin,
                                        finish),
        cmocka_unit_test_setup_teardown(a_process_without_a_vdso_is_told, begin, finish),
        cmocka_unit_test_setup_teardown(threads_signals_and_many_patches_break_nothing, begin,
                                        finish),
        cmocka_unit_test_setup_teardown(killing_the_agent_undoes_it_within_five_seconds, begin,
                                        finish),
        cmocka_unit_test_setup_teardown(the_end_of_the_controller_undoes_it, begin, finish),
        cmocka_unit_test_setup_teardown(a_daemon_that_has_libfaketime_reads_the_file, begin,
                                        finish),
        cmocka_unit_test_setup_teardown(what_cannot_be_is_refused_with_a_reason, begin, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
