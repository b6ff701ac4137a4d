/* Writer: decides, in one thread, what every job changes, and makes the group durable.
 *
 * A loop of five steps: gather what is checked, decide and apply it, grow the tree, append the group to the
 * journal (one sync), hand it to the bus. What it decided is in the overlay of the state before it is
 * durable; if the journal cannot take the group, nothing is answered and the writer tries until it can, or
 * the hub ends and replays. */
#include "hub/pipeline/internal.h"
#include "hub/pipeline/slots.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"
#include "proto/codec/statement.h"

#include <stdlib.h>

#define IDLE_MS 1000

/* ---- confirmations, merged ---- */

static int confirm_keep(struct writer *writer, struct job *job, struct casebus_error *err)
{
    if (!job->confirm_statement.size || job->confirm_position >= writer->tree.size)
        return 0; /* nobody received what is not in the ledger */
    struct pending_confirm *confirm = writer->confirms;
    while (confirm && strcmp(confirm->node, job->node->info.node) != 0)
        confirm = confirm->next;
    if (!confirm) {
        confirm = calloc(1, sizeof(*confirm));
        if (!confirm)
            return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a confirmation"));
        snprintf(confirm->node, sizeof(confirm->node), "%s", job->node->info.node);
        confirm->next = writer->confirms;
        writer->confirms = confirm;
    }
    uint8_t *statement = malloc(job->confirm_statement.size);
    if (!statement)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a confirmation"));
    memcpy(statement, job->confirm_statement.data, job->confirm_statement.size);
    free((void *)confirm->statement.data);
    confirm->statement = bytes_of(statement, job->confirm_statement.size);
    memcpy(confirm->signature, job->confirm_signature.data, SIGNATURE_SIZE);
    if (!writer->confirms_due_ns)
        writer->confirms_due_ns = clock_monotonic_ns() + CONFIRM_INTERVAL_NS;
    return 0;
}

static void confirms_clear(struct writer *writer)
{
    while (writer->confirms) {
        struct pending_confirm *confirm = writer->confirms;
        writer->confirms = confirm->next;
        free((void *)confirm->statement.data);
        free(confirm);
    }
    writer->confirms_due_ns = 0;
}

static int confirms_write(struct pipeline *pipeline, struct group *group, struct casebus_error *err)
{
    struct writer *writer = &pipeline->writer;
    Casebus__V1__SignedConfirm confirms[64], *list[64];
    Casebus__V1__DeliveriesConfirmed confirmed = CASEBUS__V1__DELIVERIES_CONFIRMED__INIT;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_DELIVERIES_CONFIRMED;
    act.deliveries_confirmed = &confirmed;
    confirmed.confirm = list;
    size_t bytes = 0;
    for (struct pending_confirm *pending = writer->confirms; pending; pending = pending->next) {
        Casebus__V1__SignedConfirm *confirm = &confirms[confirmed.n_confirm];
        casebus__v1__signed_confirm__init(confirm);
        confirm->statement =
            (ProtobufCBinaryData){pending->statement.size, (uint8_t *)pending->statement.data};
        confirm->signature = (ProtobufCBinaryData){SIGNATURE_SIZE, pending->signature};
        list[confirmed.n_confirm++] = confirm;
        bytes += pending->statement.size;
        if (confirmed.n_confirm == 64 || bytes > CONFIRMS_ACT_BYTES || !pending->next) {
            if (writer_add_act(pipeline, group, &act, err))
                return -1;
            bytes = confirmed.n_confirm = 0;
        }
    }
    confirms_clear(writer);
    return 0;
}

/* ---- enrolments ---- */

/* Keys that were revoked are for nobody any more. 0, or -1 with the answer to whoever asked; *fatal when the
 * state cannot be read. */
