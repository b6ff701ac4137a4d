/* expat calls us; the runner wants to call us. At the end of each event the parser is suspended, the event is
 * handed out, and the next call resumes it.
 *
 *   log > trace > event > string|date|int|float|boolean|id (key, value)
 *
 * Attributes inside attributes (XES lists and meta-attributes) are passed over, as are the log's own
 * attributes and its <global> defaults: a default is not something that anybody recorded. Nothing in XES
 * needs a document type, so one is refused at sight, and no entity can be declared. Everything that grows is
 * bounded: depth, attributes, bytes of an event and the bytes that expat may gather before it calls. */
#include "adapters/eventlog/xes.h"

#include "proto/base/texts.h"

#include <errno.h>
#include <expat.h>
#include <iconv.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    DEPTH_MAX = 64,
    CHUNK = 64 * 1024,
    TOKEN_MAX = 4 * ROW_SIZE_MAX, /* bytes between two calls of expat: a start tag with all its values */
    DECODED_MAX = 2 * CHUNK + 16,
};

enum place { IN_FILE, IN_LOG, IN_TRACE, IN_EVENT, IN_OTHER };

struct attributes {
    struct buffer text; /* names and values, each with its NUL */
    size_t name[ROW_FIELDS_MAX];
    size_t value[ROW_FIELDS_MAX];
    size_t n;
};

struct xes {
    struct input *input;
    XML_Parser parser;
    const char *encoding;
    iconv_t decoder; /* (iconv_t)-1: expat reads the file's own bytes */
    struct buffer decoded;
    struct buffer undecoded; /* a character cut off at the end of a chunk */

    enum place place;
    unsigned depth;       /* of all elements */
    unsigned other_depth; /* where IN_OTHER began */
    enum place other_in;
    struct attributes of_case;
    struct attributes of_event;
    uint64_t event_index;
    uint64_t event_line;
    char event_fault[200]; /* why this event is a bad row */
    char case_fault[200];  /* why every event of this case is one */
    char index_text[24];

    uint64_t row_number;
    bool event_ready;
    bool suspended;
    bool finished; /* expat was told that there is no more */
    long long fed; /* bytes given to expat */
    bool has_doctype;
    bool too_deep;
    bool no_log; /* the outermost element is not <log> */

    struct row_field fields[2 * ROW_FIELDS_MAX + 1];
    struct buffer raw;
};

/* ---- attributes ---- */

static void attributes_init(struct attributes *attributes)
{
    buffer_init(&attributes->text, 2 * ROW_SIZE_MAX);
    attributes->n = 0;
}

static void attributes_reset(struct attributes *attributes)
{
    buffer_reset(&attributes->text);
    attributes->n = 0;
}

/* Returns false when a bound is reached. */
static bool attributes_add(struct attributes *attributes, const char *prefix, const char *name,
                           const char *value)
{
    struct buffer *text = &attributes->text;
    size_t before = text->size;
    if (attributes->n == ROW_FIELDS_MAX || strlen(value) > ROW_SIZE_MAX || strlen(name) > 256)
        return false;
    attributes->name[attributes->n] = before;
    bool fits = buffer_append(text, prefix, strlen(prefix)) && buffer_append(text, name, strlen(name) + 1);
    attributes->value[attributes->n] = text->size;
    if (!fits || !buffer_append(text, value, strlen(value) + 1)) {
        text->size = before;
        return false;
    }
    attributes->n++;
    return true;
}

/* ---- what expat calls ---- */

static bool is_attribute(const char *element)
{
    static const char *const names[] = {"string", "date", "int", "float", "boolean", "id"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(element, names[i]) == 0)
            return true;
    return false;
}

static const char *xml_attribute(const char **pairs, const char *name)
{
    for (; pairs[0]; pairs += 2)
        if (strcmp(pairs[0], name) == 0)
            return pairs[1];
    return NULL;
}

static void attribute_take(struct xes *xes, const char **pairs)
{
    const char *key = xml_attribute(pairs, "key");
    const char *value = xml_attribute(pairs, "value");
    bool in_event = xes->place == IN_EVENT;
    char *fault = in_event ? xes->event_fault : xes->case_fault;
    size_t size = sizeof xes->event_fault;
    if (fault[0])
        return;
    if (!key || !value) {
        snprintf(fault, size, _("an attribute lacks its key or its value"));
        return;
    }
    bool taken = in_event ? attributes_add(&xes->of_event, "", key, value)
                          : attributes_add(&xes->of_case, "case:", key, value);
    if (!taken) {
        char shown[64];
        text_escape(shown, sizeof shown, key);
        snprintf(fault, size, _("attribute '%s' is beyond the bounds (%d attributes, %d bytes)"), shown,
                 ROW_FIELDS_MAX, ROW_SIZE_MAX);
    }
}

