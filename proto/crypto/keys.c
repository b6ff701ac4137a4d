/* Keys: a signing key is an OpenSSL key and its public half, kept side by side, or a token and the public
 * half; a verifier is a public key that OpenSSL has taken in and that was found to be usable. */
#include "proto/crypto/keys.h"

#include "proto/base/texts.h"
#include "proto/crypto/algorithms.h"
#include "proto/crypto/secret_file.h"
#include "proto/crypto/token.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>

struct signing_key {
    const struct suite *suite;
    EVP_PKEY *pkey;
    struct token *token; /* NULL: @pkey signs, which otherwise is the public half alone */
    struct public_key public;
};

struct verifier {
    const struct suite *suite;
    EVP_PKEY *pkey;
};

/* OpenSSL 3.0 takes an id behind the beginning only, and refuses it among the parameters of the beginning. */
static bool give_id(EVP_PKEY_CTX *ctx, const struct signing *signing)
{
    const char *id = signing->distinguishing_id;

    return !id || EVP_PKEY_CTX_set1_id(ctx, id, (int)strlen(id)) == 1;
}

bool signing_begin(EVP_MD_CTX *ctx, const struct signing *signing, EVP_PKEY *key)
{
    EVP_PKEY_CTX *inner = NULL; /* belongs to @ctx */

    return EVP_DigestSignInit_ex(ctx, &inner, signing->digest, NULL, NULL, key, NULL) == 1 &&
           give_id(inner, signing);
}

bool checking_begin(EVP_MD_CTX *ctx, const struct signing *signing, EVP_PKEY *key)
{
    EVP_PKEY_CTX *inner = NULL;

    return EVP_DigestVerifyInit_ex(ctx, &inner, signing->digest, NULL, NULL, key, NULL) == 1 &&
           give_id(inner, signing);
}

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

/* SM2 has no mechanism in PKCS#11: each maker has a number of its own. */
static int only_intl(const struct suite *suite, struct casebus_error *err)
{
    if (!suite || suite->id == SUITE_INTL)
        return 0;
    error_set(err, CASEBUS_KEY, _("a token can hold keys of the suite 'intl' only, and this is '%s'"),
              suite->name);
    return error_hint(err, _("keep the key in a file, under a passphrase"));
}

int signing_key_of_token(struct signing_key **keyp, const struct suite *suite, const char *uri, bool make,
                         struct casebus_error *err)
{
    struct token *token;

    if (only_intl(suite, err) || token_open(&token, uri, make, err))
        return -1;
    const struct public_key *public = token_public(token);
    const struct suite *found = suite_get(public->suite);
    EVP_PKEY *pkey = found->signing->import(bytes_of(public->bytes, public->size));
    if (!pkey || signing_key_wrap(keyp, found, pkey, err)) {
        token_free(token);
        return pkey ? -1 : error_set(err, CASEBUS_KEY, _("the public half of a signing key cannot be used"));
    }
    (*keyp)->token = token;
    return 0;
}

struct signing_key *signing_key_free(struct signing_key *key)
{
    if (!key)
        return NULL;
    token_free(key->token);
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

int signing_key_sign(const struct signing_key *key, struct bytes message, uint8_t signature[SIGNATURE_SIZE],
                     struct casebus_error *err)
{
    if (key->token)
        return token_sign(key->token, message, signature, err);
    if (key->suite->signing->sign(key->pkey, message, signature))
        return 0;
    ERR_clear_error();
    return error_set(err, CASEBUS_INTERNAL, _("OpenSSL could not sign"));
}

/* --- files --------------------------------------------------------------------------------------------- */

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

/* A line that names a key. */
static bool uri_parse(char uri[TOKEN_URI_MAX], const uint8_t *text, size_t size)
{
    while (size && (text[size - 1] == '\n' || text[size - 1] == '\r'))
        size--;
    if (size >= TOKEN_URI_MAX || size < strlen(TOKEN_SCHEME) ||
        memcmp(text, TOKEN_SCHEME, strlen(TOKEN_SCHEME)) != 0 || memchr(text, '\0', size))
        return false;
    memcpy(uri, text, size);
    uri[size] = '\0';
    return true;
}

int signing_key_load(struct signing_key **keyp, const struct suite *suite, const char *path,
                     struct casebus_error *err)
{
    uint8_t pem[SECRET_FILE_MAX];
    char uri[TOKEN_URI_MAX];
    size_t size;

    if (secret_file_load(path, pem, &size, err) != 0)
        return -1;
    if (uri_parse(uri, pem, size))
        return signing_key_of_token(keyp, suite, uri, false, err) ? error_context(err, "%s", path) : 0;
    EVP_PKEY *pkey = pem_parse(pem, size);
    secret_clear(pem, sizeof pem);
    if (!pkey)
        return error_set(err, CASEBUS_KEY, _("the file '%s' holds no private key (PKCS#8 in PEM)"), path);
    const struct suite *found = suite_of_key(pkey);
    if (!found || (suite && found != suite)) {
        EVP_PKEY_free(pkey);
        if (!suite)
            return error_set(err, CASEBUS_KEY, _("the key in '%s' is of no suite that is known here"), path);
        return error_set(err, CASEBUS_KEY, _("the key in '%s' is not of the type %s"), path,
                         suite->signing->key_type);
    }
    if (signing_key_wrap(keyp, found, pkey, err) != 0)
        return error_context(err, "%s", path);
    return 0;
}

static int uri_save(const struct token *token, const char *path, struct casebus_error *err)
{
    char line[TOKEN_URI_MAX + 1];

    snprintf(line, sizeof line, "%s\n", token_uri(token));
    return secret_file_save(path, bytes_of_text(line), err);
}

int signing_key_save(const struct signing_key *key, const char *path, struct casebus_error *err)
{
    if (key->token)
        return uri_save(key->token, path, err);

    BIO *bio = BIO_new(BIO_s_secmem()); /* wiped when it is freed */
    char *pem;
    int r;

    if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) != 1) {
        ERR_clear_error();
        r = error_set(err, CASEBUS_INTERNAL, _("OpenSSL could not write a signing key"));
    } else {
        long size = BIO_get_mem_data(bio, &pem);
        r = secret_file_save(path, bytes_of(pem, (size_t)size), err);
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
