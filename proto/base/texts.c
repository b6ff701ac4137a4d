/* The language of what people read.
 *
 * gettext translates only when the C library has a locale for the process, and a bare system has none but
 * C.UTF-8, not even where LANG=zh_CN.UTF-8 is set. There C.UTF-8 does: with it, gettext follows LANGUAGE.
 * So nobody has to install or generate locales to read Chinese.
 *
 * What counts, first to last: CASEBUS_LANG (zh or en), then the usual LANGUAGE, LC_ALL, LC_MESSAGES, LANG. */
#include "proto/base/texts.h"

#include <limits.h>
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What argp says of itself. It looks its words up in our catalogue, so they only have to be in it. */
#define ARGP_SAYS                                                                                            \
    N_("Usage:")                                                                                             \
    N_("  or: ")                                                                                             \
    N_(" [OPTION...]")                                                                                       \
    N_("Give this help list")                                                                                \
    N_("Give a short usage message")                                                                         \
    N_("Print program version")                                                                              \
    N_("%s: Too many arguments\n")                                                                           \
    N_("Try `%s --help' or `%s --usage' for more information.\n")                                            \
    N_("Mandatory or optional arguments to long options are also mandatory or optional for "                 \
       "any corresponding short options.")

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] ? value : NULL;
}

static bool is_language(const char *value, const char *language)
{
    size_t size = strlen(language);
    return value && strncmp(value, language, size) == 0 &&
           !strchr("abcdefghijklmnopqrstuvwxyz", value[size] | ' ');
}

/* What the environment asks for, as the C library would read it. */
static const char *language_wanted(void)
{
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    const char *locale = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !locale; i++)
        locale = environment(names[i]);
    if (!locale || strcmp(locale, "C") == 0 || strcmp(locale, "POSIX") == 0)
        return "C";
    const char *language = environment("LANGUAGE");
    return language ? language : locale;
}

static bool locale_is_plain(int category)
{
    const char *name = setlocale(category, NULL);
    return !name || strcmp(name, "C") == 0 || strcmp(name, "POSIX") == 0;
}

/* Any locale in UTF-8 will do: which language it is, LANGUAGE decides. */
static void locale_stand_in(int category)
{
    static const char *const names[] = {"C.UTF-8", "zh_CN.UTF-8", "en_US.UTF-8"};
    for (size_t i = 0; i < sizeof names / sizeof names[0] && locale_is_plain(category); i++)
        setlocale(category, names[i]);
}

static void language_choose(void)
{
    const char *wanted = environment("CASEBUS_LANG");
    if (is_language(wanted, "en")) {
        setlocale(LC_MESSAGES, "C");
        return;
    }
    if (!is_language(wanted, "zh") && !is_language(language_wanted(), "zh"))
        return;
    locale_stand_in(LC_CTYPE);
    locale_stand_in(LC_MESSAGES);
    setenv("LANGUAGE", "zh_CN", 1);
    /* argp counts bytes as columns; three a character would break Chinese lines in the middle */
    setenv("ARGP_HELP_FMT", "no-dup-args-note,rmargin=250", 0);
}

/* DIR of our own program plus @below, when our catalogue is there. */
static bool catalogue_beside_program(char *out, size_t size, const char *below)
{
    char exe[PATH_MAX];
    char catalogue[PATH_MAX + 64];
    ssize_t length = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (length <= 0)
        return false;
    exe[length] = '\0';
    char *slash = strrchr(exe, '/');
    if (!slash)
        return false;
    *slash = '\0';
    int written = snprintf(out, size, "%s/%s", exe, below);
    if (written < 0 || (size_t)written >= size)
        return false;
    snprintf(catalogue, sizeof catalogue, "%s/zh_CN/LC_MESSAGES/casebus.mo", out);
    return access(catalogue, R_OK) == 0;
}

void texts_init(void)
{
    char beside[PATH_MAX];
    setlocale(LC_ALL, "");
    setlocale(LC_NUMERIC, "C"); /* numbers in files and messages keep their dot */
    language_choose();
    const char *dir = environment("CASEBUS_LOCALEDIR");
    if (!dir && (catalogue_beside_program(beside, sizeof beside, "../locale") ||
                 catalogue_beside_program(beside, sizeof beside, "../share/locale")))
        dir = beside;
    bindtextdomain("casebus", dir ? dir : CASEBUS_LOCALEDIR);
    bind_textdomain_codeset("casebus", "UTF-8");
    textdomain("casebus"); /* argp looks options up in the default domain, whatever its argp_domain says */
}
