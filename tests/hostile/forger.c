/* Forger: makes frames that a node could send, true ones and lies, with that node's keys. It only writes
 * them; sending is hostile_test.py's.
 *
 *   forger DIR      reads lines of NAME=VALUE from standard input, the first one kind=..., and answers each
 * with a line: the frame in hexadecimal, and for a batch the hash of its statement
 *
 *   kind=hello      [node=]
 *   kind=publish    record= [namespace=] [case=] [first=1] [count=1] [stream=1] [previous=HEX] [node=]
 * [origin=] [lie=] lie: key (the key id of another), signature (by another key), event (not the one that was
 *                   signed), count (one more than there are), seal (the statement of a batch, signed as if it
 * were another's) kind=subscribe  [window=] kind=credit     [position=] kind=confirm    [position=] [node=]
 * [lie=signature] */
#include "adapters/sdk/enrolment.h"
#include "proto/codec/batch.h"
#include "proto/codec/event.h"
#include "proto/codec/frame.h"
#include "proto/codec/proof.h"
#include "proto/codec/statement.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BATCH_CONTEXT "casebus/v1/batch"

struct forger {
    struct enrolment enrolment;
    struct signing_key *other; /* of nobody */
    struct crypter *crypter;
    struct arena arena;
    char *line;
    uint8_t signature[SIGNATURE_SIZE], previous[DIGEST_SIZE], statement_hash[DIGEST_SIZE],
        random[RANDOM_SIZE];
    uint8_t other_id[KEY_ID_SIZE];
    uint8_t nonce[PROOF_NONCE_SIZE];
    bool batch;
};

static void must(int r, const struct casebus_error *err)
{
    if (r >= 0)
        return;
    error_print("forger", err);
    exit(1);
}

static void *need(void *pointer)
{
    if (!pointer)
        abort();
    return pointer;
}

static ProtobufCBinaryData field(struct bytes bytes)
{
    return (ProtobufCBinaryData){bytes.size, (uint8_t *)(uintptr_t)bytes.data};
}

static ProtobufCBinaryData digest(const uint8_t *bytes)
{
    return field(bytes_of(bytes, DIGEST_SIZE));
}

static char *copied(struct forger *forger, const char *text, size_t size)
{
    char *copy = need(arena_alloc(&forger->arena, size + 1));
    memcpy(copy, text, size);
    copy[size] = '\0';
    return copy;
}

/* ---- the line ---- */

static char *told(struct forger *forger, const char *name, const char *preset)
{
    size_t size = strlen(name);
    for (char *word = forger->line; *word; word += strcspn(word, " "), word += strspn(word, " "))
        if (strncmp(word, name, size) == 0 && word[size] == '=')
            return copied(forger, word + size + 1, strcspn(word + size + 1, " "));
    return copied(forger, preset, strlen(preset));
}

static uint64_t told_number(struct forger *forger, const char *name, const char *preset)
{
    return strtoull(told(forger, name, preset), NULL, 10);
}

static bool lies(struct forger *forger, const char *about)
{
    return strcmp(told(forger, "lie", ""), about) == 0;
}

static const uint8_t *told_digest(struct forger *forger, const char *name)
{
    const char *text = told(forger, name, "");
    for (size_t i = 0; i < DIGEST_SIZE && strlen(text) == (size_t)2 * DIGEST_SIZE; i++)
        forger->previous[i] = (uint8_t)strtoul((const char[]){text[2 * i], text[2 * i + 1], 0}, NULL, 16);
    return forger->previous;
}

/* ---- frames ---- */

static struct bytes header_make(struct forger *forger, uint64_t number)
{
    char record[128];
    Casebus__V1__EventHeader header = CASEBUS__V1__EVENT_HEADER__INIT;
    snprintf(record, sizeof record, "%s-%llu", told(forger, "record", "record"), (unsigned long long)number);
    random_bytes(forger->random, sizeof forger->random);
    header.format = 1;
    header.random = field(bytes_of(forger->random, RANDOM_SIZE));
    header.record_namespace = told(forger, "namespace", "hostile");
    header.record_id = record;
    header.operation = CASEBUS__V1__OPERATION__OPERATION_PUT;
    header.kind = CASEBUS__V1__KIND__KIND_OTHER;
    header.case_number = told(forger, "case", "case-hostile");
    header.occurred_at_us = INT64_C(1772413200000000);
    header.precision = CASEBUS__V1__PRECISION__PRECISION_INSTANT;
    header.source_code = copied(forger, "x", 1);
    return codec_pack(&header, &forger->arena);
}

