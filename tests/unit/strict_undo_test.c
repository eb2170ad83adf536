/* What the strict file system undoes, against a model that keeps all of what is durable by itself:
 * random changes and syncs of a few files in two directories, then the power goes. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/agent/strict_undo.h"
#include "harness/base/prng.h"
#include "tests/lib/sanitized.h"
#include "tests/lib/test.h"

enum { NAMES = 4, DIRECTORIES = 2, BYTES_MAX = 64, FILES_MAX = 256, STEPS = 60 };
enum { SEEDS = SANITIZED ? 150 : 1500 };

/* A file as it is and as it is durable; a name leads to a file, -1: to none. */
struct model_file {
    unsigned char now[BYTES_MAX], durable[BYTES_MAX];
    size_t now_length, durable_length;
};

struct world {
    struct strict_undo undo;
    struct strict_file *directories[DIRECTORIES];
    char path[64];
    struct model_file files[FILES_MAX];
    int file_count;
    int now[DIRECTORIES][NAMES], durable[DIRECTORIES][NAMES];
};

static const char *name_of(int number)
{
    static const char *const names[NAMES] = {"a", "b", "c", "d"};
    return names[number];
}

static int path_of(const struct world *world, const char *name)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", world->path, name);
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void begin(struct world *world)
{
    static const char *const folders[] = {"", "trash", "root0", "root1"};
    memset(world, 0, sizeof *world);
    memset(world->now, -1, sizeof world->now);
    memset(world->durable, -1, sizeof world->durable);
    strcpy(world->path, "strict-XXXXXX");
    assert_non_null(mkdtemp(world->path));
    for (size_t i = 1; i < sizeof folders / sizeof *folders; i++) {
        char path[200];
        snprintf(path, sizeof path, "%s/%s", world->path, folders[i]);
        assert_int_equal(mkdir(path, 0755), 0);
    }
    strict_open(&world->undo, path_of(world, "trash"));
    for (int i = 0; i < DIRECTORIES; i++)
        world->directories[i] = strict_file_get(&world->undo, path_of(world, folders[2 + i]));
}

static void finish(struct world *world)
{
    char command[200];
    strict_close(&world->undo);
    close(world->undo.trash_fd);
    snprintf(command, sizeof command, "rm -rf %s", world->path);
    assert_int_equal(system(command), 0);
}

static struct strict_file *file_at(struct world *world, int directory, int name)
{
    int fd = openat(world->directories[directory]->path_fd, name_of(name), O_PATH | O_CLOEXEC);
    assert_true(fd >= 0);
    return strict_file_get(&world->undo, fd);
}

/* ---- Changes, of the files and of the model ---- */

