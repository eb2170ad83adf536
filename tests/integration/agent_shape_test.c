/* Shapes with a real kernel, between two nodes that are network namespaces: each effect is seen
 * from outside, by datagrams and connections that know nothing of the agent, and seen gone. */
#include <errno.h>
#include <math.h>

#include "tests/lib/agent_burst.h"
#include "tests/lib/sanitized.h"

#define FROM_B "from=10.99.0.2", "from=fd99::2"
#define shape(...) agent_do(&world.a.agent, "fault-shape", "id=s", FROM_B, __VA_ARGS__)

static void end_shape(void)
{
    agent_do(&world.a.agent, "fault-undo", "id=s");
    assert_false(rules_exist(&world.a));
    assert_whole();
}

/* ---- Tests ---- */

static bool is_delayed(int family, double low_ms, double high_ms)
{
    struct heard heard = burst(&world.b, &world.a, family, BURST, 100);
    double median = median_ms(&heard);
    print_message("# %d of %d, median %.2f ms\n", heard.unique, BURST, median);
    return heard.unique == BURST && heard.duplicates == 0 && heard.overtaken == 0 &&
           (double)heard.delays_ns[0] / 1e6 >= low_ms && median <= high_ms;
}

static void a_delay_delays_one_way(void **state)
{
    (void)state;
    need_root();
    assert_whole();
    struct line reply = shape("delay_us=40000");
    assert_string_equal(line_get(&reply, "means"), "queue");
    for (size_t i = 0; i < 2; i++) {
        soon(is_delayed(families[i], 40, 48));
        soon(is_untouched(&world.a, &world.b, families[i])); /* the other way is as it was */
    }
    assert_true(packets(&world.a, "id=s", 0) >= BURST);
    end_shape();
}

static double spread_ms(const struct heard *heard, uint32_t percent)
{
    return (double)heard->delays_ns[(heard->unique - 1) * percent / 100] / 1e6;
}

/* Quantiles of a delay of 40 ms with a jitter of 10 ms. */
static bool is_spread(double p10, double p50, double p90)
{
    struct heard heard = burst(&world.b, &world.a, AF_INET, BURST, 100);
    print_message("# 10%% %.1f, 50%% %.1f, 90%% %.1f ms\n", spread_ms(&heard, 10),
                  spread_ms(&heard, 50), spread_ms(&heard, 90));
    return heard.unique == BURST && heard.overtaken > BURST / 10 &&
           fabs(spread_ms(&heard, 10) - p10) < 3 && fabs(spread_ms(&heard, 50) - p50) < 3 &&
           fabs(spread_ms(&heard, 90) - p90) < 4;
}

static void jitter_has_the_distribution_asked_for(void **state)
{
    (void)state;
    need_root();
    assert_all_reach();
    shape("delay_us=40000", "jitter_us=10000");
    soon(is_spread(32, 40, 48));
    agent_do(&world.a.agent, "heal");
    shape("delay_us=40000", "jitter_us=10000", "distribution=normal");
    soon(is_spread(40 - 12.8, 40, 40 + 12.8));
    agent_do(&world.a.agent, "heal");
    /* Standardized Pareto of shape 3: (u^(-1/3) - 1.5) / 0.866 */
    shape("delay_us=40000", "jitter_us=10000", "distribution=pareto");
    soon(is_spread(40 - 5.4, 40 - 2.8, 40 + 7.6));
    end_shape();
}

static double share(uint32_t part, uint32_t whole)
{
    return (double)part / whole;
}

static bool loses(int family, double asked)
{
    struct heard heard = burst(&world.b, &world.a, family, BURST, 100);
    double lost = share(BURST - heard.unique, BURST);
    print_message("# lost %.3f\n", lost);
    return fabs(lost - asked) < 4.5 * sqrt(asked * (1 - asked) / BURST) && heard.duplicates == 0;
}

static void loss_loses_its_share(void **state)
{
    (void)state;
    need_root();
    assert_all_reach();
    shape("loss_ppm=300000");
    for (size_t i = 0; i < 2; i++) {
        soon(loses(families[i], 0.3));
        soon(is_untouched(&world.a, &world.b, families[i]));
    }
    end_shape();
}

static bool doubles(int family, double asked)
{
    struct heard heard = burst(&world.b, &world.a, family, BURST, 101);
    double twins = share(heard.duplicates, BURST);
    print_message("# twice %.3f\n", twins);
    return heard.unique == BURST && fabs(twins - asked) < 4.5 * sqrt(asked * (1 - asked) / BURST);
}

