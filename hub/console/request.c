/* A request's target is "/path?name=value&name=value", percent-encoded (RFC 3986). It is cut first and
 * decoded afterwards, so that an encoded separator is data. Space may be written as '+' in the query. */
#include "hub/console/request.h"

#include "proto/base/texts.h"

#include <stdlib.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Decodes in place. False for an incomplete escape, a NUL or what is not UTF-8. */
static bool percent_decode(char *text, bool plus_is_space)
{
    char *out = text;
    for (const char *in = text; *in; in++) {
        if (*in == '%') {
            int high = hex_digit(in[1]);
            int low = high < 0 ? -1 : hex_digit(in[2]);
            if (low < 0 || (high == 0 && low == 0))
                return false;
            *out++ = (char)(high << 4 | low);
            in += 2;
        } else {
            *out++ = *in == '+' && plus_is_space ? ' ' : *in;
        }
    }
    *out = '\0';
    return utf8_valid(text, (size_t)(out - text));
}

static int param_add(struct request *request, char *text, struct casebus_error *err)
{
    char *value = strchr(text, '=');
    if (value)
        *value++ = '\0';
    else
        value = text + strlen(text);
    if (!percent_decode(text, true) || !percent_decode(value, true))
        return error_set(err, CASEBUS_ARGUMENT, _("a parameter of the request is badly encoded"));
    if (request_param(request, text))
        return error_set(err, CASEBUS_ARGUMENT, _("parameter '%s' comes twice"), text);
    if (request->n_params == REQUEST_PARAMS_MAX)
        return error_set(err, CASEBUS_ARGUMENT, _("more than %d parameters"), REQUEST_PARAMS_MAX);
    request->params[request->n_params++] = (struct request_param){text, value};
    return 0;
}

static int query_read(struct request *request, char *query, struct casebus_error *err)
{
    char *save = NULL;
    for (char *text = strtok_r(query, "&", &save); text; text = strtok_r(NULL, "&", &save))
        if (param_add(request, text, err))
            return -1;
    return 0;
}

static int body_read(struct request *request, struct bytes body, struct casebus_error *err)
{
    if (body.size == 0)
        return 0;
    if (body.size > CONSOLE_BODY_MAX)
        return error_set(err, CASEBUS_TOO_LARGE, _("the body has %zu bytes, more than %d"), body.size,
                         CONSOLE_BODY_MAX);
    json_error_t where;
    request->body = json_loadb((const char *)body.data, body.size, JSON_REJECT_DUPLICATES, &where);
    if (!request->body)
        return error_set(err, CASEBUS_MALFORMED, _("the body is not JSON: line %d, column %d: %s"),
                         where.line, where.column, where.text);
    if (!json_is_object(request->body))
        return error_set(err, CASEBUS_MALFORMED, _("the body is not a JSON object"));
    return 0;
}

int request_init(struct request *request, const struct console_request *raw, struct casebus_error *err)
{
    *request = (struct request){.method = raw->method};
    size_t length = strlen(raw->target);
    if (length > CONSOLE_TARGET_MAX)
        return error_set(err, CASEBUS_TOO_LARGE, _("the address has %zu bytes, more than %d"), length,
                         CONSOLE_TARGET_MAX);
    request->memory = strdup(raw->target);
    if (!request->memory)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a request"));
    request->path = request->memory;
    char *query = strchr(request->memory, '?');
    if (query)
        *query++ = '\0';
    if (!percent_decode(request->path, false))
        return error_set(err, CASEBUS_ARGUMENT, _("the address of the request is badly encoded"));
    if (query && query_read(request, query, err))
        return -1;
    return body_read(request, raw->body, err);
}

void request_deinit(struct request *request)
{
    json_decref(request->body);
    free(request->memory);
    *request = (struct request){0};
}

const char *request_param(const struct request *request, const char *name)
{
    for (size_t i = 0; i < request->n_params; i++)
        if (strcmp(request->params[i].name, name) == 0)
            return request->params[i].value;
    return NULL;
}

bool number_parse(const char *text, uint64_t max, uint64_t *value)
{
    uint64_t number = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || number > max / 10)
            return false;
        uint64_t digit = (uint64_t)(*text - '0');
        if (number * 10 > max - digit)
            return false;
        number = number * 10 + digit;
    }
    *value = number;
    return true;
}

bool request_flag(const struct request *request, const char *name)
{
    const char *text = request_param(request, name);
    return text && strcmp(text, "0") != 0;
}

int request_number(const struct request *request, const char *name, uint64_t max, uint64_t *value,
                   struct casebus_error *err)
{
    const char *text = request_param(request, name);
    if (!text)
        return 0;
    if (!number_parse(text, max, value))
        return error_set(err, CASEBUS_ARGUMENT, _("parameter '%s' is not a number from 0 to %llu"), name,
                         (unsigned long long)max);
    return 1;
}

int request_limit(const struct request *request, uint64_t max, uint64_t *limit, struct casebus_error *err)
{
    *limit = 100;
    if (request_number(request, "limit", max, limit, err) < 0)
        return -1;
    if (*limit == 0)
        return error_set(err, CASEBUS_ARGUMENT, _("parameter 'limit' is 0"));
    return 0;
}
