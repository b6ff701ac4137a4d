/* Generations: a node may come with a checkpoint of an earlier one, from before this hub was restored. What
 * it holds is measured against the tree up to the entry that opened the next generation: up to there it has
 * to fit, and what lies beyond is known to be lost. The node is shown that entry, and its place in the tree.
 */
#include "hub/bus/internal.h"
#include "proto/base/texts.h"
#include "proto/crypto/certificate.h"

/* The first generation later than @origin; 0: there is none. */
static size_t generation_behind(const struct bus *bus, const char *origin)
{
    size_t n;
    const struct ledger_generation *generations = ledger_generations(bus->options.ledger, &n);
    for (size_t i = 1; i < n; i++)
        if (strcmp(generations[i].origin, origin) != 0 && origin_follows(generations[i].origin, origin))
            return i;
    return 0;
}

/* The same key signed for every generation, under the name of each. */
static bool signed_by_us(const struct bus *bus, const char *origin, struct bytes note,
                         struct checkpoint *checkpoint)
{
    char vkey[VKEY_MAX];
    struct note_verifier verifier = {.verifier = NULL};
    bool good = note_vkey_format(vkey, sizeof(vkey), origin, signing_key_public(bus->options.log_key)) > 0 &&
                note_verifier_init(&verifier, vkey, NULL) == 0 &&
                checkpoint_check(checkpoint, note, &verifier, NULL) == 0;
    note_verifier_deinit(&verifier);
    return good;
}

static int meet_earlier(struct bus *bus, struct session *session, const struct checkpoint *seen,
                        uint64_t *size, struct casebus_error *err)
{
    size_t n;
    const struct ledger_generation *generations = ledger_generations(bus->options.ledger, &n);
    *size = seen->size;
    session->generation_met = true;
    if (seen->size > generations[session->generation].position) {
        session->known_size = 0; /* no proof leads from what is lost */
        return 1;
    }
    session->known_size = seen->size;
    return receipts_root_is(bus, seen->size, seen->root, err);
}

int generation_meet(struct bus *bus, struct session *session, const Casebus__V1__Hello *hello, uint64_t *size,
                    struct casebus_error *err)
{
    size_t n;
    struct bytes note = bytes_of(hello->checkpoint_note.data, hello->checkpoint_note.len);
    struct checkpoint seen;
    ledger_generations(bus->options.ledger, &n);
    session->generation = 0;
    session->known_size = hello->checkpoint_size <= bus->size ? hello->checkpoint_size : 0;
    if (!note.size) { /* it was never shown anything, so it has nothing to lose */
        session->generation = n - 1;
        return 1;
    }
    if (checkpoint_parse(&seen, note, NULL) || !origin_valid(seen.origin))
        return 1;
    if (strcmp(seen.origin, bus->origin) == 0)
        return receipts_fits(bus, note, size, err);
    session->generation = generation_behind(bus, seen.origin);
    if (!session->generation || !signed_by_us(bus, seen.origin, note, &seen)) {
        session->generation = 0; /* not ours: says nothing about this hub */
        return 1;
    }
    return meet_earlier(bus, session, &seen, size, err);
}

Casebus__V1__Generation *generation_show(struct bus *bus, const struct session *session,
                                         struct casebus_error *err)
{
    size_t n;
    const struct ledger_generation *generations = ledger_generations(bus->options.ledger, &n);
    Casebus__V1__Generation *generation = arena_alloc(&bus->arena, sizeof(*generation));
    struct bytes leaf;
    if (!generation) {
        error_set(err, CASEBUS_NO_MEMORY, _("no memory for a proof"));
        return NULL;
    }
    casebus__v1__generation__init(generation);
    generation->position = generations[session->generation].position;
    if (receipts_leaf(bus, generation->position, &leaf, err) ||
        receipts_inclusion(bus, generation->position, &generation->inclusion, &generation->n_inclusion, err))
        return NULL;
    generation->opened_entry =
        (ProtobufCBinaryData){leaf.size, arena_copy(&bus->arena, leaf.data, leaf.size)};
    return generation->opened_entry.data ? generation : NULL;
}
