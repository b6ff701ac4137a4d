/* Golden vectors: every structure that is signed or hashed, computed from fixed inputs by casebus's own code.
 */
#ifndef INTEROP_VECTORS_H
#define INTEROP_VECTORS_H

#include <jansson.h>

/* The whole document; the caller gives it back with json_decref. Ends the process when something fails: the
 * inputs are fixed. */
json_t *vectors_make(void);

#endif
