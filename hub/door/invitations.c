/* The whole book is a small file that is written anew with each change. What has ended is kept for a week, so
 * that whoever comes late is told so. */
#include "hub/door/invitations.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_MAX (4 * 1024 * 1024)
#define KEPT_US  (7ll * 24 * 3600 * 1000000)

struct invitations {
    char path[PATH_MAX];
    pthread_mutex_t lock;  /* guards what follows */
    struct invitation *at; /* INVITATIONS_MAX of them */
    size_t n;
};

/* ---- states ---- */

bool invitation_alive(const struct invitation *invitation, int64_t now_us)
{
    return invitation->state <= INVITATION_ENROLLED && now_us < invitation->expires_at_us;
}

static const char *const names[] = {"", "open", "requested", "enrolled", "refused", "void", "done"};

const char *invitation_state_name(const struct invitation *invitation, int64_t now_us)
{
    bool over = invitation->state <= INVITATION_REQUESTED && now_us >= invitation->expires_at_us;
    return over ? "expired" : names[invitation->state];
}

/* ---- the file ---- */

static void set_hex(json_t *json, const char *name, const uint8_t *data, size_t size)
{
    char *text = malloc(2 * size + 1);
    if (text)
        json_object_set_new(json, name, json_string(hex_encode(text, data, size)));
    free(text);
}

static json_t *invitation_json(const struct invitation *invitation)
{
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:b, s:b, s:I, s:b, s:I, s:s, s:I, s:I, s:s, s:b}", "node", invitation->node,
        "department", invitation->department, "area", invitation->area, "publish", (int)invitation->publish,
        "receive_all", (int)invitation->receive_all, "part_kinds", (json_int_t)invitation->part_kinds,
        "automatic", (int)invitation->automatic, "expires_at_us", (json_int_t)invitation->expires_at_us,
        "state", names[invitation->state], "wrong", (json_int_t)invitation->wrong, "requested_at_us",
        (json_int_t)invitation->requested_at_us, "words", invitation->words, "told", (int)invitation->told);
    if (!json)
        return NULL;
    set_hex(json, "invitation", invitation->id, INVITATION_SIZE);
    set_hex(json, "key", invitation->key, CODE_KEY_SIZE);
    set_hex(json, "statement", invitation->statement, invitation->statement_size);
    set_hex(json, "signature", invitation->signature, invitation->statement_size ? SIGNATURE_SIZE : 0);
    set_hex(json, "certificate", invitation->certificate, invitation->certificate_size);
    return json;
}

/* The lock is held. */
static int book_write(struct invitations *book, struct casebus_error *err)
{
    json_t *list = json_array();
    bool whole = list;
    for (size_t i = 0; i < book->n && whole; i++)
        whole = json_array_append_new(list, invitation_json(&book->at[i])) == 0;
    json_t *json = whole ? json_pack("{s:i, s:O}", "format", 1, "invitations", list) : NULL;
    char *text = json ? json_dumps(json, JSON_INDENT(1)) : NULL;
    int r = text ? file_write(book->path, bytes_of_text(text), 0600, err)
                 : error_set(err, CASEBUS_NO_MEMORY, _("no memory for an invitation"));
    if (text)
        secret_clear(text, strlen(text));
    free(text);
    json_decref(json);
    json_decref(list);
    return r;
}

static bool get_text(const json_t *json, const char *name, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(json, name));
    return text && (size_t)snprintf(out, size, "%s", text) < size;
}

static bool get_hex(const json_t *json, const char *name, uint8_t *out, size_t max, size_t *size)
{
    const char *text = json_string_value(json_object_get(json, name));
    size_t n = text ? strlen(text) / 2 : max + 1;
    *size = n;
    return n <= max && hex_decode(out, n, text);
}

static bool state_read(const json_t *json, struct invitation *invitation)
{
    const char *text = json_string_value(json_object_get(json, "state"));
    for (unsigned i = INVITATION_OPEN; text && i <= INVITATION_DONE; i++)
        if (strcmp(names[i], text) == 0) {
            invitation->state = (enum invitation_state)i;
            return true;
        }
    return false;
}

