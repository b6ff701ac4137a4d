/* One thread of its own speaks with the module, so that who waits for a signature can stop waiting: no call
 * of PKCS#11 can be broken off. What a module does not answer in time is left to it, and whoever asks
 * meanwhile is told at once. A token that is freed while it is silent is left behind.
 *
 * A signature that the module gives is checked before anybody sees it: a token that is broken, or another one
 * under the same name, does not sign for us. */
#include "proto/crypto/token.h"

#include "proto/base/texts.h"
#include "proto/crypto/pins.h"

#include <errno.h>
#include <p11-kit/p11-kit.h>
#include <p11-kit/uri.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MODULE_VARIABLE "CASEBUS_PKCS11_MODULE"
#define ED25519_SIZE    32
#define SLOTS_MAX       64
#define ID_MAX          64
#define ANSWER_S        15

enum work { WORK_NONE, WORK_FIND, WORK_OPEN, WORK_SIGN, WORK_END };

struct token {
    char uri_text[TOKEN_URI_MAX];
    P11KitUri *uri;
    bool make;

    /* Of the thread alone. */
    CK_FUNCTION_LIST *module;
    bool initialized;
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE session; /* 0: none */
    CK_OBJECT_HANDLE key;
    char name[PIN_TOKEN_MAX];
    struct verifier *verifier;
    struct public_key public;

    pthread_t thread;
    pthread_mutex_t line; /* of those who want signatures: one is served at a time */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum work work; /* WORK_NONE: it waits for some */
    struct buffer message;
    uint8_t signature[SIGNATURE_SIZE];
    int result;
    struct casebus_error err;
};

/* ---- words ---- */

/* The reasons that people meet; others by number, as the module's manual has them. */
static const char *reason_of(CK_RV rv, char number[32])
{
    switch (rv) {
    case CKR_TOKEN_NOT_PRESENT:
    case CKR_DEVICE_REMOVED:
        return _("it is not there");
    case CKR_SESSION_HANDLE_INVALID:
    case CKR_SESSION_CLOSED:
        return _("its session has ended");
    case CKR_OBJECT_HANDLE_INVALID:
    case CKR_KEY_HANDLE_INVALID:
        return _("its key has gone");
    case CKR_USER_NOT_LOGGED_IN:
        return _("nobody is logged in to it");
    case CKR_GENERAL_ERROR:
    case CKR_DEVICE_ERROR:
        return _("its module cannot reach it");
    case CKR_MECHANISM_INVALID:
        return _("it cannot do Ed25519 (CKM_EDDSA)");
    case CKR_TOKEN_WRITE_PROTECTED:
    case CKR_SESSION_READ_ONLY:
        return _("it is write-protected");
    default:
        snprintf(number, 32, "CKR 0x%lx", (unsigned long)rv);
        return number;
    }
}

static int gone_hint(struct casebus_error *err)
{
    return error_hint(err,
                      _("put it back or start its service, and look at it with: pkcs11-tool --module MODULE "
                        "-L; nothing is signed meanwhile, and nothing is lost"));
}

static int fail(const struct token *token, CK_RV rv, struct casebus_error *err)
{
    char number[32];
    error_set(err, CASEBUS_TOKEN, _("the token of '%s' does not sign: %s"), token->uri_text,
              reason_of(rv, number));
    return gone_hint(err);
}

/* ---- the module ---- */

static int module_load(struct token *token, struct casebus_error *err)
{
    const char *path = p11_kit_uri_get_module_path(token->uri);
    if (!path)
        path = getenv(MODULE_VARIABLE);
    if (!path || path[0] != '/') {
        error_set(err, CASEBUS_KEY, _("'%s' does not say which PKCS#11 module reaches the token"),
                  token->uri_text);
        return error_hint(err, _("add ?module-path=/PATH/OF/MODULE.so to it, or set %s"), MODULE_VARIABLE);
    }
    if (access(path, R_OK)) {
        error_set_errno(err, errno, _("the PKCS#11 module '%s' cannot be opened"), path);
        return error_hint(err, _("install the token's software, or correct module-path"));
    }
    token->module = p11_kit_module_load(path, 0);
    if (token->module)
        return 0;
    const char *why = p11_kit_message();
    error_set(err, CASEBUS_KEY, _("'%s' is no PKCS#11 module that can be used: %s"), path,
              why ? why : _("no reason given"));
    return error_hint(err, _("install the token's software, or correct module-path"));
}

