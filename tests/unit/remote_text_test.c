/* What the remote parts read and write as text: nodes, command lines, known_hosts, key files,
 * digests. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/node.h"
#include "harness/remote/fleet_internal.h"
#include "harness/remote/sha256.h"
#include "harness/remote/ssh_internal.h"
#include "tests/lib/test.h"

/* ---- Nodes ---- */

static void nodes_are_read(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct err err = ERR_INIT;
    struct node node;
    assert_ok(node_parse(&arena, "n1=bob@10.0.0.1:2222", 3, &node, &err));
    assert_string_equal(node.name, "n1");
    assert_string_equal(node.user, "bob");
    assert_string_equal(node_address(&node), "10.0.0.1");
    assert_string_equal(node_peer_address(&node), "10.0.0.1");
    assert_int_equal(node_port(&node), 2222);
    assert_int_equal(node.index, 3);
    assert_ok(node_parse(&arena, "fe80::1", 0, &node, &err));
    assert_string_equal(node.name, "fe80::1");
    assert_int_equal(node_port(&node), 22);
    assert_ok(node_parse(&arena, "[fe80::1]:23", 0, &node, &err));
    assert_string_equal(node_address(&node), "fe80::1");
    assert_int_equal(node_port(&node), 23);
    assert_ok(node_parse(&arena, "db.example", 0, &node, &err));
    assert_null(node.user);
    arena_free(&arena);
}

static void bad_nodes_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",     "n1=", "=a",   "@a",     "a:0",   "a:65536",
                                      "a:1x", "a b", "[::1", "[::1]x", "-oFoo", "u@",
                                      "a/b",  "a'b", "a:",   "[]",     "a:-1"};
    struct arena arena = ARENA_INIT;
    struct node node = {.name = "kept"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err err = ERR_INIT;
        if (node_parse(&arena, bad[i], 0, &node, &err) != ERR_CONFIG)
            fail_msg("'%s' was taken for a node", bad[i]);
        assert_contains(err.message, "node '");
        assert_string_equal(node.name, "kept");
    }
    arena_free(&arena);
}

/* ---- Command lines ---- */

static const char *line_of(const struct node *node, const struct command *command)
{
    static struct buf line;
    struct err err = ERR_INIT;
    bool sudo;
    buf_free(&line);
    assert_ok(command_line(node, "alice", command, &line, &sudo, &err));
    return line.data;
}

static void command_lines_are_quoted(void **state)
{
    (void)state;
    struct node node = {.name = "n1"};
    const char *const env[] = {"A=b c", "D=it's", NULL};
    const char *const keep[] = {"SSH_CONNECTION", NULL};
    assert_string_equal(line_of(&node, &(struct command){.text = "echo 'x' \"$HOME\""}),
                        "exec sh -c 'echo '\\''x'\\'' \"$HOME\"'");
    assert_string_equal(
        line_of(&node, &(struct command){.text = "id", .cwd = "/a b", .as_root = true}),
        "exec sudo -n sh -c 'cd '\\''/a b'\\'' || exit\nid'");
    assert_string_equal(
        line_of(&node, &(struct command){.text = "id", .env = env, .keep_env = keep}),
        "exec env 'A=b c' 'D=it'\\''s' SSH_CONNECTION=\"$SSH_CONNECTION\" sh -c 'id'");
    node.sudo = NODE_SUDO_NEVER;
    assert_string_equal(line_of(&node, &(struct command){.text = "id", .as_root = true}),
                        "exec sh -c 'id'");
}

static void labels_are_short_and_on_one_line(void **state)
{
    (void)state;
    char label[72];
    command_label(&(struct command){.text = "  apt-get\n\tinstall   x  "}, label, sizeof label);
    assert_string_equal(label, "`apt-get install x`");
    char text[200];
    memset(text, 'x', 199);
    text[199] = '\0';
    for (size_t place = 40; place < 70; place++) { /* a character of two bytes is never halved */
        memset(text, 'x', 199);
        memcpy(text + place, "\303\251", 2);
        command_label(&(struct command){.text = text}, label, sizeof label);
        assert_true(strlen(label) <= 66);
        assert_contains(label, "...`");
        const char *accent = strchr(label, '\303');
        if (accent != NULL)
            assert_int_equal((unsigned char)accent[1], 0251);
    }
    command_label(&(struct command){.text = text, .label = "the agent"}, label, sizeof label);
    assert_string_equal(label, "the agent");
}

/* ---- known_hosts ---- */

static LIBSSH2_SESSION *ssh;
static char known_path[300];

static int start_library(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    if (remote_ssh.prepare(&err) != ERR_NONE)
        return 1;
    ssh = libssh2_session_init();
    const char *parent = getenv("TMPDIR");
    snprintf(known_path, sizeof known_path, "%s/known-hosts-test.%d",
             parent != NULL ? parent : "/tmp", (int)getpid());
    return ssh == NULL;
}

