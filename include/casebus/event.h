/* Events of the SDK: build one, or read one that was delivered, without touching Protocol Buffers.
 *
 * Fields are named as in the schema (proto/casebus/v1/event.proto): "kind", "record_namespace", "record_id",
 * "revision", "operation", "case_number", "case_alias", "item", "area", "channel", "real_name",
 * "truth_commitment", "occurred_at", "backfill", "source_code", "handler", "department"; fields of a kind as
 * "accept.document_number", "step.action", "finish.finish_kind"; personal parts as "identity.name",
 * "contact.phone", "opinion.opinion"; and any "form.NAME". Times have no "_us" in their names
 * ("step.ended_at"). Values are texts: enums by name ("supplement_notice", "window"), booleans
 * "true"/"false", numbers in decimal, limits as "20 WD", "30 D" or "2 M", times as RFC 3339
 * ("2011-10-11T13:45:40.276+02:00") or a date ("2011-10-11", local midnight in China, precision date). Times
 * read back are in Chinese local time. */
#ifndef CASEBUS_EVENT_H
#define CASEBUS_EVENT_H

#include <casebus/error.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct casebus_event;

/* An empty event; NULL without memory. The caller frees it. */
CASEBUS_API struct casebus_event *casebus_event_new(void);
CASEBUS_API struct casebus_event *casebus_event_free(struct casebus_event *event); /* NULL in, NULL out */
/* Empties it for reuse; cheaper than a new one. */
CASEBUS_API void casebus_event_clear(struct casebus_event *event);

/* Sets @field to @value (copied); repeated fields gain a value. Returns 0, or -1: no such field, or not such
 * a value. */
CASEBUS_API int casebus_event_set(struct casebus_event *event, const char *field, const char *value,
                                  struct casebus_error *err);
/* As casebus_event_set for the time fields: microseconds since 1970 UTC, and whether it is only a date. */
CASEBUS_API int casebus_event_set_time(struct casebus_event *event, const char *field, int64_t unix_us,
                                       int is_date, struct casebus_error *err);
/* Adds an opaque part of kind "other" (bytes, at most 65,536). */
CASEBUS_API int casebus_event_add_part(struct casebus_event *event, const void *content, size_t size,
                                       struct casebus_error *err);

/* Checks everything that a hub would check from the event alone. */
CASEBUS_API int casebus_event_check(const struct casebus_event *event, struct casebus_error *err);

/* The value of @field as text into @out (cut to @size with a NUL), or NULL when it is not set. @index: which
 * value of a repeated field. Returns @out. */
CASEBUS_API const char *casebus_event_get(const struct casebus_event *event, const char *field, size_t index,
                                          char *out, size_t size);
/* Calls @visit for every field that is set, in the schema's order; stops when it returns non-zero and returns
 * that. */
CASEBUS_API int casebus_event_visit(const struct casebus_event *event,
                                    int (*visit)(void *self, const char *field, const char *value),
                                    void *self);
/* Content of the @index-th opaque part; NULL when there is none. Owned by the event. */
CASEBUS_API const void *casebus_event_part(const struct casebus_event *event, size_t index, size_t *size);
/* Every field name there is, for completion and messages; NULL past the end. */
CASEBUS_API const char *casebus_event_field_name(size_t index);

#ifdef __cplusplus
}
#endif
#endif