static void make(struct world *world, int directory, int name)
{
    int at = world->directories[directory]->path_fd;
    if (world->now[directory][name] >= 0 || world->file_count == FILES_MAX)
        return;
    int fd = openat(at, name_of(name), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    close(fd);
    strict_made(&world->undo, world->directories[directory], name_of(name));
    world->now[directory][name] = world->file_count++;
}

static void write_at(struct world *world, int directory, int name, struct prng *prng)
{
    size_t offset = prng_below(prng, BYTES_MAX / 2), length = 1 + prng_below(prng, BYTES_MAX / 2);
    unsigned char bytes[BYTES_MAX];
    if (world->now[directory][name] < 0)
        return;
    struct model_file *model = &world->files[world->now[directory][name]];
    struct strict_file *file = file_at(world, directory, name);
    int fd = strict_file_open(file, O_RDWR);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (unsigned char)prng_below(prng, 256);
    assert_int_equal(strict_before_write(file, fd, (off_t)offset, length), 0);
    assert_int_equal(pwrite(fd, bytes, length, (off_t)offset), (ssize_t)length);
    if (offset > model->now_length)
        memset(model->now + model->now_length, 0, offset - model->now_length);
    memcpy(model->now + offset, bytes, length);
    model->now_length = offset + length > model->now_length ? offset + length : model->now_length;
    close(fd);
    strict_file_release(&world->undo, file, 1);
}

static void resize(struct world *world, int directory, int name, struct prng *prng)
{
    size_t size = prng_below(prng, BYTES_MAX);
    if (world->now[directory][name] < 0)
        return;
    struct model_file *model = &world->files[world->now[directory][name]];
    struct strict_file *file = file_at(world, directory, name);
    int fd = strict_file_open(file, O_RDWR);
    assert_int_equal(strict_before_resize(file, fd, (off_t)size), 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    if (size > model->now_length)
        memset(model->now + model->now_length, 0, size - model->now_length);
    model->now_length = size;
    close(fd);
    strict_file_release(&world->undo, file, 1);
}

static void take_away(struct world *world, int directory, int name)
{
    int expected = world->now[directory][name] < 0 ? ENOENT : 0;
    assert_int_equal(strict_remove(&world->undo, world->directories[directory], name_of(name)),
                     expected);
    world->now[directory][name] = -1;
}

/* Within one directory: what a move between two leaves is tested by hand below. */
static void move(struct world *world, int directory, int from, int to)
{
    struct strict_file *at = world->directories[directory];
    int *names = world->now[directory];
    int expected = names[from] < 0 ? ENOENT : 0;
    assert_int_equal(strict_rename(&world->undo, at, name_of(from), at, name_of(to), true),
                     expected);
    if (expected != 0 || from == to)
        return;
    names[to] = names[from];
    names[from] = -1;
}

static void sync_file(struct world *world, int directory, int name)
{
    if (world->now[directory][name] < 0)
        return;
    struct model_file *model = &world->files[world->now[directory][name]];
    struct strict_file *file = file_at(world, directory, name);
    strict_sync_file(file);
    memcpy(model->durable, model->now, sizeof model->durable);
    model->durable_length = model->now_length;
    strict_file_release(&world->undo, file, 1);
}

static void sync_names(struct world *world, int directory)
{
    strict_sync_directory(&world->undo, world->directories[directory]);
    memcpy(world->durable[directory], world->now[directory], sizeof world->durable[directory]);
}

static void change(struct world *world, struct prng *prng)
{
    int directory = (int)prng_below(prng, DIRECTORIES), name = (int)prng_below(prng, NAMES);
    switch (prng_below(prng, 12)) {
    case 0:
    case 1:
    case 2:
        make(world, directory, name);
        break;
    case 3:
        take_away(world, directory, name);
        break;
    case 4:
    case 5:
        move(world, directory, name, (int)prng_below(prng, NAMES));
        break;
    case 6:
        resize(world, directory, name, prng);
        break;
    case 7:
    case 8:
        sync_file(world, directory, name);
        break;
    case 9:
        sync_names(world, directory);
        break;
    default:
        write_at(world, directory, name, prng);
        break;
    }
}

/* ---- What is left ---- */

static void expect_file(const struct world *world, int directory, int name)
{
    unsigned char bytes[2 * BYTES_MAX];
    int expected = world->durable[directory][name];
    int fd = openat(world->directories[directory]->path_fd, name_of(name), O_RDONLY | O_CLOEXEC);
    assert_int_equal(fd >= 0, expected >= 0);
    if (fd < 0)
        return;
    const struct model_file *model = &world->files[expected];
    assert_int_equal(read(fd, bytes, sizeof bytes), (ssize_t)model->durable_length);
    assert_memory_equal(bytes, model->durable, model->durable_length);
    close(fd);
}

static bool is_empty(const char *path)
{
    bool empty = true;
    DIR *directory = opendir(path);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        empty = empty && entry->d_name[0] == '.';
    closedir(directory);
    return empty;
}

static void what_was_not_synced_is_undone(void **state)
{
    (void)state;
    uint64_t writes = 0, names = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world world;
        struct strict_lost lost;
        struct prng prng = prng_stream(seed, "strict undo");
        char trash[80];
        begin(&world);
        for (int step = 0; step < STEPS; step++)
            change(&world, &prng);
        assert_int_equal(strict_revert(&world.undo, &lost), 0);
        for (int i = 0; i < DIRECTORIES * NAMES; i++)
            expect_file(&world, i / NAMES, i % NAMES);
        snprintf(trash, sizeof trash, "%s/trash", world.path);
        assert_true(is_empty(trash));
        writes += lost.writes;
        names += lost.names;
        finish(&world);
    }
    assert_true(writes > SEEDS && names > SEEDS); /* there was much to undo */
}

/* ---- By hand ---- */

static bool exists(const struct world *world, int directory, const char *name)
{
    return faccessat(world->directories[directory]->path_fd, name, F_OK, 0) == 0;
}

static void a_move_between_directories_is_one_step(void **state)
{
    (void)state;
    for (int synced = -1; synced < DIRECTORIES; synced++) {
        struct world world;
        struct strict_lost lost;
        begin(&world);
        make(&world, 0, 0);
        sync_names(&world, 0);
        assert_int_equal(
            strict_rename(&world.undo, world.directories[0], "a", world.directories[1], "b", true),
            0);
        if (synced >= 0)
            strict_sync_directory(&world.undo, world.directories[synced]);
        assert_int_equal(strict_revert(&world.undo, &lost), 0);
        assert_int_equal(exists(&world, 0, "a"), synced < 0);
        assert_int_equal(exists(&world, 1, "b"), synced >= 0);
        finish(&world);
    }
}

static void folders_come_and_go_with_what_is_in_them(void **state)
{
    (void)state;
    struct world world;
    struct strict_lost lost;
    begin(&world);
    struct strict_file *root = world.directories[0];
    assert_int_equal(mkdirat(root->path_fd, "kept", 0755), 0);
    strict_made(&world.undo, root, "kept");
    strict_sync_directory(&world.undo, root);
    assert_int_equal(mkdirat(root->path_fd, "lost", 0755), 0);
    strict_made(&world.undo, root, "lost");
    int fd = openat(root->path_fd, "lost/synced in vain", O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(strict_remove(&world.undo, root, "lost"), ENOTEMPTY);
    assert_int_equal(strict_remove(&world.undo, root, "kept"), 0);
    assert_int_equal(strict_rename(&world.undo, root, "lost", root, "kept", false), 0);
    assert_int_equal(strict_rename(&world.undo, root, "nothing", root, "kept", false), ENOENT);
    assert_int_equal(strict_revert(&world.undo, &lost), 0);
    assert_true(exists(&world, 0, "kept"));
    assert_false(exists(&world, 0, "kept/synced in vain"));
    assert_false(exists(&world, 0, "lost"));
    finish(&world);
}

/* What had happened in a folder is durable once the folder's own removal is: it is emptied first. A
 * member that is wiped and starts anew, and makes and syncs its folder again. */
static void what_was_in_a_folder_that_is_gone_stays_gone(void **state)
{
    (void)state;
    struct world world;
    struct strict_lost lost;
    struct stat status;
    begin(&world);
    struct strict_file *root = world.directories[0], *other = world.directories[1];
    assert_int_equal(mkdirat(root->path_fd, "spool", 0755), 0);
    struct strict_file *spool = strict_file_get(
        &world.undo, openat(root->path_fd, "spool", O_PATH | O_DIRECTORY | O_CLOEXEC));
    for (int name = 0; name < 2; name++)
        assert_true(close(openat(spool->path_fd, name_of(name), O_CREAT | O_RDWR, 0644)) == 0);
    assert_int_equal(strict_remove(&world.undo, spool, "a"), 0);
    assert_int_equal(strict_rename(&world.undo, spool, "b", other, "moved", true), 0);
    assert_int_equal(strict_remove(&world.undo, root, "spool"), 0);
    assert_int_equal(mkdirat(root->path_fd, "spool", 0755), 0);
    strict_made(&world.undo, root, "spool");
    strict_sync_directory(&world.undo, root);
    assert_int_equal(strict_revert(&world.undo, &lost), 0);
    assert_int_equal(fstatat(root->path_fd, "spool", &status, 0), 0);
    assert_int_equal(fstatat(other->path_fd, "moved", &status, 0), 0);
    strict_file_release(&world.undo, spool, 1);
    char command[200];
    snprintf(command, sizeof command, "rmdir %s/trash %s/root0/spool", world.path, world.path);
    assert_int_equal(system(command), 0); /* both are empty */
    finish(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_not_synced_is_undone),
        cmocka_unit_test(a_move_between_directories_is_one_step),
        cmocka_unit_test(folders_come_and_go_with_what_is_in_them),
        cmocka_unit_test(what_was_in_a_folder_that_is_gone_stays_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
