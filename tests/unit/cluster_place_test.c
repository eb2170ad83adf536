/* Where a cluster keeps its things: names, directories, locks and claims. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/buf.h"
#include "harness/base/text.h"
#include "harness/cluster/place.h"
#include "tests/lib/test.h"

static char directory[256];

static int make_directory(void **state)
{
    (void)state;
    const char *parent = getenv("TMPDIR");
    snprintf(directory, sizeof directory, "%s/ordeal-place.XXXXXX",
             parent != NULL ? parent : "/tmp");
    char path[300];
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/state", directory);
    setenv("ORDEAL_STATE_DIR", path, 1);
    snprintf(path, sizeof path, "%s/disk", directory);
    setenv("ORDEAL_DISK_DIR", path, 1);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    return place_remove_tree(directory, NULL) == ERR_NONE ? 0 : -1;
}

static void names_are_short_and_plain(void **state)
{
    (void)state;
    assert_true(place_name_valid("default"));
    assert_true(place_name_valid("a"));
    assert_true(place_name_valid("t123-left-0"));
    assert_true(place_name_valid("abcdefghijklmnopqrstuvwxyz012345"));
    static const char *const bad[] = {
        "", "A", "a_b", "..", "a/b", "a b", "\303\244", "a\n", "abcdefghijklmnopqrstuvwxyz0123456"};
    struct place place = {.name = "kept"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err = ERR_INIT;
        assert_false(place_name_valid(bad[i]));
        assert_int_equal(place_init(&place, bad[i], &err), ERR_CONFIG);
        assert_contains(err.message, "not a cluster name");
        assert_string_equal(place.name, "kept");
    }
}

static void directories_follow_the_environment(void **state)
{
    (void)state;
    struct place place;
    struct err err = ERR_INIT;
    char expected[400], long_path[700];
    assert_ok(place_init(&place, NULL, &err));
    snprintf(expected, sizeof expected, "%s/state/default", directory);
    assert_string_equal(place.state_dir, expected);
    snprintf(expected, sizeof expected, "%s/disk/default", directory);
    assert_string_equal(place.disk_dir, expected);
    char *saved = strdup(getenv("ORDEAL_DISK_DIR"));
    setenv("ORDEAL_DISK_DIR", "relative/path", 1);
    assert_int_equal(place_init(&place, "x", &err), ERR_CONFIG);
    assert_contains(err.message, "ORDEAL_DISK_DIR=relative/path");
    memset(long_path, '/', sizeof long_path);
    long_path[sizeof long_path - 1] = '\0';
    setenv("ORDEAL_DISK_DIR", long_path, 1);
    assert_int_equal(place_init(&place, "x", &err), ERR_CONFIG);
    assert_contains(err.message, "longer than");
    unsetenv("ORDEAL_DISK_DIR");
    assert_ok(place_init(&place, "x", &err));
    assert_string_equal(place.disk_dir, "/var/lib/ordeal/clusters/x");
    setenv("ORDEAL_DISK_DIR", saved, 1);
    free(saved);
}

static void only_one_holds_the_lock(void **state)
{
    (void)state;
    struct place place;
    struct err err = ERR_INIT;
    int first, second;
    assert_ok(place_init(&place, "locked", &err));
    assert_false(place_exists(&place));
    assert_ok(place_lock(&place, 0, &first, &err));
    assert_true(place_exists(&place));
    struct stat status;
    assert_int_equal(stat(place.state_dir, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_int_equal(place_lock(&place, 20, &second, &err), ERR_TIMEOUT);
    assert_contains(err.message, "cluster locked: another ordeal");
    close(first);
    assert_ok(place_lock(&place, 0, &second, &err));
    assert_ok(place_sweep(&place, PLACE_LEAVE_NOTHING, &err));
    assert_false(place_exists(&place));
    close(second);
}

/* One waits for the lock of a directory that the other removes: it must not end up with the lock of
 * a file that nobody else can see. */
static void a_lock_that_was_removed_is_not_taken(void **state)
{
    (void)state;
    struct place place;
    struct err err = ERR_INIT;
    int lock, go[2];
    assert_ok(place_init(&place, "removed", &err));
    assert_ok(place_lock(&place, 0, &lock, &err));
    assert_int_equal(pipe(go), 0);
    pid_t pid = fork();
    if (pid == 0) {
        int own, other;
        close(lock);
        if (write(go[1], "", 1) != 1 || place_lock(&place, 10000, &own, NULL) != ERR_NONE)
            _exit(1);
        _exit(place_lock(&place, 0, &other, NULL) == ERR_TIMEOUT ? 0 : 2);
    }
    char byte;
    assert_int_equal(read(go[0], &byte, 1), 1);
    assert_ok(place_sweep(&place, PLACE_LEAVE_NOTHING, &err));
    close(lock);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(go[0]);
    close(go[1]);
    assert_ok(place_remove_tree(place.state_dir, &err));
}

