/* Hash, MAC and sealing against the published vectors, and what they have to refuse. */
#include "proto/crypto/suite.h"

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define HEX_MAX 256

static int setup_intl(void **state)
{
    *state = crypter_new(suite_get(SUITE_INTL));
    return *state ? 0 : -1;
}

static int setup_gm(void **state)
{
    *state = crypter_new(suite_get(SUITE_GM));
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    crypter_free(*state);
    return 0;
}

/* @hex into @out; the bytes it stands for. */
static struct bytes unhex(uint8_t out[HEX_MAX], const char *hex)
{
    size_t size = strlen(hex) / 2;

    assert_true(size <= HEX_MAX && hex_decode(out, size, hex));
    return bytes_of(out, size);
}

static void assert_hex(const uint8_t *data, size_t size, const char *hex)
{
    uint8_t want[HEX_MAX];

    assert_int_equal(unhex(want, hex).size, size);
    assert_memory_equal(data, want, size);
}

static void test_suites_are_found_by_id_and_name(void **state)
{
    const struct suite *intl = suite_get(SUITE_INTL);

    (void)state;
    assert_non_null(intl);
    assert_ptr_equal(suite_by_name("intl"), intl);
    assert_string_equal(suite_name(intl), "intl");
    assert_int_equal(suite_id(intl), SUITE_INTL);
    const struct suite *gm = suite_get(SUITE_GM);
    assert_non_null(gm);
    assert_ptr_equal(suite_by_name("gm"), gm);
    assert_string_equal(suite_name(gm), "gm");
    assert_int_equal(suite_id(gm), SUITE_GM);
    assert_null(suite_get((enum suite_id)3));
    assert_null(suite_by_name(""));
}

struct hash_row {
    const char *text;
    const char *digest;
};

static void assert_hashes(struct crypter *crypter, const struct hash_row rows[3])
{
    uint8_t digest[DIGEST_SIZE];

    for (size_t i = 0; i < 3; i++) {
        struct bytes text = bytes_of_text(rows[i].text);
        crypter_hash1(crypter, text, digest);
        assert_hex(digest, sizeof digest, rows[i].digest);
        suite_hash(crypter_suite(crypter), &text, 1, digest);
        assert_hex(digest, sizeof digest, rows[i].digest);
    }
}

/* FIPS 180-2, appendix B. */
static void test_hash_is_sha256(void **state)
{
    static const struct hash_row rows[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };

    assert_hashes(*state, rows);
}

/* GB/T 32905-2016, appendix A, and nothing at all. */
static void test_hash_is_sm3(void **state)
{
    static const struct hash_row rows[] = {
        {"", "1ab21d8355cfa17f8e61194831e81a8f22bec8c728fefb747ed035eb5082aa2b"},
        {"abc", "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"},
        {"abcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcd",
         "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"},
    };

    assert_hashes(*state, rows);
}

