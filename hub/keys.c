#include "hub/keys.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/crypto/secret_file.h"
#include "proto/crypto/token.h"
#include "proto/merkle/note.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#define AUTHORITY_DAYS (20 * 365)
#define DAY_S          86400

static int key_path(char path[PATH_MAX], const char *dir, const char *name, struct casebus_error *err)
{
    char file[64];
    snprintf(file, sizeof(file), "keys/%s", name);
    if (path_join(path, PATH_MAX, dir, file))
        return error_set(err, CASEBUS_ARGUMENT, _("the name '%s' is too long for a directory"), dir);
    return 0;
}

/* ---- making ---- */

static int make_raw(const char *dir, const char *name, struct casebus_error *err)
{
    char path[PATH_MAX], text[2 * KEY_SIZE + 2];
    uint8_t key[KEY_SIZE];
    random_bytes(key, sizeof(key));
    hex_encode(text, key, sizeof(key));
    strcat(text, "\n");
    int r = key_path(path, dir, name, err) || secret_file_save(path, bytes_of_text(text), err) ? -1 : 0;
    secret_clear(key, sizeof(key));
    secret_clear(text, sizeof(text));
    return r;
}

static int make_curve(const char *dir, const char *name, char public_key[41], struct casebus_error *err)
{
    char path[PATH_MAX], secret[42];
    if (key_path(path, dir, name, err))
        return -1;
    if (zmq_curve_keypair(public_key, secret))
        return error_set(err, CASEBUS_KEY, _("libzmq was built without CURVE: %s"),
                         zmq_strerror(zmq_errno()));
    strcat(secret, "\n");
    int r = secret_file_save(path, bytes_of_text(secret), err);
    secret_clear(secret, sizeof(secret));
    return r;
}

static int signing_key_get(struct signing_key **keyp, const struct suite *suite, const char *token,
                           struct casebus_error *err)
{
    return token ? signing_key_of_token(keyp, suite, token, true, err)
                 : signing_key_generate(keyp, suite, err);
}

static int make_signing_key(const char *dir, const char *name, const struct suite *suite, const char *token,
                            struct casebus_error *err)
{
    char path[PATH_MAX];
    struct signing_key *key = NULL;
    int r = key_path(path, dir, name, err) || signing_key_get(&key, suite, token, err) ||
            signing_key_save(key, path, err);
    signing_key_free(key);
    return r ? -1 : 0;
}

/* Its time begins a day before, so that what it certifies on its first day is also valid for clocks that are
 * behind. */
static int make_authority(const char *dir, const struct suite *suite, const char *origin, int64_t now,
                          const char *token, struct casebus_error *err)
{
    char key_file[PATH_MAX], certificate_file[PATH_MAX];
    uint8_t certificate[CERTIFICATE_MAX];
    size_t size = 0;
    struct signing_key *key = NULL;
    int r = key_path(key_file, dir, "authority.key", err) ||
            key_path(certificate_file, dir, "authority.pem", err) ||
            signing_key_get(&key, suite, token, err) ||
            authority_make(key, origin, AUTHORITY_DAYS, now - DAY_S, certificate, &size, err) ||
            signing_key_save(key, key_file, err) ||
            certificate_save(bytes_of(certificate, size), certificate_file, err);
    signing_key_free(key);
    return r ? -1 : 0;
}

int hub_keys_make(const char *dir, const struct suite *suite, const char *origin, int64_t now,
                  const struct hub_tokens *tokens, struct casebus_error *err)
{
    const struct hub_tokens none = {NULL, NULL}, *on = tokens ? tokens : &none;
    char keys[PATH_MAX], public_key[41];
    if (path_join(keys, sizeof(keys), dir, "keys"))
        return error_set(err, CASEBUS_ARGUMENT, _("the name '%s' is too long for a directory"), dir);
    if (dir_make(keys, err) || make_signing_key(dir, "log.key", suite, on->log, err) ||
        make_signing_key(dir, "witness.key", suite, NULL, err) ||
        make_authority(dir, suite, origin, now, on->authority, err) ||
        make_curve(dir, "curve.key", public_key, err) || make_raw(dir, "kek.key", err) ||
        make_raw(dir, "content.key", err))
        return -1;
    return 0;
}

