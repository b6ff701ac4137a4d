#include "adapters/eventlog/sheet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct sheet *sheet_of(struct bytes content, char delimiter, const char *encoding,
                              struct casebus_error *err)
{
    struct input *input;
    struct sheet *sheet = NULL;
    struct sheet_options options = {.delimiter = delimiter, .encoding = encoding};
    assert_int_equal(input_open_memory(&input, "test.csv", content, err), 0);
    return sheet_open(&sheet, input, &options, err) == 0 ? sheet : NULL;
}

/* The rows as a text: "number@line:cell|cell;" and "number@line!" for a bad one. */
static const char *rows_of(struct bytes content, char delimiter, const char *encoding)
{
    static char out[4096];
    struct casebus_error err;
    struct row row;
    size_t n = 0;
    int r;
    struct sheet *sheet = sheet_of(content, delimiter, encoding, &err);
    assert_non_null(sheet);
    out[0] = '\0';
    while ((r = sheet_next(sheet, &row, &err)) > 0) {
        n += (size_t)snprintf(out + n, sizeof out - n, "%d@%d%s", (int)row.number, (int)row.line,
                              r == SOURCE_BAD_ROW ? "!" : ":");
        for (size_t i = 0; i < row.n_fields; i++)
            n += (size_t)snprintf(out + n, sizeof out - n, "%s%s", i ? "|" : "", row.fields[i].value);
        n += (size_t)snprintf(out + n, sizeof out - n, ";");
        assert_true(n < sizeof out);
    }
    assert_int_equal(r, 0);
    sheet_close(sheet);
    return out;
}

static const char *rows(const char *text)
{
    return rows_of(bytes_of_text(text), 0, NULL);
}

static void test_rows_carry_their_cells_number_and_line(void **state)
{
    (void)state;
    assert_string_equal(rows("a,b\n1,2\n3,4\n"), "1@2:1|2;2@3:3|4;");
    assert_string_equal(rows("a,b\r\n1,2\r\n\r\n3,4"), "1@2:1|2;2@4:3|4;");
    assert_string_equal(rows("\n\na,b\n\n1,2\n"), "1@5:1|2;");
    assert_string_equal(rows("a,b\n, \n\" x\",\"\"\n"), "1@2:| ;2@3: x|;");
    assert_string_equal(rows("a\n"), "");
}

static void test_quoted_cells_hold_anything(void **state)
{
    (void)state;
    assert_string_equal(rows("a,b\n\"1\n,\"\"2\",x\n3,4\n"), "1@2:1\n,\"2|x;2@4:3|4;");
    assert_string_equal(rows("\"a\n\",b\n1,2\n"), "1@3:1|2;");
}

static void test_a_bad_row_costs_one_line(void **state)
{
    (void)state;
    assert_string_equal(rows("a,b\n1\n2,2\n"), "1@2!;2@3:2|2;");
    assert_string_equal(rows("a,b\n1,\"x\"y\n2,2\n"), "1@2!;2@3:2|2;");
    assert_string_equal(rows("a,b\n1,x\"y\n2,2\n"), "1@2!;2@3:2|2;");
    assert_string_equal(rows("a,b\n1,\"lost\n2,2\n3,3\n"), "1@2!;"); /* that may all be the cell's */
    assert_string_equal(rows("a,b\n1,\"lost\n2,\"2\n3,3\n"), "1@2!;2@3!;");
    assert_string_equal(rows("a,b\n\"1\n2\",3,4\n5,6\n"), "1@2!;2@4:5|6;");
    assert_string_equal(rows("a,b\n1,2\r3,4\n5,6\n"), "1@2!;2@3:5|6;");
}

static void test_other_delimiters_are_read(void **state)
{
    (void)state;
    assert_string_equal(rows_of(bytes_of_text("a;b\n1,5;2\n"), ';', NULL), "1@2:1,5|2;");
    assert_string_equal(rows_of(bytes_of_text("a\tb\n1\t2\n"), '\t', NULL), "1@2:1|2;");
    assert_string_equal(rows_of(bytes_of_text("a;b\n1;2\n"), ',', NULL), "1@2:1;2;");
}

