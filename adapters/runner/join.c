/* `join`: a department's machine becomes a node. The keys are made here and stay here; the code tells hub and
 * node that they mean each other. Each step can be interrupted and done again: what there is, is used. */
#include "adapters/runner/commands.h"
#include "adapters/sdk/enrolment.h"
#include "adapters/sdk/joining.h"
#include "adapters/sdk/reach.h"
#include "proto/base/clock.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/enrol/enrolment_file.h"
#include "proto/enrol/node_keys.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#define DIR_PRESET "node"

enum { ANSWER_MS = 15000, REACH_MS = 10000, AGAIN_S = 1, ARENA_MOST = 256 * 1024 };

struct join {
    const char *dir;
    const char *endpoint;
    const char *token; /* URI of the signing key; NULL: in a file */
    char door[ENDPOINT_MAX];
    struct joiner joiner;
    struct node_keys keys;
    json_t *enrolment; /* as the offer says it, for enrolment.json */
    uint8_t authority[CERTIFICATE_MAX];
    size_t authority_size;
    uint8_t signature[SIGNATURE_SIZE];
    int64_t expires_at_us;
    bool met;     /* the hub has shown that it is the one */
    bool waiting; /* and it was said that an operator has to look */
    bool silent;  /* and that the hub does not answer */
};

/* ---- what the hub offers ---- */

static int pem_set(json_t *json, const char *name, struct bytes certificate, struct casebus_error *err)
{
    struct buffer pem;
    buffer_init(&pem, 2 * CERTIFICATE_MAX);
    int r = certificate_to_pem(certificate, &pem, err);
    if (r == 0)
        json_object_set_new(json, name, json_stringn((const char *)pem.data, pem.size));
    buffer_deinit(&pem);
    return r;
}

static int offer_keep(struct join *join, const Casebus__V1__JoinOffer *offer, const struct suite *suite,
                      struct casebus_error *err)
{
    char curve_key[CURVE_Z85_MAX];
    zmq_z85_encode(curve_key, offer->curve_key.data, CURVE_KEY_SIZE);
    memcpy(join->authority, offer->authority.data, offer->authority.len);
    join->authority_size = offer->authority.len;
    json_decref(join->enrolment);
    join->enrolment =
        json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "format", 1, "suite", suite_name(suite),
                  "origin", offer->origin, "node", offer->node, "department", offer->department, "area",
                  offer->area, "hub_curve_key", curve_key, "log_key", offer->log_key);
    if (!join->enrolment)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for an enrolment"));
    return pem_set(join->enrolment, "authority", bytes_of(join->authority, join->authority_size), err);
}

static void met_print(const struct join *join, const Casebus__V1__JoinOffer *offer)
{
    char id[2 * KEY_ID_SIZE + 1], node[2 * NODE_NAME_MAX], department[256];
    uint8_t key_id[KEY_ID_SIZE];
    public_key_id(signing_key_public(join->keys.key), key_id);
    text_escape(node, sizeof node, offer->node);
    text_escape(department, sizeof department, offer->department);
    printf(_("hub:        %s (it knows the code)\n"), offer->origin);
    printf(_("this node:  %s, for department %s, area %s\n"), node, department, offer->area);
    printf(_("its key:    %s (made in '%s', where it stays)\n"), hex_encode(id, key_id, KEY_ID_SIZE),
           join->dir);
    fflush(stdout);
}

static int state_node(void *self, const Casebus__V1__JoinOffer *offer, struct arena *arena,
                      Casebus__V1__JoinRequest *request, struct casebus_error *err)
{
    struct join *join = self;
    struct bytes statement;
    const struct suite *suite = suite_get((enum suite_id)offer->suite);
    const struct node_claim claim = {offer->origin, offer->node, offer->department, offer->area};
    if (!suite)
        return error_set(err, CASEBUS_BAD_VERSION,
                         _("the hub is of a suite that this program or its OpenSSL does not have"));
    if (join->keys.key && signing_key_public(join->keys.key)->suite != suite_id(suite))
        return error_set(err, CASEBUS_KEY, _("the hub is of the suite '%s', and the key of this node is not"),
                         suite_name(suite));
    if ((!join->keys.key && node_keys_open(&join->keys, join->dir, suite, join->token, false, err)) ||
        node_keys_state(&join->keys, &claim, arena, &statement, join->signature, err) ||
        offer_keep(join, offer, suite, err))
        return -1;
    request->statement = (ProtobufCBinaryData){statement.size, (uint8_t *)(uintptr_t)statement.data};
    request->signature = (ProtobufCBinaryData){SIGNATURE_SIZE, join->signature};
    if (!join->met)
        met_print(join, offer);
    join->met = true;
    join->expires_at_us = offer->expires_at_us;
    return 0;
}

