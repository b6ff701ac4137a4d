/* The secrets are written before anybody is asked, so that a broken connection or a pulled plug costs
 * nothing: the same command goes on with the same keys. */
#include "proto/enrol/node_keys.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/codec/statement.h"
#include "proto/crypto/secret_file.h"

#include <limits.h>
#include <unistd.h>
#include <zmq.h>

#define Z85_KEY 40

static int file_path(const struct node_keys *keys, const char *name, char out[PATH_MAX],
                     struct casebus_error *err)
{
    if (path_join(out, PATH_MAX, keys->dir, name))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), keys->dir);
    return 0;
}

static int signing_key_ready(struct node_keys *keys, const struct suite *suite, const char *token,
                             bool must_exist, struct casebus_error *err)
{
    char path[PATH_MAX];
    if (file_path(keys, "node.key", path, err))
        return -1;
    if (must_exist || access(path, F_OK) == 0)
        return signing_key_load(&keys->key, suite, path, err);
    if ((token ? signing_key_of_token(&keys->key, suite, token, true, err)
               : signing_key_generate(&keys->key, suite, err)) ||
        signing_key_save(keys->key, path, err))
        return -1;
    keys->key_made = true;
    return 0;
}

static int curve_public(struct node_keys *keys, const char *secret, const char *path,
                        struct casebus_error *err)
{
    char public[Z85_KEY + 1];
    if (zmq_curve_public(public, secret) != 0 || !zmq_z85_decode(keys->curve_public, public))
        return error_set(err, CASEBUS_KEY, _("'%s' holds no CURVE key"), path);
    return 0;
}

static int curve_key_load(struct node_keys *keys, const char *path, struct casebus_error *err)
{
    uint8_t secret[SECRET_FILE_MAX];
    size_t size;
    if (secret_file_load(path, secret, &size, err))
        return -1;
    secret[size < Z85_KEY ? 0 : Z85_KEY] = '\0';
    int r = curve_public(keys, (char *)secret, path, err);
    secret_clear(secret, sizeof secret);
    return r;
}

static int curve_key_make(struct node_keys *keys, const char *path, struct casebus_error *err)
{
    char public[Z85_KEY + 1], secret[Z85_KEY + 2];
    if (zmq_curve_keypair(public, secret) != 0)
        return error_set(err, CASEBUS_INTERNAL, _("this libzmq cannot make CURVE keys"));
    int r = curve_public(keys, secret, path, err);
    secret[Z85_KEY] = '\n';
    if (r == 0)
        r = secret_file_save(path, bytes_of(secret, Z85_KEY + 1), err);
    secret_clear(secret, sizeof secret);
    keys->curve_made = r == 0;
    return r;
}

static int curve_key_ready(struct node_keys *keys, bool must_exist, struct casebus_error *err)
{
    char path[PATH_MAX];
    if (file_path(keys, "node.curve", path, err))
        return -1;
    return must_exist || access(path, F_OK) == 0 ? curve_key_load(keys, path, err)
                                                 : curve_key_make(keys, path, err);
}

int node_keys_open(struct node_keys *keys, const char *dir, const struct suite *suite, const char *token,
                   bool must_exist, struct casebus_error *err)
{
    *keys = (struct node_keys){.dir = dir};
    return dir_make(dir, err) || signing_key_ready(keys, suite, token, must_exist, err) ||
                   curve_key_ready(keys, must_exist, err)
               ? -1
               : 0;
}

void node_keys_close(struct node_keys *keys)
{
    keys->key = signing_key_free(keys->key);
}

void node_keys_drop(const struct node_keys *keys)
{
    char path[PATH_MAX];
    if (keys->key_made && file_path(keys, "node.key", path, NULL) == 0)
        unlink(path);
    if (keys->curve_made && file_path(keys, "node.curve", path, NULL) == 0)
        unlink(path);
    if (keys->dir)
        rmdir(keys->dir); /* if it is empty */
}

static struct bytes statement_pack(const struct node_keys *keys, const struct node_claim *claim,
                                   struct arena *arena)
{
    const struct public_key *public = signing_key_public(keys->key);
    Casebus__V1__EnrolmentStatement statement = CASEBUS__V1__ENROLMENT_STATEMENT__INIT;
    statement.context = (char *)ENROLMENT_CONTEXT;
    statement.suite = (Casebus__V1__Suite) public->suite;
    statement.origin = (char *)(uintptr_t)claim->origin;
    statement.node = (char *)(uintptr_t)claim->node;
    statement.department = (char *)(uintptr_t)claim->department;
    statement.area = (char *)(uintptr_t)claim->area;
    statement.public_key = (ProtobufCBinaryData){public->size, (uint8_t *)(uintptr_t) public->bytes};
    statement.curve_key = (ProtobufCBinaryData){CURVE_KEY_SIZE, (uint8_t *)(uintptr_t)keys->curve_public};
    return codec_pack(&statement, arena);
}

int node_keys_state(const struct node_keys *keys, const struct node_claim *claim, struct arena *arena,
                    struct bytes *statement, uint8_t signature[SIGNATURE_SIZE], struct casebus_error *err)
{
    *statement = statement_pack(keys, claim, arena);
    if (!statement->data)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for an enrolment"));
    if (!enrolment_decode(*statement, arena, err)) /* the hub would refuse it in the same words */
        return -1;
    return signing_key_sign(keys->key, *statement, signature, err);
}
