/* Writes the seeds: one small file for each shape that a fuzz target should know from the start. Built, not
 * run by the tests: seeds are kept, so that a case found once is run for ever. */
#include "proto/codec/sample.h"
#include "proto/crypto/certificate.h"
#include "proto/merkle/note.h"

#include <stdio.h>
#include <stdlib.h>

struct seeds {
    const char *dir;
    struct sample sample;
    struct casebus_error err;
    uint8_t bytes[SIGNATURE_SIZE];
};

static void put(struct seeds *seeds, const char *target, const char *name, struct bytes data)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s/%s", seeds->dir, target, name);
    FILE *file = fopen(path, "wb");

    if (!file || fwrite(data.data, 1, data.size, file) != data.size || fclose(file)) {
        perror(path);
        exit(1);
    }
}

static struct bytes pack(struct seeds *seeds, const void *message)
{
    return codec_pack(message, &seeds->sample.arena);
}

static char *text(const char *literal)
{
    return (char *)(uintptr_t)literal;
}

static ProtobufCBinaryData field(struct seeds *seeds, size_t size)
{
    return (ProtobufCBinaryData){size, seeds->bytes};
}

static struct bytes statement(struct seeds *seeds)
{
    Casebus__V1__BatchStatement fields = CASEBUS__V1__BATCH_STATEMENT__INIT;
    struct signing_key *key;
    struct bytes out;
    uint8_t signature[SIGNATURE_SIZE];

    fields.origin = text(SAMPLE_ORIGIN);
    fields.node = text("group-1");
    fields.stream = 7;
    fields.first = fields.count = 1;
    fields.events_root = fields.previous = field(seeds, DIGEST_SIZE);
    if (signing_key_generate(&key, suite_get(SUITE_INTL), &seeds->err) ||
        statement_make(seeds->sample.crypter, &fields, key, &seeds->sample.arena, &out, signature,
                       &seeds->err)) {
        error_print("make_seeds", &seeds->err);
        exit(1);
    }
    signing_key_free(key);
    return out;
}

static void event_seeds(struct seeds *seeds)
{
    struct sample *sample = &seeds->sample;

    put(seeds, "event", "accept", sample_pack(sample));
    Casebus__V1__EventHeader kept = sample->header;
    Casebus__V1__StepFields step = CASEBUS__V1__STEP_FIELDS__INIT;
    step.action = text("T02");
    sample->header.kind = CASEBUS__V1__KIND__KIND_STEP;
    sample->header.fields_case = CASEBUS__V1__EVENT_HEADER__FIELDS_STEP;
    sample->header.step = &step;
    put(seeds, "event", "step", sample_pack(sample));
    sample->header.kind = CASEBUS__V1__KIND__KIND_OTHER;
    sample->header.fields_case = CASEBUS__V1__EVENT_HEADER__FIELDS__NOT_SET;
    sample->header.n_case_alias = sample->header.n_material = sample->header.n_commitment = 0;
    put(seeds, "event", "other", sample_pack(sample));
    sample->header = kept;
}

static void put_frame(struct seeds *seeds, Casebus__V1__Frame__BodyCase body, void *message)
{
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;

    frame.body_case = body;
    frame.hello = message; /* all members of the union are pointers */
    put(seeds, "frame", frame_name(body), pack(seeds, &frame));
}

static void session_seeds(struct seeds *seeds)
{
    Casebus__V1__StreamState stream = CASEBUS__V1__STREAM_STATE__INIT, *streams[] = {&stream};
    Casebus__V1__Hello hello = CASEBUS__V1__HELLO__INIT;
    Casebus__V1__Welcome welcome = CASEBUS__V1__WELCOME__INIT;
    Casebus__V1__SignedCheckpoint checkpoint = CASEBUS__V1__SIGNED_CHECKPOINT__INIT;
    Casebus__V1__Ping ping = CASEBUS__V1__PING__INIT;
    Casebus__V1__Pong pong = CASEBUS__V1__PONG__INIT;
    Casebus__V1__Text words = CASEBUS__V1__TEXT__INIT;
    Casebus__V1__Bye bye = CASEBUS__V1__BYE__INIT;

    stream.stream = 7;
    stream.last = 3;
    stream.last_statement = field(seeds, DIGEST_SIZE);
    hello.version_min = hello.version_max = 1;
    hello.software = text("libcasebus/0.1.0");
    hello.node = text("group-1");
    hello.key_id = field(seeds, KEY_ID_SIZE);
    hello.nonce = field(seeds, 32);
    hello.stream = welcome.stream = streams;
    hello.n_stream = welcome.n_stream = 1;
    put_frame(seeds, CASEBUS__V1__FRAME__BODY_HELLO, &hello);
    checkpoint.note = (ProtobufCBinaryData){5, (uint8_t *)text("note\n")};
    welcome.version = 1;
    welcome.origin = text(SAMPLE_ORIGIN);
    welcome.window_bytes = 1 << 20;
    welcome.proof = field(seeds, SIGNATURE_SIZE);
    welcome.checkpoint = pong.checkpoint = &checkpoint;
    put_frame(seeds, CASEBUS__V1__FRAME__BODY_WELCOME, &welcome);
    ping.token = pong.token = 5;
    put_frame(seeds, CASEBUS__V1__FRAME__BODY_PING, &ping);
    put_frame(seeds, CASEBUS__V1__FRAME__BODY_PONG, &pong);
    words.zh = text("再见");
    words.en = text("goodbye");
    bye.code = text("CB-OK");
    bye.sentence = &words;
    put_frame(seeds, CASEBUS__V1__FRAME__BODY_BYE, &bye);
}

