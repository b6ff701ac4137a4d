#include "adapters/sdk/kept.h"

#include <stdlib.h>
#include <string.h>

#define MERGED_BYTES (64 * 1024)

void kept_deinit(struct kept *kept)
{
    free(kept->batches);
    *kept = (struct kept){0};
}

static struct kept_batch *kept_at(const struct kept *kept, size_t i)
{
    return &kept->batches[kept->first + i];
}

static void drop_last(struct kept *kept)
{
    kept->bytes -= kept_at(kept, --kept->n)->bytes;
}

static void drop_first(struct kept *kept)
{
    kept->bytes -= kept_at(kept, 0)->bytes;
    kept->first++;
    if (--kept->n == 0)
        kept->first = 0;
}

static bool kept_reserve(struct kept *kept)
{
    if (kept->first + kept->n < kept->capacity)
        return true;
    if (kept->first > kept->n) {
        memcpy(kept->batches, kept->batches + kept->first, kept->n * sizeof *kept->batches);
        kept->first = 0;
        return true;
    }
    size_t capacity = kept->capacity ? 2 * kept->capacity : 64;
    struct kept_batch *grown = realloc(kept->batches, capacity * sizeof *grown);
    if (!grown)
        return false;
    kept->batches = grown;
    kept->capacity = capacity;
    return true;
}

/* Numbers that come once more. A neighbour that holds some of them keeps the others. */
static void forget_from(struct kept *kept, uint64_t number)
{
    while (kept->n > 0 && kept_at(kept, kept->n - 1)->first_number >= number)
        drop_last(kept);
    if (kept->n > 0 && kept_at(kept, kept->n - 1)->last_number >= number)
        kept_at(kept, kept->n - 1)->last_number = number - 1;
}

bool kept_add(struct kept *kept, const struct kept_batch *batch)
{
    forget_from(kept, batch->first_number);
    struct kept_batch *last = kept->n ? kept_at(kept, kept->n - 1) : NULL;
    bool follows = last && last->last_number + 1 == batch->first_number;
    while (kept->n > 0 && !follows) /* what lay between was let go */
        drop_last(kept);
    if (follows && last->bytes + batch->bytes <= MERGED_BYTES) {
        last->last_number = batch->last_number;
        last->end = batch->end > last->end ? batch->end : last->end;
        last->bytes += batch->bytes;
    } else if (kept_reserve(kept)) {
        *kept_at(kept, kept->n++) = *batch;
    } else {
        return false;
    }
    kept->bytes += batch->bytes;
    return true;
}

bool kept_secure(struct kept *kept, uint64_t size)
{
    size_t before = kept->n;
    while (kept->n > 0 && kept_at(kept, 0)->end <= size)
        drop_first(kept);
    return kept->n < before;
}

bool kept_bound(struct kept *kept, uint64_t max_bytes, uint64_t *first, uint64_t *last)
{
    if (kept->bytes <= max_bytes || kept->n == 0)
        return false;
    *first = kept_at(kept, 0)->first_number;
    while (kept->n > 0 && kept->bytes > max_bytes) {
        *last = kept_at(kept, 0)->last_number;
        drop_first(kept);
    }
    return true;
}

bool kept_take_lost(struct kept *kept, uint64_t size, uint64_t *first_number, uint64_t *first_record)
{
    size_t i = 0;
    while (i < kept->n && kept_at(kept, i)->end <= size)
        i++;
    if (i == kept->n)
        return false;
    *first_number = kept_at(kept, i)->first_number;
    *first_record = kept_at(kept, i)->first_record;
    while (kept->n > i)
        drop_last(kept);
    return true;
}

uint64_t kept_record(const struct kept *kept)
{
    return kept->n ? kept_at(kept, 0)->first_record : UINT64_MAX;
}

uint64_t kept_events(const struct kept *kept)
{
    return kept->n ? kept_at(kept, kept->n - 1)->last_number - kept_at(kept, 0)->first_number + 1 : 0;
}
