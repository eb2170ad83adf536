/* Faults of the machine's own clock, on a machine that is made up here: this one's clock is never
 * touched. Its wall clock goes as it is steered, while an oscillator that nobody steers goes on. */
#include <sched.h>
#include <sys/prctl.h>

#include "harness/agent/machine.h"
#include "tests/lib/agent_process.h"

#define BEGAN_WALL_NS (INT64_C(1790000000) * NS_PER_SECOND)
#define NEAR_NS (10 * NS_PER_US) /* of rounding */

/* ---- The machine ---- */

static struct {
    int64_t wall_ns, raw_ns, true_ns; /* true: what wall would be without any fault */
    struct agentd_steering steering, first;
    bool shared, no_settime, no_effect, no_steering;
    int sets, steers; /* calls that would change something */
    struct agentd_process ntp;
} machine;

static int64_t steered(int64_t raw_ns, const struct agentd_steering *steering)
{
    long double rate = (long double)steering->tick / AGENTD_TICK_NORMAL;
    rate *= 1 + (long double)steering->frequency / 65536 / 1000000;
    return (int64_t)((long double)raw_ns * rate);
}

static void advance(int64_t raw_ns)
{
    machine.raw_ns += raw_ns;
    machine.wall_ns += steered(raw_ns, &machine.steering);
    machine.true_ns += steered(raw_ns, &machine.first);
}

static void fake_refusal(const char *controller_boot, char *reason, size_t size)
{
    (void)controller_boot;
    snprintf(reason, size, "%s", machine.shared ? "it is a container" : "");
}

static int64_t fake_wall_ns(void)
{
    return machine.wall_ns;
}

static int64_t fake_raw_ns(void)
{
    return machine.raw_ns;
}

static enum err_code fake_set_wall(int64_t wall_ns, struct err *err)
{
    machine.sets++;
    if (machine.no_settime)
        return err_set(err, ERR_IO, "cannot set the clock: Operation not permitted");
    if (!machine.no_effect)
        machine.wall_ns = wall_ns;
    return ERR_NONE;
}

static enum err_code fake_steer(const struct agentd_steering *wanted, struct agentd_steering *now,
                                struct err *err)
{
    (void)err;
    machine.steers += wanted != NULL;
    if (wanted != NULL && !machine.no_steering)
        machine.steering = *wanted;
    *now = machine.steering;
    return ERR_NONE;
}

static void fake_ntp_daemons(struct arena *arena, struct agentd_processes *found)
{
    found->items = arena_alloc(arena, sizeof *found->items);
    found->count = machine.ntp.pid != 0;
    found->items[0] = machine.ntp;
}

static const struct agentd_machine_backend fake_backend = {
    .refusal = fake_refusal,
    .wall_ns = fake_wall_ns,
    .raw_ns = fake_raw_ns,
    .set_wall = fake_set_wall,
    .steer = fake_steer,
    .ntp_daemons = fake_ntp_daemons,
};

/* ---- Fixture ---- */

struct fixture {
    char directory[200];
    struct agentd_faults faults;
    struct agentd_machine clock;
};

static int begin(void **state)
{
    static struct fixture fixture;
    struct err err = ERR_INIT;
    fixture = (struct fixture){.faults = {.firewall = {.netlink_fd = -1}}};
    agent_make_directory(fixture.directory, sizeof fixture.directory);
    assert_ok(agentd_journal_open(&fixture.faults.journal, fixture.directory, &err));
    memset(&machine, 0, sizeof machine);
    machine.wall_ns = machine.true_ns = BEGAN_WALL_NS;
    machine.raw_ns = 12345 * NS_PER_SECOND;
    machine.steering = machine.first = (struct agentd_steering){10000, 37 << 16}; /* 37 ppm */
    agentd_machine_backend = &fake_backend;
    *state = &fixture;
    return 0;
}

static int finish(void **state)
{
    struct fixture *fixture = *state;
    if (machine.ntp.pid != 0) {
        kill(machine.ntp.pid, SIGKILL);
        waitpid(machine.ntp.pid, NULL, 0);
    }
    agentd_journal_close(&fixture->faults.journal);
    return 0;
}

static void start_ntp_daemon(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    assert_true(agentd_process_read(pid, &machine.ntp));
}

static enum err_code set(struct fixture *fixture, int64_t offset_ns, int64_t rate_ppm,
                         int64_t strobe_ns, struct err *err)
{
    return agentd_machine_set(&fixture->clock, &fixture->faults, "c", "boot", offset_ns, rate_ppm,
                              strobe_ns, err);
}

static int64_t off_by(void)
{
    return machine.wall_ns - machine.true_ns;
}

static void assert_off(int64_t wanted_ns)
{
    if (llabs(off_by() - wanted_ns) > NEAR_NS)
        fail_msg("off by %lld ns, not by %lld", (long long)off_by(), (long long)wanted_ns);
}

