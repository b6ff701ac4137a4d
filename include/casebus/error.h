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

/* Who has to act on a code: enumerator, stable text, words. */
#define CASEBUS_ACTORS(WORDS)                                                                                \
    WORDS(NOBODY, "nobody", "nobody has to")                                                                 \
    WORDS(DEPARTMENT, "department", "the department: its data or its configuration")                         \
    WORDS(DEVELOPER, "developer", "whoever wrote the node's program")                                        \
    WORDS(MACHINE, "machine", "whoever runs the machine that says it")                                       \
    WORDS(OPERATOR, "operator", "the hub's operator")                                                        \
    WORDS(AUDITOR, "auditor", "the department and whoever oversees the hub")

/* Whether it helps to send again what got a code: enumerator, stable text, words. */
#define CASEBUS_RESENDS(WORDS)                                                                               \
    WORDS(NONE, "none", "this is not about something sent")                                                  \
    WORDS(LATER, "later", "yes, the same bytes, later")                                                      \
    WORDS(MENDED, "mended", "yes, the same bytes, once it is mended")                                        \
    WORDS(CORRECTED, "corrected", "not the same bytes: correct it and send a new event")                     \
    WORDS(NEVER, "never", "no")

/* One list: C name, wire value, stable text, what it means in general, who has to act, whether it helps to
 * send again, the general way out (English; translated with gettext). A value is never reused. The wire
 * carries the text ("CB-SEQ-CONFLICT"). */