static void joining_seeds(struct seeds *seeds)
{
    Casebus__V1__Join join = CASEBUS__V1__JOIN__INIT;
    Casebus__V1__JoinOpen open = CASEBUS__V1__JOIN_OPEN__INIT;
    Casebus__V1__JoinRequest request = CASEBUS__V1__JOIN_REQUEST__INIT;
    Casebus__V1__JoinAnswer answer = CASEBUS__V1__JOIN_ANSWER__INIT;

    join.version = 1;
    join.invitation = field(seeds, 8);
    join.nonce = open.nonce = field(seeds, 32);
    put_frame(seeds, CASEBUS__V1__FRAME__BODY_JOIN, &join);
    open.offer = field(seeds, 200);
    open.mac = request.mac = answer.mac = field(seeds, DIGEST_SIZE);
    put_frame(seeds, CASEBUS__V1__FRAME__BODY_JOIN_OPEN, &open);
    request.statement = field(seeds, 100);
    request.signature = field(seeds, SIGNATURE_SIZE);
    put_frame(seeds, CASEBUS__V1__FRAME__BODY_JOIN_REQUEST, &request);
    answer.state = CASEBUS__V1__JOIN_STATE__JOIN_STATE_ENROLLED;
    answer.certificate = field(seeds, 300);
    put_frame(seeds, CASEBUS__V1__FRAME__BODY_JOIN_ANSWER, &answer);
}

static void publish_seeds(struct seeds *seeds)
{
    Casebus__V1__Accepted accepted = CASEBUS__V1__ACCEPTED__INIT;
    Casebus__V1__Refused refused = CASEBUS__V1__REFUSED__INIT;
    Casebus__V1__Outcome outcome = CASEBUS__V1__OUTCOME__INIT, *outcomes[] = {&outcome};
    ProtobufCBinaryData path[] = {field(seeds, DIGEST_SIZE), field(seeds, DIGEST_SIZE)};

    put(seeds, "frame", "publish", sample_frame(&seeds->sample, 2));
    accepted.stream = refused.stream = 7;
    accepted.first = accepted.count = refused.first = refused.count = 1;
    accepted.inclusion = path;
    accepted.n_inclusion = 2;
    outcome.duplicate_of = 9;
    outcome.event_hash = field(seeds, DIGEST_SIZE);
    accepted.outcome = outcomes;
    accepted.n_outcome = 1;
    put_frame(seeds, CASEBUS__V1__FRAME__BODY_ACCEPTED, &accepted);
    refused.code = text("CB-SEQ-GAP");
    refused.expected = 1;
    put_frame(seeds, CASEBUS__V1__FRAME__BODY_REFUSED, &refused);
}

