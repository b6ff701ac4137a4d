/* Inside of the segment log: what its files share, and the seam through which its test makes the disk fail.
 *
 * A segment is a page of its own with the segment's header, written once and for ever, then records, each on
 * an 8-byte boundary. All integers are little-endian.
 *
 *   segment header   0 magic of the owner 8 | 8 format 4 | 12 zero 4 | 16 log id 16 | 32 segment size 8
 *                   40 CRC-32C of the 40 bytes before
 *   record header    0 "CBSR" | 4 kind 4 | 8 number 8 | 16 incarnation 8 | 24 synced 8 | 32 kept 8
 *                   40 payload size 4 | 44 CRC-32C of the payload | 48 log id 16
 *                   64 first 20 bytes of SHA-256 over the header of the record before | 84 CRC-32C of 0..84
 *
 * What the less obvious fields are for:
 *   synced       the highest number known to be on disk when this record was appended. A record that cannot
 *                be read although a later one calls it synced is damaged; otherwise it was torn.
 *   kept         the lowest number still needed. A gap below it is a trimmed segment, above it a lost one.
 *   incarnation  random for each opening, so that what an earlier process left behind a torn record can never
 *                fit behind a new one.
 * A closing record bears the number of the record that it closes, so that the owner's numbers have no gaps.
 *
 * A segment's place in the log is told by its first record, not by its name: reuse needs no renaming. */
#ifndef BASE_SEGLOG_PRIVATE_H
#define BASE_SEGLOG_PRIVATE_H

#include "proto/base/seglog.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <sys/types.h>

#define SEGLOG_PAGE        4096u
#define SEGLOG_FORMAT      1u
#define SEGMENT_SIZE_MAX   (1ull << 31)
#define SEGLOG_ID_SIZE     16
#define RECORD_HEADER_SIZE 88u
#define RECORD_HASH_SIZE   20

/* What the log asks of the disk. Both answer as pwrite and fsync do, with errno. */
struct seglog_io {
    void *self;
    ssize_t (*write)(void *self, int fd, const void *data, size_t size, off_t at);
    int (*sync)(void *self, int fd, bool with_metadata);
};

int seglog_open_io(struct seglog **logp, const char *dir, const struct seglog_options *options,
                   const struct seglog_io *io, struct casebus_error *err);

struct hasher {
    EVP_MD *sha256;
    EVP_MD_CTX *context;
};

struct record {
    uint32_t kind;
    uint64_t number;
    uint64_t incarnation;
    uint64_t synced;
    uint64_t kept;
    uint32_t size; /* of the payload */
    uint32_t payload_crc;
    uint8_t before[RECORD_HASH_SIZE]; /* hash of the record before */
    uint8_t hash[RECORD_HASH_SIZE];   /* its own; not in the file */
};

struct segment {
    struct segment *next; /* the next younger one, or the next spare one */
    uint64_t name;
    uint64_t size;
    uint64_t first; /* lowest number in it; last + 1 when it holds none */
    uint64_t last;
    uint64_t end; /* offset behind its last record */
    bool retired; /* its disk failed once: never written again */
};

struct seglog {
    char *dir;
    struct seglog_options options;
    struct seglog_io io;
    int lock_fd;
    uint8_t id[SEGLOG_ID_SIZE];
    uint64_t incarnation;
    struct hasher hasher;

    struct segment *oldest; /* the log: from the oldest segment to the active one */
    struct segment *active;
    int fd; /* of the active segment */
    uint64_t last;
    uint64_t synced;
    uint64_t kept;
    uint32_t last_kind;
    uint8_t last_hash[RECORD_HASH_SIZE];
    struct buffer pending; /* records appended and not yet synced, exactly as they go to the file */
    bool broken;           /* a failure could not be made good */
    unsigned faults;

    pthread_mutex_t mutex; /* guards the rest, which the preparing thread changes too */
    struct segment *spares;
    unsigned n_spares;
    uint64_t total_size; /* of all segment files, those being made included */
    uint64_t next_name;
};

/* seglog_record.c: records to bytes and back */
int hasher_init(struct hasher *hasher, struct casebus_error *err);
void hasher_deinit(struct hasher *hasher); /* fine on a zeroed one */
uint64_t record_size(uint64_t payload_size);
/* Writes the header to @out and sets the record's hash; false when there is no memory for it. */
bool record_encode(uint8_t out[RECORD_HEADER_SIZE], struct record *record, const uint8_t *log_id,
                   struct hasher *hasher);
bool record_follows(const struct record *record, const struct record *before);
/* The number of the record that stands before @record. */
uint64_t record_number_before(const struct record *record);

/* Walk: goes through a segment record by record, through a window of the file. */
struct walk {
    int fd;
    uint64_t end; /* the walk goes no farther */
    const uint8_t *log_id;
    struct hasher *hasher;
    struct buffer window;
    uint64_t window_at;
    uint64_t at;          /* where the next record is looked for */
    bool begun;           /* @record is set: the next one has to follow it */
    struct record record; /* the last whole one */
    struct bytes payload; /* of it, until the next step */
};

void walk_init(struct walk *walk, const uint8_t *log_id, struct hasher *hasher);
void walk_deinit(struct walk *walk);
/* Goes to the first record of another segment; what was seen before stays what must be followed. */
void walk_enter(struct walk *walk, int fd, uint64_t end);
/* Forgets what was seen: the next record may be any. */
void walk_forget(struct walk *walk);
/* 1: a whole record that follows the one before; 0: none here; -1: the file cannot be read (errno). */
int walk_next(struct walk *walk);
/* As walk_next for any whole record of this log that begins at or behind @at, ignoring order. Moves @at past
 * its first bytes only, since nobody knows whether its length is to be believed. */
int walk_search(struct walk *walk);

/* seglog_segment.c: segment files */
void segment_path(char *out, size_t size, const char *dir, const struct segment *segment);
/* Makes a zero-filled file of the option's size, durably. Refuses to pass the bound. */
int segment_make(struct seglog *log, struct segment **segmentp, struct casebus_error *err);
/* Opens one that is there; reads and checks its header, mends a length that was cut. */
int segment_load(struct seglog *log, uint64_t name, bool id_known, struct segment **segmentp,
                 struct casebus_error *err);
int segment_open_file(const struct seglog *log, const struct segment *segment, struct casebus_error *err);
void segment_remove(struct seglog *log, struct segment *segment);
void spare_put(struct seglog *log, struct segment *segment);
struct segment *spare_take(struct seglog *log); /* NULL when there is none */
/* Writes all of it; -1 with errno. */
int io_write_all(const struct seglog_io *io, int fd, const void *data, size_t size, uint64_t at);

/* seglog_recover.c: finds the log in the files of its directory and leaves it ready to append */
int seglog_recover(struct seglog *log, struct casebus_error *err);
/* Makes what is pending durable (seglog.c). */
int seglog_flush(struct seglog *log, struct casebus_error *err);
/* Puts a fresh segment in place of the active one (seglog.c). */
int seglog_switch(struct seglog *log, struct casebus_error *err);

#endif
