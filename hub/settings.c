#include "hub/settings.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/crypto/certificate.h"
#include "proto/crypto/suite.h"

#include <errno.h>
#include <libfyaml.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define WORKERS_MOST 8
#define SETTINGS_MAX (256 * 1024) /* bytes of the file */

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
    return suite_by_name(value) ? NULL : N_("intl, or gm where OpenSSL has SM2, SM3 and SM4");
}

/* Digits, at most 65535. */
static bool port_valid(const char *port)
{
    size_t n = strlen(port);
    return n > 0 && n <= 5 && strspn(port, "0123456789") == n && atoi(port) <= 65535;
}

/* An address ends in a port; spaces or control characters are in none, nor in a path that is meant well. */
static const char *check_listen(const char *value)
{
    static const char expected[] = N_("tcp://ADDRESS:PORT or ipc://PATH");
    bool tcp = strncmp(value, "tcp://", 6) == 0, ipc = strncmp(value, "ipc://", 6) == 0;
    for (const char *p = value; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f)
            return expected;
    if (ipc)
        return value[6] ? NULL : expected;
    const char *port = tcp ? strrchr(value + 6, ':') : NULL;
    return port && port > value + 6 && port_valid(port + 1) ? NULL : expected;
}

static const char *check_door(const char *value)
{
    bool word = strcmp(value, DOOR_NEXT) == 0 || strcmp(value, DOOR_OFF) == 0;
    return word || (strncmp(value, "tcp://", 6) == 0 && !check_listen(value))
               ? NULL
               : N_("next, off, or tcp://ADDRESS:PORT");
}

static const char *check_monitor(const char *value)
{
    static const char expected[] = N_("off, or ADDRESS:PORT such as 127.0.0.1:7480");
    const char *colon = strrchr(value, ':');
    if (strcmp(value, "off") == 0)
        return NULL;
    for (const char *p = value; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f)
            return expected;
    return colon && colon > value && port_valid(colon + 1) ? NULL : expected;
}

static const char *check_workers(const char *value)
{
    bool digit = value[0] >= '1' && value[0] <= '0' + WORKERS_MOST && !value[1];
    return digit || strcmp(value, "auto") == 0 ? NULL : N_("auto, or a number from 1 to 8");
}

static const char *check_silence(const char *value)
{
    bool digits = strlen(value) <= 4 && value[0] >= '1' && strspn(value, "0123456789") == strlen(value);
    return digits && atoi(value) >= 2 && atoi(value) <= 3600 ? NULL : N_("a number from 2 to 3600");
}

static const char *check_log_level(const char *value)
{
    static const char *const levels[] = {"debug", "info", "notice", "warning", "error"};
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
        if (strcmp(levels[i], value) == 0)
            return NULL;
    return N_("debug, info, notice, warning or error");
}

static const char *check_file(const char *value)
{
    return value[0] ? NULL : N_("the name of a file");
}

static const char *check_timestamp(const char *value)
{
    bool url = strncmp(value, "http://", 7) == 0 || strncmp(value, "https://", 8) == 0;
    return url || strcmp(value, TIMESTAMP_NONE) == 0
               ? NULL
               : N_("none, or an address that begins with http:// or https://");
}

static const char *check_minutes(const char *value)
{
    bool digits = value[0] >= '1' && value[0] <= '9' && strspn(value, "0123456789") == strlen(value);
    return digits && strlen(value) <= 5 && atoi(value) <= 10080 ? NULL : N_("a number from 1 to 10080");
}

static const char *check_days(const char *value)
{
    size_t size = strlen(value);
    bool digits = size > 0 && size <= 4 && strspn(value, "0123456789") == size;
    return digits && strtoul(value, NULL, 10) > 0 ? NULL : N_("a number of days, from 1 to 9999");
}

static const char *check_reserve(const char *value)
{
    size_t size = strlen(value);
    return size > 0 && size <= 8 && strspn(value, "0123456789") == size ? NULL : N_("a number of MiB, or 0");
}

static const char *check_four_eyes(const char *value)
{
    return strcmp(value, FOUR_EYES_ON) == 0 || strcmp(value, "off") == 0 ? NULL : N_("on or off");
}

static const char *check_operators(const char *value)
{
    return value[0] && !strpbrk(value, " \t:/") ? NULL : N_("none, or the name of a group of this machine");
}

static const char *check_backup(const char *value)
{
    return value[0] == '/' || strcmp(value, BACKUP_NONE) == 0 ? NULL
                                                              : N_("none, or a path that begins with /");
}

