/* Sealing by SM4-CTR (GB/T 32907, GB/T 17964) and HMAC-SM3, encrypt then MAC: OpenSSL 3.0 has no SM4-GCM.
 *
 *   material = SM3(key ‖ "casebus/v1/sealing" ‖ 00 00 00 01)      the key derivation of GB/T 32918.4, 5.4.3
 *   cipher key = material[0..16)     mac key = material[16..32)
 *   ciphertext = plain XOR SM4-CTR(cipher key, first counter block = nonce 12 ‖ 00 00 00 00)
 *   tag = HMAC-SM3(mac key, u64be(aad size) ‖ u64be(ciphertext size) ‖ aad ‖ nonce ‖ ciphertext)[0..16)
 *   sealed = nonce 12 ‖ ciphertext ‖ tag 16
 *
 * The sizes stand in front, so that no two different pairs of associated data and ciphertext are the same
 * string. Half of a SM3 for each key, and half of a HMAC-SM3 for the tag, are 128 bits: what SM4 gives. A
 * body's items are sealed under one key: what was derived is kept beside the cipher's schedule. */
#include "proto/crypto/algorithms.h"

#include "proto/base/texts.h"

#define SM4_KEY_SIZE 16
#define COUNTER_SIZE 16
#define SIZES_SIZE   16
#define LABEL        "casebus/v1/sealing"
#define TEXT_MAX     ((uint64_t)16 << 32) /* the last four bytes of the counter block count blocks of 16 */

static bool sm4_prepare(struct crypter *crypter)
{
    const EVP_CIPHER *cipher = crypter->suite->cipher;

    return EVP_CIPHER_get_key_length(cipher) == SM4_KEY_SIZE &&
           EVP_CIPHER_get_iv_length(cipher) == COUNTER_SIZE &&
           EVP_EncryptInit_ex2(crypter->sealer, cipher, NULL, NULL, NULL) == 1 &&
           EVP_DecryptInit_ex2(crypter->opener, cipher, NULL, NULL, NULL) == 1;
}

static void derive(struct crypter *crypter, const uint8_t key[KEY_SIZE], uint8_t derived[KEY_SIZE])
{
    static const uint8_t counter[4] = {0, 0, 0, 1};
    const struct bytes parts[] = {bytes_of(key, KEY_SIZE), bytes_of(LABEL, sizeof LABEL - 1),
                                  bytes_of(counter, sizeof counter)};

    crypter_hash(crypter, parts, 3, derived);
}

/* The first 16 bytes of the tag that belongs to @text. */
static void tag_of(struct crypter *crypter, const uint8_t derived[KEY_SIZE], struct bytes aad,
                   const uint8_t nonce[NONCE_SIZE], struct bytes text, uint8_t tag[TAG_SIZE])
{
    uint8_t sizes[SIZES_SIZE];
    uint8_t whole[DIGEST_SIZE];
    const struct bytes parts[] = {bytes_of(sizes, sizeof sizes), aad, bytes_of(nonce, NONCE_SIZE), text};

    put_u64be(sizes, aad.size);
    put_u64be(sizes + 8, text.size);
    crypter_mac_once(crypter, bytes_of(derived + SM4_KEY_SIZE, KEY_SIZE - SM4_KEY_SIZE), parts, 4, whole);
    memcpy(tag, whole, TAG_SIZE);
}

/* @cipher_key: NULL when @ctx has its schedule already. */
static void cipher(EVP_CIPHER_CTX *ctx, const uint8_t *cipher_key, const uint8_t nonce[NONCE_SIZE],
                   struct bytes in, uint8_t *out)
{
    uint8_t counter[COUNTER_SIZE] = {0};

    memcpy(counter, nonce, NONCE_SIZE);
    crypto_must(in.size <= TEXT_MAX && EVP_CipherInit_ex2(ctx, NULL, cipher_key, counter, -1, NULL) == 1);
    crypto_cipher(ctx, in, out);
}

static void sm4_seal(struct crypter *crypter, const uint8_t key[KEY_SIZE], const uint8_t nonce[NONCE_SIZE],
                     struct bytes aad, struct bytes plain, uint8_t *out)
{
    bool known = crypter->sealed_before && secret_equal(crypter->sealed_with, key, KEY_SIZE);

    if (!known)
        derive(crypter, key, crypter->derived);
    crypter->sealed_before = true;
    memcpy(crypter->sealed_with, key, KEY_SIZE);
    memcpy(out, nonce, NONCE_SIZE);
    cipher(crypter->sealer, known ? NULL : crypter->derived, nonce, plain, out + NONCE_SIZE);
    tag_of(crypter, crypter->derived, aad, nonce, bytes_of(out + NONCE_SIZE, plain.size),
           out + NONCE_SIZE + plain.size);
}

static bool sm4_open(struct crypter *crypter, const uint8_t key[KEY_SIZE], struct bytes aad,
                     struct bytes sealed, uint8_t *out)
{
    const uint8_t *nonce = sealed.data;
    struct bytes text = bytes_of(sealed.data + NONCE_SIZE, sealed.size - SEAL_EXTRA);
    uint8_t derived[KEY_SIZE];
    uint8_t tag[TAG_SIZE];

    derive(crypter, key, derived);
    tag_of(crypter, derived, aad, nonce, text, tag);
    bool authentic = secret_equal(tag, text.data + text.size, TAG_SIZE);
    if (authentic)
        cipher(crypter->opener, derived, nonce, text, out);
    else
        secret_clear(out, text.size);
    secret_clear(derived, sizeof derived);
    return authentic;
}

const struct sealing sealing_sm4 = {
    .cipher = "SM4-CTR",
    .prepare = sm4_prepare,
    .seal = sm4_seal,
    .open = sm4_open,
};
