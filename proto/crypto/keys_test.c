/* Signing keys against RFC 8032 and GB/T 32918, and their files. */
#include "proto/crypto/keys.h"

#include "proto/base/files.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    const struct suite *suite;
    char dir[64];
    char path[96];
};

static int setup_suite(void **state, enum suite_id id)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->suite = suite_get(id);
    assert_non_null(f->suite);
    snprintf(f->dir, sizeof f->dir, "/tmp/keys_test.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(path_join(f->path, sizeof f->path, f->dir, "node.key"), 0);
    *state = f;
    return 0;
}

static int setup(void **state)
{
    return setup_suite(state, SUITE_INTL);
}

static int setup_gm(void **state)
{
    return setup_suite(state, SUITE_GM);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    unlink(f->path);
    assert_int_equal(rmdir(f->dir), 0); /* nothing temporary was left behind */
    free(f);
    return 0;
}

static const struct suite *intl(void)
{
    return suite_get(SUITE_INTL);
}

static void write_text(const char *path, const char *text, unsigned mode)
{
    assert_int_equal(file_write(path, bytes_of_text(text), mode, NULL), 0);
}

/* A PKCS#8 file (RFC 8410) of the private key @seed_hex. */
static struct signing_key *key_of_seed(const char *path, const char *seed_hex)
{
    uint8_t der[48] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                       0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};
    char base64[65];
    char pem[200];
    struct signing_key *key;

    assert_true(hex_decode(der + 16, 32, seed_hex));
    EVP_EncodeBlock((uint8_t *)base64, der, sizeof der);
    snprintf(pem, sizeof pem, "-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----\n", base64);
    write_text(path, pem, 0600);
    assert_int_equal(signing_key_load(&key, intl(), path, NULL), 0);
    return key;
}

/* RFC 8032 7.1: tests 1, 2, 3 and SHA(abc). */
static const struct {
    const char *seed;
    const char *public;
    const char *message;
    const char *signature;
} vectors[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f"
     "059"
     "5bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2ea"
     "eb4"
     "302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e"
     "971"
     "6ed28dc027beceea1ec40a"},
    {"833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
     "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
     "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d442"
     "364"
     "3ce80e2a9ac94fa54ca49f",
     "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179"
     "c13"
     "8ac17ad9bef1177331a704"},
};

static void test_signatures_are_those_of_rfc_8032(void **state)
{
    struct fixture *f = *state;
    uint8_t want[SIGNATURE_SIZE];
    uint8_t got[SIGNATURE_SIZE];
    uint8_t message[64];

    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        struct signing_key *key = key_of_seed(f->path, vectors[i].seed);
        const struct public_key *public = signing_key_public(key);
        struct bytes text = bytes_of(message, strlen(vectors[i].message) / 2);

        assert_int_equal(public->suite, SUITE_INTL);
        assert_int_equal(public->size, 32);
        assert_true(hex_decode(want, 32, vectors[i].public));
        assert_memory_equal(public->bytes, want, 32);
        assert_true(hex_decode(message, text.size, vectors[i].message));
        assert_true(hex_decode(want, sizeof want, vectors[i].signature));
        assert_int_equal(signing_key_sign(key, text, got, NULL), 0);
        assert_memory_equal(got, want, sizeof want);

        struct verifier *verifier = verifier_new(public);
        assert_non_null(verifier);
        assert_true(verifier_check(verifier, text, got));
        verifier_free(verifier);
        signing_key_free(key);
    }
}

