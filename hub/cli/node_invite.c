/* casebus node invite: asks the hub for a code with which a department's node may join. */
#include "hub/cli/cli.h"
#include "hub/cli/grants.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"
#include "proto/crypto/certificate.h"
#include "proto/enrol/enrolment_file.h"

#include <stdlib.h>
#include <unistd.h>

#define VALID_PRESET "3d"

struct node_invite {
    const char *name;
    const char *department;
    const char *area;
    const char *role;
    const char *endpoint;
    const char *valid;
    struct grants_wanted grants;
    json_int_t valid_s;
    bool automatic;
};

enum { OPT_PUBLISH = 256, OPT_RECEIVE_ALL, OPT_PARTS, OPT_ENDPOINT, OPT_ROLE, OPT_VALID, OPT_AUTO };

static const struct argp_option options[] = {
    {"department", 'd', N_("CODE"), 0, N_("Code of the department that the node speaks for"), 0},
    {"area", 'a', N_("AREA"), 0, N_("Six digits (GB/T 2260)"), 0},
    {"role", OPT_ROLE, N_("ROLE"), 0,
     N_("adapter: it publishes; receiver: it receives what rows of the policy give; supervisor: the events "
        "of all departments. Or say it one by one:"),
     0},
    {"publish", OPT_PUBLISH, NULL, 0, N_("It may publish events"), 0},
    {"receive-all", OPT_RECEIVE_ALL, NULL, 0, N_("It receives the events of all departments"), 0},
    {"parts", OPT_PARTS, N_("KIND,..."), 0,
     N_("Parts that it may see: identity, contact, form, opinion, other, or all; none without this option"),
     0},
    {"valid", OPT_VALID, N_("TIME"), 0, N_("How long the code counts, such as 90m, 12h or 3d (3d)"), 0},
    {"auto", OPT_AUTO, NULL, 0, N_("Enrol at once whoever has the code; nobody looks at the request"), 0},
    {"endpoint", OPT_ENDPOINT, N_("tcp://HOST:PORT"), 0,
     N_("Where it finds the hub, if it is not where the hub listens"), 0},
    {0}};

/* 0 when it is no time. */
static void role_take(struct argp_state *state, struct node_invite *invite)
{
    if (!invite->role)
        return;
    if (strcmp(invite->role, "adapter") == 0)
        invite->grants.publish = true;
    else if (strcmp(invite->role, "supervisor") == 0)
        invite->grants.receive_all = true;
    else if (strcmp(invite->role, "receiver") != 0)
        argp_error(state, _("'%s' is no role: adapter, receiver or supervisor"), invite->role);
}

static void complete(struct argp_state *state, struct node_invite *invite)
{
    if (!invite->name)
        argp_error(state, _("which NAME?"));
    if (!node_name_valid(invite->name))
        argp_error(state, _("'%s' is not the name of a node: a-z, 0-9, '.' and '-', at most 63 of them"),
                   invite->name);
    if (!invite->department || !*invite->department)
        argp_error(state, _("--%s is missing"), "department");
    if (!invite->area || !*invite->area)
        argp_error(state, _("--%s is missing"), "area");
    role_take(state, invite);
    if (!invite->role && !invite->grants.publish && !invite->grants.receive_all)
        argp_error(state, _("--%s is missing"), "role");
    if (invite->grants.parts && !invite->grants.receive_all)
        argp_error(state, _("--parts goes with --receive-all"));
    if (invite->endpoint && !endpoint_usable(invite->endpoint))
        argp_error(state, _("'%s' is not an endpoint: tcp://HOST:PORT"), invite->endpoint);
    invite->valid_s = cli_seconds(invite->valid);
    if (!invite->valid_s)
        argp_error(state, _("'%s' is no length of time: expected 90m, 12h or 3d"), invite->valid);
}