static void leave(struct token *token)
{
    if (token->session)
        token->module->C_CloseSession(token->session);
    token->session = 0;
    if (token->initialized)
        p11_kit_module_finalize(token->module);
    token->initialized = false;
}

/* Fixed-size fields of PKCS#11 end in blanks. */
static int field_size(const CK_UTF8CHAR *field, size_t size)
{
    while (size && (field[size - 1] == ' ' || field[size - 1] == '\0'))
        size--;
    return (int)size;
}

static int slot_find(struct token *token, struct casebus_error *err)
{
    CK_SLOT_ID slots[SLOTS_MAX];
    CK_ULONG n = SLOTS_MAX;
    CK_TOKEN_INFO info;
    size_t found = 0;
    CK_RV rv = token->module->C_GetSlotList(CK_TRUE, slots, &n);
    if (rv != CKR_OK)
        return fail(token, rv, err);
    for (CK_ULONG i = 0; i < n; i++) {
        if (token->module->C_GetTokenInfo(slots[i], &info) != CKR_OK ||
            !(info.flags & CKF_TOKEN_INITIALIZED) || !p11_kit_uri_match_token_info(token->uri, &info))
            continue;
        token->slot = slots[i];
        found++;
        snprintf(token->name, sizeof token->name, "%.*s %.*s", field_size(info.label, sizeof info.label),
                 (const char *)info.label, field_size(info.serialNumber, sizeof info.serialNumber),
                 (const char *)info.serialNumber);
    }
    if (found == 1)
        return 0;
    if (found) {
        error_set(err, CASEBUS_KEY, _("%zu tokens are meant by '%s'"), found, token->uri_text);
        return error_hint(err, _("name one: token=LABEL or serial=NUMBER"));
    }
    error_set(err, CASEBUS_TOKEN, _("no token is there that '%s' means"), token->uri_text);
    return gone_hint(err);
}

/* ---- its session ---- */

static int pin_file(const struct token *token, const char **filep, struct casebus_error *err)
{
    const char *source = p11_kit_uri_get_pin_source(token->uri);
    *filep = NULL;
    if (!source)
        return 0;
    *filep = strncmp(source, "file:", 5) == 0 ? source + 5 : source;
    if (strncmp(*filep, "///", 3) == 0)
        *filep += 2;
    if (**filep == '/')
        return 0;
    return error_set(err, CASEBUS_ARGUMENT, _("'%s': pin-source has to be file:/PATH"), token->uri_text);
}

static int pin_wrong(const struct token *token, CK_RV rv, struct casebus_error *err)
{
    if (rv == CKR_PIN_LOCKED) {
        error_set(err, CASEBUS_PASSPHRASE, _("the token '%s' is locked: its PIN was wrong too often"),
                  token->name);
        return error_hint(err, _("its security officer sets a new PIN by the tool of its maker"));
    }
    error_set(err, CASEBUS_PASSPHRASE, _("the token '%s' refused its PIN, which was tried once"),
              token->name);
    return error_hint(err, _("correct the PIN; a token locks itself after a few wrong ones"));
}