#define CASEBUS_CODES(X)                                                                                     \
    X(OK, 0, "CB-OK", "no error", NOBODY, NONE, "nothing is to be done")                                     \
    X(INTERNAL, 1, "CB-INTERNAL", "an internal fault of casebus", OPERATOR, LATER,                           \
      "look at the log of whoever said it, and report the fault with the sentence")                          \
    X(NO_MEMORY, 2, "CB-NO-MEMORY", "out of memory", MACHINE, LATER,                                         \
      "give the machine more memory, or end what else runs there")                                           \
    X(ARGUMENT, 3, "CB-ARGUMENT", "an argument is not usable", DEVELOPER, NONE,                              \
      "correct the command line or the call; the sentence names what is wrong")                              \
    X(CONFIG, 4, "CB-CONFIG", "the configuration has faults", MACHINE, NONE,                                 \
      "correct the file; the sentence names the line")                                                       \
    X(FILE, 5, "CB-FILE", "a file cannot be read or written", MACHINE, NONE,                                 \
      "look at the path, who owns it and what its rights are")                                               \
    X(DISK_FULL, 6, "CB-DISK-FULL", "the disk is full", MACHINE, LATER,                                      \
      "make room on this disk or raise its quota")                                                           \
    X(DAMAGED, 7, "CB-DAMAGED", "stored data is damaged", MACHINE, NONE,                                     \
      "change nothing; run casebus-hub doctor or casebus-adapter check, and restore from a backup")          \
    X(LOCKED, 8, "CB-LOCKED", "another process is using this directory", MACHINE, NONE,                      \
      "end the other process first; the sentence names it")                                                  \
    X(NOT_FOUND, 9, "CB-NOT-FOUND", "no such thing", DEPARTMENT, NONE,                                       \
      "look at how it is written; the list commands tell what there is")                                     \
    X(EXISTS, 10, "CB-EXISTS", "it exists already", DEPARTMENT, NEVER,                                       \
      "nothing is to be done, or take another name")                                                         \
    X(NETWORK, 11, "CB-NETWORK", "the network connection failed", MACHINE, LATER,                            \
      "look at the address, the cable and the firewall; whoever connects tries again by itself")             \
    X(TIMEOUT, 12, "CB-TIMEOUT", "no answer in time", MACHINE, LATER,                                        \
      "look whether the other side runs and has too much to do; ask again")                                  \
    X(CLOSED, 13, "CB-CLOSED", "it has been closed", NOBODY, LATER, "come back when it is open again")       \
    X(BUSY, 14, "CB-BUSY", "too much is under way; try again later", NOBODY, LATER,                          \
      "wait; what was not taken is sent again")                                                              \
    X(TOKEN, 15, "CB-TOKEN", "a token that holds a key does not sign", MACHINE, LATER,                       \
      "put the token back or start its service; nothing is lost meanwhile")                                  \
    X(KEY, 20, "CB-KEY", "a key is missing or unusable", MACHINE, MENDED,                                    \
      "put the right key file there, or enrol the node again")                                               \
    X(CERTIFICATE, 21, "CB-CERTIFICATE", "a certificate is not acceptable", OPERATOR, MENDED,                \
      "look at the clocks of both sides and at the certificate's dates; renew it, then send again or "       \
      "release it")                                                                                          \
    X(SIGNATURE, 22, "CB-SIGNATURE", "a signature does not verify", DEVELOPER, NEVER,                        \
      "find out who changed the bytes or signed with another key; if it was not you, suspend the node")      \
    X(HUB_IDENTITY, 23, "CB-HUB-IDENTITY", "the hub is not the one it should be", DEPARTMENT, MENDED,        \
      "send nothing; compare address and fingerprint with the hub's operator by another way")                \
    X(UNKNOWN_NODE, 24, "CB-UNKNOWN-NODE", "no such node is enrolled at this hub", OPERATOR, MENDED,         \
      "enrol the node: casebus node invite or casebus node add")                                             \
    X(NOT_ALLOWED, 25, "CB-NOT-ALLOWED", "not granted", OPERATOR, MENDED,                                    \
      "ask casebus policy why; when the law allows it, grant it with casebus policy apply, then release it") \
    X(CLOCK, 26, "CB-CLOCK", "a clock is wrong", MACHINE, LATER, "set the clock of that machine (NTP)")      \
    X(SUSPENDED, 27, "CB-SUSPENDED", "the node is suspended until further notice", OPERATOR, MENDED,         \
      "ask the hub's operator why; casebus node resume lets it in again")                                    \
    X(REVOKED, 28, "CB-REVOKED", "the node's keys were revoked", OPERATOR, NEVER,                            \
      "the node has to be enrolled again with new keys; see casebus incident report")                        \
    X(PASSPHRASE, 29, "CB-PASSPHRASE", "the passphrase of a key is missing or wrong", MACHINE, NONE,         \
      "give the right one: --passphrase-file, a credential of systemd, or at the terminal")                  \
    X(MALFORMED, 30, "CB-MALFORMED", "the bytes are not what the schema says", DEVELOPER, CORRECTED,         \
      "build the message from the schema; `casebus quarantine show` tells what could be read of it")         \
    X(TOO_LARGE, 31, "CB-TOO-LARGE", "larger than the schema allows", DEVELOPER, CORRECTED,                  \
      "send less in one event; a large document is referred to by its hash")                                 \
    X(TEXT, 32, "CB-TEXT", "a text is not valid UTF-8 or holds a NUL", DEPARTMENT, CORRECTED,                \
      "convert the text to UTF-8; look at the encoding that the source's configuration names")               \
    X(MISSING_FIELD, 33, "CB-MISSING-FIELD", "a required field is missing", DEPARTMENT, CORRECTED,           \
      "fill the field in at the source or in the mapping")                                                   \
    X(BAD_FIELD, 34, "CB-BAD-FIELD", "a field has a value that is not allowed", DEPARTMENT, CORRECTED,       \
      "correct the value at the source or in the mapping; the sentence names the field")                     \
    X(COMMITMENT, 35, "CB-COMMITMENT", "a part does not match its commitment", DEVELOPER, CORRECTED,         \
      "compute the commitment from the part's own salt and bytes")                                           \
    X(BAD_VERSION, 36, "CB-VERSION", "the protocol or format version is not supported", DEPARTMENT, MENDED,  \
      "bring both sides to versions that fit each other")                                                    \
    X(SEQ_CONFLICT, 40, "CB-SEQ-CONFLICT", "this number was used before for other content", NOBODY, NEVER,   \
      "a libcasebus node opens a new stream by itself; with another program, do not run a copied or "        \
      "restored outbox")                                                                                     \
    X(SEQ_GAP, 41, "CB-SEQ-GAP", "numbers before this one are missing", NOBODY, LATER,                       \
      "send from the number that the hub expects; a libcasebus node does so by itself")                      \
    X(RECORD_OWNER, 42, "CB-RECORD-OWNER", "the record belongs to another node", DEPARTMENT, CORRECTED,      \
      "give the record an id of your own; only its owner may change it")                                     \
    X(CASE_FULL, 43, "CB-CASE-FULL", "the case holds as many records as a case may hold", DEPARTMENT,        \
      CORRECTED, "find out why the case has so many records; begin another case")                            \
    X(FUTURE, 44, "CB-FUTURE", "the event lies too far in the future", DEPARTMENT, CORRECTED,                \
      "correct the time or the time zone at the source; look at that machine's clock")                       \
    X(ERASED, 45, "CB-ERASED", "the content was destroyed by order", NOBODY, NEVER,                          \
      "it was destroyed by order and stays so; casebus erasure show names the order")                        \
    X(CLASSIFIED, 46, "CB-CLASSIFIED", "the content is marked as a state secret", DEPARTMENT, NEVER,         \
      "take it off this bus and tell whoever keeps your department's secrets")                               \
    X(NOT_COMPETENT, 47, "CB-NOT-COMPETENT", "the department may not publish about this item", OPERATOR,     \
      MENDED, "check the item in the mapping; the hub's operator adds a row to 'publish' and releases it")   \
    X(INCLUSION, 50, "CB-INCLUSION", "an entry is not in the tree that the hub signed", AUDITOR, NEVER,      \
      "stop, keep the node's directory as it is, and tell whoever oversees the hub")                         \
    X(CONSISTENCY, 51, "CB-CONSISTENCY", "the hub's tree is not an extension of the one it signed before",   \
      AUDITOR, NEVER, "stop, keep the node's directory as it is, and tell whoever oversees the hub")         \
    X(BEHIND, 52, "CB-BEHIND", "the hub has less than it acknowledged before", OPERATOR, MENDED,             \
      "keep outbox and checkpoint; the hub's operator opens a new generation: casebus-hub restore")          \
    X(STREAM_COPY, 53, "CB-STREAM-COPY", "the outbox is a copy or was restored", NOBODY, LATER,              \
      "nothing: the node numbers its unanswered events anew in a new stream")                                \
    X(SOURCE, 60, "CB-SOURCE", "a source cannot be read", DEPARTMENT, NONE,                                  \
      "look at the file or service that the configuration names, and at its rights")                         \
    X(ROW, 61, "CB-ROW", "a row cannot be turned into an event", DEPARTMENT, CORRECTED,                      \
      "correct the row at the source, or the mapping; the rejects file names row and column")