/* What the kernel hands over is not padded: a message of an odd length has rests of an earlier one
 * behind it. */
static void odd_lengths_are_read_to_their_end(void **state)
{
    (void)state;
    need_root();
    assert_all_reach();
    shape("duplicate_ppm=1000", "rate_bps=1000000000");
    for (size_t size = 101; size < 105; size++) {
        burst(&world.b, &world.a, AF_INET, 20, 1000);
        assert_int_equal(burst(&world.b, &world.a, AF_INET, BURST, size).unique, BURST);
    }
    end_shape();
}

static void duplication_doubles_its_share(void **state)
{
    (void)state;
    need_root();
    assert_all_reach();
    shape("duplicate_ppm=250000", "delay_us=5000");
    for (size_t i = 0; i < 2; i++) {
        soon(doubles(families[i], 0.25));
        soon(is_untouched(&world.a, &world.b, families[i]));
    }
    end_shape();
}

/* All at once: those that are held back are overtaken by all the others. */
static bool reorders(int family, double asked)
{
    struct heard heard = burst(&world.b, &world.a, family, BURST, 100);
    double late = share(heard.overtaken, BURST);
    print_message("# overtaken %.3f\n", late);
    return heard.unique == BURST && heard.duplicates == 0 &&
           fabs(late - asked) < 0.02 + 4.5 * sqrt(asked * (1 - asked) / BURST);
}

static void reordering_holds_its_share_back(void **state)
{
    (void)state;
    need_root();
    assert_all_reach();
    shape("reorder_ppm=200000", "reorder_us=60000");
    for (size_t i = 0; i < 2; i++)
        soon(reorders(families[i], 0.2));
    end_shape();
}

static int64_t bad_check_sums(void)
{
    return strtoll(capture_in(world.a.network,
                              "awk '/^Udp:/ { if (n) print $n; else for (i = 1; i <= NF; i++) "
                              "if ($i == \"InCsumErrors\") n = i }' /proc/net/snmp"),
                   NULL, 10);
}

static void corruption_is_seen_by_check_sums(void **state)
{
    (void)state;
    need_root();
    assert_all_reach();
    shape("corrupt_ppm=300000");
    int64_t before = bad_check_sums();
    soon(loses(AF_INET, 0.3)); /* a damaged datagram is dropped */
    int64_t bad = bad_check_sums() - before;
    print_message("# %d bad check sums\n", (int)bad);
    assert_true(bad > BURST / 5);
    soon(loses(AF_INET6, 0.3));
    end_shape();
}

/* 2 Mbit/s: 60 datagrams of 1028 bytes with their headers take 247 ms. */
static bool is_slow(int family)
{
    struct heard heard = burst(&world.b, &world.a, family, 60, 1000);
    size_t whole = 1000 + 8 + (family == AF_INET ? 20 : 40);
    double rate = (double)(heard.unique - 1) * (double)whole * 8e9 / (double)heard.span_ns;
    print_message("# %.2f Mbit/s\n", rate / 1e6);
    return heard.unique == 60 && rate > 1.8e6 && rate < 2.2e6;
}

static void a_rate_limits_bandwidth(void **state)
{
    (void)state;
    need_root();
    assert_all_reach();
    shape("rate_bps=2000000");
    for (size_t i = 0; i < 2; i++)
        soon(is_slow(families[i]));
    end_shape();
}

/* Everything at once is what a connection has to live with. */
static void connections_survive_it_all(void **state)
{
    (void)state;
    need_root();
    assert_all_reach();
    enum { BYTES = 300000 };
    static char sent[BYTES], got[BYTES];
    for (size_t i = 0; i < 2; i++) {
        int client, server;
        char text[160];
        size_t out = 0, in = 0;
        shape("delay_us=2000", "jitter_us=2000", "loss_ppm=20000", "duplicate_ppm=20000",
              "reorder_ppm=20000", "reorder_us=3000", "corrupt_ppm=20000");
        connect_control(families[i], world.b.network, &client, &server, text, sizeof text);
        for (size_t j = 0; j < BYTES; j++)
            sent[j] = (char)(j * 7 + j / 251);
        fcntl(client, F_SETFL, O_NONBLOCK);
        int64_t deadline_ns = clock_monotonic_ns() + AGENT_WAIT_NS;
        while (in < BYTES) {
            struct pollfd fds[2] = {{.fd = server, .events = POLLIN},
                                    {.fd = out < BYTES ? client : -1, .events = POLLOUT}};
            if (clock_monotonic_ns() > deadline_ns)
                fail_msg("only %zu of %d bytes came through", in, BYTES);
            poll(fds, 2, 100);
            ssize_t step = fds[1].revents != 0 ? write(client, sent + out, BYTES - out) : 0;
            out += step > 0 ? (size_t)step : 0;
            step = fds[0].revents != 0 ? read(server, got + in, BYTES - in) : 0;
            in += step > 0 ? (size_t)step : 0;
        }
        assert_memory_equal(sent, got, BYTES);
        close(client);
        close(server);
        agent_do(&world.a.agent, "heal");
    }
    assert_false(rules_exist(&world.a));
    assert_whole();
}

