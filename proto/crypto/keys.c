/* Keys and their files.
 *
 * A private key's file is PKCS#8 in PEM, mode 0600. It is written under a temporary name and linked into
 * place, so that it is there whole or not at all and never replaces another one; it is refused when others
 * than its owner can read it, checked on the open descriptor. Key bytes that pass through memory of ours are
 * wiped. */
#include "proto/crypto/keys.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/crypto/algorithms.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_FILE_MAX 4096

struct signing_key {
    const struct suite *suite;
    EVP_PKEY *pkey;
    struct public_key public;
};

struct verifier {
    const struct suite *suite;
    EVP_PKEY *pkey;
};

bool public_key_from(struct public_key *public, const EVP_PKEY *key)
{
    const struct suite *suite = suite_of_key(key);

    *public = (struct public_key){0};
    if (!suite || !suite->signing->export(key, public->bytes))
        return false;
    public->suite = suite->id;
    public->size = (uint8_t)suite->signing->public_size;

    struct verifier *usable = verifier_new(public);
    verifier_free(usable);
    return usable != NULL;
}

/* Takes @pkey, also when it fails. */
static int signing_key_wrap(struct signing_key **keyp, const struct suite *suite, EVP_PKEY *pkey,
                            struct casebus_error *err)
{
    struct signing_key *key = calloc(1, sizeof *key);

    if (!key || !public_key_from(&key->public, pkey)) {
        free(key);
        EVP_PKEY_free(pkey);
        ERR_clear_error();
        return error_set(err, CASEBUS_KEY, _("the public half of a signing key cannot be used"));
    }
    key->suite = suite;
    key->pkey = pkey;
    *keyp = key;
    return 0;
}

int signing_key_generate(struct signing_key **keyp, const struct suite *suite, struct casebus_error *err)
{
    EVP_PKEY *pkey = suite->signing->generate();

    if (!pkey)
        return error_set(err, CASEBUS_INTERNAL, _("OpenSSL could not make a signing key"));
    return signing_key_wrap(keyp, suite, pkey, err);
}

struct signing_key *signing_key_free(struct signing_key *key)
{
    if (!key)
        return NULL;
    EVP_PKEY_free(key->pkey);
    free(key);
    return NULL;
}

const struct public_key *signing_key_public(const struct signing_key *key)
{
    return &key->public;
}

EVP_PKEY *signing_key_pkey(const struct signing_key *key)
{
    return key->pkey;
}

void signing_key_sign(const struct signing_key *key, struct bytes message, uint8_t signature[SIGNATURE_SIZE])
{
    crypto_must(key->suite->signing->sign(key->pkey, message, signature));
}

/* --- reading ------------------------------------------------------------------------------------------- */

static int key_file_open(const char *path, struct casebus_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st;

    if (fd < 0) {
        int reason = errno;
        error_set_errno(err, reason, _("the key file '%s' cannot be opened"), path);
        if (err && reason == ENOENT)
            err->code = CASEBUS_KEY;
        return -1;
    }
    if (fstat(fd, &st) != 0)
        error_set_errno(err, errno, _("the key file '%s' cannot be examined"), path);
    else if (!S_ISREG(st.st_mode))
        error_set(err, CASEBUS_KEY, _("the key file '%s' is not an ordinary file"), path);
    else if (st.st_mode & 077) {
        error_set(err, CASEBUS_KEY, _("the key file '%s' is open to others than its owner (mode %04o)"), path,
                  (unsigned)st.st_mode & 07777);
        error_hint(err, _("Run: chmod 600 '%s'. If strangers may have read it, make a new key."), path);
    } else if (st.st_size > KEY_FILE_MAX)
        error_set(err, CASEBUS_KEY, _("the key file '%s' is larger than a key can be"), path);
    else
        return fd;
    close(fd);
    return -1;
}