static void deliver_seeds(struct seeds *seeds)
{
    Casebus__V1__DeliveryId id = CASEBUS__V1__DELIVERY_ID__INIT;
    Casebus__V1__Subscribe subscribe = CASEBUS__V1__SUBSCRIBE__INIT;
    Casebus__V1__Credit credit = CASEBUS__V1__CREDIT__INIT;
    Casebus__V1__Delivery delivery = CASEBUS__V1__DELIVERY__INIT, *deliveries[] = {&delivery};
    Casebus__V1__DeliveredPart part = CASEBUS__V1__DELIVERED_PART__INIT, *parts[] = {&part};
    Casebus__V1__Deliver deliver = CASEBUS__V1__DELIVER__INIT;
    Casebus__V1__ConfirmStatement said = CASEBUS__V1__CONFIRM_STATEMENT__INIT;
    Casebus__V1__Confirm confirm = CASEBUS__V1__CONFIRM__INIT;

    id.position = 8;
    subscribe.resume = 1;
    subscribe.after = credit.consumed = delivery.id = said.last = &id;
    put_frame(seeds, CASEBUS__V1__FRAME__BODY_SUBSCRIBE, &subscribe);
    put_frame(seeds, CASEBUS__V1__FRAME__BODY_CREDIT, &credit);
    delivery.header = seeds->sample.event.header;
    part.salt = field(seeds, SALT_SIZE);
    part.content = field(seeds, 10);
    delivery.part = parts;
    delivery.n_part = 1;
    deliver.delivery = deliveries;
    deliver.n_delivery = 1;
    put_frame(seeds, CASEBUS__V1__FRAME__BODY_DELIVER, &deliver);
    said.context = text(CONFIRM_CONTEXT);
    said.suite = CASEBUS__V1__SUITE__SUITE_INTL;
    said.origin = text(SAMPLE_ORIGIN);
    said.node = text("supervisor");
    said.key_id = field(seeds, KEY_ID_SIZE);
    said.running_hash = field(seeds, DIGEST_SIZE);
    struct bytes packed = pack(seeds, &said);
    confirm.statement = (ProtobufCBinaryData){packed.size, (uint8_t *)(uintptr_t)packed.data};
    confirm.signature = field(seeds, SIGNATURE_SIZE);
    put_frame(seeds, CASEBUS__V1__FRAME__BODY_CONFIRM, &confirm);
}

static void put_entry(struct seeds *seeds, const char *name, Casebus__V1__LedgerEntry__ContentCase content,
                      void *message)
{
    Casebus__V1__LedgerEntry entry = CASEBUS__V1__LEDGER_ENTRY__INIT;

    entry.format = 1;
    entry.suite = CASEBUS__V1__SUITE__SUITE_INTL;
    entry.hub_time_us = INT64_C(1718245200000000);
    entry.content_case = content;
    entry.event = message; /* all members of the union are pointers */
    struct bytes packed = pack(seeds, &entry);
    if (!entry_decode(packed, &seeds->sample.arena, &seeds->err)) {
        error_print(name, &seeds->err);
        exit(1);
    }
    put(seeds, "entry", name, packed);
}

static void entry_seeds(struct seeds *seeds)
{
    Casebus__V1__Receiver receiver = CASEBUS__V1__RECEIVER__INIT, *receivers[] = {&receiver};
    Casebus__V1__EventEntry event = CASEBUS__V1__EVENT_ENTRY__INIT;
    Casebus__V1__SealOutcome outcome = CASEBUS__V1__SEAL_OUTCOME__INIT, *outcomes[] = {&outcome};
    Casebus__V1__SealEntry seal = CASEBUS__V1__SEAL_ENTRY__INIT;
    struct bytes packed = statement(seeds);

    event.node = text("group-1");
    event.stream = 7;
    event.number = 1;
    event.event_hash = field(seeds, DIGEST_SIZE);
    event.case_id = field(seeds, CASE_ID_SIZE);
    receiver.node = text("supervisor");
    receiver.part_mask = 3;
    event.receiver = receivers;
    event.n_receiver = 1;
    put_entry(seeds, "event", CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT, &event);
    seal.statement = (ProtobufCBinaryData){packed.size, (uint8_t *)(uintptr_t)packed.data};
    seal.signature = field(seeds, SIGNATURE_SIZE);
    outcome.event_hash = field(seeds, DIGEST_SIZE);
    outcome.code = text("CB-TEXT");
    seal.outcome = outcomes;
    seal.n_outcome = 1;
    put_entry(seeds, "seal", CASEBUS__V1__LEDGER_ENTRY__CONTENT_SEAL, &seal);
}

static void act_seeds(struct seeds *seeds)
{
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    Casebus__V1__Grants grants = CASEBUS__V1__GRANTS__INIT;
    Casebus__V1__NodeEnrolled enrolled = CASEBUS__V1__NODE_ENROLLED__INIT;
    Casebus__V1__Quarantined quarantined = CASEBUS__V1__QUARANTINED__INIT;
    uint32_t kinds[] = {1, 2};

    grants.receive_part_kind = kinds;
    grants.n_receive_part_kind = 2;
    enrolled.grants = &grants;
    enrolled.statement = enrolled.certificate = field(seeds, 40);
    enrolled.signature = field(seeds, SIGNATURE_SIZE);
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_NODE_ENROLLED;
    act.node_enrolled = &enrolled;
    put_entry(seeds, "node_enrolled", CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT, &act);
    quarantined.node = text("group-1");
    quarantined.code = text("CB-COMMITMENT");
    quarantined.subject = field(seeds, DIGEST_SIZE);
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED;
    act.quarantined = &quarantined;
    put_entry(seeds, "quarantined", CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT, &act);
}