static int keys_check(struct pipeline *pipeline, const Casebus__V1__NodeEnrolled *enrolled,
                      struct arena *arena, bool *fatal, struct casebus_error *err)
{
    const Casebus__V1__EnrolmentStatement *statement =
        enrolment_decode(bytes_of(enrolled->statement.data, enrolled->statement.len), arena, err);
    if (!statement)
        return -1;
    int revoked = exchange_key_revoked(&pipeline->writer.store,
                                       bytes_of(statement->public_key.data, statement->public_key.len),
                                       bytes_of(statement->curve_key.data, statement->curve_key.len), err);
    *fatal = revoked < 0;
    if (revoked <= 0)
        return revoked;
    error_set(err, CASEBUS_REVOKED, _("these keys were revoked, for good"));
    return error_hint(err, _("make new ones in another directory: --out"));
}

/* Certified while the authority changed: from its entry on only the new one certifies. */
static int issuer_check(const struct pipeline *pipeline, const Casebus__V1__NodeEnrolled *enrolled,
                        struct casebus_error *err)
{
    struct certificate_info info;
    if (pipeline->authorities.n < 2 ||
        certificate_check(bytes_of(enrolled->certificate.data, enrolled->certificate.len),
                          authorities_newest(&pipeline->authorities), 0, &info, err) == 0)
        return 0;
    error_set(err, CASEBUS_BUSY, _("the hub's authority has just changed"));
    return error_hint(err, _("ask again"));
}

/* With who approved it beside it, if somebody did. */
static int enrolment_write(struct pipeline *pipeline, struct group *group, const struct enrolment *enrolment,
                           Casebus__V1__NodeEnrolled *enrolled, struct casebus_error *err)
{
    const struct act_note note = {enrolment->by, "", ""};
    uint8_t subject[DIGEST_SIZE];
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_NODE_ENROLLED;
    act.node_enrolled = enrolled;
    if (!*enrolment->by)
        return writer_add_act(pipeline, group, &act, err);
    crypter_random(pipeline->writer.crypter, subject, sizeof subject);
    enrolled->subject = (ProtobufCBinaryData){DIGEST_SIZE, subject};
    return act_add_noted(pipeline, group, &act, subject, &note, err);
}

static int enrol_one(struct pipeline *pipeline, struct group *group, struct enrolment *enrolment,
                     struct casebus_error *err)
{
    struct arena arena;
    struct registry *registry = NULL;
    const struct codec_limits limits = {16384, 64, 4};
    arena_init(&arena, 4096, 65536);
    Casebus__V1__NodeEnrolled *enrolled = (Casebus__V1__NodeEnrolled *)codec_unpack(
        &casebus__v1__node_enrolled__descriptor, enrolment->node_enrolled, &limits, &arena, &enrolment->err);
    bool fatal = false;
    enrolment->result = !enrolled || issuer_check(pipeline, enrolled, &enrolment->err) ||
                        keys_check(pipeline, enrolled, &arena, &fatal, &enrolment->err) ||
                        enrolled_registry(pipeline, &enrolment->node_enrolled, &registry, &enrolment->err);
    int r = fatal ? -1 : 0;
    if (fatal)
        *err = enrolment->err;
    if (!enrolment->result)
        r = enrolment_write(pipeline, group, enrolment, enrolled, err);
    arena_deinit(&arena);
    if (r || enrolment->result) {
        registry_unref(registry);
        return r;
    }
    if (enrolled_add(&pipeline->enrolled, enrolment->node_enrolled, err)) {
        registry_unref(registry);
        return -1;
    }
    registry_unref(pipeline->writer.registry);
    pipeline->writer.registry = registry;
    return 0;
}

static struct enrolment *enrolments_take(struct pipeline *pipeline)
{
    pthread_mutex_lock(&pipeline->lock);
    struct enrolment *list = pipeline->enrolments;
    pipeline->enrolments = NULL;
    pthread_mutex_unlock(&pipeline->lock);
    return list;
}

static void enrolment_answer(struct enrolment *enrolment, int r, const struct casebus_error *err)
{
    if (r && !enrolment->result) {
        enrolment->result = r;
        enrolment->err = *err;
    }
    enrolment->done = true;
    if (enrolment->abandoned)
        enrolment_free(enrolment);
}

