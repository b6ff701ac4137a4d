#include "adapters/eventlog/xes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct xes *xes_of(struct bytes content, const char *encoding)
{
    struct input *input;
    struct xes *xes;
    assert_int_equal(input_open_memory(&input, "test.xes", content, NULL), 0);
    assert_int_equal(xes_open(&xes, input, encoding, NULL), 0);
    return xes;
}

/* The events as a text: "number:name=value,...;", "number!" for a bad one, "failed" at the end. */
static const char *events_of(struct bytes content, const char *encoding, struct casebus_error *err)
{
    static char out[4096];
    struct row row;
    size_t n = 0;
    int r;
    struct xes *xes = xes_of(content, encoding);
    out[0] = '\0';
    while ((r = xes_next(xes, &row, err)) > 0) {
        n += (size_t)snprintf(out + n, sizeof out - n, "%d%s", (int)row.number,
                              r == SOURCE_BAD_ROW ? "!" : ":");
        for (size_t i = 0; r == SOURCE_ROW && i < row.n_fields; i++)
            n += (size_t)snprintf(out + n, sizeof out - n, "%s%s=%s", i ? "," : "", row.fields[i].name,
                                  row.fields[i].value);
        n += (size_t)snprintf(out + n, sizeof out - n, ";");
        assert_true(n < sizeof out);
    }
    if (r < 0)
        snprintf(out + n, sizeof out - n, "failed");
    xes_close(xes);
    return out;
}

static const char *events(const char *text)
{
    struct casebus_error err;
    return events_of(bytes_of_text(text), NULL, &err);
}

#define LOG(text)   "<?xml version='1.0'?>\n<log xes.version='1.0'>" text "</log>"
#define TRACE(text) "<trace><string key='n' value='c'/>" text "</trace>"

static void test_events_carry_their_own_and_their_cases_attributes(void **state)
{
    (void)state;
    assert_string_equal(
        events(LOG(TRACE("<event><string key='a' value='&lt;1&#x4e2d;'/><date key='t' value='2'/></event>"
                         "<event/>") "<trace><event><int key='a' value='3'/></event></trace>")),
        "1:a=<1\xe4\xb8\xad,t=2,case:n=c,event:index=1;2:case:n=c,event:index=2;3:a=3,event:index=1;");
}

static void test_globals_lists_and_the_logs_own_attributes_are_passed_over(void **state)
{
    (void)state;
    assert_string_equal(
        events(LOG("<global scope='event'><string key='a' value='default'/></global>"
                   "<string key='x' value='y'><event><string key='no' value='no'/></event></string>" TRACE(
                       "<event><list key='l'><values><string key='in' value='in'/></values></list>"
                       "<string key='a' value='1'><string key='meta' value='m'/></string></event>"))),
        "1:a=1,case:n=c,event:index=1;");
}

static void test_document_types_are_refused_at_sight(void **state)
{
    (void)state;
    struct casebus_error err;
    const char *bomb = "<!DOCTYPE l [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;'>]>"
                       "<log><trace><event><string key='x' value='&b;'/></event></trace></log>";
    assert_string_equal(events_of(bytes_of_text(bomb), NULL, &err), "failed");
    assert_non_null(strstr(err.text, "document type"));
    const char *external = "<!DOCTYPE l SYSTEM 'file:///etc/passwd'><log/>";
    assert_string_equal(events_of(bytes_of_text(external), NULL, &err), "failed");
}

static void test_events_before_damage_are_kept(void **state)
{
    (void)state;
    struct casebus_error err;
    const char *text = "<log><trace><event><string key='a' value='1'/></event><event></trace>";
    assert_string_equal(events_of(bytes_of_text(text), NULL, &err), "1:a=1,event:index=1;failed");
    assert_non_null(strstr(err.text, "line 1, column"));
    assert_string_equal(events("<log><trace><event/></trace>"), "1:event:index=1;failed");
    assert_string_equal(events(""), "failed");
    assert_string_equal(events("<xes/>"), "failed");
    assert_string_equal(events("<log/>"), "");
}

static void test_an_attribute_without_key_spoils_its_event_only(void **state)
{
    (void)state;
    assert_string_equal(events(LOG(TRACE("<event><string value='1'/></event><event/>"))),
                        "1!;2:case:n=c,event:index=2;");
    assert_string_equal(events(LOG("<trace><string key='k'/><event/></trace><trace><event/></trace>")),
                        "1!;2:event:index=1;");
}