static bool invitation_read(const json_t *json, struct invitation *out)
{
    size_t id = 0, key = 0, signature = 0;
    memset(out, 0, sizeof *out);
    out->publish = json_is_true(json_object_get(json, "publish"));
    out->receive_all = json_is_true(json_object_get(json, "receive_all"));
    out->automatic = json_is_true(json_object_get(json, "automatic"));
    out->told = json_is_true(json_object_get(json, "told"));
    out->part_kinds = (uint32_t)json_integer_value(json_object_get(json, "part_kinds"));
    out->expires_at_us = json_integer_value(json_object_get(json, "expires_at_us"));
    out->requested_at_us = json_integer_value(json_object_get(json, "requested_at_us"));
    out->wrong = (unsigned)json_integer_value(json_object_get(json, "wrong"));
    return get_text(json, "node", out->node, sizeof out->node) &&
           get_text(json, "department", out->department, sizeof out->department) &&
           get_text(json, "area", out->area, sizeof out->area) &&
           get_text(json, "words", out->words, sizeof out->words) && state_read(json, out) &&
           get_hex(json, "invitation", out->id, INVITATION_SIZE, &id) && id == INVITATION_SIZE &&
           get_hex(json, "key", out->key, CODE_KEY_SIZE, &key) && key == CODE_KEY_SIZE &&
           get_hex(json, "statement", out->statement, INVITATION_STATEMENT_MAX, &out->statement_size) &&
           get_hex(json, "signature", out->signature, SIGNATURE_SIZE, &signature) &&
           (signature == SIGNATURE_SIZE || !out->statement_size) &&
           get_hex(json, "certificate", out->certificate, CERTIFICATE_MAX, &out->certificate_size);
}

static int book_read(struct invitations *book, struct casebus_error *err)
{
    struct buffer text;
    json_t *json = NULL;
    int r = file_read(book->path, FILE_MAX, &text, err);
    if (r == 0)
        json = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, NULL);
    if (text.data)
        secret_clear(text.data, text.size);
    buffer_deinit(&text);
    if (r)
        return r;
    const json_t *list = json_object_get(json, "invitations");
    bool good = json_integer_value(json_object_get(json, "format")) == 1 && json_is_array(list) &&
                json_array_size(list) <= INVITATIONS_MAX;
    for (size_t i = 0; good && i < json_array_size(list); i++)
        good = invitation_read(json_array_get(list, i), &book->at[book->n++]);
    json_decref(json);
    if (good)
        return 0;
    error_set(err, CASEBUS_DAMAGED, _("'%s' does not hold invitations"), book->path);
    return error_hint(err, _("take it away: who was invited has to be invited again"));
}

int invitations_open(struct invitations **bookp, const char *dir, struct casebus_error *err)
{
    struct invitations *book = calloc(1, sizeof *book);
    if (book)
        book->at = calloc(INVITATIONS_MAX, sizeof *book->at);
    if (!book || !book->at) {
        free(book);
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for an invitation"));
    }
    pthread_mutex_init(&book->lock, NULL);
    int r = path_join(book->path, sizeof book->path, dir, "invitations")
                ? error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), dir)
                : 0;
    if (r == 0 && (access(book->path, F_OK) == 0 || errno != ENOENT))
        r = book_read(book, err);
    if (r) {
        invitations_close(book);
        return -1;
    }
    *bookp = book;
    return 0;
}

struct invitations *invitations_close(struct invitations *book)
{
    if (!book)
        return NULL;
    secret_clear(book->at, INVITATIONS_MAX * sizeof *book->at);
    free(book->at);
    pthread_mutex_destroy(&book->lock);
    free(book);
    return NULL;
}

/* ---- changes ---- */