/* @r: whether the group is durable. */
static void enrolments_answer(struct pipeline *pipeline, struct enrolment *list, int r,
                              const struct casebus_error *err)
{
    if (!list)
        return;
    pthread_mutex_lock(&pipeline->lock);
    while (list) {
        struct enrolment *enrolment = list;
        list = enrolment->next; /* once it is done, the one who asked frees it */
        enrolment_answer(enrolment, r, err);
    }
    pthread_cond_broadcast(&pipeline->changed);
    pthread_mutex_unlock(&pipeline->lock);
}

/* ---- whatever else is asked for ---- */

static struct asked *asked_take(struct pipeline *pipeline)
{
    pthread_mutex_lock(&pipeline->lock);
    struct asked *list = pipeline->asked;
    pipeline->asked = NULL;
    pthread_mutex_unlock(&pipeline->lock);
    return list;
}

/* @r: whether the group is durable. */
static void asked_answer(struct pipeline *pipeline, struct asked *list, int r,
                         const struct casebus_error *err)
{
    pthread_mutex_lock(&pipeline->lock);
    while (list) {
        struct asked *asked = list;
        list = asked->next; /* once it is done, it is gone */
        if (r && !asked->result) {
            asked->result = r;
            asked->err = *err;
        }
        asked->done = true;
    }
    pthread_cond_broadcast(&pipeline->changed);
    pthread_mutex_unlock(&pipeline->lock);
}

/* With the lock held: takes it back, unless the writer has it already and will answer. */
static bool asked_withdraw(struct pipeline *pipeline, const struct asked *asked)
{
    for (struct asked **at = &pipeline->asked; *at; at = &(*at)->next)
        if (*at == asked) {
            *at = asked->next;
            return true;
        }
    return false;
}

int writer_ask(struct pipeline *pipeline, struct asked *asked, struct casebus_error *err)
{
    asked->next = NULL;
    pthread_mutex_lock(&pipeline->lock);
    struct asked **at = &pipeline->asked;
    while (*at)
        at = &(*at)->next;
    *at = asked;
    pthread_mutex_unlock(&pipeline->lock);
    queue_nudge(&pipeline->queue);

    pthread_mutex_lock(&pipeline->lock);
    bool given_up = false;
    while (!asked->done && !given_up) {
        given_up = pipeline->failed && asked_withdraw(pipeline, asked);
        if (!given_up)
            pthread_cond_wait(&pipeline->changed, &pipeline->lock);
    }
    pthread_mutex_unlock(&pipeline->lock);
    if (given_up)
        return error_set(err, CASEBUS_CLOSED, _("the hub is stopping"));
    if (asked->result)
        *err = asked->err;
    return asked->result ? -1 : 0;
}

/* ---- a group ---- */

static int open_ledger_entry(struct pipeline *pipeline, struct group *group, struct casebus_error *err)
{
    Casebus__V1__LedgerOpened opened = CASEBUS__V1__LEDGER_OPENED__INIT;
    opened.origin = pipeline->origin;
    opened.log_key = pipeline->log_key;
    struct bytes authority = authorities_newest(&pipeline->authorities);
    opened.authority = (ProtobufCBinaryData){authority.size, (uint8_t *)(uintptr_t)authority.data};
    opened.software = (char *)"casebus-hub/" CASEBUS_RELEASE;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED;
    act.ledger_opened = &opened;
    return writer_add_act(pipeline, group, &act, err);
}

static int decide_job(struct pipeline *pipeline, struct group *group, struct job *job,
                      struct casebus_error *err)
{
    switch (job->kind) {
    case JOB_BATCH:
        return writer_decide_batch(pipeline, group, job, err);
    case JOB_CONFIRM:
        return confirm_keep(&pipeline->writer, job, err);
    case JOB_HELLO:
        for (size_t i = 0; i < job->n_streams; i++)
            if (exchange_stream_get(&pipeline->writer.store, job->node->info.node, job->stream_ids[i],
                                    &job->streams[i], err))
                return -1;
        return 0;
    }
    return error_set(err, CASEBUS_INTERNAL, "job kind %d", (int)job->kind);
}

