/* An erased slot is random bytes whose checksum is turned by a constant: it is told from a key and from
 * damage, and damage to it is seen as well. */
#include "hub/vault/copy.h"

#include "hub/vault/vault.h"
#include "proto/base/crc32c.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <unistd.h>

#define HEADER_SIZE 64
#define ERASED_TURN 0x45524153u /* "ERAS" */

static const uint8_t magic[8] = "CBVAULT1";

int copy_open(struct copy *copy, const char *dir, const char *name, bool readonly, struct casebus_error *err)
{
    copy->fd = -1;
    if (path_join(copy->path, sizeof copy->path, dir, name) != 0)
        return error_set_errno(err, ENAMETOOLONG, _("cannot use the path '%s'"), dir);
    copy->fd = open(copy->path, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    if (copy->fd >= 0)
        return 1;
    return errno == ENOENT ? 0 : error_set_errno(err, errno, _("cannot open '%s'"), copy->path);
}

static void header_encode(uint8_t out[HEADER_SIZE], const struct vault_header *header)
{
    memset(out, 0, HEADER_SIZE);
    memcpy(out, magic, sizeof magic);
    put_u32le(out + 8, VAULT_FORMAT);
    put_u32le(out + 12, SLOT_SIZE);
    memcpy(out + 16, header->id, VAULT_ID_SIZE);
    memcpy(out + 32, header->check, CHECK_SIZE);
    put_u64le(out + 48, header->count);
    put_u32le(out + 60, crc32c(0, out, 60));
}

int copy_make(struct copy *copy, const struct vault_header *header, struct casebus_error *err)
{
    uint8_t bytes[HEADER_SIZE];
    header_encode(bytes, header);
    if (file_write(copy->path, bytes_of(bytes, sizeof bytes), 0600, err) != 0)
        return -1;
    copy->fd = open(copy->path, O_RDWR | O_CLOEXEC);
    return copy->fd >= 0 ? 0 : error_set_errno(err, errno, _("cannot open '%s'"), copy->path);
}

void copy_close(struct copy *copy)
{
    if (copy->fd >= 0)
        close(copy->fd);
    copy->fd = -1;
}

static int folder_sync(const char *path, struct casebus_error *err)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    return dir_sync(dirname(folder), err);
}

int copy_replace(struct copy *copy, struct copy *by, struct casebus_error *err)
{
    if (rename(by->path, copy->path) != 0)
        return error_set_errno(err, errno, _("cannot rename '%s'"), by->path);
    copy_close(copy);
    copy->fd = by->fd;
    by->fd = -1;
    return folder_sync(copy->path, err);
}

int copy_remove(struct copy *copy, struct casebus_error *err)
{
    copy_close(copy);
    if (unlink(copy->path) != 0)
        return error_set_errno(err, errno, _("cannot remove '%s'"), copy->path);
    return folder_sync(copy->path, err);
}

static int read_at(const struct copy *copy, uint64_t offset, uint8_t *out, size_t size,
                   struct casebus_error *err)
{
    while (size > 0) {
        ssize_t got = pread(copy->fd, out, size, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(err, errno, _("cannot read '%s'"), copy->path);
        if (got == 0) {
            memset(out, 0, size);
            return 0;
        }
        out += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return 0;
}

static int write_at(const struct copy *copy, uint64_t offset, const uint8_t *data, size_t size,
                    struct casebus_error *err)
{
    while (size > 0) {
        ssize_t put = pwrite(copy->fd, data, size, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return error_set_errno(err, errno, _("cannot write '%s'"), copy->path);
        data += put;
        offset += (uint64_t)put;
        size -= (size_t)put;
    }
    return 0;
}

int copy_read_header(const struct copy *copy, struct vault_header *header, struct casebus_error *err)
{
    uint8_t bytes[HEADER_SIZE];
    if (read_at(copy, 0, bytes, sizeof bytes, err) != 0)
        return -1;
    if (get_u32le(bytes + 60) != crc32c(0, bytes, 60) || memcmp(bytes, magic, sizeof magic) != 0)
        return 0;
    if (get_u32le(bytes + 8) != VAULT_FORMAT || get_u32le(bytes + 12) != SLOT_SIZE) {
        error_set(err, CASEBUS_DAMAGED, _("the vault '%s' has format %u; this program knows format %u"),
                  copy->path, get_u32le(bytes + 8), VAULT_FORMAT);
        return error_hint(err, _("use the version of casebus that wrote it, or a newer one"));
    }
    memcpy(header->id, bytes + 16, VAULT_ID_SIZE);
    memcpy(header->check, bytes + 32, CHECK_SIZE);
    header->count = get_u64le(bytes + 48);
    return 1;
}

int copy_write_header(const struct copy *copy, const struct vault_header *header, struct casebus_error *err)
{
    uint8_t bytes[HEADER_SIZE];
    header_encode(bytes, header);
    if (write_at(copy, 0, bytes, sizeof bytes, err) != 0)
        return -1;
    return copy_sync(copy, err);
}

static uint64_t slot_offset(uint64_t slot)
{
    return HEADER_SIZE + (slot - 1) * SLOT_SIZE;
}

int copy_read_slots(const struct copy *copy, uint64_t first, uint8_t *records, size_t n,
                    struct casebus_error *err)
{
    return read_at(copy, slot_offset(first), records, n * SLOT_SIZE, err);
}

int copy_write_slots(const struct copy *copy, uint64_t first, const uint8_t *records, size_t n,
                     struct casebus_error *err)
{
    return write_at(copy, slot_offset(first), records, n * SLOT_SIZE, err);
}

int copy_sync(const struct copy *copy, struct casebus_error *err)
{
    if (fdatasync(copy->fd) == 0)
        return 0;
    return error_set_errno(err, errno, _("cannot sync '%s'"), copy->path);
}

static uint32_t slot_crc(const uint8_t record[SLOT_SIZE], uint64_t slot)
{
    uint8_t number[8];
    put_u64be(number, slot);
    return crc32c(crc32c(0, number, sizeof number), record, SEALED_SIZE);
}

enum slot_kind slot_kind(const uint8_t record[SLOT_SIZE], uint64_t slot)
{
    uint32_t difference = get_u32le(record + SEALED_SIZE) ^ slot_crc(record, slot);
    if (difference == 0)
        return SLOT_KEY;
    return difference == ERASED_TURN ? SLOT_ERASED : SLOT_DAMAGED;
}

void slot_finish(uint8_t record[SLOT_SIZE], uint64_t slot)
{
    put_u32le(record + SEALED_SIZE, slot_crc(record, slot));
}

void slot_make_erased(uint8_t record[SLOT_SIZE], uint64_t slot)
{
    random_bytes(record, SEALED_SIZE);
    put_u32le(record + SEALED_SIZE, slot_crc(record, slot) ^ ERASED_TURN);
}
