/* Records as bytes, and the walk over them. The bytes come from a disk: nothing of a header is used before
 * its CRC fits, no length before it is known to lie in the segment. */
#include "proto/base/crc32c.h"
#include "proto/base/seglog_private.h"
#include "proto/base/texts.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

enum { WINDOW_SIZE = 256 * 1024 };

static const uint8_t record_magic[4] = {'C', 'B', 'S', 'R'};

int hasher_init(struct hasher *hasher, struct casebus_error *err)
{
    hasher->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    hasher->context = EVP_MD_CTX_new();
    if (hasher->sha256 && hasher->context)
        return 0;
    hasher_deinit(hasher);
    return error_set(err, CASEBUS_INTERNAL, _("the cryptographic library offers no SHA-256"));
}

void hasher_deinit(struct hasher *hasher)
{
    EVP_MD_CTX_free(hasher->context);
    EVP_MD_free(hasher->sha256);
    *hasher = (struct hasher){0};
}

/* False: no memory; a hash that is not the header's would break the log in two. */
static bool header_hash(struct hasher *hasher, const uint8_t *header, uint8_t out[RECORD_HASH_SIZE])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    if (!EVP_DigestInit_ex(hasher->context, hasher->sha256, NULL) ||
        !EVP_DigestUpdate(hasher->context, header, RECORD_HEADER_SIZE) ||
        !EVP_DigestFinal_ex(hasher->context, digest, NULL))
        return false;
    memcpy(out, digest, RECORD_HASH_SIZE);
    return true;
}

uint64_t record_size(uint64_t payload_size)
{
    return (RECORD_HEADER_SIZE + payload_size + 7) / 8 * 8;
}

bool record_encode(uint8_t out[RECORD_HEADER_SIZE], struct record *record, const uint8_t *log_id,
                   struct hasher *hasher)
{
    memcpy(out, record_magic, 4);
    put_u32le(out + 4, record->kind);
    put_u64le(out + 8, record->number);
    put_u64le(out + 16, record->incarnation);
    put_u64le(out + 24, record->synced);
    put_u64le(out + 32, record->kept);
    put_u32le(out + 40, record->size);
    put_u32le(out + 44, record->payload_crc);
    memcpy(out + 48, log_id, SEGLOG_ID_SIZE);
    memcpy(out + 64, record->before, RECORD_HASH_SIZE);
    put_u32le(out + 84, crc32c(0, out, 84));
    return header_hash(hasher, out, record->hash);
}

static bool record_decode(struct record *record, const uint8_t *header, const uint8_t *log_id)
{
    if (memcmp(header, record_magic, 4) != 0 || memcmp(header + 48, log_id, SEGLOG_ID_SIZE) != 0 ||
        get_u32le(header + 84) != crc32c(0, header, 84))
        return false;
    record->kind = get_u32le(header + 4);
    record->number = get_u64le(header + 8);
    record->incarnation = get_u64le(header + 16);
    record->synced = get_u64le(header + 24);
    record->kept = get_u64le(header + 32);
    record->size = get_u32le(header + 40);
    record->payload_crc = get_u32le(header + 44);
    memcpy(record->before, header + 64, RECORD_HASH_SIZE);
    return true;
}

uint64_t record_number_before(const struct record *record)
{
    return record->kind == SEGLOG_KIND_CLOSING ? record->number : record->number - 1;
}

bool record_follows(const struct record *record, const struct record *before)
{
    return record_number_before(record) == before->number &&
           memcmp(record->before, before->hash, RECORD_HASH_SIZE) == 0;
}

void walk_init(struct walk *walk, const uint8_t *log_id, struct hasher *hasher)
{
    *walk = (struct walk){.fd = -1, .log_id = log_id, .hasher = hasher};
    buffer_init(&walk->window, SIZE_MAX);
}

void walk_deinit(struct walk *walk)
{
    buffer_deinit(&walk->window);
}

void walk_enter(struct walk *walk, int fd, uint64_t end)
{
    walk->fd = fd;
    walk->end = end;
    walk->at = SEGLOG_PAGE;
    buffer_reset(&walk->window);
}

void walk_forget(struct walk *walk)
{
    walk->begun = false;
}

