/* A certificate from a stranger, and the authority that it is said to be by: two bytes that tell the size of
 * the authority's, both in DER. What can be parsed is also signed by an authority that is believed: so a
 * changed one gets past the signature. */
#include "proto/crypto/algorithms.h"
#include "proto/crypto/certificate.h"
#include "tests/fuzz/fuzz.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

#define ORIGIN "js.example/exchange/1"

static struct {
    struct signing_key *key;
    uint8_t der[CERTIFICATE_MAX];
    size_t size;
} authority;

static void authority_close(void)
{
    authority.key = signing_key_free(authority.key);
}

static void authority_open(void)
{
    struct casebus_error err;
    CLAIM(signing_key_generate(&authority.key, suite_get(SUITE_INTL), &err) == 0);
    CLAIM(authority_make(authority.key, ORIGIN, 3650, 1700000000, authority.der, &authority.size, &err) == 0);
    atexit(authority_close);
}

static bool ended(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

static void check(struct bytes der, struct bytes by)
{
    struct certificate_info info;
    struct casebus_error err = {0};

    if (certificate_check(der, by, 0, &info, &err)) {
        CLAIM(err.code != CASEBUS_OK && err.text[0]);
        return;
    }
    CLAIM(ended(info.node, sizeof info.node) && node_name_valid(info.node));
    CLAIM(ended(info.origin, sizeof info.origin) && origin_valid(info.origin));
    CLAIM(ended(info.department, sizeof info.department) && ended(info.area, sizeof info.area));
    CLAIM(info.not_before <= info.not_after && info.key.size > 0);
}

static void check_signed(const uint8_t *data, size_t size)
{
    uint8_t der[2 * CERTIFICATE_MAX], *out = der;
    X509 *cert = d2i_X509(NULL, &data, (long)size);

    if (cert && X509_sign(cert, signing_key_pkey(authority.key), NULL) > 0 &&
        i2d_X509(cert, NULL) <= (int)sizeof der) {
        int n = i2d_X509(cert, &out);
        if (n > 0)
            check(bytes_of(der, (size_t)n), bytes_of(authority.der, authority.size));
    }
    X509_free(cert);
    ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!authority.key)
        authority_open();
    if (size < 2)
        return 0;
    size_t first = (size_t)data[0] << 8 | data[1];
    if (first > size - 2)
        first = size - 2;
    struct bytes by = bytes_of(data + 2, first), der = bytes_of(data + 2 + first, size - 2 - first);
    check(der, by);
    if (der.size > 0)
        check_signed(der.data, der.size);
    return 0;
}
