/* Codes are typed by people: what they may do wrong, and what they may not. */
#include "proto/crypto/code.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void test_a_code_reads_back_as_it_was_printed(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        struct code code, read;
        char text[CODE_TEXT];
        code_make(&code);
        code_format(&code, text);
        assert_int_equal(strlen(text), CODE_TEXT - 1);
        assert_int_equal(code_parse(&read, text, NULL), 0);
        assert_memory_equal(&code, &read, sizeof code);
    }
}

static void test_case_blanks_hyphens_and_letters_like_digits_are_forgiven(void **state)
{
    struct code code, read;
    char text[CODE_TEXT], typed[64];
    size_t n = 0;
    (void)state;
    code_make(&code);
    code_format(&code, text);
    for (const char *p = text; *p; p++) {
        char c = *p == '-' ? ' ' : *p == '0' ? 'o' : *p == '1' ? (n % 2 ? 'i' : 'L') : (char)tolower(*p);
        typed[n++] = c;
        typed[n++] = ' ';
    }
    typed[n] = '\0';
    assert_int_equal(code_parse(&read, typed, NULL), 0);
    assert_memory_equal(&code, &read, sizeof code);
}

static void test_every_single_slip_is_found(void **state)
{
    static const char symbols[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    struct code code, read;
    struct casebus_error err;
    char text[CODE_TEXT];
    (void)state;
    code_make(&code);
    code_format(&code, text);
    for (size_t i = 0; i < CODE_TEXT - 1; i++) {
        char right = text[i];
        for (const char *s = symbols; *s && right != '-'; s++) {
            text[i] = *s;
            int expected = *s == right ? 0 : -1;
            assert_int_equal(code_parse(&read, text, &err), expected);
            if (expected)
                assert_int_equal(err.code, CASEBUS_ARGUMENT);
        }
        text[i] = right;
    }
}

static void test_what_is_no_code_is_refused_and_not_repeated(void **state)
{
    static const char *const wrong[] = {"",
                                        "0",
                                        "0000-0000-0000-000",
                                        "0000-0000-0000-00000",
                                        "U000000000000000",
                                        "000000000000000*",
                                        "\xe4\xb8\xad"};
    struct code code;
    struct casebus_error err;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(code_parse(&code, wrong[i], &err), -1);
}

static void test_name_and_key_are_derived_apart(void **state)
{
    struct code code, other;
    uint8_t id[INVITATION_SIZE], key[CODE_KEY_SIZE], id2[INVITATION_SIZE], key2[CODE_KEY_SIZE];
    (void)state;
    code_make(&code);
    code_make(&other);
    code_derive(&code, id, key);
    code_derive(&code, id2, key2);
    assert_memory_equal(id, id2, sizeof id);
    assert_memory_equal(key, key2, sizeof key);
    assert_memory_not_equal(id, key, sizeof id);
    code_derive(&other, id2, key2);
    assert_memory_not_equal(id, id2, sizeof id);
    assert_memory_not_equal(key, key2, sizeof key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_code_reads_back_as_it_was_printed),
        cmocka_unit_test(test_case_blanks_hyphens_and_letters_like_digits_are_forgiven),
        cmocka_unit_test(test_every_single_slip_is_found),
        cmocka_unit_test(test_what_is_no_code_is_refused_and_not_repeated),
        cmocka_unit_test(test_name_and_key_are_derived_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