/* Fills the window from @at on; what the file does not have reads as zeros. */
static int window_fill(struct walk *walk, uint64_t at, size_t size)
{
    buffer_reset(&walk->window);
    uint8_t *to = buffer_reserve(&walk->window, size);
    if (!to) {
        errno = ENOMEM;
        return -1;
    }
    size_t have = 0;
    while (have < size) {
        ssize_t got = pread(walk->fd, to + have, size - have, (off_t)(at + have));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        have += (size_t)got;
    }
    memset(to + have, 0, size - have);
    walk->window.size = size;
    walk->window_at = at;
    return 0;
}

/* @size bytes of the file, which must lie before the walk's end. */
static const uint8_t *walk_view(struct walk *walk, uint64_t at, uint64_t size)
{
    assert(at <= walk->end && size <= walk->end - at);
    bool there =
        walk->window.size > 0 && at >= walk->window_at && at - walk->window_at + size <= walk->window.size;
    uint64_t left = walk->end - at;
    uint64_t want = size > WINDOW_SIZE ? size : left < WINDOW_SIZE ? left : WINDOW_SIZE;
    if (!there && window_fill(walk, at, (size_t)want) != 0)
        return NULL;
    return walk->window.data + (at - walk->window_at);
}

/* 1: a whole record of this log begins at @at; 0: it does not; -1: reading failed. */
static int record_read(struct walk *walk, uint64_t at, struct record *record, struct bytes *payload,
                       uint8_t header[RECORD_HEADER_SIZE])
{
    if (walk->end - at < RECORD_HEADER_SIZE)
        return 0;
    const uint8_t *bytes = walk_view(walk, at, RECORD_HEADER_SIZE);
    if (!bytes)
        return -1;
    if (!record_decode(record, bytes, walk->log_id) || record_size(record->size) > walk->end - at)
        return 0;
    memcpy(header, bytes, RECORD_HEADER_SIZE);
    bytes = walk_view(walk, at, RECORD_HEADER_SIZE + record->size);
    if (!bytes)
        return -1;
    *payload = bytes_of(bytes + RECORD_HEADER_SIZE, record->size);
    return crc32c(0, payload->data, payload->size) == record->payload_crc;
}

int walk_next(struct walk *walk)
{
    struct record record = {0};
    struct bytes payload;
    uint8_t header[RECORD_HEADER_SIZE];
    int r = record_read(walk, walk->at, &record, &payload, header);
    if (r != 1)
        return r;
    if (walk->begun && !record_follows(&record, &walk->record))
        return 0;
    if (!header_hash(walk->hasher, header, record.hash)) {
        errno = ENOMEM;
        return -1;
    }
    walk->record = record;
    walk->payload = payload;
    walk->begun = true;
    walk->at += record_size(record.size);
    return 1;
}

/* Moves @at to the next place that begins like a record. 1: there is one; 0: none before the end; -1: reading
 * failed. Mostly there are only zeros: whole windows are passed at a time. */
static int walk_skip(struct walk *walk)
{
    while (walk->end - walk->at >= RECORD_HEADER_SIZE) {
        uint64_t left = walk->end - walk->at;
        size_t size = left < WINDOW_SIZE ? (size_t)left : WINDOW_SIZE;
        const uint8_t *bytes = walk_view(walk, walk->at, size);
        if (!bytes)
            return -1;
        size_t skipped = 0;
        while (skipped + RECORD_HEADER_SIZE <= size &&
               memcmp(bytes + skipped, record_magic, sizeof record_magic) != 0)
            skipped += 8;
        walk->at += skipped;
        if (skipped + RECORD_HEADER_SIZE <= size)
            return 1;
    }
    return 0;
}

int walk_search(struct walk *walk)
{
    struct record record = {0};
    uint8_t header[RECORD_HEADER_SIZE];
    int r;
    for (; (r = walk_skip(walk)) == 1; walk->at += 8) {
        r = record_read(walk, walk->at, &record, &walk->payload, header);
        if (r == 0)
            continue;
        if (r == 1) {
            walk->record = record;
            walk->at += 8;
        }
        return r;
    }
    return r;
}