static int log_in(struct token *token, struct casebus_error *err)
{
    struct passphrase pin;
    const char *file;
    if (pin_file(token, &file, err) || pin_get(&pin, token->name, file, err))
        return -1;
    CK_RV rv = token->module->C_Login(token->session, CKU_USER, (CK_UTF8CHAR *)pin.text, pin.size);
    bool refused =
        rv == CKR_PIN_INCORRECT || rv == CKR_PIN_LOCKED || rv == CKR_PIN_LEN_RANGE || rv == CKR_PIN_INVALID;
    if (rv == CKR_OK || refused)
        pin_told(token->name, !refused);
    secret_clear(&pin, sizeof pin);
    if (refused)
        return pin_wrong(token, rv, err);
    return rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN ? 0 : fail(token, rv, err);
}

static int look_for(struct token *token, struct casebus_error *err)
{
    if (!token->module && module_load(token, err))
        return -1;
    CK_RV rv = token->initialized ? CKR_OK : p11_kit_module_initialize(token->module);
    if (rv != CKR_OK)
        return fail(token, rv, err);
    token->initialized = true;
    return slot_find(token, err);
}

static int session_begin(struct token *token, struct casebus_error *err)
{
    CK_FLAGS flags = CKF_SERIAL_SESSION | (token->make ? CKF_RW_SESSION : 0);
    if (look_for(token, err))
        return -1;
    CK_RV rv = token->module->C_OpenSession(token->slot, flags, NULL, NULL, &token->session);
    if (rv != CKR_OK) {
        token->session = 0;
        return fail(token, rv, err);
    }
    return log_in(token, err);
}

/* ---- its key ---- */

/* How many there are, at most 2; @first: one of them. */
static int objects_find(struct token *token, CK_ATTRIBUTE *wanted, CK_ULONG n_wanted, CK_OBJECT_HANDLE *first,
                        CK_ULONG *np, struct casebus_error *err)
{
    CK_OBJECT_HANDLE found[2];
    CK_RV rv = token->module->C_FindObjectsInit(token->session, wanted, n_wanted);
    if (rv != CKR_OK)
        return fail(token, rv, err);
    rv = token->module->C_FindObjects(token->session, found, 2, np);
    token->module->C_FindObjectsFinal(token->session);
    if (rv != CKR_OK)
        return fail(token, rv, err);
    if (*np)
        *first = found[0];
    return 0;
}

/* label and id as the URI has them. */
static CK_ULONG names_of(const struct token *token, CK_ATTRIBUTE out[2])
{
    const CK_ATTRIBUTE *label = p11_kit_uri_get_attribute(token->uri, CKA_LABEL);
    const CK_ATTRIBUTE *id = p11_kit_uri_get_attribute(token->uri, CKA_ID);
    CK_ULONG n = 0;
    if (label)
        out[n++] = *label;
    if (id)
        out[n++] = *id;
    return n;
}

static int key_make(struct token *token, struct casebus_error *err)
{
    static CK_BYTE curve[] = {0x06, 0x03, 0x2b, 0x65, 0x70}; /* 1.3.101.112, Ed25519 (RFC 8410) */
    CK_BYTE fresh_id[16];
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_OBJECT_HANDLE public;
    CK_MECHANISM mechanism = {CKM_EC_EDWARDS_KEY_PAIR_GEN, NULL, 0};
    CK_ATTRIBUTE publics[6] = {
        {CKA_TOKEN, &yes, sizeof yes}, {CKA_VERIFY, &yes, sizeof yes}, {CKA_EC_PARAMS, curve, sizeof curve}};
    CK_ATTRIBUTE privates[8] = {{CKA_TOKEN, &yes, sizeof yes},
                                {CKA_PRIVATE, &yes, sizeof yes},
                                {CKA_SENSITIVE, &yes, sizeof yes},
                                {CKA_EXTRACTABLE, &no, sizeof no},
                                {CKA_SIGN, &yes, sizeof yes}};
    CK_ULONG n = names_of(token, publics + 3);
    names_of(token, privates + 5);
    if (!p11_kit_uri_get_attribute(token->uri, CKA_ID)) {
        random_bytes(fresh_id, sizeof fresh_id);
        publics[3 + n] = privates[5 + n] = (CK_ATTRIBUTE){CKA_ID, fresh_id, sizeof fresh_id};
        n++;
    }
    CK_RV rv = token->module->C_GenerateKeyPair(token->session, &mechanism, publics, 3 + n, privates, 5 + n,
                                                &public, &token->key);
    return rv == CKR_OK ? 0 : fail(token, rv, err);
}