int hub_witness_key(struct signing_key **keyp, const char *dir, const struct suite *suite,
                    struct casebus_error *err)
{
    char path[PATH_MAX];
    *keyp = NULL;
    if (key_path(path, dir, "witness.key", err) ||
        (access(path, F_OK) && make_signing_key(dir, "witness.key", suite, NULL, err)))
        return -1;
    return signing_key_load(keyp, suite, path, err);
}

int hub_witness_name(char *out, size_t size, const char *origin, struct casebus_error *err)
{
    int n = snprintf(out, size, "%s/witness", origin);
    return n > 0 && (size_t)n < size
               ? 0
               : error_set(err, CASEBUS_ARGUMENT, _("the origin '%s' is too long"), origin);
}

/* ---- loading ---- */

static int load_text(const char *dir, const char *name, char *out, size_t length, struct casebus_error *err)
{
    char path[PATH_MAX];
    uint8_t secret[SECRET_FILE_MAX];
    size_t size = 0;
    if (key_path(path, dir, name, err) || secret_file_load(path, secret, &size, err))
        return -1;
    while (size && (secret[size - 1] == '\n' || secret[size - 1] == '\r'))
        size--;
    if (size == length) {
        memcpy(out, secret, length);
        out[length] = 0;
    }
    secret_clear(secret, sizeof(secret));
    if (size != length)
        return error_set(err, CASEBUS_KEY, _("%s: expected %zu characters, found %zu"), path, length, size);
    return 0;
}

static int load_raw(const char *dir, const char *name, uint8_t key[KEY_SIZE], struct casebus_error *err)
{
    char text[2 * KEY_SIZE + 1];
    if (load_text(dir, name, text, 2 * KEY_SIZE, err))
        return -1;
    bool ok = hex_decode(key, KEY_SIZE, text);
    secret_clear(text, sizeof(text));
    return ok ? 0 : error_set(err, CASEBUS_KEY, _("keys/%s: not 64 hexadecimal digits"), name);
}

/* A suite is in every signature and under every seal: it cannot be changed by a word in hub.yaml. */
static int log_key_load(struct signing_key **keyp, const char *dir, const struct suite *wanted,
                        struct casebus_error *err)
{
    char path[PATH_MAX];
    if (key_path(path, dir, "log.key", err) || signing_key_load(keyp, NULL, path, err))
        return -1;
    const char *made_for = suite_name(suite_get(signing_key_public(*keyp)->suite));
    if (!wanted || strcmp(suite_name(wanted), made_for) == 0)
        return 0;
    *keyp = signing_key_free(*keyp);
    error_set(err, CASEBUS_KEY, _("hub.yaml says suite '%s', and the keys of this hub are of suite '%s'"),
              suite_name(wanted), made_for);
    return error_hint(
        err,
        _("a hub keeps the suite that it was made with: write 'suite: %s' into hub.yaml; for the "
          "other suite make a new hub"),
        made_for);
}

int hub_keys_suite(const char *dir, const struct suite **suitep, struct casebus_error *err)
{
    struct signing_key *key = NULL;
    if (log_key_load(&key, dir, NULL, err))
        return -1;
    *suitep = suite_get(signing_key_public(key)->suite);
    signing_key_free(key);
    return 0;
}

int hub_authority_hint(const char *dir, struct casebus_error *err)
{
    return error_hint(
        err,
        _("put %s/keys/authority.pem back: from the copy of keys/ that was kept apart, or from a "
          "backup, DEST/papers/keys/authority.pem.*"),
        dir);
}