static void body_seed(struct seeds *seeds)
{
    static const uint8_t zeros[32];
    struct body_seal seal = {0};
    struct bytes items[] = {sample_pack(&seeds->sample), bytes_of_text("salt and content")};
    struct bytes body;

    if (body_seal_items(seeds->sample.crypter, SAMPLE_ORIGIN, zeros, items, 2, &seeds->sample.arena, &seal,
                        &seeds->err) ||
        body_wrap(seeds->sample.crypter, SAMPLE_ORIGIN, &seal, 1, zeros, &seeds->sample.arena, &body,
                  &seeds->err)) {
        error_print("make_seeds", &seeds->err);
        exit(1);
    }
    put(seeds, "entry", "body", body);
}

static struct signing_key *key_new(struct seeds *seeds)
{
    struct signing_key *key;
    if (signing_key_generate(&key, suite_get(SUITE_INTL), &seeds->err)) {
        error_print("make_seeds", &seeds->err);
        exit(1);
    }
    return key;
}

static void need(bool made)
{
    if (!made)
        abort();
}

/* The key that a note is to be checked with stands in the line before it. */
static void note_seeds(struct seeds *seeds)
{
    struct signing_key *log = key_new(seeds), *witness = key_new(seeds);
    struct checkpoint checkpoint = {.origin = SAMPLE_ORIGIN, .size = 8577};
    struct bytes text = {0}, lines = {0};
    char note[NOTE_MAX], vkey[VKEY_MAX], seed[2 * NOTE_MAX];

    int n = checkpoint_sign(note, sizeof note, &checkpoint, SAMPLE_ORIGIN, log, NULL);
    need(n > 0 && note_parts(&text, &lines, bytes_of(note, (size_t)n), &seeds->err) == 0);
    int more = note_cosign(note + n, sizeof note - (size_t)n, text, "w.example", 1718245200, witness, NULL);
    need(more > 0 && note_vkey_format(vkey, sizeof vkey, SAMPLE_ORIGIN, signing_key_public(log)) > 0);
    snprintf(seed, sizeof seed, "%s\n%.*s", vkey, n, note);
    put(seeds, "note", "signed", bytes_of_text(seed));
    need(note_witness_vkey_format(vkey, sizeof vkey, "w.example", signing_key_public(witness)) > 0);
    snprintf(seed, sizeof seed, "%s\n%s", vkey, note);
    put(seeds, "note", "cosigned", bytes_of_text(seed));
    signing_key_free(log);
    signing_key_free(witness);
}

/* The size of the authority's certificate, that one, and the certificate. */
static void put_certificate(struct seeds *seeds, const char *name, struct bytes authority, struct bytes der)
{
    uint8_t seed[2 + 2 * CERTIFICATE_MAX] = {(uint8_t)(authority.size >> 8), (uint8_t)authority.size};

    memcpy(seed + 2, authority.data, authority.size);
    memcpy(seed + 2 + authority.size, der.data, der.size);
    put(seeds, "certificate", name, bytes_of(seed, 2 + authority.size + der.size));
}

static void certificate_seeds(struct seeds *seeds)
{
    struct signing_key *key = key_new(seeds), *node = key_new(seeds);
    struct certificate_info info = {.node = "group-1",
                                    .department = "市场监督管理局",
                                    .area = "320100",
                                    .origin = SAMPLE_ORIGIN,
                                    .not_before = 1718245200,
                                    .not_after = 1749781200};
    uint8_t authority[CERTIFICATE_MAX], der[CERTIFICATE_MAX];
    size_t authority_size, size;

    need(authority_make(key, SAMPLE_ORIGIN, 3650, 1718245200, authority, &authority_size, &seeds->err) == 0);
    info.key = *signing_key_public(node);
    need(certificate_issue(key, bytes_of(authority, authority_size), &info, der, &size, &seeds->err) == 0);
    put_certificate(seeds, "node", bytes_of(authority, authority_size), bytes_of(der, size));
    put_certificate(seeds, "authority", bytes_of(authority, authority_size),
                    bytes_of(authority, authority_size));
    signing_key_free(key);
    signing_key_free(node);
}

int main(int argc, char **argv)
{
    static struct seeds seeds;

    if (argc != 2) {
        fprintf(stderr, "usage: make_seeds DIR\n");
        return 2;
    }
    seeds.dir = argv[1];
    sample_init(&seeds.sample);
    event_seeds(&seeds);
    session_seeds(&seeds);
    joining_seeds(&seeds);
    publish_seeds(&seeds);
    deliver_seeds(&seeds);
    entry_seeds(&seeds);
    act_seeds(&seeds);
    body_seed(&seeds);
    note_seeds(&seeds);
    certificate_seeds(&seeds);
    sample_deinit(&seeds.sample);
    return 0;
}