static error_t option_parse(int key, char *arg, struct argp_state *state)
{
    struct node_invite *invite = state->input;
    switch (key) {
    case 'd':
        invite->department = arg;
        return 0;
    case 'a':
        invite->area = arg;
        return 0;
    case OPT_ROLE:
        invite->role = arg;
        return 0;
    case OPT_PUBLISH:
        invite->grants.publish = true;
        return 0;
    case OPT_RECEIVE_ALL:
        invite->grants.receive_all = true;
        return 0;
    case OPT_PARTS:
        invite->grants.parts = arg;
        return 0;
    case OPT_VALID:
        invite->valid = arg;
        return 0;
    case OPT_AUTO:
        invite->automatic = true;
        return 0;
    case OPT_ENDPOINT:
        invite->endpoint = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (invite->name)
            cli_words_wrong(state, arg);
        invite->name = arg;
        return 0;
    case ARGP_KEY_END:
        complete(state, invite);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- what the department is told ---- */

/* The hub's address as another machine may reach it: its own name for one that stands for all addresses. */
static void endpoint_guess(const struct node_invite *invite, const char *listen, char *out, size_t size)
{
    char host[256] = "";
    const char *port = strrchr(listen, ':');
    bool any = strncmp(listen, "tcp://0.0.0.0:", 14) == 0 || strncmp(listen, "tcp://*:", 8) == 0 ||
               strncmp(listen, "tcp://[::]:", 11) == 0;
    gethostname(host, sizeof host - 1);
    if (invite->endpoint)
        snprintf(out, size, "%s", invite->endpoint);
    else if (any && port)
        snprintf(out, size, "tcp://%s%s", host, port);
    else
        snprintf(out, size, "%s", listen);
}

/* " --door tcp://HOST:PORT" when the door is not where a node looks for it. */
static void door_option(const char *endpoint, const char *door, char *out, size_t size)
{
    const char *port = strrchr(endpoint, ':'), *door_port = strrchr(door, ':');
    out[0] = '\0';
    if (port && door_port && atoi(door_port + 1) != atoi(port + 1) + 1)
        snprintf(out, size, " --door %.*s%s", (int)(port - endpoint), endpoint, door_port);
}

static void say(const struct cli *cli, const struct node_invite *invite, const json_t *answer)
{
    char endpoint[300], door[300], until[64];
    const char *listen = get_text(answer, "endpoint"), *where = get_text(answer, "door");
    endpoint_guess(invite, listen ? listen : "", endpoint, sizeof endpoint);
    door_option(endpoint, where ? where : "", door, sizeof door);
    fprintf(cli->out, _("code:   %s   (once, until %s)\n\n"), get_text(answer, "code"),
            time_zone_text(until, get_time(answer, "expires_us"), false));
    fprintf(cli->out, _("The department runs, on the machine of its adapter:\n\n"));
    fprintf(cli->out, "  casebus-adapter join %s %s%s --dir %s\n\n", endpoint, get_text(answer, "code"), door,
            invite->name);
    fprintf(cli->out, _("Its firewall has to let it reach this hub at %s and, until it has joined, at %s.\n"),
            listen ? listen : "", where ? where : "");
    if (invite->automatic)
        fprintf(cli->out, _("It is enrolled at once: whoever has the code is '%s'.\n"), invite->name);
    else
        fprintf(cli->out,
                _("Then compare the key and approve it here:  casebus node requests;  "
                  "casebus node approve %s\n"),
                invite->name);
}

static int node_invite(struct cli *cli, const struct node_invite *invite)
{
    struct casebus_error err = {0};
    json_t *answer = NULL, *grants = grants_wanted_json(&invite->grants, &err);
    if (!grants)
        return cli_fail(cli, &err);
    json_t *body = json_pack("{s:s, s:s, s:s, s:o, s:I, s:b}", "node", invite->name, "department",
                             invite->department, "area", invite->area, "grants", grants, "valid_s",
                             invite->valid_s, "automatic", (int)invite->automatic);
    int r = body ? client_post(cli->client, "/v1/invitations", body, &answer, &err)
                 : error_set(&err, CASEBUS_TEXT, _("the department's code is not UTF-8"));
    if (r == 0 && cli->json)
        cli_print_json(cli, answer);
    else if (r == 0)
        say(cli, invite, answer);
    json_decref(answer);
    json_decref(body);
    return r ? cli_fail(cli, &err) : CLI_OK;
}

int node_invite_main(struct cli *cli, int argc, char **argv)
{
    struct node_invite invite = {.valid = VALID_PRESET};
    struct argp argp = {
        .options = options,
        .parser = option_parse,
        .args_doc = N_("NAME"),
        .doc = N_("Asks the running hub for a code with which a department's node may join under NAME, once. "
                  "The department makes its keys itself.\vHand the code over by telephone or on paper, not "
                  "with the same letter as the hub's address. While it counts, the hub listens at its door "
                  "(`door` in hub.yaml), too.")};
    cli_parse(cli, &argp, argc, argv, &invite);
    int code = cli_connect(cli);
    return code ? code : node_invite(cli, &invite);
}