static void test_hash_of_parts_is_hash_of_them_joined(void **state)
{
    struct crypter *crypter = *state;
    char *million = malloc(1000000);
    uint8_t digest[DIGEST_SIZE];
    bool gm = crypter_suite(crypter) == suite_get(SUITE_GM);

    assert_non_null(million);
    memset(million, 'a', 1000000);
    struct bytes parts[] = {bytes_of(million, 1), bytes_of(NULL, 0), bytes_of(million + 1, 499999),
                            bytes_of(million + 500000, 500000)};
    crypter_hash(crypter, parts, 4, digest);
    assert_hex(digest, sizeof digest,
               gm ? "c8aaf89429554029e231941a2acc0ad61ff2a5acd8fadd25847a3a732b3b02c3"
                  : "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(million);
}

static void test_mac_is_that_of_rfc_4231(void **state)
{
    static const char long_key[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    static const struct {
        const char *key;
        const char *text;
        const char *mac; /* case 5 is published cut to 128 bits */
    } rows[] = {
        {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
         "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {"4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "ddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
         "d",
         "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
        {"0102030405060708090a0b0c0d0e0f10111213141516171819",
         "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdc"
         "d",
         "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
        {"0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c", "546573742057697468205472756e636174696f6e",
         "a3b6167473100ee06e0c796c2955552b"},
        {long_key,
         "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b6579204"
         "669"
         "727374",
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
        {long_key,
         "5468697320697320612074657374207573696e672061206c6172676572207468616e20626c6f636b2d73697a65206b65792"
         "061"
         "6e642061206c6172676572207468616e20626c6f636b2d73697a6520646174612e20546865206b6579206e6565647320746"
         "f20"
         "626520686173686564206265666f7265206265696e6720757365642062792074686520484d414320616c676f726974686d2"
         "e",
         "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
    };
    struct crypter *crypter = *state;
    uint8_t key[HEX_MAX];
    uint8_t text[HEX_MAX];
    uint8_t mac[DIGEST_SIZE];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bytes whole = unhex(text, rows[i].text);
        struct bytes parts[] = {bytes_of(whole.data, 3), bytes_of(whole.data + 3, whole.size - 3)};
        crypter_mac(crypter, unhex(key, rows[i].key), parts, 2, mac);
        assert_hex(mac, strlen(rows[i].mac) / 2, rows[i].mac);
    }
}

/* The third time a key comes its states are ready, and others between do not matter. */
static void test_mac_is_the_same_each_time(void **state)
{
    struct bytes text = bytes_of_text("case 2026/1");
    uint8_t keys[3][KEY_SIZE] = {{1}, {2}, {3}};
    uint8_t first[3][DIGEST_SIZE], again[DIGEST_SIZE];
    static const int order[] = {0, 1, 1, 1, 0, 1, 2, 2, 2, 1, 0, 0, 2, 0, 1};
    struct crypter *fresh = crypter_new(crypter_suite(*state));

    for (int i = 0; i < 3; i++)
        crypter_mac(fresh, bytes_of(keys[i], KEY_SIZE), &text, 1, first[i]);
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        crypter_mac(*state, bytes_of(keys[order[i]], KEY_SIZE), &text, 1, again);
        assert_memory_equal(again, first[order[i]], DIGEST_SIZE);
    }
    crypter_free(fresh);
}

/* GM/T 0042-2015, appendix D.3. */
static void test_mac_is_that_of_gm_t_0042(void **state)
{
    static const struct {
        const char *key;
        const char *text;
        const char *mac;
    } rows[] = {
        {"0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20",
         "6162636462636465636465666465666765666768666768696768696a68696a6b696a6b6c6a6b6c6d6b6c6d6e6c6d6e6f6d6"
         "e"
         "6f706e6f70716162636462636465636465666465666765666768666768696768696a68696a6b696a6b6c6a6b6c6d6b6c6d6"
         "e"
         "6c6d6e6f6d6e6f706e6f7071",
         "ca05e144ed05d1857840d1f318a4a8669e559fc8391f414485bfdf7bb408963a"},
        {"0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425",
         "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdc"
         "d",
         "220bf579ded555393f0159f66c99877822a3ecf610d1552154b41d44b94db3ae"},
        {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
         "c0ba18c68b90c88bc07de794bfc7d2c8d19ec31ed8773bc2b390c9604e0be11e"},
    };
    uint8_t key[HEX_MAX];
    uint8_t text[HEX_MAX];
    uint8_t mac[DIGEST_SIZE];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bytes whole = unhex(text, rows[i].text);
        struct bytes parts[] = {bytes_of(whole.data, 3), bytes_of(whole.data + 3, whole.size - 3)};
        crypter_mac(*state, unhex(key, rows[i].key), parts, 2, mac);
        assert_hex(mac, sizeof mac, rows[i].mac);
    }
}

/* Test cases 13, 14 and 16 of the GCM submission to NIST. */
static void test_seal_is_aes_256_gcm(void **state)
{
    static const struct {
        const char *key;
        const char *nonce;
        const char *aad;
        const char *plain;
        const char *sealed; /* ciphertext and tag */
    } rows[] = {
        {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000", "",
         "", "530f8afbc74536b9a963b4f1c4cb738b"},
        {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000", "",
         "00000000000000000000000000000000",
         "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
        {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
         "feedfacedeadbeeffeedfacedeadbeefabaddad2",
         "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16"
         "aed"
         "f5aa0de657ba637b39",
         "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f"
         "61e"
         "6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b"},
    };
    struct crypter *crypter = *state;
    uint8_t key[HEX_MAX];
    uint8_t nonce[HEX_MAX];
    uint8_t aad[HEX_MAX];
    uint8_t plain[HEX_MAX];
    uint8_t sealed[HEX_MAX];
    uint8_t opened[HEX_MAX];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bytes a = unhex(aad, rows[i].aad);
        struct bytes p = unhex(plain, rows[i].plain);
        unhex(key, rows[i].key);
        unhex(nonce, rows[i].nonce);
        crypter_seal(crypter, key, nonce, a, p, sealed);
        assert_memory_equal(sealed, nonce, 12);
        assert_hex(sealed + 12, p.size + 16, rows[i].sealed);
        assert_true(crypter_open(crypter, key, a, bytes_of(sealed, p.size + SEAL_EXTRA), opened));
        assert_true(bytes_equal(bytes_of(opened, p.size), p));
    }
}

/* The block cipher that OpenSSL offers, one block, in the standard's example: what the construction below is
 * built with. GB/T 32907-2016, appendix A. */
static void sm4_block(uint8_t out[16], const uint8_t key[16], const uint8_t in[16])
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n;

    assert_int_equal(EVP_EncryptInit_ex(ctx, EVP_sm4_ecb(), NULL, key, NULL), 1);
    assert_int_equal(EVP_EncryptUpdate(ctx, out, &n, in, 16), 1);
    EVP_CIPHER_CTX_free(ctx);
}

/* The construction as the head of seal_sm4.c writes it down, built once more out of OpenSSL's block cipher,
 * hash and HMAC. */
static size_t sealed_by_hand(uint8_t *out, const uint8_t key[KEY_SIZE], const uint8_t nonce[12],
                             struct bytes aad, struct bytes plain)
{
    uint8_t seed[KEY_SIZE + 18 + 4], material[32], stream[16], counter[16] = {0}, mac[32];
    uint8_t message[HEX_MAX * 2] = {0};
    size_t n = 16, size = 32;

    memcpy(seed, key, KEY_SIZE);
    memcpy(seed + KEY_SIZE, "casebus/v1/sealing\0\0\0\1", 22);
    assert_int_equal(EVP_Digest(seed, sizeof seed, material, NULL, EVP_sm3(), NULL), 1);
    memcpy(counter, nonce, 12);
    memcpy(out, nonce, 12);
    for (size_t i = 0; i < plain.size; i++) {
        if (i % 16 == 0) {
            counter[15] = (uint8_t)(i / 16);
            sm4_block(stream, material, counter);
        }
        out[12 + i] = plain.data[i] ^ stream[i % 16];
    }
    message[7] = (uint8_t)aad.size;
    message[15] = (uint8_t)plain.size;
    if (aad.size)
        memcpy(message + n, aad.data, aad.size);
    memcpy(message + n + aad.size, out, 12 + plain.size);
    n += aad.size + 12 + plain.size;
    assert_non_null(
        EVP_Q_mac(NULL, "HMAC", NULL, "SM3", NULL, material + 16, 16, message, n, mac, sizeof mac, &size));
    memcpy(out + 12 + plain.size, mac, 16);
    return 12 + plain.size + 16;
}

static void test_seal_is_sm4_ctr_with_hmac_sm3(void **state)
{
    static const char block[] = "0123456789abcdeffedcba9876543210";
    uint8_t key[HEX_MAX];
    uint8_t nonce[12];
    uint8_t text[100];
    uint8_t want[sizeof text + SEAL_EXTRA];
    uint8_t sealed[sizeof want];
    uint8_t opened[sizeof text];

    unhex(key, block);
    sm4_block(opened, key, key);
    assert_hex(opened, 16, "681edf34d206965e86b3e94f536e4246");
    for (size_t size = 0; size <= sizeof text; size += 10)
        for (int again = 0; again < 2; again++) { /* under the key that the crypter knows, too */
            struct bytes aad = bytes_of_text(size % 20 ? "origin and position" : "");
            struct bytes plain = bytes_of(text, size);
            if (!again)
                random_bytes(key, KEY_SIZE);
            random_bytes(nonce, sizeof nonce);
            random_bytes(text, sizeof text);
            assert_int_equal(sealed_by_hand(want, key, nonce, aad, plain), size + SEAL_EXTRA);
            crypter_seal(*state, key, nonce, aad, plain, sealed);
            assert_memory_equal(sealed, want, size + SEAL_EXTRA);
            assert_true(crypter_open(*state, key, aad, bytes_of(want, size + SEAL_EXTRA), opened));
            assert_memory_equal(opened, text, size);
        }
}

/* What is moved between associated data and ciphertext is another message. */
static void test_sealed_bytes_do_not_change_sides(void **state)
{
    uint8_t key[KEY_SIZE] = {7};
    uint8_t nonce[12] = {0};
    uint8_t sealed[4 + SEAL_EXTRA], opened[8], moved[5 + SEAL_EXTRA];

    crypter_seal(*state, key, nonce, bytes_of_text("ab"), bytes_of_text("text"), sealed);
    memcpy(moved, sealed, 12);
    moved[12] = 'b';
    memcpy(moved + 13, sealed + 12, 4 + 16);
    assert_false(crypter_open(*state, key, bytes_of_text("a"), bytes_of(moved, sizeof moved), opened));
    assert_true(crypter_open(*state, key, bytes_of_text("ab"), bytes_of(sealed, sizeof sealed), opened));
}

static void test_open_refuses_every_altered_bit(void **state)
{
    struct crypter *crypter = *state;
    uint8_t key[KEY_SIZE];
    uint8_t plain[37];
    uint8_t sealed[sizeof plain + SEAL_EXTRA];
    uint8_t opened[sizeof plain];
    static const uint8_t zero[sizeof plain];
    struct bytes aad = bytes_of_text("origin and position");

    random_bytes(key, sizeof key);
    random_bytes(plain, sizeof plain);
    crypter_seal(crypter, key, NULL, aad, bytes_of(plain, sizeof plain), sealed);
    for (size_t i = 0; i < sizeof sealed * 8; i++) {
        sealed[i / 8] ^= (uint8_t)(1 << i % 8);
        memset(opened, 0xff, sizeof opened);
        assert_false(crypter_open(crypter, key, aad, bytes_of(sealed, sizeof sealed), opened));
        assert_memory_equal(opened, zero, sizeof opened);
        sealed[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    for (size_t size = 0; size < sizeof sealed; size++)
        assert_false(crypter_open(crypter, key, aad, bytes_of(sealed, size), opened));
    assert_false(
        crypter_open(crypter, key, bytes_of_text("another"), bytes_of(sealed, sizeof sealed), opened));
    key[0] ^= 1;
    assert_false(crypter_open(crypter, key, aad, bytes_of(sealed, sizeof sealed), opened));
    key[0] ^= 1;
    assert_true(crypter_open(crypter, key, aad, bytes_of(sealed, sizeof sealed), opened));
    assert_memory_equal(opened, plain, sizeof plain);
}

static void test_random_nonces_do_not_repeat(void **state)
{
    struct crypter *crypter = *state;
    uint8_t key[KEY_SIZE] = {0};
    uint8_t sealed[200][SEAL_EXTRA];

    for (size_t i = 0; i < 200; i++) {
        crypter_seal(crypter, key, NULL, bytes_of(NULL, 0), bytes_of(NULL, 0), sealed[i]);
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(sealed[i], sealed[k], 12);
    }
}

static void test_secrets_are_compared_and_cleared(void **state)
{
    uint8_t a[] = {1, 2, 3};
    uint8_t b[] = {1, 2, 4};

    (void)state;
    assert_true(secret_equal(a, b, 2));
    assert_false(secret_equal(a, b, 3));
    secret_clear(a, sizeof a);
    assert_int_equal(a[0] | a[1] | a[2], 0);
    assert_null(crypter_free(NULL));
}

int main(void)
{
    const struct CMUnitTest intl[] = {
        cmocka_unit_test(test_suites_are_found_by_id_and_name),
        cmocka_unit_test(test_hash_is_sha256),
        cmocka_unit_test(test_hash_of_parts_is_hash_of_them_joined),
        cmocka_unit_test(test_mac_is_that_of_rfc_4231),
        cmocka_unit_test(test_mac_is_the_same_each_time),
        cmocka_unit_test(test_seal_is_aes_256_gcm),
        cmocka_unit_test(test_open_refuses_every_altered_bit),
        cmocka_unit_test(test_random_nonces_do_not_repeat),
        cmocka_unit_test(test_secrets_are_compared_and_cleared),
    };
    const struct CMUnitTest gm[] = {
        cmocka_unit_test(test_hash_is_sm3),
        cmocka_unit_test(test_hash_of_parts_is_hash_of_them_joined),
        cmocka_unit_test(test_mac_is_that_of_gm_t_0042),
        cmocka_unit_test(test_mac_is_the_same_each_time),
        cmocka_unit_test(test_seal_is_sm4_ctr_with_hmac_sm3),
        cmocka_unit_test(test_sealed_bytes_do_not_change_sides),
        cmocka_unit_test(test_open_refuses_every_altered_bit),
        cmocka_unit_test(test_random_nonces_do_not_repeat),
    };

    int failed = cmocka_run_group_tests(intl, setup_intl, teardown);
    return failed + cmocka_run_group_tests(gm, setup_gm, teardown);
}
