/* A sentence for every wrong answer: which field, what is wrong with it, what was expected. */
#include "proto/codec/check.h"

#include "proto/base/texts.h"
#include "proto/crypto/certificate.h"

#include <inttypes.h>

#define TIME_MIN_US (INT64_C(-2208988800) * 1000000)  /* 1900-01-01T00:00:00Z */
#define TIME_END_US (INT64_C(253402300800) * 1000000) /* 10000-01-01T00:00:00Z */

static int missing(const char *what, struct casebus_error *err)
{
    return error_set(err, CASEBUS_MISSING_FIELD, _("%s is missing"), what);
}

int check_text_max(const char *what, const char *value, size_t max, struct casebus_error *err)
{
    if (strnlen(value, max + 1) > max)
        return error_set(err, CASEBUS_TOO_LARGE, _("%s is a text of %zu bytes; at most %zu are allowed"),
                         what, strlen(value), max);
    return 0;
}

int check_text(const char *what, const char *value, size_t max, struct casebus_error *err)
{
    if (!*value)
        return missing(what, err);
    return check_text_max(what, value, max, err);
}

int check_size(const char *what, ProtobufCBinaryData value, size_t size, struct casebus_error *err)
{
    if (value.len == size)
        return 0;
    if (value.len == 0)
        return missing(what, err);
    return error_set(err, CASEBUS_BAD_FIELD, _("%s has %zu bytes instead of %zu"), what, value.len, size);
}

int check_size_max(const char *what, ProtobufCBinaryData value, size_t max, struct casebus_error *err)
{
    if (value.len == 0)
        return missing(what, err);
    if (value.len > max)
        return error_set(err, CASEBUS_TOO_LARGE, _("%s has %zu bytes; at most %zu are allowed"), what,
                         value.len, max);
    return 0;
}

int check_count(const char *what, size_t n, size_t max, struct casebus_error *err)
{
    if (n > max)
        return error_set(err, CASEBUS_TOO_LARGE, _("%s has %zu values; at most %zu are allowed"), what, n,
                         max);
    return 0;
}

int check_enum(const char *what, const ProtobufCEnumDescriptor *descriptor, int value,
               struct casebus_error *err)
{
    if (value == 0)
        return missing(what, err);
    if (!protobuf_c_enum_descriptor_get_value(descriptor, value)) {
        error_set(err, CASEBUS_BAD_FIELD, _("%s has the value %d, which this version does not know"), what,
                  value);
        return error_hint(err, _("the sender may use a newer schema than this program"));
    }
    return 0;
}

int check_time(const char *what, int64_t unix_us, struct casebus_error *err)
{
    if (unix_us >= TIME_MIN_US && unix_us < TIME_END_US)
        return 0;
    error_set(err, CASEBUS_BAD_FIELD, _("%s is %" PRId64 ", which is not a time between 1900 and 9999"), what,
              unix_us);
    return error_hint(err, _("times are microseconds since 1970-01-01T00:00:00Z"));
}

int check_node(const char *what, const char *name, struct casebus_error *err)
{
    if (!*name)
        return missing(what, err);
    if (!node_name_valid(name))
        return error_set(err, CASEBUS_BAD_FIELD, _("%s is not the name of a node"), what);
    return 0;
}

int check_origin(const char *what, const char *origin, struct casebus_error *err)
{
    if (!*origin)
        return missing(what, err);
    if (!origin_valid(origin))
        return error_set(err, CASEBUS_BAD_FIELD, _("%s is not the origin of a hub"), what);
    return 0;
}

int check_suite(const char *what, Casebus__V1__Suite suite, struct casebus_error *err)
{
    return check_enum(what, &casebus__v1__suite__descriptor, (int)suite, err);
}

int check_format(const char *what, uint32_t format, struct casebus_error *err)
{
    if (format == 1)
        return 0;
    if (format == 0)
        return missing(what, err);
    return error_set(err, CASEBUS_BAD_VERSION, _("%s is %" PRIu32 "; this version knows only format 1"), what,
                     format);
}

int check_context(const char *message, struct bytes statement, const char *context, struct casebus_error *err)
{
    size_t size = strlen(context);
    const uint8_t head[2] = {1 << 3 | 2, (uint8_t)size};

    if (statement.size < 2 + size || memcmp(statement.data, head, 2) != 0 ||
        memcmp(statement.data + 2, context, size) != 0)
        return error_set(err, CASEBUS_BAD_FIELD, _("a %s does not begin with its context '%s'"), message,
                         context);
    return 0;
}
