/* Jsonl: a sink that appends each delivery to a file as a line of JSON. */
#ifndef JSONL_JSONL_H
#define JSONL_JSONL_H

#include "adapters/runner/kinds.h"

extern const struct sink_kind jsonl_sink;

#endif