static int stop_library(void **state)
{
    (void)state;
    unlink(known_path);
    return libssh2_session_free(ssh);
}

static struct known_hosts load(const char *text, const char *host, uint16_t port)
{
    FILE *file = fopen(known_path, "we");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    struct known_hosts known;
    struct err err = ERR_INIT;
    assert_ok(known_hosts_load(ssh, known_path, host, port, &known, &err));
    return known;
}

static size_t count_of(const char *text, const char *host, uint16_t port)
{
    struct known_hosts known = load(text, host, port);
    size_t count = known.count;
    known_hosts_free(&known);
    return count;
}

static void hosts_are_found_by_name_pattern_and_port(void **state)
{
    (void)state;
    static const char text[] = "# comment\n"
                               "\n"
                               "n1,10.0.0.1 ssh-ed25519 AAAAone\n"
                               "[n1]:2222 ssh-ed25519 AAAAtwo\n"
                               "*.lab,!bad.lab ecdsa-sha2-nistp256 AAAAthree comment here\n"
                               "@cert-authority * ssh-ed25519 AAAAfour\n"
                               "half\n"
                               "half ssh-ed25519\n"
                               "n? ssh-rsa AAAAfive";
    assert_int_equal(count_of(text, "n1", 22), 2);
    assert_int_equal(count_of(text, "N1", 22), 2);
    assert_int_equal(count_of(text, "n1", 2222), 1);
    assert_int_equal(count_of(text, "n1", 2223), 0);
    assert_int_equal(count_of(text, "10.0.0.1", 22), 1);
    assert_int_equal(count_of(text, "a.lab", 22), 1);
    assert_int_equal(count_of(text, "bad.lab", 22), 0);
    assert_int_equal(count_of(text, "n12", 22), 0);
    assert_int_equal(count_of(text, "half", 22), 0);
    struct known_hosts known;
    struct err err = ERR_INIT;
    assert_ok(known_hosts_load(ssh, "/nonexistent/file", "n1", 22, &known, &err));
    assert_int_equal(known.count, 0);
}

/* As `ssh-keygen -H` makes them of "10.0.0.7" and "[db.example]:2200". */
static void hashed_hosts_are_found(void **state)
{
    (void)state;
    static const char text[] =
        "|1|R8Nge/0xxOBhNMCEBZ751EBD7bk=|f7cFbM4+sP3DhmSpnzu9dOQju9M= ssh-ed25519 AAAAone\n"
        "|1|B6K+hpXEZjBux3+zq/prh/NU5/Q=|gCVmeanCCjtls6n0wayGJJP19Js= ssh-ed25519 AAAAtwo\n"
        "|1|broken ssh-ed25519 AAAAthree\n";
    assert_int_equal(count_of(text, "10.0.0.7", 22), 1);
    assert_int_equal(count_of(text, "10.0.0.8", 22), 0);
    assert_int_equal(count_of(text, "db.example", 2200), 1);
    assert_int_equal(count_of(text, "DB.example", 2200), 1);
    assert_int_equal(count_of(text, "db.example", 22), 0);
}

static enum host_key_status check(const char *text, const char *algorithm, const char *base64,
                                  unsigned *line)
{
    struct known_hosts known = load(text, "n1", 22);
    const struct known_key *match;
    enum host_key_status status = known_hosts_check(&known, algorithm, base64, &match);
    *line = match != NULL ? match->line : 0;
    known_hosts_free(&known);
    return status;
}

static void keys_are_known_unknown_changed_or_revoked(void **state)
{
    (void)state;
    static const char text[] = "n1 ssh-ed25519 AAAAold\n"
                               "n1 ssh-ed25519 AAAAnew\n"
                               "n1 ecdsa-sha2-nistp256 AAAAec\n"
                               "@revoked * ssh-ed25519 AAAAstolen\n"
                               "n2 ssh-rsa AAAArsa\n";
    unsigned line;
    assert_int_equal(check(text, "ssh-ed25519", "AAAAold", &line), HOST_KEY_KNOWN);
    assert_int_equal(line, 1);
    assert_int_equal(check(text, "ssh-ed25519", "AAAAnew", &line), HOST_KEY_KNOWN);
    assert_int_equal(line, 2);
    assert_int_equal(check(text, "ssh-ed25519", "AAAAother", &line), HOST_KEY_CHANGED);
    assert_int_equal(line, 1);
    assert_int_equal(check(text, "ssh-ed25519", "AAAAstolen", &line), HOST_KEY_REVOKED);
    assert_int_equal(line, 4);
    assert_int_equal(check(text, "ssh-rsa", "AAAArsa", &line), HOST_KEY_UNKNOWN);
    assert_int_equal(line, 0);
}