static int private_find(struct token *token, struct casebus_error *err)
{
    CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
    CK_KEY_TYPE type = CKK_EC_EDWARDS;
    CK_ATTRIBUTE wanted[4] = {{CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &type, sizeof type}};
    CK_ULONG n = 0, named = names_of(token, wanted + 2);
    if (objects_find(token, wanted, 2 + named, &token->key, &n, err))
        return -1;
    if (n == 1)
        return 0;
    if (n > 1) {
        error_set(err, CASEBUS_KEY, _("more than one key of the token '%s' is meant by '%s'"), token->name,
                  token->uri_text);
        return error_hint(err, _("name one: object=LABEL or id=%%01"));
    }
    if (token->make)
        return key_make(token, err);
    error_set(err, CASEBUS_TOKEN, _("the token '%s' does not hold the Ed25519 key of '%s'"), token->name,
              token->uri_text);
    return error_hint(err,
                      _("look at it with: pkcs11-tool --module MODULE -l -O; put the right token there"));
}

static int no_public(const struct token *token, struct casebus_error *err)
{
    error_set(err, CASEBUS_KEY, _("the token '%s' does not show the public half of '%s'"), token->name,
              token->uri_text);
    return -1; /* written out for the static analyser, which sees this file alone */
}

/* A point is in an OCTET STRING of DER, or bare, as makers please. */
static int public_read(struct token *token, struct public_key *public, struct casebus_error *err)
{
    CK_OBJECT_CLASS class = CKO_PUBLIC_KEY;
    CK_BYTE id[ID_MAX], point[ED25519_SIZE + 2];
    CK_ATTRIBUTE attribute = {CKA_ID, id, sizeof id};
    CK_OBJECT_HANDLE object = 0;
    CK_ULONG n = 0;
    CK_RV rv = token->module->C_GetAttributeValue(token->session, token->key, &attribute, 1);
    if (rv != CKR_OK)
        return fail(token, rv, err);
    CK_ATTRIBUTE wanted[] = {{CKA_CLASS, &class, sizeof class}, attribute};
    if (objects_find(token, wanted, 2, &object, &n, err))
        return -1;
    attribute = (CK_ATTRIBUTE){CKA_EC_POINT, point, sizeof point};
    if (n == 0 || token->module->C_GetAttributeValue(token->session, object, &attribute, 1) != CKR_OK ||
        (attribute.ulValueLen != ED25519_SIZE && attribute.ulValueLen != sizeof point))
        return no_public(token, err);
    *public = (struct public_key){.suite = SUITE_INTL, .size = ED25519_SIZE};
    memcpy(public->bytes, point + attribute.ulValueLen - ED25519_SIZE, ED25519_SIZE);
    return 0;
}

/* A session, and in it the key; the same one as the first time. */
static int begin(struct token *token, struct casebus_error *err)
{
    struct public_key public = {.size = 0};
    if (session_begin(token, err) || private_find(token, err) || public_read(token, &public, err))
        return -1;
    token->make = false;
    if (!token->verifier) {
        token->public = public;
        token->verifier = verifier_new(&public);
    }
    if (!token->verifier)
        return error_set(err, CASEBUS_KEY, _("the public half of '%s' is not usable"), token->uri_text);
    if (public_key_equal(&public, &token->public))
        return 0;
    return error_set(err, CASEBUS_TOKEN, _("the token of '%s' holds another key than before"),
                     token->uri_text);
}

/* ---- signing ---- */

