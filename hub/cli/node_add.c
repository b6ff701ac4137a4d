/* casebus node add: makes a node's keys, lets the hub enrol it, writes enrolment.json.
 *
 * The secrets are made here and never leave DIR. They are written before the hub is asked; enrolment.json
 * comes last and says that all is done. When the connection breaks in between, the same command goes on with
 * the same keys: the hub answers the same enrolment again. A folder that holds this node already joins the
 * hub again (rejoin.h). */
#include "hub/cli/cli.h"
#include "hub/cli/grants.h"
#include "hub/cli/rejoin.h"
#include "proto/base/texts.h"
#include "proto/crypto/base64.h"
#include "proto/enrol/enrolment_file.h"
#include "proto/enrol/node_keys.h"

#include <stdlib.h>

struct node_add {
    const char *name;
    const char *department;
    const char *area;
    const char *dir;
    const char *endpoint;
    struct grants_wanted grants;

    const struct suite *suite; /* of the hub */
    struct node_keys keys;
    struct rejoin rejoin;
    char origin[ORIGIN_MAX]; /* of the hub that answers */
    bool known;              /* by that hub, and by the folder: nothing is to be done */
    struct arena arena;
};

/* ---- the command line ---- */

enum { OPT_PUBLISH = 256, OPT_RECEIVE_ALL, OPT_PARTS, OPT_ENDPOINT };

static const struct argp_option options[] = {
    {"department", 'd', N_("CODE"), 0, N_("Code of the department that the node speaks for"), 0},
    {"area", 'a', N_("AREA"), 0, N_("Six digits (GB/T 2260)"), 0},
    {"out", 'o', N_("DIR"), 0, N_("Where keys and enrolment.json go"), 0},
    {"publish", OPT_PUBLISH, NULL, 0, N_("It may publish events"), 0},
    {"receive-all", OPT_RECEIVE_ALL, NULL, 0, N_("It receives the events of all departments"), 0},
    {"parts", OPT_PARTS, N_("KIND,..."), 0,
     N_("Parts that it may see: identity, contact, form, opinion, other, or all; none without this option"),
     0},
    {"endpoint", OPT_ENDPOINT, N_("tcp://HOST:PORT"), 0,
     N_("Where it finds the hub, if it is not where the hub listens"), 0},
    {0}};

static void required(struct argp_state *state, const char *value, const char *option)
{
    if (!value || !*value)
        argp_error(state, _("--%s is missing"), option);
}

static void complete(struct argp_state *state, const struct node_add *add)
{
    if (!add->name)
        argp_error(state, _("which NAME?"));
    if (!node_name_valid(add->name))
        argp_error(state, _("'%s' is not the name of a node: a-z, 0-9, '.' and '-', at most 63 of them"),
                   add->name);
    required(state, add->department, "department");
    required(state, add->area, "area");
    required(state, add->dir, "out");
    if (add->endpoint && !endpoint_usable(add->endpoint))
        argp_error(state, _("'%s' is not an endpoint: tcp://HOST:PORT"), add->endpoint);
    if (add->grants.parts && !add->grants.receive_all)
        argp_error(state, _("--parts goes with --receive-all"));
}