static struct invitation *with_id(struct invitations *book, const uint8_t id[INVITATION_SIZE])
{
    for (size_t i = 0; i < book->n; i++)
        if (memcmp(book->at[i].id, id, INVITATION_SIZE) == 0)
            return &book->at[i];
    return NULL;
}

static void forget_old(struct invitations *book, int64_t now_us)
{
    size_t n = 0;
    for (size_t i = 0; i < book->n; i++)
        if (invitation_alive(&book->at[i], now_us) || now_us < book->at[i].expires_at_us + KEPT_US)
            book->at[n++] = book->at[i];
    book->n = n;
}

static int add_locked(struct invitations *book, const struct invitation *invitation, int64_t now_us,
                      struct casebus_error *err)
{
    forget_old(book, now_us);
    for (size_t i = 0; i < book->n; i++)
        if (strcmp(book->at[i].node, invitation->node) == 0 && invitation_alive(&book->at[i], now_us)) {
            error_set(err, CASEBUS_EXISTS, _("'%s' is invited already"), invitation->node);
            return error_hint(err, _("take that invitation back: casebus node refuse %s --why WORDS"),
                              invitation->node);
        }
    if (book->n == INVITATIONS_MAX)
        return error_set(err, CASEBUS_BUSY, _("there are %d invitations already"), INVITATIONS_MAX);
    book->at[book->n++] = *invitation;
    if (book_write(book, err) == 0)
        return 0;
    book->n--;
    return -1;
}

int invitations_add(struct invitations *book, const struct invitation *invitation, int64_t now_us,
                    struct casebus_error *err)
{
    pthread_mutex_lock(&book->lock);
    int r = add_locked(book, invitation, now_us, err);
    pthread_mutex_unlock(&book->lock);
    return r;
}

/* Puts @changed in the place of the one with its id; the old one stays when it cannot be written. */
static int replace(struct invitations *book, const struct invitation *changed, struct casebus_error *err)
{
    struct invitation *at = with_id(book, changed->id);
    struct invitation before = *at;
    *at = *changed;
    if (book_write(book, err) == 0)
        return 0;
    *at = before;
    return -1;
}

typedef int change_fn(struct invitation *invitation, const void *how, struct casebus_error *err);

static int change(struct invitations *book, const uint8_t id[INVITATION_SIZE], change_fn *apply,
                  const void *how, struct casebus_error *err)
{
    pthread_mutex_lock(&book->lock);
    struct invitation *at = with_id(book, id);
    int r = -1;
    if (!at) {
        error_set(err, CASEBUS_NOT_FOUND, _("there is no such invitation"));
    } else {
        struct invitation changed = *at;
        if (apply(&changed, how, err) == 0)
            r = replace(book, &changed, err);
    }
    pthread_mutex_unlock(&book->lock);
    return r;
}

struct request {
    struct bytes statement;
    const uint8_t *signature;
    int64_t now_us;
};

static int apply_request(struct invitation *invitation, const void *how, struct casebus_error *err)
{
    const struct request *request = how;
    if (invitation->state != INVITATION_OPEN || request->statement.size > INVITATION_STATEMENT_MAX)
        return error_set(err, CASEBUS_EXISTS, _("the invitation of '%s' was used already"), invitation->node);
    memcpy(invitation->statement, request->statement.data, request->statement.size);
    invitation->statement_size = request->statement.size;
    memcpy(invitation->signature, request->signature, SIGNATURE_SIZE);
    invitation->requested_at_us = request->now_us;
    invitation->state = INVITATION_REQUESTED;
    return 0;
}

int invitations_request(struct invitations *book, const uint8_t id[INVITATION_SIZE], struct bytes statement,
                        const uint8_t signature[SIGNATURE_SIZE], int64_t now_us, struct casebus_error *err)
{
    const struct request request = {statement, signature, now_us};
    return change(book, id, apply_request, &request, err);
}