static void sign(struct forger *forger, struct bytes statement)
{
    struct casebus_error err;
    must(signing_key_sign(lies(forger, "signature") ? forger->other : forger->enrolment.key, statement,
                          forger->signature, &err),
         &err);
}

/* By hand: statement_make() makes none that are wrong. */
static struct bytes statement_of(struct forger *forger, uint8_t (*hashes)[DIGEST_SIZE], size_t n)
{
    Casebus__V1__BatchStatement fields = CASEBUS__V1__BATCH_STATEMENT__INIT;
    uint8_t root[DIGEST_SIZE];
    events_root(forger->crypter, (const uint8_t(*)[DIGEST_SIZE])hashes, n, root);
    fields.context = copied(forger, BATCH_CONTEXT, strlen(BATCH_CONTEXT));
    fields.suite = (Casebus__V1__Suite)suite_id(forger->enrolment.suite);
    fields.origin = told(forger, "origin", forger->enrolment.origin);
    fields.node = told(forger, "node", forger->enrolment.node);
    fields.key_id =
        field(bytes_of(lies(forger, "key") ? forger->other_id : forger->enrolment.key_id, KEY_ID_SIZE));
    fields.stream = told_number(forger, "stream", "1");
    fields.first = told_number(forger, "first", "1");
    fields.count = (uint32_t)n + lies(forger, "count");
    fields.events_root = digest(root);
    fields.previous = digest(told_digest(forger, "previous"));
    struct bytes statement = codec_pack(&fields, &forger->arena);
    sign(forger, statement);
    statement_hash(forger->crypter, statement, forger->statement_hash);
    forger->batch = true;
    return statement;
}

static void publish(struct forger *forger, Casebus__V1__Frame *frame)
{
    uint64_t first = told_number(forger, "first", "1");
    size_t n = told_number(forger, "count", "1");
    Casebus__V1__Publish *publish = need(arena_alloc(&forger->arena, sizeof *publish));
    Casebus__V1__Batch *batch = need(arena_alloc(&forger->arena, sizeof *batch));
    Casebus__V1__Event *events = need(arena_alloc(&forger->arena, n * sizeof *events));
    Casebus__V1__Event **list = need(arena_alloc(&forger->arena, n * sizeof(Casebus__V1__Event *)));
    uint8_t(*hashes)[DIGEST_SIZE] = need(arena_alloc(&forger->arena, n * DIGEST_SIZE));
    casebus__v1__publish__init(publish);
    casebus__v1__batch__init(batch);
    for (size_t i = 0; i < n; i++) {
        struct bytes header = header_make(forger, first + i);
        casebus__v1__event__init(list[i] = &events[i]);
        events[i].header = field(header);
        event_hash(forger->crypter, header, hashes[i]);
    }
    batch->statement = field(statement_of(forger, hashes, n));
    batch->signature = field(bytes_of(forger->signature, SIGNATURE_SIZE));
    batch->event = list;
    batch->n_event = n;
    if (lies(forger, "event"))
        events[n - 1].header = field(header_make(forger, first));
    publish->batch = batch;
    frame->body_case = CASEBUS__V1__FRAME__BODY_PUBLISH;
    frame->publish = publish;
}

static void hello(struct forger *forger, Casebus__V1__Frame *frame)
{
    Casebus__V1__Hello *hello = need(arena_alloc(&forger->arena, sizeof *hello));
    casebus__v1__hello__init(hello);
    hello->version_min = hello->version_max = 1;
    hello->software = copied(forger, "forger", 6);
    hello->node = told(forger, "node", forger->enrolment.node);
    hello->key_id = field(bytes_of(forger->enrolment.key_id, KEY_ID_SIZE));
    random_bytes(forger->nonce, sizeof forger->nonce);
    hello->nonce = field(bytes_of(forger->nonce, sizeof forger->nonce));
    frame->body_case = CASEBUS__V1__FRAME__BODY_HELLO;
    frame->hello = hello;
}

