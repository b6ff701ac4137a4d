/* Mapping: how a row of a source becomes an event. */
#ifndef RUNNER_MAPPING_H
#define RUNNER_MAPPING_H

#include "adapters/runner/codes.h"
#include "adapters/runner/kinds.h"
#include "adapters/runner/tree.h"

struct mapping;

/* Reads the section `map`. @empty: values that mean "nothing"; it outlives the mapping. Everything
 * that is wrong is in @faults; a mapping with faults is good for mapping_check_columns only. May be NULL.
 * Texts live in @arena. */
struct mapping *mapping_new(const struct tree_node *section, const struct text_list *empty, bool backfill,
                            struct arena *arena, struct faults *faults);
struct mapping *mapping_free(struct mapping *mapping); /* NULL in, NULL out */
/* Checks that every column it uses is one of @names. */
void mapping_check_columns(const struct mapping *mapping, const char *const *names, size_t n_names,
                           struct faults *faults);
/* Makes @event, emptied first, out of @row. -1: the row is no event; the sentence names the column. */
int mapping_apply(struct mapping *mapping, const struct row *row, struct casebus_event *event,
                  struct casebus_error *err);
/* Codes of `kind` that no table knows, and how often they came. */
struct tally *mapping_unmapped(struct mapping *mapping);
/* Else a row with such a code is no event. */
bool mapping_kind_has_default(const struct mapping *mapping);

/* Adds a fault, with a proposal, when @column is not one of @names. */
void column_check(const char *column, const char *const *names, size_t n_names, const struct place *place,
                  struct faults *faults);
/* The settings of one field, for `explain`. */
extern const struct setting mapping_settings[];
extern const size_t n_mapping_settings;

#endif
