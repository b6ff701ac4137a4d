/* casebus codes: the list of include/casebus/error.h, in both languages. It needs no hub. */
#include "hub/cli/cli.h"
#include "proto/base/error.h"
#include "proto/base/languages.h"
#include "proto/base/texts.h"

static const enum casebus_code codes[] = {
#define CODE(name, value, text, meaning, actor, resend, hint) CASEBUS_##name,
    CASEBUS_CODES(CODE)
#undef CODE
};

#define N_CODES (sizeof codes / sizeof codes[0])

static error_t codes_parse(int key, char *arg, struct argp_state *state)
{
    const char **wanted = state->input;
    if (key != ARGP_KEY_ARG)
        return ARGP_ERR_UNKNOWN;
    if (*wanted)
        argp_usage(state);
    *wanted = arg;
    return 0;
}

/* "seq-gap" and "CB-SEQ-GAP" are the same. */
static bool code_is(enum casebus_code code, const char *wanted)
{
    const char *text = casebus_code_text(code);
    return strcasecmp(text, wanted) == 0 || strcasecmp(text + strlen("CB-"), wanted) == 0;
}

/* What people read of it, in the language that this thread speaks. */
static json_t *words_json(enum casebus_code code)
{
    return json_pack("{s:s, s:s, s:s, s:s}", "meaning", casebus_code_meaning(code), "actor",
                     casebus_actor_words(casebus_code_actor(code)), "resend",
                     casebus_resend_words(casebus_code_resend(code)), "hint", casebus_code_hint(code));
}

static json_t *words_json_in(locale_t locale, enum casebus_code code)
{
    locale_t before = locale ? uselocale(locale) : (locale_t)0;
    json_t *json = words_json(code);
    if (before)
        uselocale(before);
    return json;
}

static json_t *code_json(const struct languages *languages, enum casebus_code code)
{
    return json_pack("{s:s, s:i, s:s, s:s, s:o, s:o}", "code", casebus_code_text(code), "value", (int)code,
                     "actor", casebus_actor_text(casebus_code_actor(code)), "resend",
                     casebus_resend_text(casebus_code_resend(code)), "en",
                     words_json_in(languages->english, code), "zh", words_json_in(languages->chinese, code));
}

/* In the language that this thread speaks. */
static void words_print(const struct cli *cli, enum casebus_code code)
{
    fprintf(cli->out, "  %s\n", casebus_code_meaning(code));
    cli_field(cli, _("    who must act"), 24, casebus_actor_words(casebus_code_actor(code)));
    cli_field(cli, _("    does sending help"), 24, casebus_resend_words(casebus_code_resend(code)));
    cli_field(cli, _("    way out"), 24, casebus_code_hint(code));
}

static void code_print(const struct cli *cli, const struct languages *languages, enum casebus_code code)
{
    const locale_t both[] = {languages->english, languages->chinese};
    fprintf(cli->out, "%s\n", casebus_code_text(code));
    for (size_t i = 0; i < 2; i++) {
        locale_t before = both[i] ? uselocale(both[i]) : (locale_t)0;
        words_print(cli, code);
        if (before)
            uselocale(before);
    }
}

/* One line for each, in the language of the process. */
static void codes_print(const struct cli *cli)
{
    const struct table_column columns[] = {{_("CODE"), TABLE_LEFT, 0},
                                           {_("MEANING"), TABLE_LEFT, 0},
                                           {_("WHO MUST ACT"), TABLE_LEFT, 0},
                                           {_("SEND AGAIN?"), TABLE_LEFT, 0}};
    struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < N_CODES; i++) {
        table_text(table, casebus_code_text(codes[i]));
        table_text(table, casebus_code_meaning(codes[i]));
        table_text(table, casebus_actor_words(casebus_code_actor(codes[i])));
        table_text(table, casebus_resend_words(casebus_code_resend(codes[i])));
    }
    table_print(table, cli->out, cli->colour);
    table_free(table);
}

static int unknown(const struct cli *cli, const char *wanted)
{
    struct casebus_error err = {0};
    error_set(&err, CASEBUS_NOT_FOUND, _("there is no code '%s'"), wanted);
    error_hint(&err, _("casebus codes lists them all"));
    return cli_fail(cli, &err);
}

static int one_print(const struct cli *cli, const struct languages *languages, const char *wanted)
{
    for (size_t i = 0; i < N_CODES; i++)
        if (code_is(codes[i], wanted)) {
            code_print(cli, languages, codes[i]);
            return CLI_OK;
        }
    return unknown(cli, wanted);
}

static int list_print(const struct cli *cli, const struct languages *languages, const char *wanted)
{
    if (!cli->json) {
        codes_print(cli);
        return CLI_OK;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < N_CODES; i++)
        if (!wanted || code_is(codes[i], wanted))
            json_array_append_new(list, code_json(languages, codes[i]));
    json_t *json = json_pack("{s:o}", "codes", list);
    bool found = json_array_size(list) > 0;
    if (found)
        cli_print_json(cli, json);
    json_decref(json);
    return found ? CLI_OK : unknown(cli, wanted);
}

int codes_main(struct cli *cli, int argc, char **argv)
{
    const char *wanted = NULL;
    struct languages languages;
    struct argp argp = {.parser = codes_parse,
                        .args_doc = N_("[CODE]"),
                        .doc =
                            N_("Lists the codes with which something is refused or fails; of one, tells in "
                               "both languages what it means, who must act, whether it helps to send "
                               "again, and the way out. It needs no hub.")};
    cli_parse(cli, &argp, argc, argv, &wanted);
    languages_prepare();
    languages_init(&languages);
    int r = wanted && !cli->json ? one_print(cli, &languages, wanted) : list_print(cli, &languages, wanted);
    languages_deinit(&languages);
    return r;
}