static error_t option_parse(int key, char *arg, struct argp_state *state)
{
    struct node_add *add = state->input;
    switch (key) {
    case 'd':
        add->department = arg;
        return 0;
    case 'a':
        add->area = arg;
        return 0;
    case 'o':
        add->dir = arg;
        return 0;
    case OPT_PUBLISH:
        add->grants.publish = true;
        return 0;
    case OPT_RECEIVE_ALL:
        add->grants.receive_all = true;
        return 0;
    case OPT_PARTS:
        add->grants.parts = arg;
        return 0;
    case OPT_ENDPOINT:
        add->endpoint = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (add->name)
            cli_words_wrong(state, arg);
        add->name = arg;
        return 0;
    case ARGP_KEY_END:
        complete(state, add);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- the request ---- */

static int set_base64(json_t *json, const char *name, struct bytes bytes, struct casebus_error *err)
{
    char *text = base64_encode(bytes);
    if (!text)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for an enrolment"));
    json_object_set_new(json, name, json_string(text));
    free(text);
    return 0;
}

static int request_make(struct node_add *add, const char *origin, json_t *body, struct casebus_error *err)
{
    uint8_t signature[SIGNATURE_SIZE];
    struct bytes statement;
    const struct node_claim claim = {origin, add->name, add->department, add->area};
    if (node_keys_state(&add->keys, &claim, &add->arena, &statement, signature, err))
        return -1;
    json_t *grants = grants_wanted_json(&add->grants, err);
    if (!grants)
        return -1;
    json_object_set_new(body, "grants", grants);
    return set_base64(body, "statement", statement, err) ||
                   set_base64(body, "signature", bytes_of(signature, sizeof signature), err)
               ? -1
               : 0;
}

/* ---- the answer ---- */

static int suite_find(struct node_add *add, const char *name, struct casebus_error *err)
{
    add->suite = suite_by_name(name ? name : "intl"); /* a hub that does not say knows no other */
    return add->suite
               ? 0
               : error_set(err, CASEBUS_BAD_VERSION,
                           _("the hub is of suite '%s', which this program or its OpenSSL does not have"),
                           name);
}

/* Is it the hub that this folder knows, if it knows one? And what keys does it take? */
static int hub_meet(struct cli *cli, struct node_add *add, struct casebus_error *err)
{
    json_t *status;
    if (rejoin_open(&add->rejoin, add->dir, err) || client_get(cli->client, &status, err, "/v1/status"))
        return -1;
    snprintf(add->origin, sizeof add->origin, "%s", get_text(status, "origin"));
    const struct rejoin_wanted wanted = {add->name, add->department, add->area, add->origin,
                                         get_text(status, "log_key")};
    int r = suite_find(add, get_text(status, "suite"), err);
    if (!r && add->rejoin.before)
        r = rejoin_check(&add->rejoin, &wanted, err);
    json_decref(status);
    return r;
}

static int answer_take(struct node_add *add, json_t *enrolment, struct casebus_error *err)
{
    int r = add->rejoin.before ? rejoin_take(&add->rejoin, enrolment, err) : 1;
    add->known = r == 0;
    return r > 0 ? enrolment_file_write(add->dir, enrolment, add->endpoint, err) : r;
}

static int enrol(struct cli *cli, struct node_add *add, json_t *body, json_t **enrolment,
                 struct casebus_error *err)
{
    if (request_make(add, add->origin, body, err) ||
        client_post(cli->client, "/v1/nodes", body, enrolment, err))
        return -1;
    return answer_take(add, *enrolment, err);
}

/* After a plain no, keys that were made for nothing go; after a broken connection the hub may have said yes.
 */
static void keys_drop(const struct node_add *add, enum casebus_code code)
{
    if (code != CASEBUS_NETWORK && code != CASEBUS_TIMEOUT && code != CASEBUS_CLOSED &&
        code != CASEBUS_INTERNAL)
        node_keys_drop(&add->keys);
}

/* One that is known and shut out is not helped by being enrolled. */
static void standing_print(const struct cli *cli, const struct node_add *add)
{
    struct casebus_error ignored;
    char target[3 * NODE_NAME_MAX];
    json_t *node;
    if (client_get(cli->client, &node, &ignored, "/v1/nodes/%s",
                   target_escape(target, sizeof target, add->name)))
        return;
    if (strcmp(get_text(node, "status"), "suspended") == 0)
        fprintf(cli->out, _("It is suspended; to let it in again: casebus node resume %s\n"), add->name);
    json_decref(node);
}

static void enrolled_print(const struct cli *cli, const struct node_add *add)
{
    const char *words =
        add->known ? _("node '%s' is enrolled at %s already; %s stays as it is\n")
        : add->rejoin.before
            ? _("node '%s' is enrolled again at %s; its adapter goes on with the keys, the outbox and the "
                "checkpoint that are in %s\n")
            : _("node '%s' is enrolled at %s; its keys and enrolment.json are in %s\n");
    fprintf(cli->out, words, add->name, add->origin, add->dir);
    if (add->known)
        standing_print(cli, add);
    if (!add->known && !add->grants.publish && !add->grants.receive_all)
        fputs(_("It receives what rows of the policy give its department: casebus policy show\n"), cli->out);
}

static int node_add(struct cli *cli, struct node_add *add)
{
    struct casebus_error err = {0};
    json_t *body = json_object(), *enrolment = NULL;
    arena_init(&add->arena, 4096, 64 * 1024);
    int r = hub_meet(cli, add, &err) ||
                    node_keys_open(&add->keys, add->dir, add->suite, NULL, add->rejoin.before, &err) ||
                    enrol(cli, add, body, &enrolment, &err)
                ? cli_fail(cli, &err)
                : CLI_OK;
    if (r != CLI_OK && !enrolment)
        keys_drop(add, err.code);
    if (r == CLI_OK && !add->known)
        backup_note_add(cli, enrolment);
    if (r == CLI_OK && cli->json)
        cli_print_json(cli, enrolment);
    else if (r == CLI_OK)
        enrolled_print(cli, add);
    if (r == CLI_OK)
        r = backup_note_print(cli, enrolment);
    json_decref(enrolment);
    rejoin_close(&add->rejoin);
    json_decref(body);
    node_keys_close(&add->keys);
    arena_deinit(&add->arena);
    return r;
}

int node_add_main(struct cli *cli, int argc, char **argv)
{
    struct node_add add = {0};
    struct argp argp = {
        .options = options,
        .parser = option_parse,
        .args_doc = N_("NAME"),
        .doc =
            N_("Makes keys for a node in DIR, lets the running hub enrol it under NAME, and writes "
               "DIR/enrolment.json for its adapter.\vThe secrets node.key and node.curve are made in "
               "DIR and never leave it. If it was interrupted, run it again. If the hub was restored from a "
               "backup that does not know the node, run it again with the node's own DIR: its keys and its "
               "outbox stay, and the adapter brings what the hub has lost.")};
    cli_parse(cli, &argp, argc, argv, &add);
    int code = cli_connect(cli);
    return code ? code : node_add(cli, &add);
}