static CK_RV sign_once(struct token *token)
{
    CK_MECHANISM mechanism = {CKM_EDDSA, NULL, 0};
    CK_ULONG size = SIGNATURE_SIZE;
    CK_RV rv = token->module->C_SignInit(token->session, &mechanism, token->key);
    if (rv == CKR_OK)
        rv = token->module->C_Sign(token->session, token->message.data, token->message.size, token->signature,
                                   &size);
    return rv == CKR_OK && size != SIGNATURE_SIZE ? CKR_DATA_LEN_RANGE : rv;
}

/* @token->message is the thread's while it works: who gave up leaves it alone. Whatever the reason was, the
 * module is begun anew once: modules differ in what they say of a token that was away. */
static int sign(struct token *token, struct casebus_error *err)
{
    CK_RV rv = token->session ? sign_once(token) : CKR_SESSION_CLOSED;
    if (rv != CKR_OK) {
        leave(token);
        if (begin(token, err)) {
            leave(token);
            return -1;
        }
        rv = sign_once(token);
    }
    if (rv != CKR_OK)
        return fail(token, rv, err);
    if (verifier_check(token->verifier, bytes_of(token->message.data, token->message.size), token->signature))
        return 0;
    return error_set(err, CASEBUS_TOKEN, _("the token of '%s' gave a signature that does not hold"),
                     token->uri_text);
}

/* ---- the thread ---- */

static void destroy(struct token *token)
{
    if (token->module) {
        leave(token);
        p11_kit_module_release(token->module);
    }
    verifier_free(token->verifier);
    p11_kit_uri_free(token->uri);
    buffer_deinit(&token->message);
    pthread_cond_destroy(&token->changed);
    pthread_mutex_destroy(&token->lock);
    pthread_mutex_destroy(&token->line);
    free(token);
}

static int do_work(struct token *token, enum work work)
{
    if (work == WORK_SIGN)
        return sign(token, &token->err);
    int r = work == WORK_FIND ? look_for(token, &token->err) : begin(token, &token->err);
    if (r && token->module)
        leave(token);
    return r;
}

static void *token_main(void *self)
{
    struct token *token = self;
    pthread_setname_np(pthread_self(), "token");
    pthread_mutex_lock(&token->lock);
    while (token->work != WORK_END) {
        if (token->work == WORK_NONE) {
            pthread_cond_wait(&token->changed, &token->lock);
            continue;
        }
        enum work work = token->work;
        pthread_mutex_unlock(&token->lock);
        int r = do_work(token, work);
        pthread_mutex_lock(&token->lock);
        token->result = r;
        if (token->work != WORK_END)
            token->work = WORK_NONE;
        pthread_cond_broadcast(&token->changed);
    }
    pthread_mutex_unlock(&token->lock);
    destroy(token);
    return NULL;
}

/* With the lock held: until the thread waits for work again; false when that takes too long. */
static bool await(struct token *token)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ANSWER_S;
    while (token->work != WORK_NONE)
        if (pthread_cond_clockwait(&token->changed, &token->lock, CLOCK_MONOTONIC, &until) == ETIMEDOUT)
            return false;
    return true;
}

static int silent(struct token *token, struct casebus_error *err)
{
    error_set(err, CASEBUS_TOKEN, _("the token of '%s' does not answer"), token->uri_text);
    return gone_hint(err);
}

/* With the lock held. */
static int ask(struct token *token, enum work work, struct casebus_error *err)
{
    token->work = work;
    pthread_cond_broadcast(&token->changed);
    if (!await(token))
        return silent(token, err);
    if (token->result && err)
        *err = token->err;
    return token->result;
}

int token_sign(struct token *token, struct bytes message, uint8_t signature[SIGNATURE_SIZE],
               struct casebus_error *err)
{
    pthread_mutex_lock(&token->line);
    pthread_mutex_lock(&token->lock);
    int r = token->work == WORK_NONE ? 0 : silent(token, err); /* it is still at what nobody waits for */
    if (r == 0) {
        token->message.size = 0;
        r = buffer_append(&token->message, message.data, message.size)
                ? ask(token, WORK_SIGN, err)
                : error_set(err, CASEBUS_NO_MEMORY, _("no memory for a signature"));
    }
    if (r == 0)
        memcpy(signature, token->signature, SIGNATURE_SIZE);
    pthread_mutex_unlock(&token->lock);
    pthread_mutex_unlock(&token->line);
    return r;
}

