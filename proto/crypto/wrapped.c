/* scrypt with N = 2^14, r = 8, p = 5 takes 16 MiB and about a fifth of a second for each guess; OpenSSL reads
 * no more than 32 MiB, so that p is what is left to raise (OWASP's table has this row). */
#include "proto/crypto/wrapped.h"

#include "proto/base/texts.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>

#define SCRYPT_N ((uint64_t)1 << 14)
#define SCRYPT_R 8
#define SCRYPT_P 5

static bool begins_with(struct bytes file, const char *line)
{
    size_t size = strlen(line);
    return file.size > size && memcmp(file.data, line, size) == 0;
}

bool wrapped_is(struct bytes file)
{
    return begins_with(file, "-----BEGIN ENCRYPTED PRIVATE KEY-----");
}

/* OpenSSL would ask at the terminal for a passphrase. */
static int no_passphrase(char *out, int size, int writing, void *self)
{
    (void)out, (void)size, (void)writing, (void)self;
    return -1;
}

static bool take_out(BIO *bio, uint8_t *out, size_t *sizep)
{
    char *data;
    long size = BIO_get_mem_data(bio, &data);
    if (size <= 0 || size > SECRET_FILE_MAX)
        return false;
    memcpy(out, data, (size_t)size);
    *sizep = (size_t)size;
    return true;
}

/* ---- in ---- */

static PKCS8_PRIV_KEY_INFO *info_of_octets(struct bytes secret)
{
    PKCS8_PRIV_KEY_INFO *info = PKCS8_PRIV_KEY_INFO_new();
    uint8_t *octets = OPENSSL_malloc(secret.size);
    if (octets)
        memcpy(octets, secret.data, secret.size);
    if (info && octets &&
        PKCS8_pkey_set0(info, OBJ_nid2obj(NID_pkcs7_data), 0, V_ASN1_UNDEF, NULL, octets, (int)secret.size))
        return info;
    OPENSSL_clear_free(octets, secret.size);
    PKCS8_PRIV_KEY_INFO_free(info);
    return NULL;
}

static PKCS8_PRIV_KEY_INFO *info_of(struct bytes secret)
{
    if (!begins_with(secret, "-----BEGIN PRIVATE KEY-----"))
        return info_of_octets(secret);
    BIO *bio = BIO_new_mem_buf(secret.data, (int)secret.size);
    PKCS8_PRIV_KEY_INFO *info = bio ? PEM_read_bio_PKCS8_PRIV_KEY_INFO(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    return info;
}

static X509_SIG *info_wrap(PKCS8_PRIV_KEY_INFO *info, const struct passphrase *passphrase)
{
    X509_ALGOR *way = PKCS5_pbe2_set_scrypt(EVP_aes_256_cbc(), NULL, 0, NULL, SCRYPT_N, SCRYPT_R, SCRYPT_P);
    X509_SIG *wrapped = way ? PKCS8_set0_pbe(passphrase->text, (int)passphrase->size, info, way) : NULL;
    if (!wrapped)
        X509_ALGOR_free(way);
    return wrapped;
}

int wrap(struct bytes secret, const struct passphrase *passphrase, uint8_t *out, size_t *sizep,
         struct casebus_error *err)
{
    PKCS8_PRIV_KEY_INFO *info = info_of(secret);
    X509_SIG *wrapped = info ? info_wrap(info, passphrase) : NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    bool ok = wrapped && bio && PEM_write_bio_PKCS8(bio, wrapped) == 1 && take_out(bio, out, sizep);
    BIO_free(bio);
    X509_SIG_free(wrapped);
    PKCS8_PRIV_KEY_INFO_free(info);
    ERR_clear_error();
    return ok ? 0 : error_set(err, CASEBUS_INTERNAL, _("OpenSSL could not put a key under a passphrase"));
}

/* ---- and out ---- */

static bool octets_take(const uint8_t *octets, int size, uint8_t *out, size_t *sizep)
{
    if (size <= 0 || size > SECRET_FILE_MAX)
        return false;
    memcpy(out, octets, (size_t)size);
    *sizep = (size_t)size;
    return true;
}

static bool info_take(PKCS8_PRIV_KEY_INFO *info, uint8_t *out, size_t *sizep)
{
    const ASN1_OBJECT *type;
    const uint8_t *octets;
    int size;
    if (PKCS8_pkey_get0(&type, &octets, &size, NULL, info) != 1)
        return false;
    if (OBJ_obj2nid(type) == NID_pkcs7_data)
        return octets_take(octets, size, out, sizep);
    BIO *bio = BIO_new(BIO_s_secmem()); /* wiped when it is freed */
    bool ok = bio && PEM_write_bio_PKCS8_PRIV_KEY_INFO(bio, info) == 1 && take_out(bio, out, sizep);
    BIO_free(bio);
    return ok;
}

bool unwrap(struct bytes file, const struct passphrase *passphrase, uint8_t *out, size_t *sizep)
{
    BIO *bio = BIO_new_mem_buf(file.data, (int)file.size);
    X509_SIG *wrapped = bio ? PEM_read_bio_PKCS8(bio, NULL, no_passphrase, NULL) : NULL;
    PKCS8_PRIV_KEY_INFO *info =
        wrapped ? PKCS8_decrypt(wrapped, passphrase->text, (int)passphrase->size) : NULL;
    bool ok = info && info_take(info, out, sizep);
    PKCS8_PRIV_KEY_INFO_free(info); /* wipes the key */
    X509_SIG_free(wrapped);
    BIO_free(bio);
    ERR_clear_error();
    return ok;
}