/* ---- what the hub answers ---- */

/* Written only when it is ours; read again as the adapter will read it. */
static int enrolled(struct join *join, struct bytes certificate, struct casebus_error *err)
{
    struct certificate_info info;
    struct enrolment enrolment;
    int64_t now = clock_unix_us() / 1000000;
    if (certificate_check(certificate, bytes_of(join->authority, join->authority_size), 0, &info, err) ||
        pem_set(join->enrolment, "certificate", certificate, err) ||
        enrolment_file_write(join->dir, join->enrolment, join->endpoint, err))
        return -1;
    int r = enrolment_load(&enrolment, join->dir, now, err);
    enrolment_deinit(&enrolment);
    return r;
}

/* The hub shuts its door when it knows that the certificate has arrived; if this does not reach it, it does
 * so when the invitation ends. */
static void tell_kept(struct join *join)
{
    struct arena arena;
    arena_init(&arena, 16 * 1024, ARENA_MOST);
    joiner_ask(&join->joiner, true, state_node, join, &arena, NULL);
    arena_deinit(&arena);
}

static int fail(const struct casebus_error *err)
{
    error_print("casebus-adapter", err);
    switch (err->code) {
    case CASEBUS_NOT_FOUND:
    case CASEBUS_EXISTS:
    case CASEBUS_CLOSED:
    case CASEBUS_NOT_ALLOWED:
    case CASEBUS_BAD_FIELD:
        return EXIT_SOME_BAD;
    case CASEBUS_ARGUMENT:
        return EXIT_USAGE;
    case CASEBUS_PASSPHRASE:
        return EXIT_LOCKED;
    default:
        return EXIT_STUCK;
    }
}

static void end_print(const struct join *join)
{
    printf(_("enrolled:   keys and enrolment.json are in '%s'\n\n"), join->dir);
    printf(_("Next, a configuration with `node: %s` in it:\n\n"), join->dir);
    fputs("  casebus-adapter explain > adapter.yaml\n  casebus-adapter check adapter.yaml\n"
          "  casebus-adapter run adapter.yaml\n",
          stdout);
}

/* The exit code, or -1: ask again. */
static int answer_take(struct join *join, const Casebus__V1__JoinAnswer *answer)
{
    struct casebus_error err = {0};
    char words[512];
    switch (answer->state) {
    case CASEBUS__V1__JOIN_STATE__JOIN_STATE_ENROLLED:
        if (enrolled(join, bytes_of(answer->certificate.data, answer->certificate.len), &err))
            return fail(&err);
        tell_kept(join);
        end_print(join);
        return EXIT_FINE;
    case CASEBUS__V1__JOIN_STATE__JOIN_STATE_REFUSED:
        text_escape(words, sizeof words, answer->words);
        error_set(&err, CASEBUS_NOT_ALLOWED, _("the hub's operator refused this node: %s"), words);
        error_hint(&err, _("ask for another invitation; the keys in '%s' can be used for it"), join->dir);
        return fail(&err);
    case CASEBUS__V1__JOIN_STATE__JOIN_STATE_USED:
        error_set(&err, CASEBUS_EXISTS,
                  _("the code was used already, by another machine or with other keys"));
        error_hint(&err, _("if that was not you, tell the operator at once: casebus node refuse"));
        return fail(&err);
    default:
        break;
    }
    if (!join->waiting)
        printf(_("asked:      now the hub's operator compares the key and approves; ^C is safe, the same "
                 "command goes on\n"));
    join->waiting = true;
    join->silent = false;
    fflush(stdout);
    return -1;
}

/* ---- when nobody answers ---- */

