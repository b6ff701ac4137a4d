#include "hub/settings.h"

#include "proto/base/texts.h"
#include "proto/crypto/certificate.h"
#include "proto/crypto/suite.h"

#include <libfyaml.h>
#include <stddef.h>
#include <stdlib.h>

enum setting_type { SETTING_TEXT, SETTING_COUNT };

struct setting {
    const char *name;
    enum setting_type type;
    const char *preset;
    size_t offset, size;
    const char *(*check)(const char *value); /* NULL: fine; else what was expected */
    const char *help;
};

static const char *check_origin(const char *value)
{
    return origin_valid(value) ? NULL : N_("a name and a generation, such as js.example/exchange/1");
}

static const char *check_suite(const char *value)
{
    return suite_by_name(value) ? NULL : N_("intl");
}

static const char *check_listen(const char *value)
{
    return strncmp(value, "tcp://", 6) == 0 || strncmp(value, "ipc://", 6) == 0
               ? NULL
               : N_("tcp://ADDRESS:PORT or ipc://PATH");
}

static const char *check_workers(const char *value)
{
    char *end;
    unsigned long n = strtoul(value, &end, 10);
    return *value && !*end && n >= 1 && n <= 8 ? NULL : N_("a number from 1 to 8");
}

static const char *check_log_level(const char *value)
{
    static const char *const levels[] = {"debug", "info", "notice", "warning", "error"};
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
        if (strcmp(levels[i], value) == 0)
            return NULL;
    return N_("debug, info, notice, warning or error");
}

static const struct setting table[] = {
    {"origin", SETTING_TEXT, NULL, offsetof(struct settings, origin), 256, check_origin,
     "Name of the exchange with its generation. Fixed: it is part of every signature."},
    {"suite", SETTING_TEXT, "intl", offsetof(struct settings, suite), 16, check_suite,
     "Cryptography: intl (SHA-256, AES-256-GCM, Ed25519). Fixed."},
    {"listen", SETTING_TEXT, "tcp://127.0.0.1:7400", offsetof(struct settings, listen), 256, check_listen,
     "Where nodes connect. tcp://0.0.0.0:7400 serves other machines."},
    {"workers", SETTING_COUNT, "1", offsetof(struct settings, workers), sizeof(unsigned), check_workers,
     "Threads that verify and seal. One a processor that is left beside the writer and the bus."},
    {"log_level", SETTING_TEXT, "info", offsetof(struct settings, log_level), 16, check_log_level,
     "Least severity that is logged: debug, info, notice, warning, error."},
};
#define N_SETTINGS (sizeof(table) / sizeof(table[0]))

const char *settings_fault(const char *name, const char *value)
{
    for (size_t i = 0; i < N_SETTINGS; i++)
        if (strcmp(table[i].name, name) == 0) {
            const char *expected = table[i].check(value);
            if (!expected && strlen(value) >= 256)
                expected = N_("at most 255 characters");
            return expected ? _(expected) : NULL;
        }
    return _("there is no such setting");
}

bool settings_write(struct buffer *out, const char *origin, const char *listen)
{
    bool ok = buffer_printf(out, "# Settings of this casebus hub. Read when it starts.\n");
    for (size_t i = 0; i < N_SETTINGS; i++) {
        const char *value = table[i].preset;
        if (strcmp(table[i].name, "origin") == 0)
            value = origin;
        if (strcmp(table[i].name, "listen") == 0 && listen)
            value = listen;
        ok = ok && buffer_printf(out, "\n# %s\n%s: %s\n", table[i].help, table[i].name, value);
    }
    return ok;
}

static void put(struct settings *settings, const struct setting *setting, const char *value)
{
    char *at = (char *)settings + setting->offset;
    if (setting->type == SETTING_COUNT)
        *(unsigned *)(void *)at = (unsigned)strtoul(value, NULL, 10);
    else
        snprintf(at, setting->size, "%s", value);
}

struct faults {
    struct buffer text;
    size_t n;
};

static void fault(struct faults *faults, const char *path, int line, const char *name, const char *reason)
{
    if (faults->n++)
        buffer_printf(&faults->text, "; ");
    buffer_printf(&faults->text, "%s:%d: %s: %s", path, line, name, reason);
}

static int line_of(struct fy_node *node)
{
    struct fy_token *token = fy_node_get_type(node) == FYNT_SCALAR ? fy_node_get_scalar_token(node) : NULL;
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
    return mark ? mark->line + 1 : 0;
}

static void read_pair(struct settings *settings, struct fy_node_pair *pair, const char *path,
                      struct faults *faults, bool seen[N_SETTINGS])
{
    const char *name = fy_node_get_scalar0(fy_node_pair_key(pair));
    const char *value = fy_node_get_scalar0(fy_node_pair_value(pair));
    int line = line_of(fy_node_pair_key(pair));
    for (size_t i = 0; name && i < N_SETTINGS; i++) {
        if (strcmp(table[i].name, name) != 0)
            continue;
        const char *expected = value ? table[i].check(value) : N_("a single value");
        if (!expected && strlen(value) >= 256)
            expected = N_("at most 255 characters");
        char reason[200];
        snprintf(reason, sizeof(reason), _("expected %s"), expected ? _(expected) : "");
        if (expected)
            fault(faults, path, line, name, reason);
        else
            put(settings, &table[i], value);
        seen[i] = true;
        return;
    }
    fault(faults, path, line, name ? name : "?", _("there is no such setting"));
}

int settings_read(struct settings *settings, const char *path, struct casebus_error *err)
{
    bool seen[N_SETTINGS] = {false};
    struct faults faults = {.n = 0};
    struct fy_parse_cfg quiet = {.flags = FYPCF_QUIET};
    memset(settings, 0, sizeof(*settings));
    buffer_init(&faults.text, 4096);
    struct fy_document *document = fy_document_build_from_file(&quiet, path);
    struct fy_node *root = document ? fy_document_root(document) : NULL;
    if (!root || !fy_node_is_mapping(root)) {
        fault(&faults, path, 1, "YAML", _("cannot be read as settings, `name: value` on each line"));
    } else {
        void *iterator = NULL;
        struct fy_node_pair *pair;
        while ((pair = fy_node_mapping_iterate(root, &iterator)))
            read_pair(settings, pair, path, &faults, seen);
        for (size_t i = 0; i < N_SETTINGS; i++) {
            if (!seen[i] && table[i].preset)
                put(settings, &table[i], table[i].preset);
            else if (!seen[i])
                fault(&faults, path, 1, table[i].name, _("is missing"));
        }
    }
    fy_document_destroy(document);
    if (faults.n)
        error_set(err, CASEBUS_CONFIG, "%.*s", (int)faults.text.size, (const char *)faults.text.data);
    buffer_deinit(&faults.text);
    return faults.n ? -1 : 0;
}