/* Returns the bytes read, at most @size, or -1. */
static ssize_t read_whole(int fd, uint8_t *out, size_t size)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = read(fd, out + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

/* OpenSSL would ask at the terminal for a passphrase. */
static int no_passphrase(char *out, int size, int writing, void *self)
{
    (void)out, (void)size, (void)writing, (void)self;
    return -1;
}

static EVP_PKEY *pem_parse(const uint8_t *pem, size_t size)
{
    BIO *bio = BIO_new_mem_buf(pem, (int)size);
    EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

    BIO_free(bio);
    ERR_clear_error();
    return pkey;
}

int signing_key_load(struct signing_key **keyp, const struct suite *suite, const char *path,
                     struct casebus_error *err)
{
    uint8_t pem[KEY_FILE_MAX];
    int fd = key_file_open(path, err);

    if (fd < 0)
        return -1;
    ssize_t size = read_whole(fd, pem, sizeof pem);
    int reason = errno;
    close(fd);
    if (size < 0)
        return error_set_errno(err, reason, _("the key file '%s' cannot be read"), path);

    EVP_PKEY *pkey = pem_parse(pem, (size_t)size);
    secret_clear(pem, sizeof pem);
    if (!pkey)
        return error_set(err, CASEBUS_KEY, _("the file '%s' holds no private key (PKCS#8 in PEM)"), path);
    if (suite_of_key(pkey) != suite) {
        EVP_PKEY_free(pkey);
        return error_set(err, CASEBUS_KEY, _("the key in '%s' is not of the type %s"), path,
                         suite->signing->key_type);
    }
    if (signing_key_wrap(keyp, suite, pkey, err) != 0)
        return error_context(err, "%s", path);
    return 0;
}

/* --- writing ------------------------------------------------------------------------------------------- */

static int write_whole(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        data += n;
        size -= (size_t)n;
    }
    return fsync(fd);
}

static int link_refused(int reason, const char *path, struct casebus_error *err)
{
    if (reason != EEXIST)
        return error_set_errno(err, reason, _("the key file '%s' cannot be made"), path);
    error_set(err, CASEBUS_EXISTS, _("the key file '%s' exists already"), path);
    return error_hint(err, _("A key is never replaced; move the old one away first."));
}

/* @temporary ends in XXXXXX. mkostemp makes it with mode 0600. */
static int write_and_link(char *temporary, const char *path, const char *data, size_t size,
                          struct casebus_error *err)
{
    int fd = mkostemp(temporary, O_CLOEXEC);
    int r = 0;

    if (fd < 0)
        return error_set_errno(err, errno, _("the key file '%s' cannot be made"), path);
    if (write_whole(fd, data, size) != 0)
        r = error_set_errno(err, errno, _("the key file '%s' cannot be written"), path);
    else if (link(temporary, path) != 0)
        r = link_refused(errno, path, err);
    close(fd);
    unlink(temporary);
    return r;
}

static int file_write_new(const char *path, const char *data, size_t size, struct casebus_error *err)
{
    char temporary[PATH_MAX];
    char dir[PATH_MAX];

    if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= (int)sizeof temporary)
        return error_set(err, CASEBUS_FILE, _("the path '%s' is too long"), path);
    if (write_and_link(temporary, path, data, size, err) != 0)
        return -1;
    snprintf(dir, sizeof dir, "%s", path);
    return dir_sync(dirname(dir), err);
}

int signing_key_save(const struct signing_key *key, const char *path, struct casebus_error *err)
{
    BIO *bio = BIO_new(BIO_s_secmem()); /* wiped when it is freed */
    char *pem;
    int r;

    if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) != 1) {
        ERR_clear_error();
        r = error_set(err, CASEBUS_INTERNAL, _("OpenSSL could not write a signing key"));
    } else {
        long size = BIO_get_mem_data(bio, &pem);
        r = file_write_new(path, pem, (size_t)size, err);
    }
    BIO_free(bio);
    return r;
}

/* --- public halves ------------------------------------------------------------------------------------- */

void public_key_id(const struct public_key *key, uint8_t id[KEY_ID_SIZE])
{
    const struct suite *suite = suite_get(key->suite);
    uint8_t suite_byte = (uint8_t)key->suite;
    uint8_t digest[DIGEST_SIZE];
    struct bytes parts[] = {bytes_of(&suite_byte, 1), bytes_of(key->bytes, key->size)};

    assert(suite && key->size <= PUBLIC_KEY_SIZE);
    suite_hash(suite, parts, 2, digest);
    memcpy(id, digest, KEY_ID_SIZE);
}

struct verifier *verifier_new(const struct public_key *key)
{
    const struct suite *suite = suite_get(key->suite);
    struct verifier *verifier;

    if (!suite || key->size != suite->signing->public_size)
        return NULL;
    verifier = calloc(1, sizeof *verifier);
    if (!verifier)
        return NULL;
    verifier->suite = suite;
    verifier->pkey = suite->signing->import(bytes_of(key->bytes, key->size));
    ERR_clear_error();
    return verifier->pkey ? verifier : verifier_free(verifier);
}

struct verifier *verifier_free(struct verifier *verifier)
{
    if (!verifier)
        return NULL;
    EVP_PKEY_free(verifier->pkey);
    free(verifier);
    return NULL;
}

bool verifier_check(const struct verifier *verifier, struct bytes message,
                    const uint8_t signature[SIGNATURE_SIZE])
{
    return verifier->suite->signing->check(verifier->pkey, message, signature);
}