static void a_shape_of_a_port_leaves_the_others(void **state)
{
    (void)state;
    need_root();
    assert_all_reach();
    shape("delay_us=40000", "proto=udp", "port=7800");
    soon(is_delayed(AF_INET, 40, 48));
    for (int i = 0; i < 3; i++) {
        int64_t begin_ns = clock_monotonic_ns();
        assert_true(reaches(&world.b, &world.a, B4, A4)); /* another port */
        if (clock_monotonic_ns() - begin_ns < 30 * NS_PER_MS)
            break;
        assert_true(i < 2);
    }
    end_shape();
}

/* What comes out of a queue passes by the rest of its chain: a cut must not be. */
static void a_block_cuts_what_is_shaped(void **state)
{
    (void)state;
    need_root();
    assert_all_reach();
    shape("delay_us=5000");
    agent_do(&world.a.agent, "fault-block", "id=cut", FROM_B);
    assert_false(reaches(&world.b, &world.a, B4, A4));
    assert_false(reaches(&world.b, &world.a, B6, A6));
    agent_do(&world.a.agent, "fault-undo", "id=cut");
    assert_true(reaches_at_last(&world.b, &world.a, B4, A4));
    soon(is_delayed(AF_INET, 5, 12));
    end_shape();
}

static void two_shapes_are_undone_on_their_own(void **state)
{
    (void)state;
    need_root();
    assert_all_reach();
    agent_do(&world.a.agent, "fault-shape", "id=four", "from=10.99.0.2", "delay_us=20000");
    agent_do(&world.a.agent, "fault-shape", "id=six", "from=fd99::2", "delay_us=60000");
    soon(is_delayed(AF_INET, 20, 28));
    soon(is_delayed(AF_INET6, 60, 68));
    agent_do(&world.a.agent, "fault-undo", "id=four");
    soon(is_untouched(&world.b, &world.a, AF_INET));
    soon(is_delayed(AF_INET6, 60, 68));
    assert_contains(agent_refused(&world.a.agent, "exists", "fault-shape", "id=six",
                                  "from=10.99.0.2", "delay_us=1"),
                    "in force already");
    agent_do(&world.a.agent, "fault-undo", "id=six");
    assert_false(rules_exist(&world.a));
    assert_whole();
}

/* What is held when a shape ends is let go, not lost. */
static void the_end_of_a_shape_lets_go(void **state)
{
    (void)state;
    need_root();
    assert_all_reach();
    shape("delay_us=30000000");
    char port[32];
    snprintf(port, sizeof port, "port=%d", PROBE_PORT);
    agent_do(&world.b.agent, "probe-send", "to=10.99.0.1", port, "nonce=held");
    struct line reply = agent_do(&world.a.agent, "probe-wait", "nonce=held", "timeout_ms=200");
    assert_int_equal(line_get_int(&reply, "seen", -1), 0);
    agent_do(&world.a.agent, "fault-undo", "id=s");
    reply = agent_do(&world.a.agent, "probe-wait", "nonce=held", "timeout_ms=2000");
    assert_int_equal(line_get_int(&reply, "seen", -1), 1);
    assert_false(rules_exist(&world.a));
    assert_whole();
}

static void the_control_connection_is_never_shaped(void **state)
{
    (void)state;
    need_root();
    int client, server;
    char control[160];
    for (size_t i = 0; i < 2; i++) {
        connect_control(families[i], world.b.network, &client, &server, control, sizeof control);
        assert_int_equal(agent_end(&world.a.agent), 0);
        start_node(&world.a, control);
        shape("loss_ppm=1000000");
        assert_false(reaches(&world.b, &world.a, B4, A4));
        for (int round = 0; round < 3; round++)
            assert_true(talks(client, server) && talks(server, client));
        agent_do(&world.a.agent, "heal");
        close(client);
        close(server);
    }
    assert_whole();
}

