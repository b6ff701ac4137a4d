/* Aside: copies that have what a restored hub has lost, each in a directory before-DATE. While nobody was
 * told of the loss, the file `untold` in it says what has to be told; so a watch that is killed at any moment
 * tells it at the next run. */
#ifndef WATCH_ASIDE_H
#define WATCH_ASIDE_H

#include "hub/watch/watch.h"

/* Makes the directory @lost->kept in @dir, where the copy is to go, and notes there what is lost. @said: how
 * many entries the hub names as the most that anybody had seen. */
int aside_make(const char *dir, struct watch_lost *lost, uint64_t said, struct casebus_error *err);
/* Removes those into which no copy came: the change of copies was cut short, and is made anew. */
void aside_sweep(const char *dir);
/* Logs what is lost and not told, and adds it to @result. */
int aside_tell(const char *dir, const struct log *log, struct watch_result *result,
               struct casebus_error *err);
/* It was heard. */
int aside_told(const struct watch_lost *lost, struct casebus_error *err);

#endif
