/* Xes: an event log in XES (IEEE 1849), read event by event. */
#ifndef EVENTLOG_XES_H
#define EVENTLOG_XES_H

#include "adapters/eventlog/input.h"
#include "adapters/runner/kinds.h"

struct xes;

/* The xes owns @input from here on, also when this fails. @encoding: NULL for what the file itself says. */
int xes_open(struct xes **xesp, struct input *input, const char *encoding, struct casebus_error *err);
struct xes *xes_close(struct xes *xes); /* NULL in, NULL out */
/* A source_answer, or -1 when the file cannot be read any further. The row's fields are the event's
 * attributes by their keys, those of its case as "case:KEY", and "event:index", its place in its case from 1.
 */
int xes_next(struct xes *xes, struct row *row, struct casebus_error *err);
const struct input *xes_input(const struct xes *xes);
/* UTF-8, or what is decoded into it. */
const char *xes_encoding(const struct xes *xes);

#endif