/* A bit that is wrong in it is found here, not when somebody is enrolled. */
static int authority_load(struct hub_keys *keys, const char *dir, struct casebus_error *err)
{
    char path[PATH_MAX];
    if (key_path(path, dir, "authority.pem", err))
        return -1;
    if (certificate_load(path, keys->authority, &keys->authority_size, err))
        return hub_authority_hint(dir, err);
    if (authority_sound(bytes_of(keys->authority, keys->authority_size), NULL, err) == 0)
        return 0;
    error_context(err, "'%s'", path);
    return hub_authority_hint(dir, err);
}

int hub_authority_check(const struct hub_keys *keys, const char *dir, struct casebus_error *err)
{
    char path[PATH_MAX];
    struct signing_key *key = NULL;
    if (key_path(path, dir, "authority.key", err) || signing_key_load(&key, keys->suite, path, err))
        return -1;
    int r = authority_sound(bytes_of(keys->authority, keys->authority_size), signing_key_public(key), err);
    signing_key_free(key);
    return r ? error_context(err, "'%s'", path) : 0;
}

int hub_keys_load(struct hub_keys *keys, const char *dir, const struct suite *suite, const char *origin,
                  struct casebus_error *err)
{
    memset(keys, 0, sizeof(*keys));
    if (log_key_load(&keys->log, dir, suite, err) || authority_load(keys, dir, err) ||
        load_text(dir, "curve.key", keys->curve_secret, 40, err) ||
        load_raw(dir, "kek.key", keys->kek, err) || load_raw(dir, "content.key", keys->content, err)) {
        hub_keys_deinit(keys);
        return -1;
    }
    keys->suite = suite_get(signing_key_public(keys->log)->suite);
    if (note_vkey_format(keys->log_vkey, sizeof(keys->log_vkey), origin, signing_key_public(keys->log)) < 0) {
        hub_keys_deinit(keys);
        return error_set(err, CASEBUS_ARGUMENT, _("the origin '%s' is too long"), origin);
    }
    return 0;
}

int hub_keys_load_kek(const char *dir, uint8_t kek[KEY_SIZE], struct casebus_error *err)
{
    return load_raw(dir, "kek.key", kek, err);
}

void hub_keys_deinit(struct hub_keys *keys)
{
    keys->log = signing_key_free(keys->log);
    secret_clear(keys->curve_secret, sizeof(keys->curve_secret));
    secret_clear(keys->kek, sizeof(keys->kek));
    secret_clear(keys->content, sizeof(keys->content));
}

/* ---- another key-encryption key ---- */

/* Whether two names stand for one file: a commit that was cut short leaves the key in use under both. */
static bool same_file(const char *dir, const char *name, const struct stat *file)
{
    char path[PATH_MAX];
    struct stat other;
    return key_path(path, dir, name, NULL) == 0 && stat(path, &other) == 0 && other.st_dev == file->st_dev &&
           other.st_ino == file->st_ino;
}

/* The bytes on the disk are overwritten before the name goes, unless they are the key in use. */
static int key_destroy(const char *dir, const char *name, const char *in_use, struct casebus_error *err)
{
    char path[PATH_MAX];
    uint8_t noise[SECRET_FILE_MAX];
    struct stat status = {.st_size = 0};
    if (key_path(path, dir, name, err))
        return -1;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : error_set_errno(err, errno, _("cannot open '%s'"), path);
    random_bytes(noise, sizeof(noise));
    int r = fstat(fd, &status);
    size_t size = (size_t)status.st_size < sizeof(noise) ? (size_t)status.st_size : sizeof(noise);
    if (!r && !same_file(dir, in_use, &status) && (pwrite(fd, noise, size, 0) != (ssize_t)size || fsync(fd)))
        r = -1;
    int reason = errno;
    close(fd);
    if (r)
        return error_set_errno(err, reason, _("the old key '%s' cannot be overwritten"), path);
    if (unlink(path))
        return error_set_errno(err, errno, _("the old key '%s' cannot be removed"), path);
    return dir_sync(dirname(path), err);
}