static const struct setting table[] = {
    {"origin", SETTING_TEXT, NULL, offsetof(struct settings, origin), 256, check_origin,
     "Name of the exchange with its generation. Fixed: it is part of every signature."},
    {"suite", SETTING_TEXT, "intl", offsetof(struct settings, suite), 16, check_suite,
     "Cryptography: intl (SHA-256, AES-256-GCM, Ed25519) or gm (SM3, SM4, SM2). Fixed."},
    {"listen", SETTING_TEXT, "tcp://127.0.0.1:7400", offsetof(struct settings, listen), 256, check_listen,
     "Where nodes connect. tcp://0.0.0.0:7400 serves other machines."},
    {"door", SETTING_TEXT, DOOR_NEXT, offsetof(struct settings, door), 256, check_door,
     "Where invited nodes join; open only while somebody is invited. next: the address of listen, with the "
     "next port; off: nowhere; or tcp://ADDRESS:PORT."},
    {"monitor", SETTING_TEXT, "off", offsetof(struct settings, monitor), 64, check_monitor,
     "Where monitors, witnesses and auditors read the log over HTTP: off, or ADDRESS:PORT such as "
     "127.0.0.1:7480."},
    {"workers", SETTING_COUNT, "auto", offsetof(struct settings, workers), sizeof(unsigned), check_workers,
     "Threads that verify and seal. auto: one for each processor that is left beside writer and bus."},
    {"silence_seconds", SETTING_COUNT, "20", offsetof(struct settings, silence_seconds), sizeof(unsigned),
     check_silence,
     "Seconds after which a node that says nothing is taken for gone. Half of it later its connection is "
     "closed."},
    {"log_level", SETTING_TEXT, "info", offsetof(struct settings, log_level), 16, check_log_level,
     "Least severity that is logged: debug, info, notice, warning, error."},
    {"witnesses", SETTING_TEXT, WITNESSES_PRESET, offsetof(struct settings, witnesses), 256, check_file,
     "Policy file (C2SP tlog-policy) that names who cosigns this hub's checkpoints, beside this file. No "
     "file: nobody."},
    {"timestamp", SETTING_TEXT, TIMESTAMP_NONE, offsetof(struct settings, timestamp), 256, check_timestamp,
     "Time-stamping authority (RFC 3161) that stamps checkpoints: none, or its address, http://..."},
    {"timestamp_ca", SETTING_TEXT, "timestamp.pem", offsetof(struct settings, timestamp_ca), 256, check_file,
     "File with the certificates (PEM) that vouch for the authority, beside this file."},
    {"timestamp_minutes", SETTING_COUNT, "60", offsetof(struct settings, timestamp_minutes), sizeof(unsigned),
     check_minutes, "Minutes from one time stamp to the next, when there is something new."},
    {"erasure_days", SETTING_COUNT, "10", offsetof(struct settings, erasure_days), sizeof(unsigned),
     check_days,
     "Days within which a receiver has to confirm that it destroyed what it was ordered to; then status "
     "calls it "
     "overdue."},
    {"keep_free_mb", SETTING_COUNT, "256", offsetof(struct settings, keep_free_mb), sizeof(unsigned),
     check_reserve,
     "MiB of the disk that nodes do not get: when less is free, they are asked to wait, and operators can "
     "still act. 0: none."},
    {"four_eyes", SETTING_TEXT, "off", offsetof(struct settings, four_eyes), 8, check_four_eyes,
     "on: a policy is proposed by one account and approved by another before it is in force. off: whoever "
     "applies it does so alone."},
    {"operators", SETTING_TEXT, OPERATORS_NONE, offsetof(struct settings, operators), 64, check_operators,
     "Group of this machine whose members may use the hub's socket, each under the name of the own account: "
     "none, or GROUP."},
    {"backup", SETTING_TEXT, BACKUP_NONE, offsetof(struct settings, backup), 1024, check_backup,
     "Directory of the backup that has to have what an operator does before the command says done: none, or "
     "its path, as of casebus-hub backup."},
};
#define N_SETTINGS (sizeof(table) / sizeof(table[0]))