static void types_that_can_be_checked_are_asked_for_first(void **state)
{
    (void)state;
    struct known_hosts known = load("n1 ecdsa-sha2-nistp384 A\nn1 ssh-rsa B\n", "n1", 22);
    struct buf list = BUF_INIT;
    known_hosts_preference(&known, &list);
    assert_string_equal(list.data, "ecdsa-sha2-nistp384,rsa-sha2-512,rsa-sha2-256,ssh-rsa,"
                                   "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp521");
    buf_free(&list);
    known_hosts_free(&known);
}

static void new_keys_are_appended_on_lines_of_their_own(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    assert_int_equal(count_of("n9 ssh-ed25519 AAAAnine", "n9", 22), 1); /* no newline at its end */
    assert_ok(known_hosts_append(known_path, "N1", 22, "ssh-ed25519", "AAAAone", &err));
    assert_ok(known_hosts_append(known_path, "::1", 2222, "ssh-ed25519", "AAAAtwo", &err));
    char text[200] = "";
    FILE *file = fopen(known_path, "re");
    assert_true(fread(text, 1, sizeof text - 1, file) > 0);
    fclose(file);
    assert_string_equal(text, "n9 ssh-ed25519 AAAAnine\nn1 ssh-ed25519 AAAAone\n"
                              "[::1]:2222 ssh-ed25519 AAAAtwo\n");
    assert_int_equal(known_hosts_append("/dev/full", "n1", 22, "ssh-ed25519", "AAAAone", &err),
                     ERR_IO);
}

/* ---- Key files ---- */

/* Only the beginnings, which say what a key is: the public parts are zeros, the private are
 * missing. */
static void key_files_are_described(void **state)
{
    (void)state;
    static const struct {
        const char *text, *type;
        bool encrypted;
    } files[] = {
        {"-----BEGIN OPENSSH PRIVATE KEY-----\n"
         "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n"
         "QyNTUxOQAAACAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\n",
         "ED25519", false},
        {"-----BEGIN OPENSSH PRIVATE KEY-----\n"
         "b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABAAAAAAAA\n"
         "AAAAAAAAAAAAAAAAAAEAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAA\n"
         "AAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
         "ED25519", true},
        {"-----BEGIN RSA PRIVATE KEY-----\nMIIE", "RSA", false},
        {"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n", "RSA", true},
        {"-----BEGIN EC PRIVATE KEY-----\nMHcC", "ECDSA", false},
        {"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMHcC", "key", true},
        {"-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl", "key", false},
        {"", "key", false},
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct ssh_key_info info = ssh_key_describe_text(files[i].text);
        assert_string_equal(info.type, files[i].type);
        assert_int_equal(info.encrypted, files[i].encrypted);
    }
    assert_false(ssh_key_describe("/nonexistent").readable);
}

static void base64_pads(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct buf text = BUF_INIT;
        ssh_base64(pairs[i][0], strlen(pairs[i][0]), &text);
        assert_string_equal(buf_text(&text), pairs[i][1]);
        buf_free(&text);
    }
}

/* ---- SHA-256: the examples of FIPS 180-4 and of RFC 6234 ---- */

static const char *digest_of(const char *text, size_t repeat)
{
    static char hex[65];
    struct sha256 sha;
    unsigned char digest[SHA256_BYTES];
    sha256_begin(&sha);
    for (size_t i = 0; i < repeat; i++)
        sha256_add(&sha, text, strlen(text));
    sha256_end(&sha, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return hex;
}

static void sha256_gives_the_standard_digests(void **state)
{
    (void)state;
    assert_string_equal(digest_of("", 1),
                        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_string_equal(digest_of("abc", 1),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_string_equal(digest_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1),
                        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    assert_string_equal(digest_of("a", 1000000),
                        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    char hex[65];
    struct err err = ERR_INIT;
    FILE *file = fopen(known_path, "we");
    fputs("abc", file);
    fclose(file);
    assert_ok(sha256_file(known_path, hex, &err));
    assert_string_equal(hex, digest_of("abc", 1));
    assert_int_equal(sha256_file("/nonexistent", hex, &err), ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_are_read),
        cmocka_unit_test(bad_nodes_are_refused),
        cmocka_unit_test(command_lines_are_quoted),
        cmocka_unit_test(labels_are_short_and_on_one_line),
        cmocka_unit_test(hosts_are_found_by_name_pattern_and_port),
        cmocka_unit_test(hashed_hosts_are_found),
        cmocka_unit_test(keys_are_known_unknown_changed_or_revoked),
        cmocka_unit_test(types_that_can_be_checked_are_asked_for_first),
        cmocka_unit_test(new_keys_are_appended_on_lines_of_their_own),
        cmocka_unit_test(key_files_are_described),
        cmocka_unit_test(base64_pads),
        cmocka_unit_test(sha256_gives_the_standard_digests),
    };
    return cmocka_run_group_tests(tests, start_library, stop_library);
}
