/* Copy: one of the two files of a vault, as bytes on disk. Private to this folder.
 *
 *   header (64)  magic "CBVAULT1", format u32, slot size u32, vault id 16, key check 16, count u64, zeros,
 *                CRC-32C
 *   slot (64)    sealed key 60, CRC-32C over slot number and sealed key
 *
 * Integers are little-endian. `count` slots were synced in both copies before the header said so. */
#ifndef VAULT_COPY_H
#define VAULT_COPY_H

#include "proto/crypto/suite.h"

#include <limits.h>

#define SLOT_SIZE     64
#define SEALED_SIZE   (KEY_SIZE + SEAL_EXTRA)
#define VAULT_ID_SIZE 16
#define CHECK_SIZE    16

struct copy {
    char path[PATH_MAX];
    int fd; /* -1: not open */
};

struct vault_header {
    uint8_t id[VAULT_ID_SIZE];
    uint8_t check[CHECK_SIZE]; /* tells the key-encryption key */
    uint64_t count;
};

enum slot_kind { SLOT_DAMAGED, SLOT_KEY, SLOT_ERASED };

/* 1: open; 0: it is not there; -1: failure. */
int copy_open(struct copy *copy, const char *dir, const char *name, bool readonly, struct casebus_error *err);
/* Makes it with nothing but a header, whole or not at all, and opens it. */
int copy_make(struct copy *copy, const struct vault_header *header, struct casebus_error *err);
void copy_close(struct copy *copy);
/* Puts the file NAME.new in the place of NAME; on disk when it returns, and @copy open on it. */
int copy_replace(struct copy *copy, struct copy *by, struct casebus_error *err);
int copy_remove(struct copy *copy, struct casebus_error *err);

/* 1: read; 0: damaged; -1: failure, or a format that is not known. */
int copy_read_header(const struct copy *copy, struct vault_header *header, struct casebus_error *err);
int copy_write_header(const struct copy *copy, const struct vault_header *header, struct casebus_error *err);
/* Slots [first, first + n); what lies behind the end of the file is read as zeros. */
int copy_read_slots(const struct copy *copy, uint64_t first, uint8_t *records, size_t n,
                    struct casebus_error *err);
int copy_write_slots(const struct copy *copy, uint64_t first, const uint8_t *records, size_t n,
                     struct casebus_error *err);
int copy_sync(const struct copy *copy, struct casebus_error *err);

enum slot_kind slot_kind(const uint8_t record[SLOT_SIZE], uint64_t slot);
/* Completes a record whose sealed key stands in it. */
void slot_finish(uint8_t record[SLOT_SIZE], uint64_t slot);
/* Random bytes, marked as erased. */
void slot_make_erased(uint8_t record[SLOT_SIZE], uint64_t slot);

#endif