static void assert_healed(struct fixture *fixture)
{
    assert_off(0);
    assert_int_equal(machine.steering.tick, machine.first.tick);
    assert_int_equal(machine.steering.frequency, machine.first.frequency);
    assert_null(agentd_faults_find(&fixture->faults, "c"));
    if (machine.ntp.pid != 0)
        wait_until(agentd_process_stopped(machine.ntp.pid) == AGENTD_STOPPED_NONE);
}

static void undo(struct fixture *fixture)
{
    struct err err = ERR_INIT;
    assert_ok(agentd_faults_undo(&fixture->faults, "c", &err));
    assert_healed(fixture);
}

/* ---- Tests ---- */

static void a_step_comes_back_to_the_truth_however_long_it_lasted(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    advance(7 * NS_PER_SECOND);
    assert_ok(set(fixture, 60 * NS_PER_SECOND, 0, 0, &err));
    assert_off(60 * NS_PER_SECOND);
    advance(3600 * NS_PER_SECOND); /* 37 ppm of it are a tenth of a second */
    assert_off(60 * NS_PER_SECOND);
    assert_true(llabs(agentd_machine_offset_ns(&fixture->clock) - 60 * NS_PER_SECOND) < NEAR_NS);
    assert_ok(set(fixture, -60 * NS_PER_SECOND, 0, 0, &err)); /* live, from the truth */
    assert_off(-60 * NS_PER_SECOND);
    undo(fixture);
    advance(5 * NS_PER_SECOND);
    assert_off(0);
}

static void a_drift_adds_up_and_ends(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    machine.steering.tick = machine.first.tick = 10010;
    assert_ok(set(fixture, 0, 50000, 0, &err));
    assert_int_equal(machine.steering.tick, 10510);
    advance(100 * NS_PER_SECOND);
    assert_true(off_by() > 4990 * NS_PER_MS && off_by() < 5010 * NS_PER_MS);
    assert_ok(set(fixture, NS_PER_SECOND, -100000, 0, &err));
    assert_off(NS_PER_SECOND);
    assert_int_equal(machine.steering.tick, 9009);
    advance(100 * NS_PER_SECOND);
    assert_true(off_by() < -8980 * NS_PER_MS);
    undo(fixture);
    assert_int_equal(set(fixture, 0, 100001, 0, &err), ERR_CONFIG);
}

static void a_strobe_jumps_when_it_is_due(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    assert_int_equal(agentd_machine_next_ns(&fixture->clock), INT64_MAX);
    assert_ok(set(fixture, 5 * NS_PER_SECOND, 0, 100 * NS_PER_MS, &err));
    for (int i = 0; i < 6; i++) {
        int64_t due_ns = agentd_machine_next_ns(&fixture->clock);
        assert_off(i % 2 == 0 ? 5 * NS_PER_SECOND : 0);
        agentd_machine_step(&fixture->clock, &fixture->faults, due_ns - 1);
        assert_off(i % 2 == 0 ? 5 * NS_PER_SECOND : 0);
        advance(100 * NS_PER_MS);
        agentd_machine_step(&fixture->clock, &fixture->faults, due_ns);
    }
    undo(fixture);
    int sets = machine.sets;
    agentd_machine_step(&fixture->clock, &fixture->faults, INT64_MAX);
    assert_int_equal(machine.sets, sets); /* nothing jumps after the end */
    assert_int_equal(agentd_machine_next_ns(&fixture->clock), INT64_MAX);
}

static void ntp_daemons_stand_still_meanwhile(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    start_ntp_daemon();
    assert_ok(set(fixture, NS_PER_SECOND, 0, 0, &err));
    assert_int_equal(agentd_process_stopped(machine.ntp.pid), AGENTD_STOPPED_ALL);
    undo(fixture); /* looks whether it goes on */
}

/* What the guardian of a killed agent does, and the next agent. */
static void the_journal_alone_brings_the_truth_back(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    struct agentd_healed healed = {.undone = 0};
    struct agentd_firewall firewall = {.netlink_fd = -1};
    start_ntp_daemon();
    assert_ok(set(fixture, 3600 * NS_PER_SECOND, 20000, 0, &err));
    advance(50 * NS_PER_SECOND);
    fixture->faults.count = 0; /* nobody remembers */
    agentd_replay(&fixture->faults.journal, &firewall, &healed);
    assert_int_equal(healed.undone, 1);
    assert_int_equal(healed.failed, 0);
    assert_healed(fixture);
    agentd_healed_free(&healed);
}

static void clocks_that_are_shared_are_left_alone(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    start_ntp_daemon();
    machine.shared = true;
    assert_int_equal(set(fixture, NS_PER_SECOND, 0, 0, &err), ERR_UNSUPPORTED);
    assert_contains(err.message, "it is a container");
    assert_int_equal(machine.sets + machine.steers, 0);
    assert_healed(fixture);
}

