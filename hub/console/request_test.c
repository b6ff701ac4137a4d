#include "hub/console/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static int parse(struct request *request, const char *target, const char *body, struct casebus_error *err)
{
    const struct console_request raw = {"GET", target, bytes_of_text(body), NULL};
    return request_init(request, &raw, err);
}

static void expect_refused(const char *target, const char *body, enum casebus_code code)
{
    struct request request;
    struct casebus_error err = {0};
    if (parse(&request, target, body, &err) == 0)
        fail_msg("'%s' was taken", target);
    assert_int_equal(err.code, code);
    request_deinit(&request);
}

static void test_request_is_cut_before_it_is_decoded(void **state)
{
    (void)state;
    struct request request;
    struct casebus_error err;
    assert_int_equal(parse(&request, "/v1/cases/2026%2F1%3Fx?after=a%26b%3D1&limit=7&q=+%E4%B8%AD", "", &err),
                     0);
    assert_string_equal(request.path, "/v1/cases/2026/1?x");
    assert_string_equal(request_param(&request, "after"), "a&b=1");
    assert_string_equal(request_param(&request, "q"), " 中");
    assert_null(request_param(&request, "b"));
    request_deinit(&request);
}

static void test_request_refuses_bad_encoding(void **state)
{
    (void)state;
    expect_refused("/a%", "", CASEBUS_ARGUMENT);
    expect_refused("/a%4", "", CASEBUS_ARGUMENT);
    expect_refused("/a%zz", "", CASEBUS_ARGUMENT);
    expect_refused("/a%00b", "", CASEBUS_ARGUMENT);
    expect_refused("/a%ff", "", CASEBUS_ARGUMENT);
    expect_refused("/a?x=%c3", "", CASEBUS_ARGUMENT);
    expect_refused("/a?x=1&x=2", "", CASEBUS_ARGUMENT);
}

static void test_request_is_bounded(void **state)
{
    (void)state;
    char target[CONSOLE_TARGET_MAX + 2];
    memset(target, 'a', sizeof target - 1);
    target[0] = '/';
    target[sizeof target - 1] = '\0';
    expect_refused(target, "", CASEBUS_TOO_LARGE);
    expect_refused("/?a=&b=&c=&d=&e=&f=&g=&h=&i=&j=&k=&l=&m=&n=&o=&p=&q=", "", CASEBUS_ARGUMENT);
    char *body = calloc(1, CONSOLE_BODY_MAX + 2);
    memset(body, ' ', CONSOLE_BODY_MAX + 1);
    expect_refused("/", body, CASEBUS_TOO_LARGE);
    free(body);
}

static void test_request_takes_only_objects_as_body(void **state)
{
    (void)state;
    struct request request;
    struct casebus_error err;
    expect_refused("/", "{", CASEBUS_MALFORMED);
    expect_refused("/", "[1]", CASEBUS_MALFORMED);
    expect_refused("/", "{\"a\":1,\"a\":2}", CASEBUS_MALFORMED);
    assert_int_equal(parse(&request, "/", "{\"a\":1}", &err), 0);
    assert_int_equal(json_integer_value(json_object_get(request.body, "a")), 1);
    request_deinit(&request);
}

static void test_numbers_are_decimal_and_bounded(void **state)
{
    (void)state;
    uint64_t n;
    assert_true(number_parse("18446744073709551615", UINT64_MAX, &n));
    assert_true(n == UINT64_MAX);
    assert_false(number_parse("18446744073709551616", UINT64_MAX, &n));
    assert_false(number_parse("", 10, &n));
    assert_false(number_parse("-1", 10, &n));
    assert_false(number_parse("1x", 10, &n));
    assert_false(number_parse("11", 10, &n));
    assert_true(number_parse("10", 10, &n));
}

/* Whatever comes, it is taken or refused with a sentence; the sanitizers watch. */
static void test_request_survives_any_bytes(void **state)
{
    static const char alphabet[] = "%/?&=+aF09{}[]\":,\x80\xe4\xb8\xad\x01";
    uint32_t seed = 20261123;
    (void)state;
    for (int round = 0; round < 20000; round++) {
        char target[96], body[64];
        size_t n_target = 0, n_body = 0;
        while (n_target < sizeof target - 1 && (seed = seed * 1664525 + 1013904223) >> 26)
            target[n_target++] = alphabet[(seed >> 16) % (sizeof alphabet - 1)];
        while (n_body < sizeof body - 1 && (seed = seed * 1664525 + 1013904223) >> 27)
            body[n_body++] = alphabet[(seed >> 16) % (sizeof alphabet - 1)];
        target[n_target] = body[n_body] = '\0';
        struct request request;
        struct casebus_error err = {0};
        if (parse(&request, target, body, &err) != 0)
            assert_true(err.code != CASEBUS_OK && err.text[0]);
        request_deinit(&request);
    }
}

static void test_limit_has_a_default_and_a_maximum(void **state)
{
    (void)state;
    struct request request;
    struct casebus_error err;
    uint64_t limit;
    assert_int_equal(parse(&request, "/?limit=1001", "", &err), 0);
    assert_int_equal(request_limit(&request, 1000, &limit, &err), -1);
    request_deinit(&request);
    assert_int_equal(parse(&request, "/?limit=0", "", &err), 0);
    assert_int_equal(request_limit(&request, 1000, &limit, &err), -1);
    request_deinit(&request);
    assert_int_equal(parse(&request, "/", "", &err), 0);
    assert_int_equal(request_limit(&request, 1000, &limit, &err), 0);
    assert_int_equal(limit, 100);
    request_deinit(&request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_is_cut_before_it_is_decoded),
        cmocka_unit_test(test_request_refuses_bad_encoding),
        cmocka_unit_test(test_request_is_bounded),
        cmocka_unit_test(test_request_takes_only_objects_as_body),
        cmocka_unit_test(test_numbers_are_decimal_and_bounded),
        cmocka_unit_test(test_limit_has_a_default_and_a_maximum),
        cmocka_unit_test(test_request_survives_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
