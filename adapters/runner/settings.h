/* Settings: what can be written in a configuration, as rows. One table feeds the parser, `casebus-adapter
 * explain` and the man page. */
#ifndef RUNNER_SETTINGS_H
#define RUNNER_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct faults;
struct tree_node;

enum setting_type {
    SETTING_TEXT = 1, /* const char * */
    SETTING_READ,     /* const char *: a file that must be there and readable */
    SETTING_WRITE,    /* const char *: a file that is made; its folder must be there */
    SETTING_DIR,      /* const char *: a folder */
    SETTING_CHOICE,   /* int: which of `choices` */
    SETTING_CHAR,     /* char: one ASCII character, "tab", or "auto" (0) */
    SETTING_BOOL,     /* bool */
    SETTING_LIST,     /* struct text_list */
};

struct text_list {
    const char **items;
    size_t n;
};

struct setting {
    const char *name;
    enum setting_type type;
    const char *fallback; /* NULL: has to be given; "": may be left out */
    size_t offset;        /* of the value in the struct that the table describes */
    const char *summary;
    const char *const *choices; /* ends with NULL */
};

/* Reads the settings of @rows from the mapping @section into @out; texts live in @arena. Names that are not
 * in
 * @rows are faults, except those in @others (ends with NULL). @section may be NULL: then everything is
 * missing, told at @parent. */
void settings_read(const struct setting *rows, size_t n_rows, void *out, const struct tree_node *section,
                   const char *const *others, struct arena *arena, struct faults *faults);
/* As @others: any other name is fine. */
extern const char *const settings_any[];
/* Reads @node, a text or a list of texts. */
void text_list_read(struct text_list *list, const struct tree_node *node, struct arena *arena,
                    struct faults *faults);
/* The settings as they would stand in a configuration, each with its meaning behind it. */
void settings_print(const struct setting *rows, size_t n_rows, int indent);

#endif
