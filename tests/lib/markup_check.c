/* A small judge of XML and HTML: see markup_check.h. */
#include "tests/lib/markup_check.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "harness/base/text.h"
#include "reports/html.h"
#include "tests/lib/test.h"

enum { DEPTH_MAX = 64, NAME_MAX_LENGTH = 31, ATTRIBUTES_MAX = 16 };

struct judge {
    const char *text, *at, *end;
    enum markup_kind kind;
    char open[DEPTH_MAX][NAME_MAX_LENGTH + 1];
    int depth;
};

static void wrong(const struct judge *judge, const char *what)
{
    size_t from =
        (size_t)(judge->at - judge->text) > 60 ? (size_t)(judge->at - judge->text) - 60 : 0;
    fail_msg("%s at byte %zu: ...%.120s", what, (size_t)(judge->at - judge->text),
             judge->text + from);
}

static void check_characters(struct judge *judge)
{
    for (judge->at = judge->text; judge->at < judge->end;) {
        unsigned char c = (unsigned char)*judge->at;
        size_t size = text_utf8(judge->at, (size_t)(judge->end - judge->at));
        if (size == 0)
            wrong(judge, "malformed UTF-8");
        if (c < 0x20 && c != '\n' && c != '\t' && c != '\r')
            wrong(judge, "a control character");
        if (size == 3 && c == 0xef && (judge->at[1] & 0xff) == 0xbf &&
            (judge->at[2] & 0xff) >= 0xbe)
            wrong(judge, "a character that XML forbids");
        judge->at += size;
    }
    judge->at = judge->text;
}

static void reference(struct judge *judge)
{
    const char *semicolon = memchr(judge->at, ';', (size_t)(judge->end - judge->at));
    size_t length = semicolon == NULL ? 0 : (size_t)(semicolon - judge->at) - 1;
    static const char *const xml[] = {"amp", "lt", "gt", "quot", "apos", "#39", NULL};
    static const char *const html[] = {"ndash",  "hellip", "middot", "#10003",
                                       "#10007", "#8230",  NULL};
    if (length == 0 || length > 8)
        wrong(judge, "an ampersand that is no reference");
    bool known = false;
    for (int set = 0; set < (judge->kind == MARKUP_HTML ? 2 : 1); set++)
        for (const char *const *name = set == 0 ? xml : html; *name != NULL; name++)
            known = known || (strlen(*name) == length && memcmp(*name, judge->at + 1, length) == 0);
    if (!known)
        wrong(judge, "an unknown reference");
    judge->at = semicolon + 1;
}

static void name(struct judge *judge, char *name)
{
    size_t length = 0;
    while (judge->at < judge->end && (isalnum((unsigned char)*judge->at) || *judge->at == '-')) {
        if (length == NAME_MAX_LENGTH)
            wrong(judge, "a very long name");
        name[length++] = *judge->at++;
    }
    if (length == 0)
        wrong(judge, "a name is missing");
    name[length] = '\0';
}

static void blanks(struct judge *judge)
{
    while (judge->at < judge->end && isspace((unsigned char)*judge->at))
        judge->at++;
}

static void attributes(struct judge *judge)
{
    char names[ATTRIBUTES_MAX][NAME_MAX_LENGTH + 1];
    for (int count = 0;; count++) {
        bool apart = isspace((unsigned char)*judge->at);
        blanks(judge);
        if (*judge->at == '>' || *judge->at == '/' || *judge->at == '?')
            return;
        if (!apart || count == ATTRIBUTES_MAX)
            wrong(judge, "attributes are not apart, or too many");
        name(judge, names[count]);
        for (int i = 0; i < count; i++)
            if (strcmp(names[i], names[count]) == 0)
                wrong(judge, "an attribute stands twice");
        if (strcmp(names[count], "style") == 0 || strncmp(names[count], "on", 2) == 0)
            wrong(judge, "an attribute that the page's policy forbids");
        if (judge->at[0] != '=' || judge->at[1] != '"')
            wrong(judge, "an attribute without a quoted value");
        judge->at += 2;
        while (*judge->at != '"') {
            if (judge->at == judge->end || *judge->at == '<')
                wrong(judge, "an attribute's value does not end");
            if (*judge->at == '&')
                reference(judge);
            else
                judge->at++;
        }
        judge->at++;
    }
}