/* Everything inside this element is passed over. */
static void other_enter(struct xes *xes)
{
    xes->other_in = xes->place;
    xes->other_depth = xes->depth;
    xes->place = IN_OTHER;
}

static void trace_enter(struct xes *xes)
{
    xes->place = IN_TRACE;
    xes->event_index = 0;
    xes->case_fault[0] = '\0';
    attributes_reset(&xes->of_case);
}

static void event_enter(struct xes *xes)
{
    xes->place = IN_EVENT;
    xes->event_index++;
    xes->event_line = XML_GetCurrentLineNumber(xes->parser);
    xes->event_fault[0] = '\0';
    attributes_reset(&xes->of_event);
}

static void on_start(void *self, const char *element, const char **pairs)
{
    struct xes *xes = self;
    if (++xes->depth > DEPTH_MAX) {
        xes->too_deep = true;
        XML_StopParser(xes->parser, XML_FALSE);
        return;
    }
    if (xes->place == IN_FILE && strcmp(element, "log") == 0) {
        xes->place = IN_LOG;
    } else if (xes->place == IN_FILE) {
        xes->no_log = true;
        XML_StopParser(xes->parser, XML_FALSE);
    } else if (xes->place == IN_LOG && strcmp(element, "trace") == 0) {
        trace_enter(xes);
    } else if (xes->place == IN_TRACE && strcmp(element, "event") == 0) {
        event_enter(xes);
    } else if (xes->place != IN_OTHER) {
        if (xes->place != IN_LOG && is_attribute(element))
            attribute_take(xes, pairs);
        other_enter(xes);
    }
}

static void on_end(void *self, const char *element)
{
    struct xes *xes = self;
    (void)element;
    if (xes->place == IN_OTHER) {
        if (xes->depth == xes->other_depth)
            xes->place = xes->other_in;
    } else if (xes->place == IN_EVENT) {
        xes->place = IN_TRACE;
        xes->event_ready = true;
        XML_StopParser(xes->parser, XML_TRUE);
    } else if (xes->place == IN_TRACE) {
        xes->place = IN_LOG;
    }
    xes->depth--;
}

static void on_doctype(void *self, const char *name, const char *sysid, const char *pubid, int internal)
{
    struct xes *xes = self;
    (void)name;
    (void)sysid;
    (void)pubid;
    (void)internal;
    xes->has_doctype = true;
    XML_StopParser(xes->parser, XML_FALSE);
}

/* ---- feeding ---- */

static int xml_fault(struct xes *xes, struct casebus_error *err)
{
    unsigned long line = XML_GetCurrentLineNumber(xes->parser);
    unsigned long column = XML_GetCurrentColumnNumber(xes->parser) + 1;
    const char *name = input_name(xes->input);
    if (xes->has_doctype) {
        error_set(err, CASEBUS_SOURCE,
                  _("'%s', line %lu: it declares a document type, which XES does not have"), name, line);
        return error_hint(err, _("remove <!DOCTYPE ...>; entities are never expanded here"));
    }
    if (xes->too_deep)
        return error_set(err, CASEBUS_SOURCE,
                         _("'%s', line %lu, column %lu: more than %d elements are nested"), name, line,
                         column, DEPTH_MAX);
    if (xes->no_log) {
        error_set(err, CASEBUS_SOURCE, _("'%s', line %lu: it does not begin with <log>"), name, line);
        return error_hint(err, _("is it really an event log in XES?"));
    }
    error_set(err, CASEBUS_SOURCE, _("'%s', line %lu, column %lu: not well-formed XML: %s"), name, line,
              column, XML_ErrorString(XML_GetErrorCode(xes->parser)));
    return error_hint(err, _("export the file again; the events before this place are kept"));
}

static int token_too_long(struct xes *xes, struct casebus_error *err)
{
    error_set(err, CASEBUS_SOURCE, _("'%s', line %lu: an element is longer than %d bytes"),
              input_name(xes->input), (unsigned long)XML_GetCurrentLineNumber(xes->parser), TOKEN_MAX);
    return error_hint(err, _("large contents belong into materials; the events before this place are kept"));
}

