/* What the page's script is given: the operations in columns, and beside them what they are named
 * by.
 *
 * One element <script type="text/plain" id="ordeal-data">, which no browser runs. Its text is a
 * line a column: the name, a space, and base64 of a zlib stream. The first is "header", JSON; the
 * others have an entry an operation, in the order of invocation: begin          quanta since the
 * operation before (the first: since the header's "from-ns") duration       quanta; 0 where it
 * never ended. Where "rounded", in two columns instead: duration-high, duration-low   a byte each:
 * low + 64 below 64, else (64 + low) << (high - 1) lane           which line it is drawn on: a
 * thread, or a process generation     how many processes of the lane came before, since the lane's
 * operation before f, outcome     into "functions"; 0 ok, 1 fail, 2 info, 3 never completed error
 * the place in "errors", of which the first is none key, or key-count and keys    1 + the place in
 * "keys"; 0: none, or one of too many weight         how many operations each stands for; without:
 * one near           1: near an anomaly value          a line an operation; with "values": "near"
 * only of those near an anomaly Numbers are varints (page_pack.h) unless they are said to be bytes.
 */
#ifndef ORDEAL_REPORTS_PAGE_DATA_H
#define ORDEAL_REPORTS_PAGE_DATA_H

#include "reports/html.h"

/* Adds the element; nothing when there is no operation. */
void page_data(struct html *html);
/* How many anomalies are drawn in full, and so can be linked with the timeline. */
enum { PAGE_ANOMALIES_MAX = 40 };

/* The header's parts that do not depend on which operations are there (page_header.c). */
struct json *page_faults_json(const struct digest *digest);
struct json *page_marks_json(const struct digest *digest);
struct json *page_errors_json(const struct history *history);
enum { PAGE_ERRORS_MAX = 2000 }; /* the others are told as "(others)" */

#endif
