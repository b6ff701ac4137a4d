#include "adapters/jsonl/jsonl.h"
#include "proto/base/files.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#define ORIGIN "js.example/exchange/1"

struct place {
    char dir[64];
    char path[128];
    struct {
        const char *file;
    } config;
    struct casebus_event *event;
};

static int place_make(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    snprintf(place->dir, sizeof place->dir, "/tmp/jsonl_test.XXXXXX");
    assert_non_null(mkdtemp(place->dir));
    snprintf(place->path, sizeof place->path, "%s/out.jsonl", place->dir);
    place->config.file = place->path;
    place->event = casebus_event_new();
    casebus_event_set(place->event, "kind", "accept", NULL);
    casebus_event_set(place->event, "case_number", "c\"1\xe4\xb8\xad", NULL);
    casebus_event_set(place->event, "case_alias", "one", NULL);
    *state = place;
    return 0;
}

static int place_remove(void **state)
{
    struct place *place = *state;
    unlink(place->path);
    rmdir(place->dir);
    casebus_event_free(place->event);
    free(place);
    return 0;
}

static void *opened(struct place *place, uint64_t expected_last)
{
    void *sink;
    struct casebus_delivery_id last;
    struct casebus_error err;
    assert_int_equal(jsonl_sink.open(&sink, &place->config, ORIGIN, &last, &err), 0);
    assert_int_equal(last.position, expected_last);
    return sink;
}

static int deliver(struct place *place, void *sink, uint64_t position, uint32_t ordinal)
{
    struct casebus_delivery delivery = {.id = {position, ordinal},
                                        .hub_time_us = 1600000000123456,
                                        .node = "elsewhere",
                                        .number = 7,
                                        .case_id = "aa",
                                        .event_id = "bb",
                                        .event = place->event};
    struct casebus_error err;
    return jsonl_sink.deliver(sink, &delivery, &err);
}

static void flush(void *sink, uint64_t expected_safe)
{
    struct casebus_delivery_id safe;
    struct casebus_error err;
    assert_int_equal(jsonl_sink.flush(sink, &safe, &err), 0);
    assert_int_equal(safe.position, expected_safe);
}

/* Every line is an object; returns how many, and the last one's position. */
static size_t lines_check(const struct place *place, uint64_t *last)
{
    char line[8192];
    size_t n = 0;
    FILE *file = fopen(place->path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        json_t *object = json_loads(line, 0, NULL);
        assert_non_null(object);
        *last = (uint64_t)json_integer_value(json_object_get(object, "position"));
        json_decref(object);
        n++;
    }
    fclose(file);
    return n;
}

static void test_a_delivery_is_a_line_with_all_its_fields(void **state)
{
    struct place *place = *state;
    struct buffer content;
    void *sink = opened(place, 0);
    casebus_event_add_part(place->event, "\x01\xff", 2, NULL);
    assert_int_equal(deliver(place, sink, 5, 2), 0);
    flush(sink, 5);
    jsonl_sink.close(sink);
    assert_int_equal(file_read(place->path, 100000, &content, NULL), 0);
    json_t *line = json_loads((const char *)content.data, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(line, "position")), 5);
    assert_int_equal(json_integer_value(json_object_get(line, "ordinal")), 2);
    assert_int_equal(json_integer_value(json_object_get(line, "number")), 7);
    assert_string_equal(json_string_value(json_object_get(line, "hub_time")), "2020-09-13T12:26:40.123456Z");
    assert_string_equal(json_string_value(json_object_get(line, "node")), "elsewhere");
    assert_string_equal(json_string_value(json_object_get(line, "kind")), "accept");
    assert_string_equal(json_string_value(json_object_get(line, "case_number")), "c\"1\xe4\xb8\xad");
    assert_string_equal(json_string_value(json_array_get(json_object_get(line, "case_alias"), 0)), "one");
    assert_string_equal(json_string_value(json_array_get(json_object_get(line, "parts"), 0)), "01ff");
    json_decref(line);
    buffer_deinit(&content);
}

