/* Three lines: entries, time in seconds, place. Former versions wrote the first one only. */
#include "hub/ledger/secured.h"

#include "proto/base/bytes.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TEXT_MAX (PATH_MAX + 64)

int secured_write(const char *dir, const struct secured *secured, struct casebus_error *err)
{
    char path[PATH_MAX], text[TEXT_MAX];
    const char *dest = strchr(secured->dest, '\n') ? "" : secured->dest;
    int n = snprintf(text, sizeof(text), "%llu\n%lld\n%s\n", (unsigned long long)secured->size,
                     (long long)(secured->at_us / 1000000), dest);
    if (path_join(path, sizeof(path), dir, "secured"))
        return error_set(err, CASEBUS_ARGUMENT, _("the name '%s' is too long for a directory"), dir);
    return file_write(path, bytes_of(text, (size_t)n), 0600, err);
}

static void text_read(struct secured *secured, char *text)
{
    char *rest = NULL;
    const char *size = strtok_r(text, "\n", &rest), *at = strtok_r(NULL, "\n", &rest);
    const char *dest = strtok_r(NULL, "\n", &rest);
    secured->size = size ? strtoull(size, NULL, 10) : 0;
    if (at)
        secured->at_us = strtoll(at, NULL, 10) * 1000000;
    snprintf(secured->dest, sizeof(secured->dest), "%s", dest ? dest : "");
}

void secured_read(struct secured *secured, const char *dir, uint64_t ledger_size)
{
    char path[PATH_MAX];
    struct buffer text;
    struct stat status;
    *secured = (struct secured){.size = 0};
    if (path_join(path, sizeof(path), dir, "secured") || stat(path, &status))
        return;
    secured->at_us = (int64_t)status.st_mtime * 1000000;
    if (file_read(path, TEXT_MAX, &text, NULL) == 0)
        text_read(secured, (char *)text.data);
    buffer_deinit(&text);
    if (secured->size == 0 || secured->size > ledger_size)
        *secured = (struct secured){.size = 0};
}