static int status_take(struct xes *xes, enum XML_Status status, struct casebus_error *err)
{
    xes->suspended = status == XML_STATUS_SUSPENDED;
    return status == XML_STATUS_ERROR ? xml_fault(xes, err) : 0;
}

static int bytes_feed(struct xes *xes, struct bytes bytes, struct casebus_error *err)
{
    long long at = (long long)XML_GetCurrentByteIndex(xes->parser);
    if (xes->fed - (at < 0 ? 0 : at) > TOKEN_MAX)
        return token_too_long(xes, err);
    xes->fed += (long long)bytes.size;
    return status_take(xes, XML_Parse(xes->parser, (const char *)bytes.data, (int)bytes.size, 0), err);
}

static int decode_fault(struct xes *xes, struct casebus_error *err)
{
    error_set(err, CASEBUS_SOURCE, _("'%s', near line %lu: not %s text"), input_name(xes->input),
              (unsigned long)XML_GetCurrentLineNumber(xes->parser), xes->encoding);
    return error_hint(err, _("set source.encoding to what the file really is: UTF-8 or GB18030"));
}

/* Decodes what is in `undecoded` and feeds it; a character that is cut off stays there. */
static int decoded_feed(struct xes *xes, struct casebus_error *err)
{
    char *from = (char *)xes->undecoded.data;
    size_t left = xes->undecoded.size;
    char *to = (char *)xes->decoded.data;
    size_t room = DECODED_MAX;
    if (iconv(xes->decoder, &from, &left, &to, &room) == (size_t)-1 && errno != EINVAL)
        return decode_fault(xes, err);
    size_t size = DECODED_MAX - room;
    memmove(xes->undecoded.data, from, left);
    xes->undecoded.size = left;
    return bytes_feed(xes, bytes_of(xes->decoded.data, size), err);
}

static int chunk_feed(struct xes *xes, struct bytes ahead, struct casebus_error *err)
{
    size_t size = ahead.size < CHUNK ? ahead.size : CHUNK;
    int r;
    if (xes->decoder == (iconv_t)-1) {
        r = bytes_feed(xes, bytes_of(ahead.data, size), err);
    } else {
        size_t room = CHUNK - xes->undecoded.size;
        size = size < room ? size : room;
        memcpy(xes->undecoded.data + xes->undecoded.size, ahead.data, size);
        xes->undecoded.size += size;
        r = decoded_feed(xes, err);
    }
    input_consume(xes->input, size);
    return r;
}

/* Moves on until an event is ready or the file is finished. Being finished with reading is not the end: expat
 * may have put off long tokens and come to the last events only then. */
static int xes_advance(struct xes *xes, struct casebus_error *err)
{
    while (!xes->event_ready && (xes->suspended || !xes->finished)) {
        struct bytes ahead;
        if (xes->suspended) {
            if (status_take(xes, XML_ResumeParser(xes->parser), err) != 0)
                return -1;
            continue;
        }
        int r = input_peek(xes->input, &ahead, err);
        if (r < 0)
            return error_context(err, _("line %lu"), (unsigned long)XML_GetCurrentLineNumber(xes->parser));
        if (r > 0 && chunk_feed(xes, ahead, err) != 0)
            return -1;
        if (r == 0) {
            if (xes->undecoded.size > 0)
                return decode_fault(xes, err);
            xes->finished = true;
            if (status_take(xes, XML_Parse(xes->parser, "", 0, 1), err) != 0)
                return -1;
        }
    }
    return 0;
}

/* ---- rows ---- */

static void fields_take(struct xes *xes, const struct attributes *from, size_t *n)
{
    const char *text = (const char *)from->text.data;
    for (size_t i = 0; i < from->n; i++)
        xes->fields[(*n)++] = (struct row_field){text + from->name[i], text + from->value[i]};
}

/* An event as a line of KEY=VALUE, for the rejects. */
static struct bytes event_raw(struct xes *xes, size_t n)
{
    buffer_reset(&xes->raw);
    for (size_t i = 0; i < n; i++)
        if (!buffer_printf(&xes->raw, "%s%s=%.1000s", i ? "; " : "", xes->fields[i].name,
                           xes->fields[i].value))
            break;
    return bytes_of(xes->raw.data, xes->raw.size);
}