static void test_an_order_to_destroy_names_the_lines_that_brought_it(void **state)
{
    struct place *place = *state;
    struct buffer content;
    struct casebus_error err;
    const uint32_t parts[] = {0, 2};
    const struct casebus_erased item = {
        .id = {5, 2}, .event_id = "bb", .header = 1, .parts = parts, .n_parts = 2};
    const struct casebus_erasure erasure = {.items = &item, .n_items = 1};
    const struct casebus_delivery order = {.id = {9, 0}, .node = "", .case_id = "aa", .erasure = &erasure};
    const struct casebus_delivery gone = {.id = {11, 0}, .node = "elsewhere", .event_id = "cc", .erased = 1};
    void *sink = opened(place, 0);
    assert_int_equal(jsonl_sink.deliver(sink, &order, &err), 0);
    assert_int_equal(jsonl_sink.deliver(sink, &gone, &err), 0);
    flush(sink, 11);
    jsonl_sink.close(sink);
    assert_int_equal(file_read(place->path, 100000, &content, NULL), 0);
    assert_true(buffer_append(&content, "", 1));
    const char *text = (const char *)content.data;
    assert_non_null(strstr(text,
                           "\"erasure\":{\"reason\":\"order\",\"destroy\":[{\"position\":5,\"ordinal\":2,"
                           "\"event_id\":\"bb\",\"all\":true,\"parts\":[0,2]}]}}\n"));
    assert_non_null(strstr(text, "\"event_id\":\"cc\",\"erased\":true}\n"));
    buffer_deinit(&content);
}

static void expect_line(struct place *place, const struct casebus_delivery *delivery, const char *line)
{
    struct buffer content;
    struct casebus_error err;
    void *sink = opened(place, 0);
    assert_int_equal(jsonl_sink.deliver(sink, delivery, &err), 0);
    flush(sink, delivery->id.position);
    jsonl_sink.close(sink);
    assert_int_equal(file_read(place->path, 100000, &content, NULL), 0);
    assert_true(buffer_append(&content, "", 1));
    assert_non_null(strstr((const char *)content.data, line));
    buffer_deinit(&content);
}

static void test_answers_come_with_their_case_and_nothing_else(void **state)
{
    struct place *place = *state;
    const struct casebus_answer items[] = {{"finished", 1}, {"certificate", 0}};
    const struct casebus_answers answers = {"case-1", "item-1", "320100", items, 2};
    const struct casebus_delivery told = {
        .id = {5, 0}, .node = "elsewhere", .case_id = "aa", .event_id = "cc", .answers = &answers};
    expect_line(place, &told,
                "\"case_id\":\"aa\",\"event_id\":\"cc\",\"case_number\":\"case-1\",\"item\":\"item-1\","
                "\"area\":\"320100\",\"answers\":{\"finished\":true,\"certificate\":false}}\n");
}

static void test_a_retraction_names_the_line_that_holds_no_more(void **state)
{
    struct place *place = *state;
    const struct casebus_retraction retraction = {"case-1", "js.test/cases", "r1", 3, "bb"};
    const struct casebus_delivery told = {
        .id = {5, 0}, .node = "elsewhere", .case_id = "aa", .event_id = "cc", .retraction = &retraction};
    expect_line(place, &told,
                "\"event_id\":\"cc\",\"case_number\":\"case-1\",\"retraction\":{\"record_namespace\":"
                "\"js.test/cases\",\"record_id\":\"r1\",\"position\":3,\"event_id\":\"bb\"}}\n");
}

static void test_nothing_is_safe_before_it_is_flushed(void **state)
{
    struct place *place = *state;
    void *sink = opened(place, 0);
    assert_int_equal(deliver(place, sink, 1, 0), 0);
    jsonl_sink.close(sink); /* as a crash would */
    sink = opened(place, 0);
    jsonl_sink.close(sink);
}

static void test_repeated_deliveries_are_dropped_also_after_a_restart(void **state)
{
    struct place *place = *state;
    uint64_t last = 0;
    void *sink = opened(place, 0);
    assert_int_equal(deliver(place, sink, 1, 0), 0);
    assert_int_equal(deliver(place, sink, 1, 1), 0);
    assert_int_equal(deliver(place, sink, 1, 1), 0);
    flush(sink, 1);
    jsonl_sink.close(sink);
    sink = opened(place, 1);
    assert_int_equal(deliver(place, sink, 1, 0), 0);
    assert_int_equal(deliver(place, sink, 1, 1), 0);
    assert_int_equal(deliver(place, sink, 2, 0), 0);
    flush(sink, 2);
    jsonl_sink.close(sink);
    assert_int_equal(lines_check(place, &last), 3);
    assert_int_equal(last, 2);
}

