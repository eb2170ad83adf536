/* Cycles as Graphviz graphs: the text of one, what hostile names do to it, and the files that
 * `ordeal check --dot` writes, which dot itself renders where it is installed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/base/text.h"
#include "tests/lib/test.h"
#include "tests/lib/txn_text.h"

static void check_graph(const char *transactions, const char *const *lines, size_t count)
{
    struct txn_verdict verdict = txn_check(transactions, "dot=true");
    assert_int_equal(verdict.verdict, VERDICT_INVALID);
    const char *dot = json_as_text(json_get(json_at(verdict.anomalies, 0), "dot"), "");
    for (size_t i = 0; i < count; i++)
        assert_contains(dot, lines[i]);
    txn_verdict_free(&verdict);
}

static void a_cycle_is_drawn_with_its_evidence(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "digraph \"G-single-item-realtime\" {\n",
        "  T1 [label=\"T1\\lprocess 1, 0.002000 s to 0.003000 s\\l[[:r 1 nil]]\\l\"];\n",
        "  T2 [label=\"T2\\lprocess 0, 0.000000 s to 0.001000 s\\l[[:append 1 1]]\\l\"];\n",
        "  T1 -> T2 [label=\"rw\\lT1 observed the initial (empty) state\\lof key 1, to which T2 "
        "appended 1\\l\", color=",
        "  T2 -> T1 [label=\"realtime\\lT2 completed at event 1, 1 ms before\\lthe invocation of "
        "T1 at event 2\\l\", color=",
        "style=dashed];\n}\n",
    };
    check_graph("0 [[:append 1 1]]\n1 [[:r 1 nil]]", lines, sizeof lines / sizeof *lines);
}

static void each_type_has_its_label(void **state)
{
    (void)state;
    static const char *const overwrites[] = {"digraph \"G0\"", "[label=\"ww\\l",
                                             "T1 appended 2 after T2 appended 1 to\\lkey 1"};
    check_graph("0 invoke [[:append 1 1] [:append 2 1]]\n1 invoke [[:append 1 2] [:append 2 2]]\n"
                "0 ok [[:append 1 1] [:append 2 1]]\n1 ok [[:append 1 2] [:append 2 2]]\n"
                "2 [[:r 1 [1 2]] [:r 2 [2 1]]]",
                overwrites, 3);
    static const char *const reads[] = {"digraph \"G1c\"", "[label=\"wr\\l"};
    check_graph("0 invoke [[:append 1 1] [:r 2 nil]]\n1 invoke [[:append 2 1] [:r 1 nil]]\n"
                "0 ok [[:append 1 1] [:r 2 [1]]]\n1 ok [[:append 2 1] [:r 1 [1]]]",
                reads, 2);
    static const char *const process[] = {"[label=\"process\\lprocess 0 did T2 before T1\\l\""};
    struct txn_verdict verdict = txn_check("0 [[:append 1 1]]\n0 [[:r 1 nil]]\n2 [[:r 1 [1]]]",
                                           "dot=true level=strong-session-serializable");
    assert_contains(json_as_text(json_get(json_at(verdict.anomalies, 0), "dot"), ""), process[0]);
    txn_verdict_free(&verdict);
}

static void nothing_is_drawn_unasked(void **state)
{
    (void)state;
    struct txn_verdict verdict = txn_check("0 [[:append 1 1]]\n1 [[:r 1 nil]]", NULL);
    assert_null(json_get(json_at(verdict.anomalies, 0), "dot"));
    txn_verdict_free(&verdict);
}

/* Quotes, backslashes and line ends in keys and elements stay inside their label. */
static const char hostile[] = "0 [[:append \"a\\\"]; x -> y [\" \"\\\\\\nz\"]]\n"
                              "1 [[:r \"a\\\"]; x -> y [\" nil]]";

static void hostile_names_stay_in_their_labels(void **state)
{
    (void)state;
    struct txn_verdict verdict = txn_check(hostile, "dot=true");
    const char *dot = json_as_text(json_get(json_at(verdict.anomalies, 0), "dot"), "");
    assert_contains(dot, "\\\"a\\\\\\\"]; x -> y [\\\"");
    /* By Graphviz's grammar: outside of quoted strings there are no more edges than the cycle's. */
    size_t edges = 0;
    bool quoted = false;
    for (const char *c = dot; *c != '\0'; c++) {
        if (quoted && *c == '\\')
            c++;
        else if (*c == '"')
            quoted = !quoted;
        else if (!quoted && c[0] == '-' && c[1] == '>')
            edges++;
    }
    assert_false(quoted);
    assert_int_equal(edges, 2);
    txn_verdict_free(&verdict);
}

/* ---- Files ---- */

static int run(const char *format, const char *a, const char *b, char *said, size_t size)
{
    char command[4096];
    snprintf(command, sizeof command, format, a, b);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    said[fread(said, 1, size - 1, pipe)] = '\0';
    int status = pclose(pipe);
    return status < 0 ? status : status >> 8;
}

static void check_file(const char *history, char *said, size_t size)
{
    const char *build = getenv("ORDEAL_BUILD");
    FILE *file = fopen("history.edn", "w");
    assert_non_null(file);
    assert_true(fputs(history, file) >= 0);
    assert_int_equal(fclose(file), 0);
    run("'%s/ordeal' check history.edn --dot %s 2>&1", build == NULL ? "build/release" : build,
        "graphs", said, size);
}

static void every_cycle_gets_a_file(void **state)
{
    (void)state;
    char folder[] = "dot-XXXXXX", said[16384];
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    struct history history;
    struct buf edn = BUF_INIT, dot = BUF_INIT;
    struct err err = ERR_INIT;
    txn_history(hostile, &history);
    for (uint32_t event = 0; event < history.count; event++) {
        history_print_op(&history, event, &edn);
        buf_add_char(&edn, '\n');
    }
    check_file(buf_text(&edn), said, sizeof said);
    assert_contains(said, "note: --dot: 1 graphs in graphs\n");
    assert_ok(file_read("graphs/1-G-single-item-realtime.dot", 1 << 16, &dot, &err));
    assert_contains(buf_text(&dot), "digraph \"G-single-item-realtime\" {\n");
    bool installed = run("dot -V 2>&1%s%s", "", "", said, sizeof said) == 0;
    if (installed) {
        assert_int_equal(run("dot -Tplain graphs/*.dot 2>&1%s%s", "", "", said, sizeof said), 0);
        assert_contains(said, "node T1 ");
        assert_contains(said, "edge T1 T2 ");
        assert_contains(said, "edge T2 T1 ");
    } else {
        print_message("# dot is not installed: its rendering was not looked at\n");
    }
    check_file("{:process 0, :type :invoke, :f :txn, :value [[:append 1 1]]}\n"
               "{:process 0, :type :ok, :f :txn, :value [[:append 1 1]]}\n"
               "{:process 1, :type :invoke, :f :txn, :value [[:r 1 nil]]}\n"
               "{:process 1, :type :ok, :f :txn, :value [[:r 1 [1]]]}\n",
               said, sizeof said);
    assert_contains(said, "0 graphs in graphs: no cycle was found");
    history_free(&history);
    buf_free(&edn);
    buf_free(&dot);
    assert_int_equal(chdir(".."), 0);
    assert_int_equal(run("rm -r '%s'%s", folder, "", said, sizeof said), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cycle_is_drawn_with_its_evidence),
        cmocka_unit_test(each_type_has_its_label),
        cmocka_unit_test(nothing_is_drawn_unasked),
        cmocka_unit_test(hostile_names_stay_in_their_labels),
        cmocka_unit_test(every_cycle_gets_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