enum casebus_code {
#define CASEBUS_CODE_ENUM(name, value, text, meaning, actor, resend, hint) CASEBUS_##name = (value),
    CASEBUS_CODES(CASEBUS_CODE_ENUM)
#undef CASEBUS_CODE_ENUM
};

enum casebus_actor {
#define CASEBUS_ACTOR_ENUM(name, text, words) CASEBUS_ACTOR_##name,
    CASEBUS_ACTORS(CASEBUS_ACTOR_ENUM)
#undef CASEBUS_ACTOR_ENUM
};

enum casebus_resend {
#define CASEBUS_RESEND_ENUM(name, text, words) CASEBUS_RESEND_##name,
    CASEBUS_RESENDS(CASEBUS_RESEND_ENUM)
#undef CASEBUS_RESEND_ENUM
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
/* The way out in general, in the language of the process; "" for a value outside the list. Never NULL. */
CASEBUS_API const char *casebus_code_hint(enum casebus_code code);
/* Who has to act; CASEBUS_ACTOR_OPERATOR for a value outside the list. */
CASEBUS_API enum casebus_actor casebus_code_actor(enum casebus_code code);
/* Whether it helps to send again; CASEBUS_RESEND_NONE for a value outside the list. */
CASEBUS_API enum casebus_resend casebus_code_resend(enum casebus_code code);
/* Stable texts ("operator", "later") and words in the language of the process. Never NULL. */
CASEBUS_API const char *casebus_actor_text(enum casebus_actor actor);
CASEBUS_API const char *casebus_actor_words(enum casebus_actor actor);
CASEBUS_API const char *casebus_resend_text(enum casebus_resend resend);
CASEBUS_API const char *casebus_resend_words(enum casebus_resend resend);
/* The code whose stable text is @text, or CASEBUS_INTERNAL. */
CASEBUS_API enum casebus_code casebus_code_parse(const char *text);

#ifdef __cplusplus
}
#endif
#endif