/* A power cut may keep a later block of a flush and lose an earlier one. */
static void test_a_hole_in_the_last_flush_is_cut_off_with_all_behind_it(void **state)
{
    struct place *place = *state;
    struct buffer whole;
    uint64_t last = 0, before = 0;
    void *sink = opened(place, 0);
    for (uint64_t position = 1; position <= 3; position++)
        assert_int_equal(deliver(place, sink, position, 0), 0);
    flush(sink, 3);
    jsonl_sink.close(sink);
    assert_int_equal(file_read(place->path, 100000, &whole, NULL), 0);
    for (size_t at = 0; at < whole.size; at++) {
        uint8_t byte = whole.data[at];
        whole.data[at] = 0;
        assert_int_equal(file_write(place->path, bytes_of(whole.data, whole.size), 0600, NULL), 0);
        whole.data[at] = byte;
        sink = opened(place, before);
        assert_int_equal(lines_check(place, &last), before);
        for (uint64_t position = before + 1; position <= 3; position++)
            assert_int_equal(deliver(place, sink, position, 0), 0);
        flush(sink, 3);
        jsonl_sink.close(sink);
        assert_int_equal(lines_check(place, &last), 3);
        before += byte == '\n';
    }
    buffer_deinit(&whole);
}

/* However far the last write came, the file is whole lines again and the rest comes once more. */
static void test_a_torn_last_line_is_cut_off_wherever_it_is_torn(void **state)
{
    struct place *place = *state;
    struct buffer whole;
    uint64_t last = 0;
    void *sink = opened(place, 0);
    for (uint64_t position = 1; position <= 3; position++)
        assert_int_equal(deliver(place, sink, position, 0), 0);
    flush(sink, 3);
    jsonl_sink.close(sink);
    assert_int_equal(file_read(place->path, 100000, &whole, NULL), 0);
    for (size_t size = 0; size < whole.size; size++) {
        assert_int_equal(file_write(place->path, bytes_of(whole.data, size), 0600, NULL), 0);
        struct casebus_delivery_id before;
        assert_int_equal(jsonl_sink.open(&sink, &place->config, ORIGIN, &before, NULL), 0);
        for (uint64_t position = before.position + 1; position <= 3; position++)
            assert_int_equal(deliver(place, sink, position, 0), 0);
        flush(sink, 3);
        jsonl_sink.close(sink);
        assert_int_equal(lines_check(place, &last), 3);
    }
    buffer_deinit(&whole);
}

static void test_a_strange_file_is_refused_and_left_alone(void **state)
{
    struct place *place = *state;
    static const char *const strange[] = {"hello\n", "{}\n", "[1]\n", "{\"position\":\"1\",\"ordinal\":0}\n"};
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        void *sink;
        struct casebus_delivery_id last;
        struct casebus_error err;
        struct buffer content;
        assert_int_equal(file_write(place->path, bytes_of_text(strange[i]), 0600, NULL), 0);
        assert_int_equal(jsonl_sink.open(&sink, &place->config, ORIGIN, &last, &err), -1);
        assert_int_equal(err.code, CASEBUS_DAMAGED);
        assert_int_equal(file_read(place->path, 1000, &content, NULL), 0);
        assert_string_equal((const char *)content.data, strange[i]);
        buffer_deinit(&content);
    }
}

static void test_two_writers_of_one_file_are_refused(void **state)
{
    struct place *place = *state;
    void *second;
    struct casebus_delivery_id last;
    struct casebus_error err;
    void *sink = opened(place, 0);
    assert_int_equal(jsonl_sink.open(&second, &place->config, ORIGIN, &last, &err), -1);
    assert_int_equal(err.code, CASEBUS_LOCKED);
    jsonl_sink.close(sink);
}

