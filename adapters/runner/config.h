/* Config: one configuration file, read, checked and ready to be used. */
#ifndef RUNNER_CONFIG_H
#define RUNNER_CONFIG_H

#include "adapters/runner/kinds.h"
#include "adapters/runner/mapping.h"
#include "adapters/runner/tree.h"

struct filter {
    const char *column;
    struct text_list values; /* a row passes when the column has one of them */
    struct place place;
    size_t found_at;
};

struct general {
    const char *node;
    const char *endpoint;
    const char *rejects;
    const char *witnesses; /* "": none */
    const char *witness_patience;
    unsigned witness_patience_s;
    const char *outbox_keep_mb;
    unsigned outbox_keep; /* MiB */
    const char *renew_days_text;
    unsigned renew_days;
    bool backfill;
};

union kind_config {
    max_align_t align;
    char bytes[KIND_CONFIG_MAX];
};

struct config {
    struct arena arena;
    struct tree_node *root;
    struct general general;

    const struct source_kind *source_kind; /* NULL: nothing is published */
    union kind_config source_config;
    struct text_list empty_values;
    struct filter *filters;
    size_t n_filters;
    struct mapping *mapping;
    void *source; /* open */

    const struct sink_kind *sink_kind; /* NULL: nothing is received */
    union kind_config sink_config;
};

enum config_purpose { CONFIG_TO_CHECK, CONFIG_TO_RUN };

/* Reads @path with the --set @sets (ends with NULL) and opens its source. Whatever is wrong is in @faults,
 * all of it. The caller deinits, whatever came of it. */
void config_init(struct config *config, const char *path, const char *const *sets, bool backfill,
                 enum config_purpose purpose, struct faults *faults);
void config_deinit(struct config *config); /* fine on a zeroed config */
/* Whether @row is one of those that this adapter publishes. */
bool config_row_passes(struct config *config, const struct row *row);

extern const struct setting general_settings[];
extern const size_t n_general_settings;
extern const struct setting source_settings[];
extern const size_t n_source_settings;
extern const struct setting sink_settings[];
extern const size_t n_sink_settings;

#endif