/* ---- life ---- */

static int uri_take(struct token *token, const char *uri, struct casebus_error *err)
{
    if (snprintf(token->uri_text, sizeof token->uri_text, "%s", uri) >= TOKEN_URI_MAX)
        return error_set(err, CASEBUS_ARGUMENT, _("a PKCS#11 URI has at most %d characters"),
                         TOKEN_URI_MAX - 1);
    if (!token->uri || p11_kit_uri_parse(uri, P11_KIT_URI_FOR_ANY, token->uri) != P11_KIT_URI_OK ||
        p11_kit_uri_any_unrecognized(token->uri)) {
        error_set(err, CASEBUS_ARGUMENT, _("'%s' is no PKCS#11 URI"), uri);
        return error_hint(err, _("such as pkcs11:token=LABEL;object=NAME?module-path=/PATH/OF/MODULE.so"));
    }
    if (p11_kit_uri_get_pin_value(token->uri)) {
        error_set(err, CASEBUS_ARGUMENT, _("a PIN in a PKCS#11 URI (pin-value) can be read by others"));
        return error_hint(err, _("put it into a file of mode 0600 and name that: pin-source=file:/PATH"));
    }
    if (p11_kit_uri_get_attribute(token->uri, CKA_LABEL) || p11_kit_uri_get_attribute(token->uri, CKA_ID))
        return 0;
    error_set(err, CASEBUS_ARGUMENT, _("'%s' names no key"), uri);
    return error_hint(err, _("name one: object=LABEL or id=%%01"));
}

static int thread_begin(struct token *token, struct casebus_error *err)
{
    int r = pthread_create(&token->thread, NULL, token_main, token);
    return r ? error_set_errno(err, r, _("cannot start a thread")) : 0;
}

/* A PIN that a person types takes its time, and is asked for in the thread that ^C ends. */
static int open_begun(struct token *token, struct casebus_error *err)
{
    struct passphrase pin;
    const char *file;
    pthread_mutex_lock(&token->lock);
    int r = ask(token, WORK_FIND, err);
    if (r == 0)
        r = pin_file(token, &file, err) || pin_get(&pin, token->name, file, err) ? -1 : 0;
    secret_clear(&pin, sizeof pin);
    if (r == 0)
        r = ask(token, WORK_OPEN, err);
    pthread_mutex_unlock(&token->lock);
    return r;
}

int token_open(struct token **tokenp, const char *uri, bool make, struct casebus_error *err)
{
    struct token *token = calloc(1, sizeof *token);
    *tokenp = NULL;
    if (!token)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a token"));
    token->make = make;
    token->uri = p11_kit_uri_new();
    buffer_init(&token->message, (size_t)1 << 20);
    pthread_mutex_init(&token->line, NULL);
    pthread_mutex_init(&token->lock, NULL);
    pthread_cond_init(&token->changed, NULL);
    if (uri_take(token, uri, err) || thread_begin(token, err)) {
        destroy(token);
        return -1;
    }
    int r = open_begun(token, err);
    if (r)
        token_free(token);
    else
        *tokenp = token;
    return r;
}

struct token *token_free(struct token *token)
{
    if (!token)
        return NULL;
    pthread_mutex_lock(&token->lock);
    bool idle = token->work == WORK_NONE;
    pthread_t thread = token->thread;
    token->work = WORK_END;
    pthread_cond_broadcast(&token->changed);
    pthread_mutex_unlock(&token->lock);
    if (idle)
        pthread_join(thread, NULL);
    else
        pthread_detach(thread);
    return NULL;
}

const char *token_uri(const struct token *token)
{
    return token->uri_text;
}

const struct public_key *token_public(const struct token *token)
{
    return &token->public;
}