static Casebus__V1__DeliveryId *delivery_id(struct forger *forger)
{
    Casebus__V1__DeliveryId *id = need(arena_alloc(&forger->arena, sizeof *id));
    casebus__v1__delivery_id__init(id);
    id->position = told_number(forger, "position", "1");
    return id;
}

static void subscribe(struct forger *forger, Casebus__V1__Frame *frame)
{
    Casebus__V1__Subscribe *subscribe = need(arena_alloc(&forger->arena, sizeof *subscribe));
    casebus__v1__subscribe__init(subscribe);
    subscribe->window_bytes = (uint32_t)told_number(forger, "window", "4294967295");
    frame->body_case = CASEBUS__V1__FRAME__BODY_SUBSCRIBE;
    frame->subscribe = subscribe;
}

static void credit(struct forger *forger, Casebus__V1__Frame *frame)
{
    Casebus__V1__Credit *credit = need(arena_alloc(&forger->arena, sizeof *credit));
    casebus__v1__credit__init(credit);
    credit->consumed = delivery_id(forger);
    frame->body_case = CASEBUS__V1__FRAME__BODY_CREDIT;
    frame->credit = credit;
}

static void confirm(struct forger *forger, Casebus__V1__Frame *frame)
{
    Casebus__V1__ConfirmStatement said = CASEBUS__V1__CONFIRM_STATEMENT__INIT;
    Casebus__V1__Confirm *confirm = need(arena_alloc(&forger->arena, sizeof *confirm));
    casebus__v1__confirm__init(confirm);
    said.context = copied(forger, CONFIRM_CONTEXT, strlen(CONFIRM_CONTEXT));
    said.suite = (Casebus__V1__Suite)suite_id(forger->enrolment.suite);
    said.origin = forger->enrolment.origin;
    said.node = told(forger, "node", forger->enrolment.node);
    said.key_id = field(bytes_of(forger->enrolment.key_id, KEY_ID_SIZE));
    said.last = delivery_id(forger);
    said.running_hash = digest(forger->previous);
    struct bytes statement = codec_pack(&said, &forger->arena);
    sign(forger, statement);
    confirm->statement = field(statement);
    confirm->signature = field(bytes_of(forger->signature, SIGNATURE_SIZE));
    frame->body_case = CASEBUS__V1__FRAME__BODY_CONFIRM;
    frame->confirm = confirm;
}

/* ---- all of it ---- */

static const struct {
    const char *kind;
    void (*make)(struct forger *forger, Casebus__V1__Frame *frame);
} kinds[] = {{"hello", hello},
             {"publish", publish},
             {"subscribe", subscribe},
             {"credit", credit},
             {"confirm", confirm}};

static void print_hex(struct bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++)
        printf("%02x", bytes.data[i]);
}

static void answer(struct forger *forger)
{
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    const char *kind = told(forger, "kind", "");
    memset(forger->previous, 0, sizeof forger->previous);
    forger->batch = false;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kind, kinds[i].kind) == 0)
            kinds[i].make(forger, &frame);
    print_hex(codec_pack(&frame, &forger->arena));
    putchar(' ');
    if (forger->batch)
        print_hex(bytes_of(forger->statement_hash, DIGEST_SIZE));
    putchar('\n');
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static struct forger forger;
    struct casebus_error err;
    size_t room = 0;
    if (argc != 2)
        return 2;
    must(enrolment_load(&forger.enrolment, argv[1], time(NULL), &err), &err);
    must(signing_key_generate(&forger.other, forger.enrolment.suite, &err), &err);
    public_key_id(signing_key_public(forger.other), forger.other_id);
    forger.crypter = need(crypter_new(forger.enrolment.suite));
    arena_init(&forger.arena, 1 << 20, 64u << 20);
    while (getline(&forger.line, &room, stdin) > 0) {
        forger.line[strcspn(forger.line, "\n")] = '\0';
        arena_reset(&forger.arena);
        answer(&forger);
    }
    free(forger.line);
    arena_deinit(&forger.arena);
    crypter_free(forger.crypter);
    signing_key_free(forger.other);
    enrolment_deinit(&forger.enrolment);
    return 0;
}
