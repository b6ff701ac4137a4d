/* Tree: a YAML file as plain nodes that know where they were written. */
#ifndef RUNNER_TREE_H
#define RUNNER_TREE_H

#include "adapters/runner/faults.h"
#include "proto/base/arena.h"

enum tree_type { TREE_TEXT = 1, TREE_LIST, TREE_MAP };

struct tree_node {
    enum tree_type type;
    struct place place;      /* of its key, or of itself in a list */
    const char *folder;      /* relative paths in it start here */
    const char *key;         /* NULL in a list and at the root */
    const char *text;        /* TREE_TEXT; "" for an empty value */
    struct tree_node *first; /* children, in the order of the file */
    struct tree_node *last;
    struct tree_node *next;
};

/* Reads the file @path into @arena. NULL when it cannot be read; @faults says why. */
struct tree_node *tree_read(const char *path, struct arena *arena, struct faults *faults);
/* As tree_read, from a text; @name stands in the places. */
struct tree_node *tree_parse(const char *text, const char *name, const char *folder, struct arena *arena,
                             struct faults *faults);
/* Carries out "a.b.c=value": makes or replaces a value. A value that begins with '[' or '{' is read as YAML.
 * A dot that belongs to a name is written "\.". */
void tree_set(struct tree_node *root, const char *assignment, struct arena *arena, struct faults *faults);

/* The child called @key, or NULL; @node may be NULL. */
struct tree_node *tree_find(const struct tree_node *node, const char *key);

#endif