static void test_the_delimiter_is_found_in_the_column_names(void **state)
{
    (void)state;
    assert_string_equal(rows("a;b\n1,5;2\n"), "1@2:1,5|2;");
    assert_string_equal(rows("\n\na\tb\n1,5\t2;3\n"), "1@4:1,5|2;3;");
    assert_string_equal(rows("\"a,b,\n,c\";d\n1;2\n"), "1@3:1|2;");
    assert_string_equal(rows("a,b;c,d\n1,2,3\n"), "1@2:1|2|3;");
}

static void test_a_workbook_is_no_sheet(void **state)
{
    (void)state;
    struct casebus_error err;
    assert_null(sheet_of(bytes_of_text("PK\x03\x04 xl/workbook.xml"), 0, NULL, &err));
    assert_string_equal(err.text, "'test.csv' is a spreadsheet or another packed file, not CSV");
}

/* What a file that may still grow answers for its last row: "" when all of it was read. */
static const char *left_of(const char *text)
{
    static char out[64];
    struct casebus_error err;
    struct row row;
    struct input *input;
    struct sheet *sheet;
    struct sheet_options options = {.may_grow = true};
    int r;
    assert_int_equal(input_open_memory(&input, "test.csv", bytes_of_text(text), &err), 0);
    assert_int_equal(sheet_open(&sheet, input, &options, &err), 0);
    out[0] = '\0';
    while ((r = sheet_next(sheet, &row, &err)) == SOURCE_ROW || r == SOURCE_BAD_ROW)
        ;
    if (r == SOURCE_OPEN_ROW)
        snprintf(out, sizeof out, "%d@%d", (int)row.number, (int)row.line);
    assert_true(r == SOURCE_END || r == SOURCE_OPEN_ROW);
    sheet_close(sheet);
    return out;
}

static void test_a_last_row_without_line_end_may_still_grow(void **state)
{
    (void)state;
    assert_string_equal(left_of("a,b\n1,2\n"), "");
    assert_string_equal(left_of("a,b\n1,2\n3,4"), "2@3");
    assert_string_equal(left_of("a,b\n1,2\n3"), "2@3");
    assert_string_equal(left_of("a,b\n1,2\n3,4\r\n"), "");
    assert_string_equal(left_of("a,b\n1,2\n3,\"x\ny\nz"), "2@3");
    assert_string_equal(left_of("a,b\n1,2\n3,\"x\ny\n"), "2@3");
    assert_string_equal(left_of("a,b"), "");
    assert_string_equal(rows("a,b\n1,2\n3,4"), "1@2:1|2;2@3:3|4;"); /* a table of codes does not */
}

static void test_encodings_are_found_or_given(void **state)
{
    (void)state;
    assert_string_equal(rows("\xef\xbb\xbf"
                             "a,b\n\xe4\xb8\xad,2\n"),
                        "1@2:\xe4\xb8\xad|2;");
    assert_string_equal(rows("a,b\n\xd6\xd0,2\n"), "1@2:\xe4\xb8\xad|2;"); /* GB18030 */
    assert_string_equal(rows_of(bytes_of_text("a,b\n\xd6\xd0,2\n"), 0, "UTF-8"), "1@2!;");
    assert_string_equal(rows_of(bytes_of_text("a,b\n1,\xd6\n\x95\x32\x82\x36,2\n"), 0, "GB18030"),
                        "1@2!;2@3:\xf0\xa0\x80\x80|2;");
}

static void test_nul_is_no_text(void **state)
{
    (void)state;
    assert_string_equal(rows_of(bytes_of("a,b\n1,x\0y\n2,2\n", 14), 0, NULL), "1@2!;2@3:2|2;");
}

