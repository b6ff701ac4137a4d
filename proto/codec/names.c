/* Names of the schema's enums: the value's name in lower case without the enum's prefix. Written out, so that
 * they stay what they are whatever a later schema calls its values; a test compares both. */
#include "proto/base/texts.h"
#include "proto/codec/event.h"

struct name_row {
    int value;
    const char *name;
    const char *title; /* English; shown through gettext */
};

static const struct name_row kind_rows[] = {
    {CASEBUS__V1__KIND__KIND_APPLY, "apply", N_("application")},
    {CASEBUS__V1__KIND__KIND_RECEIVE, "receive", N_("papers received")},
    {CASEBUS__V1__KIND__KIND_SUPPLEMENT_NOTICE, "supplement_notice", N_("notice to supplement")},
    {CASEBUS__V1__KIND__KIND_SUPPLEMENT, "supplement", N_("supplement received")},
    {CASEBUS__V1__KIND__KIND_ACCEPT, "accept", N_("acceptance")},
    {CASEBUS__V1__KIND__KIND_REFUSE_ACCEPT, "refuse_accept", N_("refusal to accept")},
    {CASEBUS__V1__KIND__KIND_STEP, "step", N_("step")},
    {CASEBUS__V1__KIND__KIND_SPECIAL_BEGIN, "special_begin", N_("special procedure begins")},
    {CASEBUS__V1__KIND__KIND_SPECIAL_END, "special_end", N_("special procedure ends")},
    {CASEBUS__V1__KIND__KIND_EXTEND, "extend", N_("extension")},
    {CASEBUS__V1__KIND__KIND_DECIDE, "decide", N_("decision")},
    {CASEBUS__V1__KIND__KIND_FINISH, "finish", N_("case finished")},
    {CASEBUS__V1__KIND__KIND_DELIVER, "deliver", N_("result delivered")},
    {CASEBUS__V1__KIND__KIND_RATE, "rate", N_("rating")},
    {CASEBUS__V1__KIND__KIND_RECTIFY, "rectify", N_("rectification")},
    {CASEBUS__V1__KIND__KIND_WITHDRAW, "withdraw", N_("withdrawal")},
    {CASEBUS__V1__KIND__KIND_ANNUL, "annul", N_("annulment")},
    {CASEBUS__V1__KIND__KIND_MATTER_RAISED, "matter_raised", N_("matter raised")},
    {CASEBUS__V1__KIND__KIND_MATTER_CLASSIFIED, "matter_classified", N_("matter classified")},
    {CASEBUS__V1__KIND__KIND_MATTER_ASSIGNED, "matter_assigned", N_("matter assigned")},
    {CASEBUS__V1__KIND__KIND_MATTER_MEETING, "matter_meeting", N_("joint meeting on a matter")},
    {CASEBUS__V1__KIND__KIND_MATTER_ANSWERED, "matter_answered", N_("matter answered")},
    {CASEBUS__V1__KIND__KIND_MATTER_CHECKED, "matter_checked", N_("matter checked")},
    {CASEBUS__V1__KIND__KIND_MATTER_CLOSED, "matter_closed", N_("matter closed")},
    {CASEBUS__V1__KIND__KIND_OTHER, "other", N_("other")},
    {0, NULL, NULL},
};

static const struct name_row operation_rows[] = {
    {CASEBUS__V1__OPERATION__OPERATION_PUT, "put", NULL},
    {CASEBUS__V1__OPERATION__OPERATION_CORRECT, "correct", NULL},
    {CASEBUS__V1__OPERATION__OPERATION_DELETE, "delete", NULL},
    {0, NULL, NULL},
};

