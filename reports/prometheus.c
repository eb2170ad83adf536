/* A run as metrics, in Prometheus' text format: for a textfile collector. `ordeal serve` tells
 * those of a whole store under /metrics. */
#include <inttypes.h>

#include "reports/digest.h"
#include "reports/machine.h"
#include "reports/reports.h"

static void gauge(struct buf *out, const char *name, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
}

static void begin(struct buf *out, const char *name, const char *test)
{
    buf_printf(out, "%s{test=", name);
    machine_label(out, test);
}

static void add_latencies(struct buf *out, const struct digest *digest, const char *test)
{
    static const char *const shares[] = {"0.5", "0.99", "1"};
    static const double quantiles[] = {0.5, 0.99, 1};
    gauge(out, "ordeal_run_latency_seconds", "Latency of ok operations, by quantile.");
    for (size_t i = 0; i < digest->function_count; i++) {
        const struct latency *latency = &digest->functions[i].latency[OP_OK];
        for (int q = 0; q < 3 && latency->count > 0; q++) {
            begin(out, "ordeal_run_latency_seconds", test);
            buf_add_text(out, ",function=");
            machine_label(out, digest->functions[i].name);
            buf_printf(out, ",quantile=\"%s\"} %.9g\n", shares[q],
                       (double)latency_quantile(latency, quantiles[q]) / 1e9);
        }
    }
}

static enum err_code write_prometheus(const struct run *run, FILE *out, struct err *err)
{
    struct digest digest;
    struct buf text = BUF_INIT;
    digest_make(run, &digest);
    const char *test = digest_test_text(&digest, "name");
    test = test == NULL ? "" : test;
    gauge(&text, "ordeal_run_verdict", "The run's verdict: 0 valid, 1 unknown, 2 invalid.");
    begin(&text, "ordeal_run_verdict", test);
    buf_printf(&text, "} %d\n", (int)digest.verdict);
    gauge(&text, "ordeal_run_checker_verdict", "A checker's: 0 valid, 1 unknown, 2 invalid.");
    for (size_t i = 0; i < digest.checker_count; i++) {
        begin(&text, "ordeal_run_checker_verdict", test);
        buf_add_text(&text, ",checker=");
        machine_label(&text, digest.checkers[i].name);
        buf_printf(&text, "} %d\n", (int)digest.checkers[i].verdict);
    }
    gauge(&text, "ordeal_run_operations", "Operations, by function and outcome.");
    for (size_t i = 0; i < digest.function_count; i++)
        for (int outcome = OP_OK; outcome <= OP_INFO; outcome++) {
            begin(&text, "ordeal_run_operations", test);
            buf_add_text(&text, ",function=");
            machine_label(&text, digest.functions[i].name);
            buf_printf(&text, ",outcome=\"%s\"} %" PRIu64 "\n", op_type_name((enum op_type)outcome),
                       digest.functions[i].count[outcome]);
        }
    add_latencies(&text, &digest, test);
    gauge(&text, "ordeal_run_faults", "Faults that were asked for.");
    begin(&text, "ordeal_run_faults", test);
    buf_printf(&text, "} %zu\n", digest.fault_count);
    gauge(&text, "ordeal_run_anomalies", "Anomalies that were found.");
    begin(&text, "ordeal_run_anomalies", test);
    buf_printf(&text, "} %zu\n", digest.anomaly_count);
    digest_free(&digest);
    return report_put(&text, "the metrics", out, err);
}

const struct reporter reporter_prometheus = {
    .name = "prometheus",
    .summary = "metrics of the run, for a textfile collector of Prometheus",
    .write = write_prometheus,
};
