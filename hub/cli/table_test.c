#include "hub/cli/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct table_column columns[] = {
    {"名称", TABLE_LEFT, 0}, {"N", TABLE_RIGHT, 0}, {"TEXT", TABLE_LEFT, 6}};

static char *print(const struct table *table, bool colour)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    table_print(table, out, colour);
    fclose(out);
    return text;
}

static void test_table_aligns_wide_characters(void **state)
{
    (void)state;
    struct table *table = table_new(columns, 3);
    table_text(table, "工商局");
    table_printf(table, "%d", 7);
    table_text(table, "abc");
    table_text(table, "ab");
    table_printf(table, "%d", 12345);
    table_text(table, "");
    char *text = print(table, false);
    assert_string_equal(text, "名称        N  TEXT\n"
                              "工商局      7  abc\n"
                              "ab      12345  \n");
    free(text);
    table_free(table);
}

static void test_table_cuts_long_texts_between_characters(void **state)
{
    (void)state;
    char text[64] = "办件编号很长";
    text_cut(text, sizeof text, 6);
    assert_string_equal(text, "办件…");
    assert_int_equal(text_width(text), 5);
    strcpy(text, "abcdefgh");
    text_cut(text, sizeof text, 6);
    assert_string_equal(text, "abcde…");
    strcpy(text, "abcdef");
    text_cut(text, sizeof text, 6);
    assert_string_equal(text, "abcdef");
}

static void test_table_shows_control_characters_harmlessly(void **state)
{
    (void)state;
    struct table *table = table_new(columns, 3);
    table_text(table, "a\033[31mb\n");
    table_text(table, "1");
    table_text(table, NULL);
    char *text = print(table, false);
    assert_null(strchr(text, '\033'));
    assert_non_null(strstr(text, "\\x1b"));
    assert_non_null(strstr(text, "-\n"));
    free(text);
    table_free(table);
}

static void test_table_uses_colour_only_when_told(void **state)
{
    (void)state;
    struct table *table = table_new(columns, 3);
    char *plain = print(table, false), *colour = print(table, true);
    assert_null(strchr(plain, '\033'));
    assert_non_null(strchr(colour, '\033'));
    free(plain);
    free(colour);
    table_free(table);
}

static void test_width_of_damaged_text_is_bounded(void **state)
{
    (void)state;
    assert_true(text_width("\xe4\xb8") <= 2);
    assert_int_equal(text_width(""), 0);
    assert_int_equal(text_width("a中b"), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_aligns_wide_characters),
        cmocka_unit_test(test_table_cuts_long_texts_between_characters),
        cmocka_unit_test(test_table_shows_control_characters_harmlessly),
        cmocka_unit_test(test_table_uses_colour_only_when_told),
        cmocka_unit_test(test_width_of_damaged_text_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
