/* Progress of a long command, on a terminal only. */
#ifndef HUB_PROGRESS_H
#define HUB_PROGRESS_H

#include <stdint.h>

void progress_show(void *self, uint64_t done, uint64_t total); /* @self is not used */
void progress_end(void);

#endif