static int grow_tree(struct pipeline *pipeline, struct group *group, struct casebus_error *err)
{
    struct writer *writer = &pipeline->writer;
    if (!group_reserve_hashes(group, group->n_entries))
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a group of entries"));
    for (size_t i = 0; i < group->n_entries; i++) {
        uint8_t leaf_hash[DIGEST_SIZE];
        size_t before = group->n_hashes;
        tree_leaf_hash(writer->crypter, group->entries[i].leaf, leaf_hash);
        tree_append(&writer->tree, writer->crypter, leaf_hash, group_store_hash, group);
        group->hash_counts[i] = (uint32_t)(group->n_hashes - before);
    }
    tree_root(&writer->tree, writer->crypter, writer->root);
    memcpy(group->root, writer->root, DIGEST_SIZE);
    group->tree_size = writer->tree.size;
    return 0;
}

/* Appends until the journal takes it: a full disk is waited out, anything else ends the hub. */
static int make_durable(struct pipeline *pipeline, struct group *group, struct casebus_error *err)
{
    struct writer *writer = &pipeline->writer;
    struct journal_group record = {
        .epoch = writer->epoch,
        .number = writer->group_number + 1,
        .hub_time_us = group->hub_time_us,
        .first_position = group->first_position,
        .tree_size = group->tree_size,
        .entries = group->entries,
        .n_entries = group->n_entries,
    };
    memcpy(record.root, group->root, DIGEST_SIZE);
    unsigned tries = 0;
    while (journal_append(pipeline->options.journal, &record, err))
        if (err->code != CASEBUS_DISK_FULL || !pipeline_wait_for_room(pipeline, &tries, "JOURNAL-FULL", err))
            return -1;
    writer->group_number++;
    writer->idle_closed = false;
    return 0;
}

static void count_group(struct pipeline *pipeline, const struct group *group)
{
    pthread_mutex_lock(&pipeline->lock);
    if (group->n_entries) {
        pipeline->counters.groups++;
        pipeline->counters.entries += group->n_entries;
    }
    pipeline->counters.committed_size = group->tree_size;
    memcpy(pipeline->counters.root, group->root, DIGEST_SIZE);
    pipeline->counters.pending_bytes = pipeline->writer.pending_bytes;
    pthread_mutex_unlock(&pipeline->lock);
}

static void keep_for_keeper(struct writer *writer, struct group *group)
{
    group_ref(group);
    if (writer->pending_last)
        writer->pending_last->next = group;
    else
        writer->pending_first = group;
    writer->pending_last = group;
    group->bytes = sizeof(*group) + arena_held(&group->arena);
    for (const struct job *job = group->jobs; job; job = job->next)
        group->bytes += sizeof(*job) + arena_held(&job->batch.arena);
    writer->pending_bytes += group->bytes;
}

static struct group *group_begin(struct pipeline *pipeline)
{
    struct writer *writer = &pipeline->writer;
    struct group *group = group_new(writer->registry);
    if (!group)
        return NULL;
    int64_t now = clock_unix_us();
    if (now > writer->hub_time_us)
        writer->hub_time_us = now;
    group->hub_time_us = writer->hub_time_us;
    group->first_position = writer->tree.size;
    return group;
}

/* Decides @job and those behind it that are checked by then, as long as the group is not large: the journal
 * takes a bounded one, and what an event adds to it is more than what was received. */
static int decide_jobs(struct pipeline *pipeline, struct group *group, struct job *job,
                       struct casebus_error *err)
{
    struct job **tail = &group->jobs;
    for (size_t n = 1; job; n++) {
        *tail = job;
        job->next = NULL;
        tail = &job->next;
        if (decide_job(pipeline, group, job, err))
            return -1;
        bool full = n == GROUP_JOBS_MAX || arena_held(&group->arena) > GROUP_BYTES;
        job = full ? NULL : queue_take_checked(&pipeline->queue, 0);
    }
    return 0;
}

/* Decides @job (NULL: none), those behind it and whatever else is due. */
static int fill_group(struct pipeline *pipeline, struct group *group, struct job *job,
                      struct enrolment *enrolments, struct asked *asked, bool confirms_due,
                      struct casebus_error *err)
{
    int r = 0;
    if (pipeline->writer.tree.size == 0)
        r = open_ledger_entry(pipeline, group, err);
    if (r)
        job_free(job);
    else
        r = decide_jobs(pipeline, group, job, err);
    for (struct enrolment *e = enrolments; e && !r; e = e->next)
        r = enrol_one(pipeline, group, e, err);
    for (; asked && !r; asked = asked->next)
        r = asked->write(pipeline, group, asked, err);
    if (!r && confirms_due)
        r = confirms_write(pipeline, group, err);
    return r;
}