static void test_raw_is_the_row_as_it_stood(void **state)
{
    (void)state;
    struct casebus_error err;
    struct row row;
    struct sheet *sheet = sheet_of(bytes_of("a,b\n1,\"x\"y\n\xff\x00,1\n", 16), 0, "UTF-8", &err);
    assert_int_equal(sheet_next(sheet, &row, &err), SOURCE_BAD_ROW);
    assert_int_equal(row.raw.size, 6);
    assert_memory_equal(row.raw.data, "1,\"x\"y", 6);
    assert_int_equal(sheet_next(sheet, &row, &err), SOURCE_BAD_ROW);
    assert_int_equal(row.raw.size, 10);
    assert_memory_equal(row.raw.data, "\\xff\\x00,1", 10);
    sheet_close(sheet);
}

static struct buffer filled(const char *head, char fill, size_t n, const char *tail)
{
    struct buffer text;
    buffer_init(&text, 8 << 20);
    assert_true(buffer_append(&text, head, strlen(head)));
    memset(buffer_reserve(&text, n), fill, n);
    text.size += n;
    assert_true(buffer_append(&text, tail, strlen(tail)));
    return text;
}

static void expect_filled(const char *head, const char *expected)
{
    struct buffer text = filled(head, 'x', 5 << 20, "\n2,2\n");
    assert_string_equal(rows_of(bytes_of(text.data, text.size), 0, NULL), expected);
    buffer_deinit(&text);
}

static void test_rows_beyond_the_bound_are_refused_and_passed_over(void **state)
{
    (void)state;
    expect_filled("a,b\n1,", "1@2!;2@3:2|2;");
    expect_filled("a,b\n1,\"", "1@2!;");
    expect_filled("a,b\n1,\"q\n", "1@2!;");
}

static void test_what_stands_in_a_cell_is_never_a_row(void **state)
{
    (void)state;
    for (int long_lines = 0; long_lines < 2; long_lines++) {
        struct buffer text = filled("a,b\n1,\"an applicant writes\n7,smuggled\n", long_lines ? '\n' : 'x',
                                    3 << 20, "\n7,smuggled\n\"\n2,\"\"\"2\"\n");
        char expected[64];
        snprintf(expected, sizeof expected, "1@2!;2@%d:2|\"2;", long_lines ? 7 + (3 << 20) : 7);
        assert_string_equal(rows_of(bytes_of(text.data, text.size), 0, NULL), expected);
        buffer_deinit(&text);
    }
}

static void test_headers_that_cannot_be_used_are_refused(void **state)
{
    (void)state;
    static const char *const headers[] = {"",
                                          "\n\n",
                                          "a,a\n",
                                          "a,,b\n",
                                          "\"a\n",
                                          "a\"b,c\n",
                                          "a\rb\r",
                                          "\xff\xfe"
                                          "a",
                                          "\xfe\xff"
                                          "a"};
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        struct casebus_error err = {0};
        assert_null(sheet_of(bytes_of_text(headers[i]), 0, "UTF-8", &err));
        assert_true(err.text[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_carry_their_cells_number_and_line),
        cmocka_unit_test(test_quoted_cells_hold_anything),
        cmocka_unit_test(test_a_bad_row_costs_one_line),
        cmocka_unit_test(test_other_delimiters_are_read),
        cmocka_unit_test(test_the_delimiter_is_found_in_the_column_names),
        cmocka_unit_test(test_a_workbook_is_no_sheet),
        cmocka_unit_test(test_a_last_row_without_line_end_may_still_grow),
        cmocka_unit_test(test_encodings_are_found_or_given),
        cmocka_unit_test(test_nul_is_no_text),
        cmocka_unit_test(test_raw_is_the_row_as_it_stood),
        cmocka_unit_test(test_rows_beyond_the_bound_are_refused_and_passed_over),
        cmocka_unit_test(test_what_stands_in_a_cell_is_never_a_row),
        cmocka_unit_test(test_headers_that_cannot_be_used_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
