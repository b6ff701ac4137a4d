/* casebus node add: makes a node's keys, lets the hub enrol it, writes enrolment.json.
 *
 * The secrets are made here and never leave DIR. They are written before the hub is asked; enrolment.json
 * comes last and says that all is done. When the connection breaks in between, the same command goes on with
 * the same keys: the hub answers the same enrolment again. A folder that holds this node already joins the
 * hub again (rejoin.h). */
#include "hub/cli/cli.h"
#include "hub/cli/rejoin.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/casebus/v1/ledger.pb-c.h"
#include "proto/codec/event.h"
#include "proto/codec/statement.h"
#include "proto/crypto/certificate.h"
#include "proto/crypto/secret_file.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <unistd.h>
#include <zmq.h>

#define Z85_KEY 40

struct node_add {
    const char *name;
    const char *department;
    const char *area;
    const char *dir;
    const char *endpoint;
    const char *parts;
    bool publish;
    bool receive_all;

    const struct suite *suite; /* of the hub */
    struct signing_key *key;
    uint8_t curve_public[CURVE_KEY_SIZE];
    bool key_made, curve_made; /* by this run */
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

/* Whatever is wrong here would be found only at the node, when its name is taken already. */
static bool endpoint_usable(const char *endpoint)
{
    const char *colon = strrchr(endpoint, ':');
    if (strncmp(endpoint, "ipc://", 6) == 0)
        return endpoint[6] != '\0';
    return strncmp(endpoint, "tcp://", 6) == 0 && colon > endpoint + 6 && colon[1] &&
           colon[1 + strspn(colon + 1, "0123456789")] == '\0';
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
    if (!add->publish && !add->receive_all)
        argp_error(state, _("a node without --publish and --receive-all could do nothing"));
    if (add->endpoint && !endpoint_usable(add->endpoint))
        argp_error(state, _("'%s' is not an endpoint: tcp://HOST:PORT"), add->endpoint);
    if (add->parts && !add->receive_all)
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
        add->publish = true;
        return 0;
    case OPT_RECEIVE_ALL:
        add->receive_all = true;
        return 0;
    case OPT_PARTS:
        add->parts = arg;
        return 0;
    case OPT_ENDPOINT:
        add->endpoint = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (add->name)
            argp_usage(state);
        add->name = arg;
        return 0;
    case ARGP_KEY_END:
        complete(state, add);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- keys ---- */

static int file_path(const struct node_add *add, const char *name, char out[PATH_MAX],
                     struct casebus_error *err)
{
    if (path_join(out, PATH_MAX, add->dir, name))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), add->dir);
    return 0;
}

static int signing_key_ready(struct node_add *add, struct casebus_error *err)
{
    char path[PATH_MAX];
    if (file_path(add, "node.key", path, err))
        return -1;
    if (add->rejoin.before || access(path, F_OK) == 0)
        return signing_key_load(&add->key, add->suite, path, err);
    if (signing_key_generate(&add->key, add->suite, err) || signing_key_save(add->key, path, err))
        return -1;
    add->key_made = true;
    return 0;
}

static int curve_public(struct node_add *add, const char *secret, const char *path, struct casebus_error *err)
{
    char public[Z85_KEY + 1];
    if (zmq_curve_public(public, secret) != 0 || !zmq_z85_decode(add->curve_public, public))
        return error_set(err, CASEBUS_KEY, _("'%s' holds no CURVE key"), path);
    return 0;
}

static int curve_key_load(struct node_add *add, const char *path, struct casebus_error *err)
{
    uint8_t secret[SECRET_FILE_MAX];
    size_t size;
    if (secret_file_load(path, secret, &size, err))
        return -1;
    secret[size < Z85_KEY ? 0 : Z85_KEY] = '\0';
    int r = curve_public(add, (char *)secret, path, err);
    secret_clear(secret, sizeof secret);
    return r;
}

static int curve_key_make(struct node_add *add, const char *path, struct casebus_error *err)
{
    char public[Z85_KEY + 1], secret[Z85_KEY + 2];
    if (zmq_curve_keypair(public, secret) != 0)
        return error_set(err, CASEBUS_INTERNAL, _("this libzmq cannot make CURVE keys"));
    int r = curve_public(add, secret, path, err);
    secret[Z85_KEY] = '\n';
    if (r == 0)
        r = secret_file_save(path, bytes_of(secret, Z85_KEY + 1), err);
    secret_clear(secret, sizeof secret);
    add->curve_made = r == 0;
    return r;
}

static int curve_key_ready(struct node_add *add, struct casebus_error *err)
{
    char path[PATH_MAX];
    if (file_path(add, "node.curve", path, err))
        return -1;
    return add->rejoin.before || access(path, F_OK) == 0 ? curve_key_load(add, path, err)
                                                         : curve_key_make(add, path, err);
}

static int keys_ready(struct node_add *add, struct casebus_error *err)
{
    return dir_make(add->dir, err) || signing_key_ready(add, err) || curve_key_ready(add, err) ? -1 : 0;
}

/* ---- the request ---- */