static const struct setting *setting_named(const char *name)
{
    for (size_t i = 0; i < N_SETTINGS; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

/* What was expected instead of @value (NULL: not a single value), or NULL. */
static const char *setting_expects(const struct setting *setting, const char *value)
{
    if (!value)
        return N_("a single value");
    if (setting->type == SETTING_TEXT && strlen(value) >= setting->size)
        return N_("a shorter text");
    return setting->check(value);
}

const char *settings_fault(const char *name, const char *value)
{
    const struct setting *setting = setting_named(name);
    const char *expected = setting ? setting_expects(setting, value) : N_("there is no such setting");
    return expected ? _(expected) : NULL;
}

bool settings_write(struct buffer *out, const char *origin, const char *suite, const char *listen)
{
    bool ok = buffer_printf(out, "# Settings of this casebus hub. Read when it starts.\n");
    for (size_t i = 0; i < N_SETTINGS; i++) {
        const char *value = table[i].preset;
        if (strcmp(table[i].name, "origin") == 0)
            value = origin;
        if (strcmp(table[i].name, "suite") == 0 && suite)
            value = suite;
        if (strcmp(table[i].name, "listen") == 0 && listen)
            value = listen;
        ok = ok && buffer_printf(out, "\n# %s\n%s: %s\n", table[i].help, table[i].name, value);
    }
    return ok;
}

/* Processors that this process may use, but for two. */
static unsigned workers_auto(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) - 2 : 1;
    return n < 1 ? 1 : n > WORKERS_MOST ? WORKERS_MOST : (unsigned)n;
}

static void put(struct settings *settings, const struct setting *setting, const char *value)
{
    char *at = (char *)settings + setting->offset;
    if (setting->type == SETTING_COUNT)
        *(unsigned *)(void *)at =
            strcmp(value, "auto") == 0 ? workers_auto() : (unsigned)strtoul(value, NULL, 10);
    else
        snprintf(at, setting->size, "%s", value);
}

struct faults {
    struct buffer text;
    size_t n;
};

/* The path is told once: all faults together have to fit into an error's text. */
static void fault(struct faults *faults, const char *path, int line, const char *name, const char *reason)
{
    if (faults->n++)
        buffer_printf(&faults->text, _("; line %d: %s: %s"), line, name, reason);
    else
        buffer_printf(&faults->text, "%s:%d: %s: %s", path, line, name, reason);
}

static int line_of(struct fy_node *node)
{
    struct fy_token *token = fy_node_get_type(node) == FYNT_SCALAR ? fy_node_get_scalar_token(node) : NULL;
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
    return mark ? mark->line + 1 : 0;
}

static void read_pair(struct settings *settings, struct fy_node_pair *pair, const char *path,
                      struct faults *faults, int seen[N_SETTINGS])
{
    const char *name = fy_node_get_scalar0(fy_node_pair_key(pair));
    const char *value = fy_node_get_scalar0(fy_node_pair_value(pair));
    int line = line_of(fy_node_pair_key(pair));
    const struct setting *setting = name ? setting_named(name) : NULL;
    if (!setting) {
        fault(faults, path, line, name ? name : "?", _("there is no such setting"));
        return;
    }
    char reason[200];
    const char *expected = setting_expects(setting, value);
    snprintf(reason, sizeof(reason), _("expected %s"), expected ? _(expected) : "");
    if (expected)
        fault(faults, path, line, name, reason);
    else
        put(settings, setting, value);
    seen[setting - table] = line ? line : 1;
}

/* With what the reader of YAML says first, and its line; what it says after that follows from it. */
static void fault_yaml(struct faults *faults, struct fy_diag *diag, const char *path)
{
    char reason[300];
    void *at = NULL;
    const struct fy_diag_error *error = diag ? fy_diag_errors_iterate(diag, &at) : NULL;
    const char *text = _("cannot be read as settings, `name: value` on each line");
    if (error && error->msg)
        snprintf(reason, sizeof(reason), "%s (%.150s)", text, error->msg);
    else
        snprintf(reason, sizeof(reason), "%s", text);
    fault(faults, path, error && error->line > 0 ? error->line : 1, "YAML", reason);
}

void settings_door(char address[256], const struct settings *settings)
{
    const char *listen = settings->listen, *colon = strrchr(listen, ':');
    unsigned long port = colon ? strtoul(colon + 1, NULL, 10) : 0;
    address[0] = '\0';
    if (strcmp(settings->door, DOOR_OFF) == 0)
        return;
    if (strcmp(settings->door, DOOR_NEXT) != 0)
        snprintf(address, 256, "%s", settings->door);
    else if (strncmp(listen, "tcp://", 6) == 0 && port > 0 && port < 65535)
        snprintf(address, 256, "%.*s:%lu", (int)(colon - listen), listen, port + 1);
}

static bool any_address(const char *host, size_t size)
{
    return size == 1 ? host[0] == '*' : size == 7 && memcmp(host, "0.0.0.0", 7) == 0;
}

/* Whether two of "tcp://HOST:PORT", or without what they begin with, cannot both be listened on. */
static bool same_place(const char *one, const char *other)
{
    one += strncmp(one, "tcp://", 6) == 0 ? 6 : 0;
    other += strncmp(other, "tcp://", 6) == 0 ? 6 : 0;
    const char *port = strrchr(one, ':'), *other_port = strrchr(other, ':');
    if (!port || !other_port || atoi(port + 1) == 0 || atoi(port + 1) != atoi(other_port + 1))
        return false;
    size_t size = (size_t)(port - one), other_size = (size_t)(other_port - other);
    return any_address(one, size) || any_address(other, other_size) ||
           (size == other_size && memcmp(one, other, size) == 0);
}

/* The door opens when somebody is invited: that it cannot would be known late. */
static void check_places(const struct settings *settings, const char *path, struct faults *faults,
                         const int seen[N_SETTINGS])
{
    char door[256] = "", reason[400];
    settings_door(door, settings);
    const struct {
        const char *name, *address;
    } places[] = {{"listen", settings->listen}, {"door", door}, {"monitor", settings->monitor}};
    for (size_t i = 1; i < sizeof(places) / sizeof(places[0]); i++)
        for (size_t j = 0; j < i; j++)
            if (same_place(places[i].address, places[j].address)) {
                int line = seen[setting_named(places[i].name) - table];
                snprintf(reason, sizeof(reason),
                         _("the port is that of '%s' too, which is %s; give one of them another"),
                         places[j].name, places[j].address);
                fault(faults, path, line ? line : 1, places[i].name, reason);
            }
}

static void read_root(struct settings *settings, struct fy_node *root, const char *path,
                      struct faults *faults)
{
    int seen[N_SETTINGS] = {0}; /* in which line */
    void *iterator = NULL;
    struct fy_node_pair *pair;
    while ((pair = fy_node_mapping_iterate(root, &iterator)))
        read_pair(settings, pair, path, faults, seen);
    for (size_t i = 0; i < N_SETTINGS; i++) {
        if (!seen[i] && table[i].preset)
            put(settings, &table[i], table[i].preset);
        else if (!seen[i])
            fault(faults, path, 1, table[i].name, _("is missing"));
    }
    if (!faults->n)
        check_places(settings, path, faults, seen);
}

static struct fy_diag *diag_open(void)
{
    struct fy_diag_cfg config;
    fy_diag_cfg_default(&config);
    config.fp = NULL;
    struct fy_diag *diag = fy_diag_create(&config);
    if (diag)
        fy_diag_set_collect_errors(diag, true);
    return diag;
}

int settings_read(struct settings *settings, const char *path, struct casebus_error *err)
{
    struct faults faults = {.n = 0};
    struct buffer text;
    memset(settings, 0, sizeof(*settings));
    if (file_read(path, SETTINGS_MAX, &text, err)) {
        buffer_deinit(&text);
        return -1;
    }
    struct fy_diag *diag = diag_open();
    struct fy_parse_cfg quiet = {.flags = FYPCF_QUIET, .diag = diag};
    buffer_init(&faults.text, 4096);
    struct fy_document *document =
        utf8_valid(text.data, text.size) /* libfyaml does not come back from every text that is none */
            ? fy_document_build_from_string(&quiet, (const char *)text.data, text.size)
            : NULL;
    struct fy_node *root = document ? fy_document_root(document) : NULL;
    if (root && fy_node_is_mapping(root))
        read_root(settings, root, path, &faults);
    else
        fault_yaml(&faults, diag, path);
    fy_document_destroy(document);
    fy_diag_destroy(diag);
    buffer_deinit(&text);
    if (faults.n)
        error_set(err, CASEBUS_CONFIG, "%.*s", (int)faults.text.size, (const char *)faults.text.data);
    buffer_deinit(&faults.text);
    return faults.n ? -1 : 0;
}

int settings_file(char path[PATH_MAX], const char *dir, const char *name, struct casebus_error *err)
{
    if (name[0] == '/' ? (size_t)snprintf(path, PATH_MAX, "%s", name) >= PATH_MAX
                       : path_join(path, PATH_MAX, dir, name) != 0)
        return error_set(err, CASEBUS_ARGUMENT, _("the name '%s' is too long for a directory"), dir);
    return 0;
}

int settings_policy(char path[PATH_MAX], const struct settings *settings, const char *dir,
                    struct casebus_error *err)
{
    if (settings_file(path, dir, settings->witnesses, err))
        return -1;
    return strcmp(settings->witnesses, WITNESSES_PRESET) != 0 || access(path, F_OK) == 0 || errno != ENOENT;
}