static int unreached(struct join *join, struct casebus_error *err)
{
    if (err->code == CASEBUS_CLOSED)
        error_hint(err,
                   _("the machine answers, but the hub's door is shut: nobody is invited now, or the code "
                     "has ended; or the door is at another port: --door"));
    else
        error_hint(err, _("a firewall may be in between: this machine has to reach %s, and %s for its work"),
                   join->door, join->endpoint);
    error_print("casebus-adapter", err);
    return EXIT_STUCK;
}

/* Once the hub was met, it is waited for. The exit code, or -1: ask again. */
static int failed(struct join *join, struct casebus_error *err)
{
    bool line = err->code == CASEBUS_NETWORK || err->code == CASEBUS_TIMEOUT;
    if (!line)
        return fail(err);
    if (!join->met)
        return unreached(join, err);
    if (clock_unix_us() > join->expires_at_us) {
        error_set(err, CASEBUS_CLOSED, _("the invitation has expired"));
        error_hint(err, _("ask for another invitation; the keys in '%s' can be used for it"), join->dir);
        return fail(err);
    }
    if (!join->silent)
        printf(_("            the hub does not answer; trying again\n"));
    join->silent = true;
    fflush(stdout);
    return -1;
}

static int ask(struct join *join)
{
    struct casebus_error err = {0};
    struct arena arena;
    int code;
    if (reach(join->door, REACH_MS, &err)) {
        if (!join->met)
            return unreached(join, &err);
        err.code = CASEBUS_NETWORK; /* a hub that starts again has its door shut for a moment */
        return failed(join, &err);
    }
    arena_init(&arena, 16 * 1024, ARENA_MOST);
    const Casebus__V1__JoinAnswer *answer = joiner_ask(&join->joiner, false, state_node, join, &arena, &err);
    code = answer ? answer_take(join, answer) : failed(join, &err);
    arena_deinit(&arena);
    return code;
}

static int folder_check(const struct join *join, struct casebus_error *err)
{
    char path[PATH_MAX];
    if (path_join(path, sizeof path, join->dir, "enrolment.json"))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), join->dir);
    if (access(path, F_OK))
        return 0;
    error_set(err, CASEBUS_ARGUMENT, _("'%s' holds a node already"), join->dir);
    return error_hint(err, _("give another directory: --dir; a node that is enrolled needs no code"));
}

/* Before the hub is asked, which does not wait for a PIN to be typed. */
static int token_ready(struct join *join, struct casebus_error *err)
{
    return node_keys_open(&join->keys, join->dir, suite_get(SUITE_INTL), join->token, false, err);
}

static int begin(struct join *join, const struct options *options, struct casebus_error *err)
{
    struct code code;
    join->dir = options->dir ? options->dir : DIR_PRESET;
    join->endpoint = options->argument;
    if (!endpoint_usable(join->endpoint) || strncmp(join->endpoint, "tcp://", 6) != 0)
        return error_set(err, CASEBUS_ARGUMENT, _("'%s' is not an endpoint: tcp://HOST:PORT"),
                         join->endpoint);
    if (options->door
            ? !endpoint_usable(options->door) ||
                  (size_t)snprintf(join->door, sizeof join->door, "%s", options->door) >= sizeof join->door
            : !joiner_door(join->door, sizeof join->door, join->endpoint))
        return error_set(err, CASEBUS_ARGUMENT, _("'%s' is not an endpoint: tcp://HOST:PORT"),
                         options->door ? options->door : join->endpoint);
    if (code_parse(&code, options->code, err) || folder_check(join, err))
        return -1;
    join->token = options->signing_key;
    if (join->token && token_ready(join, err))
        return -1;
    join->joiner.door = join->door;
    join->joiner.timeout_ms = ANSWER_MS;
    code_derive(&code, join->joiner.invitation, join->joiner.key);
    secret_clear(&code, sizeof code);
    return 0;
}

int join_command(const struct options *options)
{
    struct join join = {0};
    struct casebus_error err = {0};
    int code = begin(&join, options, &err) ? fail(&err) : -1;
    while (code < 0) {
        code = ask(&join);
        if (code < 0)
            sleep(AGAIN_S);
    }
    node_keys_close(&join.keys);
    json_decref(join.enrolment);
    secret_clear(&join.joiner, sizeof join.joiner);
    return code;
}
