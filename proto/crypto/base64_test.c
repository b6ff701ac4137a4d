/* Base64: what an encoder writes comes back, and padding is not counted. */
#include "proto/crypto/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_what_was_encoded_comes_back_at_every_length(void **state)
{
    (void)state;
    uint8_t bytes[40], back[60];
    for (uint8_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 37);
    for (size_t size = 1; size <= sizeof bytes; size++) {
        char *text = base64_encode(bytes_of(bytes, size));
        assert_non_null(text);
        assert_int_equal(base64_decode(back, bytes_of_text(text)), size);
        assert_memory_equal(back, bytes, size);
        free(text);
    }
}

static void test_what_is_no_base64_is_refused(void **state)
{
    (void)state;
    uint8_t out[16];
    static const char *const wrong[] = {"", "QQ", "QQ=", "QUJ", "Q*JD", "====="};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(base64_decode(out, bytes_of_text(wrong[i])), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_encoded_comes_back_at_every_length),
        cmocka_unit_test(test_what_is_no_base64_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