/* Who is enrolled, now that the entries which say so are durable. */
static void registry_show(struct pipeline *pipeline)
{
    if (pipeline->registry == pipeline->writer.registry) /* nobody else changes it */
        return;
    pthread_mutex_lock(&pipeline->lock);
    registry_unref(pipeline->registry);
    pipeline->registry = registry_ref(pipeline->writer.registry);
    pthread_mutex_unlock(&pipeline->lock);
}

/* Makes a group durable and hands it on. */
static int write_group(struct pipeline *pipeline, struct job *job, bool confirms_due,
                       struct casebus_error *err)
{
    struct group *group = group_begin(pipeline);
    if (!group) {
        job_free(job);
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a group of entries"));
    }
    struct enrolment *enrolments = enrolments_take(pipeline);
    struct asked *asked = asked_take(pipeline);
    int r = fill_group(pipeline, group, job, enrolments, asked, confirms_due, err);
    if (!r)
        r = grow_tree(pipeline, group, err);
    if (!r && group->n_entries)
        r = make_durable(pipeline, group, err);
    if (!r) {
        if (group->n_entries)
            keep_for_keeper(&pipeline->writer, group);
        count_group(pipeline, group);
        pipeline->options.on_group(pipeline->options.self, group);
    }
    if (!r)
        registry_show(pipeline);
    enrolments_answer(pipeline, enrolments, r, err);
    asked_answer(pipeline, asked, r, err);
    group_unref(group);
    return r;
}

/* ---- handing over to the keeper ---- */

static void count_pending(struct pipeline *pipeline)
{
    pthread_mutex_lock(&pipeline->lock);
    pipeline->counters.pending_bytes = pipeline->writer.pending_bytes;
    pthread_mutex_unlock(&pipeline->lock);
}

/* The state reflects exactly the groups that go with it, so a replay knows where to begin. */
static int note_vault(struct pipeline *pipeline, struct casebus_error *err)
{
    uint8_t taken[8];
    put_u64be(taken, vault_taken(pipeline->options.vault));
    return pipeline->writer.store.put(pipeline->writer.store.self, TABLE_META, bytes_of_text("vault"),
                                      bytes_of(taken, sizeof(taken)), err);
}

static int hand_over(struct pipeline *pipeline, bool now, struct casebus_error *err)
{
    struct writer *writer = &pipeline->writer;
    pthread_mutex_lock(&pipeline->lock);
    bool flush = pipeline->flush_wanted || now;
    while (pipeline->keeper.busy && (writer->pending_bytes >= KEEP_PENDING_MAX || now) && !pipeline->failed)
        pthread_cond_wait(&pipeline->changed, &pipeline->lock);
    bool busy = pipeline->keeper.busy;
    pthread_mutex_unlock(&pipeline->lock);
    uint64_t clock = clock_monotonic_ns();
    if (busy || !writer->pending_first ||
        (!flush && writer->pending_bytes < KEEP_POST_BYTES &&
         clock - writer->last_post_ns < KEEP_INTERVAL_NS))
        return 0;
    if (note_vault(pipeline, err))
        return -1;
    if (state_freeze(pipeline->options.state, writer->pending_last->tree_size) != 1)
        return error_set(err, CASEBUS_INTERNAL, "the state's overlay could not be frozen");
    struct group *groups = writer->pending_first;
    writer->pending_first = writer->pending_last = NULL;
    writer->pending_bytes = 0;
    writer->last_post_ns = clock;
    count_pending(pipeline);
    keeper_post(pipeline, groups);
    return 0;
}

