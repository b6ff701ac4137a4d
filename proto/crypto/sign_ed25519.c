/* Signatures by Ed25519 (RFC 8032).
 *
 * OpenSSL takes any 32 bytes for a public key and finds out when it verifies. A key that is no point would
 * then be refused late, and under one of the eight points of small order a signature can be made that holds
 * for every message: its owner could later point at words nobody wrote. Both are refused on import. */
#include "proto/crypto/algorithms.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/objects.h>

#define ED25519_SIZE 32

static EVP_PKEY *ed25519_generate(void)
{
    return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

/* y of the points of small order, big endian: orders 4, 1, 2 and twice 8. */
static const char *const small_order[] = {
    "0",
    "1",
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffec",
    "05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826",
    "7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7",
};

static bool is_small_order(const BIGNUM *y, BN_CTX *ctx)
{
    BIGNUM *point = BN_CTX_get(ctx);

    for (size_t i = 0; i < sizeof small_order / sizeof *small_order; i++)
        if (!point || !BN_hex2bn(&point, small_order[i]) || BN_cmp(y, point) == 0)
            return true;
    return false;
}

/* True when -x² + y² = 1 + d x² y² has an x: (y² - 1)(d y² + 1) is a square modulo p = 2^255 - 19. */
static bool is_on_curve(const BIGNUM *y, const BIGNUM *p, BN_CTX *ctx)
{
    static const char d_hex[] = "52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3";
    BIGNUM *d = BN_CTX_get(ctx);
    BIGNUM *u = BN_CTX_get(ctx);
    BIGNUM *v = BN_CTX_get(ctx);

    return v && BN_hex2bn(&d, d_hex) && BN_mod_sqr(u, y, p, ctx) && BN_mod_mul(v, u, d, p, ctx) &&
           BN_add_word(v, 1) && BN_sub_word(u, 1) && BN_mod_mul(u, u, v, p, ctx) &&
           BN_kronecker(u, p, ctx) == 1;
}

static bool is_usable_point(const uint8_t public[ED25519_SIZE])
{
    static const char p_hex[] = "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed";
    BN_CTX *ctx = BN_CTX_new();
    uint8_t bytes[ED25519_SIZE];
    bool usable = false;

    if (!ctx)
        return false;
    memcpy(bytes, public, sizeof bytes);
    bytes[ED25519_SIZE - 1] &= 0x7f; /* the top bit is the sign of x */
    BN_CTX_start(ctx);
    BIGNUM *p = BN_CTX_get(ctx);
    BIGNUM *y = BN_CTX_get(ctx);
    if (y && BN_hex2bn(&p, p_hex) && BN_lebin2bn(bytes, sizeof bytes, y))
        usable = BN_cmp(y, p) < 0 && !is_small_order(y, ctx) && is_on_curve(y, p, ctx);
    BN_CTX_end(ctx);
    BN_CTX_free(ctx);
    return usable;
}

static EVP_PKEY *ed25519_import(struct bytes public)
{
    if (public.size != ED25519_SIZE || !is_usable_point(public.data))
        return NULL;
    return EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, public.data, public.size);
}

static bool ed25519_export(const EVP_PKEY *key, uint8_t public[PUBLIC_KEY_SIZE])
{
    size_t size = PUBLIC_KEY_SIZE;

    return EVP_PKEY_get_raw_public_key(key, public, &size) == 1 && size == ED25519_SIZE;
}

static bool ed25519_sign(EVP_PKEY *key, struct bytes message, uint8_t signature[SIGNATURE_SIZE])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t size = SIGNATURE_SIZE;
    bool ok = ctx && signing_begin(ctx, &signing_ed25519, key) &&
              EVP_DigestSign(ctx, signature, &size, message.data, message.size) == 1 &&
              size == SIGNATURE_SIZE;

    EVP_MD_CTX_free(ctx);
    return ok;
}

static bool ed25519_check(EVP_PKEY *key, struct bytes message, const uint8_t signature[SIGNATURE_SIZE])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    crypto_must(ctx && checking_begin(ctx, &signing_ed25519, key));
    bool ok = EVP_DigestVerify(ctx, signature, SIGNATURE_SIZE, message.data, message.size) == 1;
    EVP_MD_CTX_free(ctx);
    if (!ok)
        ERR_clear_error();
    return ok;
}

static size_t ed25519_encode(uint8_t out[SIGNATURE_DER_MAX], const uint8_t signature[SIGNATURE_SIZE])
{
    memcpy(out, signature, SIGNATURE_SIZE);
    return SIGNATURE_SIZE;
}

const struct signing signing_ed25519 = {
    .key_type = "ED25519",
    .public_size = ED25519_SIZE,
    .certificate_nid = NID_ED25519,
    .generate = ed25519_generate,
    .import = ed25519_import,
    .export = ed25519_export,
    .sign = ed25519_sign,
    .check = ed25519_check,
    .encode = ed25519_encode,
};
