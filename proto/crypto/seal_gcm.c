/* Sealing by AES-256-GCM (NIST SP 800-38D): nonce 12 ‖ ciphertext ‖ tag 16. */
#include "proto/crypto/algorithms.h"

static bool gcm_prepare(struct crypter *crypter)
{
    const EVP_CIPHER *cipher = crypter->suite->cipher;

    return EVP_EncryptInit_ex2(crypter->sealer, cipher, NULL, NULL, NULL) == 1 &&
           EVP_DecryptInit_ex2(crypter->opener, cipher, NULL, NULL, NULL) == 1;
}

static void gcm_aad(EVP_CIPHER_CTX *ctx, struct bytes aad)
{
    int n;

    for (size_t done = 0; done < aad.size;) {
        size_t chunk = aad.size - done < CHUNK_MAX ? aad.size - done : CHUNK_MAX;
        crypto_must(EVP_CipherUpdate(ctx, NULL, &n, aad.data + done, (int)chunk));
        done += chunk;
    }
}

static void gcm_seal(struct crypter *crypter, const uint8_t key[KEY_SIZE], const uint8_t nonce[NONCE_SIZE],
                     struct bytes aad, struct bytes plain, uint8_t *out)
{
    EVP_CIPHER_CTX *ctx = crypter->sealer;
    uint8_t none[TAG_SIZE];
    int n;

    bool known = crypter->sealed_before && secret_equal(crypter->sealed_with, key, KEY_SIZE);
    crypto_must(EVP_EncryptInit_ex2(ctx, NULL, known ? NULL : key, nonce, NULL));
    crypter->sealed_before = true;
    memcpy(crypter->sealed_with, key, KEY_SIZE);
    memcpy(out, nonce, NONCE_SIZE);
    gcm_aad(ctx, aad);
    crypto_cipher(ctx, plain, out + NONCE_SIZE);
    crypto_must(EVP_EncryptFinal_ex(ctx, none, &n));
    crypto_must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, out + NONCE_SIZE + plain.size));
}

static bool gcm_open(struct crypter *crypter, const uint8_t key[KEY_SIZE], struct bytes aad,
                     struct bytes sealed, uint8_t *out)
{
    EVP_CIPHER_CTX *ctx = crypter->opener;
    struct bytes text = bytes_of(sealed.data + NONCE_SIZE, sealed.size - SEAL_EXTRA);
    uint8_t tag[TAG_SIZE];
    uint8_t none[TAG_SIZE];
    int n;

    memcpy(tag, text.data + text.size, sizeof tag);
    crypto_must(EVP_DecryptInit_ex2(ctx, NULL, key, sealed.data, NULL));
    crypto_must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, tag));
    gcm_aad(ctx, aad);
    crypto_cipher(ctx, text, out);
    if (EVP_DecryptFinal_ex(ctx, none, &n) == 1)
        return true;
    secret_clear(out, text.size); /* nobody shall act on what was not authentic */
    return false;
}

const struct sealing sealing_gcm = {
    .cipher = "AES-256-GCM",
    .prepare = gcm_prepare,
    .seal = gcm_seal,
    .open = gcm_open,
};