static void the_end_of_input_leaves_nothing(void **state)
{
    (void)state;
    need_root();
    assert_all_reach();
    shape("loss_ppm=1000000");
    assert_false(reaches(&world.b, &world.a, B4, A4));
    assert_int_equal(agent_end(&world.a.agent), 0);
    assert_false(rules_exist(&world.a));
    start_node(&world.a, "");
    assert_whole();
}

static void killing_the_agent_leaves_nothing(void **state)
{
    (void)state;
    need_root();
    assert_all_reach();
    shape("loss_ppm=1000000");
    assert_false(reaches(&world.b, &world.a, B4, A4));
    int64_t begin_ns = clock_monotonic_ns();
    kill(world.a.agent.serving, SIGKILL);
    assert_int_equal(agent_wait(&world.a.agent), 1);
    assert_false(rules_exist(&world.a));
    start_node(&world.a, "");
    assert_all_reach();
    assert_true(clock_monotonic_ns() - begin_ns < 5 * NS_PER_SECOND);
    assert_whole();
}

/* With nobody left to undo it the kernel itself lets packets pass: at once where the agent owned
 * its table, and else for the rule says so. */
static void after_killing_both_packets_flow(void **state)
{
    (void)state;
    need_root();
    assert_all_reach();
    shape("loss_ppm=1000000");
    assert_false(reaches(&world.b, &world.a, B4, A4));
    struct agent_process *agent = &world.a.agent;
    kill(agent->pid, SIGSTOP);
    wait_until(agentd_process_stopped(agent->pid) == AGENTD_STOPPED_ALL);
    kill(agent->serving, SIGKILL);
    kill(agent->pid, SIGKILL);
    assert_int_equal(agent_wait(agent), 1000 + SIGKILL);
    wait_until(!process_lives(agent->serving));
    soon(is_untouched(&world.b, &world.a, AF_INET));
    soon(is_untouched(&world.b, &world.a, AF_INET6));
    agent_serve(agent, world.a.run_dir, "--firewall", world.firewall);
    assert_int_equal(line_get_int(&agent->hello, "healed", -1), 1);
    assert_int_equal(line_get_int(&agent->hello, "failed", -1), 0);
    assert_false(rules_exist(&world.a));
    assert_int_equal(agent_end(agent), 0);
    start_node(&world.a, "");
    assert_whole();
}