static const struct name_row channel_rows[] = {
    {CASEBUS__V1__CHANNEL__CHANNEL_WINDOW, "window", NULL},
    {CASEBUS__V1__CHANNEL__CHANNEL_WEB, "web", NULL},
    {CASEBUS__V1__CHANNEL__CHANNEL_MOBILE, "mobile", NULL},
    {CASEBUS__V1__CHANNEL__CHANNEL_POST, "post", NULL},
    {CASEBUS__V1__CHANNEL__CHANNEL_OTHER, "other", NULL},
    {0, NULL, NULL},
};

static const struct name_row real_name_rows[] = {
    {CASEBUS__V1__REAL_NAME__REAL_NAME_NONE, "none", NULL},
    {CASEBUS__V1__REAL_NAME__REAL_NAME_BASIC, "basic", NULL},
    {CASEBUS__V1__REAL_NAME__REAL_NAME_ADVANCED, "advanced", NULL},
    {0, NULL, NULL},
};

static const struct name_row part_kind_rows[] = {
    {CASEBUS__V1__PART_KIND__PART_KIND_IDENTITY, "identity", NULL},
    {CASEBUS__V1__PART_KIND__PART_KIND_CONTACT, "contact", NULL},
    {CASEBUS__V1__PART_KIND__PART_KIND_FORM, "form", NULL},
    {CASEBUS__V1__PART_KIND__PART_KIND_OPINION, "opinion", NULL},
    {CASEBUS__V1__PART_KIND__PART_KIND_OTHER, "other", NULL},
    {0, NULL, NULL},
};

static const struct name_row question_rows[] = {
    {CASEBUS__V1__QUESTION__QUESTION_ACCEPTED, "accepted", NULL},
    {CASEBUS__V1__QUESTION__QUESTION_APPROVED, "approved", NULL},
    {CASEBUS__V1__QUESTION__QUESTION_FINISHED, "finished", NULL},
    {CASEBUS__V1__QUESTION__QUESTION_CERTIFICATE, "certificate", NULL},
    {0, NULL, NULL},
};

/* The row of @value; the last one, which has no name, when there is none. */
static const struct name_row *row_of(const struct name_row *rows, int value)
{
    while (rows->name && rows->value != value)
        rows++;
    return rows;
}

static int value_of(const struct name_row *rows, const char *name)
{
    while (rows->name && strcmp(rows->name, name) != 0)
        rows++;
    return rows->value;
}

const char *kind_name(Casebus__V1__Kind kind)
{
    return row_of(kind_rows, (int)kind)->name;
}

Casebus__V1__Kind kind_parse(const char *name)
{
    return (Casebus__V1__Kind)value_of(kind_rows, name);
}

const char *kind_title(Casebus__V1__Kind kind)
{
    const struct name_row *row = row_of(kind_rows, (int)kind);

    return row->title ? _(row->title) : NULL;
}

const char *operation_name(Casebus__V1__Operation operation)
{
    return row_of(operation_rows, (int)operation)->name;
}

Casebus__V1__Operation operation_parse(const char *name)
{
    return (Casebus__V1__Operation)value_of(operation_rows, name);
}

const char *channel_name(Casebus__V1__Channel channel)
{
    return row_of(channel_rows, (int)channel)->name;
}

Casebus__V1__Channel channel_parse(const char *name)
{
    return (Casebus__V1__Channel)value_of(channel_rows, name);
}

const char *real_name_name(Casebus__V1__RealName value)
{
    return row_of(real_name_rows, (int)value)->name;
}

Casebus__V1__RealName real_name_parse(const char *name)
{
    return (Casebus__V1__RealName)value_of(real_name_rows, name);
}

const char *part_kind_name(Casebus__V1__PartKind kind)
{
    return row_of(part_kind_rows, (int)kind)->name;
}

Casebus__V1__PartKind part_kind_parse(const char *name)
{
    return (Casebus__V1__PartKind)value_of(part_kind_rows, name);
}

const char *question_name(Casebus__V1__Question question)
{
    return row_of(question_rows, (int)question)->name;
}

Casebus__V1__Question question_parse(const char *name)
{
    return (Casebus__V1__Question)value_of(question_rows, name);
}