static void what_fails_is_undone(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    start_ntp_daemon();
    machine.no_effect = true; /* something else sets it at once */
    assert_int_equal(set(fixture, NS_PER_SECOND, 0, 0, &err), ERR_REMOTE);
    assert_contains(err.message, "something else sets it");
    assert_healed(fixture);
    machine.no_effect = false;
    machine.no_steering = true;
    assert_int_equal(set(fixture, 0, 50000, 0, &err), ERR_REMOTE);
    assert_contains(err.message, "how fast its clock should run");
    assert_healed(fixture);
    machine.no_steering = false;
    machine.no_settime = true;
    assert_int_equal(set(fixture, NS_PER_SECOND, 0, 0, &err), ERR_IO);
    assert_contains(err.message, "undoing it failed too"); /* it cannot be set back either: told */
    assert_int_equal(agentd_process_stopped(machine.ntp.pid), AGENTD_STOPPED_NONE);
    machine.no_settime = false;
    undo(fixture);
}

static void who_else_sets_the_clock_is_noticed(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    assert_ok(set(fixture, 60 * NS_PER_SECOND, 50000, 0, &err));
    for (int i = 0; i < 3; i++) {
        advance(100 * NS_PER_SECOND); /* it drifts, as it should */
        agentd_machine_step(&fixture->clock, &fixture->faults,
                            agentd_machine_next_ns(&fixture->clock));
        assert_string_equal(fixture->clock.problem, "");
    }
    machine.wall_ns = machine.true_ns;
    agentd_machine_step(&fixture->clock, &fixture->faults,
                        agentd_machine_next_ns(&fixture->clock) - 1);
    assert_string_equal(fixture->clock.problem, ""); /* not yet */
    agentd_machine_step(&fixture->clock, &fixture->faults, agentd_machine_next_ns(&fixture->clock));
    assert_contains(fixture->clock.problem, "something else set the machine's clock");
    undo(fixture);
    assert_ok(set(fixture, 5 * NS_PER_SECOND, 0, 100 * NS_PER_MS, &err));
    assert_string_equal(fixture->clock.problem, "");
    machine.wall_ns += NS_PER_SECOND;
    agentd_machine_step(&fixture->clock, &fixture->faults, agentd_machine_next_ns(&fixture->clock));
    assert_off(0); /* a strobe sets it right again, and says so all the same */
    assert_contains(fixture->clock.problem, "something else");
    undo(fixture);
}

static void one_fault_has_the_clock(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    assert_ok(set(fixture, NS_PER_SECOND, 0, 0, &err));
    assert_int_equal(
        agentd_machine_set(&fixture->clock, &fixture->faults, "d", "boot", 0, 0, 0, &err),
        ERR_CONFIG);
    assert_off(NS_PER_SECOND);
    undo(fixture);
    assert_ok(agentd_machine_set(&fixture->clock, &fixture->faults, "d", "boot", NS_PER_SECOND, 0,
                                 0, &err));
    assert_off(NS_PER_SECOND);
    assert_ok(agentd_faults_undo(&fixture->faults, "d", &err));
}

/* ---- The real refusal, which only reads ---- */

static void the_controllers_own_machine_is_refused(void **state)
{
    (void)state;
    char boot[64] = "", reason[256];
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    assert_non_null(file);
    assert_non_null(fgets(boot, sizeof boot, file));
    fclose(file);
    boot[strcspn(boot, "\n")] = '\0';
    agentd_machine_real.refusal(boot, reason, sizeof reason);
    assert_contains(reason, "shares its kernel");
    agentd_machine_real.refusal(NULL, reason, sizeof reason);
    assert_contains(reason, "shares its kernel");
}

static void containers_are_refused(void **state)
{
    (void)state;
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        char reason[256];
        if (unshare(CLONE_NEWUTS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWUTS) != 0)
            _exit(77);
        agentd_machine_real.refusal("another", reason, sizeof reason);
        _exit(strstr(reason, "container") != NULL ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        test_skip("no namespace can be made here");
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#define ON_A_MACHINE(test) cmocka_unit_test_setup_teardown(test, begin, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_MACHINE(a_step_comes_back_to_the_truth_however_long_it_lasted),
        ON_A_MACHINE(a_drift_adds_up_and_ends),
        ON_A_MACHINE(a_strobe_jumps_when_it_is_due),
        ON_A_MACHINE(ntp_daemons_stand_still_meanwhile),
        ON_A_MACHINE(the_journal_alone_brings_the_truth_back),
        ON_A_MACHINE(clocks_that_are_shared_are_left_alone),
        ON_A_MACHINE(what_fails_is_undone),
        ON_A_MACHINE(who_else_sets_the_clock_is_noticed),
        ON_A_MACHINE(one_fault_has_the_clock),
        cmocka_unit_test(the_controllers_own_machine_is_refused),
        cmocka_unit_test(containers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
