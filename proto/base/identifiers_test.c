/* The numbers against published examples, and the property that a check digit is for: no single wrong
 * character goes unnoticed. */
#include "proto/base/files.h"
#include "proto/base/identifiers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

typedef const char *check_function(const char *text);

static const struct {
    const char *kind;
    check_function *check;
} kinds[] = {
    {"uscc", uscc_check},
    {"orgcode", orgcode_check},
    {"citizen_id", citizen_id_check},
    {"licence_mod37_36", licence_mark_check},
    {"implement_code31", implement_code_check},
    {"case_no43", case_number_check},
};

static check_function *check_of(const char *kind)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].kind, kind) == 0)
            return kinds[i].check;
    fail_msg("no check for '%s'", kind);
    return NULL;
}

/* Calls @visit for each row of the vectors: kind, value, valid. */
static unsigned vectors_each(void (*visit)(check_function *check, const char *value, bool valid))
{
    struct buffer file;
    assert_int_equal(file_read(TEST_DATA_DIR "/id_vectors.csv", 65536, &file, NULL), 0);
    unsigned n = 0;
    char *rest = (char *)file.data;
    char *line = strsep(&rest, "\n");
    while ((line = strsep(&rest, "\n")) && line[0]) {
        const char *kind = strsep(&line, ",");
        const char *value = strsep(&line, ",");
        visit(check_of(kind), value, line[0] == '1');
        n++;
    }
    buffer_deinit(&file);
    return n;
}

static void vector_check(check_function *check, const char *value, bool valid)
{
    const char *reason = check(value);
    if (valid != (reason == NULL))
        fail_msg("'%s' should be %s: %s", value, valid ? "right" : "wrong", reason ? reason : "taken");
    if (reason)
        assert_null(strstr(reason, value)); /* a number never stands in its reason */
}

static void test_published_numbers_are_told_right_from_wrong(void **state)
{
    (void)state;
    assert_int_equal(vectors_each(vector_check), 32);
}

/* Is there another character that may stand here? All single changes of a right number must be refused. */
static void vector_vary(check_function *check, const char *value, bool valid)
{
    char text[128];
    size_t size = strlen(value);
    if (!valid || check == case_number_check || check == implement_code_check)
        return;                                    /* these have free digits behind the checked part */
    int last = check == orgcode_check ? '9' : 255; /* modulo 11, letters may stand for each other */
    for (size_t i = 0; i < size; i++) {
        for (int c = 1; c <= last; c++) {
            memcpy(text, value, size + 1);
            text[i] = (char)c;
            if (text[i] != value[i] && !check(text))
                fail_msg("'%s' was taken", text);
        }
    }
}

static void test_no_single_wrong_character_goes_unnoticed(void **state)
{
    (void)state;
    vectors_each(vector_vary);
}

static void vector_cut(check_function *check, const char *value, bool valid)
{
    char text[128];
    (void)valid;
    for (size_t size = 0; size < strlen(value); size++) {
        snprintf(text, sizeof text, "%.*s", (int)size, value);
        if (check != licence_mark_check)
            assert_non_null(check(text));
        else
            check(text); /* a mark has no fixed length */
    }
    snprintf(text, sizeof text, "%s0", value);
    if (check != licence_mark_check)
        assert_non_null(check(text));
}

static void test_numbers_of_another_length_are_refused(void **state)
{
    (void)state;
    vectors_each(vector_cut);
}

static void test_codes_without_check_digit_are_judged_by_form(void **state)
{
    (void)state;
    assert_null(area_check("320000"));
    assert_null(area_check("320576"));
    assert_non_null(area_check("032000"));
    assert_non_null(area_check("32000"));
    assert_non_null(area_check("32000A"));
    assert_null(catalog_code_check("000117051000"));
    assert_non_null(catalog_code_check("00011705100X"));
    assert_null(handle_item_check("11440232MB2D06811W400011705100001"));
    assert_non_null(handle_item_check("11440232MB2D06811W40001170510000A"));
    assert_non_null(handle_item_check("11440232MB2D06811X400011705100001"));
    assert_non_null(case_number_check("11440232MB2D06811W400011705100020230229000A"));
    assert_non_null(case_number_check("11440232MB2D06811W4000117051000202302290008"));
}

static void test_long_mark_is_refused_without_reading_on(void **state)
{
    (void)state;
    char text[4096];
    memset(text, '1', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_non_null(licence_mark_check(text));
    assert_non_null(licence_mark_check(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_numbers_are_told_right_from_wrong),
        cmocka_unit_test(test_no_single_wrong_character_goes_unnoticed),
        cmocka_unit_test(test_numbers_of_another_length_are_refused),
        cmocka_unit_test(test_codes_without_check_digit_are_judged_by_form),
        cmocka_unit_test(test_long_mark_is_refused_without_reading_on),
    };
    return cmocka_run_group_tests_name("identifiers", tests, NULL, NULL);
}