static bool never_closed(const struct judge *judge, const char *tag)
{
    static const char *const tags[] = {"meta", "br", "link", "input"};
    bool found = false;
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        found |= strcmp(tag, tags[i]) == 0;
    return found && judge->kind == MARKUP_HTML;
}

/* The page's own script, to the letter, or data, which cannot be more than base64. */
static void script(struct judge *judge)
{
    static const char data[] = " type=\"text/plain\" id=\"ordeal-data\">\n";
    size_t length = strlen(html_script);
    if (strncmp(judge->at, data, strlen(data)) == 0) {
        judge->at += strlen(data);
        judge->at +=
            strspn(judge->at, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                              "+/= -\n");
    } else if (judge->at[0] == '>' && strncmp(judge->at + 1, html_script, length) == 0) {
        judge->at += 1 + length;
    }
    if (strncmp(judge->at, "</script>", 9) != 0)
        wrong(judge, "a script that is not the page's");
    judge->at += 9;
}

static void closing(struct judge *judge)
{
    char tag[NAME_MAX_LENGTH + 1];
    judge->at += 2;
    name(judge, tag);
    if (judge->depth == 0 || strcmp(judge->open[judge->depth - 1], tag) != 0)
        wrong(judge, "a tag closes what is not open");
    if (*judge->at != '>')
        wrong(judge, "a closing tag does not end");
    judge->at++;
    judge->depth--;
}

static void opening(struct judge *judge)
{
    char tag[NAME_MAX_LENGTH + 1];
    judge->at++;
    name(judge, tag);
    if (strcmp(tag, "script") == 0) {
        script(judge);
        return;
    }
    attributes(judge);
    bool closed = *judge->at == '/';
    judge->at += closed;
    if (*judge->at != '>')
        wrong(judge, "a tag does not end");
    judge->at++;
    if (closed || never_closed(judge, tag))
        return;
    if (judge->depth == DEPTH_MAX)
        wrong(judge, "too deep");
    strcpy(judge->open[judge->depth++], tag);
    if (strcmp(tag, "style") == 0) { /* not markup inside */
        judge->at = strstr(judge->at, "</style>");
        assert_non_null(judge->at);
    }
}

static void beginning(struct judge *judge)
{
    static const char doctype[] = "<!DOCTYPE html>\n", declaration[] = "<?xml version=\"1.0\" ";
    bool html = judge->kind == MARKUP_HTML;
    if (strncmp(judge->at, html ? doctype : declaration,
                html ? strlen(doctype) : strlen(declaration)) != 0)
        wrong(judge, "no doctype or declaration");
    judge->at = strchr(judge->at, '>') + 1;
}

void markup_assert(const char *text, size_t length, enum markup_kind kind)
{
    struct judge judge = {.text = text, .at = text, .end = text + length, .kind = kind};
    check_characters(&judge);
    beginning(&judge);
    while (judge.at < judge.end) {
        if (judge.at[0] == '<' && judge.at[1] == '/')
            closing(&judge);
        else if (judge.at[0] == '<')
            opening(&judge);
        else if (judge.at[0] == '&')
            reference(&judge);
        else if (judge.at[0] == ']' && strncmp(judge.at, "]]>", 3) == 0)
            wrong(&judge, "]]> in text");
        else if (judge.depth == 0 && !isspace((unsigned char)*judge.at))
            wrong(&judge, "text outside the root");
        else
            judge.at++;
    }
    if (judge.depth != 0)
        wrong(&judge, "a tag is not closed");
}