int xes_next(struct xes *xes, struct row *row, struct casebus_error *err)
{
    if (xes_advance(xes, err) != 0)
        return -1;
    if (!xes->event_ready)
        return SOURCE_END;
    xes->event_ready = false;
    size_t n = 0;
    fields_take(xes, &xes->of_event, &n);
    fields_take(xes, &xes->of_case, &n);
    snprintf(xes->index_text, sizeof xes->index_text, "%llu", (unsigned long long)xes->event_index);
    xes->fields[n++] = (struct row_field){"event:index", xes->index_text};
    *row = (struct row){.number = ++xes->row_number, .line = xes->event_line, .fields = xes->fields};
    row->n_fields = n;
    row->raw = event_raw(xes, n);
    if (!xes->event_fault[0] && !xes->case_fault[0])
        return SOURCE_ROW;
    error_set(err, CASEBUS_ROW, "%s", xes->event_fault[0] ? xes->event_fault : xes->case_fault);
    return SOURCE_BAD_ROW;
}

/* ---- life cycle ---- */

/* The encodings of Chinese systems that expat does not know, as the XML declaration names them. */
static bool declares_gb(struct bytes ahead)
{
    char head[200];
    size_t size = ahead.size < sizeof head - 1 ? ahead.size : sizeof head - 1;
    memcpy(head, ahead.data, size);
    head[size] = '\0';
    char *end = strstr(head, "?>");
    if (!end)
        return false;
    *end = '\0';
    return strcasestr(head, "encoding=\"gb") || strcasestr(head, "encoding='gb");
}

static int decoder_open(struct xes *xes, const char *encoding, struct casebus_error *err)
{
    struct bytes ahead;
    int r = input_peek(xes->input, &ahead, err);
    if (r <= 0)
        return r;
    if (!encoding && declares_gb(ahead))
        encoding = "GB18030";
    xes->encoding = encoding ? encoding : "UTF-8";
    if (strcmp(xes->encoding, "UTF-8") == 0)
        return 0;
    xes->decoder = iconv_open("UTF-8", xes->encoding);
    if (xes->decoder == (iconv_t)-1)
        return error_set(err, CASEBUS_SOURCE, _("the encoding '%s' is not known to this system"), encoding);
    if (!buffer_reserve(&xes->decoded, DECODED_MAX) || !buffer_reserve(&xes->undecoded, CHUNK))
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to read '%s'"), input_name(xes->input));
    return 0;
}

static int parser_open(struct xes *xes, const char *encoding, struct casebus_error *err)
{
    bool ours = encoding || xes->decoder != (iconv_t)-1;
    xes->parser = XML_ParserCreate(ours ? "UTF-8" : NULL);
    if (!xes->parser)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to read '%s'"), input_name(xes->input));
    XML_SetUserData(xes->parser, xes);
    XML_SetElementHandler(xes->parser, on_start, on_end);
    XML_SetStartDoctypeDeclHandler(xes->parser, on_doctype);
    return 0;
}

int xes_open(struct xes **xesp, struct input *input, const char *encoding, struct casebus_error *err)
{
    struct xes *xes = calloc(1, sizeof *xes);
    if (!xes) {
        error_set(err, CASEBUS_NO_MEMORY, _("no memory to read '%s'"), input_name(input));
        input_close(input);
        return -1;
    }
    xes->input = input;
    xes->decoder = (iconv_t)-1;
    xes->encoding = "UTF-8";
    attributes_init(&xes->of_case);
    attributes_init(&xes->of_event);
    buffer_init(&xes->decoded, DECODED_MAX);
    buffer_init(&xes->undecoded, CHUNK);
    buffer_init(&xes->raw, 64 * 1024);
    if (decoder_open(xes, encoding, err) != 0 || parser_open(xes, encoding, err) != 0) {
        xes_close(xes);
        return -1;
    }
    *xesp = xes;
    return 0;
}

struct xes *xes_close(struct xes *xes)
{
    if (!xes)
        return NULL;
    if (xes->parser)
        XML_ParserFree(xes->parser);
    if (xes->decoder != (iconv_t)-1)
        iconv_close(xes->decoder);
    buffer_deinit(&xes->of_case.text);
    buffer_deinit(&xes->of_event.text);
    buffer_deinit(&xes->decoded);
    buffer_deinit(&xes->undecoded);
    buffer_deinit(&xes->raw);
    input_close(xes->input);
    free(xes);
    return NULL;
}

const struct input *xes_input(const struct xes *xes)
{
    return xes->input;
}

const char *xes_encoding(const struct xes *xes)
{
    return xes->encoding;
}