static int apply_enrolled(struct invitation *invitation, const void *how, struct casebus_error *err)
{
    const struct bytes *certificate = how;
    if (invitation->state != INVITATION_REQUESTED || certificate->size > CERTIFICATE_MAX)
        return error_set(err, CASEBUS_EXISTS, _("the request of '%s' has been decided already"),
                         invitation->node);
    memcpy(invitation->certificate, certificate->data, certificate->size);
    invitation->certificate_size = certificate->size;
    invitation->state = INVITATION_ENROLLED;
    return 0;
}

int invitations_enrolled(struct invitations *book, const uint8_t id[INVITATION_SIZE],
                         struct bytes certificate, struct casebus_error *err)
{
    return change(book, id, apply_enrolled, &certificate, err);
}

static int apply_refuse(struct invitation *invitation, const void *how, struct casebus_error *err)
{
    if (invitation->state > INVITATION_REQUESTED)
        return error_set(err, CASEBUS_EXISTS, _("the request of '%s' has been decided already"),
                         invitation->node);
    snprintf(invitation->words, sizeof invitation->words, "%s", (const char *)how);
    utf8_cut(invitation->words);
    invitation->state = INVITATION_REFUSED;
    return 0;
}

int invitations_refuse(struct invitations *book, const uint8_t id[INVITATION_SIZE], const char *words,
                       struct casebus_error *err)
{
    return change(book, id, apply_refuse, words, err);
}

static int apply_done(struct invitation *invitation, const void *how, struct casebus_error *err)
{
    (void)how;
    (void)err;
    if (invitation->state == INVITATION_ENROLLED)
        invitation->state = INVITATION_DONE;
    invitation->told = true;
    return 0;
}

int invitations_done(struct invitations *book, const uint8_t id[INVITATION_SIZE], struct casebus_error *err)
{
    return change(book, id, apply_done, NULL, err);
}

static int apply_wrong(struct invitation *invitation, const void *how, struct casebus_error *err)
{
    bool *voided = (bool *)(uintptr_t)how;
    (void)err;
    invitation->wrong++;
    *voided = invitation->wrong == INVITATION_WRONG_MAX && invitation->state <= INVITATION_REQUESTED;
    if (*voided)
        invitation->state = INVITATION_VOID;
    return 0;
}

int invitations_wrong(struct invitations *book, const uint8_t id[INVITATION_SIZE], bool *voided,
                      struct casebus_error *err)
{
    *voided = false;
    return change(book, id, apply_wrong, voided, err);
}

/* ---- looking ---- */

bool invitations_find(struct invitations *book, const uint8_t id[INVITATION_SIZE], struct invitation *out)
{
    pthread_mutex_lock(&book->lock);
    const struct invitation *at = with_id(book, id);
    if (at)
        *out = *at;
    pthread_mutex_unlock(&book->lock);
    return at;
}

bool invitations_find_node(struct invitations *book, const char *node, struct invitation *out)
{
    const struct invitation *found = NULL;
    pthread_mutex_lock(&book->lock);
    for (size_t i = 0; i < book->n; i++)
        if (strcmp(book->at[i].node, node) == 0)
            found = &book->at[i];
    if (found)
        *out = *found;
    pthread_mutex_unlock(&book->lock);
    return found;
}

bool invitations_at(struct invitations *book, size_t i, struct invitation *out)
{
    pthread_mutex_lock(&book->lock);
    bool there = i < book->n;
    if (there)
        *out = book->at[i];
    pthread_mutex_unlock(&book->lock);
    return there;
}

/* Who asked and was refused is told so. */
static bool has_to_hear(const struct invitation *invitation, int64_t now_us)
{
    return invitation->state == INVITATION_REFUSED && invitation->statement_size && !invitation->told &&
           now_us < invitation->expires_at_us;
}

bool invitations_wait(struct invitations *book, int64_t now_us)
{
    bool wait = false;
    pthread_mutex_lock(&book->lock);
    for (size_t i = 0; i < book->n; i++)
        wait = wait || invitation_alive(&book->at[i], now_us) || has_to_hear(&book->at[i], now_us);
    pthread_mutex_unlock(&book->lock);
    return wait;
}
