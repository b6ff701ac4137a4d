#include "hub/cli/trust.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <ctype.h>
#include <limits.h>

#define VKEY_FILE_MAX 4096

int trust_vkey_read(char out[VKEY_MAX], const char *text, struct casebus_error *err)
{
    struct buffer file;
    const char *first = strchr(text, '+');
    bool is_key = *text != '@' && first && strchr(first + 1, '+');
    if (is_key && strlen(text) < VKEY_MAX) {
        strcpy(out, text);
        return 0;
    }
    int r = file_read(*text == '@' ? text + 1 : text, VKEY_FILE_MAX, &file, err);
    size_t size = r == 0 ? file.size : 0;
    while (size > 0 && isspace(file.data[size - 1]))
        size--;
    if (r == 0 && (size == 0 || size >= VKEY_MAX || memchr(file.data, '\0', size)))
        r = error_set(err, CASEBUS_KEY, _("'%s' holds no verifier key"), text);
    if (r == 0) {
        memcpy(out, file.data, size);
        out[size] = '\0';
    }
    buffer_deinit(&file);
    return r;
}

int trust_read(const char *text, uint8_t authority[CERTIFICATE_MAX], size_t *size, char vkey[VKEY_MAX],
               struct casebus_error *err)
{
    char path[PATH_MAX];
    const char *comma = strchr(text, ',');
    if (!comma || (size_t)(comma - text) >= sizeof path) {
        error_set(err, CASEBUS_ARGUMENT, _("'%s' is not CA,VKEY"), text);
        return error_hint(err,
                          _("a certificate file, a comma, and the log's verifier key or a file with it"));
    }
    memcpy(path, text, (size_t)(comma - text));
    path[comma - text] = '\0';
    return certificate_load(path, authority, size, err) || trust_vkey_read(vkey, comma + 1, err) ? -1 : 0;
}
