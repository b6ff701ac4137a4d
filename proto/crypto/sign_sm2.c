/* Signatures by SM2 with SM3 (GB/T 32918.2, curve of GB/T 32918.5), r ‖ s of 32 bytes each.
 *
 * SM2 signs a digest over who signs, too: a distinguishing id, the curve and the public key. OpenSSL 3.0
 * takes an id that was not given for an empty one, so signatures that nobody else could check would look
 * well; it is given with each context. Everywhere in casebus it is the standard's example, as in most
 * products.
 *
 * OpenSSL writes r and s in DER, which has more than one form for lax readers. Here they are two numbers
 * of fixed size: what is checked is written from them anew, and OpenSSL refuses numbers that are not below
 * the group's order. A signature is drawn with a random number; the same message is never signed twice alike.
 */
#include "proto/crypto/algorithms.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/param_build.h>

#define COORDINATE_SIZE 32
#define POINT_SIZE      (1 + 2 * COORDINATE_SIZE) /* uncompressed: 04 ‖ x ‖ y */

static EVP_PKEY *sm2_generate(void)
{
    return EVP_PKEY_Q_keygen(NULL, NULL, "SM2");
}

/* The point of @encoded as a key; OpenSSL refuses what is not on the curve. */
static EVP_PKEY *key_of_point(uint8_t encoded[POINT_SIZE])
{
    char group[] = "SM2";
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "SM2", NULL);
    EVP_PKEY *key = NULL;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, encoded, POINT_SIZE),
        OSSL_PARAM_construct_end(),
    };

    if (ctx && EVP_PKEY_fromdata_init(ctx) == 1)
        (void)EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

/* The curve has a prime order: any of its points but infinity, which has no x and y, is of full order. */
static bool is_usable_point(EVP_PKEY *key)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    bool usable = ctx && EVP_PKEY_public_check_quick(ctx) == 1;

    EVP_PKEY_CTX_free(ctx);
    return usable;
}

static EVP_PKEY *sm2_import(struct bytes public)
{
    uint8_t encoded[POINT_SIZE] = {POINT_CONVERSION_UNCOMPRESSED};

    if (public.size != POINT_SIZE - 1)
        return NULL;
    memcpy(encoded + 1, public.data, public.size);
    EVP_PKEY *key = key_of_point(encoded);
    if (key && !is_usable_point(key)) {
        EVP_PKEY_free(key);
        return NULL;
    }
    return key;
}

/* A key that was read in another form than the uncompressed one is given in that form, and refused. */
static bool sm2_export(const EVP_PKEY *key, uint8_t public[PUBLIC_KEY_SIZE])
{
    uint8_t encoded[POINT_SIZE];
    size_t size = 0;

    if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, encoded, sizeof encoded, &size) != 1 ||
        size != sizeof encoded || encoded[0] != POINT_CONVERSION_UNCOMPRESSED)
        return false;
    memcpy(public, encoded + 1, PUBLIC_KEY_SIZE);
    return true;
}

/* Our form of what OpenSSL wrote. */
static bool numbers_of_der(uint8_t signature[SIGNATURE_SIZE], const uint8_t *der, size_t size)
{
    ECDSA_SIG *numbers = d2i_ECDSA_SIG(NULL, &der, (long)size);
    bool ok = numbers &&
              BN_bn2binpad(ECDSA_SIG_get0_r(numbers), signature, COORDINATE_SIZE) == COORDINATE_SIZE &&
              BN_bn2binpad(ECDSA_SIG_get0_s(numbers), signature + COORDINATE_SIZE, COORDINATE_SIZE) ==
                  COORDINATE_SIZE;

    ECDSA_SIG_free(numbers);
    return ok;
}

/* Returns the size, or 0 without memory. */
static size_t der_of_numbers(uint8_t der[SIGNATURE_DER_MAX], const uint8_t signature[SIGNATURE_SIZE])
{
    ECDSA_SIG *numbers = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature, COORDINATE_SIZE, NULL);
    BIGNUM *s = BN_bin2bn(signature + COORDINATE_SIZE, COORDINATE_SIZE, NULL);
    int size = 0;

    if (numbers && r && s && ECDSA_SIG_set0(numbers, r, s) == 1) {
        size = i2d_ECDSA_SIG(numbers, &der);
    } else {
        BN_free(r);
        BN_free(s);
    }
    ECDSA_SIG_free(numbers);
    return size > 0 ? (size_t)size : 0;
}

static bool sm2_sign(EVP_PKEY *key, struct bytes message, uint8_t signature[SIGNATURE_SIZE])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t der[SIGNATURE_DER_MAX];
    size_t size = sizeof der;
    bool ok = ctx && signing_begin(ctx, &signing_sm2, key) &&
              EVP_DigestSign(ctx, der, &size, message.data, message.size) == 1 &&
              numbers_of_der(signature, der, size);

    EVP_MD_CTX_free(ctx);
    return ok;
}

static bool sm2_check(EVP_PKEY *key, struct bytes message, const uint8_t signature[SIGNATURE_SIZE])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t der[SIGNATURE_DER_MAX];
    size_t size = der_of_numbers(der, signature);

    crypto_must(ctx && size && checking_begin(ctx, &signing_sm2, key));
    bool ok = EVP_DigestVerify(ctx, der, size, message.data, message.size) == 1;
    EVP_MD_CTX_free(ctx);
    if (!ok)
        ERR_clear_error();
    return ok;
}

const struct signing signing_sm2 = {
    .key_type = "SM2",
    .digest = "SM3",
    .distinguishing_id = "1234567812345678",
    .public_size = PUBLIC_KEY_SIZE,
    .certificate_nid = NID_SM2_with_SM3,
    .generate = sm2_generate,
    .import = sm2_import,
    .export = sm2_export,
    .sign = sm2_sign,
    .check = sm2_check,
    .encode = der_of_numbers,
};
