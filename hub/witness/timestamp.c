#include "hub/witness/timestamp.h"

#include "proto/base/texts.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ts.h>
#include <openssl/x509_vfy.h>
#include <time.h>

#define NONCE_BYTES 16

/* The reason that OpenSSL gives first, and an empty queue. */
static int refuse(struct casebus_error *err, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());

    error_set(err, CASEBUS_SIGNATURE, "%s%s%s", what, reason ? ": " : "", reason ? reason : "");
    ERR_clear_error();
    return -1;
}

/* ---- asking ---- */

static bool imprint_set(TS_REQ *request, struct bytes note)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    TS_MSG_IMPRINT *imprint = TS_MSG_IMPRINT_new();
    X509_ALGOR *algorithm = X509_ALGOR_new();
    bool ok = imprint && algorithm &&
              EVP_Digest(note.data, note.size, digest, &size, EVP_sha256(), NULL) == 1 &&
              X509_ALGOR_set0(algorithm, OBJ_nid2obj(NID_sha256), V_ASN1_NULL, NULL) == 1 &&
              TS_MSG_IMPRINT_set_algo(imprint, algorithm) == 1 &&
              TS_MSG_IMPRINT_set_msg(imprint, digest, (int)size) == 1 &&
              TS_REQ_set_msg_imprint(request, imprint) == 1;

    X509_ALGOR_free(algorithm);
    TS_MSG_IMPRINT_free(imprint);
    return ok;
}

static bool nonce_set(TS_REQ *request)
{
    uint8_t bytes[NONCE_BYTES];
    BIGNUM *number = RAND_bytes(bytes, sizeof bytes) == 1 ? BN_bin2bn(bytes, sizeof bytes, NULL) : NULL;
    ASN1_INTEGER *nonce = number ? BN_to_ASN1_INTEGER(number, NULL) : NULL;
    bool ok = nonce && TS_REQ_set_nonce(request, nonce) == 1;

    ASN1_INTEGER_free(nonce);
    BN_free(number);
    return ok;
}

int timestamp_query(struct bytes note, struct buffer *query, struct casebus_error *err)
{
    uint8_t *der = NULL;
    TS_REQ *request = TS_REQ_new();
    bool ok = request && TS_REQ_set_version(request, 1) == 1 && imprint_set(request, note) &&
              nonce_set(request) && TS_REQ_set_cert_req(request, 1) == 1;
    int size = ok ? i2d_TS_REQ(request, &der) : -1;

    ok = size > 0 && buffer_append(query, der, (size_t)size);
    OPENSSL_free(der);
    TS_REQ_free(request);
    return ok ? 0 : refuse(err, _("a query for a time stamp cannot be made"));
}

/* ---- checking ---- */

static bool time_of(TS_RESP *response, int64_t *at_s)
{
    TS_TST_INFO *info = TS_RESP_get_tst_info(response);
    const ASN1_GENERALIZEDTIME *at = info ? TS_TST_INFO_get_time(info) : NULL;
    struct tm parts;

    if (!at || ASN1_TIME_to_tm(at, &parts) != 1)
        return false;
    *at_s = (int64_t)timegm(&parts);
    return true;
}

/* Certificates end; the token does not. It is judged as of its own time. */
static X509_STORE *store_open(const char *ca_path, int64_t at_s)
{
    X509_STORE *store = X509_STORE_new();
    X509_VERIFY_PARAM *param = store ? X509_STORE_get0_param(store) : NULL;

    if (!store || X509_STORE_load_file(store, ca_path) != 1) {
        X509_STORE_free(store);
        return NULL;
    }
    X509_VERIFY_PARAM_set_time(param, (time_t)at_s);
    return store;
}

/* What has to hold: with the query at hand its nonce too. */
static TS_VERIFY_CTX *context_open(struct bytes note, struct bytes query)
{
    const uint8_t *at = query.data;
    TS_REQ *request = query.size ? d2i_TS_REQ(NULL, &at, (long)query.size) : NULL;
    TS_VERIFY_CTX *context = request ? TS_REQ_to_TS_VERIFY_CTX(request, NULL) : TS_VERIFY_CTX_new();

    TS_REQ_free(request);
    if (!context)
        return NULL;
    if (query.size)
        TS_VERIFY_CTX_add_flags(context, TS_VFY_SIGNATURE);
    else
        TS_VERIFY_CTX_set_flags(context, TS_VFY_VERSION | TS_VFY_SIGNATURE);
    TS_VERIFY_CTX_add_flags(context, TS_VFY_DATA);
    TS_VERIFY_CTX_set_data(context, BIO_new_mem_buf(note.data, (int)note.size));
    return context;
}

int timestamp_check(struct bytes answer, struct bytes note, struct bytes query, const char *ca_path,
                    int64_t *at_s, struct casebus_error *err)
{
    const uint8_t *at = answer.data;
    int64_t when = 0;

    ERR_clear_error();
    TS_RESP *response = answer.size <= TIMESTAMP_MAX ? d2i_TS_RESP(NULL, &at, (long)answer.size) : NULL;
    if (!response || at != answer.data + answer.size || !time_of(response, &when)) {
        TS_RESP_free(response);
        return refuse(err, _("the answer of the time-stamping authority is no time stamp"));
    }
    X509_STORE *store = store_open(ca_path, when);
    TS_VERIFY_CTX *context = store ? context_open(note, query) : NULL;
    if (!context) {
        X509_STORE_free(store);
        TS_RESP_free(response);
        ERR_clear_error();
        return error_set(err, CASEBUS_CERTIFICATE, _("'%s' holds no certificates to check time stamps with"),
                         ca_path);
    }
    TS_VERIFY_CTX_set_store(context, store); /* it is the context's */
    bool holds = TS_RESP_verify_response(context, response) == 1;
    TS_VERIFY_CTX_free(context);
    TS_RESP_free(response);
    if (!holds)
        return refuse(err, _("the time stamp does not hold"));
    *at_s = when;
    return 0;
}