static void test_what_grows_is_bounded(void **state)
{
    (void)state;
    struct casebus_error err;
    size_t n = 0;
    char *text = malloc(8 << 20);
    n = (size_t)sprintf(text, "<log><trace><event>");
    for (int i = 0; i < 300; i++)
        n += (size_t)sprintf(text + n, "<string key='k%d' value='v'/>", i);
    n += (size_t)sprintf(text + n, "</event><event/></trace></log>");
    assert_string_equal(events_of(bytes_of(text, n), NULL, &err), "1!;2:event:index=2;");

    n = (size_t)sprintf(text, "<log><trace><event><string key='k' value='");
    memset(text + n, 'x', (1 << 20) + 1);
    n += (1 << 20) + 1;
    n += (size_t)sprintf(text + n, "'/></event><event/></trace></log>");
    assert_string_equal(events_of(bytes_of(text, n), NULL, &err), "1!;2:event:index=2;");

    n = (size_t)sprintf(text, "<log><trace><event><string key='k' value='");
    memset(text + n, 'x', 6 << 20);
    assert_string_equal(events_of(bytes_of(text, 6 << 20), NULL, &err), "failed");
    assert_non_null(strstr(err.text, "longer than"));

    n = 0;
    for (int i = 0; i < 5000; i++)
        n += (size_t)sprintf(text + n, i ? "<list>" : "<log>");
    assert_string_equal(events_of(bytes_of(text, n), NULL, &err), "failed");
    assert_non_null(strstr(err.text, "nested"));
    free(text);
}

/* expat puts off parsing while a long token grows, so the last events may come only at the very end. */
static void test_events_behind_long_values_are_not_lost(void **state)
{
    (void)state;
    struct casebus_error err;
    struct row row;
    char *text = malloc(2 << 20);
    for (size_t size = 1000; size < (1 << 20); size += size / 3) {
        size_t seen = 0;
        size_t n = (size_t)sprintf(text, "<log><trace><event><string key='k' value='");
        memset(text + n, 'x', size);
        n += size;
        n += (size_t)sprintf(text + n, "'/></event><event/><event/><event/></trace></log>");
        struct xes *xes = xes_of(bytes_of(text, n), NULL);
        while (xes_next(xes, &row, &err) == SOURCE_ROW)
            seen++;
        assert_int_equal(seen, 4);
        xes_close(xes);
    }
    free(text);
}

static void test_gb18030_is_read_as_declared_or_as_told(void **state)
{
    (void)state;
    struct casebus_error err;
    const char *declared = "<?xml version='1.0' encoding='GB2312'?><log><trace><event>"
                           "<string key='a' value='\xd6\xd0'/></event></trace></log>";
    assert_string_equal(events_of(bytes_of_text(declared), NULL, &err), "1:a=\xe4\xb8\xad,event:index=1;");
    const char *silent = "<log><trace><event><string key='a' value='\xd6\xd0'/></event></trace></log>";
    assert_string_equal(events_of(bytes_of_text(silent), "GB18030", &err), "1:a=\xe4\xb8\xad,event:index=1;");
    assert_string_equal(events_of(bytes_of_text(silent), NULL, &err), "failed");
    const char *bad = "<log><trace><event><string key='a' value='\xff\xff'/></event></trace></log>";
    assert_string_equal(events_of(bytes_of_text(bad), "GB18030", &err), "failed");
    assert_non_null(strstr(err.text, "not GB18030 text"));
}

/* A character of four bytes lies across every place where chunks of the file may be cut. */
static void test_characters_across_chunks_are_whole(void **state)
{
    (void)state;
    struct casebus_error err;
    size_t n_events = 12000, n = 0, seen = 0;
    struct row row;
    char *text = malloc(n_events * 64 + 128);
    n += (size_t)sprintf(text, "<log><trace>");
    for (size_t i = 0; i < n_events; i++)
        n += (size_t)sprintf(text + n,
                             "<event><id key='a' value='\x95\x32\x82\x36\x95\x32\x82\x36'/></event>%s",
                             i % 3 ? "" : " ");
    n += (size_t)sprintf(text + n, "</trace></log>");
    struct xes *xes = xes_of(bytes_of(text, n), "GB18030");
    while (xes_next(xes, &row, &err) == SOURCE_ROW) {
        assert_string_equal(row.fields[0].value, "\xf0\xa0\x80\x80\xf0\xa0\x80\x80");
        seen++;
    }
    assert_int_equal(seen, n_events);
    xes_close(xes);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_carry_their_own_and_their_cases_attributes),
        cmocka_unit_test(test_globals_lists_and_the_logs_own_attributes_are_passed_over),
        cmocka_unit_test(test_document_types_are_refused_at_sight),
        cmocka_unit_test(test_events_before_damage_are_kept),
        cmocka_unit_test(test_an_attribute_without_key_spoils_its_event_only),
        cmocka_unit_test(test_what_grows_is_bounded),
        cmocka_unit_test(test_events_behind_long_values_are_not_lost),
        cmocka_unit_test(test_gb18030_is_read_as_declared_or_as_told),
        cmocka_unit_test(test_characters_across_chunks_are_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
