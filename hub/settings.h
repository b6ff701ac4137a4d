/* Settings of a hub, DIR/hub.yaml: one row each, read by the parser, by `casebus-hub settings` and by the
 * manual. */
#ifndef HUB_SETTINGS_H
#define HUB_SETTINGS_H

#include "proto/base/bytes.h"
#include "proto/base/error.h"

#include <limits.h>

#define WITNESSES_PRESET "witness.policy"
#define TIMESTAMP_NONE   "none"
#define FOUR_EYES_ON     "on"
#define OPERATORS_NONE   "none"
#define DOOR_NEXT        "next"
#define DOOR_OFF         "off"

#define BACKUP_NONE "none"

struct settings {
    char origin[256];
    char suite[16];
    char listen[256];
    char door[256];
    char monitor[64];
    unsigned workers;
    unsigned silence_seconds;
    char log_level[16];
    char four_eyes[8];  /* FOUR_EYES_ON, or off */
    char operators[64]; /* OPERATORS_NONE, or a group of the machine */
    char witnesses[256];
    char timestamp[256]; /* TIMESTAMP_NONE, or the authority's URL */
    char timestamp_ca[256];
    unsigned timestamp_minutes;
    unsigned erasure_days;
    unsigned keep_free_mb;
    char backup[1024]; /* BACKUP_NONE, or a directory */
};

/* What a setting's value should have been (in the language of the process), or NULL when it is fine. */
const char *settings_fault(const char *name, const char *value);
/* The text of a fresh hub.yaml, with every setting explained. @suite, @listen: NULL for the preset. */
bool settings_write(struct buffer *out, const char *origin, const char *suite, const char *listen);
/* Reads and checks; every fault is told at once, each with its line. */
int settings_read(struct settings *settings, const char *path, struct casebus_error *err);
/* Where nodes join, in @address: `door`, or, as preset, the address of `listen` with the next port. Empty
 * when this hub has no door. */
void settings_door(char address[256], const struct settings *settings);
/* The file @name beside those of the hub in @dir, unless @name says where it is. */
int settings_file(char path[PATH_MAX], const char *dir, const char *name, struct casebus_error *err);
/* The policy of witnesses. 1: it is @path; 0: there is none, for the file of the preset's name may be
 * missing; one that was named must be there. */
int settings_policy(char path[PATH_MAX], const struct settings *settings, const char *dir,
                    struct casebus_error *err);

#endif