static void test_a_failed_write_leaves_whole_lines_and_is_tried_again(void **state)
{
    struct place *place = *state;
    struct casebus_delivery_id safe;
    struct casebus_error err;
    struct rlimit before, little;
    uint64_t last = 0;
    void *sink = opened(place, 0);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(deliver(place, sink, 1, 0), 0);
    flush(sink, 1);
    assert_int_equal(deliver(place, sink, 2, 0), 0);
    getrlimit(RLIMIT_FSIZE, &before);
    little = before;
    little.rlim_cur = 300; /* in the middle of the second line */
    setrlimit(RLIMIT_FSIZE, &little);
    assert_int_equal(jsonl_sink.flush(sink, &safe, &err), -1);
    assert_int_equal(safe.position, 1);
    assert_int_equal(lines_check(place, &last), 1);
    setrlimit(RLIMIT_FSIZE, &before);
    flush(sink, 2);
    assert_int_equal(lines_check(place, &last), 2);
    jsonl_sink.close(sink);
}

static void test_a_full_sink_says_so_and_works_on_after_a_flush(void **state)
{
    struct place *place = *state;
    void *sink = opened(place, 0);
    uint64_t position = 0;
    int r;
    while ((r = deliver(place, sink, position + 1, 0)) == 0)
        position++;
    assert_int_equal(r, 1);
    flush(sink, position);
    assert_int_equal(deliver(place, sink, position + 1, 0), 0);
    flush(sink, position + 1);
    jsonl_sink.close(sink);
    jsonl_sink.close(opened(place, position + 1));
}

/* Its positions begin at 0 again: all it sends would be dropped as known. */
static void test_file_of_another_hub_is_left_alone(void **state)
{
    struct place *place = *state;
    struct casebus_delivery_id last;
    struct casebus_error err;
    void *sink = opened(place, 0);
    assert_int_equal(deliver(place, sink, 5, 0), 0);
    flush(sink, 5);
    jsonl_sink.close(sink);
    assert_int_equal(jsonl_sink.open(&sink, &place->config, "js.example/other/1", &last, &err), -1);
    assert_int_equal(err.code, CASEBUS_HUB_IDENTITY);
    jsonl_sink.close(opened(place, 5));
}

/* A hub that was restored counts on from a lower position: that is no repeat. */
static void test_positions_of_the_next_generation_are_new(void **state)
{
    struct place *place = *state;
    struct casebus_delivery_id id;
    uint64_t last = 0;
    void *sink = opened(place, 0);
    assert_int_equal(deliver(place, sink, 5, 0), 0);
    flush(sink, 5);
    jsonl_sink.close(sink);
    assert_int_equal(jsonl_sink.open(&sink, &place->config, "js.example/exchange/2", &id, NULL), 0);
    assert_int_equal(deliver(place, sink, 3, 0), 0);
    assert_int_equal(deliver(place, sink, 3, 0), 0);
    assert_int_equal(deliver(place, sink, 4, 0), 0);
    flush(sink, 4);
    jsonl_sink.close(sink);
    struct buffer whole;
    assert_int_equal(file_read(place->path, 100000, &whole, NULL), 0);
    for (size_t i = 0; i < whole.size; i++)
        last += whole.data[i] == '\n';
    buffer_deinit(&whole);
    assert_int_equal(last, 3);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, place_make, place_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_delivery_is_a_line_with_all_its_fields),
        TEST(test_an_order_to_destroy_names_the_lines_that_brought_it),
        TEST(test_answers_come_with_their_case_and_nothing_else),
        TEST(test_a_retraction_names_the_line_that_holds_no_more),
        TEST(test_nothing_is_safe_before_it_is_flushed),
        TEST(test_repeated_deliveries_are_dropped_also_after_a_restart),
        TEST(test_a_torn_last_line_is_cut_off_wherever_it_is_torn),
        TEST(test_a_hole_in_the_last_flush_is_cut_off_with_all_behind_it),
        TEST(test_a_strange_file_is_refused_and_left_alone),
        TEST(test_two_writers_of_one_file_are_refused),
        TEST(test_a_failed_write_leaves_whole_lines_and_is_tried_again),
        TEST(test_a_full_sink_says_so_and_works_on_after_a_flush),
        TEST(test_file_of_another_hub_is_left_alone),
        TEST(test_positions_of_the_next_generation_are_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