int hub_kek_begin(const char *dir, uint8_t kek[KEY_SIZE], struct casebus_error *err)
{
    if (key_destroy(dir, "kek.new", "kek.key", err) || make_raw(dir, "kek.new", err))
        return -1;
    return load_raw(dir, "kek.new", kek, err);
}

/* @fresh_name takes the place of @name, which is kept as @old_name. */
static int key_replace(const char *dir, const char *name, const char *fresh_name, const char *old_name,
                       struct casebus_error *err)
{
    char current[PATH_MAX], fresh[PATH_MAX], old[PATH_MAX];
    if (key_path(current, dir, name, err) || key_path(fresh, dir, fresh_name, err) ||
        key_path(old, dir, old_name, err))
        return -1;
    if (link(current, old))
        return error_set_errno(err, errno, _("the key file '%s' cannot be made"), old);
    if (rename(fresh, current))
        return error_set_errno(err, errno, _("the key file '%s' cannot be replaced"), current);
    return dir_sync(dirname(fresh), err);
}

int hub_kek_commit(const char *dir, struct casebus_error *err)
{
    return key_replace(dir, "kek.key", "kek.new", "kek.old", err);
}

int hub_kek_settle(const char *dir, struct casebus_error *err)
{
    return key_destroy(dir, "kek.old", "kek.key", err) || key_destroy(dir, "kek.new", "kek.key", err) ? -1
                                                                                                      : 0;
}

/* ---- another CURVE key ---- */

int hub_authority_key(struct signing_key **keyp, const char *dir, const struct suite *suite,
                      struct casebus_error *err)
{
    char path[PATH_MAX];
    return key_path(path, dir, "authority.key", err) || signing_key_load(keyp, suite, path, err) ? -1 : 0;
}

static const char *curve_name(char name[40], uint64_t number)
{
    snprintf(name, 40, "curve-%llu.key", (unsigned long long)number);
    return name;
}

/* One that an attempt which came to nothing has left is for nobody. */
int hub_curve_make(const char *dir, uint64_t number, char public_key[41], struct casebus_error *err)
{
    char name[40];
    curve_name(name, number);
    return key_destroy(dir, name, "curve.key", err) || make_curve(dir, name, public_key, err) ? -1 : 0;
}

static int older_copy(const char *name, struct casebus_error *err)
{
    error_set(err, CASEBUS_KEY,
              _("keys/curve.key is not the key that the ledger names, and there is no keys/%s"), name);
    return error_hint(err, _("this keys/ is an older copy: put the newest one in its place"));
}

int hub_curve_check(const char *dir, uint64_t number, const char *public_key, struct casebus_error *err)
{
    char path[PATH_MAX], name[40], secret[41], found[41];
    if (key_path(path, dir, curve_name(name, number), err))
        return -1;
    if (access(path, F_OK))
        return older_copy(name, err);
    if (load_text(dir, name, secret, 40, err))
        return -1;
    bool same = zmq_curve_public(found, secret) == 0 && strcmp(found, public_key) == 0;
    secret_clear(secret, sizeof(secret));
    return same ? 0 : older_copy(name, err);
}

int hub_curve_commit(const char *dir, uint64_t number, struct casebus_error *err)
{
    char name[40], current[PATH_MAX], next[PATH_MAX];
    if (key_path(current, dir, "curve.key", err) || key_path(next, dir, curve_name(name, number), err))
        return -1;
    if (rename(next, current))
        return error_set_errno(err, errno, _("the key file '%s' cannot be replaced"), current);
    return dir_sync(dirname(next), err);
}

int hub_curve_load(const char *dir, char secret[41], struct casebus_error *err)
{
    return load_text(dir, "curve.key", secret, 40, err);
}

/* ---- another authority ---- */

static const char *authority_name(char name[40], uint64_t number)
{
    snprintf(name, 40, "authority-%llu.key", (unsigned long long)number);
    return name;
}

