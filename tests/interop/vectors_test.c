/* The committed vectors are what this code computes, opens and refuses. */
#include "tests/interop/vectors.h"

#include "proto/base/files.h"
#include "proto/codec/sample.h"
#include "proto/merkle/note.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static json_t *committed(void)
{
    json_error_t error;
    json_t *all = json_load_file(SOURCE_DIR "/tests/interop/vectors.json", 0, &error);

    if (!all)
        fail_msg("vectors.json: line %d: %s", error.line, error.text);
    return all;
}

static struct bytes unhex(struct arena *arena, const json_t *value)
{
    const char *text = json_string_value(value);
    size_t size = strlen(text) / 2;
    uint8_t *out = arena_alloc(arena, size);

    assert_true(hex_decode(out, size, text));
    return bytes_of(out, size);
}

static void test_committed_vectors_are_what_this_code_computes(void **state)
{
    json_t *made = vectors_make();
    json_t *kept = committed();
    const char *name;
    json_t *value;

    (void)state;
    json_object_foreach(made, name, value)
    {
        if (!json_equal(value, json_object_get(kept, name)))
            fail_msg("vectors.json: '%s' is not what this code computes", name);
    }
    assert_int_equal(json_object_size(made), json_object_size(kept));
    json_decref(made);
    json_decref(kept);
}

static void test_committed_body_opens(void **state)
{
    json_t *all = committed();
    json_t *vector = json_object_get(all, "body");
    struct sample sample;
    struct casebus_error err;

    (void)state;
    sample_init(&sample);
    struct bytes subject = unhex(&sample.arena, json_object_get(vector, "subject"));
    struct bytes slot_key = unhex(&sample.arena, json_object_get(vector, "slot_key"));
    Casebus__V1__SealedBody *body =
        body_decode(unhex(&sample.arena, json_object_get(vector, "body")), &sample.arena, &err);
    assert_non_null(body);
    json_t *items = json_object_get(vector, "items");
    assert_int_equal(body->n_item, json_array_size(items));
    for (size_t i = 0; i < body->n_item; i++) {
        struct bytes plain;
        assert_int_equal(body_open_item(sample.crypter, json_string_value(json_object_get(vector, "origin")),
                                        subject.data, body, slot_key.data, i, &sample.arena, &plain, &err),
                         0);
        assert_true(
            bytes_equal(plain, unhex(&sample.arena, json_object_get(json_array_get(items, i), "plain"))));
    }
    sample_deinit(&sample);
    json_decref(all);
}

static void test_committed_note_is_a_checkpoint(void **state)
{
    json_t *all = committed();
    json_t *tree = json_object_get(all, "tree");
    const char *note = json_string_value(json_object_get(tree, "note"));
    struct note_verifier verifier;
    struct checkpoint checkpoint;
    struct casebus_error err;

    (void)state;
    assert_int_equal(
        note_verifier_init(&verifier, json_string_value(json_object_get(json_object_get(all, "key"), "vkey")),
                           &err),
        0);
    assert_int_equal(checkpoint_check(&checkpoint, bytes_of_text(note), &verifier, &err), 0);
    assert_int_equal(checkpoint.size, json_integer_value(json_object_get(tree, "size")));
    note_verifier_deinit(&verifier);
    json_decref(all);
}

static const ProtobufCMessageDescriptor *descriptor_of(const char *name)
{
    if (strcmp(name, "Limit") == 0)
        return &casebus__v1__limit__descriptor;
    if (strcmp(name, "Grants") == 0)
        return &casebus__v1__grants__descriptor;
    return NULL;
}

static void test_committed_refusals_are_refused(void **state)
{
    static const struct codec_limits limits = {.max_size = 100, .max_fields = 100, .max_depth = 8};
    json_t *all = committed();
    struct sample sample;
    size_t i;
    json_t *row;

    (void)state;
    sample_init(&sample);
    json_array_foreach(json_object_get(all, "refused"), i, row)
    {
        const char *message = json_string_value(json_object_get(row, "message"));
        struct bytes data = unhex(&sample.arena, json_object_get(row, "bytes"));
        struct casebus_error err = {0};
        const void *decoded = strcmp(message, "Frame") == 0
                                  ? (const void *)frame_decode(data, &sample.arena, &err)
                                  : codec_unpack(descriptor_of(message), data, &limits, &sample.arena, &err);
        assert_null(decoded);
        assert_string_equal(casebus_code_text(err.code), json_string_value(json_object_get(row, "code")));
    }
    sample_deinit(&sample);
    json_decref(all);
}

static void test_protocol_page_lists_every_code_and_no_other(void **state)
{
    static const struct {
        const char *begin;
        enum casebus_actor actor;
        enum casebus_resend resend;
    } rows[] = {
#define CODE_ROW(name, value, text, meaning, actor, resend, hint)                                            \
    {"| `" text "` | " meaning " | ", CASEBUS_ACTOR_##actor, CASEBUS_RESEND_##resend},
        CASEBUS_CODES(CODE_ROW)
#undef CODE_ROW
    };
    struct buffer page;
    struct casebus_error err;

    (void)state;
    assert_int_equal(file_read(SOURCE_DIR "/docs/protocol.md", 1024 * 1024, &page, &err), 0);
    size_t n = sizeof rows / sizeof rows[0], listed = 0;
    for (size_t i = 0; i < n; i++) {
        char row[400];
        snprintf(row, sizeof row, "\n%s%s | %s |\n", rows[i].begin, casebus_actor_text(rows[i].actor),
                 casebus_resend_text(rows[i].resend));
        if (!strstr((const char *)page.data, row))
            fail_msg("docs/protocol.md does not have the row %s", row);
    }
    const char *at = strstr((const char *)page.data, "\n| code | meaning | who | again |\n");
    const char *end = at ? strstr(at, "\n\n") : NULL;
    while (at && end && at < end && (at = strstr(at + 1, "\n| `CB-")) != NULL && at < end)
        listed++;
    assert_int_equal(listed, n); /* and no other */
    buffer_deinit(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_committed_vectors_are_what_this_code_computes),
        cmocka_unit_test(test_committed_body_opens),
        cmocka_unit_test(test_committed_note_is_a_checkpoint),
        cmocka_unit_test(test_committed_refusals_are_refused),
        cmocka_unit_test(test_protocol_page_lists_every_code_and_no_other),
    };
    return cmocka_run_group_tests_name("vectors", tests, NULL, NULL);
}