static void what_means_nothing_is_refused(void **state)
{
    (void)state;
    need_root();
    static const struct {
        const char *fields[3], *message;
    } refused[] = {
        {{"id=s"}, "nothing is asked for"},
        {{"jitter_us=2", "delay_us=1"}, "more than delay_us"},
        {{"delay_us=1", "distribution=odd"}, "'odd' is not uniform, normal or pareto"},
        {{"reorder_ppm=5"}, "it goes with reorder_us"},
        {{"loss_ppm=1000001"}, "from 0 to 1000000"},
        {{"to=10.99.0.2", "delay_us=1"}, "means=queue shapes packets from addresses: give from="},
        {{"means=magic", "delay_us=1"}, "means: 'magic' is not queue or netem"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        const char *words[8] = {"fault-shape", "from=10.99.0.2"};
        size_t count = 2;
        if (i > 0)
            words[count++] = "id=s";
        for (size_t j = 0; j < 3 && refused[i].fields[j] != NULL; j++)
            words[count++] = refused[i].fields[j];
        assert_contains(agent_refused_list(&world.a.agent, "bad-request", words),
                        refused[i].message);
    }
    assert_false(rules_exist(&world.a));
}

/* A node where packets cannot be queued says so, in one line, and nothing is left of the try. */
static void where_it_cannot_work_it_says_why(void **state)
{
    (void)state;
    need_root();
    struct line reply = agent_do(&world.a.agent, "shape-means");
    assert_string_equal(line_get(&reply, "queue"), "yes");
    assert_null(line_get(&reply, "netem")); /* not asked for any shape */
    assert_false(rules_exist(&world.a));
    static const char *const kinds[] = {"iptables", "none"}, *const reasons[] = {
                                                                 "needs nf_tables",
                                                                 "no packet filter works"};
    for (size_t i = 0; i < 2; i++) {
        struct agent_process other = {.network = world.b.network};
        char run_dir[200];
        agent_make_directory(run_dir, sizeof run_dir);
        agent_serve(&other, run_dir, "--firewall", kinds[i]);
        reply = agent_do(&other, "shape-means");
        assert_contains(line_get(&reply, "queue"), reasons[i]);
        assert_contains(agent_refused(&other, "unsupported", "fault-shape", "id=s",
                                      "from=10.99.0.1", "delay_us=1"),
                        reasons[i]);
        assert_int_equal(agent_end(&other), 0);
    }
}

static void a_shape_is_quick(void **state)
{
    (void)state;
    need_root();
    enum { TRIES = 30 };
    int64_t shape_ns[TRIES], undo_ns[TRIES];
    for (int i = 0; i < TRIES; i++) {
        struct line reply = shape("delay_us=1000");
        shape_ns[i] = line_get_int(&reply, "elapsed_ns", INT64_MAX);
        reply = agent_do(&world.a.agent, "fault-undo", "id=s");
        undo_ns[i] = line_get_int(&reply, "elapsed_ns", INT64_MAX);
    }
    qsort(shape_ns, TRIES, sizeof *shape_ns, by_size);
    qsort(undo_ns, TRIES, sizeof *undo_ns, by_size);
    print_message("# fault-shape: median %.0f us; fault-undo: median %.0f us\n",
                  (double)shape_ns[TRIES / 2] / 1e3, (double)undo_ns[TRIES / 2] / 1e3);
    if (!SANITIZED)
        assert_true(shape_ns[TRIES / 2] < 20 * NS_PER_MS);
}

/* ---- The gauge ---- */

static void the_gauge_measures_what_the_shape_does(void **state)
{
    (void)state;
    need_root();
    assert_all_reach();
    char port[32];
    struct line reply = agent_do(&world.a.agent, "gauge-listen");
    snprintf(port, sizeof port, "port=%d", (int)line_get_int(&reply, "port", 0));
    agent_do(&world.b.agent, "gauge-listen");
    shape("delay_us=50000", "duplicate_ppm=1000000");
    reply = agent_do(&world.b.agent, "gauge-send", "to=10.99.0.1", port, "run=7", "count=100");
    assert_int_equal(line_get_int(&reply, "sent", 0), 100);
    clock_sleep_ns(300 * NS_PER_MS);
    reply = agent_do(&world.a.agent, "gauge-read", "run=7");
    assert_int_equal(line_get_int(&reply, "unique", 0), 100);
    assert_int_equal(line_get_int(&reply, "duplicates", 0), 100);
    assert_int_equal(line_get_int(&reply, "echoes", -1), 0);
    reply = agent_do(&world.b.agent, "gauge-read", "run=7");
    assert_int_equal(line_get_int(&reply, "echoes", 0), 100);
    assert_true(line_get_int(&reply, "trip_min_ns", 0) >= 50 * NS_PER_MS);
    assert_true(line_get_int(&reply, "trip_median_ns", 0) < 100 * NS_PER_MS);
    agent_do(&world.a.agent, "heal");
    reply = agent_do(&world.b.agent, "gauge-send", "to=fd99::1", port, "run=8", "count=100");
    clock_sleep_ns(100 * NS_PER_MS);
    reply = agent_do(&world.a.agent, "gauge-read", "run=8");
    assert_int_equal(line_get_int(&reply, "unique", 0), 100);
    assert_int_equal(line_get_int(&reply, "duplicates", -1), 0);
    reply = agent_do(&world.a.agent, "gauge-read", "run=9"); /* that never was */
    assert_int_equal(line_get_int(&reply, "unique", -1), 0);
    assert_null(line_get(&reply, "trip_min_ns"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_nodes, end_nodes)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_delay_delays_one_way),
        TEST(jitter_has_the_distribution_asked_for),
        TEST(loss_loses_its_share),
        TEST(odd_lengths_are_read_to_their_end),
        TEST(duplication_doubles_its_share),
        TEST(reordering_holds_its_share_back),
        TEST(corruption_is_seen_by_check_sums),
        TEST(a_rate_limits_bandwidth),
        TEST(connections_survive_it_all),
        TEST(a_shape_of_a_port_leaves_the_others),
        TEST(a_block_cuts_what_is_shaped),
        TEST(two_shapes_are_undone_on_their_own),
        TEST(the_end_of_a_shape_lets_go),
        TEST(the_control_connection_is_never_shaped),
        TEST(the_end_of_input_leaves_nothing),
        TEST(killing_the_agent_leaves_nothing),
        TEST(after_killing_both_packets_flow),
        TEST(what_means_nothing_is_refused),
        TEST(where_it_cannot_work_it_says_why),
        TEST(a_shape_is_quick),
        TEST(the_gauge_measures_what_the_shape_does),
    };
    world.firewall = "nftables";
    return cmocka_run_group_tests(tests, build_world, tear_down_world);
}