static int set_base64(json_t *json, const char *name, struct bytes bytes, struct casebus_error *err)
{
    char *text = malloc((bytes.size + 2) / 3 * 4 + 1);
    if (!text)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for an enrolment"));
    EVP_EncodeBlock((unsigned char *)text, bytes.data, (int)bytes.size);
    json_object_set_new(json, name, json_string(text));
    free(text);
    return 0;
}

static json_t *grants_json(const struct node_add *add, struct casebus_error *err)
{
    json_t *parts = json_array();
    char *list = strdup(add->parts ? add->parts : ""), *save = NULL;
    if (list && strcmp(list, "all") == 0) {
        free(list);
        list = strdup("identity,contact,form,opinion,other");
    }
    for (char *name = strtok_r(list, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
        if (!part_kind_parse(name)) {
            error_set(err, CASEBUS_ARGUMENT, _("'%s' is no kind of part"), name);
            error_hint(err, _("one of identity, contact, form, opinion, other"));
            json_decref(parts);
            free(list);
            return NULL;
        }
        json_array_append_new(parts, json_string(name));
    }
    free(list);
    return json_pack("{s:b, s:b, s:o}", "publish", (int)add->publish, "receive_all", (int)add->receive_all,
                     "receive_parts", parts);
}

static struct bytes statement_pack(struct node_add *add, const char *origin)
{
    const struct public_key *public = signing_key_public(add->key);
    Casebus__V1__EnrolmentStatement statement = CASEBUS__V1__ENROLMENT_STATEMENT__INIT;
    statement.context = (char *)ENROLMENT_CONTEXT;
    statement.suite = (Casebus__V1__Suite) public->suite;
    statement.origin = (char *)origin;
    statement.node = (char *)add->name;
    statement.department = (char *)add->department;
    statement.area = (char *)add->area;
    statement.public_key = (ProtobufCBinaryData){public->size, (uint8_t *)public->bytes};
    statement.curve_key = (ProtobufCBinaryData){CURVE_KEY_SIZE, add->curve_public};
    return codec_pack(&statement, &add->arena);
}

static int request_make(struct node_add *add, const char *origin, json_t *body, struct casebus_error *err)
{
    uint8_t signature[SIGNATURE_SIZE];
    struct bytes statement = statement_pack(add, origin);
    if (!statement.data)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for an enrolment"));
    if (!enrolment_decode(statement, &add->arena, err)) /* the hub would refuse it in the same words */
        return -1;
    signing_key_sign(add->key, statement, signature);
    json_t *grants = grants_json(add, err);
    if (!grants)
        return -1;
    json_object_set_new(body, "grants", grants);
    return set_base64(body, "statement", statement, err) ||
                   set_base64(body, "signature", bytes_of(signature, sizeof signature), err)
               ? -1
               : 0;
}

/* ---- the answer ---- */

static int enrolment_write(const struct node_add *add, json_t *enrolment, struct casebus_error *err)
{
    char path[PATH_MAX];
    json_object_set_new(enrolment, "signing_key", json_string("node.key"));
    json_object_set_new(enrolment, "curve_key", json_string("node.curve"));
    if (add->endpoint)
        json_object_set_new(enrolment, "endpoint", json_string(add->endpoint));
    if (!get_text(enrolment, "endpoint"))
        return error_set(err, CASEBUS_ARGUMENT,
                         _("the hub does not say where nodes find it; give --endpoint"));
    struct buffer content;
    char *text = json_dumps(enrolment, JSON_INDENT(2));
    buffer_init(&content, 64 * 1024);
    int r = text && buffer_printf(&content, "%s\n", text)
                ? file_path(add, "enrolment.json", path, err)
                : error_set(err, CASEBUS_NO_MEMORY, _("no memory for an enrolment"));
    if (r == 0)
        r = file_write(path, bytes_of(content.data, content.size), 0600, err);
    buffer_deinit(&content);
    free(text);
    return r;
}

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
    return r > 0 ? enrolment_write(add, enrolment, err) : r;
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
    char path[PATH_MAX];
    if (code == CASEBUS_NETWORK || code == CASEBUS_TIMEOUT || code == CASEBUS_CLOSED ||
        code == CASEBUS_INTERNAL)
        return;
    if (add->key_made && file_path(add, "node.key", path, NULL) == 0)
        unlink(path);
    if (add->curve_made && file_path(add, "node.curve", path, NULL) == 0)
        unlink(path);
    rmdir(add->dir); /* if it is empty */
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
}

static int node_add(struct cli *cli, struct node_add *add)
{
    struct casebus_error err = {0};
    json_t *body = json_object(), *enrolment = NULL;
    arena_init(&add->arena, 4096, 64 * 1024);
    int r = hub_meet(cli, add, &err) || keys_ready(add, &err) || enrol(cli, add, body, &enrolment, &err)
                ? cli_fail(cli, &err)
                : CLI_OK;
    if (r != CLI_OK && !enrolment)
        keys_drop(add, err.code);
    if (r == CLI_OK && cli->json)
        cli_print_json(cli, enrolment);
    else if (r == CLI_OK)
        enrolled_print(cli, add);
    json_decref(enrolment);
    rejoin_close(&add->rejoin);
    json_decref(body);
    signing_key_free(add->key);
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