static void a_claim_names_its_holder(void **state)
{
    (void)state;
    struct place place;
    struct err err = ERR_INIT;
    int lock, claim, other;
    char holder[128], expected[64];
    pid_t pid = 0;
    assert_ok(place_init(&place, "claimed", &err));
    assert_ok(place_lock(&place, 0, &lock, &err));
    place_claim_holder(&place, holder, sizeof holder, &pid);
    assert_string_equal(holder, "");
    assert_ok(place_claim(&place, "ordeal run", &claim, &err));
    place_claim_holder(&place, holder, sizeof holder, &pid);
    assert_int_equal(pid, getpid());
    snprintf(expected, sizeof expected, "pid %d (ordeal run, since ", (int)getpid());
    assert_contains(holder, expected);
    assert_int_equal(place_claim(&place, "another", &other, &err), ERR_CONFIG);
    assert_contains(err.message, "cluster claimed is in use by pid ");
    assert_contains(err.message, expected);
    assert_contains(err.message, "wait for it, or use --cluster NAME");
    close(claim);
    place_claim_holder(&place, holder, sizeof holder, NULL);
    assert_string_equal(holder, "");
    assert_ok(place_claim(&place, "another", &other, &err));
    close(other);
    close(lock);
}

static void a_damaged_claim_still_counts(void **state)
{
    (void)state;
    struct place place;
    struct err err = ERR_INIT;
    int lock, claim, other;
    char holder[128];
    assert_ok(place_init(&place, "damaged", &err));
    assert_ok(place_lock(&place, 0, &lock, &err));
    assert_ok(place_claim(&place, "x", &claim, &err));
    assert_int_equal(ftruncate(claim, 0), 0);
    assert_int_equal(pwrite(claim, "\\q\n", 3, 0), 3);
    place_claim_holder(&place, holder, sizeof holder, NULL);
    assert_string_equal(holder, "another process");
    assert_int_equal(place_claim(&place, "y", &other, &err), ERR_CONFIG);
    close(claim);
    close(lock);
}

static void files_are_replaced_whole(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    char path[PLACE_PATH_MAX];
    struct buf text = BUF_INIT;
    struct stat status;
    place_join(directory, "file", path);
    assert_ok(place_write_file(path, "one", 0644, &err));
    assert_ok(place_write_file(path, "two", 0600, &err));
    assert_ok(file_read(path, 1 << 20, &text, &err));
    assert_string_equal(buf_text(&text), "two");
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    buf_clear(&text);
    assert_int_equal(file_read("/nonexistent/file", 1 << 20, &text, &err), ERR_IO);
    assert_contains(err.message, "/nonexistent/file: No such file");
    assert_int_equal(place_write_file("/nonexistent/file", "", 0600, &err), ERR_IO);
    buf_free(&text);
}

static void what_is_there_keeps_its_mode(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct stat status;
    char path[PLACE_PATH_MAX], inner[PLACE_PATH_MAX];
    place_join(directory, "wide", path);
    assert_ok(place_make_directory(path, 01777, &err));
    assert_ok(place_make_directory(path, 0700, &err));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 01777);
    place_join(directory, "plain", path);
    assert_ok(place_write_file(path, "", 0644, &err));
    assert_int_equal(place_make_directory(path, 0700, &err), ERR_IO);
    assert_contains(err.message, "plain: Not a directory");
    place_join(path, "inner", inner);
    assert_int_equal(place_make_directory(inner, 0700, &err), ERR_IO);
    assert_contains(err.message, "Not a directory");
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0644);
}

static void removal_does_not_follow_links(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    char tree[PLACE_PATH_MAX], inner[PLACE_PATH_MAX], link[PLACE_PATH_MAX];
    char kept_in[PLACE_PATH_MAX], kept[PLACE_PATH_MAX];
    place_join(directory, "tree", tree);
    place_join(tree, "inner", inner);
    place_join(inner, "link", link);
    place_join(directory, "kept", kept_in);
    assert_ok(place_make_directory(inner, 0755, &err));
    assert_ok(place_make_directory(kept_in, 0755, &err));
    place_join(kept_in, "file", kept);
    assert_ok(place_write_file(kept, "x", 0600, &err));
    assert_int_equal(symlink("../../kept", link), 0);
    assert_ok(place_remove_tree(tree, &err));
    assert_int_not_equal(access(tree, F_OK), 0);
    assert_int_equal(access(kept, F_OK), 0);
    assert_ok(place_remove_tree(tree, &err)); /* nothing there is no error */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_short_and_plain),
        cmocka_unit_test(directories_follow_the_environment),
        cmocka_unit_test(only_one_holds_the_lock),
        cmocka_unit_test(a_lock_that_was_removed_is_not_taken),
        cmocka_unit_test(a_claim_names_its_holder),
        cmocka_unit_test(a_damaged_claim_still_counts),
        cmocka_unit_test(files_are_replaced_whole),
        cmocka_unit_test(what_is_there_keeps_its_mode),
        cmocka_unit_test(removal_does_not_follow_links),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
