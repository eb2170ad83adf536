/* A small judge of XML, and of HTML that is written like XML but for its doctype and its elements
 * that are never closed. */
#ifndef ORDEAL_TESTS_MARKUP_CHECK_H
#define ORDEAL_TESTS_MARKUP_CHECK_H

#include <stddef.h>

enum markup_kind { MARKUP_XML, MARKUP_HTML };

/* Fails the test, with the place, unless the text is well-formed: tags nest, attributes are quoted
 * and named once, references are known, and every character is one that XML 1.0 allows. */
void markup_assert(const char *text, size_t length, enum markup_kind kind);

#endif
