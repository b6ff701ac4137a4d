/* All kinds of sources and sinks. A new one is a folder and a line here. */
#include "adapters/runner/kinds.h"

#include "adapters/eventlog/eventlog.h"
#include "adapters/jsonl/jsonl.h"

const struct source_kind *const source_kinds[] = {&eventlog_source, NULL};
const struct sink_kind *const sink_kinds[] = {&jsonl_sink, NULL};
