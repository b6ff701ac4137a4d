/* Errors: a stable code, a sentence that names the thing, and a hint that names the way out.
 *
 * A function of the SDK returns 0 (or a documented positive answer), or -1 and fills in the error that the
 * caller passed. Codes are stable for ever: programs match on them, people read the text.
 */
#ifndef CASEBUS_ERROR_H
#define CASEBUS_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CASEBUS_API               __attribute__((visibility("default")))
#define CASEBUS_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define CASEBUS_API
#define CASEBUS_PRINTF(fmt, args)
#endif

/* One list: C name, wire value, stable text, what it means in general (English; translated with gettext).
 * A value is never reused. The wire carries the text ("CB-SEQ-CONFLICT"). */
#define CASEBUS_CODES(X)                                                                                     \
    X(OK, 0, "CB-OK", "no error")                                                                            \
    X(INTERNAL, 1, "CB-INTERNAL", "an internal fault of casebus")                                            \
    X(NO_MEMORY, 2, "CB-NO-MEMORY", "out of memory")                                                         \
    X(ARGUMENT, 3, "CB-ARGUMENT", "an argument is not usable")                                               \
    X(CONFIG, 4, "CB-CONFIG", "the configuration has faults")                                                \
    X(FILE, 5, "CB-FILE", "a file cannot be read or written")                                                \
    X(DISK_FULL, 6, "CB-DISK-FULL", "the disk is full")                                                      \
    X(DAMAGED, 7, "CB-DAMAGED", "stored data is damaged")                                                    \
    X(LOCKED, 8, "CB-LOCKED", "another process is using this directory")                                     \
    X(NOT_FOUND, 9, "CB-NOT-FOUND", "no such thing")                                                         \
    X(EXISTS, 10, "CB-EXISTS", "it exists already")                                                          \
    X(NETWORK, 11, "CB-NETWORK", "the network connection failed")                                            \
    X(TIMEOUT, 12, "CB-TIMEOUT", "no answer in time")                                                        \
    X(CLOSED, 13, "CB-CLOSED", "it has been closed")                                                         \
    X(BUSY, 14, "CB-BUSY", "too much is under way; try again later")                                         \
    X(KEY, 20, "CB-KEY", "a key is missing or unusable")                                                     \
    X(CERTIFICATE, 21, "CB-CERTIFICATE", "a certificate is not acceptable")                                  \
    X(SIGNATURE, 22, "CB-SIGNATURE", "a signature does not verify")                                          \
    X(HUB_IDENTITY, 23, "CB-HUB-IDENTITY", "the hub is not the one it should be")                            \
    X(UNKNOWN_NODE, 24, "CB-UNKNOWN-NODE", "no such node is enrolled at this hub")                           \
    X(NOT_ALLOWED, 25, "CB-NOT-ALLOWED", "not granted")                                                      \
    X(CLOCK, 26, "CB-CLOCK", "a clock is wrong")                                                             \
    X(SUSPENDED, 27, "CB-SUSPENDED", "the node is suspended until further notice")                           \
    X(REVOKED, 28, "CB-REVOKED", "the node's keys were revoked")                                             \
    X(MALFORMED, 30, "CB-MALFORMED", "the bytes are not what the schema says")                               \
    X(TOO_LARGE, 31, "CB-TOO-LARGE", "larger than the schema allows")                                        \
    X(TEXT, 32, "CB-TEXT", "a text is not valid UTF-8 or holds a NUL")                                       \
    X(MISSING_FIELD, 33, "CB-MISSING-FIELD", "a required field is missing")                                  \
    X(BAD_FIELD, 34, "CB-BAD-FIELD", "a field has a value that is not allowed")                              \
    X(COMMITMENT, 35, "CB-COMMITMENT", "a part does not match its commitment")                               \
    X(BAD_VERSION, 36, "CB-VERSION", "the protocol or format version is not supported")                      \
    X(SEQ_CONFLICT, 40, "CB-SEQ-CONFLICT", "this number was used before for other content")                  \
    X(SEQ_GAP, 41, "CB-SEQ-GAP", "numbers before this one are missing")                                      \
    X(RECORD_OWNER, 42, "CB-RECORD-OWNER", "the record belongs to another node")                             \
    X(CASE_FULL, 43, "CB-CASE-FULL", "the case holds as many records as a case may hold")                    \
    X(FUTURE, 44, "CB-FUTURE", "the event lies too far in the future")                                       \
    X(ERASED, 45, "CB-ERASED", "the content was destroyed by order")                                         \
    X(CLASSIFIED, 46, "CB-CLASSIFIED", "the content is marked as a state secret")                            \
    X(INCLUSION, 50, "CB-INCLUSION", "an entry is not in the tree that the hub signed")                      \
    X(CONSISTENCY, 51, "CB-CONSISTENCY", "the hub's tree is not an extension of the one it signed before")   \
    X(BEHIND, 52, "CB-BEHIND", "the hub has less than it acknowledged before")                               \
    X(STREAM_COPY, 53, "CB-STREAM-COPY", "the outbox is a copy or was restored")                             \
    X(SOURCE, 60, "CB-SOURCE", "a source cannot be read")                                                    \
    X(ROW, 61, "CB-ROW", "a row cannot be turned into an event")

enum casebus_code {
#define CASEBUS_CODE_ENUM(name, value, text, meaning) CASEBUS_##name = (value),
    CASEBUS_CODES(CASEBUS_CODE_ENUM)
#undef CASEBUS_CODE_ENUM
};

/* What went wrong. @text names the thing and the reason, @hint the way out (may be empty). Both are UTF-8 in
 * the language of the process, always NUL-terminated and cut at a character boundary. */
struct casebus_error {
    enum casebus_code code;
    char text[480];
    char hint[240];
};

/* The stable text of @code ("CB-SEQ-CONFLICT"); "CB-UNKNOWN" for a value outside the list. Never NULL. */
CASEBUS_API const char *casebus_code_text(enum casebus_code code);
/* What @code means in general, in the language of the process. Never NULL. */
CASEBUS_API const char *casebus_code_meaning(enum casebus_code code);
/* The code whose stable text is @text, or CASEBUS_INTERNAL. */
CASEBUS_API enum casebus_code casebus_code_parse(const char *text);

#ifdef __cplusplus
}
#endif
#endif