/* What a token holds does not come into a file unsaid. */
static int authority_in_file(const char *dir, struct casebus_error *err)
{
    char path[PATH_MAX];
    uint8_t content[SECRET_FILE_MAX];
    size_t size = 0;
    if (key_path(path, dir, "authority.key", err) || secret_file_load(path, content, &size, err))
        return -1;
    bool token = size >= strlen(TOKEN_SCHEME) && memcmp(content, TOKEN_SCHEME, strlen(TOKEN_SCHEME)) == 0;
    secret_clear(content, sizeof content);
    if (!token)
        return 0;
    error_set(err, CASEBUS_NOT_ALLOWED,
              _("the authority's key is held by a token, and another one would lie in a file"));
    return error_hint(err, _("this version changes no authority that a token holds"));
}

int hub_authority_make(struct signing_key **keyp, const char *dir, uint64_t number, const struct suite *suite,
                       const char *origin, int64_t now, uint8_t *certificate, size_t *sizep,
                       struct casebus_error *err)
{
    char name[40], path[PATH_MAX];
    authority_name(name, number);
    if (authority_in_file(dir, err) || key_destroy(dir, name, "authority.key", err) ||
        key_path(path, dir, name, err) || signing_key_generate(keyp, suite, err))
        return -1;
    if (authority_make(*keyp, origin, AUTHORITY_DAYS, now - DAY_S, certificate, sizep, err) ||
        signing_key_save(*keyp, path, err)) {
        *keyp = signing_key_free(*keyp);
        return -1;
    }
    return 0;
}

/* 1: the key of this name is there and that of @certificate; 0: it is not there. */
static int authority_key_is(const struct hub_keys *keys, const char *dir, const char *name,
                            struct bytes certificate, struct casebus_error *err)
{
    char path[PATH_MAX];
    struct signing_key *key = NULL;
    if (key_path(path, dir, name, err))
        return -1;
    if (access(path, F_OK))
        return 0;
    if (signing_key_load(&key, keys->suite, path, err))
        return -1;
    int r = authority_sound(certificate, signing_key_public(key), err);
    signing_key_free(key);
    return r ? -1 : 1;
}

static int authority_older(const char *name, struct casebus_error *err)
{
    error_set(err, CASEBUS_KEY,
              _("keys/authority.pem is not the authority that the ledger names, and there is no keys/%s"),
              name);
    return error_hint(err, _("this keys/ is an older copy: put the newest one in its place"));
}

/* The key's file goes first: so where the certificate is the old one, there is still something to do. */
int hub_authority_commit(struct hub_keys *keys, const char *dir, uint64_t number, struct bytes certificate,
                         struct casebus_error *err)
{
    char name[40], path[PATH_MAX];
    authority_name(name, number);
    if (key_destroy(dir, "authority.old", "authority.key", err) || key_path(path, dir, "authority.pem", err))
        return -1;
    int there = authority_key_is(keys, dir, name, certificate, err);
    if (there < 0 || (there && key_replace(dir, "authority.key", name, "authority.old", err)))
        return -1;
    if (!there && authority_key_is(keys, dir, "authority.key", certificate, NULL) != 1)
        return authority_older(name, err);
    if (key_destroy(dir, "authority.old", "authority.key", err) || certificate_save(certificate, path, err))
        return -1;
    memcpy(keys->authority, certificate.data, certificate.size);
    keys->authority_size = certificate.size;
    return 0;
}

int hub_changes_save(const char *dir, struct bytes changes, struct casebus_error *err)
{
    char path[PATH_MAX];
    return key_path(path, dir, "succession", err) ? -1 : file_write(path, changes, 0600, err);
}

int hub_changes_load(const char *dir, struct buffer *changes, struct casebus_error *err)
{
    char path[PATH_MAX];
    buffer_init(changes, HUB_CHANGES_MAX);
    if (key_path(path, dir, "succession", err))
        return -1;
    return access(path, F_OK) && errno == ENOENT ? 0 : file_read(path, HUB_CHANGES_MAX, changes, err);
}
