/* Hash, MAC and sealing against the published vectors, and what they have to refuse. */
#include "proto/crypto/suite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define HEX_MAX 256

static int setup(void **state)
{
    *state = crypter_new(suite_get(SUITE_INTL));
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
    assert_null(suite_get(SUITE_GM));
    assert_null(suite_by_name("gm"));
    assert_null(suite_by_name(""));
}

/* FIPS 180-2, appendix B. */
static void test_hash_is_sha256(void **state)
{
    static const struct {
        const char *text;
        const char *digest;
    } rows[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    struct crypter *crypter = *state;
    uint8_t digest[DIGEST_SIZE];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bytes text = bytes_of_text(rows[i].text);
        crypter_hash1(crypter, text, digest);
        assert_hex(digest, sizeof digest, rows[i].digest);
        suite_hash(suite_get(SUITE_INTL), &text, 1, digest);
        assert_hex(digest, sizeof digest, rows[i].digest);
    }
}

static void test_hash_of_parts_is_hash_of_them_joined(void **state)
{
    struct crypter *crypter = *state;
    char *million = malloc(1000000);
    uint8_t digest[DIGEST_SIZE];

    assert_non_null(million);
    memset(million, 'a', 1000000);
    struct bytes parts[] = {bytes_of(million, 1), bytes_of(NULL, 0), bytes_of(million + 1, 499999),
                            bytes_of(million + 500000, 500000)};
    crypter_hash(crypter, parts, 4, digest);
    assert_hex(digest, sizeof digest, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_suites_are_found_by_id_and_name),
        cmocka_unit_test(test_hash_is_sha256),
        cmocka_unit_test(test_hash_of_parts_is_hash_of_them_joined),
        cmocka_unit_test(test_mac_is_that_of_rfc_4231),
        cmocka_unit_test(test_seal_is_aes_256_gcm),
        cmocka_unit_test(test_open_refuses_every_altered_bit),
        cmocka_unit_test(test_random_nonces_do_not_repeat),
        cmocka_unit_test(test_secrets_are_compared_and_cleared),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