/* A closing record helps to tell damage from a torn write; a full disk can do without it for a while. */
static int close_journal(struct pipeline *pipeline, struct casebus_error *err)
{
    int r = journal_idle(pipeline->options.journal, err);
    pipeline->writer.idle_closed = r == 0;
    return r && err->code != CASEBUS_DISK_FULL ? -1 : 0;
}

/* Nothing came for a while. */
static int rest(struct pipeline *pipeline, struct casebus_error *err)
{
    state_rest(pipeline->options.state);
    return pipeline->writer.idle_closed ? 0 : close_journal(pipeline, err);
}

static bool something_due(struct pipeline *pipeline, bool ending, bool *confirms_due)
{
    struct writer *writer = &pipeline->writer;
    *confirms_due = writer->confirms && (ending || clock_monotonic_ns() >= writer->confirms_due_ns);
    pthread_mutex_lock(&pipeline->lock);
    bool enrolments = pipeline->enrolments != NULL || pipeline->asked != NULL;
    pthread_mutex_unlock(&pipeline->lock);
    return *confirms_due || enrolments || writer->tree.size == 0;
}

static int write_round(struct pipeline *pipeline, struct casebus_error *err)
{
    struct job *job = queue_take_checked(&pipeline->queue, IDLE_MS);
    bool confirms_due = false;
    bool due = something_due(pipeline, queue_drained(&pipeline->queue), &confirms_due);
    bool idle = !job && !due;
    if (!idle && write_group(pipeline, job, confirms_due, err))
        return -1;
    if (hand_over(pipeline, false, err))
        return -1;
    return idle ? rest(pipeline, err) : 0;
}

void *writer_main(void *self)
{
    struct pipeline *pipeline = self;
    pthread_setname_np(pthread_self(), "writer");
    struct casebus_error err = {.code = CASEBUS_OK};
    bool drained;
    do {
        drained = queue_drained(&pipeline->queue);
        if (write_round(pipeline, &err)) {
            pipeline_fail(pipeline, &err);
            return NULL;
        }
    } while (!drained || pipeline->writer.confirms);
    if (hand_over(pipeline, true, &err) || close_journal(pipeline, &err))
        pipeline_fail(pipeline, &err);
    return NULL;
}

/* ---- life ---- */

int writer_init(struct pipeline *pipeline, struct casebus_error *err)
{
    struct writer *writer = &pipeline->writer;
    struct ledger_view *view = NULL;
    writer->crypter = crypter_new(pipeline->options.suite);
    writer->slot_keys = calloc(SLOTS_CACHED, sizeof(*writer->slot_keys));
    writer->memo = calloc(1, sizeof(*writer->memo));
    if (!writer->crypter || !writer->slot_keys || !writer->memo)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the writer"));
    writer->pool_used = sizeof(writer->pool);
    writer->hub_time_us = pipeline->options.last_hub_time_us;
    writer->store = state_store(pipeline->options.state);
    writer->group_number = journal_last(pipeline->options.journal);
    writer->registry = registry_ref(pipeline->registry);
    writer->policy = rights_book_ref(pipeline->policy);
    if (journal_claim(pipeline->options.journal, &writer->epoch, err) ||
        ledger_view_open(&view, pipeline->options.ledger, err))
        return -1;
    int r = tree_open(&writer->tree, ledger_view_size(view), ledger_view_hash, view, err);
    if (!r)
        tree_root(&writer->tree, writer->crypter, writer->root);
    ledger_view_close(view);
    memcpy(pipeline->counters.root, writer->root, DIGEST_SIZE);
    pipeline->counters.committed_size = pipeline->counters.persisted_size = writer->tree.size;
    return r;
}

void writer_deinit(struct pipeline *pipeline)
{
    struct writer *writer = &pipeline->writer;
    confirms_clear(writer);
    while (writer->pending_first) {
        struct group *group = writer->pending_first;
        writer->pending_first = group->next;
        group_unref(group);
    }
    if (writer->slot_keys)
        secret_clear(writer->slot_keys, SLOTS_CACHED * sizeof(*writer->slot_keys));
    free(writer->slot_keys);
    free(writer->memo);
    writer->registry = registry_unref(writer->registry);
    writer->policy = rights_book_unref(writer->policy);
    crypter_free(writer->crypter);
}