static void test_verifier_refuses_every_altered_bit(void **state)
{
    static const uint8_t order[] = {/* of the group, little endian */
                                    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
                                    0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,    0,    0,    0,    0,
                                    0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};
    struct signing_key *key;
    uint8_t signature[SIGNATURE_SIZE];
    char message[] = "received 2026-11-23";

    (void)state;
    assert_int_equal(signing_key_generate(&key, intl(), NULL), 0);
    struct verifier *verifier = verifier_new(signing_key_public(key));
    struct bytes text = bytes_of_text(message);
    assert_int_equal(signing_key_sign(key, text, signature, NULL), 0);
    for (size_t i = 0; i < sizeof signature * 8; i++) {
        signature[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_false(verifier_check(verifier, text, signature));
        signature[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    for (size_t i = 0; i < text.size * 8; i++) {
        message[i / 8] = (char)(message[i / 8] ^ 1 << i % 8);
        assert_false(verifier_check(verifier, text, signature));
        message[i / 8] = (char)(message[i / 8] ^ 1 << i % 8);
    }
    assert_true(verifier_check(verifier, text, signature));

    /* S + L would hold too if S were not compared with L: a second signature that nobody made. */
    for (unsigned i = 0, carry = 0; i < sizeof order; i++) {
        carry += (unsigned)signature[32 + i] + order[i];
        signature[32 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    assert_false(verifier_check(verifier, text, signature));
    verifier_free(verifier);
    signing_key_free(key);
}

static void test_verifier_refuses_what_is_no_key(void **state)
{
    static const char *const bad[] = {
        "0000000000000000000000000000000000000000000000000000000000000000", /* small order */
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", /* y not below p */
        "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "0200000000000000000000000000000000000000000000000000000000000000", /* not on the curve */
    };
    struct public_key key = {.suite = SUITE_INTL, .size = 32};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_true(hex_decode(key.bytes, 32, bad[i]));
        assert_null(verifier_new(&key));
    }
    assert_true(hex_decode(key.bytes, 32, vectors[0].public));
    struct verifier *verifier = verifier_new(&key);
    assert_non_null(verifier);
    assert_null(verifier_free(verifier));
    key.size = 31;
    assert_null(verifier_new(&key));
    key.size = 32;
    key.suite = SUITE_GM;
    assert_null(verifier_new(&key));
    assert_null(verifier_free(NULL));
}

/* --- SM2 -------------------------------------------------------------------------------------------------
 */

/* GB/T 32918.5-2017, appendix A.2: key, message and signature. */
static const char sm2_secret[] = "3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8";
static const char sm2_public[] = "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
                                 "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13";
static const char sm2_signature[] = "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3"
                                    "b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa";

static const struct suite *gm(void)
{
    return suite_get(SUITE_GM);
}

static struct verifier *sm2_verifier(const char *public)
{
    struct public_key key = {.suite = SUITE_GM, .size = 64};

    assert_true(hex_decode(key.bytes, 64, public));
    return verifier_new(&key);
}

/* The standard's key as a PKCS#8 file, its public half in one of the forms of SEC 1. */
static void write_sm2_key(const char *path, const char *form)
{
    char command[400];
    char der[] = "/tmp/keys_test.der.XXXXXX";
    static const char head[] = "30770201010420";
    static const char middle[] = "a00a06082a811ccf5501822da144034200"
                                 "04";
    uint8_t bytes[121];
    char hex[243];
    int fd = mkstemp(der);

    assert_true(fd >= 0);
    snprintf(hex, sizeof hex, "%s%s%s%s", head, sm2_secret, middle, sm2_public);
    assert_true(hex_decode(bytes, sizeof bytes, hex));
    assert_int_equal(write(fd, bytes, sizeof bytes), sizeof bytes);
    close(fd);
    snprintf(command, sizeof command,
             "openssl ec -inform DER -in %s -conv_form %s 2>/dev/null |"
             " openssl pkcs8 -topk8 -nocrypt -out %s && chmod 600 %s",
             der, form, path, path);
    assert_int_equal(system(command), 0);
    unlink(der);
}

static void test_signature_of_gb_t_32918_holds(void **state)
{
    struct fixture *f = *state;
    struct signing_key *key;
    uint8_t signature[SIGNATURE_SIZE];
    uint8_t public[64];

    write_sm2_key(f->path, "uncompressed");
    assert_int_equal(signing_key_load(&key, gm(), f->path, NULL), 0);
    assert_true(hex_decode(public, sizeof public, sm2_public));
    assert_int_equal(signing_key_public(key)->size, 64);
    assert_memory_equal(signing_key_public(key)->bytes, public, sizeof public);
    signing_key_free(key);

    struct verifier *verifier = sm2_verifier(sm2_public);
    assert_non_null(verifier);
    assert_true(hex_decode(signature, sizeof signature, sm2_signature));
    assert_true(verifier_check(verifier, bytes_of_text("message digest"), signature));
    assert_false(verifier_check(verifier, bytes_of_text("message Digest"), signature));
    verifier_free(verifier);
}

/* A point's other form would be a second name for a key. */
static void test_compressed_point_is_refused(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    struct signing_key *key;

    write_sm2_key(f->path, "compressed");
    assert_int_equal(signing_key_load(&key, gm(), f->path, &err), -1);
    assert_int_equal(err.code, CASEBUS_KEY);
}

static void assert_sm2_refuses(const struct verifier *verifier, const char *r, const char *s)
{
    uint8_t signature[SIGNATURE_SIZE];

    assert_true(hex_decode(signature, 32, r) && hex_decode(signature + 32, 32, s));
    assert_false(verifier_check(verifier, bytes_of_text("message digest"), signature));
}

static void test_sm2_refuses_every_altered_bit_and_numbers_out_of_range(void **state)
{
    static const char zero[] = "0000000000000000000000000000000000000000000000000000000000000000";
    static const char order[] = "fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123";
    static const char largest[] = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";
    struct verifier *verifier = sm2_verifier(sm2_public);
    uint8_t signature[SIGNATURE_SIZE];
    char r[65] = {0};

    (void)state;
    memcpy(r, sm2_signature, 64);
    assert_true(hex_decode(signature, sizeof signature, sm2_signature));
    for (size_t i = 0; i < sizeof signature * 8; i++) {
        signature[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_false(verifier_check(verifier, bytes_of_text("message digest"), signature));
        signature[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    const char *const bad[] = {zero, order, largest};
    for (size_t i = 0; i < 3; i++) {
        assert_sm2_refuses(verifier, bad[i], sm2_signature + 64);
        assert_sm2_refuses(verifier, r, bad[i]);
        assert_sm2_refuses(verifier, bad[i], bad[i]);
    }
    verifier_free(verifier);
}

static void test_sm2_refuses_what_is_no_point(void **state)
{
    static const char zero[] = "0000000000000000000000000000000000000000000000000000000000000000"
                               "0000000000000000000000000000000000000000000000000000000000000000";
    struct public_key key = {.suite = SUITE_GM, .size = 64};

    (void)state;
    assert_null(sm2_verifier(zero));
    for (size_t bit = 0; bit < 512; bit++) {
        assert_true(hex_decode(key.bytes, 64, sm2_public));
        key.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_null(verifier_new(&key));
    }
    memset(key.bytes, 0xff, sizeof key.bytes); /* not below p */
    assert_null(verifier_new(&key));
    assert_true(hex_decode(key.bytes, 64, sm2_public));
    key.size = 32;
    assert_null(verifier_new(&key));
}

/* Runs the openssl command in the fixture's directory. */
static int openssl(const struct fixture *f, const char *arguments)
{
    char command[600];

    snprintf(command, sizeof command, "cd %s && openssl %s >/dev/null 2>&1", f->dir, arguments);
    return system(command);
}

static void write_der(const struct fixture *f, const uint8_t signature[SIGNATURE_SIZE])
{
    char path[128];
    uint8_t der[80];
    uint8_t *p = der;
    ECDSA_SIG *numbers = ECDSA_SIG_new();

    ECDSA_SIG_set0(numbers, BN_bin2bn(signature, 32, NULL), BN_bin2bn(signature + 32, 32, NULL));
    int size = i2d_ECDSA_SIG(numbers, &p);
    ECDSA_SIG_free(numbers);
    snprintf(path, sizeof path, "%s/signature", f->dir);
    assert_int_equal(file_write(path, bytes_of(der, (size_t)size), 0600, NULL), 0);
}

static void read_der(const struct fixture *f, uint8_t signature[SIGNATURE_SIZE])
{
    char path[128];
    struct buffer der = {0};

    snprintf(path, sizeof path, "%s/signature", f->dir);
    assert_int_equal(file_read(path, 100, &der, NULL), 0);
    const uint8_t *p = der.data;
    ECDSA_SIG *numbers = d2i_ECDSA_SIG(NULL, &p, (long)der.size);
    assert_non_null(numbers);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(numbers), signature, 32), 32);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(numbers), signature + 32, 32), 32);
    ECDSA_SIG_free(numbers);
    buffer_deinit(&der);
}

static void test_openssl_command_and_we_take_each_others_sm2_signatures(void **state)
{
    struct fixture *f = *state;
    struct bytes text = bytes_of_text("received 2026-11-25");
    struct signing_key *key;
    uint8_t signature[SIGNATURE_SIZE];
    char path[128];

    assert_int_equal(signing_key_generate(&key, gm(), NULL), 0);
    assert_int_equal(signing_key_save(key, f->path, NULL), 0);
    snprintf(path, sizeof path, "%s/text", f->dir);
    assert_int_equal(file_write(path, text, 0600, NULL), 0);
    assert_int_equal(openssl(f, "pkey -in node.key -pubout -out public"), 0);

    assert_int_equal(signing_key_sign(key, text, signature, NULL), 0);
    write_der(f, signature);
    assert_int_equal(openssl(f,
                             "dgst -sm3 -verify public -sigopt distid:1234567812345678 -signature signature"
                             " text"),
                     0);
    assert_int_not_equal(
        openssl(f, "dgst -sm3 -verify public -sigopt distid:another -signature signature text"), 0);

    struct verifier *verifier = verifier_new(signing_key_public(key));
    assert_int_equal(
        openssl(f, "dgst -sm3 -sign node.key -sigopt distid:1234567812345678 -out signature text"), 0);
    read_der(f, signature);
    assert_true(verifier_check(verifier, text, signature));
    assert_int_equal(openssl(f, "dgst -sm3 -sign node.key -out signature text"), 0); /* without an id */
    read_der(f, signature);
    assert_false(verifier_check(verifier, text, signature));
    verifier_free(verifier);
    signing_key_free(key);
    static const char *const made[] = {"public", "text", "signature"};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", f->dir, made[i]);
        unlink(path);
    }
}

static void test_keys_of_one_suite_are_none_of_the_other(void **state)
{
    struct fixture *f = *state;
    struct signing_key *key;
    struct signing_key *other;
    struct casebus_error err;
    const struct suite *suites[] = {intl(), gm()};

    for (int i = 0; i < 2; i++) {
        assert_int_equal(signing_key_generate(&key, suites[i], NULL), 0);
        assert_int_equal(signing_key_save(key, f->path, NULL), 0);
        assert_int_equal(signing_key_load(&other, suites[1 - i], f->path, &err), -1);
        assert_int_equal(err.code, CASEBUS_KEY);
        assert_non_null(strstr(err.text, i ? "ED25519" : "SM2"));
        struct public_key public = *signing_key_public(key);
        public.suite = suite_id(suites[1 - i]);
        assert_null(verifier_new(&public));
        signing_key_free(key);
        unlink(f->path);
    }
}

/* --- files -----------------------------------------------------------------------------------------------
 */

static void test_saved_key_is_loaded_and_never_replaced(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err = {0};
    struct signing_key *key;
    struct signing_key *loaded;
    struct stat st;

    assert_int_equal(signing_key_generate(&key, f->suite, &err), 0);
    assert_int_equal(signing_key_save(key, f->path, &err), 0);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(signing_key_load(&loaded, f->suite, f->path, &err), 0);
    assert_true(public_key_equal(signing_key_public(loaded), signing_key_public(key)));
    signing_key_free(loaded);

    assert_int_equal(signing_key_save(key, f->path, &err), -1);
    assert_int_equal(err.code, CASEBUS_EXISTS);
    assert_non_null(strstr(err.text, f->path));
    signing_key_free(key);
    assert_null(signing_key_free(NULL));
}

static void test_key_others_can_read_is_refused(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err = {0};
    struct signing_key *key = key_of_seed(f->path, vectors[0].seed);
    static const unsigned modes[] = {0640, 0604, 0610, 0602, 0644};

    signing_key_free(key);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        assert_int_equal(chmod(f->path, modes[i]), 0);
        assert_int_equal(signing_key_load(&key, intl(), f->path, &err), -1);
        assert_int_equal(err.code, CASEBUS_KEY);
        assert_non_null(strstr(err.text, f->path));
        assert_non_null(strstr(err.hint, "chmod 600"));
    }
    assert_int_equal(chmod(f->path, 0400), 0);
    assert_int_equal(signing_key_load(&key, intl(), f->path, &err), 0);
    signing_key_free(key);
}

static void assert_refused(const char *path)
{
    struct casebus_error err = {0};
    struct signing_key *key;

    assert_int_equal(signing_key_load(&key, intl(), path, &err), -1);
    assert_int_equal(err.code, CASEBUS_KEY);
    assert_non_null(strstr(err.text, path));
}

static void test_file_without_a_usable_key_is_refused(void **state)
{
    struct fixture *f = *state;
    char large[5000];
    FILE *file;

    assert_refused(f->path); /* not there */
    assert_refused(f->dir);
    write_text(f->path, "", 0600);
    assert_refused(f->path);
    write_text(f->path, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 0600);
    assert_refused(f->path);
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    write_text(f->path, large, 0600);
    assert_refused(f->path);

    EVP_PKEY *other = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    file = fopen(f->path, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_PKCS8PrivateKey(file, other, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
    assert_refused(f->path); /* of another type */
    EVP_PKEY_free(other);
}

static void test_key_id_is_a_hash_over_suite_and_key(void **state)
{
    struct public_key key = {.suite = SUITE_INTL, .size = 32};
    uint8_t joined[33] = {SUITE_INTL};
    uint8_t digest[DIGEST_SIZE];
    uint8_t id[KEY_ID_SIZE];

    (void)state;
    assert_true(hex_decode(key.bytes, 32, vectors[0].public));
    memcpy(joined + 1, key.bytes, 32);
    struct bytes whole = bytes_of(joined, sizeof joined);
    suite_hash(intl(), &whole, 1, digest);
    public_key_id(&key, id);
    assert_memory_equal(id, digest, sizeof id);
}

/* Many at once, for ThreadSanitizer to look at. */
struct sharer {
    const struct signing_key *key;
    const struct verifier *verifier;
    bool ok;
};

static void *share(void *self)
{
    struct sharer *sharer = self;
    uint8_t signature[SIGNATURE_SIZE];
    struct bytes text = bytes_of_text("shared");

    sharer->ok = true;
    for (int i = 0; i < 50; i++) {
        assert_int_equal(signing_key_sign(sharer->key, text, signature, NULL), 0);
        sharer->ok &= verifier_check(sharer->verifier, text, signature);
    }
    return NULL;
}

static void test_threads_share_a_key_and_a_verifier(void **state)
{
    struct fixture *f = *state;
    struct signing_key *key;
    struct sharer sharers[4];
    pthread_t threads[4];

    assert_int_equal(signing_key_generate(&key, f->suite, NULL), 0);
    struct verifier *verifier = verifier_new(signing_key_public(key));
    for (int i = 0; i < 4; i++) {
        sharers[i] = (struct sharer){.key = key, .verifier = verifier};
        assert_int_equal(pthread_create(&threads[i], NULL, share, &sharers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_true(sharers[i].ok);
    }
    verifier_free(verifier);
    signing_key_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_signatures_are_those_of_rfc_8032, setup, teardown),
        cmocka_unit_test(test_verifier_refuses_every_altered_bit),
        cmocka_unit_test(test_verifier_refuses_what_is_no_key),
        cmocka_unit_test_setup_teardown(test_saved_key_is_loaded_and_never_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(test_key_others_can_read_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file_without_a_usable_key_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads_share_a_key_and_a_verifier, setup, teardown),
        cmocka_unit_test(test_key_id_is_a_hash_over_suite_and_key),
        cmocka_unit_test_setup_teardown(test_signature_of_gb_t_32918_holds, setup_gm, teardown),
        cmocka_unit_test_setup_teardown(test_compressed_point_is_refused, setup_gm, teardown),
        cmocka_unit_test(test_sm2_refuses_every_altered_bit_and_numbers_out_of_range),
        cmocka_unit_test(test_sm2_refuses_what_is_no_point),
        cmocka_unit_test_setup_teardown(test_openssl_command_and_we_take_each_others_sm2_signatures, setup_gm,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_keys_of_one_suite_are_none_of_the_other, setup, teardown),
        cmocka_unit_test_setup_teardown(test_saved_key_is_loaded_and_never_replaced, setup_gm, teardown),
        cmocka_unit_test_setup_teardown(test_threads_share_a_key_and_a_verifier, setup_gm, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
